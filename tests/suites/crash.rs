//! The crash loop: the real worker is killed at random instants while it averages and writes a topic that grows ahead
//! of it, and started again, over and over. Rows and positions are looked at in every round, and every row at the end.
//!
//! `./tests/run crash --rounds N --seed S` runs it at length. The same seed gives the same ticks and the same instants.

mod audit;
mod failpoints;
mod phases;
mod stage;
mod storm;
mod swaps;
mod tally;
mod ticks;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_plugin_sdk::testkit::Chance;
use weir_tests::environment::{fresh_seed, number};
use weir_tests::eventually::{eventually, reached};
use weir_tests::logs::Logs;
use weir_tests::worker::{Ended, Plan, WAIT};

use self::phases::{Histogram, Phase, Watch};
use self::stage::{MEMORY_MIB, Stage};
use self::tally::Tally;
use self::ticks::{Feed, ends};

const PARTITIONS: i32 = 4;
/// A worker is killed within this time of its first commit.
const KILLED_WITHIN: Duration = Duration::from_millis(700);
/// Of the kills, in percent, so many must hit an open transaction.
const OPEN_PERCENT_MIN: usize = 30;
/// Rounds from which shares of them mean anything.
const ROUNDS_FOR_SHARES: usize = 10;
/// Lines of the pipeline that say how often it takes checkpoints and where they lie.
const CHECKPOINTS: &str = "checkpoint.interval.ms: 100\n";

/// A course of kills under way.
struct Course {
    stage: Stage,
    feed: Feed,
    plan: Plan,
    watch: Watch,
    chance: Chance,
    /// Where the last look found each partition.
    stood: Vec<i64>,
    kills: Vec<Kill>,
}

/// How one round ended.
struct Kill {
    phase: Phase,
    /// Checkpoints that came to count in the round.
    checkpoints: usize,
    /// Records that were read again before the first commit.
    replayed: i64,
    /// The most memory that the worker took.
    peak_mib: u64,
}

impl Course {
    async fn start(seed: u64, more: &str) -> Result<Self> {
        let stage = Stage::set("crash", PARTITIONS, seed, more).await?;
        let (feed, plan, watch) = (stage.feed()?, stage.plan()?, Watch::new(&stage.db).await?);
        stage.begin_audit(&plan).await?;
        feed.lead(0)?;
        Ok(Self { stood: stage.start(), stage, feed, plan, watch, chance: Chance::new(seed), kills: Vec::new() })
    }

    /// One worker from its start to its kill.
    async fn round(&mut self) -> Result<()> {
        let after = KILLED_WITHIN.mul_f64(self.chance.below(1 << 20) as f64 / f64::from(1 << 20));
        let worker = self.plan.start()?;
        // The session of the worker before may still be at work: what is seen must hold at any instant.
        self.stood = audit::stand(&self.stage.db, &self.stood).await?;
        let before: i64 = self.stood.iter().sum();
        self.feed.lead(before)?;
        let passed = self.stage.moves_on(&worker, before).await?;
        // The log grows while the worker dies, too.
        self.feed.lead(passed)?;
        reached(Instant::now() + after).await;
        let peak_mib = worker.rss_peak_bytes()? >> 20;
        let phase = self.watch.look().await?;
        let ended = worker.kill().await?;
        ensure!(ended.status.code().is_none(), "the worker had ended by itself:\n{}", ended.logs.tail(30));
        ensure!(peak_mib < MEMORY_MIB, "the worker took {peak_mib} MiB of {MEMORY_MIB}");
        self.kills.push(Kill::of(phase, peak_mib, &ended)?);
        Ok(())
    }

    /// All rounds; then a last worker that is left in peace, until everything is written.
    async fn run(&mut self, rounds: usize) -> Result<()> {
        let begun = Instant::now();
        while self.kills.len() < rounds {
            self.round().await.with_context(|| format!("round {}", self.kills.len() + 1))?;
            if self.kills.len().is_multiple_of(10) {
                self.progress(rounds, begun.elapsed());
            }
        }
        Ok(())
    }

    /// A line about the last ten rounds.
    fn progress(&self, rounds: usize, took: Duration) {
        let done = self.kills.len();
        let last = &self.kills[done.saturating_sub(10)..];
        let replayed = last.iter().map(|kill| kill.replayed).sum::<i64>() / last.len() as i64;
        let peak_mib = last.iter().map(|kill| kill.peak_mib).max().unwrap_or_default();
        println!(
            "round {done} of {rounds}: {:.0} a minute, {} rows, {} kills in an open transaction, {} rounds with a \
             checkpoint, {replayed} records replayed in a round, {peak_mib} MiB",
            done as f64 * 60.0 / took.as_secs_f64(),
            self.stood.iter().sum::<i64>(),
            self.histogram().open(),
            self.crossed(),
        );
    }

    fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::default();
        self.kills.iter().for_each(|kill| histogram.add(kill.phase));
        histogram
    }

    /// Rounds in which a checkpoint came to count.
    fn crossed(&self) -> usize {
        self.kills.iter().filter(|kill| kill.checkpoints > 0).count()
    }
}

impl Kill {
    /// What the log tells of the round, which must have gone without an error.
    fn of(phase: Phase, peak_mib: u64, ended: &Ended) -> Result<Self> {
        no_errors(&ended.logs)?;
        let number = |line: &weir_tests::logs::Line, name: &str| line.field(name).and_then(Value::as_i64);
        let replayed = ended.logs.with("lane claimed").into_iter().map(|line| {
            let reread = number(&line, "next_offset").zip(number(&line, "replay_from"));
            reread.map(|(next, from)| next - from).with_context(|| line.text)
        });
        let replayed = replayed.sum::<Result<i64>>()?;
        Ok(Self { phase, checkpoints: ended.logs.with("checkpoint counted").len(), replayed, peak_mib })
    }
}

/// Errors in a worker's log, with what went before.
fn no_errors(logs: &Logs) -> Result<()> {
    let errors = logs.lines().iter().filter(|line| line.level() == "ERROR").count();
    ensure!(errors == 0, "the worker logged {errors} errors; its log ends with:\n{}", logs.tail(40));
    Ok(())
}

/// A last worker writes all that has been sent; then notes and sessions are looked at.
async fn drain(stage: &Stage, feed: Feed, plan: &Plan, watch: &Watch) -> Result<()> {
    let ends = ends(feed.finish()?, stage.start().len() as i32);
    let worker = plan.start()?;
    stage.arrived(&worker, &ends).await?;
    worker.ready().await?;
    let ended = worker.stop().await?;
    ensure!(ended.status.success(), "the last worker: {}\n{}", ended.status, ended.logs.tail(30));
    no_errors(&ended.logs)?;
    let gone = async || {
        let sessions = watch.sessions().await?;
        ensure!(sessions == 0, "{sessions} sessions are left");
        Ok(())
    };
    eventually("the end of all sessions", WAIT, gone).await?;
    audit::check(&stage.db).await
}

/// Kills so many workers and says what became of the rows; `more` are lines of the pipeline.
async fn kill_workers(rounds: usize, seed: u64, more: &str) -> Result<()> {
    let mut course = Course::start(seed, more).await?;
    let mut ran = course.run(rounds).await;
    let (histogram, crossed) = (course.histogram(), course.crossed());
    let Course { stage, feed, plan, watch, .. } = course;
    if ran.is_ok() {
        ran = drain(&stage, feed, &plan, &watch).await.context("the worker that was left in peace");
    }
    let tally = Tally::of(&stage.db, stage.ticks, &stage.positions().await?).await?;
    println!("seed {seed}: {} rows are right; the kills hit\n{histogram}", tally.right);
    println!("  rounds with a checkpoint {crossed:>5}");
    println!("{} rounds, {tally}", histogram.total());
    ran.with_context(|| format!("seed {seed}"))?;
    ensure!(tally.is_clean(), "seed {seed}: {:#?}", tally.named);
    shares(&histogram, crossed, more).with_context(|| format!("seed {seed}"))
}

/// Whether enough kills hit an open transaction, and enough rounds crossed a checkpoint where any are taken.
fn shares(histogram: &Histogram, crossed: usize, more: &str) -> Result<()> {
    let (rounds, open) = (histogram.total(), histogram.open());
    if rounds < ROUNDS_FOR_SHARES {
        return Ok(());
    }
    ensure!(open * 100 >= rounds * OPEN_PERCENT_MIN, "only {open} of {rounds} kills hit an open transaction");
    let takes_checkpoints = more.contains("checkpoint.interval.");
    ensure!(!takes_checkpoints || crossed * 2 >= rounds, "only {crossed} of {rounds} rounds crossed a checkpoint");
    Ok(())
}

#[test]
fn too_few_hits_are_told() {
    let mut histogram = Histogram::default();
    for at in 0..20 {
        histogram.add(if at < 6 { Phase::CopyWrites } else { Phase::Between });
    }
    assert!(shares(&histogram, 0, "").is_ok());
    let often = "checkpoint.interval.ms: 100\n";
    assert!(shares(&histogram, 10, often).is_ok());
    assert!(shares(&histogram, 9, often).unwrap_err().to_string().contains("crossed a checkpoint"));
    histogram.add(Phase::Between);
    assert!(shares(&histogram, 10, often).unwrap_err().to_string().contains("hit an open transaction"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_at_any_instant_lose_and_double_nothing() -> Result<()> {
    kill_workers(10, fresh_seed()?, CHECKPOINTS).await
}

mod long {
    use super::*;

    /// Rounds where `WEIR_CRASH_ROUNDS` says nothing else.
    const ROUNDS: u64 = 300;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn workers_killed_over_and_over_lose_and_double_nothing() -> Result<()> {
        let rounds = number("WEIR_CRASH_ROUNDS", ROUNDS)?;
        kill_workers(rounds as usize, fresh_seed()?, CHECKPOINTS).await
    }
}
