//! JSON values into cells: which value is one of a wanted kind, and how it is read.
//!
//! | kind | read from |
//! |---|---|
//! | int64 | a number that is an integer of 64 bits, however it is written (`3`, `3.0`, `3e2`) |
//! | float64 | a number, rounded to the nearest float; one written as an integer must be a float exactly |
//! | boolean | `true`, `false` |
//! | text | a string |
//! | binary | a string of base64: standard alphabet, padded |
//! | decimal | a number of at most 20 digits before and 18 after the point |
//! | timestamp | a string that RFC 3339 allows; digits after the microsecond are cut |
//! | json | any value but null, as it is written |
//!
//! Nothing else is converted: a number is no text and a text no number.

use std::sync::Arc;

use arrow_array::{BooleanArray, Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::number::{DECIMAL_SCALE, Number};
use super::scan::{Literal, Quoted};
use super::timestamp;
use crate::convert::builder::{Bytes, Fixed, State, pack_booleans};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::{Column, Kind};

/// A column under construction, by what its cells are read from.
#[derive(Debug)]
pub enum Cells {
    /// Integers.
    Int64(Fixed<i64>),
    /// Floats.
    Float64(Fixed<f64>),
    /// Booleans, a byte each.
    Boolean(Fixed<u8>),
    /// Decimals, × 10^18.
    Decimal(Fixed<i128>),
    /// Times in µs since the epoch.
    Timestamp(Fixed<i64>),
    /// Strings, escapes resolved.
    Text(Bytes),
    /// Strings as [`Cells::Text`], and any other value as it is written: a key as text.
    AnyText(Bytes),
    /// Any value as it is written.
    Json(Bytes),
    /// Bytes from base64.
    Binary(Bytes),
}

/// Does the same to the builder of any kind.
macro_rules! each {
    ($cells:expr, $builder:ident => $action:expr) => {
        match $cells {
            Cells::Int64($builder) | Cells::Timestamp($builder) => $action,
            Cells::Float64($builder) => $action,
            Cells::Boolean($builder) => $action,
            Cells::Decimal($builder) => $action,
            Cells::Text($builder) | Cells::AnyText($builder) | Cells::Json($builder) | Cells::Binary($builder) => {
                $action
            }
        }
    };
}

impl Cells {
    /// A column of that kind. `any_text`: as text, values that are no strings count as they are written.
    pub fn new(kind: Kind, any_text: bool) -> Cells {
        match kind {
            Kind::Int64 => Cells::Int64(Fixed::default()),
            Kind::Float64 => Cells::Float64(Fixed::default()),
            Kind::Boolean => Cells::Boolean(Fixed::default()),
            Kind::Decimal => Cells::Decimal(Fixed::default()),
            Kind::Timestamp => Cells::Timestamp(Fixed::default()),
            Kind::Text if any_text => Cells::AnyText(Bytes::default()),
            Kind::Text => Cells::Text(Bytes::default()),
            Kind::Json => Cells::Json(Bytes::default()),
            Kind::Binary => Cells::Binary(Bytes::default()),
        }
    }

    /// Starts a column of that many cells, all absent.
    pub fn begin(&mut self, rows: usize) {
        each!(self, builder => builder.begin(rows));
    }

    /// A cell that is no value.
    #[cold]
    pub fn mark(&mut self, row: usize, state: State) {
        each!(self, builder => builder.mark(row, state));
    }

    /// A cell from a number, which `text` is.
    pub fn number(&mut self, row: usize, number: Number, text: &[u8]) {
        match self {
            Cells::Int64(cells) => cells.set(row, number.to_i64(|| text)),
            Cells::Float64(cells) => cells.set(row, number.to_f64(|| text)),
            Cells::Decimal(cells) => cells.set(row, number.to_decimal(text)),
            Cells::AnyText(cells) | Cells::Json(cells) => cells.set(row, |out| append(out, text)),
            _ => self.mark(row, State::Mismatch),
        }
    }

    /// A cell from a string, `text` with its quotes.
    pub fn string(&mut self, row: usize, string: Quoted<'_>, text: &[u8]) {
        match self {
            Cells::Text(cells) | Cells::AnyText(cells) => cells.set(row, |out| string.append_to(out)),
            Cells::Json(cells) => cells.set(row, |out| append(out, text)),
            Cells::Timestamp(cells) => cells.set(row, string.with_text(timestamp::parse)),
            Cells::Binary(cells) => {
                cells.set(row, |out| string.with_text(|text| STANDARD.decode_vec(text, out).is_ok()));
            }
            _ => self.mark(row, State::Mismatch),
        }
    }

    /// A cell from `true`, `false` or `null`.
    pub fn literal(&mut self, row: usize, literal: Literal, text: &[u8]) {
        match (self, literal) {
            (cells, Literal::Null) => cells.mark(row, State::Null),
            (Cells::Boolean(cells), _) => cells.set(row, Some(u8::from(literal == Literal::True))),
            (Cells::AnyText(cells) | Cells::Json(cells), _) => cells.set(row, |out| append(out, text)),
            (cells, _) => cells.mark(row, State::Mismatch),
        }
    }

    /// A cell from an array or object.
    pub fn container(&mut self, row: usize, text: &[u8]) {
        match self {
            Cells::AnyText(cells) | Cells::Json(cells) => cells.set(row, |out| append(out, text)),
            _ => self.mark(row, State::Mismatch),
        }
    }

    /// The column.
    pub fn finish(&mut self) -> Result<Column> {
        match self {
            Cells::Int64(cells) => {
                cells.finish(Kind::Int64, |values, nulls| Ok(Arc::new(Int64Array::new(values.into(), nulls))))
            }
            Cells::Float64(cells) => {
                cells.finish(Kind::Float64, |values, nulls| Ok(Arc::new(Float64Array::new(values.into(), nulls))))
            }
            Cells::Boolean(cells) => cells
                .finish(Kind::Boolean, |values, nulls| Ok(Arc::new(BooleanArray::new(pack_booleans(&values), nulls)))),
            Cells::Decimal(cells) => cells.finish(Kind::Decimal, |values, nulls| {
                let array =
                    Decimal128Array::new(values.into(), nulls).with_precision_and_scale(38, DECIMAL_SCALE as i8);
                Ok(Arc::new(array.map_err(|e| Error::caused(ErrorKind::Internal, "make a column of decimals", e))?))
            }),
            Cells::Timestamp(cells) => cells.finish(Kind::Timestamp, |values, nulls| {
                Ok(Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC")))
            }),
            Cells::Text(cells) | Cells::AnyText(cells) => cells.finish(Kind::Text),
            Cells::Json(cells) => cells.finish(Kind::Json),
            Cells::Binary(cells) => cells.finish(Kind::Binary),
        }
    }
}

#[inline]
fn append(out: &mut Vec<u8>, text: &[u8]) -> bool {
    out.extend_from_slice(text);
    true
}
