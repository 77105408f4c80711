//! Fields of the record itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use super::MetaReader;
use crate::convert::testing::{cell, origin, record, wants};
use crate::record::origin::{NO_TIMESTAMP, OwnedPayloads, OwnedRecord};
use crate::record::{Kind, Lane, Origin};

/// The cells of every field, record by record.
fn read(origin: &Origin, fields: &[(&str, Kind)]) -> Vec<Vec<String>> {
    let columns = MetaReader::new(&wants(fields)).unwrap().read(origin).unwrap();
    (0..origin.len()).map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect()
}

#[test]
fn place_and_time_of_a_record_are_fields() {
    let run = origin(vec![record(None, None); 3]);
    let fields = [
        ("$offset", Kind::Int64),
        ("$partition", Kind::Int64),
        ("$topic", Kind::Text),
        ("$timestamp", Kind::Timestamp),
        ("$timestamp", Kind::Int64),
    ];
    assert_eq!(
        read(&run.slice(1..3), &fields),
        [["101", "3", "ticks", "2000", "2000"], ["102", "3", "ticks", "3000", "3000"]]
    );
}

#[test]
fn a_record_without_timestamp_has_none() {
    let records = vec![OwnedRecord::default(); 2];
    let payloads = Arc::new(OwnedPayloads { records });
    let run = Origin::new(Lane::new("t", 0), vec![0, 1], vec![NO_TIMESTAMP, 5], 2, 0, payloads);
    let fields = [("$timestamp", Kind::Timestamp), ("$timestamp", Kind::Int64)];
    assert_eq!(read(&run, &fields), [["absent", "absent"], ["5", "5"]]);
}

#[test]
fn headers_are_text_or_binary_and_the_last_of_a_name_counts() {
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let with = |headers| OwnedRecord { headers, ..OwnedRecord::default() };
    let run = origin(vec![
        with(vec![]),
        with(vec![header("id.x", Some(b"one")), header("other", Some(b"-")), header("id.x", Some(b"two"))]),
        with(vec![header("id.x", None)]),
        with(vec![header("id.x", Some(b"\xFF"))]),
        with(vec![header("id", Some(b"no")), header("ID.X", Some(b"no"))]),
    ]);
    let fields = [("$headers.id.x", Kind::Text), ("$headers.id.x", Kind::Binary), ("$headers.other", Kind::Text)];
    assert_eq!(
        read(&run, &fields),
        [
            ["absent", "absent", "absent"],
            ["two", "74776f", "-"],
            ["null", "null", "absent"],
            ["mismatch", "ff", "absent"],
            ["absent", "absent", "absent"],
        ]
    );
}

#[test]
fn unknown_fields_and_kinds_are_refused_with_what_there_is() {
    for (field, kind, sentence) in [
        (
            "$time",
            Kind::Int64,
            "field $time is unknown; a record has $key, $timestamp, $topic, $partition, $offset and $headers.NAME",
        ),
        (
            "$headers",
            Kind::Text,
            "field $headers is unknown; a record has $key, $timestamp, $topic, $partition, $offset and $headers.NAME",
        ),
        ("$offset", Kind::Text, "field $offset cannot be read as text; it comes as int64"),
        ("$timestamp", Kind::Float64, "field $timestamp cannot be read as float64; it comes as timestamp or int64"),
        ("$headers.id", Kind::Int64, "field $headers.id cannot be read as int64; it comes as text or binary"),
    ] {
        let error = MetaReader::new(&wants(&[(field, kind)])).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (crate::error::Kind::Config, sentence.to_owned()));
    }
}

#[test]
fn missing_fields_are_explained() {
    assert_eq!(super::explain(&"$timestamp".into()), "the record has no timestamp");
    assert_eq!(super::explain(&"$headers.id".into()), "header id is missing, null or not UTF-8");
}
