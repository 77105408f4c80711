//! Tables: one document, the fields wanted of it, the cells.

use super::super::Json;
use crate::convert::Side;
use crate::convert::testing::{cell, origin, values};
use crate::convert::testing::{check_convert, check_refused, pull, record};
use crate::record::Kind::{self, Binary, Boolean, Decimal, Float64, Int64, Text, Timestamp};

const NO: &str = "mismatch";

#[track_caller]
fn check(document: &str, wants: &[(&str, Kind)], cells: &[&str]) {
    check_convert(&Json, Side::Value, document.as_bytes(), wants, cells);
}

#[test]
fn a_tick_gives_its_four_fields() {
    check(
        r#"{"symbol":"S0001","ts":1790000000000,"price":101.37,"volume":12}"#,
        &[("ts", Int64), ("symbol", Text), ("price", Float64), ("volume", Int64)],
        &["1790000000000", "S0001", "101.37", "12"],
    );
}

/// A value, and its cells as int64, float64, boolean, text, binary, decimal and timestamp; `-` is a
/// mismatch, `''` is empty. As json a value is always as it is written.
const VALUES: &[(&str, &str)] = &[
    ("0", "0 0.0 - - - 0 -"),
    ("-0", "0 -0.0 - - - 0 -"),
    ("12", "12 12.0 - - - 12 -"),
    ("-7", "-7 -7.0 - - - -7 -"),
    ("1.5", "- 1.5 - - - 1.5 -"),
    ("-0.25", "- -0.25 - - - -0.25 -"),
    ("3.00", "3 3.0 - - - 3 -"),
    ("12e2", "1200 1200.0 - - - 1200 -"),
    ("1200E-2", "12 12.0 - - - 12 -"),
    ("1e-400", "- 0.0 - - - - -"),
    ("0e999", "0 0.0 - - - 0 -"),
    ("true", "- - true - - - -"),
    ("false", "- - false - - - -"),
    (r#""""#, "- - - '' '' - -"),
    (r#""12""#, "- - - 12 - - -"),
    (r#""AP9/""#, "- - - AP9/ 00ff7f - -"),
    (r#""2026-11-22T05:00:00Z""#, "- - - 2026-11-22T05:00:00Z - - 1795323600000000"),
    ("[1, 2]", "- - - - - - -"),
    (r#"{"x" :{}}"#, "- - - - - - -"),
    // Where 64 bits end.
    ("9223372036854775807", "9223372036854775807 - - - - 9223372036854775807 -"),
    ("-9223372036854775808", "-9223372036854775808 -9.223372036854776e18 - - - -9223372036854775808 -"),
    ("9223372036854775808", "- 9.223372036854776e18 - - - 9223372036854775808 -"),
    ("-9223372036854775809", "- - - - - -9223372036854775809 -"),
    ("9.223372036854775807e18", "9223372036854775807 9.223372036854776e18 - - - 9223372036854775807 -"),
];

#[test]
fn each_value_is_of_the_kinds_that_it_equals() {
    let kinds = [Int64, Float64, Boolean, Text, Binary, Decimal, Timestamp, Kind::Json];
    for (value, words) in VALUES {
        let words = words.split(' ').map(|word| match word {
            "-" => NO,
            "''" => "",
            word => word,
        });
        let cells: Vec<&str> = words.chain([*value]).collect();
        let wants = kinds.map(|kind| ("a", kind));
        check(&format!("{{\"a\":{value}}}"), &wants, &cells);
        check(&format!("{{ \"b\" : [], \"a\" :\t{value}\r\n}} "), &wants, &cells);
        for (want, cell) in wants.iter().zip(cells) {
            check(&format!("{{\"z\":{{}},\"a\":{value}}}"), &[*want], &[cell]);
        }
    }
    check(r#"{"a":null}"#, &kinds.map(|kind| ("a", kind)), &["null"; 8]);
}

#[test]
fn an_integer_is_a_float_only_where_one_equals_it() {
    let want = [("a", Float64)];
    check(r#"{"a":9007199254740992}"#, &want, &["9007199254740992.0"]);
    check(r#"{"a":9007199254740993}"#, &want, &[NO]);
    check(r#"{"a":9007199254740993.0}"#, &want, &["9007199254740992.0"]);
    check(r#"{"a":-9007199254740994}"#, &want, &["-9007199254740994.0"]);
    check(r#"{"a":100000000000000000000}"#, &want, &["1e20"]);
    check(r#"{"a":100000000000000000001}"#, &want, &[NO]);
    let large = format!("{{\"a\":1{}}}", "0".repeat(22));
    check(&large, &want, &["1e22"]);
    check(&large.replace("0}", "00}"), &want, &[NO]);
    let power = format!("{:.0}", 2_f64.powi(1_000));
    check(&format!("{{\"a\":{power}}}"), &want, &["1.0715086071862673e301"]);
}

#[test]
fn decimals_have_20_digits_before_the_point_and_18_after() {
    let want = [("a", Decimal)];
    check(r#"{"a":0.000000000000000001}"#, &want, &["0.000000000000000001"]);
    check(r#"{"a":0.0000000000000000010}"#, &want, &["0.000000000000000001"]);
    check(r#"{"a":0.0000000000000000011}"#, &want, &[NO]);
    check(r#"{"a":99999999999999999999.999999999999999999}"#, &want, &["99999999999999999999.999999999999999999"]);
    check(r#"{"a":100000000000000000000}"#, &want, &[NO]);
    check(r#"{"a":-1e19}"#, &want, &["-10000000000000000000"]);
    check(r#"{"a":1e20}"#, &want, &[NO]);
    check(r#"{"a":0.1}"#, &want, &["0.1"]);
}

#[test]
fn strings_are_unescaped_where_they_are_text() {
    let wants = [("a", Text), ("a", Kind::Json)];
    check(r#"{"a":"Grüße, 世界 🌍"}"#, &wants, &["Grüße, 世界 🌍", r#""Grüße, 世界 🌍""#]);
    check(r#"{"a":"\"\\\/\b\f\n\r\t"}"#, &wants, &["\"\\/\u{8}\u{c}\n\r\t", r#""\"\\\/\b\f\n\r\t""#]);
    check(
        r#"{"a":"\u0041\u00e9\u4E16x\uD83C\uDF0D!"}"#,
        &wants,
        &["Aé世x🌍!", r#""\u0041\u00e9\u4E16x\uD83C\uDF0D!""#],
    );
    check(r#"{"a":"\u0000"}"#, &wants, &["\0", r#""\u0000""#]);
    check(r#"{"a":"12345678\n12345678"}"#, &wants, &["12345678\n12345678", r#""12345678\n12345678""#]);
    check(r#"{"a":"QUJ\u0044"}"#, &[("a", Binary)], &["414243"]);
    check(r#"{"a":"2026-11-22T05:00:00\u005A"}"#, &[("a", Timestamp)], &["1795323600000000"]);
}

#[test]
fn base64_is_the_standard_alphabet_with_padding() {
    for (text, bytes) in [("Zg==", "66"), ("Zm8=", "666f"), ("Zm9v", "666f6f"), ("+/8=", "fbff")] {
        check(&format!("{{\"a\":\"{text}\"}}"), &[("a", Binary)], &[bytes]);
    }
    for text in ["Zg", "Zg=", "Zh==", "Z", "-_8=", "Zm9v\\n", " Zm9v", "Zm9v===="] {
        check(&format!("{{\"a\":\"{text}\"}}"), &[("a", Binary)], &[NO]);
    }
}

#[test]
fn a_cell_tells_absent_from_null_from_mismatch() {
    let wants = [("a", Int64), ("a.b", Int64), ("a.b.c", Text), ("a.d", Kind::Json)];
    check("{}", &wants, &["absent"; 4]);
    check(r#"{"a":null}"#, &wants, &["null", "absent", "absent", "absent"]);
    check(r#"{"a":1}"#, &wants, &["1", NO, NO, NO]);
    check(r#"{"a":[{"b":1}]}"#, &wants, &[NO, NO, NO, NO]);
    check(r#"{"a":{}}"#, &wants, &[NO, "absent", "absent", "absent"]);
    check(r#"{"a":{"b":null}}"#, &wants, &[NO, "null", "absent", "absent"]);
    check(r#"{"a":{"b":7,"d":{"e":[]}}}"#, &wants, &[NO, "7", NO, r#"{"e":[]}"#]);
    check(r#"{"a":{"d":null,"b":{"c":"x"}}}"#, &wants, &[NO, NO, "x", "null"]);
}

#[test]
fn the_last_of_equal_names_counts() {
    let wants = [("a", Int64), ("a.b", Text), ("a.c", Text)];
    check(r#"{"a":1,"a":2}"#, &wants, &["2", NO, NO]);
    check(r#"{"a":1,"\u0061":2}"#, &wants, &["2", NO, NO]);
    check(r#"{"a":1,"a":null}"#, &wants, &["null", "absent", "absent"]);
    check(r#"{"a":1,"a":"x"}"#, &wants, &[NO, NO, NO]);
    check(r#"{"a":{"b":"x","c":"y"},"a":{"c":"z"}}"#, &wants, &[NO, "absent", "z"]);
    check(r#"{"a":{"b":"x"},"a":{}}"#, &wants, &[NO, "absent", "absent"]);
    check(r#"{"a":{"b":"x"},"a":5}"#, &wants, &["5", NO, NO]);
    check(r#"{"a":{"b":"x"},"a":null}"#, &wants, &["null", "absent", "absent"]);
    check(r#"{"a":{"b":"x","b":"longer"}}"#, &wants, &[NO, "longer", "absent"]);
    check(r#"{"a":{"b":"longer","b":1}}"#, &wants, &[NO, NO, "absent"]);
}

#[test]
fn names_are_compared_after_unescaping() {
    let wants = [("größe", Int64), ("a\"b", Int64), ("\n", Int64)];
    check(r#"{"gr\u00f6\u00dfe":1,"a\"b":2,"\n":3}"#, &wants, &["1", "2", "3"]);
    check(r#"{"größe":1,"a\u0022b":2,"\u000A":3}"#, &wants, &["1", "2", "3"]);
    check(r#"{"gro\u00dfe":1,"a\\\"b":2,"n":3}"#, &wants, &["absent"; 3]);
}

#[test]
fn long_and_similar_names_are_told_apart() {
    let long = "x".repeat(200);
    let wants = [("abcdefghijklmnop", Int64), ("abcdefghijklmnoq", Int64), ("abcdefg", Int64), (long.as_str(), Int64)];
    let document =
        format!("{{\"abcdefghijklmnoq\":1,\"abcdefghijklmno\":9,\"abcdefghijklmnop\":2,\"abcdefg\":3,\"{long}\":4}}");
    check(&document, &wants, &["2", "1", "3", "4"]);
}

#[test]
fn the_empty_path_is_the_whole_document() {
    let wants = [("", Kind::Json), ("", Int64), ("a", Int64)];
    check(" {\"a\": 1 }\n", &wants, &["{\"a\": 1 }", NO, "1"]);
    check("[1,2] ", &wants, &["[1,2]", NO, NO]);
    check(" 42 ", &wants, &["42", "42", NO]);
    check("\"x\"", &wants, &["\"x\"", NO, NO]);
    check(" null ", &wants, &["absent"; 3]);
    check("true", &[("", Boolean), ("", Text)], &["true", NO]);
}

#[test]
fn keys_are_read_under_their_own_names() {
    let wants = [("$key", Text), ("$key", Int64), ("$key.id", Int64), ("$key", Kind::Json)];
    let check = |key: &str, cells: [&str; 4]| check_convert(&Json, Side::Key, key.as_bytes(), &wants, &cells);
    check(r#""S\u00301""#, ["S01", NO, NO, r#""S\u00301""#]);
    check("17", ["17", "17", NO, "17"]);
    check("true", ["true", NO, NO, "true"]);
    check(r#" {"id": 5} "#, [r#"{"id": 5}"#, NO, "5", r#"{"id": 5}"#]);
    check("[1]", ["[1]", NO, NO, "[1]"]);
    check("null", ["absent"; 4]);
}

#[test]
fn a_null_key_and_a_tombstone_have_no_fields() {
    let records = origin(vec![record(None, None), record(Some(b"1"), Some(b"{\"a\":2}")), record(None, None)]);
    let keys = pull(&Json, Side::Key, &records, &[("$key", Int64)]);
    let values = pull(&Json, Side::Value, &records, &[("a", Int64)]);
    assert!(keys.malformed.is_empty() && values.malformed.is_empty());
    let cells = |column| (0..3).map(|row| cell(column, row)).collect::<Vec<_>>();
    assert_eq!(cells(&keys.columns[0]), ["absent", "1", "absent"]);
    assert_eq!(cells(&values.columns[0]), ["absent", "2", "absent"]);
}

#[test]
fn documents_that_are_null_are_told_from_empty_ones() {
    let pulled = pull(&Json, Side::Value, &values(&["null", "{}", " null ", r#"{"a":null}"#, "nul"]), &[("a", Int64)]);
    assert_eq!(pulled.nulls, [0, 2]);
    assert_eq!(pulled.malformed.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [4]);
    let cells: Vec<_> = (0..5).map(|row| cell(&pulled.columns[0], row)).collect();
    assert_eq!(cells, ["absent", "absent", "absent", "null", "null"]);
}

#[test]
fn fields_of_the_other_side_are_refused() {
    let sentence = "field $key is not part of a JSON value; name a path into it";
    check_refused(&Json, Side::Value, &[("$key", Text)], sentence);
    check_refused(&Json, Side::Key, &[("a", Text)], "field a is not part of a JSON key; name a path into it");
    let deep = ["a"; 129].join(".");
    let sentence = format!("field {deep} has more than 128 segments; name one less deep");
    check_refused(&Json, Side::Value, &[(&deep, Text)], &sentence);
}

#[test]
fn columns_without_gaps_carry_no_bitmaps() {
    let run = values(&[r#"{"a":1,"b":"x"}"#; 20]);
    let full = pull(&Json, Side::Value, &run, &[("a", Int64), ("b", Text)]);
    for column in &full.columns {
        assert!(column.array.nulls().is_none() && column.absent.is_none() && column.mismatch.is_none());
    }
    let run = values(&[r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":1}"#]);
    let nulls = pull(&Json, Side::Value, &run, &[("a", Int64)]);
    assert!(nulls.columns[0].absent.is_none() && nulls.columns[0].mismatch.is_none());
    assert_eq!(nulls.columns[0].array.null_count(), 1);
}
