//! The law of cuts over the host: whatever the batches and flushes, and wherever a guest is rebuilt or the worker ends,
//! a lane gives the same rows and decisions, to the byte.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array};
use weir::record::origin::OwnedRecord;
use weir::record::{Batch, Column, Field, Kind, Path, Want};
use weir::transform::{Chain, Plan, PluginTransform, Rejection, Transform, Transformed, timestamp_converter};
use weir_plugin_sdk::testkit::Chance;
use weir_tests::sma_cases::{Case, Row, generate};

use super::component::{plugin, setup};
use super::lane::{Cuts, Stream, cut, uncut};

/// Streams, and plans for each of them under each chain.
const STREAMS: usize = 48;
const PLANS: usize = 4;

/// Makes `price` from `bits`, the 64 bits of a double: JSON has no NaN and no infinities.
#[derive(Debug)]
struct Doubles {
    plan: Plan,
}

impl Doubles {
    fn stage() -> Box<dyn Transform> {
        let want = Want { path: Path::new("bits"), kind: Kind::Int64, required: false };
        let write = Field { path: Path::new("price"), kind: Kind::Float64 };
        Box::new(Doubles { plan: Plan { wants: vec![want], writes: vec![write], ..Plan::default() } })
    }
}

impl Transform for Doubles {
    fn alias(&self) -> &'static str {
        "doubles"
    }

    fn class(&self) -> &'static str {
        "Doubles"
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn is_stateful(&self) -> bool {
        false
    }

    fn transform(&mut self, mut batch: Batch) -> weir::error::Result<Transformed> {
        let bits = batch.pull(&Path::new("bits"), Kind::Int64)?.into_owned();
        let mismatches = (0..batch.len()).filter(|row| bits.is_mismatch(*row));
        let reject = |row| Rejection { row: row as u32, field: Some("bits".to_owned()), message: None };
        let rejections = mismatches.map(reject).collect();
        let double = |bits: i64| f64::from_bits(bits.cast_unsigned());
        let doubles: Float64Array =
            bits.array.as_primitive::<Int64Type>().iter().map(|bits| bits.map(double)).collect();
        let doubles = Column { absent: bits.absent, ..Column::of(Kind::Float64, Arc::new(doubles) as ArrayRef) };
        batch.write(Path::new("price"), doubles);
        Ok(Transformed { batch, rejections })
    }
}

/// Breaks the law: numbers rows within their batch, or since it was made without saying that it remembers.
#[derive(Debug)]
struct Breaker {
    plan: Plan,
    remembers: bool,
    seen: i64,
}

impl Breaker {
    fn chain(remembers: bool) -> Chain {
        let write = Field { path: Path::new("n"), kind: Kind::Int64 };
        let plan = Plan { writes: vec![write], ..Plan::default() };
        Chain::new(vec![Doubles::stage(), Box::new(Breaker { plan, remembers, seen: 0 })])
    }
}

impl Transform for Breaker {
    fn alias(&self) -> &'static str {
        "breaker"
    }

    fn class(&self) -> &'static str {
        "Breaker"
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn is_stateful(&self) -> bool {
        false
    }

    fn transform(&mut self, mut batch: Batch) -> weir::error::Result<Transformed> {
        let first = if self.remembers { self.seen } else { 0 };
        self.seen += batch.len() as i64;
        let numbers: Int64Array = (first..).take(batch.len()).collect::<Vec<_>>().into();
        batch.write(Path::new("n"), Column::of(Kind::Int64, Arc::new(numbers)));
        Ok(Transformed { batch, rejections: Vec::new() })
    }
}

/// The chains that a stream is sent through.
#[derive(Debug, Clone, Copy)]
enum Route {
    /// A plugin without state.
    Identity,
    /// The moving average alone.
    Average,
    /// A built-in transform, a plugin that renames, and the moving average of what they made.
    All,
    /// Open, high, low and close alone: timers, n to 1.
    Bars,
    /// Two plugins with state: the moving average of what bars close at.
    AverageOfBars,
    /// Two plugins with state: the bars of a moving average.
    BarsOfAverage,
}

impl Route {
    const ALL: [Route; 6] =
        [Route::Identity, Route::Average, Route::All, Route::Bars, Route::AverageOfBars, Route::BarsOfAverage];
}

fn guest(id: &str, settings: Vec<(String, String)>) -> Result<Box<dyn Transform>> {
    let plugin = plugin(id)?;
    Ok(Box::new(PluginTransform::new(&plugin, &setup(&plugin, settings))?))
}

fn owned<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Route {
    fn chain(self, case: &Case) -> Result<Chain> {
        let outputs = owned([("count.field", "n"), ("sum.field", "sum")]);
        let average = |fields| guest("sma", [fields, outputs, case.settings.clone()].concat());
        let bars = |price| {
            let fields = [("price.field", price), ("volume.field", "grade"), ("volume.type", "int64")];
            guest("ohlc", owned([&fields[..], &[("interval", "5ms"), ("lateness", "2ms")]].concat()))
        };
        let mut stages = vec![Doubles::stage()];
        match self {
            Route::Bars => stages.push(bars("price")?),
            Route::AverageOfBars => {
                stages.push(bars("price")?);
                let fields = [("value.field", "close"), ("key.field", "key"), ("time.field", "window_start")];
                stages.push(average(owned(fields))?);
            }
            Route::BarsOfAverage => {
                stages.push(average(owned([("value.field", "price")]))?);
                stages.push(bars("sma")?);
            }
            Route::Identity => stages.push(guest("identity", Vec::new())?),
            Route::Average => stages.push(average(owned([("value.field", "price")]))?),
            Route::All => {
                let times = owned([("field", "ts"), ("target.type", "Timestamp"), ("unix.precision", "microseconds")]);
                stages.push(timestamp_converter::build("times", timestamp_converter::CLASS, &times)?);
                stages.push(guest("identity", owned([("from", "note"), ("to", "renamed"), ("kind", "text")]))?);
                stages.push(average(owned([("value.field", "price"), ("time.field", "ts")]))?);
            }
        }
        Ok(Chain::new(stages))
    }
}

/// A row as a record: mostly as it should be, now and then as it should not.
fn record(row: &Row, chance: &mut Chance) -> OwnedRecord {
    let bits = row.value.map_or_else(|| "null".to_owned(), |value| value.to_bits().cast_signed().to_string());
    let value = match chance.below(40) {
        0 => Some("{\"bits\":12".to_owned()),
        1 => None,
        2 => Some(format!("{{\"bits\":\"{bits}\",\"ts\":{}}}", row.time_us)),
        // No smallint: the sink refuses it, after the average has taken the row.
        3 => Some(format!("{{\"bits\":{bits},\"ts\":{},\"grade\":70000}}", row.time_us)),
        4 => Some(format!("{{\"ts\":{}}}", row.time_us)),
        // The second transform rejects it, before the average.
        5 => Some(format!("{{\"bits\":{bits},\"ts\":\"today\",\"note\":1}}")),
        grade => Some(format!("{{\"bits\":{bits},\"ts\":{},\"grade\":{grade},\"note\":\"fine\"}}", row.time_us)),
    };
    let key = row.key.as_ref().map(|key| key.clone().into_bytes());
    OwnedRecord { key, value: value.map(String::into_bytes), headers: Vec::new() }
}

/// The lane of a case; its offsets have holes, as compaction and transactions leave them.
fn stream(case: &Case, chance: &mut Chance) -> Stream {
    let records = case.rows.iter().map(|row| record(row, chance)).collect();
    let mut offset = chance.below(50) as i64;
    let offsets = case.rows.iter().map(|_| {
        offset += if chance.one_in(20) { 1 + chance.below(9) as i64 } else { 1 };
        offset
    });
    let offsets = offsets.collect();
    let silences = (0..case.rows.len()).filter(|_| chance.one_in(12)).collect();
    Stream::new(records, offsets, case.rows.iter().map(|row| row.time_us).collect(), silences)
}

#[test]
fn a_lane_gives_the_same_bytes_wherever_it_is_cut() {
    let seed = super::seed();
    let mut chance = Chance::new(seed);
    let (mut cuts, mut plans, mut rows, mut decisions) = (Cuts::default(), 0, [0; Route::ALL.len()], 0);
    let mut silences = 0;
    for (number, case) in generate(seed, STREAMS).iter().enumerate() {
        let stream = stream(case, &mut chance);
        for (route, rows) in Route::ALL.into_iter().zip(&mut rows) {
            let chains = || route.chain(case);
            let whole = uncut(&stream, &chains).unwrap();
            *rows += whole.lines.len();
            decisions += whole.decisions.len();
            silences += whole.silences;
            for plan in 0..PLANS {
                let place = || format!("seed {seed}, stream {number}, {route:?}, plan {plan}, {:?}", case.settings);
                let pieces = cut(&stream, &chains, &mut chance, &mut cuts).with_context(place).unwrap();
                if let Some(difference) = pieces.differs(&whole) {
                    panic!("{}: {difference}", place());
                }
                plans += 1;
            }
        }
    }
    println!(
        "{plans} plans over {rows:?} rows by chain, {decisions} decisions and {silences} silences gave the same bytes: {cuts:?}"
    );
    assert!(silences >= 200 && plans >= 200 && decisions >= 100 && rows.iter().sum::<usize>() >= 10_000);
    assert!(rows.iter().all(|rows| *rows >= 400), "{rows:?} rows by chain");
    let Cuts { batches, flushes, rebuilt, stopped, killed, flipped } = cuts;
    assert!([batches, flushes, rebuilt, stopped, killed, flipped].iter().all(|count| *count >= 200), "{cuts:?}");
}

#[test]
fn a_stage_that_breaks_the_law_is_found() {
    let mut chance = Chance::new(super::seed());
    let case = generate(1, 1).pop().unwrap();
    let stream = stream(&case, &mut chance);
    for remembers in [false, true] {
        let chains = || Ok(Breaker::chain(remembers));
        let whole = uncut(&stream, &chains).unwrap();
        let mut differs =
            || cut(&stream, &chains, &mut chance, &mut Cuts::default()).unwrap().differs(&whole).is_some();
        let found = (0..20).filter(|_| differs()).count();
        assert!(found >= 5, "{found} of 20 plans find it");
    }
}
