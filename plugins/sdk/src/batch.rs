//! A batch: rows of one lane in offset order, as columns by position or as rows by field name.

use crate::view::{Binaries, Booleans, Decimals, Float64s, Int64s, Texts};
use crate::{CODE_COLUMN, Cell, Column, Decimal, Failure, Field};

/// Rows with one column per field. A batch borrows everything: copying one copies three pointers.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    rows: usize,
    fields: &'a [Field],
    columns: &'a [Column<'a>],
}

impl<'a> Batch<'a> {
    /// A batch of `rows` rows with one column per field of the plan, in that order.
    ///
    /// # Errors
    /// Names the field whose column is missing, is of another kind, or has another number of rows.
    pub fn new(rows: usize, fields: &'a [Field], columns: &'a [Column<'a>]) -> Result<Self, Failure> {
        if fields.len() != columns.len() {
            let message = format!("The plan names {} fields, but {} columns came.", fields.len(), columns.len());
            return Err(Failure::new(CODE_COLUMN, message));
        }
        for (field, column) in fields.iter().zip(columns) {
            column.check(field.kind, rows).map_err(|reason| {
                Failure::new(CODE_COLUMN, format!("The column of `{}` is malformed: {reason}.", field.path))
            })?;
        }
        Ok(Self { rows, fields, columns })
    }

    /// The number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row; the host never sends such a batch.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The fields, by position.
    pub fn fields(&self) -> &'a [Field] {
        self.fields
    }

    /// The position of the field with this path.
    #[inline]
    pub fn position(&self, path: &str) -> Result<usize, Failure> {
        self.fields.iter().position(|field| field.path == path).ok_or_else(|| {
            let message = format!("`{path}` is not in the plan: add it there with `input`.");
            Failure::new(CODE_COLUMN, message)
        })
    }

    /// The column at this position of the plan.
    #[inline]
    pub fn column(&self, position: usize) -> Result<&'a Column<'a>, Failure> {
        self.columns.get(position).ok_or_else(|| {
            let message = format!("Column {position} was read, but the plan names {} fields.", self.fields.len());
            Failure::new(CODE_COLUMN, message)
        })
    }

    /// The integers or timestamps at this position of the plan.
    pub fn int64s(&self, position: usize) -> Result<Int64s<'a>, Failure> {
        self.column(position)?.int64s()
    }

    /// The doubles at this position of the plan.
    pub fn float64s(&self, position: usize) -> Result<Float64s<'a>, Failure> {
        self.column(position)?.float64s()
    }

    /// The booleans at this position of the plan.
    pub fn booleans(&self, position: usize) -> Result<Booleans<'a>, Failure> {
        self.column(position)?.booleans()
    }

    /// The texts at this position of the plan; their UTF-8 is checked once, here.
    pub fn texts(&self, position: usize) -> Result<Texts<'a>, Failure> {
        self.column(position)?.texts()
    }

    /// The byte strings at this position of the plan; texts too, without a look at their UTF-8.
    pub fn binaries(&self, position: usize) -> Result<Binaries<'a>, Failure> {
        self.column(position)?.binaries()
    }

    /// The decimals at this position of the plan.
    pub fn decimals(&self, position: usize) -> Result<Decimals<'a>, Failure> {
        self.column(position)?.decimals()
    }

    /// The rows in order, for plugins that read by name.
    pub fn rows(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let batch = *self;
        (0..self.rows).map(move |index| Row { batch, index })
    }
}

/// One row of a batch, read by field name. Convenient, and slower than columns: each read looks up the
/// name among the plan's fields.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    batch: Batch<'a>,
    index: usize,
}

impl<'a> Row<'a> {
    /// The row's number in the batch, from 0: the `origin` of output rows that continue it.
    pub fn index(&self) -> usize {
        self.index
    }

    #[inline]
    fn column(&self, path: &str) -> Result<&'a Column<'a>, Failure> {
        self.batch.column(self.batch.position(path)?)
    }

    /// The integer, or the timestamp in µs.
    #[inline]
    pub fn int64(&self, path: &str) -> Result<Cell<i64>, Failure> {
        Ok(self.column(path)?.int64s()?.get(self.index))
    }

    /// The double.
    #[inline]
    pub fn float64(&self, path: &str) -> Result<Cell<f64>, Failure> {
        Ok(self.column(path)?.float64s()?.get(self.index))
    }

    /// The boolean.
    #[inline]
    pub fn boolean(&self, path: &str) -> Result<Cell<bool>, Failure> {
        Ok(self.column(path)?.booleans()?.get(self.index))
    }

    /// The decimal.
    #[inline]
    pub fn decimal(&self, path: &str) -> Result<Cell<Decimal>, Failure> {
        Ok(self.column(path)?.decimals()?.get(self.index))
    }

    /// The byte string, or the bytes of a text.
    #[inline]
    pub fn binary(&self, path: &str) -> Result<Cell<&'a [u8]>, Failure> {
        self.column(path)?.binary_at(self.index)
    }

    /// The text.
    #[inline]
    pub fn text(&self, path: &str) -> Result<Cell<&'a str>, Failure> {
        self.column(path)?.text_at(self.index)
    }
}
