//! COPY bytes against goldens, cuts of the input, withdrawn records, and what a row costs.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::BooleanBuffer;
use proptest::prelude::*;

use super::super::rows;
use super::super::types::ColumnType;
use super::*;
use crate::record::origin::{OwnedPayloads, OwnedRecord};
use crate::record::{Decoded, Kind, Lane, Origin, Path};

/// 2026-09-21T14:13:20.123456Z in µs since 1970.
const TIME_US: i64 = 1_790_000_000_123_456;

fn field(name: &str, column_type: ColumnType) -> Bound {
    let want = Want { path: Path::new(name), kind: column_type.kind(), required: false };
    let (name, type_name) = (name.to_owned(), format!("{column_type:?}").to_lowercase());
    Bound { name, column_type, type_name, not_null: false, source: Source::Field(want) }
}

/// Records at these offsets; those at `tombstones` have no value.
fn origin(offsets: Vec<i64>, tombstones: &[i64]) -> Arc<Origin> {
    let next = offsets.last().map_or(0, |last| last + 1);
    let times = vec![0; offsets.len()];
    let value = |offset: &i64| (!tombstones.contains(offset)).then(|| b"{}".to_vec());
    let record = |offset: &i64| OwnedRecord { value: value(offset), ..OwnedRecord::default() };
    let payloads = Arc::new(OwnedPayloads { records: offsets.iter().map(record).collect() });
    Arc::new(Origin::new(Lane::new("ticks", 3), offsets, times, next, 0, payloads))
}

/// A batch whose record i has offset 100 + i.
fn batch(rows: Rows, columns: Vec<(&str, Column)>) -> Batch {
    let records = columns.first().map_or(rows.len(), |(_, column)| column.array.len());
    let columns = columns.into_iter().map(|(name, column)| (Path::new(name), column)).collect();
    let offsets = (0..records as i64).map(|record| 100 + record).collect();
    Batch::new(origin(offsets, &[]), Decoded { columns, ..Decoded::default() }, rows)
}

fn encoder(columns: Vec<Bound>) -> CopyEncoder {
    CopyEncoder::new(0, "public.t".to_owned(), columns, true)
}

fn encode(encoder: &mut CopyEncoder, batch: &Batch) -> (Vec<u8>, Vec<i64>, Vec<RowError>) {
    let (mut data, mut lines) = (Vec::new(), Vec::new());
    let errors = encoder.encode(batch, &mut data, &mut lines).unwrap();
    assert_eq!(rows::rows(&data).count(), lines.len(), "as many encoded rows as lines");
    assert_eq!(rows::rows(&data).map(<[u8]>::len).sum::<usize>(), data.len(), "whole rows only");
    (data, lines, errors)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hex of one value's cell, its length included.
fn cell(column_type: ColumnType, kind: Kind, array: ArrayRef) -> String {
    let mut bound = field("f", column_type);
    bound.source = Source::Field(Want { path: Path::new("f"), kind, required: false });
    let batch = batch(Rows::All(1), vec![("f", Column::of(kind, array))]);
    let (data, lines, errors) = encode(&mut encoder(vec![bound]), &batch);
    assert_eq!((lines, errors), (vec![100], vec![]));
    let (count, cell) = data.split_at(2);
    assert_eq!(count, [0, 1]);
    hex(cell)
}

fn time(us: i64) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![us]).with_timezone("UTC"))
}

#[test]
fn every_type_has_its_bytes() {
    let int = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    let float = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value])) };
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let decimal = Decimal128Array::from(vec![-12_345_i128]).with_precision_and_scale(38, 2);
    // Each right-hand side is what PostgreSQL 15's own COPY … TO (FORMAT binary) prints for the value.
    let table: Vec<(ColumnType, Kind, ArrayRef, &str)> = vec![
        (ColumnType::Int2, Kind::Int64, int(-2), "00000002fffe"),
        (ColumnType::Int4, Kind::Int64, int(-2), "00000004fffffffe"),
        (ColumnType::Int8, Kind::Int64, int(-2), "00000008fffffffffffffffe"),
        (ColumnType::Float4, Kind::Float64, float(1.5), "000000043fc00000"),
        (ColumnType::Float8, Kind::Float64, float(1.5), "000000083ff8000000000000"),
        (ColumnType::Boolean, Kind::Boolean, Arc::new(BooleanArray::from(vec![true])), "0000000101"),
        (ColumnType::Text(None), Kind::Text, text("žá"), "00000004c5bec3a1"),
        (ColumnType::Enum, Kind::Text, text("buy"), "00000003627579"),
        (ColumnType::Json, Kind::Json, text("{}"), "000000027b7d"),
        (ColumnType::Jsonb, Kind::Json, text("{}"), "00000003017b7d"),
        (ColumnType::Bytea, Kind::Binary, Arc::new(BinaryArray::from(vec![&b"\0\xff"[..]])), "0000000200ff"),
        (ColumnType::Timestamp, Kind::Timestamp, time(TIME_US), "000000080002fefd9eefe240"),
        (ColumnType::Timestamp, Kind::Timestamp, time(0), "00000008fffca2fec4c82000"),
        (ColumnType::Date, Kind::Timestamp, time(TIME_US), "0000000400002620"),
        (ColumnType::Date, Kind::Timestamp, time(-1), "00000004ffffd532"),
        (
            ColumnType::Uuid,
            Kind::Text,
            text("67e55044-10b1-426f-9247-bb680e5fe0c8"),
            "0000001067e5504410b1426f9247bb680e5fe0c8",
        ),
        (ColumnType::Numeric(None), Kind::Decimal, Arc::new(decimal.unwrap()), "0000000c0002000040000002007b1194"),
        (ColumnType::Numeric(None), Kind::Int64, int(7), "0000000a00010000000000000007"),
        (ColumnType::Numeric(None), Kind::Float64, float(0.1), "0000000a0001ffff0000000103e8"),
    ];
    for (column_type, kind, array, expected) in table {
        assert_eq!(cell(column_type, kind, array), expected, "{column_type:?} from {kind}");
    }
}

#[test]
fn a_stream_is_header_rows_and_trailer() {
    assert_eq!(hex(&HEADER), "5047434f50590aff0d0a000000000000000000");
    assert_eq!(hex(&TRAILER), "ffff");
}

fn ticks() -> Vec<Bound> {
    vec![
        Bound { not_null: true, ..field("ts", ColumnType::Timestamp) },
        field("symbol", ColumnType::Text(None)),
        field("price", ColumnType::Float8),
        field("volume", ColumnType::Int8),
        field("sma", ColumnType::Float8),
    ]
}

fn tick_columns(rows: usize) -> Vec<(&'static str, Column)> {
    let n = rows as i64;
    let times = (0..n).map(|row| TIME_US + row).collect::<Vec<_>>();
    let symbols = (0..n).map(|row| format!("S{:04}", row % 1_000)).collect::<Vec<_>>();
    let prices = (0..n).map(|row| Some(row as f64)).collect::<Vec<_>>();
    // The first rows of an average are null.
    let averages = (0..n).map(|row| (row > 2).then_some(row as f64 / 3.0)).collect::<Vec<_>>();
    vec![
        ("ts", Column::of(Kind::Timestamp, Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")))),
        ("symbol", Column::of(Kind::Text, Arc::new(StringArray::from(symbols)))),
        ("price", Column::of(Kind::Float64, Arc::new(Float64Array::from(prices)))),
        ("volume", Column::of(Kind::Int64, Arc::new((0..n).map(Some).collect::<Int64Array>()))),
        ("sma", Column::of(Kind::Float64, Arc::new(Float64Array::from(averages)))),
    ]
}

#[test]
fn a_tick_is_59_bytes_with_its_nulls_shorter() {
    let (data, lines, errors) = encode(&mut encoder(ticks()), &batch(Rows::All(4), tick_columns(4)));
    assert!(errors.is_empty());
    assert_eq!(lines, [100, 101, 102, 103]);
    let sizes: Vec<usize> = rows::rows(&data).map(<[u8]>::len).collect();
    assert_eq!(sizes, [51, 51, 51, 59]);
    assert_eq!(
        hex(rows::rows(&data).next().unwrap()),
        "0005\
         000000080002fefd9eefe240\
         000000055330303030\
         000000080000000000000000\
         000000080000000000000000\
         ffffffff"
    );
}

#[test]
fn coordinates_are_the_record_s_own() {
    let coordinate = |name: &str, column_type, source| Bound { source, ..field(name, column_type) };
    let columns = vec![
        coordinate("kafka_topic", ColumnType::Text(None), Source::Topic),
        coordinate("kafka_partition", ColumnType::Int4, Source::Partition),
        coordinate("kafka_offset", ColumnType::Int8, Source::Offset),
    ];
    let mut encoder = encoder(columns);
    assert!(encoder.wants().is_empty(), "coordinates are not pulled from the record's value");
    let batch = batch(Rows::Picked(vec![1, 1].into()), tick_columns(2));
    let (data, lines, _) = encode(&mut encoder, &batch);
    assert_eq!(lines, [101, 101]);
    let row = "0003000000057469636b730000000400000003000000080000000000000065";
    assert_eq!(hex(&data), row.repeat(2));
}

#[test]
fn a_record_one_of_whose_rows_is_refused_leaves_no_row() {
    // Record 1 has three rows; the written field of its second one is null where null is refused.
    let mut batch = batch(Rows::Picked(vec![0, 1, 1, 1, 2].into()), tick_columns(3));
    let written = Float64Array::from(vec![Some(1.0), Some(2.0), None, Some(4.0), Some(5.0)]);
    batch.write(Path::new("sma"), Column::of(Kind::Float64, Arc::new(written)));
    let columns =
        vec![field("symbol", ColumnType::Text(None)), Bound { not_null: true, ..field("sma", ColumnType::Float8) }];
    let (data, lines, errors) = encode(&mut encoder(columns), &batch);
    assert_eq!(lines, [100, 102]);
    assert_eq!(rows::rows(&data).count(), 2);
    let error = errors.first().unwrap();
    assert_eq!((errors.len(), error.record, error.field.as_deref()), (1, 1, Some("sma")));
    assert_eq!(error.stage, crate::record::Stage::Sink);
}

#[test]
fn a_column_of_another_length_or_type_is_an_error_and_leaves_nothing() {
    let batch_of = |column: Column| {
        let mut batch = batch(Rows::All(2), tick_columns(2));
        batch.write(Path::new("sma"), column);
        batch
    };
    let mut encoder = encoder(ticks());
    let (mut data, mut lines) = (vec![7], vec![7]);
    let short = Column::of(Kind::Float64, Arc::new(Float64Array::from(vec![1.0])));
    let error = encoder.encode(&batch_of(short), &mut data, &mut lines).unwrap_err();
    assert_eq!(error.to_string(), "field sma has 1 cells for 2 rows");
    let texts = Column { kind: Kind::Float64, ..Column::of(Kind::Text, Arc::new(StringArray::from(vec!["", ""]))) };
    let error = encoder.encode(&batch_of(texts), &mut data, &mut lines).unwrap_err();
    assert_eq!(error.to_string(), "column \"sma\" (float8) was given a float64 array of another type");
    let beyond = batch(Rows::Picked(vec![0, 9].into()), vec![]);
    let error = CopyEncoder::new(0, "t".to_owned(), vec![], true).encode(&beyond, &mut data, &mut lines);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!((data, lines), (vec![7], vec![7]));
}

/// A column of 600 cells a batch whose field is absent up to a row of the whole stream.
fn absent_until(present: usize, batch_number: usize) -> Column {
    let rows = batch_number * 600..(batch_number + 1) * 600;
    let absent = rows.map(|row| row < present).collect::<BooleanBuffer>();
    let values = Float64Array::from(vec![None::<f64>; 600]);
    Column { absent: Some(absent), ..Column::of(Kind::Float64, Arc::new(values)) }
}

fn stream(present: usize, missing_null: bool) -> Result<Vec<RowError>> {
    let columns = vec![field("price", ColumnType::Float8)];
    let mut encoder = CopyEncoder::new(0, "public.t".to_owned(), columns, missing_null);
    let mut errors = Vec::new();
    for number in 0..3 {
        let batch = batch(Rows::All(600), vec![("price", absent_until(present, number))]);
        errors.extend(encoder.encode(&batch, &mut Vec::new(), &mut Vec::new())?);
    }
    Ok(errors)
}

#[test]
fn a_field_that_none_of_the_first_records_has_fails_the_task() {
    let sentence = "none of the first 1000 records has a field \"price\" for column \"price\" of table \
                    public.t: list the fields to write in `fields`, or set `fields.missing: null`";
    assert_eq!(stream(1_000, false).unwrap_err().to_string(), sentence);
    assert_eq!(stream(1_000, false).unwrap_err().kind(), ErrorKind::TableMismatch);
    assert_eq!(stream(999, false).unwrap(), [], "the 1000th record has it");
    assert_eq!(stream(1_000, true).unwrap(), [], "told that it may be missing");
}

#[test]
fn what_an_earlier_claim_has_passed_is_not_asked_for_again() {
    let columns = || vec![field("price", ColumnType::Float8)];
    for (rows, fails) in [(999, true), (1_000, false)] {
        let mut encoder = CopyEncoder::new(0, "public.t".to_owned(), columns(), false);
        encoder.resume(rows);
        let missing = batch(Rows::All(1_200), vec![("price", absent_column(1_200))]);
        let outcome = encoder.encode(&missing, &mut Vec::new(), &mut Vec::new());
        assert_eq!(outcome.is_err(), fails, "after {rows} rows");
    }
}

fn absent_column(rows: usize) -> Column {
    let absent = Some(BooleanBuffer::new_set(rows));
    Column { absent, ..Column::of(Kind::Float64, Arc::new(Float64Array::from(vec![None::<f64>; rows]))) }
}

/// Tombstones at the offsets given, other records without a field, up to `records`, in one batch.
fn with_tombstones(records: usize, tombstones: &[i64]) -> Batch {
    let decoded = Decoded { columns: vec![(Path::new("price"), absent_column(records))], ..Decoded::default() };
    Batch::new(origin((0..records as i64).collect(), tombstones), decoded, Rows::All(records))
}

#[test]
fn a_tombstone_is_refused_unless_a_stage_has_written_into_it() {
    let columns = || vec![field("price", ColumnType::Float8), field("sma", ColumnType::Float8)];
    let written = |absent: Option<BooleanBuffer>| {
        let mut batch = with_tombstones(3, &[1]);
        let sma = Column { absent, ..Column::of(Kind::Float64, Arc::new(Float64Array::from(vec![None::<f64>; 3]))) };
        batch.write(Path::new("sma"), sma);
        batch
    };
    let (_, lines, errors) = encode(&mut encoder(columns()), &written(Some(BooleanBuffer::new_set(3))));
    assert_eq!(lines, [0, 2], "a record with a value and no field is a row of nulls");
    let message = "its value is null, which asks for a delete, and rows are only added to table public.t".to_owned();
    assert_eq!(errors, [RowError { record: 1, stage: crate::record::Stage::Sink, field: None, message }]);
    let (_, lines, errors) = encode(&mut encoder(columns()), &written(None));
    assert_eq!((lines, errors), (vec![0, 1, 2], vec![]), "an explicit null is a field");
}

#[test]
fn a_value_that_says_null_is_a_tombstone() {
    let mut batch = with_tombstones(3, &[]);
    Arc::get_mut(&mut batch.decoded).unwrap().nulls = vec![2];
    let (_, lines, errors) = encode(&mut encoder(vec![field("price", ColumnType::Float8)]), &batch);
    assert_eq!((lines, errors.len()), (vec![0, 1], 1));
}

#[test]
fn tombstones_do_not_count_where_a_field_is_looked_for() {
    let columns = || vec![field("price", ColumnType::Float8)];
    let encode = |records: usize, tombstones: &[i64]| {
        let mut encoder = CopyEncoder::new(0, "public.t".to_owned(), columns(), false);
        encoder.encode(&with_tombstones(records, tombstones), &mut Vec::new(), &mut Vec::new())
    };
    let odd: Vec<i64> = (0..1_000).map(|pair| pair * 2).collect();
    assert_eq!(encode(1_999, &odd).unwrap().len(), 1_000, "999 of these records tell");
    assert_eq!(encode(2_000, &odd).unwrap_err().kind(), ErrorKind::TableMismatch, "and here 1000");
}

proptest! {
    /// The bytes of a stream do not depend on how it is cut into batches.
    #[test]
    fn cuts_do_not_show(cuts in proptest::collection::vec(1_usize..40, 1..8), seed in any::<u64>()) {
        let rows: usize = cuts.iter().sum();
        let whole = tick_columns(rows);
        let not_null = seed % 2 == 0;
        let columns = || {
            let mut columns = ticks();
            columns.last_mut().unwrap().not_null = not_null;
            columns
        };
        let (expected, ..) = encode(&mut encoder(columns()), &batch(Rows::All(rows), whole.clone()));
        let (mut data, mut lines, mut start) = (Vec::new(), Vec::new(), 0);
        let mut encoder = encoder(columns());
        for cut in cuts {
            let part = |(name, column): &(&'static str, Column)| {
                (*name, Column { array: column.array.slice(start, cut), ..column.clone() })
            };
            let part = batch(Rows::All(cut), whole.iter().map(part).collect());
            encoder.encode(&part, &mut data, &mut lines).unwrap();
            start += cut;
        }
        prop_assert_eq!(data, expected);
    }
}
