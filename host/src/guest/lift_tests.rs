//! Columns as guests hand them over: what becomes an array, and each way of being wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use arrow_array::types::{Float64Type, Int64Type};

use super::*;

fn field(kind: Kind) -> Field {
    Field { path: "f".into(), kind }
}

fn column(values: wit::ValuesResult) -> wit::ColumnResult {
    wit::ColumnResult { field: 0, validity: Vec::new(), absent: Vec::new(), values }
}

fn texts(bytes: &str, offsets: &[u32]) -> wit::TextsResult {
    wit::TextsResult { bytes: bytes.as_bytes().to_vec(), offsets: offsets.to_vec() }
}

fn lifted(kind: Kind, rows: usize, column: wit::ColumnResult) -> Result<Column, Fault> {
    lift(&field(kind), rows, column, &mut Budget::new(1 << 20))
}

#[track_caller]
fn refused(kind: Kind, rows: usize, column: wit::ColumnResult, expected: &str) {
    match lifted(kind, rows, column) {
        Err(Fault::Contract(what)) => assert!(what.contains(expected), "{what} does not say {expected}"),
        other => panic!("{other:?} instead of a contract fault with {expected}"),
    }
}

#[test]
fn every_kind_becomes_its_array() {
    let ints = lifted(Kind::Int64, 2, column(wit::ValuesResult::Int64s(vec![1, -1]))).unwrap();
    assert_eq!(ints.array.as_primitive::<Int64Type>().values(), &[1, -1]);
    let times = lifted(Kind::Timestamp, 1, column(wit::ValuesResult::Int64s(vec![7]))).unwrap();
    assert_eq!(times.array.data_type(), &arrow_type(Kind::Timestamp, 0));
    let bools = lifted(Kind::Boolean, 9, column(wit::ValuesResult::Booleans(vec![0b101, 1]))).unwrap();
    let bools: Vec<bool> = bools.array.as_boolean().values().iter().collect();
    assert_eq!(bools, [true, false, true, false, false, false, false, false, true]);
    let words = lifted(Kind::Text, 3, column(wit::ValuesResult::Texts(texts("aéb", &[0, 1, 3, 4])))).unwrap();
    assert_eq!(words.array.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "é", "b"]);
    let bytes = wit::TextsResult { bytes: vec![255, 0], offsets: vec![0, 0, 2] };
    let bytes = lifted(Kind::Binary, 2, column(wit::ValuesResult::Binaries(bytes))).unwrap();
    assert_eq!(bytes.array.as_binary::<i32>().value(1), [255, 0]);
    let decimals = wit::DecimalsResult { words: vec![150, 0, u64::MAX, u64::MAX], scale: 2 };
    let decimals = lifted(Kind::Decimal, 2, column(wit::ValuesResult::Decimals(decimals))).unwrap();
    let decimals = decimals.array.as_primitive::<Decimal128Type>();
    assert_eq!((decimals.value_as_string(0), decimals.value_as_string(1)), ("1.50".to_owned(), "-0.01".to_owned()));
}

#[test]
fn every_nan_becomes_the_same_nan() {
    let odd = f64::from_bits(0xfff8_0000_0000_0123);
    let floats = lifted(Kind::Float64, 3, column(wit::ValuesResult::Float64s(vec![odd, -0.0, f64::INFINITY]))).unwrap();
    let bits: Vec<u64> = floats.array.as_primitive::<Float64Type>().values().iter().map(|v| v.to_bits()).collect();
    assert_eq!(bits, [f64::NAN.to_bits(), (-0.0f64).to_bits(), f64::INFINITY.to_bits()]);
}

#[test]
fn null_and_absent_are_told_apart() {
    let mut given = column(wit::ValuesResult::Int64s(vec![1, 2, 3]));
    (given.validity, given.absent) = (vec![0b001], vec![0b100]);
    let column = lifted(Kind::Int64, 3, given).unwrap();
    let seen: Vec<_> = (0..3).map(|row| (column.array.is_valid(row), column.is_absent(row))).collect();
    assert_eq!(seen, [(true, false), (false, false), (false, true)]);
    let mut all_valid = self::column(wit::ValuesResult::Int64s(vec![1, 2, 3]));
    (all_valid.validity, all_valid.absent) = (vec![0b1111_1111], vec![0]);
    let column = lifted(Kind::Int64, 3, all_valid).unwrap();
    assert!(column.array.nulls().is_none() && column.absent.is_none(), "bitmaps that say nothing are dropped");
}

#[test]
fn a_dictionary_becomes_its_texts() {
    let values = texts("abc", &[0, 1, 3]);
    let mut given = column(wit::ValuesResult::Dictionary(wit::DictionaryResult { ids: vec![1, 0, 77, 1], values }));
    given.validity = vec![0b1011];
    let words = lifted(Kind::Text, 4, given).unwrap();
    let words: Vec<Option<&str>> = words.array.as_string::<i32>().iter().collect();
    assert_eq!(words, [Some("bc"), Some("a"), None, Some("bc")], "the slot of a null may hold any id");
    let nothing = wit::DictionaryResult { ids: vec![0, 0], values: texts("", &[0]) };
    let mut given = column(wit::ValuesResult::Dictionary(nothing));
    given.validity = vec![0];
    assert_eq!(lifted(Kind::Json, 2, given).unwrap().array.null_count(), 2);
}

#[test]
fn lengths_that_do_not_fit_the_rows_are_named() {
    refused(Kind::Int64, 2, column(wit::ValuesResult::Int64s(vec![1])), "1 values, not 2");
    refused(Kind::Float64, 1, column(wit::ValuesResult::Float64s(vec![1.0; 3])), "3 values, not 1");
    refused(Kind::Timestamp, 1, column(wit::ValuesResult::Int64s(Vec::new())), "0 values, not 1");
    refused(Kind::Boolean, 9, column(wit::ValuesResult::Booleans(vec![0])), "1 value bytes, not 2");
    refused(Kind::Text, 2, column(wit::ValuesResult::Texts(texts("ab", &[0, 2]))), "2 offsets, not 3");
    refused(Kind::Text, 0, column(wit::ValuesResult::Texts(texts("", &[]))), "0 offsets, not 1");
    let decimals = wit::DecimalsResult { words: vec![1, 2, 3], scale: 0 };
    refused(Kind::Decimal, 2, column(wit::ValuesResult::Decimals(decimals)), "3 words, not 4");
    let ids = wit::DictionaryResult { ids: vec![0], values: texts("a", &[0, 1]) };
    refused(Kind::Text, 2, column(wit::ValuesResult::Dictionary(ids)), "1 ids, not 2");
    for (validity, absent, expected) in
        [(vec![1, 1], Vec::new(), "2 validity bytes, not 1"), (vec![0], vec![1, 2, 3], "3 absent bytes, not 1")]
    {
        let values = wit::ValuesResult::Int64s(vec![1]);
        refused(Kind::Int64, 1, wit::ColumnResult { field: 0, validity, absent, values }, expected);
    }
}

#[test]
fn offsets_that_do_not_cut_the_bytes_are_named() {
    refused(Kind::Text, 2, column(wit::ValuesResult::Texts(texts("abc", &[0, 3, 1]))), "from 0 to 1, not from 0 to 3");
    refused(Kind::Text, 2, column(wit::ValuesResult::Texts(texts("abc", &[1, 2, 3]))), "from 1 to 3, not from 0 to 3");
    refused(Kind::Text, 3, column(wit::ValuesResult::Texts(texts("abc", &[0, 2, 1, 3]))), "fall at row 1: [2, 1]");
    refused(Kind::Binary, 2, column(wit::ValuesResult::Binaries(texts("abc", &[0, u32::MAX, 3]))), "fall at row 1");
}

#[test]
fn texts_are_utf8_each_by_itself() {
    let broken = wit::TextsResult { bytes: vec![b'a', 0xff], offsets: vec![0, 1, 2] };
    refused(Kind::Text, 2, column(wit::ValuesResult::Texts(broken)), "is not UTF-8");
    refused(Kind::Json, 2, column(wit::ValuesResult::Texts(texts("é", &[0, 1, 2]))), "is not UTF-8");
    let values = wit::TextsResult { bytes: vec![0xc3], offsets: vec![0, 1] };
    let dictionary = wit::DictionaryResult { ids: vec![0], values };
    refused(Kind::Text, 1, column(wit::ValuesResult::Dictionary(dictionary)), "is not UTF-8");
}

#[test]
fn ids_beyond_the_dictionary_are_named() {
    let dictionary = wit::DictionaryResult { ids: vec![0, 2], values: texts("ab", &[0, 1, 2]) };
    refused(
        Kind::Text,
        2,
        column(wit::ValuesResult::Dictionary(dictionary)),
        "id 2 at row 1 in a dictionary of 2 texts",
    );
    let empty = wit::DictionaryResult { ids: vec![0], values: texts("", &[0]) };
    refused(Kind::Text, 1, column(wit::ValuesResult::Dictionary(empty)), "in a dictionary of 0 texts");
}

#[test]
fn other_kinds_than_the_plan_says_are_named() {
    refused(Kind::Float64, 1, column(wit::ValuesResult::Int64s(vec![1])), "holds int64s, but the plan says float64");
    refused(
        Kind::Text,
        1,
        column(wit::ValuesResult::Binaries(texts("a", &[0, 1]))),
        "holds binaries, but the plan says text",
    );
    refused(Kind::Binary, 1, column(wit::ValuesResult::Other((9, vec![1]))), "holds other, but the plan says binary");
}

#[test]
fn decimals_have_at_most_38_digits_and_a_scale_within_them() {
    let huge = wit::DecimalsResult { words: vec![u64::MAX, u64::MAX >> 1], scale: 0 };
    refused(Kind::Decimal, 1, column(wit::ValuesResult::Decimals(huge.clone())), "more than 38 digits");
    let mut null = column(wit::ValuesResult::Decimals(huge));
    null.validity = vec![0];
    assert_eq!(lifted(Kind::Decimal, 1, null).unwrap().array.null_count(), 1, "the slot of a null holds any value");
    let fine = wit::DecimalsResult { words: vec![1, 0], scale: 39 };
    refused(Kind::Decimal, 1, column(wit::ValuesResult::Decimals(fine)), "scale 39; the largest is 38");
}

#[test]
fn a_row_is_not_both_absent_and_valid() {
    for validity in [Vec::new(), vec![0b10]] {
        let values = wit::ValuesResult::Int64s(vec![1, 2]);
        refused(
            Kind::Int64,
            2,
            wit::ColumnResult { field: 0, validity, absent: vec![0b10], values },
            "both absent and valid",
        );
    }
}

#[test]
fn what_a_dictionary_stands_for_counts_as_handed_over() {
    let text = "x".repeat(1000);
    let dictionary = wit::DictionaryResult { ids: vec![0; 100], values: texts(&text, &[0, 1000]) };
    let mut budget = Budget::new(10_000);
    let over = lift(&field(Kind::Text), 100, column(wit::ValuesResult::Dictionary(dictionary)), &mut budget);
    assert!(matches!(over, Err(Fault::Limit(what)) if what.contains("in one call; its limit is ")));
}

#[test]
fn joined_decimals_share_the_largest_scale() {
    let decimals = |word: u64, scale| {
        let values = wit::DecimalsResult { words: vec![word, 0], scale };
        lifted(Kind::Decimal, 1, column(wit::ValuesResult::Decimals(values))).unwrap()
    };
    let joined = concat(&[&decimals(15, 1), &decimals(1234, 3), &decimals(2, 0)]).unwrap();
    let joined = joined.array.as_primitive::<Decimal128Type>();
    let shown: Vec<String> = (0..3).map(|row| joined.value_as_string(row)).collect();
    assert_eq!(shown, ["1.500", "1.234", "2.000"]);
    assert!(concat(&[&decimals(u64::MAX, 0), &decimals(1, 38)]).unwrap_err().contains("38 digits"));
}

#[test]
fn joined_columns_keep_what_is_absent() {
    let ints = |absent: Option<u8>| {
        let validity = absent.map_or(Vec::new(), |bits| vec![!bits]);
        let absent = absent.map_or(Vec::new(), |bits| vec![bits]);
        let values = wit::ValuesResult::Int64s(vec![1, 2]);
        lifted(Kind::Int64, 2, wit::ColumnResult { field: 0, validity, absent, values }).unwrap()
    };
    let joined = concat(&[&ints(None), &ints(Some(0b10)), &ints(None)]).unwrap();
    let absent: Vec<bool> = (0..6).map(|row| joined.is_absent(row)).collect();
    assert_eq!(absent, [false, false, false, true, false, false]);
    assert_eq!(joined.array.null_count(), 1);
}
