//! What a record costs inside weir, without Kafka and without a database: JSON → columns → TimestampConverter →
//! SMA guest → COPY bytes, in nanoseconds of this thread's CPU per record and stage. Beside it, on the same
//! batches: the same SMA compiled native, a bare call into wasm, and a bare JSON parse of the same bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench fails by panicking")]

mod measure;
mod ticks;

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use sma::Sma;
use weir::convert::{self, decoder::Decoder};
use weir::guest::{Catalog, Compiler, Engine, Setup};
use weir::record::{Batch, Kind, Origin, Path, Want};
use weir::sink::Encoder as _;
use weir::sink::timescale::bind::{Bound, Source};
use weir::sink::timescale::copy::CopyEncoder;
use weir::sink::timescale::types::ColumnType;
use weir::transform::{Chain, PluginTransform, Transform, timestamp_converter};
use weir_plugin_sdk::guest::Guest;
use weir_plugin_sdk::{Column, Slices, Values};
use weir_tests::environment::{PLUGINS, variable};

use self::measure::{Arguments, median, peak_rss_bytes, thread_cpu_ns};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LANES: usize = 4;
const SYMBOLS: u64 = 1_000;
const WINDOW: &str = "50";
const STAGES: [&str; 4] = ["JSON to columns", "TimestampConverter", "SMA: boundary and guest", "columns to COPY bytes"];
/// The stage that the native SMA stands beside.
const GUEST: usize = 2;

/// One lane's way, stage by stage, as the host builds it.
struct Lane {
    decoder: Decoder,
    time: Chain,
    guest: Chain,
    encoder: CopyEncoder,
    native: Guest<Sma>,
}

/// CPU of one round, in nanoseconds.
#[derive(Default)]
struct Round {
    stages: [u64; STAGES.len()],
    native: u64,
}

impl Lane {
    fn new(catalog: &Catalog) -> Result<Lane> {
        let settings =
            [("key.field", "symbol"), ("value.field", "price"), ("window", WINDOW)].map(|(k, v)| (k.into(), v.into()));
        let plugin = catalog.find("sma", None, &|_| true)?;
        let setup = Setup {
            alias: "sma".to_owned(),
            settings: settings.to_vec(),
            limits: plugin.limits(),
            meters: Arc::default(),
        };
        let time = [("field", "ts"), ("target.type", "Timestamp")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let time = || timestamp_converter::build("time", "TimestampConverter", &time);
        let guest = || -> Result<Box<dyn Transform>> { Ok(Box::new(PluginTransform::new(&plugin, &setup)?)) };
        let columns = columns();
        let wants: Vec<Want> = columns.iter().map(want).collect();
        let projection = Chain::new(vec![time()?, guest()?]).projection(&wants);
        let (key, value) = (convert::by_name("string"), convert::by_name("json"));
        let decoder = Decoder::new(key.context("string")?, value.context("json")?, projection)?;
        let mut native = Guest::<Sma>::new();
        native.configure(settings).map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
        Ok(Lane {
            decoder,
            time: Chain::new(vec![time()?]),
            guest: Chain::new(vec![guest()?]),
            encoder: CopyEncoder::new(0, "public.ticks".to_owned(), columns, true),
            native,
        })
    }

    /// One batch through all stages; the native SMA sees the same columns and must say the same.
    fn process(&mut self, origin: &Arc<Origin>, data: &mut Vec<u8>, round: &mut Round) -> Result<()> {
        let (mut lines, begun) = (Vec::new(), thread_cpu_ns());
        let (batch, malformed) = self.decoder.decode(origin)?;
        let decoded = thread_cpu_ns();
        let timed = self.time.run(batch, &[]).map_err(|failure| failure.error)?.batch;
        let converted = thread_cpu_ns();
        let averaged = self.guest.run(timed, &[]).map_err(|failure| failure.error)?.batch;
        let guest = thread_cpu_ns();
        let refused = self.encoder.encode(&averaged, data, &mut lines)?;
        let encoded = thread_cpu_ns();
        ensure!(malformed.is_empty() && refused.is_empty(), "the ticks are well-formed");
        let marks = [begun, decoded, converted, guest, encoded];
        for (stage, mark) in round.stages.iter_mut().zip(marks.windows(2)) {
            *stage += mark[1] - mark[0];
        }
        round.native += self.compare(&averaged)?;
        Ok(())
    }

    /// The same columns through the native SMA: its nanoseconds.
    fn compare(&mut self, batch: &Batch) -> Result<u64> {
        let prices = batch.pull(&Path::new("price"), Kind::Float64)?.array.clone();
        let symbols = batch.pull(&Path::new("symbol"), Kind::Text)?.array.clone();
        let means = batch.pull(&Path::new("sma"), Kind::Float64)?.array.clone();
        let symbols = symbols.as_string::<i32>();
        let offsets: Vec<u32> = symbols.value_offsets().iter().map(|&offset| offset as u32).collect();
        let keys = Slices { bytes: symbols.value_data(), offsets: &offsets };
        let values = prices.as_primitive::<Float64Type>().values();
        let columns = [Column::of(Values::Float64s(values)), Column::of(Values::Texts(keys))];
        let begun = thread_cpu_ns();
        let output = self.native.process(batch.len(), &columns).map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
        let took = thread_cpu_ns() - begun;
        let emitted = black_box(output).emitted();
        let Values::Float64s(native) = emitted.columns.first().context("a column")?.values else {
            anyhow::bail!("the mean is a double");
        };
        let means = means.as_primitive::<Float64Type>();
        let same =
            (0..means.len()).all(|row| means.is_null(row) || means.value(row).to_bits() == native[row].to_bits());
        ensure!(same, "the component and the native plugin differ");
        Ok(took)
    }
}

/// The table `ticks (symbol text, ts timestamptz, price float8, volume int8, sma float8)`.
fn columns() -> Vec<Bound> {
    let column = |name: &str, column_type: ColumnType| Bound {
        name: name.to_owned(),
        column_type,
        type_name: String::new(),
        not_null: false,
        source: Source::Field(Want { path: Path::new(name), kind: column_type.kind(), required: false }),
    };
    vec![
        column("symbol", ColumnType::Text(None)),
        column("ts", ColumnType::Timestamp),
        column("price", ColumnType::Float8),
        column("volume", ColumnType::Int8),
        column("sma", ColumnType::Float8),
    ]
}

fn want(column: &Bound) -> Want {
    Want { path: Path::new(column.name.as_str()), kind: column.column_type.kind(), required: false }
}

fn round(catalog: &Catalog, batches: &[Arc<Origin>]) -> Result<Round> {
    let mut lanes: Vec<Lane> = (0..LANES).map(|_| Lane::new(catalog)).collect::<Result<_>>()?;
    let (mut round, mut data) = (Round::default(), Vec::new());
    for batch in batches {
        // A flush's worth of bytes, then the buffer is used again, as in the task.
        if data.len() > 8 << 20 {
            data.clear();
        }
        lanes[batch.lane.partition as usize].process(batch, &mut data, &mut round)?;
    }
    Ok(round)
}

/// The tick as a program that knows its fields would read it.
#[derive(serde::Deserialize)]
struct Tick<'a> {
    symbol: &'a str,
    ts: i64,
    price: f64,
    volume: i64,
}

/// Nanoseconds of parsing every value into a struct.
fn bare_parse_ns(batches: &[Arc<Origin>]) -> Result<f64> {
    let begun = thread_cpu_ns();
    for batch in batches {
        for row in 0..batch.len() {
            let tick: Tick<'_> = serde_json::from_slice(batch.value(row).context("a value")?)?;
            black_box((tick.symbol, tick.ts, tick.price, tick.volume));
        }
    }
    Ok((thread_cpu_ns() - begun) as f64)
}

/// Nanoseconds of one call of an empty function of a component, through a typed handle.
fn bare_call_ns() -> Result<f64> {
    const CALLS: u64 = 1_000_000;
    const COMPONENT: &str = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func (export "f") (canon lift (core func $i "f"))))"#;
    let engine = wasmtime::Engine::default();
    let component = wasmtime::component::Component::new(&engine, wat::parse_str(COMPONENT)?)?;
    let mut store = wasmtime::Store::new(&engine, ());
    let instance = wasmtime::component::Linker::new(&engine).instantiate(&mut store, &component)?;
    let call = instance.get_typed_func::<(), ()>(&mut store, "f")?;
    let begun = thread_cpu_ns();
    for _ in 0..CALLS {
        call.call(&mut store, ())?;
    }
    Ok((thread_cpu_ns() - begun) as f64 / CALLS as f64)
}

fn main() -> Result<()> {
    let arguments = Arguments::of("in-process", 2_000_000)?;
    let catalog = Catalog::scan(Compiler::new(Engine::new()?, None, None), &[variable(PLUGINS)?.into()]);
    let batches = ticks::batches(arguments.records, SYMBOLS, LANES);
    let rounds: Vec<Round> = (0..arguments.rounds).map(|_| round(&catalog, &batches)).collect::<Result<_>>()?;
    let records = arguments.records as f64;
    let per_record = |pick: &dyn Fn(&Round) -> u64| median(rounds.iter().map(|round| pick(round) as f64 / records));
    let stages: Vec<f64> = (0..STAGES.len()).map(|at| per_record(&|round| round.stages[at])).collect();
    let native = per_record(&|round| round.native);
    let all: f64 = stages.iter().sum();
    let guest_ratio = median(rounds.iter().map(|round| round.stages[GUEST] as f64 / round.native as f64));

    println!("ns of CPU per record, median of {} rounds of {} records", arguments.rounds, arguments.records);
    for (name, ns) in STAGES.iter().zip(&stages) {
        println!("  {name:<34} {ns:>8.1}  {:>3.0} %", ns / all * 100.0);
    }
    println!("  {:<34} {all:>8.1}\nbeside it", "in all");
    println!("  {:<34} {native:>8.1}  the component takes {guest_ratio:.2} times that", "the same SMA compiled native");
    println!("  {:<34} {:>8.1}", "serde_json into a struct", bare_parse_ns(&batches)? / records);
    println!("  {:<34} {:>8.1}  per call, not per record", "a bare call into wasm", bare_call_ns()?);
    let baseline = all - stages[GUEST] + native;
    println!(
        "{}",
        serde_json::json!({
            "bench": "in-process",
            "records": arguments.records,
            "records_per_s": (1e9 / all).round(),
            "cpu_us_per_record": (all / 10.0).round() / 100.0,
            "rss_peak_mb": peak_rss_bytes()? >> 20,
            "baseline_records_per_s": (1e9 / baseline).round(),
            "ratio": (baseline / all * 100.0).round() / 100.0,
            "stage_ns": STAGES.iter().zip(&stages).map(|(name, ns)| (*name, ns.round())).collect::<std::collections::BTreeMap<_, _>>(),
            "guest_over_native": (guest_ratio * 100.0).round() / 100.0,
        })
    );
    Ok(())
}
