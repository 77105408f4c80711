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

use sma::Sma;
use sma_cases::{Case, Row};
use weir_plugin_sdk::testkit::{Chance, Datum, Kit, Outcome, Record};

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
    let mut outcome = Outcome::default();
    let mut rest = records.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(1 + chance.below(rest.len()));
        outcome.extend(kit.process(batch).unwrap());
        rest = later;
    }
    outcome
}
