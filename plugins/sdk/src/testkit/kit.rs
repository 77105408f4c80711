//! One guest and what a host does around it: rows out of records, running numbers, the watermark.

use super::{Chance, Datum, Record};
use crate::guest::Guest;
use crate::output_column::OutputColumn;
use crate::{CODE_COLUMN, Column, Failure, Field, OFFSET, Output, PARTITION, Plan, Plugin, RowError, WATERMARK};

/// A configured plugin in a test.
#[derive(Debug)]
pub struct Kit<P> {
    pub(super) guest: Guest<P>,
    pub(super) position: Position,
}

/// How far the records of a lane have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The number of the next record, counted from 0: its `$offset`.
    pub(super) offset: usize,
    /// The newest event time less the lateness, or what it was advanced to, in µs.
    pub(super) watermark_us: Option<i64>,
    /// The newest event time, in µs.
    newest_us: Option<i64>,
}

/// What records became.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The output rows, with the fields that the plan writes.
    pub rows: Vec<Record>,
    /// The offset of the record that each output row continues.
    pub origins: Vec<usize>,
    /// The rejected records; `row` is the offset. Those that the host itself rejects, for want of a required
    /// field or for a value of another type, are among them.
    pub rejected: Vec<RowError>,
}

impl<P: Plugin> Kit<P> {
    /// Checks the plugin's description and configures it as a pipeline's settings would.
    pub fn new(settings: &[(&str, &str)]) -> Result<Self, Failure> {
        P::describe().check()?;
        let mut guest = Guest::new();
        guest.configure(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))?;
        Ok(Self { guest, position: Position::default() })
    }

    /// The guest, to drive or look into it directly.
    pub fn guest(&mut self) -> &mut Guest<P> {
        &mut self.guest
    }

    /// Processes the records as one batch.
    pub fn process(&mut self, records: &[Record]) -> Result<Outcome, Failure> {
        let plan = self.guest.plan()?.clone();
        let mut outcome = Outcome::default();
        let mut offsets = Vec::new();
        let mut inputs: Vec<OutputColumn> = plan.inputs().iter().map(OutputColumn::new).collect();
        for record in records {
            let offset = self.position.offset;
            let given = self.row(&plan, record).and_then(|values| self.position.judge(&plan, record).map(|()| values));
            match given {
                Ok(values) => {
                    self.position.pass(&plan, record);
                    for (input, value) in inputs.iter_mut().zip(&values) {
                        input.set(offsets.len(), value.value())?;
                    }
                    offsets.push(offset);
                }
                Err(message) => outcome.rejected.push(RowError { row: offset as u32, code: CODE_COLUMN, message }),
            }
            self.position.offset += 1;
        }
        if !offsets.is_empty() {
            let columns: Vec<Column<'_>> = inputs.iter().map(OutputColumn::column).collect();
            let output = self.guest.process(offsets.len(), &columns)?;
            collect(output, &plan, &offsets, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// Processes the records in batches of random lengths.
    pub fn process_cut(&mut self, records: &[Record], chance: &mut Chance) -> Result<Outcome, Failure> {
        let (mut outcome, mut rest) = (Outcome::default(), records);
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(1 + chance.below(rest.len()));
            outcome.extend(self.process(batch)?);
            rest = later;
        }
        Ok(outcome)
    }

    /// Moves the watermark to `watermark_us` without a record.
    pub fn advance(&mut self, watermark_us: i64) -> Result<Outcome, Failure> {
        let plan = self.guest.plan()?.clone();
        self.position.watermark_us = self.position.watermark_us.max(Some(watermark_us));
        let last = [self.position.offset.saturating_sub(1)];
        let mut outcome = Outcome::default();
        collect(self.guest.advance(watermark_us)?, &plan, &last, &mut outcome)?;
        Ok(outcome)
    }

    /// What the plan's inputs hold for this record, or why the host would reject it.
    fn row(&self, plan: &Plan, record: &Record) -> Result<Vec<Datum>, String> {
        let cell = |(position, field): (usize, &Field)| {
            let value = match field.path.as_str() {
                OFFSET => Datum::Int64(self.position.offset as i64),
                PARTITION => Datum::Int64(0),
                WATERMARK => self.position.watermark_us.into(),
                path => record.get(path).clone(),
            };
            if plan.is_required(position) && matches!(value, Datum::Absent | Datum::Null) {
                return Err(format!("Field `{}` is required, but the record does not have it.", field.path));
            }
            value
                .fitted(field.kind)
                .ok_or_else(|| format!("Field `{}` is not of kind {:?}: {value:?}.", field.path, field.kind))
        };
        plan.inputs().iter().enumerate().map(cell).collect()
    }
}

impl Position {
    /// Moves the watermark past a record that the plugin is given.
    fn pass(&mut self, plan: &Plan, record: &Record) {
        if let Some(source) = plan.event_time_source()
            && let Datum::Int64(time_us) = record.get(&source.path)
        {
            self.newest_us = self.newest_us.max(Some(*time_us));
            self.watermark_us = self.watermark_us.max(Some(time_us.saturating_sub_unsigned(source.lateness_us)));
        }
    }

    /// Whether the record's event time is as near as the plan wants it, or why the host would reject it.
    fn judge(&self, plan: &Plan, record: &Record) -> Result<(), String> {
        if let Some(source) = plan.event_time_source()
            && let (Datum::Int64(time_us), Some(newest_us)) = (record.get(&source.path), self.newest_us)
            && let Some(future_max_us) = source.future_max_us
            && *time_us > newest_us
            && time_us.abs_diff(newest_us) > future_max_us
        {
            return Err(format!(
                "Event time {time_us} is more than {future_max_us} µs ahead of {newest_us}, the newest before it."
            ));
        }
        Ok(())
    }
}

/// Adds what a call has written; `offsets` are those of its rows.
fn collect(output: &mut Output, plan: &Plan, offsets: &[usize], outcome: &mut Outcome) -> Result<(), Failure> {
    let rejected = output.take_rejected();
    let emitted = output.emitted();
    let offset_of = |row: usize| offsets.get(row).copied().unwrap_or(usize::MAX);
    for row in 0..emitted.rows {
        let origin = emitted.origin.of(row).unwrap_or(usize::MAX);
        if rejected.iter().any(|error| error.row as usize == origin) {
            continue;
        }
        let mut record = Record::new();
        for (field, column) in plan.outputs().iter().zip(&emitted.columns) {
            record = record.with(field.path.as_str(), Datum::read(column, field.kind, row)?);
        }
        outcome.rows.push(record);
        outcome.origins.push(offset_of(origin));
    }
    let at_offset = |error: RowError| RowError { row: offset_of(error.row as usize) as u32, ..error };
    outcome.rejected.extend(rejected.into_iter().map(at_offset));
    outcome.rejected.sort_by_key(|error| error.row);
    Ok(())
}

impl Outcome {
    /// Adds what later records became.
    pub fn extend(&mut self, later: Outcome) {
        self.rows.extend(later.rows);
        self.origins.extend(later.origins);
        self.rejected.extend(later.rejected);
    }

    /// Forgets what records from `offset` on became.
    pub(super) fn truncate(&mut self, offset: usize) {
        let kept = self.origins.partition_point(|origin| *origin < offset);
        self.rows.truncate(kept);
        self.origins.truncate(kept);
        self.rejected.retain(|error| (error.row as usize) < offset);
    }
}
