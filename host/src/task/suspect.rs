//! A guest that broke, and which record is at fault. Pure.
//!
//! A broken guest cannot go on: its lane is claimed anew, restored and replayed, and the batch that it broke on is fed
//! record by record. A record on which the guest breaks twice, alone, is at fault and is excluded by decision. What is
//! never a record's fault (memory, or a failure that the plugin reports itself) fails the task when it comes again.

use std::collections::BTreeMap;

use super::writer::Tolerance;
use crate::error::{Error, Kind, Result};
use crate::limits::{EXCLUSIONS_MAX, REBUILDS_MAX};
use crate::record::{Claim, Decision, DecisionKind, Lane, Origin, Stage};

/// How often a record may break a guest that is fed nothing else.
const TRIES_MAX: u32 = 2;

/// A record that is kept from a stage and all after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// Its offset.
    pub offset: i64,
    /// The stage.
    pub stage: Stage,
    /// Why.
    pub detail: String,
    /// Whether it has been written as a decision before.
    pub decided: bool,
}

/// What a lane must be careful about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caution {
    /// Records from the first to below the second offset are fed one by one.
    pub alone: Option<(i64, i64)>,
    /// Records to keep from stages, by offset.
    pub excluded: Vec<Exclusion>,
}

impl Caution {
    /// A run as it is to be fed: whole, or cut around the records that go alone.
    pub fn pieces(&self, run: Origin) -> Vec<Origin> {
        let Some((from, until)) = self.alone else { return vec![run] };
        let first = run.offsets.partition_point(|&offset| offset < from);
        let last = run.offsets.partition_point(|&offset| offset < until);
        if first == last {
            return vec![run];
        }
        let mut cuts: Vec<usize> = (first..=last).chain([0, run.len()]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts.windows(2).filter_map(|cut| cut.first_chunk().map(|&[from, to]| run.slice(from..to))).collect()
    }

    /// The records of a run that are kept from stages, counted in the run.
    pub fn excluded_of(&self, run: &Origin) -> Vec<(u32, Stage)> {
        let place =
            |exclusion: &Exclusion| Some((run.offsets.binary_search(&exclusion.offset).ok()? as u32, exclusion.stage));
        self.excluded.iter().filter_map(place).collect()
    }

    /// What is to be decided about the records of a run.
    pub fn decisions(&self, run: &Origin) -> Vec<Decision> {
        let fresh = self.excluded.iter().filter(|exclusion| !exclusion.decided);
        let here = fresh.filter(|exclusion| run.offsets.binary_search(&exclusion.offset).is_ok());
        let decided = |e: &Exclusion| Decision {
            offset: e.offset,
            kind: DecisionKind::Excluded,
            stage: e.stage,
            detail: e.detail.clone(),
        };
        here.map(decided).collect()
    }
}

/// What a guest broke on.
#[derive(Debug)]
pub struct Breakage {
    /// The first record that it was given.
    pub from: i64,
    /// The offset after the last one.
    pub until: i64,
    /// The number of records.
    pub records: usize,
    /// The stage.
    pub stage: Stage,
    /// What happened.
    pub error: Error,
}

#[derive(Debug, Default)]
struct Suspect {
    from: i64,
    until: i64,
    tries: BTreeMap<i64, u32>,
    excluded: Vec<Exclusion>,
    /// Breakages one after the other, without much that went well between them.
    breakages: u32,
}

/// The lanes whose guests broke.
#[derive(Debug, Default)]
pub struct Suspects {
    lanes: BTreeMap<Lane, Suspect>,
}

impl Suspects {
    /// Takes a breakage; the lane is then to be rebuilt. Errors: it is not to be, and why.
    pub fn broke(&mut self, lane: &Lane, breakage: Breakage, tolerance: Tolerance) -> Result<()> {
        let Breakage { from, until, records, stage, error } = breakage;
        let suspect = self.lanes.entry(lane.clone()).or_default();
        let again = suspect.breakages > 0 && (suspect.from..suspect.until).contains(&from);
        suspect.breakages += 1;
        if !again {
            (suspect.from, suspect.until) = (from, until);
            if suspect.breakages > REBUILDS_MAX {
                return Err(error.during(format!("{lane} was rebuilt {REBUILDS_MAX} times and breaks again")));
            }
            return Ok(());
        }
        if records != 1 || !may_be_a_records_fault(error.kind()) {
            return Err(error.during(format!("{lane} was rebuilt and breaks again")));
        }
        let tries = suspect.tries.entry(from).or_default();
        *tries += 1;
        if *tries < TRIES_MAX {
            return Ok(());
        }
        let sentence = format!("the record of topic {}, partition {}, offset {from}", lane.topic, lane.partition);
        if tolerance == Tolerance::None {
            return Err(error.during(format!("{sentence} breaks the plugin each time")));
        }
        let of_batch = |exclusion: &&Exclusion| (suspect.from..suspect.until).contains(&exclusion.offset);
        if suspect.excluded.iter().filter(of_batch).count() >= EXCLUSIONS_MAX {
            let message = format!("more than {EXCLUSIONS_MAX} records of one batch break the plugin; last {sentence}");
            return Err(error.during(message));
        }
        suspect.excluded.push(Exclusion { offset: from, stage, detail: error.to_string(), decided: false });
        // The culprit is found: what broke because of it says nothing of the plugin.
        suspect.breakages = 1;
        Ok(())
    }

    /// What a lane that was claimed just now must be careful about.
    pub fn caution(&mut self, claim: &Claim) -> Caution {
        let decided = claim.decisions.iter().filter(|decision| decision.kind == DecisionKind::Excluded);
        let mut excluded: Vec<Exclusion> = decided
            .map(|d| Exclusion { offset: d.offset, stage: d.stage, detail: d.detail.clone(), decided: true })
            .collect();
        let mut alone = None;
        if let Some(suspect) = self.lanes.get(&claim.lane) {
            let fresh = suspect.excluded.iter().filter(|exclusion| exclusion.offset >= claim.next_offset);
            excluded.extend(fresh.cloned());
            alone = Some((suspect.from, suspect.until));
        }
        excluded.sort_by_key(|exclusion| exclusion.offset);
        Caution { alone, excluded }
    }

    /// A lane has been committed up to an offset: what is far behind is no longer suspected.
    pub fn committed(&mut self, lane: &Lane, offset: i64) {
        const FAR: i64 = 100_000;
        if let Some(suspect) = self.lanes.get_mut(lane) {
            suspect.excluded.retain(|exclusion| exclusion.offset >= offset);
        }
        if self.lanes.get(lane).is_some_and(|suspect| offset >= suspect.until.saturating_add(FAR)) {
            self.lanes.remove(lane);
        }
    }
}

/// Whether a guest may break so because of what one record holds.
fn may_be_a_records_fault(kind: Kind) -> bool {
    matches!(kind, Kind::PluginTrap | Kind::PluginDeadline)
}

/// Whether a lane whose chain failed so can be rebuilt at all.
pub fn is_breakage(kind: Kind) -> bool {
    matches!(kind, Kind::PluginTrap | Kind::PluginDeadline | Kind::PluginLimit | Kind::PluginFailure)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;
    use uuid::Uuid;

    fn lane() -> Lane {
        Lane::new("t", 0)
    }

    fn breakage(from: i64, records: usize, kind: Kind) -> Breakage {
        let error = Error::new(kind, "boom");
        Breakage { from, until: from + records as i64, records, stage: Stage::Transform(0), error }
    }

    fn claim(next_offset: i64, decisions: Vec<Decision>) -> Claim {
        Claim {
            lane: lane(),
            epoch: 1,
            token: Uuid::nil(),
            next_offset,
            gaps: Vec::new(),
            leader_epoch: None,
            start_offset: 0,
            records: 0,
            rows: 0,
            idles: 0,
            rewrite_until: None,
            decisions,
        }
    }

    #[test]
    fn a_record_that_breaks_the_guest_twice_alone_is_excluded() {
        let mut suspects = Suspects::default();
        let mut broke =
            |from, records| suspects.broke(&lane(), breakage(from, records, Kind::PluginTrap), Tolerance::All);
        broke(100, 50).unwrap();
        broke(120, 1).unwrap();
        broke(120, 1).unwrap();
        let caution = suspects.caution(&claim(90, Vec::new()));
        assert_eq!(caution.alone, Some((100, 150)));
        let excluded: Vec<(i64, bool)> = caution.excluded.iter().map(|e| (e.offset, e.decided)).collect();
        assert_eq!(excluded, [(120, false)]);
    }

    #[test]
    fn what_was_decided_is_obeyed_and_not_decided_again() {
        let mut suspects = Suspects::default();
        for records in [10, 1, 1] {
            suspects.broke(&lane(), breakage(5, records, Kind::PluginTrap), Tolerance::All).unwrap();
        }
        let decision =
            Decision { offset: 5, kind: DecisionKind::Excluded, stage: Stage::Transform(0), detail: "boom".into() };
        let caution = suspects.caution(&claim(6, vec![decision]));
        let excluded: Vec<(i64, bool)> = caution.excluded.iter().map(|e| (e.offset, e.decided)).collect();
        assert_eq!(excluded, [(5, true)]);
        suspects.committed(&lane(), 15);
        assert!(suspects.caution(&claim(15, Vec::new())).alone.is_some());
        suspects.committed(&lane(), 200_000);
        assert!(suspects.caution(&claim(15, Vec::new())).alone.is_none());
    }

    #[test]
    fn records_that_break_a_guest_now_and_then_are_each_excluded() {
        let mut suspects = Suspects::default();
        for first in (0..40).map(|batch| batch * 1_000) {
            for (from, records) in [(first, 50), (first + 7, 1), (first + 7, 1)] {
                suspects.broke(&lane(), breakage(from, records, Kind::PluginTrap), Tolerance::All).unwrap();
            }
            suspects.committed(&lane(), first + 50);
        }
        assert!(suspects.caution(&claim(40_000, Vec::new())).excluded.is_empty(), "what is committed is decided");
    }

    #[test]
    fn without_tolerance_the_record_fails_the_task_and_is_named() {
        let mut suspects = Suspects::default();
        let mut broke = |records| suspects.broke(&lane(), breakage(7, records, Kind::PluginTrap), Tolerance::None);
        broke(3).unwrap();
        broke(1).unwrap();
        let error = broke(1).unwrap_err();
        assert_eq!(error.to_string(), "the record of topic t, partition 0, offset 7 breaks the plugin each time: boom");
    }

    #[test]
    fn memory_and_the_plugins_own_failures_are_no_records_fault() {
        for kind in [Kind::PluginLimit, Kind::PluginFailure] {
            let mut suspects = Suspects::default();
            suspects.broke(&lane(), breakage(0, 9, kind), Tolerance::All).unwrap();
            let error = suspects.broke(&lane(), breakage(3, 1, kind), Tolerance::All).unwrap_err();
            assert_eq!(error.to_string(), "t-0 was rebuilt and breaks again: boom");
        }
    }

    #[test]
    fn a_guest_that_breaks_on_everything_fails_the_task() {
        let mut suspects = Suspects::default();
        suspects.broke(&lane(), breakage(0, 1_000, Kind::PluginTrap), Tolerance::All).unwrap();
        let mut broken = (0..1_000).flat_map(|offset| [offset, offset]);
        let error =
            broken.find_map(|at| suspects.broke(&lane(), breakage(at, 1, Kind::PluginTrap), Tolerance::All).err());
        let sentence = error.unwrap().to_string();
        assert!(sentence.starts_with(&format!("more than {EXCLUSIONS_MAX} records of one batch")), "{sentence}");

        let mut suspects = Suspects::default();
        let mut leaks =
            (0..1_000).map(|n| suspects.broke(&lane(), breakage(n * 10, 10, Kind::PluginLimit), Tolerance::All));
        let error = leaks.find_map(Result::err).unwrap();
        assert_eq!(error.to_string(), format!("t-0 was rebuilt {REBUILDS_MAX} times and breaks again: boom"));
    }
}
