//! One pulled field as an Arrow array, with the three ways in which a cell can lack a value.

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;

use super::field::Kind;

/// A column of n cells. A cell is a value, an explicit null, absent, or a mismatch (the record has a value
/// there, but none of the wanted kind); in the last three cases the array's slot is null.
#[derive(Debug, Clone)]
pub struct Column {
    /// The kind of its values, which fixes the array's type (see [`Kind`]).
    pub kind: Kind,
    /// The values, n long.
    pub array: ArrayRef,
    /// Set bits: the record has no such field. None: every record has it.
    pub absent: Option<BooleanBuffer>,
    /// Set bits: the record's value is of another kind or out of range. None: no cell mismatches.
    /// The sentence for it is made only when a row is rejected, from the record itself.
    pub mismatch: Option<BooleanBuffer>,
}

impl Column {
    /// A column in which every slot that is not null is a value and every null explicit.
    pub fn of(kind: Kind, array: ArrayRef) -> Self {
        Column { kind, array, absent: None, mismatch: None }
    }

    /// Whether the cell is absent.
    pub fn is_absent(&self, row: usize) -> bool {
        self.absent.as_ref().is_some_and(|bits| bits.value(row))
    }

    /// Whether the cell has a value of another kind.
    pub fn is_mismatch(&self, row: usize) -> bool {
        self.mismatch.as_ref().is_some_and(|bits| bits.value(row))
    }
}
