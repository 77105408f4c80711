//! Each check of the encoder: what passes, what is refused, and the sentence.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow_buffer::BooleanBuffer;

use super::*;
use crate::record::origin::OwnedPayloads;
use crate::record::{Decoded, Lane, Origin, Path, Rows, Want};

fn batch(rows: usize) -> Batch {
    let offsets = (0..rows as i64).collect();
    let origin =
        Origin::new(Lane::new("t", 0), offsets, vec![0; rows], rows as i64, 0, Arc::new(OwnedPayloads::default()));
    Batch::new(Arc::new(origin), Decoded::default(), Rows::All(rows))
}

fn bound(column_type: ColumnType, type_name: &str) -> Bound {
    let want = Want { path: Path::new("f"), kind: column_type.kind(), required: false };
    Bound {
        name: "f".to_owned(),
        column_type,
        type_name: type_name.to_owned(),
        not_null: false,
        source: Source::Field(want),
    }
}

/// The refused rows with their sentences.
fn refused(bound: &Bound, cells: &Column) -> Vec<(u32, String)> {
    let batch = batch(cells.array.len());
    let mut refusals = Refusals::new(&batch);
    column(bound, cells, &mut refusals);
    refusals.into_errors().into_iter().map(|error| (error.record, error.message)).collect()
}

fn check(column_type: ColumnType, type_name: &str, array: ArrayRef) -> Vec<(u32, String)> {
    let bound = bound(column_type, type_name);
    refused(&bound, &Column::of(column_type.kind(), array))
}

fn sentences(expected: &[(u32, &str)]) -> Vec<(u32, String)> {
    expected.iter().map(|&(row, message)| (row, message.to_owned())).collect()
}

#[test]
fn integers_fit_their_width() {
    let values = vec![Some(32_767), Some(32_768), None, Some(-32_768), Some(-32_769)];
    assert_eq!(
        check(ColumnType::Int2, "smallint", Arc::new(Int64Array::from(values))),
        sentences(&[
            (1, "32768 does not fit column \"f\" (smallint): it takes -32768 to 32767"),
            (4, "-32769 does not fit column \"f\" (smallint): it takes -32768 to 32767"),
        ])
    );
    let values = vec![i64::from(i32::MAX), i64::from(i32::MAX) + 1];
    assert_eq!(
        check(ColumnType::Int4, "integer", Arc::new(Int64Array::from(values))),
        sentences(&[(1, "2147483648 does not fit column \"f\" (integer): it takes -2147483648 to 2147483647")])
    );
    let values = vec![i64::MIN, i64::MAX];
    assert_eq!(check(ColumnType::Int8, "bigint", Arc::new(Int64Array::from(values))), []);
}

#[test]
fn doubles_that_real_cannot_hold_are_refused() {
    let values = vec![3.4e38, 3.5e38, f64::INFINITY, f64::NAN, 1e-45, 1e-46, 0.0, -0.0, -3.5e38];
    let limits = "(real): it takes 1e-45 to 3.4028235e38 and zero";
    assert_eq!(
        check(ColumnType::Float4, "real", Arc::new(Float64Array::from(values))),
        [(1, "3.5e38"), (5, "1e-46"), (8, "-3.5e38")]
            .map(|(row, value)| (row, format!("{value} does not fit column \"f\" {limits}")))
    );
}

#[test]
fn timestamps_begin_where_postgresql_s_calendar_does() {
    let values = vec![i64::MIN, -210_866_803_200_000_001, -210_866_803_200_000_000, i64::MAX];
    let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"));
    let refused = |type_name: &str| {
        [i64::MIN, -210_866_803_200_000_001].map(|us| {
            format!(
                "timestamp {us} µs since 1970 does not fit column \"f\" ({type_name}): it begins \
                 in 4713 BC"
            )
        })
    };
    let [first, second] = refused("timestamp with time zone");
    let found = check(ColumnType::Timestamp, "timestamp with time zone", Arc::clone(&array));
    assert_eq!(found, [(0, first), (1, second)]);
    let [first, second] = refused("date");
    assert_eq!(check(ColumnType::Date, "date", array), [(0, first), (1, second)]);
}

#[test]
fn texts_are_counted_in_characters_and_may_end_in_spaces() {
    let values = vec!["žluťo", "žluťoučký", "abcde     ", "abcde x", ""];
    assert_eq!(
        check(ColumnType::Text(Some(5)), "character varying(5)", Arc::new(StringArray::from(values))),
        [(1, "text \"žluťoučký\" of 9 characters"), (3, "text \"abcde x\" of 7 characters")].map(|(row, value)| {
            let sentence = format!("{value} does not fit column \"f\" (character varying(5)): it takes 5 characters");
            (row, sentence)
        })
    );
}

#[test]
fn nul_is_found_wherever_it_stands() {
    let long = format!("{}\0", "x".repeat(60));
    let values = vec![Some("plain"), Some("a\0b"), None, Some(&long)];
    for column_type in [ColumnType::Text(None), ColumnType::Enum, ColumnType::Json] {
        let found = check(column_type, "text", Arc::new(StringArray::from(values.clone())));
        let rows: Vec<u32> = found.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [1, 3], "{column_type:?}");
        assert!(found.iter().any(|(_, message)| {
            message
                == "text \"a\\0b\" with a NUL character does not fit column \"f\" (text): no text of PostgreSQL can hold one"
        }));
        let shown = format!("text \"{}…\" with a NUL", "x".repeat(40));
        assert!(found.iter().any(|(_, message)| message.starts_with(&shown)), "{found:?}");
    }
}

#[test]
fn uuids_have_32_digits() {
    let values = vec![
        Some("67e55044-10b1-426f-9247-bb680e5fe0c8"),
        Some("67e5504410b1426f9247bb680e5fe0c8"),
        Some("67e5504410b1426f9247bb680e5fe0c"),
        None,
    ];
    assert_eq!(
        check(ColumnType::Uuid, "uuid", Arc::new(StringArray::from(values))),
        sentences(&[(
            2,
            "text \"67e5504410b1426f9247bb680e5fe0c\" does not fit column \"f\" (uuid): it takes \
             32 hexadecimal digits, with or without hyphens"
        )])
    );
}

#[test]
fn decimals_fit_the_column_s_precision() {
    let array = Decimal128Array::from(vec![Some(99_994), Some(99_995), None, Some(-99_995)]);
    let Ok(array) = array.with_precision_and_scale(38, 3) else {
        panic!("38 digits, 3 of them decimals, is a decimal");
    };
    let limits = "(numeric(4,2)): it takes 4 digits, 2 of them decimals";
    assert_eq!(
        check(ColumnType::Numeric(Some((4, 2))), "numeric(4,2)", Arc::new(array)),
        [(1, "99.995"), (3, "-99.995")]
            .map(|(row, value)| (row, format!("decimal {value} does not fit column \"f\" {limits}")))
    );
}

#[test]
fn null_absent_and_mismatch_are_told_apart() {
    let not_null = Bound { not_null: true, ..bound(ColumnType::Float8, "double precision") };
    let cells = Column {
        kind: Kind::Float64,
        array: Arc::new(Float64Array::from(vec![Some(1.0), None, None, None])),
        absent: Some(BooleanBuffer::from(vec![false, false, true, false])),
        mismatch: Some(BooleanBuffer::from(vec![false, false, false, true])),
    };
    let mismatch = "field \"f\" is no float64, which column \"f\" (double precision) needs";
    assert_eq!(
        refused(&not_null, &cells),
        sentences(&[
            (1, "column \"f\" (double precision) is NOT NULL, but the field is null"),
            (2, "column \"f\" (double precision) is NOT NULL, but the record has no such field"),
            (3, mismatch),
        ])
    );
    let nullable = bound(ColumnType::Float8, "double precision");
    assert_eq!(refused(&nullable, &cells), sentences(&[(3, mismatch)]));
}

#[test]
fn the_first_cause_of_a_record_is_kept_with_its_field() {
    let batch = batch(1);
    let mut refusals = Refusals::new(&batch);
    let cells = Column::of(Kind::Int64, Arc::new(Int64Array::from(vec![40_000])));
    column(&bound(ColumnType::Int2, "smallint"), &cells, &mut refusals);
    let other = Bound { name: "g".to_owned(), ..bound(ColumnType::Int2, "smallint") };
    column(&other, &cells, &mut refusals);
    assert_eq!(refusals.records(), Some(vec![true]));
    let errors = refusals.into_errors();
    assert_eq!(errors.len(), 1);
    let error = errors.first().map(|e| (e.stage, e.field.as_deref(), e.message.as_str()));
    let sentence = "40000 does not fit column \"f\" (smallint): it takes -32768 to 32767";
    assert_eq!(error, Some((Stage::Sink, Some("f"), sentence)));
}
