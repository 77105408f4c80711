//! A storm of rebalances: every two seconds one of five workers of a pipeline leaves and another one comes back, while
//! the topic grows ahead of them. Whoever holds a lane is the only one who writes it, and the work goes on.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weir_tests::environment::fresh_seed;
use weir_tests::eventually::reached;
use weir_tests::worker::{Plan, Worker};

use super::stage::Stage;
use super::tally::Tally;
use super::ticks::{Feed, ends};
use super::{audit, no_errors};

const MEMBERS: usize = 5;
const PARTITIONS: i32 = 8;
/// Time between two departures.
const EVERY: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(100);
/// Of the undisturbed rate, in percent, so much must be left.
const RATE_PERCENT_MIN: f64 = 20.0;

/// A worker that leaves is given up within a second, so that its lanes move before it is back.
const MORE: &str = "tasks.max: 1\n\
                    consumer.override.session.timeout.ms: 1000\nconsumer.override.heartbeat.interval.ms: 200\n";

/// The workers and what they work on.
struct Storm {
    stage: Stage,
    feed: Feed,
    plans: Vec<Plan>,
    workers: Vec<Option<Worker>>,
    stood: Vec<i64>,
}

impl Storm {
    async fn start(seed: u64) -> Result<Self> {
        let stage = Stage::set("storm", PARTITIONS, seed, MORE).await?;
        let plans: Vec<Plan> = (0..MEMBERS).map(|_| stage.plan()).collect::<Result<_>>()?;
        let (feed, stood) = (stage.feed()?, stage.start());
        stage.begin_audit(&plans[0]).await?;
        feed.lead(0)?;
        let mut workers = Vec::with_capacity(MEMBERS);
        for plan in &plans {
            // One after the other: each compiles the plugin for itself, and all at once would wait for each other.
            let worker = plan.start()?;
            worker.ready().await?;
            workers.push(Some(worker));
        }
        Ok(Self { stage, feed, plans, workers, stood })
    }

    /// Waits until each worker has written.
    async fn settle(&self) -> Result<()> {
        let Some(Some(first)) = self.workers.first() else { anyhow::bail!("the first worker is away") };
        let all = async || {
            self.feed.lead(self.stage.passed().await?)?;
            let sql = "SELECT count(DISTINCT owner) FILTER (WHERE advanced_at > claimed_at) FROM weir.position";
            let owners = self.stage.db.number(sql).await?;
            ensure!(owners == MEMBERS as i64, "{owners} of {MEMBERS} workers write");
            Ok(())
        };
        first.until("a share for each worker", all).await
    }

    /// Keeps the topic ahead for a while.
    async fn pass(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.feed.lead(self.stage.passed().await?)?;
            reached(until.min(Instant::now() + LOOK)).await;
        }
        self.stood = audit::stand(&self.stage.db, &self.stood).await?;
        Ok(())
    }

    /// Rows per second while something goes on.
    async fn rate(&mut self, course: impl AsyncFnOnce(&mut Self) -> Result<()>) -> Result<f64> {
        let (before, begun) = (self.stage.passed().await?, Instant::now());
        course(self).await?;
        Ok((self.stage.passed().await? - before) as f64 / begun.elapsed().as_secs_f64())
    }

    /// One worker leaves, and the one that left before it comes back; every other departure is a kill.
    async fn change(&mut self, number: usize) -> Result<()> {
        let (leaves, returns) = (number % MEMBERS, (number + MEMBERS - 1) % MEMBERS);
        if let Some(worker) = self.workers[leaves].take() {
            let kill = number.is_multiple_of(2);
            let ended = if kill { worker.kill().await? } else { worker.stop().await? };
            ensure!(kill || ended.status.success(), "a worker that leaves: {}\n{}", ended.status, ended.logs.tail(30));
            no_errors(&ended.logs)?;
        }
        if self.workers[returns].is_none() {
            self.workers[returns] = Some(self.plans[returns].start()?);
        }
        Ok(())
    }

    /// Lets all of them write what is left, and compares every row.
    async fn finish(mut self, seed: u64) -> Result<()> {
        for (worker, plan) in self.workers.iter_mut().zip(&self.plans) {
            if worker.is_none() {
                *worker = Some(plan.start()?);
            }
        }
        let ends = ends(self.feed.finish()?, PARTITIONS);
        let mut workers: Vec<Worker> = self.workers.into_iter().flatten().collect();
        self.stage.arrived(&workers[0], &ends).await?;
        for worker in workers.drain(..) {
            no_errors(&worker.stop().await?.logs)?;
        }
        audit::check(&self.stage.db).await?;
        let tally = Tally::of(&self.stage.db, self.stage.ticks, &ends).await?;
        println!("seed {seed}: {} rows are right, {tally}", tally.right);
        ensure!(tally.is_clean(), "seed {seed}: {:#?}", tally.named);
        Ok(())
    }
}

/// Five workers, undisturbed for a while and then in the storm; the rates of both in rows per second.
async fn weather(calm: Duration, changes: usize) -> Result<(f64, f64)> {
    let seed = fresh_seed()?;
    let mut storm = Storm::start(seed).await?;
    let begun = Instant::now();
    storm.settle().await?;
    println!("each of {MEMBERS} workers writes after {:.1} s", begun.elapsed().as_secs_f64());
    let undisturbed = storm.rate(async |storm| storm.pass(calm).await).await?;
    let course = async |storm: &mut Storm| {
        for number in 0..changes {
            storm.change(number).await?;
            storm.pass(EVERY).await?;
        }
        Ok(())
    };
    let disturbed = storm.rate(course).await?;
    let claims = storm.stage.db.number("SELECT count(*) FROM public.moves WHERE claim").await?;
    println!(
        "{changes} changes of membership, {claims} claims: {disturbed:.0} rows/s, {:.0} % of {undisturbed:.0} undisturbed",
        disturbed * 100.0 / undisturbed
    );
    storm.finish(seed).await?;
    Ok((undisturbed, disturbed))
}

mod long {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_worker_at_a_time_writes_each_lane_in_a_storm_of_rebalances() -> Result<()> {
        let (undisturbed, disturbed) = weather(Duration::from_secs(20), 30).await?;
        ensure!(
            disturbed * 100.0 >= undisturbed * RATE_PERCENT_MIN,
            "{disturbed:.0} rows/s are less than {RATE_PERCENT_MIN} % of {undisturbed:.0}"
        );
        Ok(())
    }
}
