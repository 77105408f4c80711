//! Transforms: batch in; batch and row errors out. Built-in transforms and plugins are one trait, so the task
//! does not know which it runs.

pub mod advance;
pub mod chain;
pub mod plugin;
pub mod state;
pub mod timestamp_converter;

pub use advance::{Advanced, Fired};
pub use chain::{Chain, Excluded, Outcome, Projection, Rejected, StageFailure};
pub use plugin::PluginTransform;

pub use crate::guest::EventTime;

use crate::error::Result;
use crate::record::{Batch, Carry, Field, Stage, Want};
use crate::state::{Acceptance, Entries, Extent, Header};

/// What a stage needs and gives, fixed by its settings.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The fields it reads.
    pub wants: Vec<Want>,
    /// The fields it writes.
    pub writes: Vec<Field>,
    /// What stays visible beside them.
    pub carry: Carry,
    /// Where its event time comes from.
    pub event_time: Option<EventTime>,
    /// Whether records without a value reach it.
    pub tombstones: bool,
}

/// A row that a stage rejects, in that stage's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The row of the batch that the stage was given.
    pub row: u32,
    /// The field at fault, where there is one.
    pub field: Option<String>,
    /// The cause in one sentence; None where a wanted cell is a mismatch or missing and the converter
    /// can tell why (`field` names it then).
    pub message: Option<String>,
}

/// What a stage made of a batch.
#[derive(Debug)]
pub struct Transformed {
    /// The rows that go on.
    pub batch: Batch,
    /// The rows that it could not take, by row of the batch it was given, rising.
    pub rejections: Vec<Rejection>,
}

/// One stage of a chain.
pub trait Transform: Send {
    /// Its alias in the pipeline's `transforms`.
    fn alias(&self) -> &str;

    /// What class or plugin it is, with version: for status and error reports.
    fn class(&self) -> &str;

    /// What it needs and gives.
    fn plan(&self) -> &Plan;

    /// Whether its output depends on records before the batch: such a lane is replayed after a restart.
    fn is_stateful(&self) -> bool;

    /// Processes a batch. An error means that the stage is broken (a guest trapped, passed a limit or
    /// reported a failure): the lane is rebuilt before it is used again.
    fn transform(&mut self, batch: Batch) -> Result<Transformed>;

    /// Memory that the stage holds, in bytes: a guest's linear memory.
    fn memory_bytes(&self) -> usize {
        0
    }

    /// Mutes logs and metrics of the stage while its lane replays.
    fn mute(&mut self, _muted: bool) {}

    /// The newest event time (µs) of the rows that the stage was given: what its `$watermark` runs behind, and what a
    /// checkpoint keeps of it. None before the first, and for a stage without event time.
    fn watermark(&self) -> Option<i64> {
        None
    }

    /// Goes on from the watermark of a checkpoint.
    fn set_watermark(&mut self, _newest_us: Option<i64>) {}

    /// Where its watermark would be moved to by a silence of so many microseconds, in µs: event time is taken to have gone
    /// on by as much. None before the first event time, and for a stage without one.
    fn idle_watermark(&self, _idle_us: u64) -> Option<i64> {
        None
    }

    /// Moves its watermark (µs) without a row; None where it is there already, or the stage has none. An error means what
    /// one of [`Transform::transform`] does.
    fn advance(&mut self, _watermark_us: i64) -> Result<Option<Fired>> {
        Ok(None)
    }

    /// SHA-256 of its component, as hexadecimal digits; empty for a built-in transform.
    fn digest(&self) -> String {
        String::new()
    }

    /// Its state, where it keeps any.
    fn as_stateful(&mut self) -> Option<&mut dyn Stateful> {
        None
    }
}

/// A stage whose state goes into checkpoints: the calls of the interface `state`, see there.
pub trait Stateful {
    /// Freezes what a checkpoint will hold. Quick: copies nothing.
    fn begin_checkpoint(&mut self, extent: Extent) -> Result<Header>;

    /// The next entries, about `bytes_max` bytes of them, and whether more follow.
    fn next_entries(&mut self, bytes_max: u32) -> Result<(Vec<Entries>, bool)>;

    /// Ends the checkpoint; where it is not committed, what it held counts as changed again.
    fn end_checkpoint(&mut self, committed: bool) -> Result<()>;

    /// Offers a checkpoint to a stage that has not processed anything.
    fn begin_restore(&mut self, header: &Header) -> Result<Acceptance>;

    /// Hands over entries of the checkpoint, each key once, in any order.
    fn put_entries(&mut self, entries: &Entries) -> Result<()>;

    /// Ends the restore: the number of entries now held.
    fn end_restore(&mut self) -> Result<u64>;
}

/// The stage number of a transform's position.
pub fn stage(position: usize) -> Stage {
    Stage::Transform(position as u16)
}
