//! Laws on generated streams: cuts, restarts, checkpoints, keys apart, scale, windows of one row.

use crate::sma_cases::{Case, Row, generate};
use crate::{record, run_case, settings};
use proptest::prelude::*;
use sma::Sma;
use std::collections::BTreeMap;
use weir_plugin_sdk::state::Extent;
use weir_plugin_sdk::testkit::{
    Chance, Datum, Kit, Outcome, Record, Store, law_of_cuts, law_of_increments, law_of_restarts,
};

const SEED: u64 = 7;

fn records(case: &Case) -> Vec<Record> {
    case.rows.iter().map(record).collect()
}

/// Output rows by the key of their record.
fn by_key(case: &Case, outcome: &Outcome) -> BTreeMap<Option<String>, Vec<Record>> {
    let mut keys = BTreeMap::<_, Vec<Record>>::new();
    for (origin, row) in outcome.origins.iter().zip(&outcome.rows) {
        keys.entry(case.rows[*origin].key.clone()).or_default().push(row.clone());
    }
    keys
}

#[test]
fn cuts_change_nothing() {
    for case in generate(SEED, 40) {
        law_of_cuts::<Sma>(&settings(&case), &records(&case), SEED, 6).unwrap();
    }
}

#[test]
fn restarts_change_nothing() {
    for case in generate(SEED + 1, 40) {
        law_of_restarts::<Sma>(&settings(&case), &records(&case), SEED, 6).unwrap();
    }
}

/// A key's output is a function of its own rows alone, whatever comes between them. Forgetting is left
/// out: its clock is that of all keys.
#[test]
fn keys_stay_apart() {
    for mut case in generate(SEED + 2, 60) {
        case.settings.retain(|(key, _)| key != "key.ttl");
        let all = by_key(&case, &run_case(&case, &mut Chance::new(SEED)));
        let mut keys: Vec<_> = case.rows.iter().map(|row| row.key.clone()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let rows: Vec<Row> = case.rows.iter().filter(|row| row.key == key).cloned().collect();
            let alone = Case { rows, ..case.clone() };
            let outcome = run_case(&alone, &mut Chance::new(SEED));
            assert_eq!(all.get(&key), by_key(&alone, &outcome).get(&key), "{:?}", case.settings);
        }
    }
}

/// Records of different keys may change places as long as those of a key keep their order.
#[test]
fn the_order_between_keys_does_not_matter() {
    for mut case in generate(SEED + 3, 60) {
        case.settings.retain(|(key, _)| key != "key.ttl");
        let expected = by_key(&case, &run_case(&case, &mut Chance::new(SEED)));
        let mut sorted = case.clone();
        sorted.rows.sort_by(|one, other| one.key.cmp(&other.key));
        let found = by_key(&sorted, &run_case(&sorted, &mut Chance::new(SEED)));
        assert_eq!(found, expected, "{:?}", case.settings);
    }
}

/// The mean of k times the values is k times the mean for each power of two k, unless digits fall off the end.
#[test]
fn scaling_by_a_power_of_two_scales_means() {
    let mut compared = 0;
    for case in generate(SEED + 4, 60) {
        let plain = run_case(&case, &mut Chance::new(SEED));
        for power in [-20, 3, 40] {
            let scale = 2_f64.powi(power);
            let keeps = |value: f64| value == 0.0 || !value.is_finite() || (1e-200..1e200).contains(&value.abs());
            if !case.rows.iter().filter_map(|row| row.value).all(keeps) {
                continue;
            }
            let mut scaled = case.clone();
            scaled.rows.iter_mut().for_each(|row| row.value = row.value.map(|value| value * scale));
            let outcome = run_case(&scaled, &mut Chance::new(SEED));
            for (one, other) in plain.rows.iter().zip(&outcome.rows) {
                if let (Datum::Float64(one), Datum::Float64(other)) = (one.get("sma"), other.get("sma")) {
                    let (one, other) = (one * scale, *other);
                    assert!(one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan(), "{one} and {other}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 5_000, "{compared} means were compared");
}

#[test]
fn a_chain_of_increments_is_a_full_checkpoint() {
    for case in generate(SEED + 5, 60) {
        law_of_increments::<Sma>(&settings(&case), &records(&case), 20).unwrap();
    }
}

/// One row of a key with a window of 50 touches its record and one page, not the window.
#[test]
fn an_increment_is_as_large_as_the_change() {
    let mut kit = Kit::<Sma>::new(&[("value.field", "price"), ("window", "1000")]).unwrap();
    let row = |price: f64| Record::new().with("price", price);
    let rows: Vec<Record> = (0..3_000).map(|number| row(f64::from(number))).collect();
    kit.process(&rows).unwrap();
    let mut store = Store::new();
    let mut checkpoint = |kit: &mut Kit<Sma>| {
        store.begin(kit, Extent::Incremental).unwrap();
        store.end(kit, true).unwrap()
    };
    // The first is a full one: 1000 slots in 2 blocks of 500, each of 16 pages.
    assert_eq!(checkpoint(&mut kit), 1 + 2 * 16);
    kit.process(&[row(0.5)]).unwrap();
    assert_eq!(checkpoint(&mut kit), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_window_of_one_row_is_the_identity(values in prop::collection::vec(any::<f64>(), 1..50)) {
        let mut kit = Kit::<Sma>::new(&[("value.field", "price"), ("window", "1")]).unwrap();
        let records: Vec<Record> = values.iter().map(|value| Record::new().with("price", *value)).collect();
        for (value, row) in values.iter().zip(kit.process(&records).unwrap().rows) {
            let expected = if value.is_nan() { f64::NAN } else { value + 0.0 };
            prop_assert_eq!(row.get("sma"), &Datum::Float64(expected));
        }
    }
}
