//! What operators see of a task. Written by the task, read by REST.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::limits::TRACE_BYTES_MAX;
use crate::record::Lane;

/// Kafka Connect's task states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Not started yet.
    #[default]
    Unassigned,
    /// At work, waiting for records, or retrying.
    Running,
    /// Ended by an error; an operator must act.
    Failed,
    /// Ended because the worker or the pipeline stops.
    Stopped,
}

impl State {
    /// Connect's word for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Unassigned | State::Stopped => "UNASSIGNED",
            State::Running => "RUNNING",
            State::Failed => "FAILED",
        }
    }
}

/// Where one lane stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// What the lane is doing: `claiming`, `replaying`, `running`.
    pub doing: &'static str,
    /// The sink's next offset.
    pub next_offset: i64,
    /// The end of the log as last seen.
    pub end: Option<i64>,
    /// The offset up to which the lane replays with output off.
    pub replay_until: Option<i64>,
    /// The offset up to which it has been processed.
    pub processed: i64,
}

/// One task's status.
#[derive(Debug, Clone, Default)]
pub struct TaskStatus {
    /// The state.
    pub state: State,
    /// Why it failed.
    pub trace: Option<String>,
    /// What it is waiting for while it retries: the cause and the hint.
    pub waiting: Option<String>,
    /// Its lanes.
    pub lanes: BTreeMap<Lane, LaneStatus>,
}

/// A status shared between the task and its readers.
#[derive(Debug, Clone, Default)]
pub struct SharedStatus(Arc<Mutex<TaskStatus>>);

impl SharedStatus {
    /// A copy of the status as it is now.
    pub fn get(&self) -> TaskStatus {
        self.lock().clone()
    }

    /// Changes the state.
    pub fn set_state(&self, state: State) {
        self.lock().state = state;
    }

    /// Records the failure that ended the task.
    pub fn fail(&self, error: &Error) {
        let mut status = self.lock();
        status.state = State::Failed;
        let mut trace = error.report();
        trace.truncate(trace.floor_char_boundary(TRACE_BYTES_MAX));
        status.trace = Some(trace);
        status.waiting = None;
    }

    /// Notes what the task waits for, or that it goes on. Returns whether that is news.
    pub fn set_waiting(&self, error: Option<&Error>) -> bool {
        let waiting = error.map(Error::report);
        let mut status = self.lock();
        let news = status.waiting != waiting;
        status.waiting = waiting;
        news
    }

    /// Replaces the lanes.
    pub fn set_lanes(&self, lanes: BTreeMap<Lane, LaneStatus>) {
        self.lock().lanes = lanes;
    }

    fn lock(&self) -> MutexGuard<'_, TaskStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
