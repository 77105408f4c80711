//! `weir demo`: ticks through a broker, the SMA plugin and a database, exactly once, checked at the end.

mod database;
mod swap;
mod ticks;
mod verify;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use uuid::Uuid;

use self::database::EmbeddedDatabase;
use self::swap::Swaps;
use self::ticks::{Tick, Ticks};
use self::verify::{Check, Row, Verdict};
use super::display::progress;
use crate::app::App;
use crate::clock::Clock;
use crate::config::files;
use crate::config::pipeline::{Pipeline, Sink, Timescale};
use crate::config::reference::Surroundings;
use crate::config::worker::Worker as Settings;
use crate::error::{Error, Kind, Result};
use crate::kafka::admin;
use crate::kafka::mock::EmbeddedBroker;
use crate::kafka::producer::Producer;
use crate::limits::{COMPILE_MAX, COMPILE_MEMORY_BYTES_MAX};
use crate::sink::timescale::read;
use crate::task::status::State;

/// Records that may be on their way between producer and database: the embedded broker keeps about 5 MB per
/// partition and drops the oldest without a word.
const AHEAD_MAX: u64 = 150_000;
const PARTITIONS: i32 = 8;
/// Without any progress for so long, the demo gives up.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// `weir demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many ticks of 1 000 symbols
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    records: u64,

    /// Kafka brokers, instead of one inside this process
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,

    /// A PostgreSQL or TimescaleDB, instead of one that is fetched and thrown away
    #[arg(long, value_name = "postgres://…")]
    database_url: Option<String>,

    /// Prices of a CSV file with the columns symbol, ts (epoch ms) or date, price [, volume], instead of ticks
    #[arg(long, value_name = "FILE.csv")]
    input: Option<PathBuf>,

    /// Rows of the moving average; several, separated by commas, become several columns
    /// [default: 50; with --input 20,200]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    window: Vec<usize>,

    /// Directory of plugins, as `weir plugin build` fills it
    #[arg(long, value_name = "DIR", env = "WEIR_PLUGINS", default_value = "target/plugins")]
    plugins: PathBuf,

    /// Plugin files that are put into the directory of plugins one after the other while ticks stream; 1.0 of the plugin
    /// runs first
    #[arg(long, value_name = "FILE.wasm,…", value_delimiter = ',')]
    swap: Vec<PathBuf>,
}

/// Runs the demo. Exit code 0 when every row is as it must be.
pub fn run(args: &DemoArgs) -> ExitCode {
    match demonstrate(args) {
        Ok(verdict) if verdict.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Whatever goes wrong here, the configuration included, was made by the demo itself.
            super::failed("weir demo", &error);
            ExitCode::FAILURE
        }
    }
}

/// What the demo works on.
struct Stage {
    ticks: Ticks,
    windows: Vec<usize>,
    topic: String,
    table: String,
    brokers: String,
    /// Lines of the pipeline file that the embedded broker is quicker by.
    quicker: &'static str,
    database_url: String,
}

/// The embedded broker gives a group of the classic protocol its partitions after three seconds, one of this at once.
const QUICKER: &str = "consumer.override.group.protocol: consumer\n";

fn demonstrate(args: &DemoArgs) -> Result<Verdict> {
    let ticks = match &args.input {
        Some(file) => Ticks::read(file)?,
        None => Ticks::MadeUp { records: args.records, symbols: 1_000 },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::caused(Kind::Internal, "start the async runtime", e))?;
    let id = Uuid::new_v4().simple().to_string();
    let id = id.get(..8).unwrap_or_default();
    let topic = format!("weir-demo-{id}");
    let broker = match args.brokers {
        Some(_) => None,
        None => Some(EmbeddedBroker::start(&topic, PARTITIONS)?),
    };
    let database = match args.database_url {
        Some(_) => None,
        None => Some(EmbeddedDatabase::start(&runtime)?),
    };
    let brokers = broker.as_ref().map(EmbeddedBroker::bootstrap_servers).or_else(|| args.brokers.clone());
    if let Some(brokers) = args.brokers.as_ref() {
        runtime.block_on(admin::create_topic(brokers, &topic, PARTITIONS))?;
    }
    let stage = Stage {
        windows: windows(args),
        // A database of the demo's own holds just this table; in another one nothing is overwritten.
        table: if database.is_some() { "ticks_sma".to_owned() } else { format!("ticks_sma_{id}") },
        brokers: brokers.unwrap_or_default(),
        quicker: if broker.is_some() { QUICKER } else { "" },
        database_url: database
            .as_ref()
            .map(EmbeddedDatabase::url)
            .or_else(|| args.database_url.clone())
            .unwrap_or_default(),
        topic,
        ticks,
    };
    stage.play(args, &runtime)
}

fn windows(args: &DemoArgs) -> Vec<usize> {
    match (args.window.as_slice(), &args.input) {
        ([], None) => vec![50],
        ([], Some(_)) => vec![20, 200],
        (given, _) => given.to_vec(),
    }
}

impl Stage {
    fn play(&self, args: &DemoArgs, runtime: &tokio::runtime::Runtime) -> Result<Verdict> {
        let yaml = self.pipeline_file();
        println!("# the pipeline\n{yaml}");
        let pipeline = pipeline(&yaml)?;
        let Sink::Timescale(database) = pipeline.sink.clone() else {
            return Err(Error::new(Kind::Internal, "the demo's sink is a table"));
        };
        let swaps = Swaps::prepare(&args.plugins, &args.swap, self.ticks.len())?;
        let settings = self.settings(swaps.as_ref().map_or(args.plugins.as_path(), Swaps::directory));
        let mut app = App::start(&settings, std::env::current_exe().ok(), |_| Ok((vec![pipeline], Vec::new())))?;
        if swaps.is_some() {
            app.watch(&settings)?;
        }
        let took = self.stream(&app, swaps);
        let swapped = app.worker().status("weir-demo").map(|status| status.swaps).unwrap_or_default();
        let latency = app.metrics().latency_ms("weir-demo");
        app.drain()?;
        let took = took?;
        self.sample(runtime, &database)?;
        let records = self.ticks.len();
        let rate = records as f64 / took.as_secs_f64();
        println!("\n{records} records in {:.2} s: {rate:.0} records/s", took.as_secs_f64());
        if let Some((p50, p99)) = latency {
            println!(
                "from produce to commit: p50 {p50:.0} ms, p99 {p99:.0} ms (at full speed, waiting in the queue included)"
            );
        }
        swap::tell(&swapped);
        let verdict = self.verify(runtime, &database)?;
        println!("{verdict}");
        Ok(verdict)
    }

    /// The pipeline as an operator would write it.
    fn pipeline_file(&self) -> String {
        let volume = if self.ticks.have_volume() { ",volume:int64" } else { "" };
        let mut stages = String::new();
        for window in &self.windows {
            let name = self.column(*window);
            stages += &format!(
                "  - name: {name}\n    type: sma\n    key.field: symbol\n    value.field: price\n    window: {window}\n    output.field: {name}\n"
            );
        }
        format!(
            "name: weir-demo\n\
             topics: {topic}\n\
             key.converter: string\n\
             value.converter: json\n\
             value.converter.schemas.enable: false\n\
             transforms:\n\
             \x20 - name: time\n    type: TimestampConverter\n    field: ts\n    target.type: Timestamp\n\
             {stages}\
             {quicker}\
             connector.class: TimescaleSink\n\
             connection.url: {url}\n\
             table.name.format: {table}\n\
             auto.create: true\n\
             fields: ts:timestamp,symbol:text,price:float64{volume}{means}\n",
            means = self.windows.iter().map(|w| format!(",{}:float64", self.column(*w))).collect::<String>(),
            topic = self.topic,
            quicker = self.quicker,
            url = self.database_url,
            table = self.table,
        )
    }

    /// `sma`, or `sma20` where there are several.
    fn column(&self, window: usize) -> String {
        if self.windows.len() == 1 { "sma".to_owned() } else { format!("sma{window}") }
    }

    fn settings(&self, plugins: &Path) -> Settings {
        Settings {
            bootstrap_servers: self.brokers.clone(),
            pipelines: Vec::new(),
            plugins: vec![plugins.to_owned()],
            state: None,
            rest: "127.0.0.1:0".to_owned(),
            metrics: None,
            memory_bytes: 1 << 30,
            compile_ms: u64::try_from(COMPILE_MAX.as_millis()).unwrap_or(u64::MAX),
            compile_bytes: COMPILE_MEMORY_BYTES_MAX,
            id: None,
        }
    }

    /// Produces everything and waits until it is committed; returns how long that took from the first record.
    fn stream(&self, app: &App, mut swaps: Option<Swaps>) -> Result<Duration> {
        let producer = Producer::new(&self.brokers)?;
        let template = "{bar:40} {human_pos} of {human_len} committed, {per_sec}, {eta} left";
        let progress = progress(self.ticks.len(), template);
        let _ = std::io::stdout().flush();
        let clock = Clock::start();
        let mut watch = Watch { app, progress: &progress, clock, committed: 0, moved_at: Duration::ZERO };
        for (sent, tick) in self.ticks.iter().enumerate() {
            let sent = sent as u64;
            while sent >= watch.committed + AHEAD_MAX {
                watch.wait(&producer)?;
            }
            if sent.is_multiple_of(5_000) {
                watch.look(&producer)?;
            }
            if let Some(swaps) = &mut swaps {
                while Swaps::is_early(sent, clock.elapsed()) {
                    watch.wait(&producer)?;
                }
                swaps.put(sent, &progress)?;
            }
            self.send(&producer, &tick)?;
        }
        producer.flush()?;
        while watch.committed < self.ticks.len() {
            watch.wait(&producer)?;
        }
        progress.finish_and_clear();
        let took = clock.elapsed();
        if let Some(swaps) = &swaps {
            watch.wait_for(swaps, &producer);
        }
        Ok(took)
    }

    fn send(&self, producer: &Producer, tick: &Tick) -> Result<()> {
        producer.send(&self.topic, tick.symbol.as_bytes(), tick.json().as_bytes(), Clock::wall_us() / 1_000)
    }

    fn columns(&self) -> String {
        self.windows.iter().map(|window| format!(", {}", self.column(*window))).collect()
    }

    /// The last rows of the table, oldest first.
    fn sample(&self, runtime: &tokio::runtime::Runtime, database: &Timescale) -> Result<()> {
        let time = match &self.ticks {
            Ticks::MadeUp { .. } => "to_char(ts AT TIME ZONE 'UTC', 'HH24:MI:SS.MS') AS ts",
            Ticks::Read(_) => "to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS ts",
        };
        let query = format!(
            "SELECT * FROM (SELECT symbol, {time}, price{} FROM {} ORDER BY {}.ts DESC LIMIT 5) AS last ORDER BY ts",
            self.columns(),
            self.table,
            self.table
        );
        println!("# the last rows of {}\nsymbol ts price{}", self.table, self.columns().replace(',', ""));
        runtime.block_on(read::lines(database, &query, |line| println!("{}", line.replace('\t', " "))))
    }

    fn verify(&self, runtime: &tokio::runtime::Runtime, database: &Timescale) -> Result<Verdict> {
        let mut check = Check::new(&self.ticks, &self.windows);
        let query = format!(
            "SELECT symbol, (extract(epoch FROM ts) * 1000)::int8, price{} FROM {}",
            self.columns(),
            self.table
        );
        let mut odd = 0;
        runtime.block_on(read::lines(database, &query, |line| match parse(line) {
            Some((symbol, ts_ms, row)) => check.row(symbol, ts_ms, &row),
            None => odd += 1,
        }))?;
        let verdict = check.finish();
        Ok(Verdict { rows: verdict.rows + odd, wrong: verdict.wrong + odd, ..verdict })
    }
}

/// A line of the table: symbol, milliseconds, price, means.
fn parse(line: &str) -> Option<(&str, i64, Row)> {
    let mut cells = line.split('\t');
    let (symbol, ts_ms) = (cells.next()?, cells.next()?.parse().ok()?);
    let price = cells.next()?.parse::<f64>().ok()?.to_bits();
    let mean = |cell: &str| match cell {
        "\\N" => Some(None),
        cell => cell.parse::<f64>().ok().map(|mean| Some(mean.to_bits())),
    };
    Some((symbol, ts_ms, Row { price, means: cells.map(mean).collect::<Option<_>>()? }))
}

fn pipeline(yaml: &str) -> Result<Pipeline> {
    let checked = files::check(PathBuf::from("demo.yaml"), yaml, &Surroundings, &|_| Vec::new());
    let error = checked.error();
    checked.pipeline.ok_or(error)
}

/// Follows what is committed.
struct Watch<'a> {
    app: &'a App,
    progress: &'a ProgressBar,
    clock: Clock,
    committed: u64,
    moved_at: Duration,
}

impl Watch<'_> {
    /// Waits, for a while, until every plugin that was put in has been compiled and judged.
    fn wait_for(&self, swaps: &Swaps, producer: &Producer) {
        let until = self.clock.elapsed() + STUCK_AFTER / 2;
        let lives = || self.app.worker().status("weir-demo").map(|status| status.swaps).unwrap_or_default();
        while !swaps.are_over(&lives()) && self.clock.elapsed() < until {
            std::thread::park_timeout(Duration::from_millis(50));
            producer.serve();
        }
    }

    fn wait(&mut self, producer: &Producer) -> Result<()> {
        std::thread::park_timeout(Duration::from_millis(2));
        self.look(producer)
    }

    fn look(&mut self, producer: &Producer) -> Result<()> {
        producer.serve();
        let committed = self.app.metrics().committed("weir-demo");
        let now = self.clock.elapsed();
        if committed > self.committed {
            self.committed = committed;
            self.moved_at = now;
            self.progress.set_position(committed);
        }
        let status = self.app.worker().status("weir-demo");
        let failed = status.and_then(|s| s.tasks.into_iter().find(|task| task.state == State::Failed));
        if let Some(task) = failed {
            return Err(Error::new(Kind::Internal, task.trace.unwrap_or_default()));
        }
        if now.saturating_sub(self.moved_at) > STUCK_AFTER {
            return Err(Error::new(Kind::Internal, format!("nothing was committed for {STUCK_AFTER:?}")));
        }
        Ok(())
    }
}
