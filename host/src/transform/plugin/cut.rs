//! Cutting rows into calls: a guest sees at most 8 192 rows or 4 MiB at once; a larger single row goes alone.

use std::ops::Range;

use arrow_array::Array;

use crate::guest::lowered_bytes;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS_MAX};
use crate::record::Column;

/// The ranges of rows that go into one call each, in order; none for no rows.
pub(super) fn pieces(rows: usize, columns: &[Column]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    // Halved until they fit, the earlier half on top.
    let mut open = Vec::new();
    open.push(0..rows);
    while let Some(range) = open.pop() {
        let bytes: usize = columns.iter().map(|column| lowered_bytes(column, range.clone())).sum();
        if range.len() > 1 && (range.len() > BATCH_ROWS_MAX || bytes > BATCH_BYTES_MAX) {
            let middle = range.start + range.len() / 2;
            open.extend([middle..range.end, range.start..middle]);
        } else if !range.is_empty() {
            pieces.push(range);
        }
    }
    pieces
}

/// The columns of a range of rows, sharing their values.
pub(super) fn slice(columns: &[Column], rows: &Range<usize>) -> Vec<Column> {
    let cut = |column: &Column| {
        let bits = |bits: &arrow_buffer::BooleanBuffer| bits.slice(rows.start, rows.len());
        Column {
            kind: column.kind,
            array: column.array.slice(rows.start, rows.len()),
            absent: column.absent.as_ref().map(bits),
            mismatch: column.mismatch.as_ref().map(bits),
        }
    };
    columns.iter().map(cut).collect()
}
