//! The component of open, high, low and close against its Python oracle, bit for bit, on generated streams: in batches
//! of random sizes, and with the guest replaced at random rows by a fresh one that goes on from a checkpoint.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use weir::guest::{Processed, RowOrigin};
use weir::record::{Column, Want};
use weir::state::Extent;
use weir_plugin_sdk::duration_us;
use weir_plugin_sdk::testkit::Chance;
use weir_tests::environment::repository;
use weir_tests::ohlc_cases::{Answers, Bar, Case, Expected, Row, Volume, ask, generate};

use super::component::{Instance, Store};

/// Cases that are compared.
const CASES: usize = 1_800;

/// A row that the host gives to the guest: its number in the stream, and the watermark before it.
type Given<'a> = (usize, &'a Row, Option<i64>);

/// Where a lane stands.
#[derive(Clone, Copy)]
struct Position {
    /// Rows that have been processed.
    at: usize,
    /// The newest event time of those that the guest was given.
    newest_us: Option<i64>,
}

/// A case on its way through guests.
struct Course<'a> {
    case: &'a Case,
    answers: &'a Answers,
    guest: Instance,
    position: Position,
    store: Store,
    /// Where the store's checkpoint was begun; none before the first.
    stored: Option<Position>,
    replaced: usize,
}

/// A duration among the settings of a case.
fn setting(case: &Case, key: &str) -> Option<i64> {
    let (_, text) = case.settings.iter().find(|(name, _)| name == key)?;
    if text == "0" { Some(0) } else { duration_us(text) }
}

/// A column of the plan, filled from rows.
fn column(want: &Want, rows: &[Given<'_>]) -> Column {
    let volume = |row: &Given<'_>| row.1.volume;
    let array: ArrayRef = match want.path.as_str() {
        "price" => Arc::new(rows.iter().map(|(_, row, _)| row.price).collect::<Float64Array>()),
        "$key" => Arc::new(rows.iter().map(|(_, row, _)| row.key.as_deref()).collect::<StringArray>()),
        "$watermark" => Arc::new(rows.iter().map(|(_, _, watermark)| *watermark).collect::<Int64Array>()),
        "ts" => {
            let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(_, row, _)| row.time_us));
            Arc::new(times.with_timezone("UTC"))
        }
        _ if want.kind == weir::record::Kind::Int64 => Arc::new(
            rows.iter()
                .map(|row| if let Some(Volume::Whole(volume)) = volume(row) { Some(volume) } else { None })
                .collect::<Int64Array>(),
        ),
        _ => Arc::new(
            rows.iter()
                .map(|row| if let Some(Volume::Double(volume)) = volume(row) { Some(volume) } else { None })
                .collect::<Float64Array>(),
        ),
    };
    Column::of(want.kind, array)
}

/// The windows of a call, each with the row of the batch that fired it.
fn bars(processed: &Processed) -> Result<Vec<(usize, Bar)>> {
    let [start, open, high, low, close, count, record_key, key, volume] = processed.columns.as_slice() else {
        anyhow::bail!("nine columns")
    };
    let origins: Vec<usize> = match &processed.origin {
        RowOrigin::Identity => (0..start.array.len()).collect(),
        RowOrigin::Rows(rows) => rows.iter().map(|row| *row as usize).collect(),
    };
    let price = |column: &Column, row: usize| column.array.as_primitive::<Float64Type>().value(row);
    let text = |column: &Column, row: usize| {
        let texts = column.array.as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    let sum = |row: usize| {
        let is_whole = volume.kind == weir::record::Kind::Int64;
        volume.array.is_valid(row).then(|| match is_whole {
            true => Volume::Whole(volume.array.as_primitive::<Int64Type>().value(row)),
            false => Volume::Double(price(volume, row)),
        })
    };
    let bar = |(row, origin): (usize, usize)| {
        ensure!(text(key, row) == text(record_key, row), "the record's key is that of the window");
        let bar = Bar {
            start_us: start.array.as_primitive::<TimestampMicrosecondType>().value(row),
            key: text(key, row),
            prices: [open, high, low, close].map(|column| price(column, row)),
            volume: sum(row),
            count: count.array.as_primitive::<Int64Type>().value(row),
        };
        Ok((origin, bar))
    };
    origins.into_iter().enumerate().map(bar).collect()
}

/// What the host makes of the next rows: those that the guest is given, and where the lane stands then.
fn given(case: &Case, mut position: Position, count: usize) -> (Vec<Given<'_>>, Position) {
    let lateness_us = setting(case, "lateness").unwrap_or(0);
    let future_us = setting(case, "future.max").unwrap_or(30 * 86_400_000_000);
    let mut rows = Vec::new();
    for (number, row) in case.rows.iter().enumerate().skip(position.at).take(count) {
        if position.newest_us.is_none_or(|newest_us| row.time_us - newest_us <= future_us) {
            rows.push((number, row, position.newest_us.map(|newest_us| newest_us - lateness_us)));
            position.newest_us = position.newest_us.max(Some(row.time_us));
        }
    }
    position.at += count;
    (rows, position)
}

/// Gives a guest the next rows and compares what they fire; returns where the lane stands then.
fn compare(guest: &mut Instance, case: &Case, answers: &Answers, from: Position, count: usize) -> Result<Position> {
    let (rows, position) = given(case, from, count);
    let mut found: Vec<Expected> = vec![Expected::Rejected; count];
    if !rows.is_empty() {
        let processed = guest.process(rows.len(), |want| column(want, &rows))?;
        let is_rejected = |row: usize| processed.row_errors.iter().any(|error| error.row as usize == row);
        let fired = bars(&processed)?;
        for (index, (number, ..)) in rows.iter().enumerate().filter(|(index, _)| !is_rejected(*index)) {
            let of_row = fired.iter().filter(|(origin, _)| *origin == index).map(|(_, bar)| bar.clone());
            found[number - from.at] = Expected::Fired(of_row.collect());
        }
    }
    for (offset, (found, expected)) in found.iter().zip(&answers[from.at..]).enumerate() {
        ensure!(found == expected, "row {} is {found:?}, not {expected:?}", from.at + offset);
    }
    Ok(position)
}

impl<'a> Course<'a> {
    fn start(case: &'a Case, answers: &'a Answers) -> Result<Self> {
        let fields = [("price.field", "price"), ("volume.field", "size"), ("time.field", "ts")];
        let fields = fields.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let guest = Instance::start("ohlc", fields.into_iter().chain(case.settings.iter().cloned()))?;
        let position = Position { at: 0, newest_us: None };
        Ok(Self { case, answers, guest, position, store: Store::default(), stored: None, replaced: 0 })
    }

    /// Takes a checkpoint, while which rows go on, as far as there are any.
    fn checkpoint(&mut self, chance: &mut Chance) -> Result<()> {
        let extent = match self.stored {
            Some(_) if !chance.one_in(4) => Extent::Incremental,
            _ => Extent::Full,
        };
        let (case, answers, begun) = (self.case, self.answers, self.position);
        let position = &mut self.position;
        self.guest.checkpoint(extent, &mut self.store, |guest| {
            let some = chance.below(4).min(case.rows.len() - position.at);
            *position = compare(guest, case, answers, *position, some)?;
            Ok(())
        })?;
        self.stored = Some(begun);
        Ok(())
    }

    /// Runs to the end of the stream, now and then with a fresh guest from where the last checkpoint was begun; returns
    /// how often.
    fn run(mut self, chance: &mut Chance) -> Result<usize> {
        while self.position.at < self.case.rows.len() {
            let rows = 1 + chance.below((self.case.rows.len() - self.position.at).min(60));
            self.position = compare(&mut self.guest, self.case, self.answers, self.position, rows)?;
            if chance.one_in(4) {
                self.checkpoint(chance)?;
            }
            if let Some(stored) = self.stored.filter(|_| self.replaced < 4 && chance.one_in(5)) {
                self.guest = self.guest.restored(&self.store)?;
                self.position = stored;
                self.replaced += 1;
            }
        }
        let left = bars(&self.guest.advance(i64::MAX)?)?.into_iter().map(|(_, bar)| bar).collect();
        let expected = self.answers.last().context("an answer to the end")?;
        ensure!(Expected::Fired(left) == *expected, "the end does not fire {expected:?}");
        Ok(self.replaced)
    }
}

#[test]
fn every_window_of_the_component_is_what_its_rows_say() {
    let seed = super::seed();
    let cases = generate(seed, CASES);
    let answers = ask(&repository().join("plugins/ohlc/oracle/oracle.py"), &cases).unwrap();
    let mut chance = Chance::new(seed);
    let mut replaced = 0;
    for (number, (case, answers)) in cases.iter().zip(&answers).enumerate() {
        let run = Course::start(case, answers).and_then(|course| course.run(&mut chance));
        replaced += run.unwrap_or_else(|error| panic!("seed {seed}, case {number}, {:?}: {error:#}", case.settings));
    }
    let bars = |answer: &Expected| if let Expected::Fired(bars) = answer { bars.len() } else { 0 };
    let windows: usize = answers.iter().flatten().map(bars).sum();
    assert!(windows >= 50_000, "only {windows} windows");
    assert!(replaced >= 1_000, "only {replaced} guests were replaced");
    println!("{windows} windows of {CASES} cases agree, over {replaced} restored guests");
}
