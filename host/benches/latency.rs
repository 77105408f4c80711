//! How fresh the table is: from produce to commit at 10 000 records/s, beside a bare commit; how long a worker takes
//! from exec to its first poll; how much memory it holds when idle.
//!
//! A broker that has just started takes a second per request at first: the same load runs before, unmeasured.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod measure;
mod stream;
mod ticks;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_tests::db::Db;
use weir_tests::kafka::Kafka;
use weir_tests::worker::{Plan, Worker};

use self::measure::{Arguments, Processors, median, quantile};
use self::stream::{COLUMNS, PARTITIONS};

/// Sent in bundles of one millisecond.
const PER_S: u64 = 10_000;
const BARE_COMMITS: usize = 2_000;
const WARM_UP_S: u64 = 30;
const IDLE: Duration = Duration::from_secs(30);
const NAME: &str = "fresh";

/// From exec until the worker polls the broker, in milliseconds; the worker goes on.
async fn started(plan: &Plan) -> Result<(Worker, f64)> {
    let (begun, mut looks) = (Instant::now(), tokio::time::interval(Duration::from_micros(500)));
    let worker = plan.start()?;
    while worker.logs().with("polling").is_empty() {
        ensure!(begun.elapsed() < Duration::from_secs(30), "the worker does not poll:\n{}", worker.logs().tail(20));
        looks.tick().await;
    }
    Ok((worker, begun.elapsed().as_secs_f64() * 1e3))
}

/// Milliseconds of transactions that insert one row, rising.
async fn bare_commits(db: &Db) -> Result<Vec<f64>> {
    db.batch_execute("CREATE TABLE bare (x int8)").await?;
    let insert = db.prepare("INSERT INTO bare VALUES ($1)").await?;
    let mut took = Vec::with_capacity(BARE_COMMITS);
    for number in 0..BARE_COMMITS {
        let begun = Instant::now();
        db.execute(&insert, &[&(number as i64)]).await?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}

/// A quantile of what came to a histogram between two metrics pages, in milliseconds, evenly spread within its bucket.
fn histogram_ms(before: &str, page: &str, name: &str, q: f64) -> Result<f64> {
    let bucket = |line: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix("_bucket{")?;
        let (_, rest) = rest.split_once("le=\"")?;
        let (bound, rest) = rest.split_once('"')?;
        Some((bound.parse::<f64>().ok()?, rest.rsplit_once(' ')?.1.parse::<f64>().ok()?))
    };
    let earlier = before.lines().filter_map(bucket);
    let counted = page.lines().filter_map(bucket).zip(earlier);
    let buckets: Vec<(f64, f64)> = counted.map(|((bound, now), (_, then))| (bound, now - then)).collect();
    let wanted = buckets.last().context("an empty histogram")?.1 * q;
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if count >= wanted {
            return Ok((low + (bound - low) * (wanted - below) / (count - below).max(1.0)) * 1e3);
        }
        (low, below) = (bound, count);
    }
    Ok(f64::INFINITY)
}

/// What a round of load showed: milliseconds from produce to commit, and the share of the processors' time that the
/// hypervisor took meanwhile.
struct Round {
    p50: f64,
    p99: f64,
    stolen: f64,
}

impl Round {
    fn print(&self, number: usize) {
        eprintln!("round {number}: p50 {:.1} ms, p99 {:.1} ms, {:.1} % stolen", self.p50, self.p99, self.stolen * 1e2);
    }

    fn medians(rounds: &[Round]) -> Round {
        let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
        Round { p50: of(|round| round.p50), p99: of(|round| round.p99), stolen: of(|round| round.stolen) }
    }
}

/// Prints the table for people and the line of JSON.
fn report(arguments: &Arguments, round: &Round, bare: &[f64], start: f64, idle_mb: f64) {
    let Round { p50, p99, stolen } = round;
    let (bare_p50, bare_p99) = (quantile(bare, 0.5), quantile(bare, 0.99));
    println!(
        "{} records at {PER_S}/s, exactly once, 4 lanes in one task; {} rounds",
        arguments.records, arguments.rounds
    );
    println!("                          p50          p99");
    println!("  produce to commit  {p50:>7.1} ms   {p99:>7.1} ms");
    println!("  bare commit        {bare_p50:>7.2} ms   {bare_p99:>7.2} ms   (one row, same server)");
    println!("  multiple           {:>7.1}      {:>7.1}", p50 / bare_p50, p99 / bare_p99);
    println!("  stolen meanwhile   {:>7.1} %    of the processors' time, by the hypervisor", stolen * 1e2);
    println!("exec to first poll   {start:>7.0} ms   (median of {}, warm code cache)", arguments.rounds);
    println!("idle memory          {idle_mb:>7.1} MB   (one pipeline, {PARTITIONS} lanes claimed, after {IDLE:?})");
    println!(
        "{}",
        serde_json::json!({
            "bench": "latency",
            "records": arguments.records,
            "records_per_s": PER_S,
            "p50_ms": (p50 * 10.0).round() / 10.0,
            "p99_ms": (p99 * 10.0).round() / 10.0,
            "bare_commit_p50_ms": (bare_p50 * 100.0).round() / 100.0,
            "multiple_p50": (p50 / bare_p50 * 10.0).round() / 10.0,
            "stolen": (stolen * 1e3).round() / 1e3,
            "start_ms": start.round(),
            "idle_rss_mb": (idle_mb * 10.0).round() / 10.0,
        })
    );
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::of("latency", 60 * PER_S)?;
    let (kafka, db) = (Kafka::from_environment()?, Db::postgres("fresh").await?);
    let topic = kafka.topic("fresh", PARTITIONS).await?;
    db.batch_execute(&format!("CREATE TABLE {NAME} ({COLUMNS})")).await?;
    let plan = Plan::run(kafka.brokers())?.pipeline(NAME, &stream::pipeline(NAME, &topic, &db.url()))?;
    let bare = bare_commits(&db).await?;

    // The first start fills the code cache.
    started(&plan).await?.0.stop().await?;
    let mut starts = Vec::new();
    for _ in 0..arguments.rounds {
        let (worker, ms) = started(&plan).await?;
        worker.tasks_are(NAME, "RUNNING").await?;
        worker.stop().await?;
        starts.push(ms);
    }
    let (worker, _) = started(&plan).await?;
    let claimed = async || {
        ensure!(worker.logs().with("lane claimed").len() == PARTITIONS as usize, "not all lanes are claimed");
        Ok(())
    };
    worker.until("all lanes claimed", claimed).await?;
    eprintln!("idle for {IDLE:?}");
    measure::wait_until(Instant::now(), IDLE);
    let idle_mb = worker.rss_bytes()? as f64 / f64::from(1 << 20);
    let due = |number: u64| Duration::from_millis(number * 1_000 / PER_S);
    // The page of metrics after so many more records have arrived.
    let load = async |records: u64| {
        let rows = db.count(NAME).await? + records as i64;
        stream::produce(&kafka, &[("linger.ms", "1")], &topic, 0..records, due)?;
        let arrived = async || (db.count(NAME).await? == rows).then_some(()).context("not all has arrived");
        worker.until("all rows", arrived).await?;
        anyhow::Ok(worker.get("/metrics").await?.body)
    };
    eprintln!("warming the broker for {WARM_UP_S} s");
    let mut before = load(WARM_UP_S * PER_S).await?;
    let mut rounds = Vec::new();
    for round in 1..=arguments.rounds {
        let processors = Processors::now()?;
        let page = load(arguments.records).await?;
        let stolen = processors.stolen_since()?;
        let latency = |q| histogram_ms(&before, &page, "weir_latency_seconds", q);
        let shown = Round { p50: latency(0.5)?, p99: latency(0.99)?, stolen };
        shown.print(round);
        rounds.push(shown);
        before = page;
    }
    worker.stop().await?;
    report(&arguments, &Round::medians(&rounds), &bare, median(starts.iter().copied()), idle_mb);
    Ok(())
}
