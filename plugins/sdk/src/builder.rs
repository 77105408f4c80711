//! Column builders: what a plugin pushes output values into. Buffers are kept from call to call, and the
//! null bitmaps come into being only with the first null.

use crate::view::Numbers;
use crate::{Cell, Column, Nulls, Slices, Values};

/// Where a builder keeps its values; implemented for each kind of column by this crate alone.
pub trait Store: Default + sealed::Sealed {
    /// What is pushed.
    type Item<'v>: Copy;

    /// Appends a value.
    fn push(&mut self, item: Self::Item<'_>);

    /// Appends the slot of a row without a value.
    fn push_empty(&mut self);

    /// The number of rows.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the rows and keeps the buffers.
    fn clear(&mut self);
}

mod sealed {
    pub trait Sealed {}
}

/// The values of one output column and which rows have one.
#[derive(Clone, Debug, Default)]
pub struct Builder<S> {
    pub(crate) store: S,
    nulls: Bitmaps,
}

/// Builds a column of integers or timestamps.
pub type Int64Builder = Builder<Vec<i64>>;
/// Builds a column of doubles.
pub type Float64Builder = Builder<Vec<f64>>;
/// Builds a column of booleans.
pub type BooleanBuilder = Builder<Bits>;
/// Builds a column of texts.
pub type TextBuilder = Builder<TextStore>;
/// Builds a column of byte strings.
pub type BinaryBuilder = Builder<BinaryStore>;
/// Builds a column of decimals; pushed are the digits, `value * 10^scale`.
pub type DecimalBuilder = Builder<DecimalStore>;

impl<S: Store> Builder<S> {
    /// Appends a row: a value, or an explicit null.
    #[inline(always)]
    pub fn push(&mut self, value: Option<S::Item<'_>>) {
        match value {
            Some(value) => self.push_value(value),
            None => self.push_null(),
        }
    }

    /// Appends a row with a value.
    #[inline(always)]
    pub fn push_value(&mut self, value: S::Item<'_>) {
        if self.nulls.has_nulls {
            self.nulls.push(self.store.len(), true, false);
        }
        self.store.push(value);
    }

    /// Appends a row whose field is an explicit null.
    #[inline]
    pub fn push_null(&mut self) {
        self.nulls.push(self.store.len(), false, false);
        self.store.push_empty();
    }

    /// Appends a row without the field.
    #[inline]
    pub fn push_absent(&mut self) {
        self.nulls.push(self.store.len(), false, true);
        self.store.push_empty();
    }

    /// Appends a row like the one that was read.
    #[inline]
    pub fn push_cell(&mut self, cell: Cell<S::Item<'_>>) {
        match cell {
            Cell::Value(value) => self.push_value(value),
            Cell::Null => self.push_null(),
            Cell::Absent => self.push_absent(),
        }
    }

    /// The number of rows pushed.
    #[inline]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether no row was pushed.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.store.clear();
        self.nulls.clear();
    }

    pub(crate) fn nulls(&self) -> Nulls<'_> {
        let shown = |bits: &'_ Bits, there: bool| if there { bits.bytes.len() } else { 0 };
        Nulls {
            validity: self
                .nulls
                .validity
                .bytes
                .get(..shown(&self.nulls.validity, self.nulls.has_nulls))
                .unwrap_or_default(),
            absent: self.nulls.absent.bytes.get(..shown(&self.nulls.absent, self.nulls.has_absent)).unwrap_or_default(),
        }
    }
}

impl<T: Copy + Default> Builder<Vec<T>>
where
    Vec<T>: for<'v> Store<Item<'v> = T>,
{
    /// Appends a row per value.
    #[inline]
    pub fn extend_from_slice(&mut self, values: &[T]) {
        if self.nulls.has_nulls {
            for value in values {
                self.push_value(*value);
            }
        } else {
            self.store.extend_from_slice(values);
        }
    }

    /// Appends all rows of an input column, nulls and all.
    pub fn extend(&mut self, column: &Numbers<'_, T>) {
        if column.has_nulls() {
            column.iter().for_each(|cell| self.push_cell(cell));
        } else {
            self.extend_from_slice(column.values());
        }
    }
}

/// The two null bitmaps of a column, each begun with the first row that needs it.
#[derive(Clone, Debug, Default)]
struct Bitmaps {
    has_nulls: bool,
    has_absent: bool,
    validity: Bits,
    absent: Bits,
}

impl Bitmaps {
    /// Notes row `row`, which is the next one.
    #[inline]
    fn push(&mut self, row: usize, valid: bool, absent: bool) {
        if !self.has_nulls || absent && !self.has_absent {
            self.begin(row, absent);
        }
        self.validity.push(valid);
        if self.has_absent {
            self.absent.push(absent);
        }
    }

    /// Begins the bitmaps that row `row` needs, and fills in the rows before it.
    #[cold]
    fn begin(&mut self, row: usize, absent: bool) {
        if !self.has_nulls {
            self.has_nulls = true;
            self.validity.fill(row, true);
        }
        if absent && !self.has_absent {
            self.has_absent = true;
            self.absent.fill(row, false);
        }
    }

    fn clear(&mut self) {
        self.has_nulls = false;
        self.has_absent = false;
        self.validity.clear();
        self.absent.clear();
    }
}

/// Packed bits: bit i is bit i % 8 of byte i / 8; unused bits of the last byte are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    /// The packed bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a bit.
    #[inline]
    pub fn push(&mut self, value: bool) {
        let mask = u8::from(value) << (self.len % 8);
        match self.bytes.last_mut() {
            Some(last) if !self.len.is_multiple_of(8) => *last |= mask,
            _ => self.bytes.push(mask),
        }
        self.len += 1;
    }

    /// Makes it `len` bits of one value.
    fn fill(&mut self, len: usize, value: bool) {
        self.bytes.clear();
        self.bytes.resize(len / 8, if value { 0xff } else { 0 });
        if !len.is_multiple_of(8) {
            self.bytes.push(if value { (1 << (len % 8)) - 1 } else { 0 });
        }
        self.len = len;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.len = 0;
    }
}

impl sealed::Sealed for Bits {}

impl Store for Bits {
    type Item<'v> = bool;

    #[inline]
    fn push(&mut self, item: bool) {
        Bits::push(self, item);
    }

    #[inline]
    fn push_empty(&mut self) {
        Bits::push(self, false);
    }

    fn len(&self) -> usize {
        self.len
    }

    fn clear(&mut self) {
        Bits::clear(self);
    }
}

/// Vectors of plain numbers are stores.
macro_rules! number_store {
    ($($number:ty),+) => {$(
        impl sealed::Sealed for Vec<$number> {}

        impl Store for Vec<$number> {
            type Item<'v> = $number;

            #[inline]
            fn push(&mut self, item: $number) {
                Vec::push(self, item);
            }

            #[inline]
            fn push_empty(&mut self) {
                Vec::push(self, <$number>::default());
            }

            #[inline]
            fn len(&self) -> usize {
                Vec::len(self)
            }

            fn clear(&mut self) {
                Vec::clear(self);
            }
        }
    )+};
}

number_store!(i64, f64);

/// Decimals of one scale.
#[derive(Clone, Debug, Default)]
pub struct DecimalStore {
    words: Vec<u64>,
    /// Digits after the point; `None` as long as there are only rows without a value.
    pub(crate) scale: Option<u8>,
}

impl sealed::Sealed for DecimalStore {}

impl Store for DecimalStore {
    type Item<'v> = i128;

    #[inline]
    fn push(&mut self, item: i128) {
        self.words.extend_from_slice(&[item as u64, (item >> 64) as u64]);
    }

    #[inline]
    fn push_empty(&mut self) {
        self.push(0);
    }

    fn len(&self) -> usize {
        self.words.len() / 2
    }

    fn clear(&mut self) {
        self.words.clear();
        self.scale = None;
    }
}

/// Byte strings end to end.
#[derive(Clone, Debug)]
pub struct BinaryStore {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl Default for BinaryStore {
    fn default() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0] }
    }
}

impl BinaryStore {
    fn slices(&self) -> Slices<'_> {
        Slices { bytes: &self.bytes, offsets: &self.offsets }
    }
}

impl sealed::Sealed for BinaryStore {}

impl Store for BinaryStore {
    type Item<'v> = &'v [u8];

    #[inline]
    fn push(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
        self.offsets.push(self.bytes.len() as u32);
    }

    #[inline]
    fn push_empty(&mut self) {
        self.push(&[]);
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.offsets.truncate(1);
    }
}

/// Texts end to end.
#[derive(Clone, Debug, Default)]
pub struct TextStore(BinaryStore);

impl sealed::Sealed for TextStore {}

impl Store for TextStore {
    type Item<'v> = &'v str;

    #[inline]
    fn push(&mut self, item: &str) {
        self.0.push(item.as_bytes());
    }

    #[inline]
    fn push_empty(&mut self) {
        self.0.push_empty();
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// The values of a store as a column shows them.
pub(crate) trait Shown {
    /// The column that these values and their nulls are.
    fn column(&self) -> Column<'_>;
}

impl Shown for Int64Builder {
    fn column(&self) -> Column<'_> {
        Column { nulls: self.nulls(), values: Values::Int64s(&self.store) }
    }
}

impl Shown for Float64Builder {
    fn column(&self) -> Column<'_> {
        Column { nulls: self.nulls(), values: Values::Float64s(&self.store) }
    }
}

impl Shown for BooleanBuilder {
    fn column(&self) -> Column<'_> {
        Column { nulls: self.nulls(), values: Values::Booleans(self.store.as_bytes()) }
    }
}

impl Shown for TextBuilder {
    fn column(&self) -> Column<'_> {
        Column { nulls: self.nulls(), values: Values::Texts(self.store.0.slices()) }
    }
}

impl Shown for BinaryBuilder {
    fn column(&self) -> Column<'_> {
        Column { nulls: self.nulls(), values: Values::Binaries(self.store.slices()) }
    }
}

impl Shown for DecimalBuilder {
    fn column(&self) -> Column<'_> {
        Column {
            nulls: self.nulls(),
            values: Values::Decimals { words: &self.store.words, scale: self.store.scale.unwrap_or(0) },
        }
    }
}
