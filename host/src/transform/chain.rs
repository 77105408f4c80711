//! A lane's chain of stages: what it needs from records, and the way of a batch through it.
//!
//! Law of cuts: the rows that leave, and what every stage remembers, follow from the records in their order
//! alone, not from where batches end. So a chain never looks at a batch's edges, and a record that one stage
//! rejects leaves with all of its rows.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::ScalarBuffer;

use super::{Plan, Rejection, Transform, Transformed, stage};
use crate::error::{Error, Result};
use crate::record::{Batch, Carry, Field, Kind, Origin, Path, Rows, Stage, Want};

/// The stages of one lane, in order.
#[derive(Default)]
pub struct Chain {
    pub(super) stages: Vec<Box<dyn Transform>>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.stages.iter().map(|stage| (stage.alias(), stage.class()))).finish()
    }
}

/// What has to be pulled from records for the whole chain and the sink: each path and kind once, sorted.
pub type Projection = Vec<(Path, Kind)>;

/// Records (counted in the batch's origin) that earlier decisions keep from a stage and all after it.
pub type Excluded<'a> = &'a [(u32, Stage)];

/// A record that a stage rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The record, counted in its batch's origin.
    pub record: u32,
    /// The stage.
    pub stage: Stage,
    /// The field at fault, where there is one.
    pub field: Option<String>,
    /// The kind wanted of the field, where the cell that was pulled from the record is of another kind, or
    /// missing where it is required: the converter can explain it from the payload.
    pub wanted: Option<Kind>,
    /// The stage's own sentence otherwise.
    pub message: Option<String>,
}

/// What a chain made of a batch.
#[derive(Debug)]
pub struct Outcome {
    /// The rows that leave the chain.
    pub batch: Batch,
    /// The records that left no row because a stage rejected them, each once, by record.
    pub rejected: Vec<Rejected>,
}

/// A stage broke: the lane is rebuilt before it is used again.
#[derive(Debug, Clone)]
pub struct StageFailure {
    /// Which stage.
    pub stage: Stage,
    /// The records that it was given, counted in the batch's origin.
    pub records: Range<u32>,
    /// What happened, with the stage's alias and the offsets.
    pub error: Error,
}

impl fmt::Display for StageFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for StageFailure {}

impl From<StageFailure> for Error {
    fn from(failure: StageFailure) -> Error {
        failure.error
    }
}

impl Chain {
    /// A chain of these stages; none = the records as they are.
    pub fn new(stages: Vec<Box<dyn Transform>>) -> Chain {
        Chain { stages }
    }

    /// Its stages.
    pub fn stages(&self) -> &[Box<dyn Transform>] {
        &self.stages
    }

    /// Whether its output depends on records before a batch.
    pub fn is_stateful(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_stateful())
    }

    /// Memory that its stages hold, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.stages.iter().map(|stage| stage.memory_bytes()).sum()
    }

    /// Mutes logs and metrics of its stages while the lane replays.
    pub fn mute(&mut self, muted: bool) {
        self.stages.iter_mut().for_each(|stage| stage.mute(muted));
    }

    /// The fields that its stages write and that are visible at its end, in order of first writing.
    pub fn outputs(&self) -> Vec<Field> {
        let mut outputs: Vec<Field> = Vec::new();
        for plan in self.stages.iter().map(|stage| stage.plan()) {
            outputs.retain(|field| plan.carry.shows(&field.path));
            for written in &plan.writes {
                match outputs.iter_mut().find(|field| field.path == written.path) {
                    Some(field) => field.kind = written.kind,
                    None => outputs.push(written.clone()),
                }
            }
        }
        outputs
    }

    /// Which fields of the record are visible at its end beside [`Chain::outputs`].
    pub fn carry(&self) -> Carry {
        self.stages.iter().fold(Carry::All, |carry, stage| carry.and(&stage.plan().carry))
    }

    /// The alias and class of the stage at a position.
    pub fn name_of(&self, at: Stage) -> Option<(&str, &str)> {
        let Stage::Transform(position) = at else { return None };
        self.stages.get(usize::from(position)).map(|stage| (stage.alias(), stage.class()))
    }

    /// What has to be pulled from records, given what the sink wants: seen backwards, what a stage writes or
    /// does not carry need not be there before it, and what it reads must.
    pub fn projection(&self, sink: &[Want]) -> Projection {
        let mut pulls: Vec<(Path, Kind)> = sink.iter().map(|want| (want.path.clone(), want.kind)).collect();
        for plan in self.stages.iter().rev().map(|stage| stage.plan()) {
            pulls.retain(|(path, _)| comes_from_before(plan, path));
            pulls.extend(plan.wants.iter().map(|want| (want.path.clone(), want.kind)));
            pulls.extend(plan.event_time.iter().map(|time| (time.path.clone(), Kind::Timestamp)));
            if !plan.tombstones {
                // Tombstones go by untouched, so they keep what other rows have overwritten.
                let meta = plan.writes.iter().filter(|field| field.path.is_meta());
                pulls.extend(meta.map(|field| (field.path.clone(), field.kind)));
            }
        }
        pulls.sort();
        pulls.dedup();
        pulls
    }

    /// Sends a batch through all stages, obeying earlier decisions about its records.
    pub fn run(&mut self, mut batch: Batch, excluded: Excluded<'_>) -> Result<Outcome, StageFailure> {
        let mut rejected = Vec::new();
        for (position, transform) in self.stages.iter_mut().enumerate() {
            let (records, origin) = (records(&batch.rows), Arc::clone(&batch.origin));
            let kept_from = excluded.iter().filter(|(_, at)| *at == stage(position)).map(|(record, _)| *record);
            batch = match step(&mut **transform, position, batch, kept_from.collect(), &mut rejected) {
                Ok(batch) => batch,
                Err(error) => {
                    let error = error.during(place(transform.alias(), &origin, &records));
                    return Err(StageFailure { stage: stage(position), records, error });
                }
            };
        }
        rejected.sort_by_key(|rejected: &Rejected| rejected.record);
        Ok(Outcome { batch, rejected })
    }
}

/// Whether a field that is wanted after a stage has to be there before it.
fn comes_from_before(plan: &Plan, path: &Path) -> bool {
    plan.carry.shows(path) && !plan.writes.iter().any(|field| path.is_within(&field.path))
}

pub(super) fn step(
    stage: &mut dyn Transform,
    position: usize,
    batch: Batch,
    mut kept_from: Vec<u32>,
    rejected: &mut Vec<Rejected>,
) -> Result<Batch> {
    kept_from.sort_unstable();
    let batch = without(batch, &kept_from)?;
    let rows = batch.rows.clone();
    let Transformed { batch, rejections } = stage.transform(batch)?;
    let mut records: Vec<u32> = Vec::new();
    for rejection in rejections {
        let record = rows.origin(rejection.row as usize) as u32;
        if records.last() != Some(&record) {
            records.push(record);
            rejected.push(located(stage.plan(), position, record, rejection));
        }
    }
    without(batch, &records)
}

fn located(plan: &Plan, position: usize, record: u32, rejection: Rejection) -> Rejected {
    let Rejection { field, message, .. } = rejection;
    let unexplained = field.as_deref().filter(|_| message.is_none());
    let wanted = unexplained.map(|field| {
        // What is not among the wants is the event time.
        let want = plan.wants.iter().find(|want| want.path.as_str() == field);
        want.map_or(Kind::Timestamp, |want| want.kind)
    });
    Rejected { record, stage: stage(position), field, wanted, message }
}

/// The batch without the rows of these records (rising).
fn without(batch: Batch, records: &[u32]) -> Result<Batch> {
    let kept = |row: &usize| records.binary_search(&(batch.rows.origin(*row) as u32)).is_err();
    if records.is_empty() || (0..batch.len()).all(|row| kept(&row)) {
        return Ok(batch);
    }
    let positions: ScalarBuffer<u32> = (0..batch.len()).filter(kept).map(|row| row as u32).collect();
    batch.select(&positions)
}

/// The records that the rows continue, from the first to the last.
fn records(rows: &Rows) -> Range<u32> {
    match rows.len().checked_sub(1) {
        None => 0..0,
        Some(last) => rows.origin(0) as u32..rows.origin(last) as u32 + 1,
    }
}

/// Where a stage failed: its alias and the offsets that it was given.
pub(super) fn place(alias: &str, origin: &Origin, records: &Range<u32>) -> String {
    let offset = |record: u32| origin.offsets.get(record as usize).copied().unwrap_or(origin.next_offset);
    match records.end.checked_sub(1) {
        None => format!("transforms.{alias} of {}, without a row", origin.lane),
        Some(last) => {
            format!("transforms.{alias} of {}, offsets {} to {}", origin.lane, offset(records.start), offset(last))
        }
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
