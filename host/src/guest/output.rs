//! What one call of a guest has given: emitted rows, collected and checked as they come, and the rows that
//! it rejected, checked against them at the end.

use std::sync::Arc;

use arrow_buffer::ScalarBuffer;

use super::lift::{self, Budget, Fault};
use super::name::presentable;
use super::v0::bindings::weir::plugin::{output as wit, types};
use crate::record::batch::take;
use crate::record::{Column, Field};

/// Which row of the batch each output row continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowOrigin {
    /// Output row i continues row i; as many rows as the batch.
    Identity,
    /// Not decreasing.
    Rows(ScalarBuffer<u32>),
}

impl RowOrigin {
    /// The number of output rows of a batch of so many rows.
    pub fn len(&self, batch_rows: usize) -> usize {
        match self {
            RowOrigin::Identity => batch_rows,
            RowOrigin::Rows(rows) => rows.len(),
        }
    }
}

/// A row that the guest could not process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRowError {
    /// The row of the batch.
    pub row: u32,
    /// The plugin's number for the cause.
    pub code: u16,
    /// The plugin's sentence, fit to be shown.
    pub message: String,
}

/// What a guest made of a batch.
#[derive(Debug, Clone)]
pub struct Processed {
    /// Which row each output row continues.
    pub origin: RowOrigin,
    /// One column per field of the plan's outputs, in that order, each as long as the origin.
    pub columns: Vec<Column>,
    /// The rows without output because of an error, rising.
    pub row_errors: Vec<GuestRowError>,
}

/// Collects the output of one call.
#[derive(Debug)]
pub(super) struct Output {
    fields: Arc<[Field]>,
    /// Rows of the batch; 0 in `advance`, where every origin is 0.
    rows_in: usize,
    rows_left: usize,
    rows_max: usize,
    budget: Budget,
    /// The highest origin so far.
    last: u32,
    emits: Vec<(RowOrigin, Vec<Column>)>,
}

impl Output {
    /// Nothing yet; at most `rows_max` rows and `bytes_max` bytes may come.
    pub(super) fn new(fields: Arc<[Field]>, rows_in: usize, rows_max: usize, bytes_max: usize) -> Self {
        Output {
            fields,
            rows_in,
            rows_left: rows_max,
            rows_max,
            budget: Budget::new(bytes_max),
            last: 0,
            emits: Vec::new(),
        }
    }

    /// Takes the rows of one emit.
    pub(super) fn emit(&mut self, origin: wit::Origin, columns: Vec<types::ColumnResult>) -> Result<(), Fault> {
        let origin = self.origin(origin)?;
        let rows = match &origin {
            RowOrigin::Identity => self.rows_in,
            RowOrigin::Rows(rows) => rows.len(),
        };
        self.rows_left = self.rows_left.checked_sub(rows).ok_or_else(|| {
            let (all, max) = (self.rows_max - self.rows_left + rows, self.rows_max);
            Fault::Limit(format!("emitted {all} rows in one call; its limit is {max} (plugin.limits.output.rows)"))
        })?;
        if columns.len() != self.fields.len() {
            let message = format!("emitted {} columns, but its plan writes {}", columns.len(), self.fields.len());
            return Err(Fault::Contract(message));
        }
        let mut lifted = Vec::with_capacity(columns.len());
        for (position, (field, column)) in self.fields.iter().zip(columns).enumerate() {
            if column.field as usize != position {
                let message = format!("emitted field {} where {position} ({}) was due", column.field, field.path);
                return Err(Fault::Contract(message));
            }
            let column = lift::lift(field, rows, column, &mut self.budget).map_err(|fault| match fault {
                Fault::Contract(what) => Fault::Contract(format!("emitted column {} that {what}", field.path)),
                limit @ Fault::Limit(_) => limit,
            })?;
            lifted.push(column);
        }
        self.emits.push((origin, lifted));
        Ok(())
    }

    fn origin(&mut self, origin: wit::Origin) -> Result<RowOrigin, Fault> {
        let contract = |message: String| Err(Fault::Contract(message));
        if matches!(self.emits.first(), Some((RowOrigin::Identity, _))) {
            return contract(
                "emitted again after rows of identity origin, which are the only ones of a call".to_owned(),
            );
        }
        let rows = match origin {
            wit::Origin::Identity if self.rows_in == 0 => {
                return contract("emitted rows of identity origin without a batch".to_owned());
            }
            wit::Origin::Identity if !self.emits.is_empty() => {
                return contract("emitted rows of identity origin after others".to_owned());
            }
            wit::Origin::Identity => return Ok(RowOrigin::Identity),
            wit::Origin::Rows(rows) => rows,
        };
        let mut last = self.last;
        if let Some(falling) = rows.iter().find(|&&row| std::mem::replace(&mut last, row) > row) {
            return contract(format!("emitted origin {falling} after a higher one"));
        }
        if last as usize >= self.rows_in.max(1) {
            return contract(format!("emitted origin {last} in a batch of {} rows", self.rows_in));
        }
        self.last = last;
        Ok(RowOrigin::Rows(rows.into()))
    }

    /// The call's result, once it has returned these rows as errors.
    pub(super) fn finish(self, errors: Vec<types::RowError>) -> Result<Processed, Fault> {
        self.check_errors(&errors)?;
        let rejected: Vec<u32> = errors.iter().map(|error| error.row).collect();
        let columns = self.columns()?;
        let mut origins = self.emits.into_iter().map(|(origin, _)| origin);
        let (origin, columns) = match (origins.next(), origins.next()) {
            (Some(RowOrigin::Identity), _) if rejected.is_empty() => (RowOrigin::Identity, columns),
            (Some(RowOrigin::Identity), _) => {
                let kept = without(self.rows_in as u32, &rejected);
                let columns = columns.iter().map(|column| take(column, &kept)).collect::<Result<_, _>>();
                (RowOrigin::Rows(kept), columns.map_err(|e| Fault::Contract(e.to_string()))?)
            }
            (Some(only), None) => (only, columns),
            (first, second) => {
                let mut rows: Vec<u32> = Vec::new();
                for origin in first.into_iter().chain(second).chain(origins) {
                    if let RowOrigin::Rows(more) = origin {
                        rows.extend_from_slice(&more);
                    }
                }
                (RowOrigin::Rows(rows.into()), columns)
            }
        };
        let row_errors = errors.into_iter().map(|error| GuestRowError {
            row: error.row,
            code: error.code,
            message: presentable(&error.message),
        });
        Ok(Processed { origin, columns, row_errors: row_errors.collect() })
    }

    fn check_errors(&self, errors: &[types::RowError]) -> Result<(), Fault> {
        let mut next = 0;
        for error in errors {
            if (error.row as usize) < next || error.row as usize >= self.rows_in {
                let message = format!(
                    "returned an error of row {} in a batch of {} rows; rows rise and occur once",
                    error.row, self.rows_in
                );
                return Err(Fault::Contract(message));
            }
            next = error.row as usize + 1;
        }
        let mut errors = errors.iter().peekable();
        let emitted = self.emits.iter().filter_map(|(origin, _)| match origin {
            RowOrigin::Rows(rows) => Some(rows),
            RowOrigin::Identity => None,
        });
        for &row in emitted.flat_map(|rows| rows.iter()) {
            while errors.next_if(|error| error.row < row).is_some() {}
            if errors.peek().is_some_and(|error| error.row == row) {
                return Err(Fault::Contract(format!("emitted a row of row {row} and returned it as an error")));
            }
        }
        Ok(())
    }

    fn columns(&self) -> Result<Vec<Column>, Fault> {
        if let [(_, only)] = self.emits.as_slice() {
            return Ok(only.clone());
        }
        let joined = |(position, field): (usize, &Field)| {
            let parts: Vec<&Column> = self.emits.iter().filter_map(|(_, columns)| columns.get(position)).collect();
            if parts.is_empty() {
                return Ok(lift::empty(field));
            }
            lift::concat(&parts).map_err(|what| Fault::Contract(format!("emitted column {}: {what}", field.path)))
        };
        self.fields.iter().enumerate().map(joined).collect()
    }
}

/// The numbers below `rows` that are not among `rejected` (rising).
fn without(rows: u32, rejected: &[u32]) -> ScalarBuffer<u32> {
    let mut rejected = rejected.iter().copied().peekable();
    (0..rows).filter(|row| rejected.next_if_eq(row).is_none()).collect()
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
