//! Connect's TimestampConverter as a column operation: a field between epoch numbers, texts and timestamps.
//!
//! Meaning and settings are those of Kafka Connect 4.3 (`org.apache.kafka.connect.transforms.TimestampConverter`).
//! Different here, on purpose: µs are kept (see `convert`); the calendar before 1582 and two-digit years (see
//! `pattern`); a day of the week without a date; a field that is absent stays absent, where Connect adds it as
//! null, so that a mistyped name still
//! shows; `Date` and `Time` are timestamps, as their Java classes are; and `field` is a path, dots and all.

mod calendar;
mod convert;
mod pattern;
mod settings;

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Int64Array, TimestampMicrosecondArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use self::convert::{Target, midnight, time_of_day};
use self::settings::Settings;
use super::{Plan, Rejection, Transform, Transformed};
use crate::config::problem::{self, Problem, shown};
use crate::error::Result;
use crate::record::{Batch, Carry, Column, Field, Kind, Path, Want};

pub use self::settings::KEYS;

/// Raised when the same record would become another row: checkpoints and replays then know that the chain is another.
pub const REVISION: u32 = 1;

/// Raised when the same settings give another output than before, so that a release that does so is noticed.
pub const REV: u32 = 1;

/// Its full class name, which error reports name as Connect does.
pub const CLASS: &str = "org.apache.kafka.connect.transforms.TimestampConverter$Value";

/// Whether a class name, full or simple, means TimestampConverter, be it of keys or values.
pub fn is_named(class: &str) -> bool {
    matches!(simple_name(class), "TimestampConverter" | "TimestampConverter$Value" | "TimestampConverter$Key")
}

fn simple_name(class: &str) -> &str {
    class.strip_prefix("org.apache.kafka.connect.transforms.").unwrap_or(class)
}

/// What is wrong with settings, by setting; an empty key means the type.
pub fn check(class: &str, settings: &[(String, String)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if simple_name(class) == "TimestampConverter$Key" {
        let hint = "write `TimestampConverter$Value` for a field of the value";
        problems.push(Problem::new("", "timestamps in keys cannot be converted yet", hint));
    }
    problems.extend(Settings::parse(settings).err().into_iter().flatten());
    problems
}

/// Makes the stage of an alias. Errors: [`crate::error::Kind::Config`] with everything that is wrong with the
/// settings, a line for each, by its whole key.
pub fn build(alias: &str, class: &str, settings: &[(String, String)]) -> Result<Box<dyn Transform>> {
    let mut problems = check(class, settings);
    match Settings::parse(settings) {
        Ok(settings) if problems.is_empty() => Ok(Box::new(TimestampConverter::new(alias, settings))),
        _ => {
            for problem in &mut problems {
                let key = if problem.key.is_empty() { "type" } else { &problem.key };
                problem.key = format!("transforms.{alias}.{key}");
            }
            Err(problem::to_error(&problems))
        }
    }
}

/// The stage.
#[derive(Debug)]
pub struct TimestampConverter {
    alias: String,
    settings: Settings,
    path: Path,
    plan: Plan,
}

/// The field of each row as µs, or why it has none.
#[derive(Debug)]
struct Moments {
    /// n moments; any value where there is none.
    us: Vec<i64>,
    /// Whether the row has one.
    is_some: Vec<bool>,
    /// The rows whose value cannot be converted, rising.
    rejections: Vec<Rejection>,
    /// The rows that lack the field.
    absent: Option<BooleanBuffer>,
}

impl TimestampConverter {
    fn new(alias: &str, settings: Settings) -> Self {
        let path = Path::from(settings.field.as_str());
        let want = |kind| Want { path: path.clone(), kind, required: false };
        let mut wants = vec![want(Kind::Int64)];
        if settings.pattern.is_some() {
            wants.push(want(Kind::Text));
        }
        let kind = match settings.target {
            Target::Text => Kind::Text,
            Target::Unix => Kind::Int64,
            Target::Date | Target::Time | Target::Timestamp => Kind::Timestamp,
        };
        let writes = vec![Field { path: path.clone(), kind }];
        let plan = Plan { wants, writes, carry: Carry::All, event_time: None, tombstones: false };
        TimestampConverter { alias: alias.to_owned(), settings, path, plan }
    }

    fn reject(&self, row: usize, message: Option<String>) -> Rejection {
        Rejection { row: row as u32, field: Some(self.path.to_string()), message }
    }

    /// Reads the field, from an earlier stage's column or as the converter pulled it.
    fn read(&self, batch: &Batch) -> Result<Moments> {
        let written = batch.overlay.iter().rev().find(|(path, _)| *path == self.path).map(|(_, column)| column);
        if let Some(column) = written {
            return Ok(self.written(column));
        }
        let numbers = batch.pull(&self.path, Kind::Int64)?;
        if self.settings.pattern.is_none() {
            return Ok(self.numbers(&numbers));
        }
        let texts = batch.pull(&self.path, Kind::Text)?;
        Ok(self.either(&numbers, &texts))
    }

    /// A column of an earlier stage: its kind is known.
    fn written(&self, column: &Column) -> Moments {
        match column.kind {
            Kind::Int64 => self.numbers(column),
            Kind::Text if self.settings.pattern.is_some() => {
                let texts = column.array.as_string::<i32>();
                self.collect(column, |row| self.text(texts.value(row)))
            }
            Kind::Timestamp => {
                let values = column.array.as_primitive::<TimestampMicrosecondType>().values();
                self.collect(column, |row| values.get(row).copied().ok_or(None))
            }
            kind => self.collect(column, |_| Err(Some(self.wrong_kind(kind)))),
        }
    }

    /// A column of epoch numbers.
    fn numbers(&self, column: &Column) -> Moments {
        let values = column.array.as_primitive::<Int64Type>().values();
        if let Some(us) = self.all_numbers(column, values) {
            let is_some = vec![true; us.len()];
            return Moments { us, is_some, rejections: Vec::new(), absent: None };
        }
        self.collect(column, |row| values.get(row).ok_or(None).and_then(|&number| self.number(number)))
    }

    /// The usual case: every row has a number that is a moment.
    fn all_numbers(&self, column: &Column, values: &[i64]) -> Option<Vec<i64>> {
        let precision = self.settings.precision;
        let all = column.array.null_count() == 0;
        all.then(|| values.iter().map(|&number| precision.us_of(number)).collect()).flatten()
    }

    /// A field that each record may hold as a number or as a text.
    fn either(&self, numbers: &Column, texts: &Column) -> Moments {
        let text_values = texts.array.as_string::<i32>();
        let number_values = numbers.array.as_primitive::<Int64Type>().values();
        let mut moments = Moments::new(numbers);
        for (row, &number) in number_values.iter().enumerate() {
            let moment = if numbers.array.is_valid(row) {
                self.number(number)
            } else if texts.array.is_valid(row) {
                self.text(text_values.value(row))
            } else if numbers.is_mismatch(row) && texts.is_mismatch(row) {
                let path = &self.path;
                Err(Some(format!("`{path}` is neither an integer of 64 bits nor a text")))
            } else {
                moments.push_none();
                continue;
            };
            moments.push(moment, |message| self.reject(row, message));
        }
        moments
    }

    /// Each value of a column through `read`; its mismatches as rejections.
    fn collect(&self, column: &Column, mut read: impl FnMut(usize) -> Result<i64, Option<String>>) -> Moments {
        let mut moments = Moments::new(column);
        for row in 0..column.array.len() {
            if column.array.is_valid(row) {
                moments.push(read(row), |message| self.reject(row, message));
            } else if column.is_mismatch(row) {
                moments.push(Err(None), |message| self.reject(row, message));
            } else {
                moments.push_none();
            }
        }
        moments
    }

    fn number(&self, number: i64) -> Result<i64, Option<String>> {
        let precision = self.settings.precision;
        precision.us_of(number).ok_or_else(|| {
            let (path, unit) = (&self.path, precision.name());
            Some(format!("`{path}` is {number} {unit}, which lies outside of timestamps (years -290308 to 294247)"))
        })
    }

    fn text(&self, text: &str) -> Result<i64, Option<String>> {
        let pattern = self.settings.pattern.as_ref();
        pattern.and_then(|pattern| pattern.parse(text)).ok_or_else(|| {
            let (path, pattern) = (&self.path, pattern.map(pattern::Pattern::as_str).unwrap_or_default());
            Some(format!("`{path}` is {}, which does not match the format `{pattern}`", shown(text)))
        })
    }

    fn wrong_kind(&self, kind: Kind) -> String {
        let path = &self.path;
        format!("`{path}` is of kind {kind}, and TimestampConverter takes int64, timestamp, or text with `format`")
    }

    /// Moments as the target's column; those out of its range become rejections.
    fn write(&self, moments: &mut Moments) -> Column {
        let (kind, array): (Kind, ArrayRef) = match (self.settings.target, &self.settings.pattern) {
            (Target::Text, Some(pattern)) => (Kind::Text, Arc::new(moments.texts(pattern))),
            (Target::Text | Target::Timestamp, _) => (Kind::Timestamp, moments.timestamps()),
            (Target::Time, _) => {
                self.map(moments, |us| Some(time_of_day(us)));
                (Kind::Timestamp, moments.timestamps())
            }
            (Target::Date, _) => {
                self.map(moments, midnight);
                (Kind::Timestamp, moments.timestamps())
            }
            (Target::Unix, _) => {
                self.map(moments, |us| self.settings.precision.count_of(us));
                (Kind::Int64, Arc::new(Int64Array::new(std::mem::take(&mut moments.us).into(), moments.nulls())))
            }
        };
        Column { kind, array, absent: moments.absent.take(), mismatch: None }
    }

    /// Maps every moment; where there is no result the row is rejected.
    fn map(&self, moments: &mut Moments, to: impl Fn(i64) -> Option<i64>) {
        let mut out_of_range = Vec::new();
        for (row, (us, is_some)) in moments.us.iter_mut().zip(&mut moments.is_some).enumerate() {
            if !*is_some {
                continue;
            }
            if let Some(mapped) = to(*us) {
                *us = mapped;
            } else {
                *is_some = false;
                out_of_range.push(self.reject(row, Some(self.out_of_range(*us))));
            }
        }
        if !out_of_range.is_empty() {
            moments.rejections.append(&mut out_of_range);
            moments.rejections.sort_by_key(|rejection| rejection.row);
        }
    }

    fn out_of_range(&self, us: i64) -> String {
        let (path, unit) = (&self.path, self.settings.precision.name());
        match self.settings.target {
            Target::Unix => format!("`{path}` is {us} µs since the epoch, which as {unit} do not fit 64 bits"),
            _ => format!("`{path}` is {us} µs since the epoch, before the first midnight that a timestamp can be"),
        }
    }
}

impl Moments {
    fn new(column: &Column) -> Self {
        let rows = column.array.len();
        let (us, is_some) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        Moments { us, is_some, rejections: Vec::new(), absent: column.absent.clone() }
    }

    #[inline]
    fn push(&mut self, moment: Result<i64, Option<String>>, reject: impl FnOnce(Option<String>) -> Rejection) {
        self.us.push(*moment.as_ref().unwrap_or(&0));
        self.is_some.push(moment.is_ok());
        if let Err(message) = moment {
            self.rejections.push(reject(message));
        }
    }

    #[inline]
    fn push_none(&mut self) {
        self.us.push(0);
        self.is_some.push(false);
    }

    fn nulls(&self) -> Option<NullBuffer> {
        let nulls = NullBuffer::from(self.is_some.as_slice());
        (nulls.null_count() > 0).then_some(nulls)
    }

    fn timestamps(&mut self) -> ArrayRef {
        let values = std::mem::take(&mut self.us);
        Arc::new(TimestampMicrosecondArray::new(values.into(), self.nulls()).with_timezone("UTC"))
    }

    fn texts(&self, pattern: &pattern::Pattern) -> arrow_array::StringArray {
        let mut texts = StringBuilder::with_capacity(self.us.len(), self.us.len() * pattern.as_str().len());
        let mut text = String::new();
        for (&us, &is_some) in self.us.iter().zip(&self.is_some) {
            text.clear();
            if is_some {
                pattern.format(us, &mut text);
            }
            texts.append_option(is_some.then_some(&text));
        }
        texts.finish()
    }
}

impl Transform for TimestampConverter {
    fn alias(&self) -> &str {
        &self.alias
    }

    fn class(&self) -> &str {
        CLASS
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn is_stateful(&self) -> bool {
        false
    }

    fn transform(&mut self, mut batch: Batch) -> Result<Transformed> {
        let mut moments = self.read(&batch)?;
        let column = self.write(&mut moments);
        batch.write(self.path.clone(), column);
        let rejections = moments.rejections;
        if rejections.is_empty() {
            return Ok(Transformed { batch, rejections });
        }
        let mut rejected = rejections.iter().map(|rejection| rejection.row).peekable();
        let kept: Vec<u32> =
            (0..batch.len() as u32).filter(|row| rejected.next_if(|rejected| rejected == row).is_none()).collect();
        let batch = batch.select(&kept.into())?;
        Ok(Transformed { batch, rejections })
    }
}

#[cfg(test)]
#[path = "timestamp_converter/tests.rs"]
mod tests;
