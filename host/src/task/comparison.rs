//! The rows of two chains beside each other: what a chain that is to take over would change. Pure.

use arrow_array::BooleanArray;
use arrow_ord::cmp::distinct;

use crate::error::Result;
use crate::record::{Batch, Field, FieldSource};

/// What two chains made of the same records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Rows that were compared.
    pub rows: u64,
    /// Rows that differ, or that only one of the two has.
    pub differing: u64,
    /// The first difference: offset, field and both values.
    pub first: Option<String>,
}

impl Comparison {
    /// Compares the fields that either chain writes, row by row. Where the chains gave different numbers of rows for the
    /// same records, the rows without counterpart are counted, and nothing else of that batch is looked at.
    pub fn take(&mut self, spoken: &Batch, followed: &Batch, fields: &[Field]) -> Result<()> {
        self.rows += spoken.len().max(followed.len()) as u64;
        if let Some((row, missing)) = mismatch(spoken, followed) {
            self.differing += missing;
            self.note(spoken, row, || "the number of rows".to_owned());
            return Ok(());
        }
        let mut differs = vec![false; spoken.len()];
        for field in fields {
            let writes = |batch: &Batch| batch.source(&field.path) == FieldSource::Written;
            if writes(spoken) != writes(followed) {
                self.note(spoken, 0, || format!("{}: only one of the two writes it", field.path));
                differs.fill(true);
            }
            if !writes(spoken) || !writes(followed) {
                continue;
            }
            let (old, new) = (spoken.pull(&field.path, field.kind)?, followed.pull(&field.path, field.kind)?);
            // Arrays of two types (decimals of another scale) are not compared cell by cell.
            let Ok(distinct) = distinct(&old.array, &new.array) else {
                self.note(spoken, 0, || format!("{}: another type", field.path));
                differs.fill(true);
                continue;
            };
            let Some(row) = first(&distinct) else { continue };
            self.note(spoken, row, || {
                format!("{}: {} became {}", field.path, cell(&old.array, row), cell(&new.array, row))
            });
            differs.iter_mut().zip(distinct.values()).for_each(|(differs, other)| *differs |= other);
        }
        self.differing += differs.iter().filter(|differs| **differs).count() as u64;
        Ok(())
    }

    fn note(&mut self, batch: &Batch, row: usize, what: impl FnOnce() -> String) {
        if self.first.is_none() {
            let record = if row < batch.len() { batch.rows.origin(row) } else { 0 };
            let offset = batch.origin.offsets.get(record).copied().unwrap_or(batch.origin.next_offset);
            self.first = Some(format!("{}, offset {offset}, {}", batch.origin.lane, what()));
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: &Comparison) -> Comparison {
        Comparison {
            rows: self.rows + other.rows,
            differing: self.differing + other.differing,
            first: self.first.or_else(|| other.first.clone()),
        }
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} rows differ", self.differing, self.rows)?;
        self.first.as_ref().map_or(Ok(()), |first| write!(f, " (first: {first})"))
    }
}

/// The first row whose record is another one, and how many rows have no counterpart; None where all have.
fn mismatch(spoken: &Batch, followed: &Batch) -> Option<(usize, u64)> {
    let (mut old, mut new, mut missing, mut at) = (0, 0, 0, None);
    while old < spoken.len() || new < followed.len() {
        let of = |batch: &Batch, row: usize| if row < batch.len() { batch.rows.origin(row) } else { usize::MAX };
        let (left, right) = (of(spoken, old), of(followed, new));
        if left != right {
            missing += 1;
            at.get_or_insert(old);
        }
        old += usize::from(left <= right);
        new += usize::from(right <= left);
    }
    at.map(|at| (at, missing))
}

fn first(bits: &BooleanArray) -> Option<usize> {
    bits.values().set_indices().next()
}

fn cell(array: &dyn arrow_array::Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    arrow_cast::display::array_value_to_string(array, row).unwrap_or_else(|_| "a value".to_owned())
}
