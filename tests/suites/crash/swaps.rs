//! The swap loop: plugins of rising versions are dropped in, one after the other, while ticks come at a steady rate. Every
//! row is looked at in the end: by whom it was made, and whether it is what the ticks say.
//!
//! `./tests/run swap --swaps N --rate R --keys K` runs it at length; its last line is one of JSON.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::environment::{fresh_seed, number};
use weir_tests::eventually::reached;
use weir_tests::versions::{Fault, drop_in, versioned};
use weir_tests::worker::Worker;

use super::stage::Stage;
use super::tally::Tally;
use super::ticks::{Feed, Ticks, WINDOW, ends};

const PARTITIONS: i32 = 4;
/// How often the producer is told to go on: what comes in bursts would pause by itself.
const TOLD_EVERY: Duration = Duration::from_millis(2);
/// How often the positions are looked at.
const BEAT: Duration = Duration::from_millis(5);
/// Rows with a full window that each version has to make.
const FULL_WINDOWS: i64 = 100_000;
/// Longest wait for one swap.
const SWAP_MAX: Duration = Duration::from_secs(120);
const MORE: &str = "checkpoint.store: directory\nswap.probation.ms: 0\n";

/// What a loop is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub swaps: u16,
    /// Ticks per second.
    pub rate: u64,
    pub keys: u64,
    /// Rows with a full window for each version.
    pub full_windows: i64,
}

/// Sends at a steady rate, and watches how the positions move.
struct Pace {
    feed: Feed,
    /// Whoever tells the producer to go on does so until this is gone.
    clock: (Sender<()>, JoinHandle<()>),
    passed: i64,
    moved: Instant,
    /// The longest time without a commit since the last look.
    gap: Duration,
}

impl Pace {
    fn start(feed: Feed, rate: u64) -> Self {
        let (running, ended) = channel();
        let (goals, begun) = (feed.goals(), Instant::now());
        let tell = move || {
            while ended.recv_timeout(TOLD_EVERY) == Err(RecvTimeoutError::Timeout) {
                let goal = (begun.elapsed().as_secs_f64() * rate as f64) as i64;
                if goals.send(goal).is_err() {
                    return;
                }
            }
        };
        Pace { feed, clock: (running, spawn(tell)), passed: 0, moved: begun, gap: Duration::ZERO }
    }

    /// Sends no more; how much it was.
    fn finish(self) -> Result<i64> {
        let (running, told) = self.clock;
        drop(running);
        told.join().ok().context("the clock panicked")?;
        self.feed.finish()
    }

    /// One beat: what was committed is noted.
    async fn beat(&mut self, stage: &Stage) -> Result<i64> {
        let passed = stage.passed().await?;
        let now = Instant::now();
        if passed > self.passed {
            (self.passed, self.moved) = (passed, now);
        }
        self.gap = self.gap.max(now.duration_since(self.moved));
        reached(now + BEAT).await;
        Ok(passed)
    }

    /// Beats until so many records have passed.
    async fn until(&mut self, stage: &Stage, goal: i64) -> Result<()> {
        while self.beat(stage).await? < goal {}
        Ok(())
    }

    fn take_gap(&mut self) -> Duration {
        std::mem::take(&mut self.gap)
    }
}

/// Where the newest chain stands.
async fn stands(worker: &Worker, stage: &Stage, version: u16) -> Result<Option<String>> {
    let status = worker.status(stage.name()).await?;
    let name = format!("sma 1.0.{version}");
    let lives = status["swaps"].as_array().context("the status has swaps")?;
    let life = lives.iter().find(|life| life["plugins"] == name.as_str());
    Ok(life.and_then(|life| life["state"].as_str()).map(str::to_owned))
}

/// The pauses of all lanes in all swaps, in milliseconds, rising.
fn pauses(worker: &Worker) -> Vec<f64> {
    let lines = worker.logs().with("another chain has its first row");
    let mut pauses: Vec<f64> = lines.iter().filter_map(|line| line.field("pause_ms")?.as_f64()).collect();
    pauses.sort_by(f64::total_cmp);
    pauses
}

/// Swaps so often, and says what became of the rows, as JSON.
pub async fn swap(asked: Asked) -> Result<Value> {
    let seed = fresh_seed()?;
    let stage =
        Stage::of_ticks("swaps", PARTITIONS, Ticks::of_keys(seed, asked.keys as usize / PARTITIONS as usize), MORE)
            .await?;
    stage.db.batch_execute("ALTER TABLE averages ADD COLUMN version int8").await?;
    let plan = stage.plan()?;
    let plugins = plan.folder().join("plugins");
    std::fs::create_dir(&plugins)?;
    let plan = plan.flag("--plugins", &plugins.display().to_string()).flag("--memory", "1G");
    drop_in(&plugins, "sma-1.wasm", &versioned(1, Fault::None)?)?;
    let worker = plan.start()?;
    worker.tasks_are(stage.name(), "RUNNING").await?;
    let claimed = async || {
        ensure!(stage.positions().await?.len() == PARTITIONS as usize, "not all lanes are claimed");
        Ok(())
    };
    worker.until("a claim of each partition", claimed).await?;
    let mut pace = Pace::start(stage.feed()?, asked.rate);
    // Until every window is full, with time to spare.
    let warm = (asked.keys * WINDOW as u64) as i64 * 3 / 2;
    pace.until(&stage, warm).await?;
    pace.take_gap();
    // At least as long as the swaps take.
    let calm = pace.passed + i64::from(asked.swaps) * asked.full_windows;
    pace.until(&stage, calm).await?;
    let gap_without = pace.take_gap();
    let begun = Instant::now();
    for version in 2..=asked.swaps + 1 {
        drop_in(&plugins, &format!("sma-{version}.wasm"), &versioned(version, Fault::None)?)?;
        let dropped = Instant::now();
        while !matches!(stands(&worker, &stage, version).await?.as_deref(), Some("probation" | "active")) {
            ensure!(dropped.elapsed() < SWAP_MAX, "version {version} does not take over:\n{}", worker.logs().tail(20));
            pace.beat(&stage).await?;
        }
        // What the version before had made by then is still being committed.
        let goal = pace.beat(&stage).await? + asked.full_windows + asked.rate as i64 / 2;
        pace.until(&stage, goal).await?;
        if version % 10 == 0 {
            println!("{version} versions, {} rows, {:.0} s", pace.passed, begun.elapsed().as_secs_f64());
        }
    }
    let gap = pace.take_gap();
    let ends = ends(pace.finish()?, PARTITIONS);
    stage.arrived(&worker, &ends).await?;
    let pauses = pauses(&worker);
    let ended = worker.stop().await?;
    ensure!(ended.status.success(), "the worker: {}", ended.logs.tail(30));
    let tally = Tally::of(&stage.db, stage.ticks, &stage.positions().await?).await?;
    ensure!(tally.is_clean(), "seed {seed}: {:#?}", tally.named);
    spoke_in_turn(&stage, asked).await?;
    ensure!(pauses.len() == usize::from(asked.swaps) * PARTITIONS as usize, "{} pauses were told", pauses.len());
    Ok(json!({
        "swaps": asked.swaps, "rate": asked.rate, "keys": asked.keys, "rows": tally.right,
        "lost": tally.lost, "doubled": tally.doubled, "wrong": tally.wrong,
        "pause_ms_p50": pauses.get(pauses.len() / 2), "pause_ms_p95": pauses.get(pauses.len() * 95 / 100),
        "pause_ms_max": pauses.last(),
        "gap_ms_max": gap.as_millis() as u64, "gap_ms_max_without_swaps": gap_without.as_millis() as u64,
    }))
}

/// Each version made the rows of one stretch of each partition, in their order, and enough of them with a full window.
async fn spoke_in_turn(stage: &Stage, asked: Asked) -> Result<()> {
    let fallen =
        "SELECT count(*) FROM (SELECT version - lag(version) OVER (PARTITION BY kafka_partition ORDER BY kafka_offset)
        AS step FROM averages) steps WHERE step NOT IN (0, 1)";
    let fallen = stage.db.number(fallen).await?;
    ensure!(fallen == 0, "{fallen} rows are not of the version before or of the next");
    let spoke =
        stage.db.query("SELECT count(*) FILTER (WHERE sma IS NOT NULL) FROM averages GROUP BY version", &[]).await?;
    let full: Vec<i64> = spoke.iter().map(|row| row.get(0)).collect();
    ensure!(full.len() == usize::from(asked.swaps) + 1, "{} versions spoke", full.len());
    ensure!(full.iter().all(|&full| full >= asked.full_windows), "full windows of each version: {full:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_that_follow_each_other_lose_and_double_nothing() -> Result<()> {
    println!("{}", swap(Asked { swaps: 5, rate: 20_000, keys: 1_000, full_windows: 10_000 }).await?);
    Ok(())
}

mod long {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn fifty_versions_under_load_lose_and_double_nothing() -> Result<()> {
        let asked = Asked {
            swaps: number("WEIR_SWAPS", 50)? as u16,
            rate: number("WEIR_SWAP_RATE", 100_000)?,
            keys: number("WEIR_SWAP_KEYS", 100_000)?,
            full_windows: FULL_WINDOWS,
        };
        println!("{}", swap(asked).await?);
        Ok(())
    }
}
