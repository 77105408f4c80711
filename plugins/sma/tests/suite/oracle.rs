//! The plugin against the Python oracle, bit for bit, on generated streams in random batches.

use crate::run_case;
use crate::sma_cases::{Case, Expected, ask, generate, is_same, shares};
use std::path::Path;
use weir_plugin_sdk::testkit::{Chance, Datum, Outcome};

/// Cases that are compared; the seed can be set to repeat or to widen a run.
const CASES: usize = 1_800;
const SEED: u64 = 20_261_122;

fn double(datum: &Datum) -> Option<f64> {
    match datum {
        Datum::Float64(value) => Some(*value),
        Datum::Null => None,
        other => panic!("{other:?} is no double"),
    }
}

fn compare(case: &Case, outcome: &Outcome, expected: &[Expected]) -> Result<(), String> {
    let mut rows = outcome.origins.iter().zip(&outcome.rows).peekable();
    for (offset, expected) in expected.iter().enumerate() {
        let found = rows.next_if(|(origin, _)| **origin == offset);
        let agrees = match (expected, &found) {
            (Expected::Dropped, None) => true,
            (Expected::Row { mean, count, sum }, Some((_, row))) => {
                let same = |field, wanted| is_same(double(row.get(field)), wanted);
                same("sma", *mean) && same("sum", *sum) && *row.get("n") == Datum::from(*count)
            }
            _ => false,
        };
        if !agrees {
            return Err(format!("{:?}: row {offset} is {found:?}, not {expected:?}", case.settings));
        }
    }
    Ok(())
}

#[test]
fn every_window_is_what_fractions_say() {
    let seed = std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("seed {seed} (set WEIR_SEED to change it)");
    let cases = generate(seed, CASES);
    let windows: usize = cases.iter().map(|case| case.rows.len()).sum();
    for (name, share) in shares(&cases) {
        println!("{name}: {share:.1} % of the rows");
        assert!(share >= 5.0, "{name} makes {share:.1} % of the rows");
    }
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/oracle.py");
    let answers = ask(&oracle, &cases).unwrap();
    let mut chance = Chance::new(seed);
    for (number, (case, expected)) in cases.iter().zip(&answers).enumerate() {
        assert_eq!(expected.len(), case.rows.len());
        let outcome = run_case(case, &mut chance);
        compare(case, &outcome, expected).unwrap_or_else(|error| panic!("seed {seed}, case {number}: {error}"));
    }
    let finite = |expected: &&Expected| matches!(expected, Expected::Row { mean: Some(mean), .. } if mean.is_finite());
    let means = answers.iter().flatten().filter(finite).count();
    assert!(means >= 100_000, "only {means} of {windows} means are finite");
    println!("{windows} windows of {CASES} cases agree, {means} with a finite mean");
}
