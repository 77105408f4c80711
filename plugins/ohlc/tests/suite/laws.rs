//! Laws on generated streams: cuts, restarts, checkpoints, keys apart, and the order of rows within a window.

use crate::ohlc_cases::{Bar, Case, Row, generate};
use crate::{bar, record, run_case, settings};
use ohlc::Ohlc;
use std::collections::{BTreeMap, BTreeSet};
use weir_plugin_sdk::testkit::{Chance, Record, law_of_cuts, law_of_increments, law_of_restarts};

const SEED: u64 = 7;

fn records(case: &Case) -> Vec<Record> {
    case.rows.iter().map(record).collect()
}

#[test]
fn cuts_change_nothing() {
    for case in generate(SEED, 60) {
        law_of_cuts::<Ohlc>(&settings(&case), &records(&case), SEED, 6).unwrap();
    }
}

#[test]
fn restarts_change_nothing() {
    for case in generate(SEED + 1, 60) {
        law_of_restarts::<Ohlc>(&settings(&case), &records(&case), SEED, 8).unwrap();
    }
}

/// The stream without late rows and rows that are rejected: those depend on the rows of other keys.
fn in_time(case: &Case) -> Case {
    let mut newest = i64::MIN;
    let rows = case.rows.iter().filter(|row| {
        let follows = row.time_us >= newest && (newest == i64::MIN || row.time_us - newest < 1_000_000_000);
        newest = if follows { row.time_us } else { newest };
        follows
    });
    let rows = rows.map(|row| Row { volume: None, ..row.clone() }).collect();
    let mut settings = case.settings.clone();
    settings.retain(|(key, _)| key != "future.max");
    Case { settings, rows }
}

/// All windows of a case with those that are open at its end, by key and beginning.
fn windows(case: &Case) -> BTreeMap<(Option<String>, i64), Bar> {
    let (mut kit, mut outcome) = run_case(case, &mut Chance::new(SEED));
    outcome.extend(kit.advance(i64::MAX).unwrap());
    let bars = outcome.rows.iter().map(bar).map(|bar| ((bar.key.clone(), bar.start_us), bar));
    let mut windows = BTreeMap::new();
    for (name, bar) in bars {
        assert_eq!(windows.insert(name, bar), None, "a window fires once");
    }
    windows
}

#[test]
fn keys_stay_apart() {
    for case in generate(SEED + 2, 60) {
        let case = in_time(&case);
        let all = windows(&case);
        let keys: BTreeSet<_> = case.rows.iter().map(|row| row.key.clone()).collect();
        for key in keys {
            let rows = case.rows.iter().filter(|row| row.key == key).cloned().collect();
            let alone = windows(&Case { rows, ..case.clone() });
            let expected = all.iter().filter(|((name, _), _)| *name == key);
            assert!(expected.eq(&alone), "{:?}", case.settings);
        }
    }
}

/// Within the lateness rows may come in any order as long as those of one time keep theirs.
#[test]
fn the_order_of_arrival_within_the_lateness_does_not_matter() {
    for case in generate(SEED + 3, 60) {
        let mut case = in_time(&case);
        case.settings.retain(|(key, _)| key != "lateness");
        case.settings.push(("lateness".to_owned(), "3650d".to_owned()));
        let expected = windows(&case);
        let mut times: Vec<i64> = case.rows.iter().map(|row| row.time_us).collect();
        times.dedup();
        Chance::new(SEED).shuffle(&mut times);
        let at = |time: &i64| case.rows.iter().filter(|row| row.time_us == *time).cloned().collect::<Vec<_>>();
        let rows = times.iter().flat_map(at).collect();
        assert_eq!(windows(&Case { rows, ..case.clone() }), expected, "{:?}", case.settings);
    }
}

#[test]
fn a_chain_of_increments_is_a_full_checkpoint() {
    for case in generate(SEED + 5, 60) {
        law_of_increments::<Ohlc>(&settings(&case), &records(&case), 20).unwrap();
    }
}
