//! COPY BINARY: rows of a batch, column by column checked, row by row written. The hot path of the sink.
//!
//! Everything that the catalogue tells is checked on whole columns first (`check.rs`), so that writing meets only
//! cells that fit: it is a copy of fixed-size cells into space that was measured beforehand, without allocation.
//! Format: PostgreSQL documentation, COPY, "Binary Format"; each type's cell as its `recv` function reads it.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BinaryArray, BooleanArray, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use uuid::Uuid;

use super::bind::{Bound, Source};
use super::check::{self, Refusals};
use super::numeric::NumericEncoder;
use super::types::ColumnType;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::limits::ABSENT_COLUMN_RECORDS_MAX;
use crate::record::{Batch, Column, Kind, RowError, Want};
use crate::sink::Encoder;

/// What a COPY BINARY stream begins with: signature, flags (none), header extension (none).
pub const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with: a row of −1 columns.
pub const TRAILER: [u8; 2] = [0xff, 0xff];
/// 2000-01-01, PostgreSQL's epoch, in µs since 1970.
pub const EPOCH_US: i64 = 946_684_800_000_000;
/// The same in days.
const EPOCH_DAYS: i64 = EPOCH_US / DAY_US;
const DAY_US: i64 = 86_400_000_000;
/// The length of a null cell.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Encodes the rows of one topic for its table.
#[derive(Debug)]
pub struct CopyEncoder {
    table: usize,
    name: String,
    columns: Vec<Bound>,
    wants: Vec<Want>,
    absent: Option<AbsentWatch>,
    numeric: NumericEncoder,
}

impl CopyEncoder {
    /// An encoder for the bound columns of table number `table`. `name` is the table's, for messages;
    /// `missing_null` lets columns be written whose field never shows up (`fields.missing: null`).
    pub fn new(table: usize, name: String, columns: Vec<Bound>, missing_null: bool) -> Self {
        let wants = columns.iter().filter_map(|column| match &column.source {
            Source::Field(want) => Some(want.clone()),
            Source::Topic | Source::Partition | Source::Offset => None,
        });
        let absent = (!missing_null).then(|| AbsentWatch { rows: 0, seen: vec![false; columns.len()] });
        CopyEncoder { table, name, wants: wants.collect(), columns, absent, numeric: NumericEncoder::default() }
    }

    /// One column per bound column, None for coordinates.
    fn pull<'a>(&self, batch: &'a Batch) -> Result<Vec<Option<Cow<'a, Column>>>> {
        let pull = |bound: &Bound| match &bound.source {
            Source::Field(want) => {
                let column = batch.pull(&want.path, want.kind)?;
                let (cells, rows) = (column.array.len(), batch.len());
                if cells != rows {
                    let message = format!("field {} has {cells} cells for {rows} rows", want.path);
                    return Err(Error::new(ErrorKind::Internal, message));
                }
                Ok(Some(column))
            }
            Source::Topic | Source::Partition | Source::Offset => Ok(None),
        };
        self.columns.iter().map(pull).collect()
    }

    /// Fails when a column's field was in none of the first records.
    fn watch(&mut self, pulled: &[Option<Cow<'_, Column>>], rows: usize) -> Result<()> {
        let Some(watch) = &mut self.absent else {
            return Ok(());
        };
        let still_missing = watch.look(pulled, rows);
        if watch.rows < ABSENT_COLUMN_RECORDS_MAX && still_missing.is_some() {
            return Ok(());
        }
        self.absent = None;
        match still_missing.and_then(|at| self.columns.get(at)) {
            None => Ok(()),
            Some(column) => Err(Error::new(
                ErrorKind::TableMismatch,
                format!(
                    "none of the first {ABSENT_COLUMN_RECORDS_MAX} records has a field \"{0}\" for column \"{0}\" of \
                     table {1}: list the fields to write in `fields`, or set `fields.missing: null`",
                    column.name, self.name
                ),
            )),
        }
    }
}

impl Encoder for CopyEncoder {
    fn table(&self) -> usize {
        self.table
    }

    fn wants(&self) -> &[Want] {
        &self.wants
    }

    fn encode(&mut self, batch: &Batch, data: &mut Vec<u8>, lines: &mut Vec<i64>) -> Result<Vec<RowError>> {
        let pulled = self.pull(batch)?;
        self.watch(&pulled, batch.len())?;
        let mut refusals = Refusals::new(batch);
        for (bound, column) in self.columns.iter().zip(&pulled) {
            if let Some(column) = column {
                check::column(bound, column, &mut refusals);
            }
        }
        let cells: Vec<Cells<'_>> = self
            .columns
            .iter()
            .zip(&pulled)
            .map(|(bound, column)| Cells::new(bound, column.as_deref(), batch, &mut self.numeric))
            .collect::<Result<_>>()?;
        let refused = refusals.records();
        write(&cells, batch, refused.as_deref(), data, lines)?;
        Ok(refusals.into_errors())
    }
}

/// Watches for columns whose field no record has.
#[derive(Debug)]
struct AbsentWatch {
    /// Rows looked at.
    rows: u64,
    /// Per bound column, whether a row had its field.
    seen: Vec<bool>,
}

impl AbsentWatch {
    /// Looks at the next rows, up to the limit exactly, so that the verdict does not depend on how rows are cut
    /// into batches. Returns a column that is still missing.
    fn look(&mut self, pulled: &[Option<Cow<'_, Column>>], rows: usize) -> Option<usize> {
        let window = rows.min(ABSENT_COLUMN_RECORDS_MAX.saturating_sub(self.rows) as usize);
        for (seen, column) in self.seen.iter_mut().zip(pulled) {
            let absent = column.as_ref().and_then(|column| column.absent.as_ref());
            *seen |= window > 0 && absent.is_none_or(|bits| bits.slice(0, window).count_set_bits() < window);
        }
        self.rows += window as u64;
        self.seen.iter().position(|seen| !seen)
    }
}

/// One column's cells, checked, in the form in which they are written.
struct Cells<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
}

enum Values<'a> {
    Int2(&'a [i64]),
    Int4(&'a [i64]),
    Int8(&'a [i64]),
    Float4(&'a [f64]),
    Float8(&'a [f64]),
    Boolean(&'a BooleanBuffer),
    Text(&'a StringArray),
    Jsonb(&'a StringArray),
    Bytes(&'a BinaryArray),
    Timestamp(&'a [i64]),
    Date(&'a [i64]),
    Uuid(Vec<Uuid>),
    /// Encoded cells end to end, and where each ends.
    Numeric(Vec<u8>, Vec<usize>),
    Topic(&'a str),
    Partition4(i32),
    Partition8(i32),
    Offset,
}

impl<'a> Cells<'a> {
    fn new(
        bound: &Bound,
        column: Option<&'a Column>,
        batch: &'a Batch,
        numeric: &mut NumericEncoder,
    ) -> Result<Cells<'a>> {
        let Some(column) = column else {
            let lane = &batch.origin.lane;
            let values = match (&bound.source, bound.column_type) {
                (Source::Topic, _) => Values::Topic(&lane.topic),
                (Source::Partition, ColumnType::Int8) => Values::Partition8(lane.partition),
                (Source::Partition, _) => Values::Partition4(lane.partition),
                _ => Values::Offset,
            };
            return Ok(Cells { values, nulls: None });
        };
        let nulls = column.array.nulls().filter(|nulls| nulls.null_count() > 0);
        let values = Values::of(bound.column_type, column, numeric).ok_or_else(|| {
            let message = format!("column \"{}\" ({}) was given a {} array", bound.name, bound.type_name, column.kind);
            Error::new(ErrorKind::Internal, message)
        })?;
        Ok(Cells { values, nulls })
    }

    /// Bytes for all rows, lengths included; at least what they will take.
    fn bytes_max(&self, rows: usize) -> usize {
        let (width, variable) = match &self.values {
            Values::Boolean(_) => (1, 0),
            Values::Int2(_) => (2, 0),
            Values::Int4(_) | Values::Float4(_) | Values::Date(_) | Values::Partition4(_) => (4, 0),
            Values::Int8(_) | Values::Float8(_) | Values::Timestamp(_) | Values::Partition8(_) | Values::Offset => (8, 0),
            Values::Uuid(_) => (16, 0),
            Values::Topic(topic) => (topic.len(), 0),
            Values::Text(array) => (0, text_bytes(array.value_offsets())),
            Values::Jsonb(array) => (1, text_bytes(array.value_offsets())),
            Values::Bytes(array) => (0, text_bytes(array.value_offsets())),
            Values::Numeric(bytes, _) => (0, bytes.len()),
        };
        rows * (4 + width) + variable
    }
}

fn text_bytes(offsets: &[i32]) -> usize {
    let ends = offsets.first().zip(offsets.last());
    ends.map_or(0, |(first, last)| (last - first) as usize)
}

impl<'a> Values<'a> {
    /// None when the array is not of the type that the binding asked for.
    fn of(column_type: ColumnType, column: &'a Column, numeric: &mut NumericEncoder) -> Option<Values<'a>> {
        let array = &column.array;
        let ints = || array.as_primitive_opt::<Int64Type>().map(|a| &**a.values());
        let floats = || array.as_primitive_opt::<Float64Type>().map(|a| &**a.values());
        let times = || array.as_primitive_opt::<TimestampMicrosecondType>().map(|a| &**a.values());
        let texts = || array.as_string_opt::<i32>();
        Some(match column_type {
            ColumnType::Int2 => Values::Int2(ints()?),
            ColumnType::Int4 => Values::Int4(ints()?),
            ColumnType::Int8 => Values::Int8(ints()?),
            ColumnType::Float4 => Values::Float4(floats()?),
            ColumnType::Float8 => Values::Float8(floats()?),
            ColumnType::Boolean => Values::Boolean(array.as_boolean_opt().map(BooleanArray::values)?),
            ColumnType::Text(_) | ColumnType::Json | ColumnType::Enum => Values::Text(texts()?),
            ColumnType::Jsonb => Values::Jsonb(texts()?),
            ColumnType::Bytea => Values::Bytes(array.as_binary_opt::<i32>()?),
            ColumnType::Timestamp => Values::Timestamp(times()?),
            ColumnType::Date => Values::Date(times()?),
            ColumnType::Uuid => Values::Uuid(uuids(texts()?)),
            ColumnType::Numeric(_) => Values::numeric(column, numeric)?,
        })
    }

    /// Numbers of variable size are encoded ahead, so that the space that rows take is known.
    fn numeric(column: &Column, numeric: &mut NumericEncoder) -> Option<Values<'a>> {
        let array = &column.array;
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(array.len()));
        let mut ended = |bytes: &Vec<u8>| ends.push(bytes.len());
        match column.kind {
            Kind::Int64 => {
                for &value in array.as_primitive_opt::<Int64Type>()?.values() {
                    numeric.integer(value, &mut bytes);
                    ended(&bytes);
                }
            }
            Kind::Float64 => {
                for &value in array.as_primitive_opt::<Float64Type>()?.values() {
                    numeric.float(value, &mut bytes);
                    ended(&bytes);
                }
            }
            _ => {
                let array = array.as_primitive_opt::<Decimal128Type>()?;
                for &value in array.values() {
                    numeric.decimal(value, array.scale(), &mut bytes);
                    ended(&bytes);
                }
            }
        }
        Some(Values::Numeric(bytes, ends))
    }
}

/// Null and refused cells become nil; neither is written.
fn uuids(array: &StringArray) -> Vec<Uuid> {
    array.iter().map(|text| text.and_then(|text| Uuid::try_parse(text).ok()).unwrap_or_default()).collect()
}

/// Appends the rows of records that are not refused; appends nothing when it fails.
fn write(
    cells: &[Cells<'_>],
    batch: &Batch,
    refused: Option<&[bool]>,
    data: &mut Vec<u8>,
    lines: &mut Vec<i64>,
) -> Result<()> {
    let (data_start, lines_start) = (data.len(), lines.len());
    let rows = batch.len();
    let bytes_max = cells.iter().map(|column| column.bytes_max(rows)).sum::<usize>() + 2 * rows;
    data.resize(data_start + bytes_max, 0);
    lines.reserve(rows);
    let unused = data.get_mut(data_start..).and_then(|out| fill(out, cells, batch, refused, lines));
    let Some(unused) = unused else {
        data.truncate(data_start);
        lines.truncate(lines_start);
        let message = "a batch has rows of records that it does not hold, or cells beyond their measure";
        return Err(Error::new(ErrorKind::Internal, message));
    };
    data.truncate(data.len() - unused);
    Ok(())
}

/// Writes the rows into space that was measured for them and returns how many bytes of it are left.
fn fill(
    mut out: &mut [u8],
    cells: &[Cells<'_>],
    batch: &Batch,
    refused: Option<&[bool]>,
    lines: &mut Vec<i64>,
) -> Option<usize> {
    let columns = (cells.len() as u16).to_be_bytes();
    for row in 0..batch.len() {
        let record = batch.rows.origin(row);
        if refused.is_some_and(|refused| refused.get(record).is_some_and(|&refused| refused)) {
            continue;
        }
        let offset = *batch.origin.offsets.get(record)?;
        out = put(out, columns)?;
        for column in cells {
            out = put_cell(out, column, row, offset)?;
        }
        lines.push(offset);
    }
    Some(out.len())
}

/// Writes one cell and returns the space behind it.
#[inline]
fn put_cell<'o>(out: &'o mut [u8], column: &Cells<'_>, row: usize, offset: i64) -> Option<&'o mut [u8]> {
    if column.nulls.is_some_and(|nulls| nulls.is_null(row)) {
        return put(out, NULL);
    }
    match &column.values {
        Values::Int2(values) => put(out, cell2(*values.get(row)? as i16)),
        Values::Int4(values) => put(out, cell4((*values.get(row)? as i32).to_be_bytes())),
        Values::Int8(values) => put(out, cell8(*values.get(row)? as u64)),
        Values::Float4(values) => put(out, cell4((*values.get(row)? as f32).to_be_bytes())),
        Values::Float8(values) => put(out, cell8(values.get(row)?.to_bits())),
        Values::Boolean(values) => put(out, [0, 0, 0, 1, u8::from(values.value(row))]),
        Values::Text(values) => put_bytes(out, &[], values.value(row).as_bytes()),
        Values::Jsonb(values) => put_bytes(out, &[1], values.value(row).as_bytes()),
        Values::Bytes(values) => put_bytes(out, &[], values.value(row)),
        Values::Timestamp(values) => put(out, cell8((*values.get(row)? - EPOCH_US) as u64)),
        Values::Date(values) => {
            put(out, cell4(((values.get(row)?.div_euclid(DAY_US) - EPOCH_DAYS) as i32).to_be_bytes()))
        }
        Values::Uuid(values) => put_bytes(out, &[], values.get(row)?.as_bytes()),
        Values::Numeric(bytes, ends) => {
            let start = row.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
            put_bytes(out, &[], bytes.get(start..*ends.get(row)?)?)
        }
        Values::Topic(topic) => put_bytes(out, &[], topic.as_bytes()),
        Values::Partition4(partition) => put(out, cell4(partition.to_be_bytes())),
        Values::Partition8(partition) => put(out, cell8(i64::from(*partition) as u64)),
        Values::Offset => put(out, cell8(offset as u64)),
    }
}

#[inline]
fn put<const N: usize>(out: &mut [u8], bytes: [u8; N]) -> Option<&mut [u8]> {
    let (space, rest) = out.split_first_chunk_mut::<N>()?;
    *space = bytes;
    Some(rest)
}

/// A cell of any size: its length, a prefix that the type wants, its bytes.
#[inline]
fn put_bytes<'o>(out: &'o mut [u8], prefix: &[u8], bytes: &[u8]) -> Option<&'o mut [u8]> {
    let out = put(out, ((prefix.len() + bytes.len()) as u32).to_be_bytes())?;
    let (space, out) = out.split_at_mut_checked(prefix.len())?;
    space.copy_from_slice(prefix);
    let (space, rest) = out.split_at_mut_checked(bytes.len())?;
    space.copy_from_slice(bytes);
    Some(rest)
}

/// Length and value of two bytes.
#[inline]
fn cell2(value: i16) -> [u8; 6] {
    let [high, low] = value.to_be_bytes();
    [0, 0, 0, 2, high, low]
}

/// Length and value of four bytes.
#[inline]
fn cell4([a, b, c, d]: [u8; 4]) -> [u8; 8] {
    [0, 0, 0, 4, a, b, c, d]
}

/// Length and value of eight bytes.
#[inline]
fn cell8(value: u64) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    [0, 0, 0, 8, a, b, c, d, e, f, g, h]
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
