//! Columns on their way out of a guest: every list becomes an Arrow buffer as it is, after everything that
//! the plan and the interface promise about it has been checked. Nothing that a guest says is believed.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_empty_array, new_null_array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

use super::v0::bindings::weir::plugin::types as wit;
use crate::record::batch::arrow_type;
use crate::record::{Column, Field, Kind};

/// Digits of the largest decimal.
const DECIMAL_DIGITS_MAX: u8 = 38;

/// What is wrong with data of a guest, without the words for whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It breaks the interface's promises.
    Contract(String),
    /// It is too much.
    Limit(String),
}

/// Bytes that a call may still hand over, over all its columns and emits.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    max: usize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Budget { left: max, max }
    }

    /// Counts bytes that the call hands over.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let all = (self.max - self.left).saturating_add(bytes);
            let (all, max) = (all.div_ceil(1 << 10), self.max >> 10);
            Fault::Limit(format!(
                "handed over {all} KiB in one call; its limit is {max} KiB (plugin.limits.output.bytes)"
            ))
        })?;
        Ok(())
    }
}

/// One emitted column of `rows` rows as the host's, checked against the field that the plan says it is.
pub(super) fn lift(
    field: &Field,
    rows: usize,
    column: wit::ColumnResult,
    budget: &mut Budget,
) -> Result<Column, Fault> {
    budget.spend(column.validity.len() + column.absent.len() + bytes(&column.values))?;
    let nulls = bits("validity", column.validity, rows)?.map(NullBuffer::new).filter(|n| n.null_count() > 0);
    let absent = bits("absent", column.absent, rows)?.filter(BooleanBuffer::has_true);
    if let Some(absent) = &absent {
        let valid_too = nulls.as_ref().is_none_or(|nulls| (nulls.inner() & absent).has_true());
        if valid_too {
            return Err(Fault::Contract("has a row that is both absent and valid".to_owned()));
        }
    }
    let array = values(field.kind, rows, column.values, nulls, budget)?;
    Ok(Column { kind: field.kind, array, absent, mismatch: None })
}

/// The bytes of a value list as the guest handed it over.
fn bytes(values: &wit::ValuesResult) -> usize {
    let texts = |t: &wit::TextsResult| t.bytes.len() + t.offsets.len() * size_of::<u32>();
    match values {
        wit::ValuesResult::Int64s(v) => size_of_val(v.as_slice()),
        wit::ValuesResult::Float64s(v) => size_of_val(v.as_slice()),
        wit::ValuesResult::Booleans(v) => v.len(),
        wit::ValuesResult::Texts(t) | wit::ValuesResult::Binaries(t) => texts(t),
        wit::ValuesResult::Decimals(d) => size_of_val(d.words.as_slice()),
        wit::ValuesResult::Dictionary(d) => size_of_val(d.ids.as_slice()) + texts(&d.values),
        wit::ValuesResult::Other((_, v)) => v.len(),
    }
}

fn bits(what: &str, bytes: Vec<u8>, rows: usize) -> Result<Option<BooleanBuffer>, Fault> {
    if bytes.is_empty() {
        return Ok(None);
    }
    count(&format!("{what} bytes"), bytes.len(), rows.div_ceil(8))?;
    Ok(Some(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows)))
}

fn count(what: &str, found: usize, expected: usize) -> Result<(), Fault> {
    if found == expected { Ok(()) } else { Err(Fault::Contract(format!("has {found} {what}, not {expected}"))) }
}

fn values(
    kind: Kind,
    rows: usize,
    values: wit::ValuesResult,
    nulls: Option<NullBuffer>,
    budget: &mut Budget,
) -> Result<ArrayRef, Fault> {
    use wit::ValuesResult as Values;
    Ok(match (kind, values) {
        (Kind::Int64, Values::Int64s(values)) => {
            count("values", values.len(), rows)?;
            Arc::new(Int64Array::new(values.into(), nulls))
        }
        (Kind::Timestamp, Values::Int64s(values)) => {
            count("values", values.len(), rows)?;
            Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC"))
        }
        (Kind::Float64, Values::Float64s(mut values)) => {
            count("values", values.len(), rows)?;
            // The bits of a NaN differ between machines; replay must not.
            values.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = f64::NAN);
            Arc::new(Float64Array::new(values.into(), nulls))
        }
        (Kind::Boolean, Values::Booleans(bytes)) => {
            count("value bytes", bytes.len(), rows.div_ceil(8))?;
            Arc::new(BooleanArray::new(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows), nulls))
        }
        (Kind::Text | Kind::Json, Values::Texts(texts)) => Arc::new(strings(texts, rows, nulls)?),
        (Kind::Text | Kind::Json, Values::Dictionary(dictionary)) => gather(dictionary, rows, nulls, budget)?,
        (Kind::Binary, Values::Binaries(texts)) => {
            let (offsets, bytes) = spans(texts, rows)?;
            Arc::new(BinaryArray::new(offsets, bytes, nulls))
        }
        (Kind::Decimal, Values::Decimals(decimals)) => Arc::new(decimal(&decimals, rows, nulls)?),
        (kind, values) => {
            return Err(Fault::Contract(format!("holds {}, but the plan says {kind}", name(&values))));
        }
    })
}

fn name(values: &wit::ValuesResult) -> &'static str {
    match values {
        wit::ValuesResult::Int64s(_) => "int64s",
        wit::ValuesResult::Float64s(_) => "float64s",
        wit::ValuesResult::Booleans(_) => "booleans",
        wit::ValuesResult::Texts(_) => "texts",
        wit::ValuesResult::Binaries(_) => "binaries",
        wit::ValuesResult::Decimals(_) => "decimals",
        wit::ValuesResult::Dictionary(_) => "a dictionary",
        wit::ValuesResult::Other(_) => "other",
    }
}

/// Checks that n + 1 positions cut the bytes into n strings.
fn spans(texts: wit::TextsResult, rows: usize) -> Result<(OffsetBuffer<i32>, Buffer), Fault> {
    let wit::TextsResult { bytes, offsets } = texts;
    count("offsets", offsets.len(), rows + 1)?;
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    if first != 0 || last as usize != bytes.len() {
        let message = format!("has offsets from {first} to {last}, not from 0 to {}", bytes.len());
        return Err(Fault::Contract(message));
    }
    if let Some((row, pair)) = offsets.windows(2).enumerate().find(|(_, pair)| pair.first() > pair.last()) {
        return Err(Fault::Contract(format!("has offsets that fall at row {row}: {pair:?}")));
    }
    if i32::try_from(last).is_err() {
        return Err(Fault::Limit("has more than 2 GiB of text".to_owned()));
    }
    // The same bits as i32: not decreasing and the last one in range.
    let offsets = ScalarBuffer::<i32>::new(Buffer::from_vec(offsets), 0, rows + 1);
    Ok((OffsetBuffer::new(offsets), Buffer::from_vec(bytes)))
}

fn strings(texts: wit::TextsResult, rows: usize, nulls: Option<NullBuffer>) -> Result<StringArray, Fault> {
    let (offsets, bytes) = spans(texts, rows)?;
    StringArray::try_new(offsets, bytes, nulls).map_err(|e| Fault::Contract(format!("is not UTF-8: {e}")))
}

/// Byte strings without nulls: keys and values of state.
pub(super) fn binaries(texts: wit::TextsResult, rows: usize) -> Result<BinaryArray, Fault> {
    let (offsets, bytes) = spans(texts, rows)?;
    Ok(BinaryArray::new(offsets, bytes, None))
}

/// A dictionary column as plain texts, counted against the budget before it is made: few ids can stand for
/// a lot of text.
fn gather(
    dictionary: wit::DictionaryResult,
    rows: usize,
    nulls: Option<NullBuffer>,
    budget: &mut Budget,
) -> Result<ArrayRef, Fault> {
    count("ids", dictionary.ids.len(), rows)?;
    let distinct = dictionary.values.offsets.len().saturating_sub(1);
    let values = strings(dictionary.values, distinct, None)?;
    if values.is_empty() && nulls.as_ref().map_or(0, NullBuffer::null_count) == rows {
        return Ok(new_null_array(&DataType::Utf8, rows));
    }
    let mut text_bytes = 0;
    for (row, &id) in dictionary.ids.iter().enumerate() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            continue;
        }
        if id as usize >= distinct {
            return Err(Fault::Contract(format!("has id {id} at row {row} in a dictionary of {distinct} texts")));
        }
        text_bytes += values.value_length(id as usize) as usize;
    }
    budget.spend(text_bytes)?;
    let ids = UInt32Array::new(dictionary.ids.into(), nulls);
    arrow_select::take::take(&values, &ids, None).map_err(|e| Fault::Contract(format!("is invalid: {e}")))
}

fn decimal(decimals: &wit::DecimalsResult, rows: usize, nulls: Option<NullBuffer>) -> Result<Decimal128Array, Fault> {
    let (pairs, odd) = decimals.words.as_chunks::<2>();
    count("words", decimals.words.len(), 2 * rows)?;
    debug_assert!(odd.is_empty());
    if decimals.scale > DECIMAL_DIGITS_MAX {
        return Err(Fault::Contract(format!("has scale {}; the largest is {DECIMAL_DIGITS_MAX}", decimals.scale)));
    }
    let numbers = pairs.iter().map(|[low, high]| (u128::from(*high) << 64 | u128::from(*low)) as i128);
    let array = Decimal128Array::new(numbers.collect(), nulls)
        .with_precision_and_scale(DECIMAL_DIGITS_MAX, decimals.scale as i8)
        .map_err(|e| Fault::Contract(format!("is invalid: {e}")))?;
    match array.validate_decimal_precision(DECIMAL_DIGITS_MAX) {
        Ok(()) => Ok(array),
        Err(_) => Err(Fault::Contract(format!("has a decimal of more than {DECIMAL_DIGITS_MAX} digits"))),
    }
}

/// A column of no rows.
pub(crate) fn empty(field: &Field) -> Column {
    Column::of(field.kind, new_empty_array(&arrow_type(field.kind, 0)))
}

/// Columns of one field, one after the other. Decimals of several scales get the largest of them.
pub(crate) fn concat(columns: &[&Column]) -> Result<Column, String> {
    let Some(first) = columns.first() else {
        return Err("no columns to join".to_owned());
    };
    if columns.len() == 1 {
        return Ok((*first).clone());
    }
    let arrays = same_scale(columns)?;
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    let array = arrow_select::concat::concat(&arrays).map_err(|e| e.to_string())?;
    let joined = |of: fn(&Column) -> Option<&BooleanBuffer>| {
        columns.iter().any(|column| of(column).is_some()).then(|| {
            let mut bits = arrow_buffer::BooleanBufferBuilder::new(array.len());
            for column in columns {
                match of(column) {
                    Some(some) => bits.append_buffer(some),
                    None => bits.append_n(column.array.len(), false),
                }
            }
            bits.finish()
        })
    };
    let absent = joined(|column| column.absent.as_ref());
    let mismatch = joined(|column| column.mismatch.as_ref());
    Ok(Column { kind: first.kind, array, absent, mismatch })
}

fn same_scale(columns: &[&Column]) -> Result<Vec<ArrayRef>, String> {
    let scale_of = |column: &Column| match column.array.data_type() {
        DataType::Decimal128(_, scale) => Some(*scale),
        _ => None,
    };
    let largest = columns.iter().filter_map(|column| scale_of(column)).max();
    let rescaled = |column: &&Column| match (scale_of(column), largest) {
        (Some(scale), Some(largest)) if scale < largest => rescale(&column.array, (largest - scale) as u32, largest),
        _ => Ok(Arc::clone(&column.array)),
    };
    columns.iter().map(rescaled).collect()
}

fn rescale(array: &ArrayRef, digits: u32, scale: i8) -> Result<ArrayRef, String> {
    let too_large = || format!("a decimal does not fit {DECIMAL_DIGITS_MAX} digits at scale {scale}");
    let factor = 10i128.checked_pow(digits).ok_or_else(too_large)?;
    let decimals = array.as_primitive::<Decimal128Type>();
    let numbers: Option<Decimal128Array> = decimals
        .try_unary(|number| number.checked_mul(factor).ok_or(arrow_schema::ArrowError::ComputeError(String::new())))
        .ok();
    let numbers = numbers.ok_or_else(too_large)?.with_precision_and_scale(DECIMAL_DIGITS_MAX, scale);
    let numbers = numbers.map_err(|e| e.to_string())?;
    numbers.validate_decimal_precision(DECIMAL_DIGITS_MAX).map_err(|_| too_large())?;
    Ok(Arc::new(numbers))
}

#[cfg(test)]
#[path = "lift_tests.rs"]
mod tests;
