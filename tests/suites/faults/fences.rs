//! Two workers on one pipeline: whichever way they share it, exactly one writes each row.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::eventually::{eventually, reached};
use weir_tests::worker::{Plan, Worker};

use super::{ARRIVAL, Stream};

/// Most claims of one lane by two workers that take it from each other: five fences and the failing one for each, and
/// the first claims.
const CLAIMS_MAX: i64 = 14;

/// A static member that stops is expected back for as long as its session lasts; then the others take its lanes.
const SHORT_SESSION: &str =
    "consumer.override.session.timeout.ms: 1000\nconsumer.override.heartbeat.interval.ms: 200\n";

/// The ways in which a group shares its lanes: the classic protocol, in which members keep what they can, the broker's own
/// (KIP-848), and the classic one in which each gives up everything first.
fn protocols() -> [String; 4] {
    let eager = |name| format!("{SHORT_SESSION}consumer.override.partition.assignment.strategy: {name}\n");
    let broker = "consumer.override.group.protocol: consumer\n";
    [SHORT_SESSION.to_owned(), broker.to_owned(), eager("roundrobin"), eager("range")]
}

/// The partitions that the status of a worker shows as held.
async fn lanes(worker: &Worker, pipeline: &str) -> Result<usize> {
    let status = worker.status(pipeline).await?;
    let tasks = status["tasks"].as_array().context("no tasks")?;
    let lanes = tasks.iter().filter_map(|task| task["lanes"].as_array()).flatten();
    Ok(lanes.filter(|lane| lane["next_offset"].is_number()).count())
}

/// Waits until the workers have all lanes between them, none of them less than `least`.
async fn shared(workers: &[&Worker], stream: &Stream, least: usize) -> Result<()> {
    let look = async || {
        let mut all = Vec::new();
        for worker in workers {
            all.push(lanes(worker, &stream.name).await?);
        }
        let sum: usize = all.iter().sum();
        ensure!(sum == stream.partitions as usize && all.iter().all(|&lanes| lanes >= least), "lanes: {all:?}");
        Ok(())
    };
    workers[0].until("a share of the lanes for each worker", look).await
}

fn id(plan: &Plan) -> Result<String> {
    Ok(fs::read_to_string(plan.folder().join("state").join("worker-id"))?)
}

#[tokio::test]
async fn workers_of_one_group_share_the_partitions() -> Result<()> {
    for protocol in protocols() {
        share(&format!("{protocol}checkpoint.interval.records: 60\n")).await.context(protocol)?;
    }
    Ok(())
}

/// Two workers come, stop, come back, and are killed.
async fn share(protocol: &str) -> Result<()> {
    let mut stream = Stream::start("shared", 4).await?;
    let url = stream.db.url();
    let (one, other) = (stream.plan(&url, protocol)?, stream.plan(&url, protocol)?);
    let first = one.start()?;
    stream.send(50)?;
    shared(&[&first], &stream, 4).await?;
    stream.send(50)?;
    let second = other.start()?;
    shared(&[&first, &second], &stream, 1).await?;
    stream.send(50)?;
    stream.arrived(&second).await?;
    let owners = stream.db.number("SELECT count(DISTINCT owner) FROM weir.position").await?;
    assert_eq!(owners, 2, "both write");
    stream.send(50)?;
    first.stop().await?;
    stream.send(50)?;
    stream.arrived(&second).await?;
    let first = one.start()?;
    stream.send(50)?;
    shared(&[&first, &second], &stream, 1).await?;
    stream.send(50)?;
    second.kill().await?;
    let second = other.start()?;
    stream.send(50)?;
    stream.arrived(&second).await?;
    stream.check(0).await
}

/// A worker is stopped, another one takes over, and the first one wakes up when it has been away for a time.
async fn wake_up_after(away: Duration) -> Result<()> {
    let mut stream = Stream::start("zombie", 2).await?;
    let url = stream.db.url();
    let zombie = stream.plan(&url, SHORT_SESSION)?.start()?;
    stream.send(20)?;
    stream.arrived(&zombie).await?;
    zombie.signal("STOP")?;
    let stopped = Instant::now();
    let heir = stream.plan(&url, SHORT_SESSION)?.start()?;
    stream.send(20)?;
    stream.arrived(&heir).await?;
    stream.send(20)?;
    reached(stopped + away).await;
    zombie.signal("CONT")?;
    stream.send(20)?;
    shared(&[&zombie, &heir], &stream, 1).await?;
    stream.send(20)?;
    stream.arrived(&heir).await?;
    zombie.tasks_are(&stream.name, "RUNNING").await?;
    heir.tasks_are(&stream.name, "RUNNING").await?;
    stream.check(0).await
}

#[tokio::test]
async fn a_worker_that_wakes_up_late_writes_nothing_twice() -> Result<()> {
    wake_up_after(Duration::ZERO).await
}

mod long {
    use super::*;

    /// Longer than any connection of the worker waits for an answer of its other side.
    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_worker_that_wakes_up_after_a_minute_writes_nothing_twice() -> Result<()> {
        wake_up_after(MINUTE).await
    }
}

/// What a worker's status says of its only task.
struct Task(Value);

impl Task {
    async fn of(worker: &Worker, pipeline: &str) -> Result<Self> {
        Ok(Self(worker.status(pipeline).await?["tasks"][0].take()))
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// Why it has failed, where it has.
    fn failure(&self) -> Option<String> {
        (self.text("state") == "FAILED").then(|| self.text("trace").to_owned())
    }

    /// How often lanes were taken from it.
    fn fences(&self) -> u64 {
        let lanes = self.0["lanes"].as_array().into_iter().flatten();
        lanes.filter_map(|lane| lane["fences"].as_u64()).sum()
    }
}

#[tokio::test]
async fn of_two_groups_on_one_pipeline_one_gives_up_and_names_the_other() -> Result<()> {
    let mut stream = Stream::start("rivals", 2).await?;
    let url = stream.db.url();
    let plans = [stream.plan(&url, "")?, stream.plan(&url, "consumer.override.group.id: rival\n")?];
    let workers = [plans[0].start()?, plans[1].start()?];
    let (name, mut said, mut counted) = (stream.name.clone(), [false, false], [false, false]);
    let look = async || {
        stream.send(1)?;
        let mut failed = None;
        for (at, worker) in workers.iter().enumerate() {
            let task = Task::of(worker, &name).await?;
            said[at] |= task.text("waiting").contains("holds the position of");
            counted[at] |= task.fences() > 0;
            failed = failed.or(task.failure().map(|trace| (at, trace)));
        }
        failed.context("both still run")
    };
    let (loser, trace) = eventually("the end of the rivalry", ARRIVAL, look).await?;
    let (winner, owner) = (&workers[1 - loser], id(&plans[1 - loser])?);
    assert!(trace.contains(&format!("was taken more than 5 times, last by worker {owner}")), "{trace}");
    assert!(trace.contains("stop one of them, or give them the same group"), "{trace}");
    assert!(said[loser] && counted[loser], "the fenced one says so before, and how often");
    stream.send(20)?;
    stream.arrived(winner).await?;
    winner.tasks_are(&stream.name, "RUNNING").await?;
    let claims = stream.db.number("SELECT max(epoch) FROM weir.position").await?;
    assert!((3..=CLAIMS_MAX).contains(&claims), "{claims} claims of one lane");
    stream.check(0).await
}

#[tokio::test]
async fn a_worker_that_was_killed_is_back_although_its_session_goes_on() -> Result<()> {
    for protocol in ["", "consumer.override.group.protocol: consumer\n"] {
        let mut stream = Stream::start("revenant", 2).await?;
        let plan = stream.plan(&stream.db.url(), protocol)?;
        let worker = plan.start()?;
        stream.send(20)?;
        stream.arrived(&worker).await?;
        worker.kill().await?;
        let worker = plan.start()?;
        stream.send(20)?;
        stream.arrived(&worker).await.with_context(|| format!("under `{protocol}`"))?;
        stream.check(0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn of_two_workers_of_one_name_one_gives_up_and_names_it() -> Result<()> {
    let mut stream = Stream::start("twins", 2).await?;
    let url = stream.db.url();
    let plans = [stream.plan(&url, SHORT_SESSION)?, stream.plan(&url, SHORT_SESSION)?];
    let first = plans[0].start()?;
    stream.send(20)?;
    stream.arrived(&first).await?;
    fs::create_dir_all(plans[1].folder().join("state"))?;
    fs::write(plans[1].folder().join("state").join("worker-id"), id(&plans[0])?)?;
    let workers = [first, plans[1].start()?];
    let (name, mut said) = (stream.name.clone(), [false, false]);
    let look = async || {
        let mut failed = None;
        for (at, worker) in workers.iter().enumerate() {
            let task = Task::of(worker, &name).await?;
            said[at] |= task.text("waiting").contains("is named");
            failed = failed.or(task.failure().map(|trace| (at, trace)));
        }
        failed.context("both still run")
    };
    let (loser, trace) = eventually("the end of the rivalry", ARRIVAL, look).await?;
    let member = format!("another member of group connect-{name} is named {}-{name}-0 as well", id(&plans[0])?);
    assert!(trace.contains(&member) && trace.contains("took its place more than 5 times"), "{trace}");
    assert!(trace.contains("give each a --state of its own"), "{trace}");
    assert!(said[loser], "the displaced one says so before");
    stream.send(20)?;
    stream.arrived(&workers[1 - loser]).await?;
    stream.check(0).await
}
