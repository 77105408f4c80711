//! `weir run`: the worker.

use std::env;

use crate::app::signals::Signals;
use crate::app::{App, plugins};
use crate::config::files::{self, CheckedFile};
use crate::config::pipeline::Pipeline;
use crate::config::reference::Surroundings;
use crate::config::worker::{Worker as Settings, WorkerArgs};
use crate::error::{Error, Kind, Result};
use crate::failpoint;
use crate::guest::Catalog;

/// Runs until a signal. Files are checked before anything starts.
pub fn run(args: WorkerArgs) -> Result<()> {
    failpoint::arm(env::var(failpoint::VARIABLE).ok().as_deref())?;
    let settings = args.resolve(&Surroundings)?;
    let mut signals = None;
    let mut app = App::start(&settings, env::current_exe().ok(), |catalog| {
        let pipelines = pipelines(&settings, catalog)?;
        // Up to here there is nothing to finish.
        signals = Some(Signals::heed()?);
        Ok(pipelines)
    })?;
    app.watch(&settings)?;
    signals.into_iter().for_each(Signals::wait);
    app.drain()
}

/// The pipelines of the files, and the files that are refused. A mistake costs its own pipeline; where nothing is left
/// to run, it is the worker's, and the error has all of them.
fn pipelines(settings: &Settings, catalog: &Catalog) -> Result<(Vec<Pipeline>, Vec<CheckedFile>)> {
    let found = files::find(&settings.pipelines)?;
    if found.is_empty() {
        tracing::warn!("no pipeline file (*.yaml, *.yml) in {:?}: nothing to do yet", settings.pipelines);
    }
    let check = |transform: &_| plugins::check_transform(catalog, transform);
    let (pipelines, refused) = files::part(files::load(&found, &Surroundings, &check));
    if pipelines.is_empty() && !refused.is_empty() {
        let problems: Vec<String> = refused.iter().flat_map(CheckedFile::report).collect();
        return Err(Error::new(Kind::Config, problems.join("\n")));
    }
    Ok((pipelines, refused))
}
