//! Conversions between kinds that lose nothing.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, TimestampMicrosecondArray, new_null_array};
use arrow_buffer::BooleanBuffer;

use super::batch::arrow_type;
use super::column::Column;
use super::field::Kind;
use crate::error::Result;

/// Largest integer of which every smaller one is exactly a double: 2^53.
const EXACT_MAX: u64 = 1 << 53;

/// Whether a 64-bit integer is exactly a double.
pub fn is_exact(value: i64) -> bool {
    value.unsigned_abs() <= EXACT_MAX
        || value.unsigned_abs().trailing_zeros() + value.unsigned_abs().leading_zeros() >= 11
}

/// The column as another kind. A cell that cannot be converted without loss becomes a mismatch.
pub fn cast(column: &Column, kind: Kind) -> Result<Column> {
    let array = &column.array;
    match (column.kind, kind) {
        (from, to) if from == to => Ok(column.clone()),
        (Kind::Json, Kind::Text) | (Kind::Text, Kind::Json) => Ok(retyped(column, kind, Arc::clone(array))),
        (Kind::Timestamp, Kind::Int64) => {
            let values = array.as_primitive::<TimestampMicrosecondType>();
            let ints = Int64Array::new(values.values().clone(), values.nulls().cloned());
            Ok(retyped(column, kind, Arc::new(ints)))
        }
        (Kind::Int64, Kind::Timestamp) => {
            let values = array.as_primitive::<Int64Type>();
            let times = TimestampMicrosecondArray::new(values.values().clone(), values.nulls().cloned());
            Ok(retyped(column, kind, Arc::new(times.with_timezone("UTC"))))
        }
        (Kind::Int64, Kind::Float64) => Ok(int_to_float(column)),
        _ => Ok(all_mismatch(column, kind)),
    }
}

fn retyped(column: &Column, kind: Kind, array: ArrayRef) -> Column {
    Column { kind, array, absent: column.absent.clone(), mismatch: column.mismatch.clone() }
}

fn int_to_float(column: &Column) -> Column {
    let values = column.array.as_primitive::<Int64Type>();
    let floats: Float64Array = values.iter().map(|v| v.filter(|&v| is_exact(v)).map(|v| v as f64)).collect();
    let mut mismatched = false;
    let inexact: BooleanBuffer = (0..values.len())
        .map(|row| {
            let bad = column.is_mismatch(row) || (values.is_valid(row) && !is_exact(values.value(row)));
            mismatched |= bad;
            bad
        })
        .collect();
    Column {
        kind: Kind::Float64,
        array: Arc::new(floats),
        absent: column.absent.clone(),
        mismatch: mismatched.then_some(inexact),
    }
}

/// Every cell that has a value is of the wrong kind.
fn all_mismatch(column: &Column, kind: Kind) -> Column {
    let bits = (0..column.array.len()).map(|row| column.is_mismatch(row) || column.array.is_valid(row)).collect();
    Column {
        kind,
        array: new_null_array(&arrow_type(kind, 0), column.array.len()),
        absent: column.absent.clone(),
        mismatch: Some(bits),
    }
}
