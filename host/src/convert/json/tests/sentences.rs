//! What operators read: why a payload is no JSON, and why a cell has no value.

use super::super::Json;
use crate::convert::testing::{check_malformed, origin, record};
use crate::convert::{Converter, Side};
use crate::record::Kind::{self, Binary, Boolean, Decimal, Float64, Int64, Text, Timestamp};
use crate::record::Path;

/// Payloads, and what comes after `the value is not JSON: `.
const MALFORMED: &[(&[u8], &str)] = &[
    (b"", "it is empty"),
    (b" \n", "it is empty"),
    (b"{\"a\":1", "expected ',' or '}' at byte 6, where it ends"),
    (b"{\"a\":1]", "expected ',' or '}' at byte 6"),
    (b"[1 2]", "expected ',' or ']' at byte 3"),
    (b"{\"a\": }", "expected a value at byte 6"),
    (b"{\"a\":", "expected a value at byte 5, where it ends"),
    (b"nil", "expected a value at byte 0"),
    (b"{1:2}", "expected a member's name in quotes at byte 1"),
    (b"{\"a\":1,}", "expected a member's name in quotes at byte 7"),
    (b"{\"a\" 1}", "expected ':' at byte 5"),
    (b"[-x]", "expected a digit at byte 2"),
    (b"[1.x]", "expected a digit at byte 3"),
    (b"[007]", "a number with a leading zero at byte 1"),
    (b"[1e400]", "a number out of the range of float64 at byte 1"),
    (b"[\"abc", "expected the closing '\"' of a string at byte 5, where it ends"),
    (b"[\"ab\\x\"]", "an unknown escape in a string at byte 4"),
    (b"[\"ab\\u12\"]", "an unknown escape in a string at byte 5"),
    (b"[\"\\uD800\"]", "half of a surrogate pair at byte 2"),
    (b"[\"a\nb\"]", "a control character in a string at byte 3"),
    (b"[\"abc\xFF\"]", "bytes that are not UTF-8 at byte 5"),
    (b"{} {}", "expected nothing more at byte 3"),
    (b"\xEF\xBB\xBF{}", "a byte order mark at byte 0"),
];

#[test]
fn a_malformed_payload_names_the_byte_and_what_was_expected() {
    for (payload, cause) in MALFORMED {
        check_malformed(&Json, Side::Value, payload, &format!("the value is not JSON: {cause}"));
        check_malformed(&Json, Side::Key, payload, &format!("the key is not JSON: {cause}"));
    }
    let deep = "[".repeat(200);
    let sentence = "the value is not JSON: arrays and objects nested more than 128 deep at byte 128";
    check_malformed(&Json, Side::Value, deep.as_bytes(), sentence);
}

#[track_caller]
fn check_explained(value: &str, path: &str, kind: Kind, sentence: &str) {
    let origin = origin(vec![record(None, None), record(Some(value.as_bytes()), Some(value.as_bytes()))]);
    assert_eq!(Json.explain(&origin, 1, &Path::from(path), kind), sentence);
}

/// Payload, path, wanted kind, sentence.
const EXPLAINED: &[(&str, &str, Kind, &str)] = &[
    ("{}", "price", Float64, "field price is missing"),
    (r#"{"price":null}"#, "price", Float64, "field price is null, expected float64"),
    (r#"{"price":"1.5"}"#, "price", Float64, r#"field price is "1.5", a string, expected float64"#),
    (
        r#"{"price":9007199254740993}"#,
        "price",
        Float64,
        "field price is 9007199254740993, which is an integer that no float64 equals",
    ),
    (r#"{"n":1.5}"#, "n", Int64, "field n is 1.5, which is no integer of 64 bits"),
    (r#"{"n":1e30}"#, "n", Decimal, "field n is 1e30, which has more than 20 digits before the point or 18 after it"),
    (r#"{"n":true}"#, "n", Int64, "field n is true, a boolean, expected int64"),
    (r#"{"n":[1, 2]}"#, "n", Text, "field n is [1, 2], an array, expected text"),
    (r#"{"n":{}}"#, "n", Boolean, "field n is {}, an object, expected boolean"),
    (r#"{"n":"?"}"#, "n", Binary, r#"field n is "?", which is no padded base64"#),
    (
        r#"{"ts":"yesterday"}"#,
        "ts",
        Timestamp,
        r#"field ts is "yesterday", which is no date-time with zone as RFC 3339 writes it"#,
    ),
    (
        r#"{"ts":1790000000000}"#,
        "ts",
        Timestamp,
        "field ts is 1790000000000, a number, expected a timestamp as RFC 3339 text; \
             TimestampConverter makes one of epoch numbers",
    ),
    ("{}", "a.b.c", Int64, "field a.b.c is missing"),
    (r#"{"a":{"b":null}}"#, "a.b.c", Int64, "field a.b.c is missing: field a.b is null"),
    (r#"{"a":{"b":[7]}}"#, "a.b.c", Int64, "field a.b.c is missing: field a.b is [7], which is no object"),
    ("5", "a", Int64, "field a is missing: the value is 5, which is no object"),
    ("null", "a", Int64, "field a is missing"),
    ("x", "a", Int64, "the value is not JSON: expected a value at byte 0"),
    ("[]", "", Int64, "the value is [], an array, expected int64"),
    ("\"S1\"", "$key", Int64, "the key is \"S1\", a string, expected int64"),
    (r#"{"id":"x"}"#, "$key.id", Int64, r#"field $key.id is "x", a string, expected int64"#),
    ("7", "$key.id", Int64, "field $key.id is missing: the key is 7, which is no object"),
];

#[test]
fn a_cell_without_value_is_explained() {
    for (value, path, kind, sentence) in EXPLAINED {
        check_explained(value, path, *kind, sentence);
    }
}

#[test]
fn a_record_without_key_or_value_is_explained() {
    let origin = origin(vec![record(None, None)]);
    let explain = |path: &str| Json.explain(&origin, 0, &Path::from(path), Kind::Text);
    assert_eq!(explain("a.b"), "field a.b is missing: the value is null");
    assert_eq!(explain("$key"), "the key is missing: the key is null");
}

#[test]
fn a_long_value_is_cut_and_kept_on_one_line() {
    let list = format!("[\n{}1]", "1,".repeat(100));
    let sentence = format!("field a is [ {}…, an array, expected int64", "1,".repeat(31));
    check_explained(&format!("{{\"a\":{list}}}"), "a", Kind::Int64, &sentence);
}
