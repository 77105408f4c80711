//! Column builders: one cell per record, set in any order, and set again when a record says so twice (of equal
//! members of a JSON object the last counts). A cell that nobody sets is absent. Arrow's own builders only
//! append, and know one kind of null.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::ArrowError;

use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::{Column, Kind};

/// What a cell holds; one byte each while a column is built. A value is zero, so that the bits of all states
/// together tell whether a column has nothing but values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// A value of the column's kind.
    Value = 0,
    /// The record has no such field.
    Absent = 1,
    /// An explicit null.
    Null = 2,
    /// A value of another kind.
    Mismatch = 4,
}

/// The states of a column's cells.
#[derive(Debug, Default)]
struct States(Vec<u8>);

impl States {
    fn begin(&mut self, rows: usize) {
        self.0.clear();
        self.0.resize(rows, State::Absent as u8);
    }

    #[inline]
    fn set(&mut self, row: usize, state: State) {
        if let Some(slot) = self.0.get_mut(row) {
            *slot = state as u8;
        }
    }

    /// The bits of all states together.
    fn union(&self) -> u8 {
        self.0.iter().fold(0, |all, state| all | state)
    }

    /// The cells in that state as bits, if there are any.
    fn bits(&self, union: u8, state: State) -> Option<BooleanBuffer> {
        let bit = state as u8;
        (union & bit != 0).then(|| pack(&self.0, |states| (states >> bit.trailing_zeros()) & EACH))
    }

    fn nulls(&self, union: u8) -> Option<NullBuffer> {
        let value = |states: u64| !(states | states >> 1 | states >> 2) & EACH;
        (union != 0).then(|| NullBuffer::new(pack(&self.0, value)))
    }

    fn column(&self, kind: Kind, array: impl FnOnce(Option<NullBuffer>) -> Result<ArrayRef>) -> Result<Column> {
        let union = self.union();
        Ok(Column {
            kind,
            array: array(self.nulls(union))?,
            absent: self.bits(union, State::Absent),
            mismatch: self.bits(union, State::Mismatch),
        })
    }
}

/// The lowest bit of each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

/// One bit per byte: `lowest` leaves of each byte of a word only its lowest bit.
fn pack(bytes: &[u8], lowest: impl Fn(u64) -> u64) -> BooleanBuffer {
    // The product moves the lowest bit of byte i to bit 56 + i.
    let gather = |word: u64| (lowest(word).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut bits: Vec<u8> = chunks.iter().map(|chunk| gather(u64::from_le_bytes(*chunk))).collect();
    if !rest.is_empty() {
        bits.push(gather(rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))));
    }
    BooleanBuffer::new(bits.into(), 0, bytes.len())
}

/// Bytes that are 0 or 1 as bits.
pub fn pack_booleans(bytes: &[u8]) -> BooleanBuffer {
    pack(bytes, |word| word & EACH)
}

/// A column of values of one width.
#[derive(Debug, Default)]
pub struct Fixed<T> {
    states: States,
    values: Vec<T>,
}

impl<T: Copy + Default> Fixed<T> {
    /// Starts a column of that many cells, all absent.
    pub fn begin(&mut self, rows: usize) {
        self.states.begin(rows);
        self.values = vec![T::default(); rows];
    }

    /// Sets a cell to a value, or to a mismatch.
    #[inline]
    pub fn set(&mut self, row: usize, value: Option<T>) {
        match (value, self.values.get_mut(row)) {
            (Some(value), Some(slot)) => {
                *slot = value;
                self.states.set(row, State::Value);
            }
            _ => self.states.set(row, State::Mismatch),
        }
    }

    /// Sets a cell to something that is no value.
    #[inline]
    pub fn mark(&mut self, row: usize, state: State) {
        self.states.set(row, state);
    }

    /// The column; `array` makes the array of its values.
    pub fn finish(
        &mut self,
        kind: Kind,
        array: impl FnOnce(Vec<T>, Option<NullBuffer>) -> Result<ArrayRef>,
    ) -> Result<Column> {
        let values = std::mem::take(&mut self.values);
        self.states.column(kind, |nulls| array(values, nulls))
    }
}

/// A column of texts or byte strings.
#[derive(Debug, Default)]
pub struct Bytes {
    states: States,
    values: Vec<u8>,
    /// Where each cell ends in `values`, after a leading 0; 0 for cells without bytes.
    ends: Vec<i32>,
    /// What the column before had: room for as much is made when the next one begins, and not held in between, since
    /// every lane has builders of its own.
    reserve: usize,
    /// The cell that was set last, and where it begins in `values`.
    last: usize,
    start: usize,
}

impl Bytes {
    /// Starts a column of that many cells, all absent.
    pub fn begin(&mut self, rows: usize) {
        self.states.begin(rows);
        self.ends = vec![0; rows + 1];
        self.values = Vec::with_capacity(self.reserve);
        self.last = usize::MAX;
    }

    /// Sets a cell to these bytes.
    #[inline]
    pub fn set_bytes(&mut self, row: usize, bytes: &[u8]) {
        self.set(row, |values| {
            values.extend_from_slice(bytes);
            true
        });
    }

    /// Sets a cell to the bytes that `append` appends, or to a mismatch where it says false.
    #[inline]
    pub fn set(&mut self, row: usize, append: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.clear(row);
        self.last = row;
        self.start = self.values.len();
        let state = if append(&mut self.values) {
            State::Value
        } else {
            self.values.truncate(self.start);
            State::Mismatch
        };
        self.states.set(row, state);
        if let Some(end) = self.ends.get_mut(row.wrapping_add(1)) {
            *end = self.values.len() as i32;
        }
    }

    /// Sets a cell to something that is no value.
    #[inline]
    pub fn mark(&mut self, row: usize, state: State) {
        self.clear(row);
        self.states.set(row, state);
    }

    /// Takes back the bytes of the cell if it was the one set last.
    #[inline]
    fn clear(&mut self, row: usize) {
        if self.last == row {
            self.values.truncate(self.start);
            if let Some(end) = self.ends.get_mut(row.wrapping_add(1)) {
                *end = 0;
            }
        }
    }

    /// The column: a `BinaryArray` for [`Kind::Binary`], else a `StringArray`.
    pub fn finish(&mut self, kind: Kind) -> Result<Column> {
        if i32::try_from(self.values.len()).is_err() {
            let message = "a batch has more than 2 GiB of text in one field; lower `max.partition.fetch.bytes`";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let mut ends = std::mem::take(&mut self.ends);
        ends.iter_mut().fold(0, |before, end| {
            *end = before.max(*end);
            *end
        });
        self.reserve = self.values.len();
        let values = Buffer::from(std::mem::take(&mut self.values));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        self.states.column(kind, |nulls| {
            let array: Result<ArrayRef, ArrowError> = match kind {
                Kind::Binary => BinaryArray::try_new(offsets, values, nulls).map(|array| Arc::new(array) as ArrayRef),
                _ => StringArray::try_new(offsets, values, nulls).map(|array| Arc::new(array) as ArrayRef),
            };
            array.map_err(|e| Error::caused(ErrorKind::Internal, "make a column of texts", e))
        })
    }
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
