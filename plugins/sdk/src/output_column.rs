//! One output column: a builder of the kind that the plan names, and values of any kind for rows by name.

use crate::builder::{BinaryBuilder, BooleanBuilder, DecimalBuilder, Float64Builder, Int64Builder, Shown, TextBuilder};
use crate::{Batch, CODE_OUTPUT, Cell, Column, Decimal, Failure, Field, Kind};

/// One output column: its field and the builder of its kind.
#[derive(Debug)]
pub struct OutputColumn {
    field: Field,
    builder: AnyBuilder,
}

#[derive(Debug)]
enum AnyBuilder {
    Int64s(Int64Builder),
    Float64s(Float64Builder),
    Booleans(BooleanBuilder),
    Texts(TextBuilder),
    Binaries(BinaryBuilder),
    Decimals(DecimalBuilder),
}

/// Does the same with whatever builder a column has.
macro_rules! each {
    ($builder:expr, $name:ident => $do:expr) => {
        match $builder {
            AnyBuilder::Int64s($name) => $do,
            AnyBuilder::Float64s($name) => $do,
            AnyBuilder::Booleans($name) => $do,
            AnyBuilder::Texts($name) => $do,
            AnyBuilder::Binaries($name) => $do,
            AnyBuilder::Decimals($name) => $do,
        }
    };
}

impl OutputColumn {
    pub(crate) fn new(field: &Field) -> Self {
        let builder = match field.kind {
            Kind::Int64 | Kind::Timestamp => AnyBuilder::Int64s(Int64Builder::default()),
            Kind::Float64 => AnyBuilder::Float64s(Float64Builder::default()),
            Kind::Boolean => AnyBuilder::Booleans(BooleanBuilder::default()),
            Kind::Text | Kind::Json => AnyBuilder::Texts(TextBuilder::default()),
            Kind::Binary => AnyBuilder::Binaries(BinaryBuilder::default()),
            Kind::Decimal => AnyBuilder::Decimals(DecimalBuilder::default()),
        };
        Self { field: field.clone(), builder }
    }

    /// The field of the plan.
    pub fn field(&self) -> &Field {
        &self.field
    }

    /// The number of rows pushed.
    #[inline]
    pub fn len(&self) -> usize {
        each!(&self.builder, builder => builder.len())
    }

    /// Whether no row was pushed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn clear(&mut self) {
        each!(&mut self.builder, builder => builder.clear());
    }

    /// Appends `rows` rows without the field; over a carried field that removes it.
    pub fn push_absent(&mut self, rows: usize) {
        each!(&mut self.builder, builder => for _ in 0..rows { builder.push_absent() });
    }

    pub(crate) fn pad(&mut self, rows: usize) {
        self.push_absent(rows.saturating_sub(self.len()));
    }

    pub(crate) fn column(&self) -> Column<'_> {
        each!(&self.builder, builder => builder.column())
    }

    /// The builder of integers or timestamps.
    #[inline]
    pub fn int64s(&mut self) -> Result<&mut Int64Builder, Failure> {
        match &mut self.builder {
            AnyBuilder::Int64s(builder) => Ok(builder),
            _ => Err(mismatch(&self.field, "an integer")),
        }
    }

    /// The builder of doubles.
    #[inline]
    pub fn float64s(&mut self) -> Result<&mut Float64Builder, Failure> {
        match &mut self.builder {
            AnyBuilder::Float64s(builder) => Ok(builder),
            _ => Err(mismatch(&self.field, "a double")),
        }
    }

    /// The builder of booleans.
    #[inline]
    pub fn booleans(&mut self) -> Result<&mut BooleanBuilder, Failure> {
        match &mut self.builder {
            AnyBuilder::Booleans(builder) => Ok(builder),
            _ => Err(mismatch(&self.field, "a boolean")),
        }
    }

    /// The builder of texts.
    #[inline]
    pub fn texts(&mut self) -> Result<&mut TextBuilder, Failure> {
        match &mut self.builder {
            AnyBuilder::Texts(builder) => Ok(builder),
            _ => Err(mismatch(&self.field, "a text")),
        }
    }

    /// The builder of byte strings.
    #[inline]
    pub fn binaries(&mut self) -> Result<&mut BinaryBuilder, Failure> {
        match &mut self.builder {
            AnyBuilder::Binaries(builder) => Ok(builder),
            _ => Err(mismatch(&self.field, "a byte string")),
        }
    }

    /// The builder of decimals, all with `scale` digits after the point (0 to 38) until the call ends.
    pub fn decimals(&mut self, scale: u8) -> Result<&mut DecimalBuilder, Failure> {
        let AnyBuilder::Decimals(builder) = &mut self.builder else {
            return Err(mismatch(&self.field, "a decimal"));
        };
        if scale > 38 || builder.store.scale.is_some_and(|before| before != scale) {
            let taken = builder.store.scale.map_or_else(|| "0 to 38".to_owned(), |before| before.to_string());
            let message =
                format!("Output `{}` takes decimals of scale {taken} in this call, not {scale}.", self.field.path);
            return Err(Failure::new(CODE_OUTPUT, message));
        }
        builder.store.scale = Some(scale);
        Ok(builder)
    }

    /// Appends all rows of a batch's column, nulls and all. The kinds must be the same.
    pub fn copy(&mut self, batch: &Batch<'_>, input: usize) -> Result<(), Failure> {
        let rows = 0..batch.len();
        match &mut self.builder {
            AnyBuilder::Int64s(builder) => builder.extend(&batch.int64s(input)?),
            AnyBuilder::Float64s(builder) => builder.extend(&batch.float64s(input)?),
            AnyBuilder::Booleans(builder) => {
                let view = batch.booleans(input)?;
                rows.for_each(|row| builder.push_cell(view.get(row)));
            }
            AnyBuilder::Texts(builder) => {
                let view = batch.texts(input)?;
                rows.for_each(|row| builder.push_cell(view.get(row)));
            }
            AnyBuilder::Binaries(builder) => {
                let view = batch.binaries(input)?;
                rows.for_each(|row| builder.push_cell(view.get(row)));
            }
            AnyBuilder::Decimals(_) => {
                let view = batch.decimals(input)?;
                let builder = self.decimals(view.scale())?;
                rows.for_each(|row| {
                    builder.push_cell(view.get(row).map(|decimal| decimal.unscaled));
                });
            }
        }
        Ok(())
    }

    /// Sets row `row`, which is the last one begun; rows since the last set are absent.
    #[inline]
    pub(crate) fn set(&mut self, row: usize, value: Value<'_>) -> Result<(), Failure> {
        let len = self.len();
        if len > row {
            return Err(set_twice(&self.field));
        }
        if len < row {
            self.pad(row);
        }
        match value {
            Value::Absent => self.pad(row + 1),
            Value::Null => each!(&mut self.builder, builder => builder.push_null()),
            Value::Int64(value) => self.int64s()?.push_value(value),
            Value::Float64(value) => self.float64s()?.push_value(value),
            Value::Boolean(value) => self.booleans()?.push_value(value),
            Value::Text(value) => self.texts()?.push_value(value),
            Value::Binary(value) => self.binaries()?.push_value(value),
            Value::Decimal(value) => self.decimals(value.scale)?.push_value(value.unscaled),
        }
        Ok(())
    }
}

#[cold]
fn set_twice(field: &Field) -> Failure {
    Failure::new(CODE_OUTPUT, format!("Output `{}` was set twice in one row.", field.path))
}

#[cold]
fn mismatch(field: &Field, wanted: &str) -> Failure {
    Failure::new(
        CODE_OUTPUT,
        format!("Output `{}` is of kind {:?} in the plan and does not take {wanted}.", field.path, field.kind),
    )
}

/// A value of any kind, for rows written by name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The row does not have the field.
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
    Text(&'a str),
    /// A byte string.
    Binary(&'a [u8]),
    /// A decimal.
    Decimal(Decimal),
}

/// Every plain type is a value, and so are its `Option` and its [`Cell`].
macro_rules! value_from {
    ($($plain:ty => $case:ident),+) => {$(
        impl<'a> From<$plain> for Value<'a> {
            fn from(value: $plain) -> Self {
                Self::$case(value)
            }
        }
    )+};
}

value_from! { i64 => Int64, f64 => Float64, bool => Boolean, &'a str => Text, &'a [u8] => Binary, Decimal => Decimal }

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'a, T: Into<Value<'a>>> From<Cell<T>> for Value<'a> {
    fn from(cell: Cell<T>) -> Self {
        match cell {
            Cell::Absent => Self::Absent,
            Cell::Null => Self::Null,
            Cell::Value(value) => value.into(),
        }
    }
}
