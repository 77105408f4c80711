//! One lane's way from consumed records to encoded rows: decode, chain, encode, or replay without output.

use std::collections::VecDeque;
use std::sync::Arc;

use self::idle::Repeat;
use super::ledger::Ledger;
use super::replay::{Base, Replay};
use super::suspect::{Breakage, Caution, is_breakage};
use super::writer::Tolerance;
use crate::convert::decoder::Decoder;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::record::{Batch, Claim, Decision, DecisionKind, Lane, Origin, RowError, Segment, Stage};
use crate::sink::Encoder;
use crate::transform::{Chain, StageFailure};

pub mod idle;

/// A lane that is being read.
pub struct LaneRunner {
    lane: Lane,
    decoder: Decoder,
    chain: Chain,
    replay: Option<Replay>,
    /// The advances by silence that the replay repeats, by offset.
    repeats: VecDeque<Repeat>,
    caution: Caution,
    tolerance: Tolerance,
    /// Records read and rows that left the chain, since the lane's start.
    counts: (u64, u64),
    /// The leader epoch of the last record below where the lane stands.
    leader_epoch: Option<i32>,
}

impl std::fmt::Debug for LaneRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneRunner").field("lane", &self.lane).field("replay", &self.replay).finish_non_exhaustive()
    }
}

/// What a run became.
#[derive(Debug, Default)]
pub struct Processed {
    /// Rows that left the chain, zero while replaying.
    pub rows: u64,
    /// Records without a row because of an error, with their offsets: recorded as decisions.
    pub failed: Vec<(i64, RowError)>,
    /// Whether the replay ended within the run.
    pub caught_up: bool,
}

impl LaneRunner {
    /// A runner for a freshly claimed lane. A stateful chain, whose state is that of `base`, is replayed from there.
    pub fn new(
        claim: &Claim,
        base: Base,
        caution: Caution,
        decoder: Decoder,
        mut chain: Chain,
        tolerance: Tolerance,
    ) -> Self {
        let replay = chain.is_stateful().then(|| Replay::of(claim, base)).flatten();
        chain.mute(replay.is_some());
        let counts = (claim.records, claim.rows);
        let mut repeats = idle::recorded(claim);
        repeats.retain(|repeat| replay.is_some() && repeat.offset >= base.at);
        let (lane, leader_epoch) = (claim.lane.clone(), claim.leader_epoch);
        LaneRunner { lane, decoder, chain, replay, repeats, caution, tolerance, counts, leader_epoch }
    }

    /// Its chain, to be frozen between two batches.
    pub fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// Records read and rows that left the chain since the lane's start, not counting those that are replayed.
    pub fn counts(&self) -> (u64, u64) {
        self.counts
    }

    /// Up to which offset the lane replays, while it does.
    pub fn replay_until(&self) -> Option<i64> {
        self.replay.as_ref().map(Replay::until)
    }

    /// Memory of the lane's guests, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.chain.memory_bytes()
    }

    /// Processes a run of records into the lane's open segment, those that are suspected one by one.
    pub fn process(
        &mut self,
        run: Origin,
        ledger: &mut Ledger,
        encoder: &mut dyn Encoder,
    ) -> Result<Processed, ProcessError> {
        let mut processed = Processed::default();
        for piece in self.caution.pieces(run) {
            let (from, until, records) =
                (piece.offsets.first().copied().unwrap_or_default(), piece.next_offset, piece.len());
            let done = self.process_piece(piece, ledger, encoder, &mut processed);
            done.map_err(|failure| match failure {
                Failed::Stage(StageFailure { stage, error, .. }) if is_breakage(error.kind()) => {
                    ProcessError::Broken(Breakage { from, until, records, stage, error })
                }
                Failed::Stage(StageFailure { error, .. }) | Failed::Lane(error) => ProcessError::Failed(error),
            })?;
        }
        Ok(processed)
    }

    fn process_piece(
        &mut self,
        run: Origin,
        ledger: &mut Ledger,
        encoder: &mut dyn Encoder,
        processed: &mut Processed,
    ) -> Result<(), Failed> {
        let Some(live) = self.replay(run, processed)? else { return Ok(()) };
        let (lane, to, table) = (self.lane.clone(), live.next_offset, encoder.table());
        ledger.fill(&lane, to, table, |segment| self.fill(Arc::new(live), segment, encoder, processed))
    }

    /// Feeds what lies before the sink's position with output off; returns what lies after.
    fn replay(&mut self, run: Origin, processed: &mut Processed) -> Result<Option<Origin>, Failed> {
        let Some(until) = self.replay_until() else { return Ok(Some(run)) };
        let split = run.offsets.partition_point(|&offset| offset < until);
        if split > 0 {
            self.feed_old(run.slice(0..split))?;
        }
        if run.next_offset >= until {
            self.repeat_rest()?;
        }
        if run.next_offset >= until
            && let Some(replay) = self.replay.take_if(|_| run.next_offset >= until)
        {
            replay.finish()?;
            self.chain.mute(false);
            processed.caught_up = true;
        }
        Ok((split < run.len()).then(|| run.slice(split..run.len())))
    }

    fn fill(
        &mut self,
        run: Arc<Origin>,
        segment: &mut Segment,
        encoder: &mut dyn Encoder,
        processed: &mut Processed,
    ) -> Result<(), Failed> {
        let (batch, mut failed) = self.transform(&run)?;
        failpoint::pass(Point::BeforeEncode, Kind::Internal)?;
        let unbound = encoder.encode(&batch, &mut segment.data, &mut segment.lines)?;
        failpoint::pass(Point::AfterEncode, Kind::Internal)?;
        failed.extend(located(&run, unbound));
        failed.sort_by_key(|(offset, _)| *offset);
        if let Some((offset, error)) = failed.first().filter(|_| self.tolerance == Tolerance::None) {
            return Err(self.failure(*offset, error).into());
        }
        (segment.leader_epoch, self.leader_epoch) = (run.leader_epoch, run.leader_epoch);
        segment.records += run.len() as u64;
        segment.rows += batch.len() as u64;
        self.counts = (self.counts.0 + run.len() as u64, self.counts.1 + batch.len() as u64);
        let excluded = self.caution.decisions(&run);
        let mut decisions: Vec<Decision> =
            failed.iter().map(|(at, error)| decision(*at, error)).chain(excluded).collect();
        decisions.sort_by_key(|decision| decision.offset);
        // The runs of a segment follow each other.
        segment.decisions.extend(decisions);
        segment.origins.push(run);
        processed.rows += batch.len() as u64;
        processed.failed.extend(failed);
        Ok(())
    }

    /// Decodes a run and sends it through the chain.
    fn transform(&mut self, run: &Arc<Origin>) -> Result<(Batch, Vec<(i64, RowError)>), Failed> {
        failpoint::pass(Point::BeforeDecode, Kind::Internal)?;
        let (batch, malformed) = self.decoder.decode(run)?;
        failpoint::pass(Point::AfterDecode, Kind::Internal)?;
        let outcome = self.chain.run(batch, &self.caution.excluded_of(run)).map_err(Failed::Stage)?;
        let rejected = outcome.rejected.into_iter().map(|rejected| {
            let message = match (rejected.message, rejected.wanted, rejected.field.as_deref()) {
                (Some(message), _, _) => message,
                (None, Some(kind), Some(field)) => {
                    self.decoder.explain(run, rejected.record as usize, &field.into(), kind)
                }
                _ => "rejected without a reason".to_owned(),
            };
            RowError { record: rejected.record, stage: rejected.stage, field: rejected.field, message }
        });
        let errors = malformed.into_iter().chain(rejected).collect();
        Ok((outcome.batch, located(run, errors)))
    }

    /// The failure of a task that tolerates no errors: names topic, partition, offset, field and cause.
    fn failure(&self, offset: i64, error: &RowError) -> Error {
        let kind = match error.stage {
            Stage::KeyConverter | Stage::ValueConverter => Kind::RecordMalformed,
            Stage::Transform(_) | Stage::Sink => Kind::RecordRejected,
        };
        let place = match (error.stage, self.chain.name_of(error.stage)) {
            (_, Some((alias, _))) => format!("transform {alias}"),
            (Stage::Sink, _) => "the table".to_owned(),
            (Stage::KeyConverter, _) => "the key converter".to_owned(),
            _ => "the value converter".to_owned(),
        };
        let field = error.field.as_ref().map(|field| format!(", {} {field}", column_or_field(error.stage)));
        let message = format!(
            "{place} cannot take the record of topic {}, partition {}, offset {offset}{}: {}",
            self.lane.topic,
            self.lane.partition,
            field.unwrap_or_default(),
            error.message
        );
        Error::new(kind, message)
    }
}

/// Why a run was not processed.
#[derive(Debug)]
pub enum ProcessError {
    /// A guest broke: the lane is of no use any more, but can be rebuilt.
    Broken(Breakage),
    /// The task fails.
    Failed(Error),
}

enum Failed {
    Stage(StageFailure),
    Lane(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Lane(error)
    }
}

/// The errors with the offsets of their records.
fn located(run: &Origin, errors: Vec<RowError>) -> Vec<(i64, RowError)> {
    let offset = |error: &RowError| run.offsets.get(error.record as usize).copied().unwrap_or(-1);
    errors.into_iter().map(|error| (offset(&error), error)).collect()
}

fn column_or_field(stage: Stage) -> &'static str {
    if stage == Stage::Sink { "column" } else { "field" }
}

fn decision(offset: i64, error: &RowError) -> Decision {
    let kind = if error.stage == Stage::Sink { DecisionKind::Refused } else { DecisionKind::Rejected };
    let field = error.field.as_ref().map(|f| format!("{} {f}: ", column_or_field(error.stage))).unwrap_or_default();
    Decision { offset, kind, stage: error.stage, detail: format!("{field}{}", error.message) }
}
