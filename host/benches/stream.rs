//! What the benches on real servers run: ticks in a topic, the pipeline that averages them, and its table.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Result;
use weir_tests::kafka::{Kafka, Record};

use super::{measure, ticks};

/// Partitions of a topic.
pub const PARTITIONS: i32 = 4;
/// Symbols of the ticks.
pub const SYMBOLS: u64 = 1_000;
/// The columns of a table of ticks and their means.
pub const COLUMNS: &str = "symbol text, ts timestamptz NOT NULL, price float8, volume int8, sma float8";

/// The pipeline `name` from a topic into the table of its own name.
pub fn pipeline(name: &str, topic: &str, url: &str) -> String {
    format!(
        "name: {name}\ntopics: {topic}\nkey.converter: string\nvalue.converter: json\n\
         value.converter.schemas.enable: false\n\
         transforms:\n\
         \x20 - {{name: time, type: TimestampConverter, field: ts, target.type: Timestamp}}\n\
         \x20 - {{name: sma, type: sma, key.field: symbol, value.field: price, window: 50}}\n\
         connector.class: TimescaleSink\nconnection.url: {url}\ntable.name.format: {name}\n\
         consumer.override.auto.offset.reset: earliest\n"
    )
}

/// Sends ticks, each not before it is `due` after the first; its timestamp is the instant at which the client gets it.
pub fn produce(
    kafka: &Kafka,
    settings: &[(&str, &str)],
    topic: &str,
    numbers: Range<u64>,
    due: impl Fn(u64) -> Duration,
) -> Result<()> {
    let producer = kafka.producer_with(settings)?;
    let begun = Instant::now();
    for number in numbers {
        measure::wait_until(begun, due(number));
        let (symbol, json) = ticks::tick(number, SYMBOLS);
        producer.send(topic, &Record::new(&json).key(&symbol))?;
    }
    producer.flush()
}
