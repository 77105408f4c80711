//! The plugin as a host sees it: named cases, the Python oracle, laws, settings and limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares doubles exactly"
)]

mod laws;
mod named;
mod oracle;
mod rules;
#[path = "../../../../tests/src/sma_cases.rs"]
#[allow(dead_code, reason = "each of its users takes what it needs")]
mod sma_cases;

use named::Tick;
use sma::Sma;
use sma_cases::{Case, Row};
use weir_plugin_sdk::testkit::{Chance, Datum, Kit, Outcome, Record};

/// The means that the plugin gives to the rows of a stream.
fn average(settings: &[(&str, &str)], ticks: &[Tick<'_>]) -> Vec<Option<f64>> {
    let settings: Vec<_> = [("value.field", "price")].into_iter().chain(settings.iter().copied()).collect();
    let mut kit = Kit::<Sma>::new(&settings).unwrap();
    let record = |tick: &Tick<'_>| {
        let record = Record::new().with("price", tick.value).with("$timestamp", tick.second * 1_000_000);
        tick.key.map_or(record.clone(), |key| record.with("$key", key))
    };
    let records: Vec<Record> = ticks.iter().map(record).collect();
    let mean = |row: &Record| match row.get("sma") {
        Datum::Float64(value) => Some(*value),
        Datum::Null => None,
        other => panic!("{other:?} is no mean"),
    };
    kit.process(&records).unwrap().rows.iter().map(mean).collect()
}

/// A generated row as a record.
fn record(row: &Row) -> Record {
    let mut record = Record::new().with("ts", row.time_us);
    if let Some(key) = &row.key {
        record = record.with("$key", key.as_str());
    }
    match row.value {
        Some(value) => record.with("price", value),
        None => record.with("price", Datum::Null),
    }
}

/// The settings of a case with the fields that the records have.
fn settings(case: &Case) -> Vec<(&str, &str)> {
    let fields = [("value.field", "price"), ("time.field", "ts"), ("count.field", "n"), ("sum.field", "sum")];
    let given = case.settings.iter();
    let given = given.map(|(key, value)| (key.as_str(), value.as_str()));
    fields.into_iter().chain(given).collect()
}

/// What a case becomes in random batches.
fn run_case(case: &Case, chance: &mut Chance) -> Outcome {
    let mut kit = Kit::<Sma>::new(&settings(case)).unwrap();
    let records: Vec<Record> = case.rows.iter().map(record).collect();
    kit.process_cut(&records, chance).unwrap()
}
