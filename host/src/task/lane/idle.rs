//! Advances of a lane's watermarks without a record: decided once after a silence, and repeated by every replay at the
//! same place of the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Failed, LaneRunner, ProcessError, decision};
use crate::error::Result;
use crate::record::origin::{NO_TIMESTAMP, OwnedPayloads, OwnedRecord};
use crate::record::{Batch, Claim, Decision, DecisionKind, Lane, Origin, RowError, Stage};
use crate::sink::Encoder;
use crate::task::ledger::Ledger;
use crate::task::member::{Failures, located};
use crate::task::suspect::{Breakage, is_breakage};
use crate::task::writer::Tolerance;
use crate::transform::{Chain, StageFailure};

/// An advance that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// The last record before it.
    pub offset: i64,
    /// Where each stage was moved to.
    pub watermarks: Vec<(Stage, i64)>,
}

/// The advances that a claim tells of, by offset.
pub fn recorded(claim: &Claim) -> VecDeque<Repeat> {
    let mut repeats: VecDeque<Repeat> = VecDeque::new();
    for decision in &claim.decisions {
        let DecisionKind::Idle { watermark_us } = decision.kind else { continue };
        match repeats.back_mut().filter(|last| last.offset == decision.offset) {
            Some(last) => last.watermarks.push((decision.stage, watermark_us)),
            None => {
                let watermarks = vec![(decision.stage, watermark_us)];
                repeats.push_back(Repeat { offset: decision.offset, watermarks });
            }
        }
    }
    repeats
}

/// Repeats, in a chain whose state is that of all records below `at`, what was decided from there up to `until`, between
/// which the log has a gap at most: the state may have been taken before it. What it has already it does not do again.
/// Returns the number of rows that were fired, which are there.
pub fn repeat_behind(chain: &mut Chain, claim: &Claim, at: i64, until: i64) -> Result<u64> {
    let mut rows = 0;
    for repeat in recorded(claim).into_iter().filter(|repeat| (at..=until).contains(&(repeat.offset + 1))) {
        chain.mute(true);
        let advanced = chain.advance(&Arc::new(last_record(&claim.lane, repeat.offset)), &repeat.watermarks, &[])?;
        rows += advanced.batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
    }
    Ok(rows)
}

/// The last record before an advance, of which nothing is known but where it lies. Not a tombstone: those go by stages.
fn last_record(lane: &Lane, offset: i64) -> Origin {
    let record = OwnedRecord { value: Some(Vec::new()), ..OwnedRecord::default() };
    let payloads = Arc::new(OwnedPayloads { records: vec![record] });
    Origin::new(lane.clone(), vec![offset], vec![NO_TIMESTAMP], offset + 1, 0, payloads)
}

impl LaneRunner {
    /// Feeds records from before the sink's position with output off, and repeats between them what was decided there.
    pub(super) fn feed_old(&mut self, mut old: Origin) -> Result<(), Failed> {
        loop {
            let until = self.repeats.front().map_or(i64::MAX, |repeat| repeat.offset);
            let before = old.offsets.partition_point(|&offset| offset <= until);
            if before > 0 {
                let run = Arc::new(old.slice(0..before));
                let (batch, failed) = self.speaker.transform(&run, &self.caution.excluded_of(&run))?;
                if let Some(replay) = &mut self.replay {
                    replay.replayed(run.len(), batch.len(), &failed)?;
                    replay.read_under(run.leader_epoch);
                }
            }
            if before == old.len() {
                return Ok(());
            }
            old = old.slice(before..old.len());
            self.repeat()?;
        }
    }

    /// Repeats what was decided behind the last record before the sink's position.
    pub(super) fn repeat_rest(&mut self) -> Result<(), Failed> {
        while !self.repeats.is_empty() {
            self.repeat()?;
        }
        Ok(())
    }

    fn repeat(&mut self) -> Result<(), Failed> {
        let Some(repeat) = self.repeats.pop_front() else { return Ok(()) };
        let (batches, failed) = self.advance(repeat.offset, &repeat.watermarks, None)?;
        if let Some(replay) = &mut self.replay {
            replay.repeated(batches.iter().map(Batch::len).sum(), &failed)?;
        }
        Ok(())
    }

    /// Moves the watermarks of a lane that has been silent for so long, into the lane's open segment. None: no stage has
    /// one to move, or its state is not that of the position yet. Otherwise the number of rows that left the chain.
    pub fn idle(
        &mut self,
        silence: Duration,
        ledger: &mut Ledger,
        encoder: &mut dyn Encoder,
    ) -> Result<Option<u64>, ProcessError> {
        let idle_us = u64::try_from(silence.as_micros()).unwrap_or(u64::MAX);
        let watermarks = self.speaker.chain.idle_watermarks(idle_us);
        let Some(next_offset) =
            ledger.processed(&self.lane).filter(|_| self.replay.is_none() && !watermarks.is_empty())
        else {
            return Ok(None);
        };
        let (lane, table) = (self.lane.clone(), encoder.table());
        let moved = ledger.idle(&lane, table, |segment| {
            let (batches, mut failed) = self.advance(next_offset - 1, &watermarks, Some(&*encoder))?;
            let mut rows = 0;
            for batch in &batches {
                let unbound = encoder.encode(batch, &mut segment.data, &mut segment.lines)?;
                failed.extend(located(&batch.origin, unbound));
                rows += batch.len() as u64;
            }
            if let Some((offset, error)) = failed.first().filter(|_| self.tolerance == Tolerance::None) {
                return Err(self.failure(*offset, error).into());
            }
            if std::mem::take(&mut self.announce) {
                let cutover = self.cutover(segment);
                segment.decisions.push(cutover);
            }
            segment.rows += rows;
            segment.idles += 1;
            segment.leader_epoch = self.leader_epoch;
            segment.decisions.extend(failed.iter().map(|(at, error)| decision(*at, error)));
            segment.decisions.extend(watermarks.iter().map(|(stage, watermark)| Decision {
                offset: next_offset - 1,
                kind: DecisionKind::Idle { watermark_us: *watermark },
                stage: *stage,
                detail: format!("silent for {} ms, {rows} rows", silence.as_millis()),
            }));
            Ok(rows)
        });
        let rows = moved.map_err(|failure| match failure {
            Failed::Stage(StageFailure { stage, error, .. }) if is_breakage(error.kind()) => {
                // No record is at fault.
                ProcessError::Broken(Breakage { from: next_offset, until: next_offset, records: 0, stage, error })
            }
            Failed::Stage(StageFailure { error, .. }) | Failed::Lane(error) => ProcessError::Failed(error),
        })?;
        self.counts.1 += rows;
        if let Some(follower) = &mut self.follower {
            follower.advance(Arc::new(last_record(&self.lane, next_offset - 1)), watermarks);
        }
        Ok(Some(rows))
    }

    /// Moves watermarks behind the record at `offset`; what failed is told as if that record had.
    fn advance(
        &mut self,
        offset: i64,
        watermarks: &[(Stage, i64)],
        encoder: Option<&dyn Encoder>,
    ) -> Result<(Vec<Batch>, Failures), Failed> {
        let origin = Arc::new(last_record(&self.lane, offset));
        let wants = encoder.map_or(&[][..], |encoder| encoder.wants());
        let advanced = self.speaker.chain.advance(&origin, watermarks, wants).map_err(Failed::Stage)?;
        let failed = advanced.rejected.into_iter().map(|rejected| {
            let field = rejected.field.as_deref().unwrap_or("a field");
            let message = rejected.message.unwrap_or_else(|| format!("a row that a silence fired has no {field}"));
            RowError { record: rejected.record, stage: rejected.stage, field: rejected.field, message }
        });
        Ok((advanced.batches, located(&origin, failed.collect())))
    }
}
