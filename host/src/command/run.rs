//! `weir run`: the worker.

use std::env;
use std::process::ExitCode;

use crate::app::App;
use crate::config::files;
use crate::config::pipeline::Pipeline;
use crate::config::reference::Surroundings;
use crate::config::worker::{Worker as Settings, WorkerArgs};
use crate::error::Result;

/// Runs until a signal. Files are checked before anything starts.
pub fn run(args: WorkerArgs) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failed("weir run", &error),
    }
}

fn start(args: WorkerArgs) -> Result<()> {
    let settings = args.resolve(&Surroundings)?;
    let pipelines = pipelines(&settings)?;
    let app = App::start(&settings, pipelines, env::current_exe().ok())?;
    app.wait()?;
    app.drain()
}

/// The pipelines of the files, or everything that is wrong with them.
fn pipelines(settings: &Settings) -> Result<Vec<Pipeline>> {
    let found = files::find(&settings.pipelines)?;
    if found.is_empty() {
        tracing::warn!("no pipeline file (*.yaml, *.yml) in {:?}: nothing to do yet", settings.pipelines);
    }
    // A plugin that is missing or refuses its settings fails its own pipeline, visibly, and no other.
    files::pipelines(files::load(&found, &Surroundings, &|_| Vec::new()))
}
