//! COPY BINARY: the rows of a batch, checked and encoded. The hot path of the sink.
//!
//! Everything that the catalogue tells is checked on whole columns first (`check.rs`), so that writing meets only
//! cells that fit. A block of rows is measured and then filled one column after the other (`cells.rs`): each of these
//! loops does one thing, and no row allocates. Format: PostgreSQL documentation, COPY, "Binary Format".
//!
//! A tombstone (a record without a value) asks for a delete, and rows are only added here: one that no stage has
//! written a field into is refused, and would otherwise be a row of nulls.

use std::borrow::Cow;
use std::ops::Range;

use arrow_array::Array as _;
use arrow_buffer::BooleanBuffer;

use super::bind::{Bound, Source};
use super::cells::{self, Cells};
use super::check::{self, Refusals};
use super::numeric::NumericEncoder;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::limits::ABSENT_COLUMN_RECORDS_MAX;
use crate::record::{Batch, Column, RowError, Rows, Want};
use crate::sink::Encoder;

/// What a COPY BINARY stream begins with: signature, flags (none), header extension (none).
pub const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with: a row of −1 columns.
pub const TRAILER: [u8; 2] = [0xff, 0xff];
/// Rows laid out at a time: few enough to stay in the processor's first cache.
const BLOCK_ROWS: usize = 128;

/// Encodes the rows of one topic for its table.
#[derive(Debug)]
pub struct CopyEncoder {
    table: usize,
    name: String,
    columns: Vec<Bound>,
    wants: Vec<Want>,
    absent: Option<AbsentWatch>,
    numeric: NumericEncoder,
    scratch: Scratch,
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
        let (numeric, scratch) = (NumericEncoder::default(), Scratch::default());
        CopyEncoder { table, name, wants: wants.collect(), columns, absent, numeric, scratch }
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
    fn watch(&mut self, pulled: &[Option<Cow<'_, Column>>], rows: usize, tombstones: &[usize]) -> Result<()> {
        let Some(watch) = &mut self.absent else {
            return Ok(());
        };
        let still_missing = watch.look(pulled, rows, tombstones);
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

    fn resume(&mut self, rows: u64) {
        // They lacked no field, or the task would have failed then; a field may well be rare.
        if rows >= ABSENT_COLUMN_RECORDS_MAX {
            self.absent = None;
        }
    }

    fn encode(&mut self, batch: &Batch, data: &mut Vec<u8>, lines: &mut Vec<i64>) -> Result<Vec<RowError>> {
        let pulled = self.pull(batch)?;
        let tombstones = tombstones(batch, &pulled);
        self.watch(&pulled, batch.len(), &tombstones)?;
        let mut refusals = Refusals::new(batch);
        for &row in &tombstones {
            refusals.tombstone(row, &self.name);
        }
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
        write(&cells, batch, refused.as_deref(), &mut self.scratch, data, lines)?;
        Ok(refusals.into_errors())
    }
}

/// The rows that continue a record without a value and have no field either, rising.
fn tombstones(batch: &Batch, pulled: &[Option<Cow<'_, Column>>]) -> Vec<usize> {
    let mut empty: Option<BooleanBuffer> = None;
    for column in pulled.iter().flatten() {
        // Most tables have a column that every record has: then there is nothing to look for.
        let Some(absent) = column.absent.as_ref().filter(|absent| absent.count_set_bits() > 0) else {
            return Vec::new();
        };
        empty = Some(empty.map_or_else(|| absent.clone(), |empty| &empty & absent));
    }
    empty.iter().flat_map(BooleanBuffer::set_indices).filter(|&row| batch.is_tombstone(row)).collect()
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
    /// into batches. Tombstones have no fields and say nothing. Returns a column that is still missing.
    fn look(&mut self, pulled: &[Option<Cow<'_, Column>>], rows: usize, tombstones: &[usize]) -> Option<usize> {
        let left = ABSENT_COLUMN_RECORDS_MAX.saturating_sub(self.rows) as usize;
        let (mut window, mut looked) = (rows.min(left), rows.min(left));
        if !tombstones.is_empty() {
            let telling = (0..rows).filter(|row| tombstones.binary_search(row).is_err()).take(left);
            (window, looked) = telling.fold((0, 0), |(_, count), row| (row + 1, count + 1));
        }
        for (seen, column) in self.seen.iter_mut().zip(pulled) {
            let absent = column.as_ref().and_then(|column| column.absent.as_ref());
            *seen |= looked > 0 && absent.is_none_or(|bits| bits.slice(0, window).count_set_bits() < window);
        }
        self.rows += looked as u64;
        self.seen.iter().position(|seen| !seen)
    }
}

/// Appends the rows of records that are not refused; appends nothing when it fails.
fn write(
    cells: &[Cells<'_>],
    batch: &Batch,
    refused: Option<&[bool]>,
    scratch: &mut Scratch,
    data: &mut Vec<u8>,
    lines: &mut Vec<i64>,
) -> Result<()> {
    let (data_start, lines_start) = (data.len(), lines.len());
    let is_refused = |row| refused.is_some_and(|refused| refused.get(batch.rows.origin(row)) == Some(&true));
    let mut row = 0;
    while row < batch.len() {
        // A block is a run of rows without a refused one.
        let end = batch.len().min(row + BLOCK_ROWS);
        let end = (row..end).find(|&row| is_refused(row)).unwrap_or(end);
        if end == row {
            row += 1;
            continue;
        }
        let written = scratch.write(cells, row..end, data).and_then(|()| push_offsets(batch, row..end, lines));
        if written.is_none() {
            data.truncate(data_start);
            lines.truncate(lines_start);
            let message = "a batch has rows of records that it does not hold, or cells beyond their measure";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        row = end;
    }
    Ok(())
}

/// Appends the offset of each row's record.
fn push_offsets(batch: &Batch, rows: Range<usize>, lines: &mut Vec<i64>) -> Option<()> {
    let offsets = &batch.origin.offsets;
    match &batch.rows {
        Rows::All(_) => lines.extend_from_slice(offsets.get(rows)?),
        Rows::Picked(picked) => {
            for &record in picked.get(rows)? {
                lines.push(*offsets.get(record as usize)?);
            }
        }
    }
    Some(())
}

/// Where a block of rows is laid out.
#[derive(Debug, Default)]
struct Scratch {
    /// The block's bytes; never shrinks.
    bytes: Vec<u8>,
    /// Per row, the size and then the place of its next cell.
    places: Vec<usize>,
}

impl Scratch {
    /// Lays out rows column by column, and appends them to `data`. None when a column is shorter than the rows.
    fn write(&mut self, cells: &[Cells<'_>], rows: Range<usize>, data: &mut Vec<u8>) -> Option<()> {
        let count = (cells.len() as u16).to_be_bytes();
        let fixed: usize = cells.iter().filter_map(Cells::size).sum();
        self.places.clear();
        self.places.resize(rows.len(), count.len() + fixed);
        for column in cells.iter().filter(|column| column.size().is_none()) {
            column.measure(rows.clone(), &mut self.places)?;
        }
        let mut total = 0;
        for place in &mut self.places {
            (*place, total) = (total, total + *place);
        }
        if self.bytes.len() < total {
            self.bytes.resize(total, 0);
        }
        let block = self.bytes.get_mut(..total)?;
        for place in &mut self.places {
            *place = cells::put(block, *place, &count)?;
        }
        for column in cells {
            column.write(rows.clone(), block, &mut self.places)?;
        }
        data.extend_from_slice(block);
        Some(())
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
