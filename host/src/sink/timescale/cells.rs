//! The cells of one column as COPY BINARY has them: a length (int32, −1 = null) and the value as the type's `recv`
//! function reads it. Columns are written one at a time into rows that were measured beforehand.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use uuid::Uuid;

use super::bind::{Bound, Source};
use super::numeric::NumericEncoder;
use super::types::ColumnType;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::{Batch, Column, Kind};

/// 2000-01-01, PostgreSQL's epoch, in µs since 1970.
const EPOCH_US: i64 = 946_684_800_000_000;
const DAY_US: i64 = 86_400_000_000;
/// The same in days.
const EPOCH_DAYS: i64 = EPOCH_US / DAY_US;
/// A null cell: a length and nothing else.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// Bytes of a cell's length.
const LENGTH: usize = 4;

/// One column's cells, checked, in the form in which they are written.
#[derive(Debug)]
pub struct Cells<'a> {
    values: Values<'a>,
    /// None when no cell is null.
    nulls: Option<&'a NullBuffer>,
}

#[derive(Debug)]
enum Values<'a> {
    Int2(&'a [i64]),
    Int4(&'a [i64]),
    Int8(&'a [i64]),
    Float4(&'a [f64]),
    Float8(&'a [f64]),
    Boolean(&'a BooleanBuffer),
    Timestamp(&'a [i64]),
    Date(&'a [i64]),
    Uuid(Vec<Uuid>),
    /// The byte that the type wants in front, all cells end to end, and n + 1 places between them.
    Bytes(Option<u8>, &'a [u8], &'a [i32]),
    /// The same, encoded ahead.
    Numeric(Vec<u8>, Vec<i32>),
    Topic(&'a str),
    Partition4(i32),
    Partition8(i32),
    /// The offset of each row's record.
    Offset(&'a Batch),
}

impl<'a> Cells<'a> {
    /// The cells of a bound column; `column` is None for coordinates, which come from the batch itself. Errors:
    /// [`ErrorKind::Internal`] when the array is not of the type that the binding asked for.
    pub fn new(
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
                (Source::Offset | Source::Field(_), _) => Values::Offset(batch),
            };
            return Ok(Cells { values, nulls: None });
        };
        let nulls = column.array.nulls().filter(|nulls| nulls.null_count() > 0);
        let values = Values::of(bound.column_type, column, numeric).ok_or_else(|| {
            let message = format!(
                "column \"{}\" ({}) was given a {} array of another type",
                bound.name, bound.type_name, column.kind
            );
            Error::new(ErrorKind::Internal, message)
        })?;
        Ok(Cells { values, nulls })
    }

    /// The size of the cell in every row, where all are of one size.
    pub fn size(&self) -> Option<usize> {
        let width = match &self.values {
            _ if self.nulls.is_some() => return None,
            Values::Bytes(..) | Values::Numeric(..) => return None,
            values => values.width(),
        };
        Some(LENGTH + width)
    }

    /// Adds the size of each row's cell to `sizes`, for cells of differing sizes. None when the column has not that
    /// many rows.
    pub fn measure(&self, rows: Range<usize>, sizes: &mut [usize]) -> Option<()> {
        let places = match &self.values {
            Values::Bytes(_, _, places) => *places,
            Values::Numeric(_, places) => places,
            values => {
                let width = values.width();
                let nulls = self.nulls.map(|nulls| nulls.inner().slice(rows.start, rows.len()));
                for (size, valid) in sizes.iter_mut().zip(nulls.iter().flatten()) {
                    *size += LENGTH + if valid { width } else { 0 };
                }
                return Some(());
            }
        };
        let prefix = self.values.width();
        for ((pair, size), row) in places.get(rows.start..=rows.end)?.array_windows().zip(sizes).zip(rows) {
            let [start, end] = *pair;
            let null = self.nulls.is_some_and(|nulls| nulls.is_null(row));
            *size += LENGTH + if null { 0 } else { prefix + (end - start) as usize };
        }
        Some(())
    }

    /// Writes the cells of rows into `out`, each at its row's place, and moves the places behind them.
    pub fn write(&self, rows: Range<usize>, out: &mut [u8], places: &mut [usize]) -> Option<()> {
        let start = rows.start;
        let mut space = Space { out, places, nulls: self.nulls, start };
        match &self.values {
            Values::Int2(values) => space.fill(values.get(rows)?.iter().map(|&v| cell2(v as i16))),
            Values::Int4(values) => space.fill(values.get(rows)?.iter().map(|&v| cell4((v as i32).to_be_bytes()))),
            Values::Int8(values) => space.fill(values.get(rows)?.iter().map(|&v| cell8(v as u64))),
            Values::Float4(values) => space.fill(values.get(rows)?.iter().map(|&v| cell4((v as f32).to_be_bytes()))),
            Values::Float8(values) => space.fill(values.get(rows)?.iter().map(|&v| cell8(v.to_bits()))),
            // What stands in the slot of a null may be anything.
            Values::Timestamp(values) => {
                space.fill(values.get(rows)?.iter().map(|&us| cell8(us.wrapping_sub(EPOCH_US) as u64)))
            }
            Values::Date(values) => {
                let days = |us: i64| us.div_euclid(DAY_US) - EPOCH_DAYS;
                space.fill(values.get(rows)?.iter().map(|&us| cell4((days(us) as i32).to_be_bytes())))
            }
            Values::Boolean(values) => space.fill(rows.map(|row| [0, 0, 0, 1, u8::from(values.value(row))])),
            Values::Partition4(partition) => space.fill(rows.map(|_| cell4(partition.to_be_bytes()))),
            Values::Partition8(partition) => space.fill(rows.map(|_| cell8(i64::from(*partition) as u64))),
            Values::Offset(batch) => {
                let offset = |row| batch.origin.offsets.get(batch.rows.origin(row)).copied().unwrap_or_default();
                space.fill(rows.map(|row| cell8(offset(row) as u64)))
            }
            Values::Uuid(values) => {
                space.copy(None, values.get(rows)?.iter().map(|uuid| Some(uuid.as_bytes().as_slice())))
            }
            Values::Topic(topic) => space.copy(None, rows.map(|_| Some(topic.as_bytes()))),
            Values::Bytes(prefix, bytes, places) => space.copy(*prefix, pieces(bytes, places.get(start..=rows.end)?)),
            Values::Numeric(bytes, places) => space.copy(None, pieces(bytes, places.get(start..=rows.end)?)),
        }
    }
}

/// What lies between neighbouring places.
fn pieces<'b>(bytes: &'b [u8], places: &'b [i32]) -> impl Iterator<Item = Option<&'b [u8]>> {
    places.array_windows().map(|&[start, end]| bytes.get(start as usize..end as usize))
}

impl<'a> Values<'a> {
    /// The size of a value without its length; of texts and the like, what stands before each.
    fn width(&self) -> usize {
        match self {
            Values::Boolean(_) => 1,
            Values::Int2(_) => 2,
            Values::Int4(_) | Values::Float4(_) | Values::Date(_) | Values::Partition4(_) => 4,
            Values::Int8(_) | Values::Float8(_) | Values::Timestamp(_) => 8,
            Values::Partition8(_) | Values::Offset(_) => 8,
            Values::Uuid(_) => 16,
            Values::Topic(topic) => topic.len(),
            Values::Bytes(prefix, ..) => usize::from(prefix.is_some()),
            Values::Numeric(..) => 0,
        }
    }

    /// None when the array is not of the type that the binding asked for.
    fn of(column_type: ColumnType, column: &'a Column, numeric: &mut NumericEncoder) -> Option<Values<'a>> {
        let array = &column.array;
        let ints = || array.as_primitive_opt::<Int64Type>().map(|a| &**a.values());
        let floats = || array.as_primitive_opt::<Float64Type>().map(|a| &**a.values());
        let times = || array.as_primitive_opt::<TimestampMicrosecondType>().map(|a| &**a.values());
        let texts = || array.as_string_opt::<i32>();
        let text = |prefix| texts().map(|a| Values::Bytes(prefix, a.value_data(), a.value_offsets()));
        Some(match column_type {
            ColumnType::Int2 => Values::Int2(ints()?),
            ColumnType::Int4 => Values::Int4(ints()?),
            ColumnType::Int8 => Values::Int8(ints()?),
            ColumnType::Float4 => Values::Float4(floats()?),
            ColumnType::Float8 => Values::Float8(floats()?),
            ColumnType::Boolean => Values::Boolean(array.as_boolean_opt().map(BooleanArray::values)?),
            ColumnType::Text(_) | ColumnType::Json | ColumnType::Enum => text(None)?,
            // The version of jsonb's exchange format.
            ColumnType::Jsonb => text(Some(1))?,
            ColumnType::Bytea => {
                let array = array.as_binary_opt::<i32>()?;
                Values::Bytes(None, array.value_data(), array.value_offsets())
            }
            ColumnType::Timestamp => Values::Timestamp(times()?),
            ColumnType::Date => Values::Date(times()?),
            ColumnType::Uuid => Values::Uuid(uuids(texts()?)),
            ColumnType::Numeric(_) => Values::numeric(column, numeric)?,
        })
    }

    /// Numbers of variable size are encoded ahead, so that they can be measured.
    fn numeric(column: &Column, numeric: &mut NumericEncoder) -> Option<Values<'a>> {
        let array = &column.array;
        let (mut bytes, mut places) = (Vec::new(), vec![0]);
        let mut ended = |bytes: &Vec<u8>| places.push(bytes.len() as i32);
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
        Some(Values::Numeric(bytes, places))
    }
}

/// Null and refused cells become nil; neither is written.
fn uuids(array: &StringArray) -> Vec<Uuid> {
    array.iter().map(|text| text.and_then(|text| Uuid::try_parse(text).ok()).unwrap_or_default()).collect()
}

/// The room for one column's cells in a block of rows.
struct Space<'o> {
    out: &'o mut [u8],
    places: &'o mut [usize],
    nulls: Option<&'o NullBuffer>,
    start: usize,
}

impl Space<'_> {
    /// Cells of one size, lengths included.
    #[inline]
    fn fill<const N: usize>(&mut self, cells: impl Iterator<Item = [u8; N]>) -> Option<()> {
        match self.nulls {
            None => {
                for (place, cell) in self.places.iter_mut().zip(cells) {
                    *place = put(self.out, *place, &cell)?;
                }
            }
            Some(nulls) => {
                let valid = nulls.inner().slice(self.start, self.places.len());
                for ((place, cell), valid) in self.places.iter_mut().zip(cells).zip(&valid) {
                    *place = if valid { put(self.out, *place, &cell) } else { put(self.out, *place, &NULL) }?;
                }
            }
        }
        Some(())
    }

    /// Cells of any size, each behind the byte that its type wants.
    #[inline]
    fn copy<'b>(&mut self, prefix: Option<u8>, cells: impl Iterator<Item = Option<&'b [u8]>>) -> Option<()> {
        for ((place, cell), row) in self.places.iter_mut().zip(cells).zip(self.start..) {
            if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                *place = put(self.out, *place, &NULL)?;
                continue;
            }
            let cell = cell?;
            let length = (usize::from(prefix.is_some()) + cell.len()) as u32;
            let mut next = put(self.out, *place, &length.to_be_bytes())?;
            if let Some(prefix) = prefix {
                next = put(self.out, next, &[prefix])?;
            }
            let (space, _) = self.out.get_mut(next..)?.split_at_mut_checked(cell.len())?;
            space.copy_from_slice(cell);
            *place = next + cell.len();
        }
        Some(())
    }
}

/// Writes bytes at a place and returns the place behind them.
#[inline]
pub fn put<const N: usize>(out: &mut [u8], place: usize, bytes: &[u8; N]) -> Option<usize> {
    *out.get_mut(place..)?.first_chunk_mut::<N>()? = *bytes;
    // No addition of two sizes that are in memory overflows; the plain sign would check again.
    Some(place.wrapping_add(N))
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
