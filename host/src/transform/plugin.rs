//! A plugin as a stage: serves a guest the fields of its plan, and writes what comes back over the batch.

mod cut;
mod merge;
mod watermark;

use std::borrow::Cow;

use arrow_array::Array;
use arrow_buffer::ScalarBuffer;

use self::merge::Given;
use self::watermark::Watermark;
use super::{Fired, Plan, Rejection, Stateful, Transform, Transformed};
use crate::error::{self, Result};
use crate::failpoint::{self, Point};
use crate::guest::{self, EventTime, Guest, Plugin, Processed, Setup, WATERMARK};
use crate::record::batch::take;
use crate::record::{Batch, Column, FieldSource, Kind, Want};
use crate::state::{Acceptance, Entries, Extent, Header};

/// A stage that is a guest.
#[derive(Debug)]
pub struct PluginTransform {
    guest: Guest,
    plan: Plan,
    alias: String,
    class: String,
    digest: String,
    watermark: Option<Watermark>,
}

impl PluginTransform {
    /// Starts and configures a guest. Errors: those of [`Guest::new`].
    pub fn new(plugin: &Plugin, setup: &Setup) -> Result<PluginTransform> {
        let guest = Guest::new(plugin, setup)?;
        let about = guest.plan();
        let plan = Plan {
            wants: about.inputs.iter().filter(|input| input.path.as_str() != WATERMARK).cloned().collect(),
            writes: about.outputs.clone(),
            carry: about.carry.clone(),
            event_time: about.event_time.clone(),
            tombstones: about.tombstones,
        };
        let watermark = about.event_time.as_ref().map(Watermark::new);
        let class = format!("{} {}", plugin.manifest().id, plugin.manifest().version);
        let digest = plugin.digest().to_string();
        Ok(PluginTransform { guest, plan, alias: setup.alias.clone(), class, digest, watermark })
    }
}

impl Transform for PluginTransform {
    fn alias(&self) -> &str {
        &self.alias
    }

    fn class(&self) -> &str {
        &self.class
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn is_stateful(&self) -> bool {
        self.guest.is_stateful()
    }

    fn transform(&mut self, batch: Batch) -> Result<Transformed> {
        let inputs = Inputs::pull(&self.plan, &batch)?;
        let mut rejections = inputs.rejections(&batch);
        let mut passed = inputs.passed(batch.len(), &rejections);
        let early = self.watermark.as_ref().zip(inputs.event_time.as_ref());
        let early = early.map_or_else(Vec::new, |(watermark, times)| watermark.too_early(times, passed.as_ref()));
        if !early.is_empty() {
            rejections.extend(early);
            rejections.sort_by_key(|rejection| rejection.row);
            passed = inputs.passed(batch.len(), &rejections);
        }
        let columns = columns(self.guest.plan(), &mut self.watermark, &inputs, passed.as_ref())?;
        let rows = passed.as_ref().map_or(batch.len(), arrow_buffer::ScalarBuffer::len);
        let mut given = Given::new(&self.plan.writes);
        for piece in cut::pieces(rows, &columns) {
            let whole = piece.len() == rows;
            let cut: Cow<'_, [Column]> =
                if whole { Cow::Borrowed(&columns) } else { cut::slice(&columns, &piece).into() };
            failpoint::pass(Point::BeforeCall, error::Kind::PluginTrap)?;
            let processed = self.guest.process(piece.len(), &cut)?;
            failpoint::pass(Point::AfterCall, error::Kind::PluginTrap)?;
            rejections.extend(guest_rejections(&processed, piece.start, passed.as_ref()));
            given.take(processed, &piece);
        }
        rejections.sort_by_key(|rejection| rejection.row);
        let batch = given.over(batch, &self.plan, passed.as_ref(), &inputs.bypassing)?;
        Ok(Transformed { batch, rejections })
    }

    fn memory_bytes(&self) -> usize {
        self.guest.memory_bytes()
    }

    fn mute(&mut self, muted: bool) {
        self.guest.mute(muted);
    }

    fn watermark(&self) -> Option<i64> {
        self.watermark.as_ref().and_then(Watermark::newest)
    }

    fn set_watermark(&mut self, newest_us: Option<i64>) {
        if let Some(watermark) = &mut self.watermark {
            watermark.set_newest(newest_us);
        }
    }

    fn idle_watermark(&self, idle_us: u64) -> Option<i64> {
        self.watermark.as_ref().and_then(|watermark| watermark.after(idle_us))
    }

    fn advance(&mut self, watermark_us: i64) -> Result<Option<Fired>> {
        if !self.watermark.as_mut().is_some_and(|watermark| watermark.advance(watermark_us)) {
            return Ok(None);
        }
        let Processed { columns, origin, .. } = self.guest.advance(watermark_us)?;
        Ok(Some(Fired { rows: origin.len(0), columns }))
    }

    fn digest(&self) -> String {
        self.digest.clone()
    }

    fn as_stateful(&mut self) -> Option<&mut dyn Stateful> {
        if self.guest.is_stateful() { Some(&mut self.guest) } else { None }
    }
}

impl Stateful for Guest {
    fn begin_checkpoint(&mut self, extent: Extent) -> Result<Header> {
        Guest::begin_checkpoint(self, extent)
    }

    fn next_entries(&mut self, bytes_max: u32) -> Result<(Vec<Entries>, bool)> {
        Guest::next_entries(self, bytes_max)
    }

    fn end_checkpoint(&mut self, committed: bool) -> Result<()> {
        Guest::end_checkpoint(self, committed)
    }

    fn begin_restore(&mut self, header: &Header) -> Result<Acceptance> {
        Guest::begin_restore(self, header)
    }

    fn put_entries(&mut self, entries: &Entries) -> Result<()> {
        Guest::put_entries(self, entries)
    }

    fn end_restore(&mut self) -> Result<u64> {
        Guest::end_restore(self)
    }
}

/// The guest's columns in the order of its plan, for the rows that are passed in; moves the watermark.
fn columns(
    plan: &guest::Plan,
    watermark: &mut Option<Watermark>,
    inputs: &Inputs<'_>,
    passed: Option<&ScalarBuffer<u32>>,
) -> Result<Vec<Column>> {
    let cut = |column: &Column| passed.map_or_else(|| Ok(column.clone()), |rows| take(column, rows));
    let watermarks = match (watermark, &inputs.event_time) {
        (Some(watermark), Some(times)) => Some(watermark.pass(&cut(times)?)),
        _ => None,
    };
    let mut pulled = inputs.columns.iter();
    let mut columns = Vec::with_capacity(plan.inputs.len());
    for input in &plan.inputs {
        if input.path.as_str() == WATERMARK {
            columns.extend(watermarks.clone());
        } else if let Some(column) = pulled.next() {
            columns.push(cut(column)?);
        }
    }
    Ok(columns)
}

/// What a guest is given of a batch before rows are left out.
struct Inputs<'a> {
    plan: &'a Plan,
    /// One per want.
    columns: Vec<Column>,
    event_time: Option<Column>,
    /// Rows that go by untouched (tombstones), rising.
    bypassing: Vec<u32>,
}

impl<'a> Inputs<'a> {
    fn pull(plan: &'a Plan, batch: &Batch) -> Result<Inputs<'a>> {
        let pull = |want: &Want| batch.pull(&want.path, want.kind).map(Cow::into_owned);
        let columns = plan.wants.iter().map(pull).collect::<Result<_>>()?;
        let time = |time: &EventTime| batch.pull(&time.path, Kind::Timestamp).map(Cow::into_owned);
        let event_time = plan.event_time.as_ref().map(time).transpose()?;
        let bypassing = if plan.tombstones || !batch.may_have_tombstones() {
            Vec::new()
        } else {
            (0..batch.len()).filter(|&row| batch.is_tombstone(row)).map(|row| row as u32).collect()
        };
        Ok(Inputs { plan, columns, event_time, bypassing })
    }

    /// Rows of which a wanted cell is of another kind, or missing where it is required; the first such cell
    /// of a row counts.
    fn rejections(&self, batch: &Batch) -> Vec<Rejection> {
        let time = self.plan.event_time.iter().zip(&self.event_time);
        let time = time.map(|(time, column)| (&time.path, false, column));
        let cells = self.plan.wants.iter().zip(&self.columns).map(|(want, column)| (&want.path, want.required, column));
        let mut first: Vec<Option<Rejection>> = Vec::new();
        for (path, required, column) in cells.chain(time) {
            let nulls = column.array.nulls().filter(|nulls| required && nulls.null_count() > 0);
            if nulls.is_none() && column.mismatch.is_none() {
                continue;
            }
            first.resize_with(batch.len(), || None);
            let source = batch.source(path);
            for (row, rejection) in first.iter_mut().enumerate().filter(|(_, rejection)| rejection.is_none()) {
                let mismatch = column.is_mismatch(row);
                let missing = nulls.is_some_and(|nulls| nulls.is_null(row));
                if (mismatch || missing) && self.bypassing.binary_search(&(row as u32)).is_err() {
                    let message = told(source, path.as_str(), column.kind, mismatch);
                    *rejection = Some(Rejection { row: row as u32, field: Some(path.to_string()), message });
                }
            }
        }
        first.into_iter().flatten().collect()
    }

    /// The rows that the guest sees; None = all.
    fn passed(&self, rows: usize, rejections: &[Rejection]) -> Option<ScalarBuffer<u32>> {
        if self.bypassing.is_empty() && rejections.is_empty() {
            return None;
        }
        let mut bypassing = self.bypassing.iter().copied().peekable();
        let mut rejected = rejections.iter().map(|rejection| rejection.row).peekable();
        let left = |row: &u32| bypassing.next_if_eq(row).is_none() && rejected.next_if_eq(row).is_none();
        Some((0..rows as u32).filter(left).collect())
    }
}

/// Why a cell cannot be passed in, where the record's converter cannot tell because it did not make the cell.
fn told(source: FieldSource, path: &str, kind: Kind, mismatch: bool) -> Option<String> {
    match (source, mismatch) {
        (FieldSource::Record, _) => None,
        (FieldSource::Written, true) => Some(format!("{path} as written by an earlier transform is not {kind}")),
        (FieldSource::Written, false) => Some(format!("{path} is required, but an earlier transform left it empty")),
        (FieldSource::Nowhere, _) => Some(format!("{path} is required, but an earlier transform does not carry it")),
    }
}

/// The rows that the guest rejected, as rows of the batch; `start` is the first row of the piece it was given.
fn guest_rejections(
    processed: &Processed,
    start: usize,
    passed: Option<&ScalarBuffer<u32>>,
) -> impl Iterator<Item = Rejection> {
    let row = move |row: u32| {
        let row = row as usize + start;
        passed.and_then(|passed| passed.get(row).copied()).unwrap_or(row as u32)
    };
    processed.row_errors.iter().map(move |error| Rejection {
        row: row(error.row),
        field: None,
        message: Some(format!("{} (code {})", error.message, error.code)),
    })
}

#[cfg(test)]
#[path = "plugin_tests.rs"]
mod tests;
