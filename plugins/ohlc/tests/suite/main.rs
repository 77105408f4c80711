//! The plugin as a host sees it: named cases, the Python oracle, laws, settings and limits.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod laws;
mod named;
#[path = "../../../../tests/src/ohlc_cases.rs"]
mod ohlc_cases;
mod oracle;
mod rules;

use ohlc::Ohlc;
use ohlc_cases::{Bar, Case, Row, Volume};
use weir_plugin_sdk::testkit::{Chance, Datum, Kit, Outcome, Record};

/// A generated row as a record.
fn record(row: &Row) -> Record {
    let mut record = Record::new().with("ts", row.time_us);
    if let Some(key) = &row.key {
        record = record.with("$key", key.as_str());
    }
    let record = match row.price {
        Some(price) => record.with("price", price),
        None => record.with("price", Datum::Null),
    };
    match row.volume {
        Some(Volume::Whole(volume)) => record.with("size", volume),
        Some(Volume::Double(volume)) => record.with("size", volume),
        None => record,
    }
}

/// The settings of a case with the fields that the records have.
fn settings(case: &Case) -> Vec<(&str, &str)> {
    let fields = [("price.field", "price"), ("volume.field", "size"), ("time.field", "ts")];
    let given = case.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    fields.into_iter().chain(given).collect()
}

/// What a case becomes in random batches; the kit has the rest of it.
fn run_case(case: &Case, chance: &mut Chance) -> (Kit<Ohlc>, Outcome) {
    let mut kit = Kit::<Ohlc>::new(&settings(case)).unwrap();
    let records: Vec<Record> = case.rows.iter().map(record).collect();
    let outcome = kit.process_cut(&records, chance).unwrap();
    (kit, outcome)
}

/// An output row as a window. The key is in it twice.
fn bar(row: &Record) -> Bar {
    let text = |field| match row.get(field) {
        Datum::Text(text) => Some(text.clone()),
        Datum::Null => None,
        other => panic!("{other:?} is no key"),
    };
    let whole = |field| match row.get(field) {
        Datum::Int64(whole) => *whole,
        other => panic!("{other:?} is no whole number"),
    };
    let price = |field| match row.get(field) {
        Datum::Float64(price) => *price,
        other => panic!("{other:?} is no price"),
    };
    assert_eq!(text("key"), text("$key"));
    Bar {
        start_us: whole("window_start"),
        key: text("key"),
        prices: ["open", "high", "low", "close"].map(price),
        volume: match row.get("volume") {
            Datum::Int64(volume) => Some(Volume::Whole(*volume)),
            Datum::Float64(volume) => Some(Volume::Double(*volume)),
            _ => None,
        },
        count: whole("count"),
    }
}
