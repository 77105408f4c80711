//! A batch on its way through the chain: rows of one lane, the columns pulled from their records, and the
//! fields that stages have written over them.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{UInt32Array, new_null_array};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

use super::column::Column;
use super::field::{Carry, Kind, Path};
use super::origin::Origin;
use crate::error::{Error, Result};

/// Which record each row continues.
#[derive(Debug, Clone)]
pub enum Rows {
    /// Row i continues record i; as many rows as records.
    All(usize),
    /// Row i continues this record; not decreasing. Fewer, more or other rows than records.
    Picked(ScalarBuffer<u32>),
}

impl Rows {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Rows::All(rows) => *rows,
            Rows::Picked(picked) => picked.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record that a row continues.
    pub fn origin(&self, row: usize) -> usize {
        match self {
            Rows::All(_) => row,
            Rows::Picked(picked) => picked.get(row).map_or(row, |&record| record as usize),
        }
    }
}

/// The columns that the converters pulled for the whole chain in one pass, n = records of the origin.
#[derive(Debug, Default)]
pub struct Decoded {
    /// One column per (path, kind) of the projection.
    pub columns: Vec<(Path, Column)>,
    /// The records whose value is there and says null, rising.
    pub nulls: Vec<u32>,
}

impl Decoded {
    fn find(&self, path: &Path, kind: Kind) -> Option<&Column> {
        self.columns.iter().find(|(p, c)| p == path && c.kind == kind).map(|(_, c)| c)
    }
}

/// Where the cells of a field come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldSource {
    /// A stage wrote them.
    Written,
    /// They are pulled from the records.
    Record,
    /// A stage does not carry the field, or wrote over what it lay in: it is absent in every row.
    Nowhere,
}

/// Rows of one lane between two stages.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The consumed records.
    pub origin: Arc<Origin>,
    /// What was pulled from them.
    pub decoded: Arc<Decoded>,
    /// Which record each row continues.
    pub rows: Rows,
    /// Fields written by stages, each as long as `rows`; a later one of the same path replaces the earlier.
    pub overlay: Vec<(Path, Column)>,
    /// Which fields of the record are still visible beside the overlay.
    pub carry: Carry,
}

impl Batch {
    /// The batch as it leaves the converters.
    pub fn new(origin: Arc<Origin>, decoded: Decoded, rows: Rows) -> Self {
        Batch { origin, decoded: Arc::new(decoded), rows, overlay: Vec::new(), carry: Carry::All }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether a row may continue a tombstone; a no spares looking at each.
    pub fn may_have_tombstones(&self) -> bool {
        !self.decoded.nulls.is_empty() || self.origin.may_have_tombstones()
    }

    /// Whether a row continues a record without a value, or whose value is null by what its converter says.
    pub fn is_tombstone(&self, row: usize) -> bool {
        let record = self.rows.origin(row);
        self.origin.value(record).is_none() || self.decoded.nulls.binary_search(&(record as u32)).is_ok()
    }

    /// Where the field's cells come from.
    pub fn source(&self, path: &Path) -> FieldSource {
        if self.overlay.iter().any(|(written, _)| written == path) {
            return FieldSource::Written;
        }
        let hidden = self.overlay.iter().any(|(written, _)| path.is_within(written)) || !self.carry.shows(path);
        if hidden { FieldSource::Nowhere } else { FieldSource::Record }
    }

    /// The field as a column as long as the rows. A field that nobody wrote and that is not carried is absent
    /// in every row. Errors: [`crate::error::Kind::Internal`] when the projection did not pull the field.
    pub fn pull(&self, path: &Path, kind: Kind) -> Result<Cow<'_, Column>> {
        if let Some((_, column)) = self.overlay.iter().rev().find(|(p, _)| p == path) {
            return if column.kind == kind { Ok(Cow::Borrowed(column)) } else { convert(column, kind).map(Cow::Owned) };
        }
        if self.source(path) == FieldSource::Nowhere {
            return Ok(Cow::Owned(absent(kind, self.len())));
        }
        let column = self.decoded.find(path, kind).ok_or_else(|| {
            Error::new(crate::error::Kind::Internal, format!("field {path} as {kind} is not in the projection"))
        })?;
        match &self.rows {
            Rows::All(_) => Ok(Cow::Borrowed(column)),
            Rows::Picked(picked) => take(column, picked).map(Cow::Owned),
        }
    }

    /// Writes a field over the batch, and over what lay below its path. The column is as long as the rows.
    pub fn write(&mut self, path: Path, column: Column) {
        self.overlay.retain(|(p, _)| !p.is_within(&path));
        self.overlay.push((path, column));
    }

    /// The rows at these positions (not decreasing), with all their fields.
    pub fn select(&self, positions: &ScalarBuffer<u32>) -> Result<Batch> {
        let picked: Vec<u32> = positions.iter().map(|&row| self.rows.origin(row as usize) as u32).collect();
        let overlay = self.overlay.iter().map(|(path, column)| Ok((path.clone(), take(column, positions)?)));
        Ok(Batch {
            origin: Arc::clone(&self.origin),
            decoded: Arc::clone(&self.decoded),
            rows: Rows::Picked(picked.into()),
            overlay: overlay.collect::<Result<_>>()?,
            carry: self.carry.clone(),
        })
    }
}

/// The Arrow type of a kind. Decimals have the given scale.
pub fn arrow_type(kind: Kind, scale: i8) -> DataType {
    match kind {
        Kind::Int64 => DataType::Int64,
        Kind::Float64 => DataType::Float64,
        Kind::Boolean => DataType::Boolean,
        Kind::Text | Kind::Json => DataType::Utf8,
        Kind::Binary => DataType::Binary,
        Kind::Decimal => DataType::Decimal128(38, scale),
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// A column in which every cell is absent.
pub fn absent(kind: Kind, rows: usize) -> Column {
    Column {
        kind,
        array: new_null_array(&arrow_type(kind, 0), rows),
        absent: Some(BooleanBuffer::new_set(rows)),
        mismatch: None,
    }
}

/// The cells of a column at these positions.
pub fn take(column: &Column, positions: &ScalarBuffer<u32>) -> Result<Column> {
    let indices = UInt32Array::new(positions.clone(), None);
    let array = arrow_select::take::take(&column.array, &indices, None)
        .map_err(|e| Error::caused(crate::error::Kind::Internal, "pick rows of a column", e))?;
    let pick = |bits: &BooleanBuffer| positions.iter().map(|&row| bits.value(row as usize)).collect::<BooleanBuffer>();
    Ok(Column {
        kind: column.kind,
        array,
        absent: column.absent.as_ref().map(pick),
        mismatch: column.mismatch.as_ref().map(pick),
    })
}

/// A written column as another kind, where that loses nothing: int → float when exact, timestamp ↔ int64 µs.
/// A cell that cannot be converted is a mismatch, as it would be had the field been pulled from a record.
fn convert(column: &Column, kind: Kind) -> Result<Column> {
    super::cast::cast(column, kind)
}
