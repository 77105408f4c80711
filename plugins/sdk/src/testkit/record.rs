//! Records as literals: what goes into a plugin in a test, and what comes out of it.

use crate::{Cell, Column, Decimal, Failure, Kind, Value};

/// One value of a record. Doubles are equal when their bits are, so NaN equals itself.
#[derive(Clone, Debug)]
pub enum Datum {
    /// The record does not have the field.
    Absent,
    /// An explicit null.
    Null,
    /// An integer, or a timestamp in µs.
    Int64(i64),
    /// A double.
    Float64(f64),
    /// A boolean.
    Boolean(bool),
    /// A text, or JSON.
    Text(String),
    /// A byte string.
    Binary(Vec<u8>),
    /// A decimal.
    Decimal(Decimal),
}

impl PartialEq for Datum {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) | (Self::Null, Self::Null) => true,
            (Self::Int64(one), Self::Int64(two)) => one == two,
            (Self::Float64(one), Self::Float64(two)) => one.to_bits() == two.to_bits(),
            (Self::Boolean(one), Self::Boolean(two)) => one == two,
            (Self::Text(one), Self::Text(two)) => one == two,
            (Self::Binary(one), Self::Binary(two)) => one == two,
            (Self::Decimal(one), Self::Decimal(two)) => one == two,
            _ => false,
        }
    }
}

impl Datum {
    /// The value as an output takes it.
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Absent => Value::Absent,
            Self::Null => Value::Null,
            Self::Int64(value) => Value::Int64(*value),
            Self::Float64(value) => Value::Float64(*value),
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Text(value) => Value::Text(value),
            Self::Binary(value) => Value::Binary(value),
            Self::Decimal(value) => Value::Decimal(*value),
        }
    }

    /// The value as a field of `kind` has it, by the host's rules: an integer becomes a double where that
    /// is exact, nothing else changes its type. `None` where the host would make a row error of it.
    pub(super) fn fitted(&self, kind: Kind) -> Option<Self> {
        match (self, kind) {
            (Self::Int64(value), Kind::Float64) => {
                let double = *value as f64;
                (i128::from(*value) == double as i128).then_some(Self::Float64(double))
            }
            (Self::Absent | Self::Null, _)
            | (Self::Int64(_), Kind::Int64 | Kind::Timestamp)
            | (Self::Float64(_), Kind::Float64)
            | (Self::Boolean(_), Kind::Boolean)
            | (Self::Text(_), Kind::Text | Kind::Json)
            | (Self::Binary(_), Kind::Binary)
            | (Self::Decimal(_), Kind::Decimal) => Some(self.clone()),
            _ => None,
        }
    }

    /// The value of a column's row.
    pub(super) fn read(column: &Column<'_>, kind: Kind, row: usize) -> Result<Self, Failure> {
        Ok(match kind {
            Kind::Int64 | Kind::Timestamp => column.int64s()?.get(row).into(),
            Kind::Float64 => column.float64s()?.get(row).into(),
            Kind::Boolean => column.booleans()?.get(row).into(),
            Kind::Text | Kind::Json => column.texts()?.get(row).into(),
            Kind::Binary => column.binaries()?.get(row).into(),
            Kind::Decimal => column.decimals()?.get(row).into(),
        })
    }
}

/// Every plain type is a datum.
macro_rules! datum_from {
    ($($plain:ty => $case:ident $with:expr),+) => {$(
        impl From<$plain> for Datum {
            fn from(value: $plain) -> Self {
                Self::$case($with(value))
            }
        }
    )+};
}

datum_from! {
    i32 => Int64 i64::from,
    i64 => Int64 std::convert::identity,
    f64 => Float64 std::convert::identity,
    bool => Boolean std::convert::identity,
    &str => Text str::to_owned,
    String => Text std::convert::identity,
    &[u8] => Binary <[u8]>::to_vec,
    Decimal => Decimal std::convert::identity
}

impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Datum>> From<Cell<T>> for Datum {
    fn from(cell: Cell<T>) -> Self {
        match cell {
            Cell::Absent => Self::Absent,
            Cell::Null => Self::Null,
            Cell::Value(value) => value.into(),
        }
    }
}

/// A record by field; fields that are not named are absent. The order of fields does not matter.
///
/// Beside fields of the value, a test may set `$key`, `$timestamp`, `$topic` and `$headers.NAME`;
/// `$offset`, `$partition` and `$watermark` come from the [`Kit`](super::Kit).
#[derive(Clone, Debug, Default)]
pub struct Record {
    fields: Vec<(String, Datum)>,
}

impl Record {
    /// A record without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, value: impl Into<Datum>) -> Self {
        let (path, value) = (path.into(), value.into());
        self.fields.retain(|(held, _)| *held != path);
        if value != Datum::Absent {
            self.fields.push((path, value));
        }
        self
    }

    /// The field's value; absent where it was not set.
    pub fn get(&self, path: &str) -> &Datum {
        self.fields.iter().find(|(held, _)| held == path).map_or(&Datum::Absent, |(_, value)| value)
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let all_in = |one: &Self, two: &Self| one.fields.iter().all(|(path, value)| two.get(path) == value);
        all_in(self, other) && all_in(other, self)
    }
}

/// A [`Record`](crate::testkit::Record) by field: `record! { "price": 1.5, "symbol": "A", "note": Datum::Null }`.
#[macro_export]
macro_rules! record {
    ($($path:literal : $value:expr),* $(,)?) => {
        $crate::testkit::Record::new()$(.with($path, $value))*
    };
}
