//! How fresh the table is: from produce to commit at 10 000 records/s, beside a bare commit; how long a worker takes
//! from exec to its first poll; how much memory it holds when idle.
//!
//! Latencies are watched second by second, beside what the hypervisor took of the processors: a second in which it took
//! nothing tells of the software, the others of the machine, too.
//!
//! A broker that has just started takes a second per request at first: the same load runs before, unmeasured.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod measure;
mod stream;
mod ticks;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinHandle;
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

/// How many records took up to how long, by the upper bounds of a histogram's buckets in seconds; cumulative.
struct Latencies(Vec<(f64, f64)>);

impl Latencies {
    /// What the worker tells now.
    async fn of(worker: &Worker) -> Result<Latencies> {
        let bucket = |line: &str| {
            let rest = line.strip_prefix("weir_latency_seconds_bucket{")?;
            let (_, rest) = rest.split_once("le=\"")?;
            let (bound, rest) = rest.split_once('"')?;
            Some((bound.parse::<f64>().ok()?, rest.rsplit_once(' ')?.1.parse::<f64>().ok()?))
        };
        Ok(Latencies(worker.get("/metrics").await?.body.lines().filter_map(bucket).collect()))
    }

    /// What came between two looks.
    fn since(&self, before: &Latencies) -> Latencies {
        let pairs = self.0.iter().zip(&before.0);
        Latencies(pairs.map(|(&(bound, now), &(_, then))| (bound, now - then)).collect())
    }

    fn sum(parts: &[&Latencies]) -> Latencies {
        let bounds = parts.first().map(|part| part.0.iter().map(|&(bound, _)| bound)).into_iter().flatten();
        let count = |at: usize| parts.iter().filter_map(|part| part.0.get(at)).map(|&(_, count)| count).sum();
        Latencies(bounds.enumerate().map(|(at, bound)| (bound, count(at))).collect())
    }

    /// A quantile in milliseconds, evenly spread within its bucket; NaN where there are none.
    fn quantile(&self, q: f64) -> f64 {
        let wanted = self.0.last().map_or(f64::NAN, |&(_, all)| all * q);
        let (mut low, mut below) = (0.0, 0.0);
        for &(bound, count) in &self.0 {
            if count >= wanted {
                return (low + (bound - low) * (wanted - below) / (count - below).max(1.0)) * 1e3;
            }
            (low, below) = (bound, count);
        }
        f64::NAN
    }
}

/// A second of load: the latencies of what was committed in it, and the share of the processors' time that the
/// hypervisor took meanwhile.
struct Second {
    latencies: Latencies,
    stolen: f64,
}

/// Watches a load second by second, until it is over.
async fn watch(worker: &Worker, load: JoinHandle<Result<()>>) -> Result<Vec<Second>> {
    let (mut seconds, mut looks) = (Vec::new(), tokio::time::interval(Duration::from_secs(1)));
    looks.tick().await;
    let mut before = Latencies::of(worker).await?;
    while !load.is_finished() {
        let processors = Processors::now()?;
        looks.tick().await;
        let now = Latencies::of(worker).await?;
        seconds.push(Second { latencies: now.since(&before), stolen: processors.stolen_since()? });
        before = now;
    }
    load.await??;
    Ok(seconds)
}

/// Of how many seconds, and their 50th and 99th percentile in milliseconds.
struct Shown {
    seconds: usize,
    p50: f64,
    p99: f64,
}

impl Shown {
    fn of<'a>(seconds: impl Iterator<Item = &'a Second>) -> Shown {
        let latencies: Vec<&Latencies> = seconds.map(|second| &second.latencies).collect();
        let all = Latencies::sum(&latencies);
        Shown { seconds: latencies.len(), p50: all.quantile(0.5), p99: all.quantile(0.99) }
    }

    /// Of the seconds in which the processors were ours, as in the second before each: what a stolen moment delays is
    /// committed later.
    fn undisturbed(seconds: &[Second]) -> Shown {
        let pairs = seconds.windows(2).filter_map(|pair| match pair {
            [before, second] if before.stolen + second.stolen == 0.0 => Some(second),
            _ => None,
        });
        Shown::of(pairs)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1} ms, p99 {:.1} ms in {} s", self.p50, self.p99, self.seconds)
    }
}

/// What a start, idleness and a bare commit showed.
struct Surroundings {
    /// Milliseconds from exec to the first poll.
    start_ms: f64,
    idle_mb: f64,
    /// Milliseconds of bare commits, rising.
    bare: Vec<f64>,
}

/// Prints the table for people and the line of JSON.
fn report(arguments: &Arguments, seconds: &[Second], around: &Surroundings) {
    let (all, undisturbed) = (Shown::of(seconds.iter()), Shown::undisturbed(seconds));
    let stolen = seconds.iter().map(|second| second.stolen).sum::<f64>() / seconds.len().max(1) as f64;
    let (bare_p50, bare_p99) = (quantile(&around.bare, 0.5), quantile(&around.bare, 0.99));
    println!(
        "{} records at {PER_S}/s, exactly once, 4 lanes in one task; {} rounds",
        arguments.records, arguments.rounds
    );
    println!("                          p50          p99");
    for (what, shown) in [("all the time", &all), ("undisturbed", &undisturbed)] {
        println!(
            "  {what:<16} {:>9.1} ms   {:>7.1} ms   (produce to commit, {} s)",
            shown.p50, shown.p99, shown.seconds
        );
    }
    println!("  bare commit      {bare_p50:>9.2} ms   {bare_p99:>7.2} ms   (one row, same server)");
    println!("  multiple         {:>9.1}      {:>7.1}", all.p50 / bare_p50, all.p99 / bare_p99);
    println!(
        "stolen meanwhile     {:>7.1} %    of the processors' time, by the hypervisor; undisturbed is a second",
        stolen * 1e2
    );
    println!("                                  in which it took nothing, nor in the one before");
    println!("exec to first poll   {:>7.0} ms   (median of {}, warm code cache)", around.start_ms, arguments.rounds);
    println!(
        "idle memory          {:>7.1} MB   (one pipeline, {PARTITIONS} lanes claimed, after {IDLE:?})",
        around.idle_mb
    );
    let tenth = |value: f64| (value * 10.0).round() / 10.0;
    println!(
        "{}",
        serde_json::json!({
            "bench": "latency",
            "records": arguments.records,
            "records_per_s": PER_S,
            "p50_ms": tenth(all.p50),
            "p99_ms": tenth(all.p99),
            "undisturbed_s": undisturbed.seconds,
            "undisturbed_p50_ms": tenth(undisturbed.p50),
            "undisturbed_p99_ms": tenth(undisturbed.p99),
            "bare_commit_p50_ms": (bare_p50 * 100.0).round() / 100.0,
            "multiple_p50": tenth(all.p50 / bare_p50),
            "stolen": (stolen * 1e3).round() / 1e3,
            "start_ms": around.start_ms.round(),
            "idle_rss_mb": tenth(around.idle_mb),
        })
    );
}

/// Sends so many records at an even pace and waits until they are in the table, watched second by second.
async fn load(kafka: &Arc<Kafka>, topic: &str, db: &Db, worker: &Worker, records: u64) -> Result<Vec<Second>> {
    let rows = db.count(NAME).await? + records as i64;
    let (kafka, topic) = (Arc::clone(kafka), topic.to_owned());
    let due = |number: u64| Duration::from_millis(number * 1_000 / PER_S);
    let sending =
        tokio::task::spawn_blocking(move || stream::produce(&kafka, &[("linger.ms", "1")], &topic, 0..records, due));
    let seconds = watch(worker, sending).await?;
    let arrived = async || (db.count(NAME).await? == rows).then_some(()).context("not all has arrived");
    worker.until("all rows", arrived).await?;
    Ok(seconds)
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::of("latency", 60 * PER_S)?;
    let (kafka, db) = (Arc::new(Kafka::from_environment()?), Db::postgres("fresh").await?);
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
    let surroundings = Surroundings { start_ms: median(starts.iter().copied()), idle_mb, bare };

    eprintln!("warming the broker for {WARM_UP_S} s");
    load(&kafka, &topic, &db, &worker, WARM_UP_S * PER_S).await?;
    let mut seconds = Vec::new();
    for round in 1..=arguments.rounds {
        let passed = load(&kafka, &topic, &db, &worker, arguments.records).await?;
        eprintln!("round {round}: {}; undisturbed {}", Shown::of(passed.iter()), Shown::undisturbed(&passed));
        seconds.extend(passed);
    }
    worker.stop().await?;
    report(&arguments, &seconds, &surroundings);
    Ok(())
}
