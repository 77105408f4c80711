//! Runs of records to batches: parts put together, malformed records left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use super::Decoder;
use crate::convert::by_name;
use crate::convert::testing::{cell, origin, record, wants};
use crate::record::{Batch, Kind, Origin, Path, RowError, Rows, Stage};

fn decoder(key: &str, value: &str, fields: &[(&str, Kind)]) -> Decoder {
    Decoder::new(by_name(key).unwrap(), by_name(value).unwrap(), wants(fields)).unwrap()
}

/// The cells of a field, row by row.
fn field(batch: &Batch, path: &str, kind: Kind) -> Vec<String> {
    let column = batch.pull(&Path::from(path), kind).unwrap();
    assert_eq!(column.array.len(), batch.len());
    (0..batch.len()).map(|row| cell(&column, row)).collect()
}

fn ticks() -> Arc<Origin> {
    Arc::new(origin(vec![
        record(Some(b"S1"), Some(br#"{"price":1.5}"#)),
        record(Some(b"\xFF"), Some(br#"{"price":2.5}"#)),
        record(Some(b"S3"), Some(br#"{"price":"#)),
        record(Some(b"\xFE"), Some(b"")),
        record(None, None),
        record(Some(b"S6"), Some(br#"{"price":null}"#)),
    ]))
}

#[test]
fn a_batch_has_the_fields_of_key_value_and_record() {
    let fields = [("price", Kind::Float64), ("$offset", Kind::Int64), ("$key", Kind::Text), ("$topic", Kind::Text)];
    let mut decoder = decoder("string", "json", &fields);
    let run = Arc::new(ticks().slice(4..6));
    let (batch, errors) = decoder.decode(&run).unwrap();
    assert!(errors.is_empty() && matches!(batch.rows, Rows::All(2)));
    assert_eq!(field(&batch, "$key", Kind::Text), ["absent", "S6"]);
    assert_eq!(field(&batch, "price", Kind::Float64), ["absent", "null"]);
    assert_eq!(field(&batch, "$offset", Kind::Int64), ["104", "105"]);
    assert_eq!(field(&batch, "$topic", Kind::Text), ["ticks", "ticks"]);
}

#[test]
fn malformed_records_are_no_rows_and_are_reported_once() {
    let mut decoder =
        decoder("string", "json", &[("price", Kind::Float64), ("$key", Kind::Text), ("$offset", Kind::Int64)]);
    let (batch, errors) = decoder.decode(&ticks()).unwrap();
    let error = |record, stage, message: &str| RowError { record, stage, field: None, message: message.to_owned() };
    assert_eq!(
        errors,
        [
            error(1, Stage::KeyConverter, "the key is not UTF-8 at byte 0"),
            error(2, Stage::ValueConverter, "the value is not JSON: expected a value at byte 9, where it ends"),
            error(3, Stage::KeyConverter, "the key is not UTF-8 at byte 0"),
        ]
    );
    assert_eq!((0..batch.len()).map(|row| batch.rows.origin(row)).collect::<Vec<_>>(), [0, 4, 5]);
    assert_eq!(field(&batch, "price", Kind::Float64), ["1.5", "absent", "null"]);
    assert_eq!(field(&batch, "$key", Kind::Text), ["S1", "absent", "S6"]);
    assert_eq!(field(&batch, "$offset", Kind::Int64), ["100", "104", "105"]);
}

#[test]
fn a_run_of_nothing_but_malformed_records_is_an_empty_batch() {
    let run = Arc::new(ticks().slice(2..4));
    let (batch, errors) = decoder("bytes", "json", &[]).decode(&run).unwrap();
    assert!(batch.is_empty());
    assert_eq!(
        errors.iter().map(|e| (e.record, e.stage)).collect::<Vec<_>>(),
        [(0, Stage::ValueConverter), (1, Stage::ValueConverter)]
    );
}

#[test]
fn values_are_checked_even_if_nothing_is_wanted_and_keys_are_not() {
    let (batch, errors) = decoder("string", "json", &[]).decode(&ticks()).unwrap();
    assert_eq!(
        errors.iter().map(|e| (e.record, e.stage)).collect::<Vec<_>>(),
        [(2, Stage::ValueConverter), (3, Stage::ValueConverter)]
    );
    assert_eq!(batch.len(), 4);
}

#[test]
fn a_field_wanted_twice_is_pulled_once() {
    let fields =
        [("a", Kind::Int64), ("$key", Kind::Text), ("a", Kind::Int64), ("a", Kind::Text), ("$key", Kind::Text)];
    let mut decoder = decoder("json", "json", &fields);
    assert_eq!(decoder.wants(), wants(&[("a", Kind::Int64), ("$key", Kind::Text), ("a", Kind::Text)]));
    let run = Arc::new(origin(vec![record(Some(b"7"), Some(br#"{"a":"x"}"#))]));
    let (batch, _) = decoder.decode(&run).unwrap();
    assert_eq!(batch.decoded.columns.len(), 3);
    let cells =
        [("a", Kind::Int64), ("a", Kind::Text), ("$key", Kind::Text)].map(|(path, kind)| field(&batch, path, kind));
    assert_eq!(cells, [["mismatch"], ["x"], ["7"]]);
}

#[test]
fn fields_that_nobody_can_give_are_refused() {
    for (fields, sentence) in [
        (
            [("price", Kind::Text)],
            "field price cannot be read by StringConverter, whose values have no fields; set `value.converter` to json",
        ),
        (
            [("$key.id", Kind::Text)],
            "field $key.id cannot be read by ByteArrayConverter, whose keys have no fields; set `key.converter` to json",
        ),
        (
            [("$watermark", Kind::Timestamp)],
            "field $watermark is unknown; a record has $key, $timestamp, $topic, $partition, $offset and $headers.NAME",
        ),
    ] {
        let error = Decoder::new(by_name("bytes").unwrap(), by_name("string").unwrap(), wants(&fields)).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (crate::error::Kind::Config, sentence.to_owned()));
    }
}

#[test]
fn each_part_explains_its_own_fields() {
    let decoder = decoder("bytes", "json", &[]);
    let explain = |record, path: &str, kind| decoder.explain(&ticks(), record, &Path::from(path), kind);
    assert_eq!(explain(0, "price", Kind::Int64), "field price is 1.5, which is no integer of 64 bits");
    assert_eq!(explain(1, "$key", Kind::Text), "the key is not UTF-8 at byte 0");
    assert_eq!(explain(0, "$headers.x", Kind::Text), "header x is missing, null or not UTF-8");
}

#[test]
fn converters_are_known_by_class_and_short_name() {
    for name in [
        "json",
        "JsonConverter",
        "org.apache.kafka.connect.json.JsonConverter",
        "string",
        "org.apache.kafka.connect.storage.StringConverter",
        "bytes",
        "org.apache.kafka.connect.converters.ByteArrayConverter",
    ] {
        assert!(by_name(name).is_some(), "{name}");
    }
    assert!(by_name("io.confluent.connect.avro.AvroConverter").is_none() && by_name("JSON").is_none());
}
