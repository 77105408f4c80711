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
    /// What the lane is doing: `claiming`, `backing off` before it is claimed again, `waiting` for its table, `restoring`,
    /// `replaying`, `running`, or `ended` where it is read no further.
    pub doing: &'static str,
    /// The sink's next offset, where the lane is held.
    pub next_offset: Option<i64>,
    /// The end of the log as last seen.
    pub end: Option<i64>,
    /// The offset up to which the lane replays with output off.
    pub replay_until: Option<i64>,
    /// The offset up to which it has been processed, where it is held.
    pub processed: Option<i64>,
    /// The epoch of the claim, where it is held.
    pub epoch: Option<i64>,
    /// The offset of the newest checkpoint that counts, of the chain that speaks.
    pub checkpoint: Option<i64>,
    /// Decisions committed since it was claimed.
    pub decisions: u64,
    /// How often it was taken from this worker lately.
    pub fences: u32,
}

/// Whom a task can wait for. Each is waited for on its own: that the database answers says nothing of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// The brokers, or a topic.
    Kafka,
    /// Where rows go.
    Sink,
    /// Where checkpoints lie.
    Checkpoints,
}

/// One task's status.
#[derive(Debug, Clone, Default)]
pub struct TaskStatus {
    /// The state.
    pub state: State,
    /// Why it failed.
    pub trace: Option<String>,
    /// What it is waiting for while it retries: cause and hint, by party.
    pub waiting: BTreeMap<Party, String>,
    /// Its lanes.
    pub lanes: BTreeMap<Lane, LaneStatus>,
}

/// A status shared between the task and its readers.
#[derive(Debug, Clone, Default)]
pub struct SharedStatus(Arc<Mutex<TaskStatus>>);

impl TaskStatus {
    /// Everything it waits for, in one text.
    pub fn waiting(&self) -> Option<String> {
        let causes: Vec<&str> = self.waiting.values().map(String::as_str).collect();
        (!causes.is_empty()).then(|| causes.join(" "))
    }
}

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
        status.waiting.clear();
    }

    /// Notes what the task waits for from a party, or that it goes on. Returns whether that is news.
    pub fn set_waiting(&self, party: Party, error: Option<&Error>) -> bool {
        let now = error.map(Error::report);
        let mut status = self.lock();
        let before = match &now {
            Some(cause) => status.waiting.insert(party, cause.clone()),
            None => status.waiting.remove(&party),
        };
        before != now
    }

    /// Replaces the lanes.
    pub fn set_lanes(&self, lanes: BTreeMap<Lane, LaneStatus>) {
        self.lock().lanes = lanes;
    }

    fn lock(&self) -> MutexGuard<'_, TaskStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_one_party_is_waited_for_stays_when_the_other_answers() {
        let status = SharedStatus::default();
        let error = Error::new(Kind::BrokerUnreachable, "no broker answers");
        assert!(status.set_waiting(Party::Kafka, Some(&error)));
        assert!(!status.set_waiting(Party::Kafka, Some(&error)), "the same cause is no news");
        assert!(!status.set_waiting(Party::Sink, None));
        assert_eq!(status.get().waiting(), Some(error.report()));
        assert!(status.set_waiting(Party::Kafka, None));
        assert_eq!(status.get().waiting(), None);
    }
}
