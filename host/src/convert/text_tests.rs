//! The String converter: what it gives, what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use super::Text;
use crate::convert::testing::{cell, check_convert, check_malformed, check_refused, origin, pull, record};
use crate::convert::{Converter, Side};
use crate::record::{Kind, Path};

#[test]
fn a_key_or_value_is_one_text() {
    for payload in ["", "S0001", "Grüße 🌍", "{\"a\":1}", "\0"] {
        check_convert(&Text, Side::Key, payload.as_bytes(), &[("$key", Kind::Text)], &[payload]);
        check_convert(&Text, Side::Value, payload.as_bytes(), &[("", Kind::Text)], &[payload]);
    }
    check_convert(&Text, Side::Value, b"x", &[("", Kind::Text), ("", Kind::Text)], &["x", "x"]);
}

#[test]
fn bytes_that_are_not_utf8_are_malformed_whatever_is_wanted() {
    check_malformed(&Text, Side::Key, b"ab\xFF", "the key is not UTF-8 at byte 2");
    check_malformed(&Text, Side::Value, b"\xC3\x28", "the value is not UTF-8 at byte 0");
    let run = origin(vec![
        record(Some(b"a"), None),
        record(Some(b"\xFF"), None),
        record(None, None),
        record(Some(b"d"), None),
    ]);
    let pulled = pull(&Text, Side::Key, &run, &[("$key", Kind::Text)]);
    assert_eq!(pulled.malformed, [(1, "the key is not UTF-8 at byte 0".to_owned())]);
    let cells: Vec<_> = (0..4).map(|row| cell(&pulled.columns[0], row)).collect();
    assert_eq!(cells, ["a", "null", "absent", "d"]);
}

#[test]
fn fields_and_other_kinds_are_refused_with_the_way_out() {
    check_refused(
        &Text,
        Side::Value,
        &[("price", Kind::Float64)],
        "field price cannot be read by StringConverter, whose values have no fields; set `value.converter` to json",
    );
    check_refused(
        &Text,
        Side::Key,
        &[("$key.id", Kind::Text)],
        "field $key.id cannot be read by StringConverter, whose keys have no fields; set `key.converter` to json",
    );
    check_refused(
        &Text,
        Side::Key,
        &[("$key", Kind::Int64)],
        "the key cannot be read as int64 by StringConverter, which gives text; set `key.converter` to json",
    );
}

#[test]
fn a_missing_text_is_explained_and_a_text_has_no_fields() {
    let run = origin(vec![record(None, None)]);
    let explain = |path: &str| Text.explain(&run, 0, &Path::from(path), Kind::Text);
    assert_eq!(explain("$key"), "the key is null, expected text");
    assert_eq!(explain(""), "the value is null, expected text");
    assert!(Text.sample(&origin(vec![record(None, Some(b"{\"a\":1}"))])).unwrap().is_empty());
}
