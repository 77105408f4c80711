//! The ByteArray converter: what it gives, what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use super::ByteArray;
use crate::convert::testing::{cell, check_convert, check_refused, origin, pull, record};
use crate::convert::{Converter, Side};
use crate::record::{Kind, Path};

#[test]
fn a_key_or_value_is_one_byte_string() {
    let wants = [("$key", Kind::Binary), ("$key", Kind::Text)];
    check_convert(&ByteArray, Side::Key, b"AB", &wants, &["4142", "AB"]);
    check_convert(&ByteArray, Side::Key, b"", &wants, &["", ""]);
    check_convert(&ByteArray, Side::Key, b"\x00\xFF", &wants, &["00ff", "mismatch"]);
    check_convert(&ByteArray, Side::Value, b"\x00\xFF", &[("", Kind::Binary)], &["00ff"]);
}

#[test]
fn null_payloads_are_absent() {
    let run = origin(vec![record(None, None), record(Some(b"x"), Some(b"y")), record(None, None)]);
    let pulled = pull(&ByteArray, Side::Key, &run, &[("$key", Kind::Binary)]);
    let cells: Vec<_> = (0..3).map(|row| cell(&pulled.columns[0], row)).collect();
    assert_eq!(cells, ["absent", "78", "absent"]);
    assert!(pulled.malformed.is_empty());
}

#[test]
fn fields_and_other_kinds_are_refused_with_the_way_out() {
    check_refused(
        &ByteArray,
        Side::Value,
        &[("a", Kind::Binary)],
        "field a cannot be read by ByteArrayConverter, whose values have no fields; set `value.converter` to json",
    );
    check_refused(
        &ByteArray,
        Side::Value,
        &[("", Kind::Json)],
        "the value cannot be read as json by ByteArrayConverter, which gives binary or text; set `value.converter` to json",
    );
}

#[test]
fn a_mismatch_is_explained_and_a_byte_string_has_no_fields() {
    let run = origin(vec![record(Some(b"a\xFF"), None)]);
    let explain = |path: &str| ByteArray.explain(&run, 0, &Path::from(path), Kind::Text);
    assert_eq!(explain("$key"), "the key is not UTF-8 at byte 1");
    assert_eq!(explain(""), "the value is null, expected text");
    assert!(ByteArray.sample(&run).unwrap().is_empty());
}
