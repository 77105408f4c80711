//! Typed views of a column: what a plugin's loop reads from.

use crate::column::bit;
use crate::{Cell, Decimal, Nulls, Slices};

/// A column of numbers of one type.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) nulls: Nulls<'a>,
}

/// A column of integers or timestamps.
pub type Int64s<'a> = Numbers<'a, i64>;
/// A column of doubles.
pub type Float64s<'a> = Numbers<'a, f64>;

impl<'a, T: Copy> Numbers<'a, T> {
    /// The bare values, one per row; those of rows without a value mean nothing.
    #[inline]
    pub fn values(&self) -> &'a [T] {
        self.values
    }

    /// The row's value; a row beyond the batch is absent.
    #[inline]
    pub fn get(&self, row: usize) -> Cell<T> {
        self.values.get(row).map_or(Cell::Absent, |value| self.nulls.cell(row, *value))
    }

    /// All rows in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Cell<T>> + use<'a, T> {
        let nulls = self.nulls;
        self.values.iter().enumerate().map(move |(row, value)| nulls.cell(row, *value))
    }
}

/// A column of booleans.
#[derive(Clone, Copy, Debug)]
pub struct Booleans<'a> {
    pub(crate) bits: &'a [u8],
    pub(crate) nulls: Nulls<'a>,
}

impl<'a> Booleans<'a> {
    /// The packed bits, lowest first; those of rows without a value mean nothing.
    #[inline]
    pub fn bits(&self) -> &'a [u8] {
        self.bits
    }

    /// The row's value; a row beyond the last byte is absent.
    #[inline]
    pub fn get(&self, row: usize) -> Cell<bool> {
        if row / 8 < self.bits.len() { self.nulls.cell(row, bit(self.bits, row)) } else { Cell::Absent }
    }
}

/// A column of decimals.
#[derive(Clone, Copy, Debug)]
pub struct Decimals<'a> {
    pub(crate) words: &'a [u64],
    pub(crate) scale: u8,
    pub(crate) nulls: Nulls<'a>,
}

impl<'a> Decimals<'a> {
    /// Digits after the point of all values.
    #[inline]
    pub fn scale(&self) -> u8 {
        self.scale
    }

    /// Two words per row, the low one first, two's complement.
    #[inline]
    pub fn words(&self) -> &'a [u64] {
        self.words
    }

    /// The row's value; a row beyond the batch is absent.
    #[inline]
    pub fn get(&self, row: usize) -> Cell<Decimal> {
        match self.words.get(2 * row..) {
            Some([low, high, ..]) => {
                let unscaled = (u128::from(*high) << 64 | u128::from(*low)) as i128;
                self.nulls.cell(row, Decimal { unscaled, scale: self.scale })
            }
            _ => Cell::Absent,
        }
    }
}

/// A column of byte strings, each row's own or picked from a dictionary.
#[derive(Clone, Copy, Debug)]
pub struct Binaries<'a> {
    pub(crate) slices: Slices<'a>,
    pub(crate) ids: Option<&'a [u32]>,
    pub(crate) nulls: Nulls<'a>,
}

impl<'a> Binaries<'a> {
    /// The row's bytes; a row beyond the batch is absent.
    #[inline]
    pub fn get(&self, row: usize) -> Cell<&'a [u8]> {
        let bytes =
            slot(self.ids, row).and_then(|slot| self.slices.range(slot)).and_then(|range| self.slices.bytes.get(range));
        bytes.map_or(Cell::Absent, |bytes| self.nulls.cell(row, bytes))
    }

    /// The stored byte strings: one per row, or with [`ids`](Self::ids) the distinct ones.
    #[inline]
    pub fn slices(&self) -> Slices<'a> {
        self.slices
    }

    /// Where the column is a dictionary: each row's position in [`slices`](Self::slices).
    #[inline]
    pub fn ids(&self) -> Option<&'a [u32]> {
        self.ids
    }
}

/// A column of texts, each row's own or picked from a dictionary.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    pub(crate) text: &'a str,
    pub(crate) slices: Slices<'a>,
    pub(crate) ids: Option<&'a [u32]>,
    pub(crate) nulls: Nulls<'a>,
}

impl<'a> Texts<'a> {
    /// The row's text; a row beyond the batch is absent.
    #[inline]
    pub fn get(&self, row: usize) -> Cell<&'a str> {
        let text = slot(self.ids, row).and_then(|slot| self.stored(slot));
        text.map_or(Cell::Absent, |text| self.nulls.cell(row, text))
    }

    /// The stored text at `slot`: one per row, or with [`ids`](Self::ids) one of the distinct ones.
    #[inline]
    pub fn stored(&self, slot: usize) -> Option<&'a str> {
        self.slices.range(slot).and_then(|range| self.text.get(range))
    }

    /// The number of stored texts.
    #[inline]
    pub fn stored_len(&self) -> usize {
        self.slices.len()
    }

    /// Where the column is a dictionary: each row's position among the stored texts.
    #[inline]
    pub fn ids(&self) -> Option<&'a [u32]> {
        self.ids
    }
}

#[inline]
fn slot(ids: Option<&[u32]>, row: usize) -> Option<usize> {
    match ids {
        None => Some(row),
        Some(ids) => ids.get(row).map(|id| *id as usize),
    }
}

/// Gives every view the questions about nulls, so that authors need not know where the answers lie.
macro_rules! nullable {
    ($($view:ty $(, $parameter:ident)?);+) => {$(
        impl<'a $(, $parameter)?> $view {
            /// Which rows have a value, as packed bits.
            #[inline]
            pub fn nulls(&self) -> Nulls<'a> {
                self.nulls
            }

            /// Whether any row may lack a value; false allows a loop over the bare values.
            #[inline]
            pub fn has_nulls(&self) -> bool {
                self.nulls.has_nulls()
            }

            /// Whether the row has a value.
            #[inline]
            pub fn has_value(&self, row: usize) -> bool {
                self.nulls.has_value(row)
            }

            /// Whether the row has the field, as an explicit null.
            #[inline]
            pub fn is_null(&self, row: usize) -> bool {
                self.nulls.is_null(row)
            }

            /// Whether the row lacks the field.
            #[inline]
            pub fn is_absent(&self, row: usize) -> bool {
                self.nulls.is_absent(row)
            }
        }
    )+};
}

nullable! { Numbers<'a, T>, T; Booleans<'a>; Decimals<'a>; Binaries<'a>; Texts<'a> }
