//! Columns as slices: nothing is copied, a read is a slice read, and columns without nulls cost one branch.

use crate::view::{Binaries, Booleans, Decimals, Float64s, Int64s, Numbers, Texts};
use crate::{CODE_COLUMN, Failure, Kind};

/// One row's value in one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<T> {
    /// The row does not have the field at all.
    Absent,
    /// The row has the field, and it is an explicit null.
    Null,
    /// The value.
    Value(T),
}

impl<T> Cell<T> {
    /// The value, where there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Applies `change` to the value, where there is one.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Cell<U> {
        match self {
            Self::Absent => Cell::Absent,
            Self::Null => Cell::Null,
            Self::Value(value) => Cell::Value(change(value)),
        }
    }
}

/// An exact decimal number: `unscaled / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The digits.
    pub unscaled: i128,
    /// Digits after the point, 0 to 38.
    pub scale: u8,
}

/// Which rows of a column have a value. Packed bits: row i is bit i % 8 of byte i / 8, lowest bit first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nulls<'a> {
    /// 1 = the row has a value; empty = every row has one.
    pub validity: &'a [u8],
    /// 1 = the row does not have the field (its validity bit is 0 then); empty = no row lacks it.
    pub absent: &'a [u8],
}

impl Nulls<'_> {
    /// Whether any row may lack a value; false allows a loop over the bare values.
    #[inline]
    pub fn has_nulls(&self) -> bool {
        !self.validity.is_empty()
    }

    /// Whether the row has a value.
    #[inline]
    pub fn has_value(&self, row: usize) -> bool {
        self.validity.is_empty() || bit(self.validity, row)
    }

    /// Whether the row has the field, as an explicit null.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        !self.has_value(row) && !self.is_absent(row)
    }

    /// Whether the row lacks the field.
    #[inline]
    pub fn is_absent(&self, row: usize) -> bool {
        bit(self.absent, row)
    }

    #[inline]
    pub(crate) fn cell<T>(&self, row: usize, value: T) -> Cell<T> {
        if self.has_value(row) {
            Cell::Value(value)
        } else if self.is_absent(row) {
            Cell::Absent
        } else {
            Cell::Null
        }
    }
}

/// Bit `row` of packed bits; false beyond their end.
#[inline]
pub(crate) fn bit(bits: &[u8], row: usize) -> bool {
    bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1)
}

/// Byte strings end to end: value i is `bytes[offsets[i] .. offsets[i + 1]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slices<'a> {
    /// The bytes of all values, without separators.
    pub bytes: &'a [u8],
    /// One more than there are values, not decreasing, from 0 to the length of `bytes`.
    pub offsets: &'a [u32],
}

impl<'a> Slices<'a> {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn range(&self, slot: usize) -> Option<std::ops::Range<usize>> {
        match self.offsets.get(slot..)? {
            [start, end, ..] => Some(*start as usize..*end as usize),
            _ => None,
        }
    }

    /// The value at `slot`; empty where there is no such slot.
    #[inline]
    pub fn get(&self, slot: usize) -> &'a [u8] {
        self.range(slot).and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }

    /// Whether the offsets keep their contract for `count` values.
    fn is_sound(&self, count: usize) -> bool {
        self.offsets.len() == count + 1
            && self.offsets.first() == Some(&0)
            && self.offsets.last().is_some_and(|end| *end as usize == self.bytes.len())
    }

    fn is_rising(&self) -> bool {
        self.offsets.iter().zip(self.offsets.iter().skip(1)).all(|(start, end)| start <= end)
    }
}

/// The values of one column, one per row (WIT `values`). A row without a value has any value in its slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// Integers; timestamps in µs since the epoch.
    Int64s(&'a [i64]),
    /// Doubles.
    Float64s(&'a [f64]),
    /// Packed bits as in [`Nulls`].
    Booleans(&'a [u8]),
    /// UTF-8 texts.
    Texts(Slices<'a>),
    /// Byte strings.
    Binaries(Slices<'a>),
    /// Numbers of 128 bits, two's complement, the low word first.
    Decimals {
        /// Two words per row.
        words: &'a [u64],
        /// Digits after the point of all of them.
        scale: u8,
    },
    /// Texts with many repetitions.
    Dictionary {
        /// One position in `values` per row.
        ids: &'a [u32],
        /// The distinct texts.
        values: Slices<'a>,
    },
}

impl Values<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Int64s(_) => "int64s",
            Self::Float64s(_) => "float64s",
            Self::Booleans(_) => "booleans",
            Self::Texts(_) => "texts",
            Self::Binaries(_) => "binaries",
            Self::Decimals { .. } => "decimals",
            Self::Dictionary { .. } => "a dictionary",
        }
    }

    /// Whether this is how a field of `kind` travels, with a value for each of `rows` rows.
    fn fits(&self, kind: Kind, rows: usize) -> bool {
        match (self, kind) {
            (Self::Int64s(values), Kind::Int64 | Kind::Timestamp) => values.len() == rows,
            (Self::Float64s(values), Kind::Float64) => values.len() == rows,
            (Self::Booleans(bits), Kind::Boolean) => bits.len() == rows.div_ceil(8),
            (Self::Texts(slices), Kind::Text | Kind::Json) | (Self::Binaries(slices), Kind::Binary) => {
                slices.is_sound(rows)
            }
            (Self::Decimals { words, scale }, Kind::Decimal) => words.len() == 2 * rows && *scale <= 38,
            (Self::Dictionary { ids, values }, Kind::Text | Kind::Json) => {
                ids.len() == rows && values.is_sound(values.len())
            }
            _ => false,
        }
    }
}

/// One column of a batch or of output rows (WIT `column`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column<'a> {
    /// Which rows have a value.
    pub nulls: Nulls<'a>,
    /// The values.
    pub values: Values<'a>,
}

impl<'a> Column<'a> {
    /// A column in which every row has a value.
    pub fn of(values: Values<'a>) -> Self {
        Self { nulls: Nulls::default(), values }
    }

    /// Checks the lengths against the interface; what lies inside texts is checked when they are read.
    pub(crate) fn check(&self, kind: Kind, rows: usize) -> Result<(), String> {
        let bytes = rows.div_ceil(8);
        let Nulls { validity, absent } = self.nulls;
        if !self.values.fits(kind, rows) {
            return Err(format!("{} do not hold {rows} rows of kind {kind:?}", self.values.name()));
        }
        if ![0, bytes].contains(&validity.len()) || ![0, bytes].contains(&absent.len()) {
            return Err(format!(
                "{} bytes of validity and {} of absence do not fit {rows} rows",
                validity.len(),
                absent.len()
            ));
        }
        if validity.is_empty() && !absent.is_empty() {
            return Err("absent rows need a validity bitmap".to_owned());
        }
        Ok(())
    }

    #[cold]
    fn mismatch(&self, wanted: &str) -> Failure {
        Failure::new(
            CODE_COLUMN,
            format!(
                "The column holds {}, not {wanted}: read it by the kind that the plan asks for.",
                self.values.name()
            ),
        )
    }

    /// The column as integers or timestamps.
    #[inline]
    pub fn int64s(&self) -> Result<Int64s<'a>, Failure> {
        match self.values {
            Values::Int64s(values) => Ok(Numbers { values, nulls: self.nulls }),
            _ => Err(self.mismatch("int64s")),
        }
    }

    /// The column as doubles.
    #[inline]
    pub fn float64s(&self) -> Result<Float64s<'a>, Failure> {
        match self.values {
            Values::Float64s(values) => Ok(Numbers { values, nulls: self.nulls }),
            _ => Err(self.mismatch("float64s")),
        }
    }

    /// The column as booleans.
    #[inline]
    pub fn booleans(&self) -> Result<Booleans<'a>, Failure> {
        match self.values {
            Values::Booleans(bits) => Ok(Booleans { bits, nulls: self.nulls }),
            _ => Err(self.mismatch("booleans")),
        }
    }

    /// The column as decimals.
    #[inline]
    pub fn decimals(&self) -> Result<Decimals<'a>, Failure> {
        match self.values {
            Values::Decimals { words, scale } => Ok(Decimals { words, scale, nulls: self.nulls }),
            _ => Err(self.mismatch("decimals")),
        }
    }

    /// The column as byte strings: binaries, and the bytes of texts without a look at their UTF-8.
    /// Checks the offsets and ids of all rows once.
    pub fn binaries(&self) -> Result<Binaries<'a>, Failure> {
        self.unchecked_binaries("binaries or texts").and_then(sound)
    }

    /// The column as texts. Checks offsets, ids and UTF-8 of all rows once.
    pub fn texts(&self) -> Result<Texts<'a>, Failure> {
        let Binaries { slices, ids, nulls } = self.unchecked_texts().and_then(sound)?;
        let is_whole = |text: &&str| slices.offsets.iter().all(|offset| text.is_char_boundary(*offset as usize));
        let text = std::str::from_utf8(slices.bytes).ok().filter(is_whole);
        let text = text.ok_or_else(|| broken("A column of texts is not UTF-8"))?;
        Ok(Texts { text, slices, ids, nulls })
    }

    /// One row's bytes, without a look at the others.
    #[inline]
    pub(crate) fn binary_at(&self, row: usize) -> Result<Cell<&'a [u8]>, Failure> {
        Ok(self.unchecked_binaries("binaries or texts")?.get(row))
    }

    /// One row's text, without a look at the others.
    #[inline]
    pub(crate) fn text_at(&self, row: usize) -> Result<Cell<&'a str>, Failure> {
        Ok(match self.unchecked_texts()?.get(row) {
            Cell::Value(bytes) => {
                Cell::Value(std::str::from_utf8(bytes).map_err(|_| broken("A column of texts is not UTF-8"))?)
            }
            Cell::Null => Cell::Null,
            Cell::Absent => Cell::Absent,
        })
    }

    #[inline]
    fn unchecked_texts(&self) -> Result<Binaries<'a>, Failure> {
        match self.values {
            Values::Binaries(_) => Err(self.mismatch("texts")),
            _ => self.unchecked_binaries("texts"),
        }
    }

    #[inline]
    fn unchecked_binaries(&self, wanted: &str) -> Result<Binaries<'a>, Failure> {
        let (slices, ids) = match self.values {
            Values::Texts(slices) | Values::Binaries(slices) => (slices, None),
            Values::Dictionary { ids, values } => (values, Some(ids)),
            _ => return Err(self.mismatch(wanted)),
        };
        Ok(Binaries { slices, ids, nulls: self.nulls })
    }
}

/// The view, once each of its rows is known to lie within its bytes.
fn sound(view: Binaries<'_>) -> Result<Binaries<'_>, Failure> {
    let stored = view.slices.len();
    if !view.slices.is_rising() {
        return Err(broken("The offsets of a column of byte strings decrease"));
    }
    if view.ids.is_some_and(|ids| ids.iter().any(|id| *id as usize >= stored)) {
        return Err(broken("A dictionary has ids beyond its values"));
    }
    Ok(view)
}

fn broken(what: &str) -> Failure {
    Failure::new(CODE_COLUMN, format!("{what}: the host broke the interface."))
}
