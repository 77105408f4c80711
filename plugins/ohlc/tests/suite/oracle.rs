//! The plugin against the Python oracle, bit for bit, on generated streams in random batches.

use crate::ohlc_cases::{Answers, Bar, Case, Expected, ask, generate};
use crate::{bar, run_case};
use std::path::Path;
use weir_plugin_sdk::testkit::{Chance, Outcome};

/// Cases that are compared; the seed can be set to repeat or to widen a run.
const CASES: usize = 1_800;
const SEED: u64 = 20_261_122;

/// Bits of the prices, so that nothing is taken for equal that is not.
fn same(one: &Bar, other: &Bar) -> bool {
    one == other && one.prices.map(f64::to_bits) == other.prices.map(f64::to_bits)
}

/// Compares what records became, and at last what the end of the stream fired.
fn compare(case: &Case, outcome: &Outcome, end: &Outcome, answers: &Answers) -> Result<(), String> {
    let mut found = outcome.origins.iter().zip(&outcome.rows).peekable();
    let mut rejected = outcome.rejected.iter().peekable();
    for (offset, answer) in answers.iter().take(case.rows.len()).enumerate() {
        let is_rejected = rejected.next_if(|error| error.row as usize == offset).is_some();
        let mut bars = Vec::new();
        while let Some((_, row)) = found.next_if(|(origin, _)| **origin == offset) {
            bars.push(bar(row));
        }
        let agrees = match answer {
            Expected::Rejected => is_rejected && bars.is_empty(),
            Expected::Fired(due) => {
                !is_rejected && bars.len() == due.len() && bars.iter().zip(due).all(|(one, other)| same(one, other))
            }
        };
        if !agrees {
            return Err(format!("{:?}: record {offset} fires {bars:?}, not {answer:?}", case.settings));
        }
    }
    let left: Vec<Bar> = end.rows.iter().map(bar).collect();
    match answers.last() {
        Some(Expected::Fired(due)) if left.len() == due.len() && left.iter().zip(due).all(|(a, b)| same(a, b)) => {
            Ok(())
        }
        other => Err(format!("{:?}: the end fires {left:?}, not {other:?}", case.settings)),
    }
}

#[test]
fn every_window_is_what_its_rows_say() {
    let seed = std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("seed {seed} (set WEIR_SEED to change it)");
    let cases = generate(seed, CASES);
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/oracle.py");
    let answers = ask(&oracle, &cases).unwrap();
    let mut chance = Chance::new(seed);
    for (number, (case, answers)) in cases.iter().zip(&answers).enumerate() {
        let (mut kit, outcome) = run_case(case, &mut chance);
        let end = kit.advance(i64::MAX).unwrap();
        compare(case, &outcome, &end, answers).unwrap_or_else(|error| panic!("seed {seed}, case {number}: {error}"));
    }
    let all = || answers.iter().flatten();
    let rejected = all().filter(|answer| **answer == Expected::Rejected).count();
    let fired =
        |count: usize| all().filter(|answer| matches!(answer, Expected::Fired(bars) if bars.len() >= count)).count();
    let windows: usize = all().map(|answer| if let Expected::Fired(bars) = answer { bars.len() } else { 0 }).sum();
    let many = all().filter(|answer| matches!(answer, Expected::Fired(bars) if bars.iter().any(|bar| bar.count > 2)));
    println!("{windows} windows, {rejected} rejected records, {} records fire several", fired(2));
    assert!(windows >= 50_000 && rejected >= 2_000 && fired(2) >= 5_000 && many.count() >= 5_000);
}
