//! What the catalogue tells about a column, checked on all its cells before any is written: a record that cannot go
//! into its table is found here, not by the database. What only the database knows (constraints, labels of an
//! enumeration, the syntax of jsonb's escapes) it names by line.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, DecimalType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DECIMAL128_MAX_PRECISION;
use uuid::Uuid;

use super::bind::{Bound, Source};
use super::numeric;
use super::types::ColumnType;
use crate::record::{Batch, Column, Kind, RowError, Stage};

/// The earliest timestamp and date of PostgreSQL, 4713-11-24 BC, in µs since 1970. The latest lie beyond what 64 bits
/// of µs since 1970 can say, and so do the infinite ones.
const EARLIEST_US: i64 = -210_866_803_200_000_000;
/// What is wrong with a text that holds U+0000.
const WITH_NUL: &str = " with a NUL character";
/// Characters of a text that a message shows.
const EXCERPT_CHARS_MAX: usize = 40;

/// The records of a batch that cannot be written, each with its first cause.
#[derive(Debug)]
pub struct Refusals<'a> {
    batch: &'a Batch,
    errors: BTreeMap<u32, RowError>,
}

impl<'a> Refusals<'a> {
    /// None so far.
    pub fn new(batch: &'a Batch) -> Self {
        Refusals { batch, errors: BTreeMap::new() }
    }

    fn refuse(&mut self, row: usize, bound: &Bound, message: String) {
        let record = self.batch.rows.origin(row) as u32;
        let field = match &bound.source {
            Source::Field(want) => Some(want.path.to_string()),
            Source::Topic | Source::Partition | Source::Offset => None,
        };
        self.errors.entry(record).or_insert(RowError { record, stage: Stage::Sink, field, message });
    }

    /// Refuses a record without a value.
    pub fn tombstone(&mut self, row: usize, table: &str) {
        let record = self.batch.rows.origin(row) as u32;
        let message = format!("its value is null, which asks for a delete, and rows are only added to table {table}");
        self.errors.entry(record).or_insert(RowError { record, stage: Stage::Sink, field: None, message });
    }

    /// Per record of the origin whether it is refused; None when none is.
    pub fn records(&self) -> Option<Vec<bool>> {
        let last = *self.errors.keys().next_back()?;
        let mut refused = vec![false; last as usize + 1];
        for &record in self.errors.keys() {
            if let Some(flag) = refused.get_mut(record as usize) {
                *flag = true;
            }
        }
        Some(refused)
    }

    /// The errors, by record.
    pub fn into_errors(self) -> Vec<RowError> {
        self.errors.into_values().collect()
    }
}

/// Checks one column; the array has the type that the binding asked for, or nothing is said about its values.
pub fn column(bound: &Bound, column: &Column, refusals: &mut Refusals<'_>) {
    missing(bound, column, refusals);
    let array = &column.array;
    let nulls = array.nulls();
    let refuse = |row: usize, value: String| refusals.refuse(row, bound, sentence(bound, &value));
    match bound.column_type {
        ColumnType::Int2 => integers(
            array.as_primitive_opt::<Int64Type>().map(|a| &**a.values()),
            nulls,
            i16::MIN.into()..=i16::MAX.into(),
            refuse,
        ),
        ColumnType::Int4 => integers(
            array.as_primitive_opt::<Int64Type>().map(|a| &**a.values()),
            nulls,
            i32::MIN.into()..=i32::MAX.into(),
            refuse,
        ),
        ColumnType::Timestamp | ColumnType::Date => {
            let values = array.as_primitive_opt::<TimestampMicrosecondType>().map(|a| &**a.values());
            each(values, nulls, |us| us < EARLIEST_US, |us| format!("timestamp {us} µs since 1970"), refuse);
        }
        ColumnType::Float4 => {
            let values = array.as_primitive_opt::<Float64Type>().map(|a| &**a.values());
            each(values, nulls, overflows_real, |value| format!("{value:e}"), refuse);
        }
        ColumnType::Text(chars_max) => texts(array.as_string_opt::<i32>(), chars_max, refuse),
        ColumnType::Enum | ColumnType::Json | ColumnType::Jsonb => texts(array.as_string_opt::<i32>(), None, refuse),
        ColumnType::Uuid => uuids(array.as_string_opt::<i32>(), refuse),
        ColumnType::Numeric(Some(limits)) if column.kind == Kind::Decimal => decimals(column, limits, refuse),
        ColumnType::Numeric(_) | ColumnType::Int8 | ColumnType::Float8 | ColumnType::Boolean | ColumnType::Bytea => {}
    }
}

/// Cells without a value: of another kind, or null where null is refused.
fn missing(bound: &Bound, column: &Column, refusals: &mut Refusals<'_>) {
    let Bound { name, type_name, .. } = bound;
    if let Some(bits) = &column.mismatch {
        for row in bits.set_indices() {
            let message =
                format!("field \"{name}\" is no {}, which column \"{name}\" ({type_name}) needs", column.kind);
            refusals.refuse(row, bound, message);
        }
    }
    let Some(nulls) = column.array.nulls().filter(|nulls| bound.not_null && nulls.null_count() > 0) else {
        return;
    };
    for row in (0..nulls.len()).filter(|&row| nulls.is_null(row) && !column.is_mismatch(row)) {
        let why = if column.is_absent(row) { "the record has no such field" } else { "the field is null" };
        refusals.refuse(row, bound, format!("column \"{name}\" ({type_name}) is NOT NULL, but {why}"));
    }
}

/// The sentence for a value that does not fit.
fn sentence(bound: &Bound, value: &str) -> String {
    let takes = match bound.column_type {
        ColumnType::Int2 => format!("it takes {} to {}", i16::MIN, i16::MAX),
        ColumnType::Int4 => format!("it takes {} to {}", i32::MIN, i32::MAX),
        ColumnType::Timestamp | ColumnType::Date => "it begins in 4713 BC".to_owned(),
        ColumnType::Float4 => format!("it takes {:e} to {:e} and zero", f32::from_bits(1), f32::MAX),
        ColumnType::Uuid => "it takes 32 hexadecimal digits, with or without hyphens".to_owned(),
        ColumnType::Numeric(Some((precision, scale))) => {
            format!("it takes {precision} digits, {scale} of them decimals")
        }
        ColumnType::Text(Some(chars)) if !value.ends_with(WITH_NUL) => format!("it takes {chars} characters"),
        _ => "no text of PostgreSQL can hold one".to_owned(),
    };
    format!("{value} does not fit column \"{}\" ({}): {takes}", bound.name, bound.type_name)
}

/// Calls `refuse` for each valid cell that is bad. The first pass has no branch, so it costs next to nothing.
fn each<T: Copy>(
    values: Option<&[T]>,
    nulls: Option<&NullBuffer>,
    bad: impl Fn(T) -> bool,
    show: impl Fn(T) -> String,
    mut refuse: impl FnMut(usize, String),
) {
    let values = values.unwrap_or_default();
    if !values.iter().fold(false, |any, &value| any | bad(value)) {
        return;
    }
    for (row, &value) in values.iter().enumerate() {
        if bad(value) && nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            refuse(row, show(value));
        }
    }
}

fn integers(
    values: Option<&[i64]>,
    nulls: Option<&NullBuffer>,
    range: std::ops::RangeInclusive<i64>,
    refuse: impl FnMut(usize, String),
) {
    each(values, nulls, |value| value < *range.start() || value > *range.end(), |value| value.to_string(), refuse);
}

/// Whether a double is finite but no finite, or a zero, `real`: PostgreSQL's own cast refuses both.
fn overflows_real(value: f64) -> bool {
    let real = value as f32;
    value.is_finite() & (real.is_infinite() || (real == 0.0) && (value != 0.0))
}

fn texts(array: Option<&StringArray>, chars_max: Option<u32>, mut refuse: impl FnMut(usize, String)) {
    let Some(array) = array else {
        return;
    };
    // All cells at once first: the bytes lie end to end.
    let ends = array.value_offsets().first().zip(array.value_offsets().last());
    let bytes = ends.and_then(|(&first, &last)| array.value_data().get(first as usize..last as usize));
    let has_nul = bytes.is_none_or(|bytes| bytes.contains(&0));
    let limit = chars_max.map_or(usize::MAX, |n| n as usize);
    let too_long = array.value_offsets().windows(2).any(|pair| matches!(pair, [a, b] if (b - a) as usize > limit));
    if !has_nul && !too_long {
        return;
    }
    for (row, text) in array.iter().enumerate() {
        let Some(text) = text else { continue };
        if text.as_bytes().contains(&0) {
            refuse(row, format!("text {}{WITH_NUL}", excerpt(text)));
        } else if text.len() > limit && text.chars().skip(limit).any(|c| c != ' ') {
            refuse(row, format!("text {} of {} characters", excerpt(text), text.chars().count()));
        }
    }
}

fn uuids(array: Option<&StringArray>, mut refuse: impl FnMut(usize, String)) {
    for (row, text) in array.into_iter().flat_map(|array| array.iter().enumerate()) {
        if let Some(text) = text.filter(|text| Uuid::try_parse(text).is_err()) {
            refuse(row, format!("text {}", excerpt(text)));
        }
    }
}

fn decimals(column: &Column, (precision, scale): (u32, i32), refuse: impl FnMut(usize, String)) {
    let Some(array) = column.array.as_primitive_opt::<Decimal128Type>() else {
        return;
    };
    let bad = |value| !numeric::fits(value, array.scale(), precision, scale);
    let show =
        |value| format!("decimal {}", Decimal128Type::format_decimal(value, DECIMAL128_MAX_PRECISION, array.scale()));
    each(Some(array.values()), array.nulls(), bad, show, refuse);
}

/// The beginning of a text, quoted, control characters escaped.
fn excerpt(text: &str) -> String {
    let cut = text.char_indices().nth(EXCERPT_CHARS_MAX).and_then(|(at, _)| text.get(..at));
    cut.map_or_else(|| format!("{text:?}"), |start| format!("{:?}", format!("{start}…")))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
