//! What a guest has given, put over the batch it was given: output rows in record order among the rows that
//! went by untouched, with the fields that the plan carries.

use std::ops::Range;

use arrow_buffer::ScalarBuffer;

use super::super::Plan;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::guest::{Processed, RowOrigin, concat_columns, empty_column};
use crate::record::batch::{absent, take};
use crate::record::{Batch, Column, Field, FieldSource};

/// The output of all calls of a batch, its origins counted in the rows that were passed in.
pub(super) struct Given<'a> {
    writes: &'a [Field],
    /// None while each call has given exactly one row per row.
    origins: Option<Vec<u32>>,
    /// Output rows so far.
    rows: usize,
    columns: Vec<Vec<Column>>,
}

impl<'a> Given<'a> {
    pub(super) fn new(writes: &'a [Field]) -> Self {
        Given { writes, origins: None, rows: 0, columns: Vec::new() }
    }

    /// Takes what the call with these rows gave.
    pub(super) fn take(&mut self, processed: Processed, piece: &Range<usize>) {
        let start = piece.start as u32;
        match (processed.origin, &mut self.origins) {
            (RowOrigin::Identity, None) => self.rows += piece.len(),
            (RowOrigin::Identity, Some(origins)) => {
                origins.extend(start..piece.end as u32);
                self.rows += piece.len();
            }
            (RowOrigin::Rows(rows), origins) => {
                let origins = origins.get_or_insert_with(|| (0..self.rows as u32).collect());
                origins.extend(rows.iter().map(|row| row + start));
                self.rows += rows.len();
            }
        }
        self.columns.push(processed.columns);
    }

    /// The batch after the stage. `passed` are the rows that were passed in (None = all), `bypassing` those
    /// that went by untouched.
    pub(super) fn over(
        self,
        batch: Batch,
        plan: &Plan,
        passed: Option<&ScalarBuffer<u32>>,
        bypassing: &[u32],
    ) -> Result<Batch> {
        let mut written = self.joined()?;
        let origins = self.origins_in_batch(batch.len(), passed);
        let origins = match (bypassing.is_empty(), origins) {
            (true, origins) => origins,
            (false, origins) => {
                let origins = origins.unwrap_or_else(|| (0..batch.len() as u32).collect());
                let merged = merge(&origins, bypassing);
                for (field, column) in self.writes.iter().zip(&mut written) {
                    *column = merged.fill(column, &untouched(&batch, field)?)?;
                }
                Some(merged.rows.into())
            }
        };
        let mut after = match &origins {
            None => batch,
            Some(origins) => batch.select(origins)?,
        };
        after.overlay.retain(|(path, _)| plan.carry.shows(path));
        after.carry = after.carry.and(&plan.carry);
        for (field, column) in self.writes.iter().zip(written) {
            after.write(field.path.clone(), column);
        }
        Ok(after)
    }

    fn joined(&self) -> Result<Vec<Column>> {
        let joined = |(position, field): (usize, &Field)| {
            let parts: Vec<&Column> = self.columns.iter().filter_map(|columns| columns.get(position)).collect();
            if parts.is_empty() { Ok(empty_column(field)) } else { join(&parts, field) }
        };
        self.writes.iter().enumerate().map(joined).collect()
    }

    /// The row of the batch that each output row continues; None = each its own.
    fn origins_in_batch(&self, rows: usize, passed: Option<&ScalarBuffer<u32>>) -> Option<ScalarBuffer<u32>> {
        match (&self.origins, passed) {
            (None, passed) => passed.cloned().or_else(|| (self.rows != rows).then(ScalarBuffer::default)),
            (Some(origins), None) => Some(origins.iter().copied().collect()),
            (Some(origins), Some(passed)) => {
                let row = |origin: &u32| passed.get(*origin as usize).copied();
                Some(origins.iter().filter_map(row).collect())
            }
        }
    }
}

fn join(parts: &[&Column], field: &Field) -> Result<Column> {
    concat_columns(parts).map_err(|what| Error::new(ErrorKind::PluginTrap, format!("field {}: {what}", field.path)))
}

/// A written field's cells in the rows of the batch that the stage did not touch.
fn untouched(batch: &Batch, field: &Field) -> Result<Column> {
    let is_kept = batch.source(&field.path) == FieldSource::Written || field.path.is_meta();
    match is_kept {
        true => Ok(batch.pull(&field.path, field.kind)?.into_owned()),
        false => Ok(absent(field.kind, batch.len())),
    }
}

/// Output rows and untouched rows in the order of the batch's rows.
struct Merged {
    /// The row of the batch that each row continues.
    rows: Vec<u32>,
    /// Where each row's written cells are: an output row, or else a row of the batch.
    cells: Vec<Result<u32, u32>>,
}

fn merge(origins: &[u32], bypassing: &[u32]) -> Merged {
    let total = origins.len() + bypassing.len();
    let mut merged = Merged { rows: Vec::with_capacity(total), cells: Vec::with_capacity(total) };
    let mut bypassing = bypassing.iter().copied().peekable();
    for (output, &row) in origins.iter().enumerate() {
        while let Some(earlier) = bypassing.next_if(|earlier| *earlier < row) {
            merged.push(earlier, Err(earlier));
        }
        merged.push(row, Ok(output as u32));
    }
    for later in bypassing {
        merged.push(later, Err(later));
    }
    merged
}

impl Merged {
    fn push(&mut self, row: u32, cell: Result<u32, u32>) {
        self.rows.push(row);
        self.cells.push(cell);
    }

    /// A written column of all rows, from the guest's output and the cells of untouched rows.
    fn fill(&self, output: &Column, untouched: &Column) -> Result<Column> {
        let both = concat_columns(&[output, untouched]).map_err(|what| Error::new(ErrorKind::Internal, what))?;
        let first_untouched = output.array.len() as u32;
        let position = |cell: &Result<u32, u32>| cell.unwrap_or_else(|row| first_untouched + row);
        take(&both, &self.cells.iter().map(position).collect())
    }
}
