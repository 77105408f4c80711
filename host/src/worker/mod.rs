//! The pipelines of one process and their tasks: started, watched, drained.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use crate::config::Pipeline;
use crate::error::{Error, Result};
use crate::task::status::{SharedStatus, State, TaskStatus};
use crate::task::{self, Running, Spec};

/// Builds the parts of one task of a pipeline; its status is given.
pub type TaskBuilder = Box<dyn Fn(&Pipeline, usize, SharedStatus) -> Result<Spec> + Send + Sync>;

/// The pipelines of this process.
pub struct Worker {
    name: String,
    build: TaskBuilder,
    runtime: Handle,
    pipelines: Mutex<BTreeMap<String, Entry>>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Entry {
    /// Its configuration as written, references unresolved.
    raw: BTreeMap<String, String>,
    /// Why the pipeline itself (not one of its tasks) is at fault.
    failure: Option<Error>,
    tasks: Vec<(SharedStatus, Option<Running>)>,
}

/// What is known of a pipeline.
#[derive(Debug, Clone)]
pub struct PipelineStatus {
    /// Its name.
    pub name: String,
    /// Its own state; that of its tasks does not count (as in Connect).
    pub state: State,
    /// Why it failed.
    pub trace: Option<String>,
    /// Its tasks by number.
    pub tasks: Vec<TaskStatus>,
}

impl Worker {
    /// A worker without pipelines. `name` is how it signs positions and shows in status (`host:port`).
    pub fn new(name: String, build: TaskBuilder, runtime: Handle) -> Self {
        Worker { name, build, runtime, pipelines: Mutex::new(BTreeMap::new()) }
    }

    /// The worker's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts a pipeline's tasks. A task that cannot be built is FAILED with the reason; the others run.
    pub fn start(&self, config: Pipeline) {
        let mut tasks = Vec::new();
        for number in 0..config.tasks_max {
            let status = SharedStatus::default();
            let running = (self.build)(&config, number, status.clone())
                .and_then(|spec| task::spawn(spec, &self.runtime))
                .inspect_err(|error| {
                    tracing::error!(pipeline = config.name, task = number, hint = error.hint(), "task failed: {error}");
                    status.fail(error);
                });
            tasks.push((status, running.ok()));
        }
        self.lock().insert(config.name, Entry { raw: config.raw, failure: None, tasks });
    }

    /// Shows a pipeline that cannot run at all, with the reason. One of that name that runs is left as it is.
    pub fn refuse(&self, name: String, raw: BTreeMap<String, String>, error: Error) {
        self.lock().entry(name).or_insert(Entry { raw, failure: Some(error), tasks: Vec::new() });
    }

    /// The names of all pipelines.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// A pipeline's configuration as written, references unresolved.
    pub fn config(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.lock().get(name).map(|entry| entry.raw.clone())
    }

    /// A pipeline's status.
    pub fn status(&self, name: &str) -> Option<PipelineStatus> {
        self.lock().get(name).map(|entry| PipelineStatus {
            name: name.to_owned(),
            state: if entry.failure.is_some() { State::Failed } else { State::Running },
            trace: entry.failure.as_ref().map(Error::report),
            tasks: entry.tasks.iter().map(|(status, _)| status.get()).collect(),
        })
    }

    /// Finishes every task's flush and ends them all. Waits; to be called off the async runtime's threads.
    pub fn drain(&self) {
        let mut running: Vec<Running> = Vec::new();
        for entry in self.lock().values_mut() {
            running.extend(entry.tasks.iter_mut().filter_map(|(_, task)| task.take()));
        }
        for task in &running {
            task.drain();
        }
        for task in &mut running {
            task.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker that REST and the signal handler share.
pub type SharedWorker = Arc<Worker>;
