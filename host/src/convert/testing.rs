//! What the tests of all converters share: runs of records made from bytes, and columns as lists of words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, Decimal128Array};

use super::{Converter, Pulled, Side};
use crate::record::origin::{OwnedPayloads, OwnedRecord};
use crate::record::{Column, Kind, Lane, Origin, Path};

/// A run of records of the lane `ticks-3` with offsets from 100 and timestamps from 1 ms on.
pub fn origin(records: Vec<OwnedRecord>) -> Origin {
    let rows = records.len() as i64;
    let bytes = records.iter().map(|r| r.value.as_ref().map_or(0, Vec::len)).sum();
    let offsets = (100..100 + rows).collect();
    let timestamps = (1..=rows).map(|row| row * 1_000).collect();
    Origin::new(Lane::new("ticks", 3), offsets, timestamps, 100 + rows, bytes, Arc::new(OwnedPayloads { records }))
}

/// A record with that key and value.
pub fn record(key: Option<&[u8]>, value: Option<&[u8]>) -> OwnedRecord {
    OwnedRecord { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec), headers: Vec::new() }
}

/// A run of records without keys.
pub fn values<V: AsRef<[u8]>>(values: &[V]) -> Origin {
    origin(values.iter().map(|value| record(None, Some(value.as_ref()))).collect())
}

/// Wanted fields.
pub fn wants(wants: &[(&str, Kind)]) -> Vec<(Path, Kind)> {
    wants.iter().map(|(path, kind)| (Path::from(*path), *kind)).collect()
}

/// One pass of a fresh reader.
pub fn pull(converter: &dyn Converter, side: Side, origin: &Origin, fields: &[(&str, Kind)]) -> Pulled {
    let pulled = converter.reader(side, &wants(fields)).unwrap().read(origin).unwrap();
    assert_eq!(pulled.columns.len(), fields.len());
    for (column, (_, kind)) in pulled.columns.iter().zip(fields) {
        assert_eq!((column.kind, column.array.len()), (*kind, origin.len()));
    }
    pulled
}

/// A cell as a word: `absent`, `null`, `mismatch`, or its value (bytes as hex, times in µs).
pub fn cell(column: &Column, row: usize) -> String {
    let array = &column.array;
    if column.is_absent(row) || column.is_mismatch(row) {
        assert!(array.is_null(row), "a cell that is absent or a mismatch has no value");
        assert!(!(column.is_absent(row) && column.is_mismatch(row)), "a cell is in one state");
        return if column.is_absent(row) { "absent" } else { "mismatch" }.to_owned();
    }
    if array.is_null(row) {
        return "null".to_owned();
    }
    match column.kind {
        Kind::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        Kind::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        Kind::Boolean => array.as_boolean().value(row).to_string(),
        Kind::Text | Kind::Json => array.as_string::<i32>().value(row).to_owned(),
        Kind::Binary => array.as_binary::<i32>().value(row).iter().map(|byte| format!("{byte:02x}")).collect(),
        Kind::Decimal => decimal(array.as_primitive::<Decimal128Type>(), row),
        Kind::Timestamp => {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            assert_eq!(times.timezone(), Some("UTC"));
            times.value(row).to_string()
        }
    }
}

/// Without zeros after the last digit.
fn decimal(array: &Decimal128Array, row: usize) -> String {
    assert_eq!((array.precision(), array.scale()), (38, 18));
    array.value_as_string(row).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// One payload through a converter: the words of its cells, or the sentence that says why it is malformed.
pub fn pull_one(
    converter: &dyn Converter,
    side: Side,
    payload: &[u8],
    fields: &[(&str, Kind)],
) -> Result<Vec<String>, String> {
    let origin = origin(vec![record(Some(payload), Some(payload))]);
    let mut pulled = pull(converter, side, &origin, fields);
    let cells = pulled.columns.iter().map(|column| cell(column, 0)).collect::<Vec<_>>();
    match pulled.malformed.pop() {
        None => Ok(cells),
        Some((row, sentence)) => {
            assert_eq!((row, pulled.malformed.len()), (0, 0), "one sentence for one record");
            assert!(cells.iter().all(|cell| cell == "null"), "a malformed record's cells are null: {cells:?}");
            Err(sentence)
        }
    }
}

/// Holds that a converter gives these cells for a payload.
#[track_caller]
pub fn check_convert(converter: &dyn Converter, side: Side, payload: &[u8], fields: &[(&str, Kind)], cells: &[&str]) {
    let pulled = pull_one(converter, side, payload, fields);
    let expected: Vec<String> = cells.iter().map(|&cell| cell.to_owned()).collect();
    assert_eq!(pulled, Ok(expected), "{}", String::from_utf8_lossy(payload));
}

/// Holds that a converter refuses a payload with this sentence.
#[track_caller]
pub fn check_malformed(converter: &dyn Converter, side: Side, payload: &[u8], sentence: &str) {
    let pulled = pull_one(converter, side, payload, &[]);
    assert_eq!(pulled, Err(sentence.to_owned()), "{}", String::from_utf8_lossy(payload));
}

/// Holds that fields are refused with this sentence.
#[track_caller]
pub fn check_refused(converter: &dyn Converter, side: Side, fields: &[(&str, Kind)], sentence: &str) {
    let error = converter.reader(side, &wants(fields)).map(drop).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (crate::error::Kind::Config, sentence.to_owned()));
}
