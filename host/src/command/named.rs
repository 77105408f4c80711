//! The pipeline that a command is about: one of those that `weir run` would run, and its database.

use std::path::{Path, PathBuf};

use tokio::runtime::{Builder, Runtime};

use crate::app;
use crate::config::files;
use crate::config::pipeline::{Pipeline, Sink, Timescale};
use crate::config::reference::Surroundings;
use crate::config::worker::{Worker as Settings, WorkerArgs};
use crate::error::{Error, Kind, Result};
use crate::kafka::log::Log;
use crate::sink::timescale::archive::{Archive, Shelf};

/// Memory for records of a client that reads none.
const LOG_BYTES: usize = 1 << 20;

/// A pipeline of a worker that need not run.
#[derive(Debug)]
pub struct Named {
    /// The worker's settings.
    pub settings: Settings,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Its table's settings.
    pub table: Timescale,
    runtime: Runtime,
}

impl Named {
    /// Finds a pipeline by its name, or by its file. Errors: [`Kind::Request`], with what there is, or what is wrong with
    /// its file.
    pub fn find(mut args: WorkerArgs, name: &str) -> Result<Self> {
        let file = Path::new(name);
        if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            args.pipelines = vec![PathBuf::from(file)];
        }
        let settings = args.resolve(&Surroundings)?;
        let found = files::find(&settings.pipelines)?;
        let loaded = files::load(&found, &Surroundings, &|_| Vec::new());
        let names: Vec<String> = loaded.iter().map(files::CheckedFile::name).collect();
        let is_it = |checked: &files::CheckedFile| checked.name() == name || checked.path == file;
        let Some(mut checked) = loaded.into_iter().find(is_it) else {
            let message = format!("no file has a pipeline `{name}`; there are: {}", names.join(", "));
            return Err(Error::new(Kind::Request, message));
        };
        let Some(pipeline) = checked.pipeline.take_if(|_| checked.problems.is_empty()) else {
            return Err(checked.error());
        };
        let Sink::Timescale(table) = pipeline.sink.clone() else {
            let message = format!("pipeline {name} writes into no database, which is where positions and state lie");
            return Err(Error::new(Kind::Request, message));
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Error::caused(Kind::Internal, "start the async runtime", e))?;
        Ok(Named { settings, pipeline, table, runtime })
    }

    /// Waits for what a database answers.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The books of its database.
    pub fn archive(&self) -> Result<Archive> {
        self.wait(Archive::open(&self.table, self.settings.checkpoints()))
    }

    /// The logs of its topics.
    pub fn log(&self) -> Result<Log> {
        Log::open(&app::consumer(&self.pipeline, &self.settings.bootstrap_servers, "look", 0, LOG_BYTES))
    }

    /// Where its checkpoints lie.
    pub fn shelf(&self) -> Shelf<'_> {
        Shelf { pipeline: &self.pipeline.name, in_directory: self.pipeline.checkpoints.in_directory }
    }

    /// What a rewind finds rows by. Errors: [`Kind::Request`].
    pub fn coordinates(&self) -> Result<()> {
        if self.table.coordinates {
            return Ok(());
        }
        let message = format!(
            "pipeline {} does not write `kafka.coordinates`, by which the rows to be written anew are found",
            self.pipeline.name
        );
        Err(Error::new(Kind::Request, message))
    }
}
