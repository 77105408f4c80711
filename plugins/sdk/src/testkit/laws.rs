//! The laws, tried out on random cuts, checkpoints and mishaps.

use std::fmt;

use super::store::{self, Store};
use super::{Chance, Kit, Outcome, Record};
use crate::state::Extent;
use crate::{Failure, Plugin, Stateful};

/// The most rows that the host puts into one batch.
const BATCH_ROWS_MAX: usize = 8_192;
/// The most restores in one plan, so that every plan ends.
const RESTORES_MAX: usize = 8;

/// A law that a plugin does not keep, or a failure while it was tried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// The seed and the number of the plan that showed it.
    pub plan: String,
    /// What happened, in the order of happening: batches by their last offset, checkpoints, restores.
    pub events: String,
    /// What differs from the run in one piece.
    pub difference: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} after {}", self.plan, self.difference, self.events)
    }
}

impl std::error::Error for Broken {}

/// Where records are cut, and what else happens, in one try.
#[derive(Debug)]
struct Attempt<'r> {
    records: &'r [Record],
    settings: &'r [(&'r str, &'r str)],
    chance: Chance,
    /// The mean length of batches.
    batch_rows: usize,
    events: Vec<String>,
    outcome: Outcome,
}

impl<'r> Attempt<'r> {
    fn new(records: &'r [Record], settings: &'r [(&'r str, &'r str)], seed: u64, plan: usize) -> Self {
        let mut chance = Chance::new(seed ^ (plan as u64) << 32);
        // The first plan feeds single rows; the others differ widely in the length of their batches.
        let scales = records.len().clamp(2, BATCH_ROWS_MAX / 2).ilog2() as usize;
        let batch_rows = if plan == 0 { 1 } else { 1 << chance.below(scales + 1) };
        Self { records, settings, chance, batch_rows, events: Vec::new(), outcome: Outcome::default() }
    }

    /// Processes the next batch; false when there is none.
    fn step<P: Plugin>(&mut self, kit: &mut Kit<P>) -> Result<bool, Failure> {
        let start = kit.position.offset;
        let rows = 1 + self.chance.below(2 * self.batch_rows - 1);
        let end = (start + rows.min(BATCH_ROWS_MAX)).min(self.records.len());
        let Some(batch @ [_, ..]) = self.records.get(start..end) else {
            return Ok(false);
        };
        self.outcome.extend(kit.process(batch)?);
        self.events.push(format!("{}", end - 1));
        Ok(true)
    }

    /// Lets something happen to the state between two batches; returns the kit to go on with.
    fn mishap<P: Stateful>(
        &mut self,
        mut kit: Kit<P>,
        store: &mut Store,
        restores: &mut usize,
    ) -> Result<Kit<P>, Failure> {
        match self.chance.below(8) {
            0 | 1 if !store.is_underway() => {
                let extent = if self.chance.one_in(4) { Extent::Full } else { Extent::Incremental };
                store.begin(&mut kit, extent)?;
                self.events.push(format!("begin {extent:?}"));
            }
            0..=3 if store.is_underway() => {
                let max_bytes = 1 << self.chance.below(12);
                let more = store.take(&mut kit, max_bytes)?;
                self.events.push(format!("{max_bytes} bytes of entries (more: {more})"));
            }
            4 | 5 if store.is_underway() => {
                let committed = !self.chance.one_in(4);
                store.end(&mut kit, committed)?;
                self.events.push(format!("end (committed: {committed})"));
            }
            6 if *restores < RESTORES_MAX => {
                *restores += 1;
                kit = store.restore(self.settings, &mut self.chance)?;
                self.outcome.truncate(kit.position.offset);
                self.events.push(format!("restore at {}", kit.position.offset));
            }
            _ => {}
        }
        Ok(kit)
    }

    fn broken(&self, seed: u64, plan: usize, difference: String) -> Broken {
        Broken { plan: format!("Seed {seed}, plan {plan}"), events: self.events.join(", "), difference }
    }
}

/// Processes the records in batches as long as they get.
fn in_one_piece<P: Plugin>(settings: &[(&str, &str)], records: &[Record]) -> Result<(Kit<P>, Outcome), Failure> {
    let mut kit = Kit::new(settings)?;
    let mut outcome = Outcome::default();
    for batch in records.chunks(BATCH_ROWS_MAX) {
        outcome.extend(kit.process(batch)?);
    }
    Ok((kit, outcome))
}

fn first_difference(expected: &Outcome, found: &Outcome) -> Option<String> {
    if expected.rejected != found.rejected {
        return Some(format!("rejected {:?} instead of {:?}", found.rejected, expected.rejected));
    }
    let row =
        |outcome: &Outcome, index: usize| outcome.origins.get(index).copied().zip(outcome.rows.get(index).cloned());
    (0..expected.rows.len().max(found.rows.len())).find_map(|index| {
        let (expected, found) = (row(expected, index), row(found, index));
        (expected != found).then(|| format!("output row {index} is {found:?} instead of {expected:?}"))
    })
}

fn startless(failure: &Failure) -> Broken {
    Broken { plan: "In one piece".to_owned(), events: "no cut".to_owned(), difference: failure.to_string() }
}

/// Tries `plans` random ways to cut the records into batches: rows and rejections must be those of the run
/// in one piece. The first plan feeds every record alone.
///
/// # Errors
/// The first plan whose outcome differs, with its cuts; any failure of a call.
pub fn law_of_cuts<P: Plugin>(
    settings: &[(&str, &str)],
    records: &[Record],
    seed: u64,
    plans: usize,
) -> Result<(), Broken> {
    let (_, expected) = in_one_piece::<P>(settings, records).map_err(|failure| startless(&failure))?;
    for plan in 0..plans {
        let mut attempt = Attempt::new(records, settings, seed, plan);
        let ran = Kit::<P>::new(settings).and_then(|mut kit| {
            while attempt.step(&mut kit)? {}
            Ok(())
        });
        let difference = ran.err().map(|failure| failure.to_string());
        if let Some(difference) = difference.or_else(|| first_difference(&expected, &attempt.outcome)) {
            return Err(attempt.broken(seed, plan, difference));
        }
    }
    Ok(())
}

/// Tries `plans` random histories: cuts, checkpoints full and incremental with rows processed while they
/// last, failed ones, and restores into new guests, whose entries come in random order. Rows, rejections
/// and the final state must be those of the run in one piece.
///
/// # Errors
/// The first plan whose outcome or final state differs, with its events; any failure of a call.
pub fn law_of_restarts<P: Stateful>(
    settings: &[(&str, &str)],
    records: &[Record],
    seed: u64,
    plans: usize,
) -> Result<(), Broken> {
    let run = in_one_piece::<P>(settings, records);
    let (mut kit, expected) = run.map_err(|failure| startless(&failure))?;
    let expected_state = store::snapshot(&mut kit).map_err(|failure| startless(&failure))?;
    for plan in 0..plans {
        let mut attempt = Attempt::new(records, settings, seed, plan);
        let state = restarted::<P>(&mut attempt);
        let difference = match state {
            Err(failure) => Some(failure.to_string()),
            Ok(state) => first_difference(&expected, &attempt.outcome)
                .or_else(|| (!expected_state.agrees_with(&state)).then(|| "the final state differs".to_owned())),
        };
        if let Some(difference) = difference {
            return Err(attempt.broken(seed, plan, difference));
        }
    }
    Ok(())
}

/// Runs one plan of [`law_of_restarts`]; returns the state at its end.
fn restarted<P: Stateful>(attempt: &mut Attempt<'_>) -> Result<Store, Failure> {
    let mut kit = Kit::<P>::new(attempt.settings)?;
    let (mut store, mut restores) = (Store::new(), 0);
    while attempt.step(&mut kit)? {
        // A restore takes the kit back to earlier records, and the next step goes on from there.
        kit = attempt.mishap(kit, &mut store, &mut restores)?;
    }
    if store.is_underway() {
        store.end(&mut kit, false)?;
    }
    store::snapshot(&mut kit)
}

/// Takes an incremental checkpoint after each of `batches` batches: laid over each other they must hold what a full
/// checkpoint holds, and one more, with nothing changed, must be empty.
///
/// # Errors
/// A chain that differs, by the number of its entries; any failure of a call.
pub fn law_of_increments<P: Stateful>(
    settings: &[(&str, &str)],
    records: &[Record],
    batches: usize,
) -> Result<(), Broken> {
    let failed = |events: &str, difference: String| Broken {
        plan: "A chain of increments".to_owned(),
        events: events.to_owned(),
        difference,
    };
    let chained = || {
        let (mut kit, mut chain) = (Kit::<P>::new(settings)?, Store::new());
        let mut increment = |kit: &mut Kit<P>| {
            chain.begin(kit, Extent::Incremental)?;
            while chain.take(kit, 200)? {}
            chain.end(kit, true)
        };
        for batch in records.chunks(records.len().div_ceil(batches.max(1)).max(1)) {
            kit.process(batch)?;
            increment(&mut kit)?;
        }
        let unchanged = increment(&mut kit)?;
        Ok((store::snapshot(&mut kit)?, chain, unchanged))
    };
    let (full, chain, unchanged) =
        chained().map_err(|failure: Failure| failed("a checkpoint after each batch", failure.to_string()))?;
    if unchanged > 0 {
        return Err(failed("nothing changed", format!("{unchanged} entries were written")));
    }
    if !full.agrees_with(&chain) {
        let (chained, whole) = (chain.len(), full.len());
        return Err(failed("the last of them", format!("{chained} entries differ from the {whole} of a full one")));
    }
    Ok(())
}
