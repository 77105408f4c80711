//! The component against the Python oracle, bit for bit, on generated streams: in batches of random sizes, and with the
//! guest replaced at random rows by a fresh one that goes on from a checkpoint.

use anyhow::{Result, ensure};
use weir::state::Extent;
use weir_plugin_sdk::testkit::Chance;
use weir_tests::environment::repository;
use weir_tests::sma_cases::{Case, Expected, Row, ask, generate, is_same, shares};

use super::component::{Instance, Store};

/// Cases that are compared.
const CASES: usize = 1_800;

/// Whether two answers are the same to the bit.
fn agree(found: Expected, expected: Expected) -> bool {
    match (found, expected) {
        (Expected::Dropped, Expected::Dropped) => true,
        (Expected::Row { mean, count, sum }, Expected::Row { mean: wanted, count: observations, sum: total }) => {
            is_same(mean, wanted) && count == observations && is_same(sum, total)
        }
        _ => false,
    }
}

/// A case on its way through guests.
struct Course<'a> {
    rows: &'a [Row],
    expected: &'a [Expected],
    guest: Instance,
    /// Rows that have been processed.
    at: usize,
    /// The state as of the row, and its number; none before the first checkpoint.
    store: Store,
    stored_at: Option<usize>,
    replaced: usize,
}

impl<'a> Course<'a> {
    fn start(case: &'a Case, expected: &'a [Expected]) -> Result<Self> {
        let guest = Instance::average(case.settings.iter().cloned())?;
        let store = Store::default();
        Ok(Self { rows: &case.rows, expected, guest, at: 0, store, stored_at: None, replaced: 0 })
    }

    /// Processes a random number of rows and compares what becomes of them.
    fn batch(&mut self, chance: &mut Chance) -> Result<()> {
        let rows = 1 + chance.below((self.rows.len() - self.at).min(60));
        self.at = compare(&mut self.guest, self.rows, self.expected, self.at, rows)?;
        Ok(())
    }

    /// Takes a checkpoint, while which rows go on, as far as there are any.
    fn checkpoint(&mut self, chance: &mut Chance) -> Result<()> {
        let extent = match self.stored_at {
            Some(_) if !chance.one_in(4) => Extent::Incremental,
            _ => Extent::Full,
        };
        let (rows, expected, begun_at) = (self.rows, self.expected, self.at);
        let at = &mut self.at;
        self.guest.checkpoint(extent, &mut self.store, |guest| {
            let some = chance.below(4).min(rows.len() - *at);
            *at = if some == 0 { *at } else { compare(guest, rows, expected, *at, some)? };
            Ok(())
        })?;
        self.stored_at = Some(begun_at);
        Ok(())
    }

    /// Goes on with a fresh guest from where the last checkpoint was begun.
    fn replace(&mut self) -> Result<()> {
        if let Some(stored_at) = self.stored_at {
            self.guest = self.guest.restored(&self.store)?;
            self.at = stored_at;
            self.replaced += 1;
        }
        Ok(())
    }

    /// Runs to the end of the stream; returns how often the guest was replaced.
    fn run(mut self, chance: &mut Chance) -> Result<usize> {
        while self.at < self.rows.len() {
            self.batch(chance)?;
            if chance.one_in(4) {
                self.checkpoint(chance)?;
            }
            if chance.one_in(5) && self.replaced < 4 {
                self.replace()?;
            }
        }
        Ok(self.replaced)
    }
}

/// Gives a guest the next rows and compares its answers; returns the row that follows.
fn compare(guest: &mut Instance, rows: &[Row], expected: &[Expected], at: usize, count: usize) -> Result<usize> {
    let next = at + count;
    for (row, (found, expected)) in guest.averages(&rows[at..next])?.into_iter().zip(&expected[at..next]).enumerate() {
        ensure!(agree(found, *expected), "row {} is {found:?}, not {expected:?}", at + row);
    }
    Ok(next)
}

#[test]
fn every_window_of_the_component_is_what_fractions_say() {
    let seed = super::seed();
    let cases = generate(seed, CASES);
    for (name, share) in shares(&cases) {
        println!("{name}: {share:.1} % of the rows");
        assert!(share >= 5.0, "{name} makes {share:.1} % of the rows");
    }
    let answers = ask(&repository().join("plugins/sma/oracle/oracle.py"), &cases).unwrap();
    let mut chance = Chance::new(seed);
    let mut replaced = 0;
    for (number, (case, expected)) in cases.iter().zip(&answers).enumerate() {
        assert_eq!(expected.len(), case.rows.len());
        let run = Course::start(case, expected).and_then(|course| course.run(&mut chance));
        replaced += run.unwrap_or_else(|error| panic!("seed {seed}, case {number}, {:?}: {error:#}", case.settings));
    }
    let finite = |expected: &&Expected| matches!(expected, Expected::Row { mean: Some(mean), .. } if mean.is_finite());
    let (windows, means) = (answers.iter().flatten().count(), answers.iter().flatten().filter(finite).count());
    assert!(means >= 100_000, "only {means} of {windows} means are finite");
    assert!(replaced >= 1_000, "only {replaced} guests were replaced");
    println!("{windows} windows of {CASES} cases agree, {means} with a finite mean, over {replaced} restored guests");
}
