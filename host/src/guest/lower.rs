//! Columns on their way into a guest: Arrow arrays become lists without a copy of their own, since the
//! boundary copies each list once; only bitmaps that do not begin at a byte and texts cut out of a longer
//! array are laid out anew.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{ByteArrayType, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, GenericByteArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, ScalarBuffer};

use super::v0::bindings::weir::plugin::types as wit;
use crate::record::{Column, Kind};

/// A column laid out as the boundary wants it; [`Lowered::param`] borrows from it.
pub(super) struct Lowered<'a> {
    validity: Option<Buffer>,
    absent: Option<Buffer>,
    values: Values<'a>,
    rows: usize,
}

enum Values<'a> {
    Int64s(&'a [i64]),
    Float64s(&'a [f64]),
    Booleans(Buffer),
    Texts(Texts<'a>),
    Binaries(Texts<'a>),
    Decimals(&'a [u64], u8),
}

/// Strings end to end.
pub(super) struct Texts<'a> {
    bytes: &'a [u8],
    offsets: Cow<'a, [u32]>,
}

/// Lays out a column; its array has the type of its kind.
pub(super) fn lower(column: &Column) -> Lowered<'_> {
    let array = &column.array;
    let values = match column.kind {
        Kind::Int64 => Values::Int64s(array.as_primitive::<Int64Type>().values()),
        Kind::Timestamp => Values::Int64s(array.as_primitive::<TimestampMicrosecondType>().values()),
        Kind::Float64 => Values::Float64s(array.as_primitive::<Float64Type>().values()),
        Kind::Boolean => Values::Booleans(array.as_boolean().values().sliced()),
        Kind::Text | Kind::Json => Values::Texts(texts(array.as_string::<i32>())),
        Kind::Binary => Values::Binaries(texts(array.as_binary::<i32>())),
        Kind::Decimal => {
            let decimals = array.as_primitive::<Decimal128Type>();
            // The words of a number lie low first on the little-endian machines that weir runs on.
            Values::Decimals(words(decimals.values()), decimals.scale().unsigned_abs())
        }
    };
    let validity = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| nulls.inner().sliced());
    let absent = column.absent.as_ref().filter(|bits| bits.has_true()).map(BooleanBuffer::sliced);
    Lowered { validity, absent, values, rows: array.len() }
}

fn words(numbers: &ScalarBuffer<i128>) -> &[u64] {
    numbers.inner().typed_data()
}

/// The strings of an array, rebased where it is cut out of a longer one.
pub(super) fn texts<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> Texts<'_> {
    let offsets: &[u32] = array.offsets().inner().inner().typed_data();
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    let bytes = array.values().get(first as usize..last as usize).unwrap_or_default();
    let offsets = match first {
        0 => Cow::Borrowed(offsets),
        cut => Cow::Owned(offsets.iter().map(|offset| offset - cut).collect()),
    };
    Texts { bytes, offsets }
}

impl Lowered<'_> {
    /// The column as a parameter of a call; `field` is its position in the plan's inputs.
    pub(super) fn param(&self, field: u32) -> wit::ColumnParam<'_> {
        wit::ColumnParam {
            field,
            validity: self.bits(self.validity.as_ref()),
            absent: self.bits(self.absent.as_ref()),
            values: match &self.values {
                Values::Int64s(values) => wit::ValuesParam::Int64s(values),
                Values::Float64s(values) => wit::ValuesParam::Float64s(values),
                Values::Booleans(bits) => wit::ValuesParam::Booleans(self.bits(Some(bits))),
                Values::Texts(texts) => wit::ValuesParam::Texts(texts.param()),
                Values::Binaries(texts) => wit::ValuesParam::Binaries(texts.param()),
                Values::Decimals(words, scale) => {
                    wit::ValuesParam::Decimals(wit::DecimalsParam { words, scale: *scale })
                }
            },
        }
    }

    fn bits<'b>(&self, buffer: Option<&'b Buffer>) -> &'b [u8] {
        buffer.and_then(|bits| bits.get(..self.rows.div_ceil(8))).unwrap_or_default()
    }
}

impl Texts<'_> {
    /// The strings as a parameter of a call.
    pub(super) fn param(&self) -> wit::TextsParam<'_> {
        wit::TextsParam { bytes: self.bytes, offsets: &self.offsets }
    }
}

/// The bytes that a column's cells in these rows take in a call, bitmaps left out.
pub(crate) fn bytes(column: &Column, rows: std::ops::Range<usize>) -> usize {
    let texts = |offsets: &[i32]| {
        let at = |row: usize| offsets.get(row).map_or(0, |offset| offset.as_usize());
        at(rows.end).saturating_sub(at(rows.start)) + rows.len() * size_of::<u32>()
    };
    match column.kind {
        Kind::Int64 | Kind::Timestamp | Kind::Float64 => rows.len() * size_of::<u64>(),
        Kind::Boolean => rows.len().div_ceil(8),
        Kind::Text | Kind::Json => texts(column.array.as_string::<i32>().value_offsets()),
        Kind::Binary => texts(column.array.as_binary::<i32>().value_offsets()),
        Kind::Decimal => rows.len() * size_of::<i128>(),
    }
}
