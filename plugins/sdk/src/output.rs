//! The output of one call: rows by column or row by row, which input row each continues, and the rows
//! that were rejected.

use crate::builder::{BinaryBuilder, BooleanBuilder, DecimalBuilder, Float64Builder, Int64Builder, TextBuilder};
use crate::output_column::{OutputColumn, Value};
use crate::{Batch, CODE_OUTPUT, Column, Failure, Plan, RowError};

/// Where a plugin writes. Column by column: fill every column of the plan with one value per output row
/// and say where the rows come from, by [`identity`](Self::identity) or one [`origin`](Self::origin) per
/// row. Row by row: [`row`](Self::row). Nothing written = every row of the batch is dropped.
#[derive(Debug)]
pub struct Output {
    columns: Vec<OutputColumn>,
    origins: Origins,
    rejected: Rejected,
    batch_rows: usize,
    row_wise: bool,
}

/// Everything of an [`Output`] at once, for loops that write several columns.
#[derive(Debug)]
pub struct Parts<'a, const N: usize> {
    /// The columns asked for, in the order of asking.
    pub columns: [&'a mut OutputColumn; N],
    /// Where the rows come from.
    pub origins: &'a mut Origins,
    /// The rows that cannot be processed.
    pub rejected: &'a mut Rejected,
}

impl Output {
    /// An empty output for the fields that the plan writes.
    pub fn new(plan: &Plan) -> Self {
        Self {
            columns: plan.outputs().iter().map(OutputColumn::new).collect(),
            origins: Origins::default(),
            rejected: Rejected::default(),
            batch_rows: 0,
            row_wise: false,
        }
    }

    /// Forgets the last call and keeps its buffers; `batch_rows` rows come, 0 for `advance`.
    pub fn begin(&mut self, batch_rows: usize) {
        self.columns.iter_mut().for_each(OutputColumn::clear);
        self.origins.rows.clear();
        self.origins.identity = false;
        self.rejected.rows.clear();
        self.batch_rows = batch_rows;
        self.row_wise = false;
    }

    /// Output row i continues input row i, for all rows of the batch. A rejected row still needs its slot
    /// in every column (any value, or null); the host drops it.
    pub fn identity(&mut self) {
        self.origins.identity();
    }

    /// The next output row continues input row `row`; never lower than the one before.
    #[inline]
    pub fn origin(&mut self, row: usize) {
        self.origins.push(row);
    }

    /// Reports that `row` cannot be processed: `code` is the plugin's own number for the cause (below
    /// 65 000), the message one sentence that names the field and the value.
    pub fn reject(&mut self, row: usize, code: u16, message: impl Into<String>) {
        self.rejected.push(row, code, message);
    }

    /// The column at this position of the plan's outputs.
    #[inline]
    pub fn column(&mut self, position: usize) -> Result<&mut OutputColumn, Failure> {
        let fields = self.columns.len();
        self.columns.get_mut(position).ok_or_else(|| beyond(position, fields))
    }

    /// The integers or timestamps at this position of the plan's outputs.
    #[inline]
    pub fn int64(&mut self, position: usize) -> Result<&mut Int64Builder, Failure> {
        self.column(position)?.int64s()
    }

    /// The doubles at this position of the plan's outputs.
    #[inline]
    pub fn float64(&mut self, position: usize) -> Result<&mut Float64Builder, Failure> {
        self.column(position)?.float64s()
    }

    /// The booleans at this position of the plan's outputs.
    pub fn boolean(&mut self, position: usize) -> Result<&mut BooleanBuilder, Failure> {
        self.column(position)?.booleans()
    }

    /// The texts at this position of the plan's outputs.
    #[inline]
    pub fn text(&mut self, position: usize) -> Result<&mut TextBuilder, Failure> {
        self.column(position)?.texts()
    }

    /// The byte strings at this position of the plan's outputs.
    pub fn binary(&mut self, position: usize) -> Result<&mut BinaryBuilder, Failure> {
        self.column(position)?.binaries()
    }

    /// The decimals at this position of the plan's outputs, all with `scale` digits after the point.
    pub fn decimal(&mut self, position: usize, scale: u8) -> Result<&mut DecimalBuilder, Failure> {
        self.column(position)?.decimals(scale)
    }

    /// Several columns, the origins and the rejected rows at once. Each position may occur once.
    pub fn parts<const N: usize>(&mut self, positions: [usize; N]) -> Result<Parts<'_, N>, Failure> {
        let fields = self.columns.len();
        let columns = self.columns.get_disjoint_mut(positions).map_err(|_| {
            let message = format!(
                "Columns {positions:?} were asked for, but the plan writes {fields} fields and each can be had once."
            );
            Failure::new(CODE_OUTPUT, message)
        })?;
        Ok(Parts { columns, origins: &mut self.origins, rejected: &mut self.rejected })
    }

    /// Begins an output row that continues input row `origin`; fields that are not set are absent.
    #[inline]
    pub fn row(&mut self, origin: usize) -> RowWriter<'_> {
        self.row_wise = true;
        self.origins.push(origin);
        RowWriter { output: self }
    }

    /// Completes and checks what the call has written; afterwards it can be had with [`emitted`](Self::emitted).
    ///
    /// # Errors
    /// Columns of different lengths, output of a rejected row, origins that fall or lie beyond the batch.
    pub fn finish(&mut self) -> Result<(), Failure> {
        let rows = self.rows();
        if self.row_wise {
            self.columns.iter_mut().for_each(|column| column.pad(rows));
        }
        for (position, column) in self.columns.iter().enumerate() {
            if column.len() != rows {
                return Err(self.uneven(position, column, rows));
            }
        }
        self.rejected.settle(self.batch_rows)?;
        self.origins.settle(self.batch_rows, &self.rejected)
    }

    fn uneven(&self, position: usize, column: &OutputColumn, rows: usize) -> Failure {
        let path = &column.field().path;
        let message = if rows == 0 && !self.origins.identity {
            format!(
                "Output {position} `{path}` holds {} rows without an origin: call identity() or origin(row) for each.",
                column.len()
            )
        } else {
            format!("Output {position} `{path}` holds {} values, but {rows} rows were given an origin.", column.len())
        };
        Failure::new(CODE_OUTPUT, message)
    }

    fn rows(&self) -> usize {
        if self.origins.identity { self.batch_rows } else { self.origins.rows.len() }
    }

    /// What a finished call has written.
    pub fn emitted(&self) -> Emitted<'_> {
        Emitted {
            rows: self.rows(),
            origin: if self.origins.identity { Origin::Identity } else { Origin::Rows(&self.origins.rows) },
            columns: self.columns.iter().map(OutputColumn::column).collect(),
        }
    }

    /// The rows that were rejected, in rising order once the call is finished.
    pub fn rejected(&self) -> &[RowError] {
        &self.rejected.rows
    }

    /// Takes the rejected rows out.
    pub fn take_rejected(&mut self) -> Vec<RowError> {
        std::mem::take(&mut self.rejected.rows)
    }
}

#[cold]
fn beyond(position: usize, fields: usize) -> Failure {
    Failure::new(CODE_OUTPUT, format!("Output {position} was written, but the plan writes {fields} fields."))
}

/// An output row in the making.
#[derive(Debug)]
pub struct RowWriter<'a> {
    output: &'a mut Output,
}

impl RowWriter<'_> {
    /// Sets a field by its path; each field at most once. `None` and [`Cell::Null`](crate::Cell::Null) are an explicit null.
    ///
    /// # Errors
    /// A path that the plan does not write, a value of another kind, a field set twice.
    #[inline]
    pub fn set<'v>(self, path: &str, value: impl Into<Value<'v>>) -> Result<Self, Failure> {
        let position = self.output.columns.iter().position(|column| column.field().path == path);
        let position = position.ok_or_else(|| {
            Failure::new(CODE_OUTPUT, format!("`{path}` is not an output of the plan: add it there with `output`."))
        })?;
        self.set_at(position, value)
    }

    /// Sets the field at this position of the plan's outputs, like [`set`](Self::set) and without the look-up.
    #[inline]
    pub fn set_at<'v>(self, position: usize, value: impl Into<Value<'v>>) -> Result<Self, Failure> {
        let row = self.output.origins.rows.len().saturating_sub(1);
        self.output.column(position)?.set(row, value.into())?;
        Ok(self)
    }
}

/// Output rows of one call, as the host gets them.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted<'a> {
    /// The number of rows.
    pub rows: usize,
    /// Which input row each continues.
    pub origin: Origin<'a>,
    /// One column per field that the plan writes.
    pub columns: Vec<Column<'a>>,
}

impl<'a> Emitted<'a> {
    /// The rows as a batch of the plan's outputs, to read them like an input.
    pub fn as_batch<'b>(&'b self, plan: &'b Plan) -> Result<Batch<'b>, Failure>
    where
        'a: 'b,
    {
        Batch::new(self.rows, plan.outputs(), &self.columns)
    }
}

/// Which input row each output row continues (WIT `origin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// Output row i continues input row i.
    Identity,
    /// One input row per output row, not decreasing.
    Rows(&'a [u32]),
}

impl Origin<'_> {
    /// The input row that output row `row` continues.
    pub fn of(&self, row: usize) -> Option<usize> {
        match self {
            Self::Identity => Some(row),
            Self::Rows(rows) => rows.get(row).map(|row| *row as usize),
        }
    }
}

/// Where output rows come from.
#[derive(Debug, Default)]
pub struct Origins {
    rows: Vec<u32>,
    identity: bool,
}

impl Origins {
    /// Output row i continues input row i, for all rows of the batch.
    pub fn identity(&mut self) {
        self.identity = true;
    }

    /// The next output row continues input row `row`; never lower than the one before.
    #[inline]
    pub fn push(&mut self, row: usize) {
        self.rows.push(row as u32);
    }

    fn settle(&mut self, batch_rows: usize, rejected: &Rejected) -> Result<(), Failure> {
        if self.identity {
            return if self.rows.is_empty() {
                Ok(())
            } else {
                Err(Failure::new(
                    CODE_OUTPUT,
                    "Output rows have an identity() origin and single origins: give one or the other.",
                ))
            };
        }
        let mut last = 0;
        for row in &self.rows {
            // `advance` has no batch; its rows all continue the last row before it, written as 0.
            if *row as usize >= batch_rows.max(1) || *row < last {
                let message = format!(
                    "Origin {row} after {last} in a batch of {batch_rows} rows: origins must not fall or lie beyond the batch."
                );
                return Err(Failure::new(CODE_OUTPUT, message));
            }
            last = *row;
        }
        if let Some(error) = rejected.rows.iter().find(|error| self.rows.binary_search(&error.row).is_ok()) {
            let message =
                format!("Row {} was rejected and yet has output: reject a row before any output of it.", error.row);
            return Err(Failure::new(CODE_OUTPUT, message));
        }
        self.identity = batch_rows > 0
            && self.rows.len() == batch_rows
            && self.rows.iter().zip(0..).all(|(row, index)| *row == index);
        if self.identity {
            self.rows.clear();
        }
        Ok(())
    }
}

/// Rows that cannot be processed.
#[derive(Debug, Default)]
pub struct Rejected {
    rows: Vec<RowError>,
}

impl Rejected {
    /// Reports one: see [`Output::reject`].
    pub fn push(&mut self, row: usize, code: u16, message: impl Into<String>) {
        self.rows.push(RowError { row: row as u32, code, message: message.into() });
    }

    /// Brings the rows into rising order; of several reports on one row the first counts.
    fn settle(&mut self, batch_rows: usize) -> Result<(), Failure> {
        if !self.rows.is_sorted_by(|one, next| one.row < next.row) {
            self.rows.sort_by_key(|error| error.row);
            self.rows.dedup_by_key(|error| error.row);
        }
        match self.rows.last() {
            Some(error) if error.row as usize >= batch_rows => Err(Failure::new(
                CODE_OUTPUT,
                format!("Row {} was rejected in a batch of {batch_rows} rows.", error.row),
            )),
            _ => Ok(()),
        }
    }
}
