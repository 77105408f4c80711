//! Replay of a stateful lane with its output off, and the proof that it repeated what was recorded. Pure.
//!
//! Replay never decides anything: a record that fails must have a decision that says so, and a decision must
//! meet a record that fails. At the end the running counts must agree with those of the position; a log that
//! was compacted or changed shows there.

use std::collections::BTreeSet;

use crate::error::{Error, Kind, Result};
use crate::record::{Claim, Decision, DecisionKind, Gap, Lane, RowError};
use crate::state::Manifest;

/// Where a lane's state stands before the lane is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The offset below which every record is in it.
    pub at: i64,
    /// Records read up to there.
    pub records: u64,
    /// Rows that left the chain up to there.
    pub rows: u64,
    /// Whether the chain that now replays has written what is recorded, so that the two can be compared.
    pub compared: bool,
}

impl Base {
    /// No state, at the lane's start.
    pub fn start(claim: &Claim) -> Self {
        Base { at: claim.start_offset, records: 0, rows: 0, compared: true }
    }

    /// The state of a checkpoint.
    pub fn of(manifest: &Manifest) -> Self {
        Base { at: manifest.at, records: manifest.records, rows: manifest.rows, compared: true }
    }

    /// The same beyond the gaps that an operator has accepted: what lies in them cannot be read. Where records in them
    /// were counted before, the replay gives fewer than were recorded, and is not compared.
    #[must_use]
    pub fn beyond(self, gaps: &[Gap]) -> Self {
        let at = gaps.iter().fold(self.at, |at, gap| if (gap.from..gap.to).contains(&at) { gap.to } else { at });
        let is_whole = gaps.iter().all(|gap| !gap.counted || gap.to <= self.at);
        Base { at, compared: self.compared && is_whole, ..self }
    }

    /// The same where other chains wrote rows beyond it: what they wrote is nothing to compare a replay with.
    #[must_use]
    pub fn under(self, decisions: &[Decision]) -> Self {
        let cut = |decision: &Decision| decision.kind == DecisionKind::Cutover && decision.offset > self.at;
        Base { compared: self.compared && !decisions.iter().any(cut), ..self }
    }
}

/// The course of one replay.
#[derive(Debug)]
pub struct Replay {
    lane: Lane,
    until: i64,
    compared: bool,
    expected: BTreeSet<(i64, i16)>,
    /// Every failure that is recorded, those that were met included.
    recorded: BTreeSet<(i64, i16)>,
    records: u64,
    rows: u64,
    claim_records: u64,
    claim_rows: u64,
    /// The leader epochs of the last record: as it was written, and as it is.
    written_under: Option<i32>,
    read_under: Option<i32>,
}

impl Replay {
    /// The replay that a claim asks for; None when the sink stands where the state does.
    pub fn of(claim: &Claim, base: Base) -> Option<Self> {
        if claim.next_offset <= base.at {
            return None;
        }
        let since = claim.decisions.iter().filter(|d| d.offset >= base.at);
        let rejected = since.filter(|d| d.kind == DecisionKind::Rejected);
        let recorded: BTreeSet<(i64, i16)> = rejected.map(|d| (d.offset, d.stage.number())).collect();
        Some(Replay {
            lane: claim.lane.clone(),
            until: claim.next_offset,
            compared: base.compared,
            expected: recorded.clone(),
            recorded,
            records: base.records,
            rows: base.rows,
            claim_records: claim.records,
            claim_rows: claim.rows,
            written_under: claim.leader_epoch,
            read_under: None,
        })
    }

    /// The offset at which the replay ends.
    pub fn until(&self) -> i64 {
        self.until
    }

    /// Takes what a batch became: its records, the rows that left the chain, and the records that failed.
    pub fn replayed(&mut self, records: usize, rows: usize, failed: &[(i64, RowError)]) -> Result<()> {
        self.records += records as u64;
        self.rows += rows as u64;
        if !self.compared {
            return Ok(());
        }
        for (offset, error) in failed {
            if !self.expected.remove(&(*offset, error.stage.number())) {
                let message = format!(
                    "replay of {}: the record at offset {offset} fails in {} ({}), which is not recorded",
                    self.lane, error.stage, error.message
                );
                return Err(Error::new(Kind::Diverged, message));
            }
        }
        Ok(())
    }

    /// Takes what a silence has fired again, the failures told as those of the record before it: that one may have failed
    /// there itself.
    pub fn repeated(&mut self, rows: usize, failed: &[(i64, RowError)]) -> Result<()> {
        let met = failed.iter().map(|(offset, error)| (*offset, error.stage.number()));
        self.expected.extend(met.filter(|met| self.recorded.contains(met)));
        self.replayed(0, rows, failed)
    }

    /// Notes under which leader epoch the last record was written that is in the log now.
    pub fn read_under(&mut self, leader_epoch: Option<i32>) {
        self.read_under = leader_epoch;
    }

    /// Ends the replay: everything recorded must have been met.
    pub fn finish(self) -> Result<()> {
        if let (Some(written), Some(read)) = (self.written_under, self.read_under)
            && written != read
        {
            let message = format!(
                "the log of {} was truncated: the last record below offset {} was read under leader epoch {written}, and \
                 the one that lies there now was written under {read}",
                self.lane, self.until
            );
            return Err(Error::new(Kind::LogTruncated, message));
        }
        if !self.compared {
            return Ok(());
        }
        if let Some((offset, stage)) = self.expected.first() {
            let stage = crate::record::Stage::from_number(*stage);
            let message = format!("replay of {}: the record at offset {offset} no longer fails in {stage}", self.lane);
            return Err(Error::new(Kind::Diverged, message));
        }
        if (self.records, self.rows) != (self.claim_records, self.claim_rows) {
            let message = format!(
                "replay of {} up to offset {} gave {} records and {} rows, but {} and {} were recorded",
                self.lane, self.until, self.records, self.rows, self.claim_records, self.claim_rows
            );
            return Err(Error::new(Kind::Diverged, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;
    use crate::record::Stage;
    use uuid::Uuid;

    fn claim(decisions: &[i64]) -> Claim {
        let decision = |offset: &i64| Decision {
            offset: *offset,
            kind: DecisionKind::Rejected,
            stage: Stage::ValueConverter,
            detail: String::new(),
        };
        Claim {
            lane: Lane::new("t", 0),
            epoch: 1,
            token: Uuid::nil(),
            next_offset: 10,
            gaps: Vec::new(),
            leader_epoch: None,
            start_offset: 0,
            records: 10,
            rows: 9,
            idles: 0,
            rewrite_until: None,
            decisions: decisions.iter().map(decision).collect(),
        }
    }

    fn of(claim: &Claim) -> Option<Replay> {
        Replay::of(claim, Base::start(claim))
    }

    fn failed(offset: i64) -> (i64, RowError) {
        (offset, RowError { record: 0, stage: Stage::ValueConverter, field: None, message: "bad".into() })
    }

    #[test]
    fn a_replay_that_repeats_what_was_recorded_passes() {
        let mut replay = of(&claim(&[3])).unwrap();
        replay.replayed(10, 9, &[failed(3)]).unwrap();
        replay.finish().unwrap();
    }

    #[test]
    fn each_divergence_is_told() {
        let mut replay = of(&claim(&[])).unwrap();
        let error = replay.replayed(10, 9, &[failed(3)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "replay of t-0: the record at offset 3 fails in VALUE_CONVERTER (bad), which is not recorded"
        );
        let mut replay = of(&claim(&[3])).unwrap();
        replay.replayed(10, 10, &[]).unwrap();
        let error = replay.finish().unwrap_err();
        assert_eq!(error.to_string(), "replay of t-0: the record at offset 3 no longer fails in VALUE_CONVERTER");
        let mut replay = of(&claim(&[])).unwrap();
        replay.replayed(9, 8, &[]).unwrap();
        let error = replay.finish().unwrap_err();
        assert_eq!(
            error.to_string(),
            "replay of t-0 up to offset 10 gave 9 records and 8 rows, but 10 and 9 were recorded"
        );
    }

    #[test]
    fn a_log_that_was_truncated_and_grew_again_is_told_by_its_last_epoch() {
        let claim = Claim { leader_epoch: Some(3), ..claim(&[]) };
        for (read, passes) in [(Some(3), true), (None, true), (Some(4), false)] {
            let mut replay = of(&claim).unwrap();
            replay.replayed(10, 9, &[]).unwrap();
            replay.read_under(read);
            let finished = replay.finish();
            assert_eq!(finished.is_ok(), passes, "{read:?}");
            assert!(finished.is_ok() || finished.unwrap_err().kind() == Kind::LogTruncated);
        }
    }

    #[test]
    fn a_lane_at_its_start_needs_no_replay() {
        assert!(of(&Claim { next_offset: 0, ..claim(&[]) }).is_none());
    }

    #[test]
    fn a_checkpoint_shortens_the_replay_and_brings_its_counts() {
        let base = Base { at: 6, records: 6, rows: 6, compared: true };
        let mut replay = Replay::of(&claim(&[3, 7]), base).unwrap();
        replay.replayed(4, 3, &[failed(7)]).unwrap();
        replay.finish().unwrap();
        assert!(Replay::of(&claim(&[3]), Base { at: 10, ..base }).is_none());
    }

    #[test]
    fn a_base_in_a_gap_lies_behind_it() {
        let gap = |from, to, counted| Gap { from, to, counted };
        let base = |at| Base { at, records: 6, rows: 6, compared: true };
        let unread = [gap(6, 8, false), gap(8, 9, false), gap(20, 30, false)];
        assert_eq!(base(6).beyond(&unread), base(9), "what was never counted is not missed");
        assert_eq!(base(5).beyond(&unread), base(5), "the records before it are there");
        assert_eq!(base(9).beyond(&unread), base(9));
        let counted = [gap(4, 8, true), gap(8, 9, false)];
        assert_eq!(base(5).beyond(&counted), Base { compared: false, ..base(9) });
        assert_eq!(base(2).beyond(&counted), Base { compared: false, ..base(2) });
        assert_eq!(base(8).beyond(&counted), base(9), "a checkpoint behind it has the counts");
    }

    #[test]
    fn what_another_chain_wrote_is_not_compared() {
        let cut = |offset| Decision { offset, kind: DecisionKind::Cutover, stage: Stage::Sink, detail: String::new() };
        let base = Base { at: 6, records: 6, rows: 6, compared: true };
        assert!(base.under(&[cut(3), cut(6)]).compared, "its own rows lie behind its cutover");
        assert!(!base.under(&[cut(7)]).compared);
    }

    #[test]
    fn another_chain_may_give_other_rows() {
        let base = Base { at: 6, records: 6, rows: 6, compared: false };
        let mut replay = Replay::of(&claim(&[7]), base).unwrap();
        replay.replayed(4, 1, &[failed(8)]).unwrap();
        replay.finish().unwrap();
    }
}
