//! Ticks from Kafka through the SMA plugin into a table, exactly once, by the real worker; in rounds that alternate
//! with a bare COPY of the same rows, already encoded, on one connection in one transaction.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod measure;
mod stream;
mod ticks;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, TryStreamExt as _};
use weir_tests::db::Db;
use weir_tests::environment::directory;
use weir_tests::kafka::Kafka;
use weir_tests::worker::{Plan, Worker};

use self::measure::{Arguments, Process, median};
use self::stream::{COLUMNS, PARTITIONS};

const PRODUCER: &[(&str, &str)] = &[("compression.type", "lz4"), ("linger.ms", "5")];
/// A round is over when this much time has passed; something is wrong then.
const ROUND_MAX: Duration = Duration::from_secs(300);
/// Size of the pieces in which the bare COPY is sent.
const PIECE_BYTES: usize = 1 << 20;
/// Load of the last, slow round.
const SLOW_PER_S: u64 = 1_000;
const SLOW_RECORDS: u64 = 8_000;

/// What one round of weir came to.
struct Round {
    records_per_s: f64,
    cpu_us: f64,
    rss_bytes: u64,
    commit_s: f64,
    process_s: f64,
    overlap_s: f64,
    took_s: f64,
    rows_per_flush: f64,
    /// CPU of Kafka and PostgreSQL, in seconds.
    servers_s: Vec<f64>,
}

struct Bench {
    kafka: Kafka,
    db: Db,
    topic: String,
    records: u64,
    hypertable: bool,
    servers: Vec<Process>,
    state: String,
}

impl Bench {
    async fn new(records: u64) -> Result<Bench> {
        let kafka = Kafka::from_environment()?;
        let db = Db::postgres("bench").await?;
        let extension = "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'";
        let hypertable = db.number(extension).await? > 0;
        if hypertable {
            db.batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb").await?;
        }
        let topic = kafka.topic("bench", PARTITIONS).await?;
        let mut servers = Vec::new();
        for (name, words) in [("Kafka", ["kafka.Kafka", "server.properties"]), ("PostgreSQL", ["postgres", "-D"])] {
            // A server elsewhere has no process here.
            servers.extend(Process::find(name, &words).ok());
        }
        let state = directory("bench")?.display().to_string();
        Ok(Bench { kafka, db, topic, records, hypertable, servers, state })
    }

    async fn table(&self, name: &str) -> Result<()> {
        self.db.batch_execute(&format!("CREATE TABLE {name} ({COLUMNS})")).await?;
        if self.hypertable {
            let made = format!("SELECT create_hypertable('{name}', by_range('ts', INTERVAL '1 hour'))");
            self.db.batch_execute(&made).await?;
        }
        Ok(self.db.batch_execute("CHECKPOINT").await?)
    }

    fn pipeline(&self, name: &str, topic: &str) -> String {
        // Direct compress of TimescaleDB, where it knows the setting; a connection elsewhere must not be told.
        let options = if self.hypertable { "?options=-c%20timescaledb.enable_direct_compress_copy%3Don" } else { "" };
        stream::pipeline(name, topic, &format!("{}{options}", self.db.url()))
    }

    async fn start(&self, name: &str, topic: &str) -> Result<Worker> {
        self.table(name).await?;
        // One state directory, so that the code cache is warm from the second start on.
        let plan = Plan::run(self.kafka.brokers())?.flag("--state", &self.state);
        plan.pipeline(name, &self.pipeline(name, topic))?.start()
    }

    /// Waits until a pipeline stands at `records` in all lanes together.
    async fn committed(&self, worker: &Worker, name: &str, records: u64) -> Result<()> {
        let query = format!("SELECT coalesce(sum(next_offset), 0) FROM weir.position WHERE pipeline = '{name}'");
        let (begun, mut looks) = (Instant::now(), tokio::time::interval(Duration::from_millis(5)));
        while self.db.number(&query).await? < records as i64 {
            ensure!(begun.elapsed() < ROUND_MAX, "not done in {ROUND_MAX:?}:\n{}", worker.logs().tail(20));
            looks.tick().await;
        }
        Ok(())
    }

    fn servers_cpu(&self) -> Result<Vec<Duration>> {
        self.servers.iter().map(Process::cpu).collect()
    }

    async fn round(&self, number: usize) -> Result<Round> {
        let name = format!("ticks_{number}");
        let servers_before = self.servers_cpu()?;
        let worker = self.start(&name, &self.topic).await?;
        let claimed = async || {
            ensure!(!worker.logs().with("lane claimed").is_empty(), "no lane is claimed");
            Ok(())
        };
        worker.until("a claimed lane", claimed).await?;
        let begun = Instant::now();
        self.committed(&worker, &name, self.records).await?;
        let took_s = begun.elapsed().as_secs_f64();
        let servers_after = self.servers_cpu()?;
        let process = Process::named("weir", worker.id());
        let busy = async |stage: &str| {
            worker.metric(&format!("weir_stage_busy_seconds_total{{pipeline=\"{name}\",stage=\"{stage}\"}}")).await
        };
        let round = Round {
            records_per_s: self.records as f64 / took_s,
            cpu_us: process.cpu()?.as_secs_f64() * 1e6 / self.records as f64,
            rss_bytes: process.peak_rss_bytes()?,
            commit_s: busy("commit").await?,
            process_s: busy("process").await?,
            overlap_s: busy("overlap").await?,
            took_s,
            rows_per_flush: rows_per_flush(&worker, &name).await?,
            servers_s: servers_after
                .iter()
                .zip(&servers_before)
                .map(|(after, before)| after.saturating_sub(*before).as_secs_f64())
                .collect(),
        };
        worker.stop().await?;
        ensure!(self.db.count(&name).await? == self.records as i64, "every record is a row");
        Ok(round)
    }

    /// The rows of the first round as PostgreSQL's own binary COPY, in pieces.
    async fn encoded(&self) -> Result<Vec<Bytes>> {
        let stream = self.db.copy_out("COPY (SELECT * FROM ticks_0) TO STDOUT (FORMAT binary)").await?;
        let rows: Vec<Bytes> = stream.try_collect().await?;
        let mut pieces = vec![BytesMut::with_capacity(PIECE_BYTES)];
        for row in rows {
            if pieces.last().is_some_and(|piece| piece.len() + row.len() > PIECE_BYTES) {
                pieces.push(BytesMut::with_capacity(PIECE_BYTES));
            }
            pieces.last_mut().context("a piece")?.extend_from_slice(&row);
        }
        Ok(pieces.into_iter().map(BytesMut::freeze).collect())
    }

    /// A bare COPY of the rows: rows per second.
    async fn bare(&self, number: usize, rows: &[Bytes]) -> Result<f64> {
        let name = format!("bare_{number}");
        self.table(&name).await?;
        let session = self.db.address().connect().await?;
        if self.hypertable {
            // Older versions do not know it.
            session.batch_execute("SET timescaledb.enable_direct_compress_copy = on").await.unwrap_or_default();
        }
        let begun = Instant::now();
        session.batch_execute("BEGIN").await?;
        let mut sink = Box::pin(session.copy_in(&format!("COPY {name} FROM STDIN (FORMAT binary)")).await?);
        for piece in rows {
            sink.feed(piece.clone()).await?;
        }
        let copied = sink.as_mut().finish().await?;
        session.batch_execute("COMMIT").await?;
        ensure!(copied == self.records, "the bare COPY took {copied} rows");
        Ok(copied as f64 / begun.elapsed().as_secs_f64())
    }

    /// Rows per flush where records come slowly.
    async fn slow(&self) -> Result<f64> {
        let topic = self.kafka.topic("slow", PARTITIONS).await?;
        let worker = self.start("slow", &topic).await?;
        let due = |number: u64| Duration::from_secs_f64(number as f64 / SLOW_PER_S as f64);
        stream::produce(&self.kafka, PRODUCER, &topic, 0..SLOW_RECORDS, due)?;
        self.committed(&worker, "slow", SLOW_RECORDS).await?;
        let rows = rows_per_flush(&worker, "slow").await?;
        worker.stop().await?;
        Ok(rows)
    }
}

async fn rows_per_flush(worker: &Worker, name: &str) -> Result<f64> {
    let of = async |what: &str| worker.metric(&format!("weir_flush_rows_{what}{{pipeline=\"{name}\"}}")).await;
    Ok(of("sum").await? / of("count").await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::of("end-to-end", 2_000_000)?;
    let bench = Bench::new(arguments.records).await?;
    eprintln!("producing {} ticks", arguments.records);
    stream::produce(&bench.kafka, PRODUCER, &bench.topic, 0..arguments.records, |_| Duration::ZERO)?;
    let (mut rounds, mut bare, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..arguments.rounds {
        let round = bench.round(number).await?;
        if rows.is_empty() {
            rows = bench.encoded().await?;
        }
        let baseline = bench.bare(number, &rows).await?;
        eprintln!("round {}: {:.0} records/s, bare COPY {baseline:.0} rows/s", number + 1, round.records_per_s);
        rounds.push(round);
        bare.push(baseline);
        bench.db.batch_execute(&format!("DROP TABLE bare_{number}")).await?;
    }
    let slow = bench.slow().await?;
    report(&bench, &rounds, &bare, slow);
    Ok(())
}

fn report(bench: &Bench, rounds: &[Round], bare: &[f64], slow: f64) {
    let of = |pick: fn(&Round) -> f64| median(rounds.iter().map(pick));
    let (rate, baseline) = (of(|round| round.records_per_s), median(bare.iter().copied()));
    let ratio = rate / baseline;
    let overlap = of(|round| round.overlap_s / round.commit_s);
    let rss_mb = rounds.iter().map(|round| round.rss_bytes).max().unwrap_or(0) >> 20;
    let place = if bench.hypertable { "a hypertable" } else { "a plain table" };
    println!("{} records into {place}, median of {} rounds", bench.records, rounds.len());
    println!("  weir                {rate:>12.0} records/s");
    println!("  bare COPY           {baseline:>12.0} rows/s      weir reaches {:.0} % of it", ratio * 100.0);
    println!("CPU per record, peak memory");
    println!("  weir                {:>9.2} µs       {rss_mb} MB", of(|round| round.cpu_us));
    for (at, server) in bench.servers.iter().enumerate() {
        let s = median(rounds.iter().filter_map(|round| round.servers_s.get(at).copied()));
        let peak = server.peak_rss_bytes().unwrap_or(0) >> 20;
        println!("  {:<19} {:>9.2} µs       {peak} MB", server.name, s * 1e6 / bench.records as f64);
    }
    println!("Where the time goes, of {:.2} s", of(|round| round.took_s));
    println!("  processing          {:>9.2} s", of(|round| round.process_s));
    println!("  in transactions     {:>9.2} s", of(|round| round.commit_s));
    println!("    of it while processing went on  {:.0} %", overlap * 100.0);
    println!(
        "Rows per flush: {:.0} at full load, {slow:.0} at {SLOW_PER_S} records/s",
        of(|round| round.rows_per_flush)
    );
    println!(
        "{}",
        serde_json::json!({
            "bench": "end-to-end",
            "records": bench.records,
            "records_per_s": rate.round(),
            "cpu_us_per_record": (of(|round| round.cpu_us) * 100.0).round() / 100.0,
            "rss_peak_mb": rss_mb,
            "baseline_records_per_s": baseline.round(),
            "ratio": (ratio * 100.0).round() / 100.0,
            "overlap_share": (overlap * 100.0).round() / 100.0,
            "rows_per_flush": of(|round| round.rows_per_flush).round(),
            "rows_per_flush_slow": slow.round(),
        })
    );
}
