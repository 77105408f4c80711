//! The course of one case: waves of records until the point is reached, what is expected to follow, another worker, and
//! the look at all rows and checkpoints.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use weir::failpoint::{Point, VARIABLE, name};
use weir_tests::eventually::eventually;
use weir_tests::worker::{Plan, Worker};

use super::super::no_errors;
use super::super::stage::Stage;
use super::super::tally::Tally;
use super::super::ticks::{Feed, ends};
use super::{Action, Aftermath, Store, aftermath, is_on_thread};

const PARTITIONS: i32 = 2;
/// Records of a wave in both partitions together: a flush, a checkpoint of each, and a good part of every window.
const WAVE: i64 = 600;
/// Waves after which a point must have been reached.
const WAVES_MAX: usize = 24;
/// Longest wait for anything: many workers share the machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// What `abort` ends a process with.
const SIGABRT: i32 = 6;

/// A worker that is away is given up soon, as is one that does not poll.
const PIPELINE: &str = "checkpoint.interval.records: 200\n\
    consumer.override.session.timeout.ms: 1000\nconsumer.override.heartbeat.interval.ms: 200\n\
    consumer.override.max.poll.interval.ms: 1500\n";

/// A point, what happens there, and when.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub point: Point,
    pub action: Action,
    pub store: Store,
    pub passing: usize,
}

/// A case under way.
pub struct Course {
    case: Case,
    stage: Stage,
    feed: Feed,
    /// Records sent to both partitions together.
    sent: i64,
    /// Files of all workers: compiled plugins and, where they lie in a directory, checkpoints.
    state: PathBuf,
}

impl Course {
    /// Runs a case; `state` is shared with other cases. Returns how many segments of a zombie were refused.
    pub async fn run(case: Case, seed: u64, state: &Path) -> Result<usize> {
        let store = if case.store == Store::Directory { "checkpoint.store: directory\n" } else { "" };
        let mut stage = Stage::set("point", PARTITIONS, seed, &format!("{PIPELINE}{store}")).await?;
        stage.ticks = stage.ticks.of_few_symbols();
        let mut course = Course { feed: stage.feed()?, case, stage, sent: 0, state: state.to_path_buf() };
        if matches!(case.point, Point::BeforeLoad | Point::AfterLoad) {
            course.leave_checkpoints().await?;
        }
        let fenced = match case.action {
            Action::Crash => course.crash().await.map(|()| 0)?,
            Action::Error => course.fail().await.map(|()| 0)?,
            Action::Hang => course.hang().await?,
        };
        course.end().await.map(|()| fenced)
    }

    /// A plan of a worker of this name.
    fn plan(&self, worker: &str) -> Result<Plan> {
        let id = self.id(worker);
        Ok(self.stage.plan()?.flag("--state", &self.state.display().to_string()).flag("--worker-id", &id))
    }

    fn id(&self, worker: &str) -> String {
        format!("{worker}-{}", self.stage.name())
    }

    /// A worker that does so at the case's point.
    fn armed(&self, action: &str) -> Result<Worker> {
        let written = format!("{}={action}@{}", name(self.case.point), self.case.passing);
        self.plan("armed")?.variable(VARIABLE, &written).start()
    }

    fn wave(&mut self) -> Result<()> {
        self.sent += WAVE;
        self.feed.reach(self.sent)
    }

    fn ends(&self) -> Vec<i64> {
        ends(self.sent, PARTITIONS)
    }

    async fn arrived(&self, worker: &Worker) -> Result<()> {
        self.stage.arrived(worker, &self.ends()).await
    }

    /// Sends wave after wave until the worker has reached the point.
    async fn reached(&mut self, worker: &Worker) -> Result<()> {
        let reached = || !worker.logs().with("failpoint reached").is_empty();
        for _ in 0..WAVES_MAX {
            self.wave()?;
            let look = async || {
                ensure!(reached() || self.stage.positions().await? == self.ends(), "the wave is under way");
                Ok(())
            };
            until("the point or the end of a wave", worker, look).await?;
            if reached() {
                return Ok(());
            }
        }
        bail!("{WAVES_MAX} waves did not reach the point; the log ends with:\n{}", worker.logs().tail(30))
    }

    /// A worker that is killed when each lane has a checkpoint.
    async fn leave_checkpoints(&mut self) -> Result<()> {
        let worker = self.plan("armed")?.start()?;
        self.wave()?;
        self.arrived(&worker).await?;
        let look = async || {
            let lanes = self.stage.db.number("SELECT count(DISTINCT partition) FROM weir.checkpoint").await?;
            ensure!(lanes == i64::from(PARTITIONS), "{lanes} lanes have a checkpoint");
            Ok(())
        };
        until("a checkpoint of each lane", &worker, look).await?;
        worker.kill().await.map(drop)
    }

    async fn crash(&mut self) -> Result<()> {
        let worker = self.armed("crash")?;
        self.reached(&worker).await?;
        let ended = worker.ended().await?;
        ensure!(ended.status.signal() == Some(SIGABRT), "the worker ended by {}", ended.status);
        no_errors(&ended.logs)
    }

    async fn fail(&mut self) -> Result<()> {
        let worker = self.armed("error")?;
        self.reached(&worker).await?;
        let expected = aftermath(self.case.point);
        let look = async || self.followed(expected, &worker).await;
        until(&format!("that it {expected:?}"), &worker, look).await?;
        if expected == Aftermath::Fails {
            return worker.stop().await.map(drop);
        }
        self.wave()?;
        self.arrived(&worker).await?;
        no_errors(&worker.stop().await?.logs)
    }

    /// Whether the worker shows what is expected to follow from the error.
    async fn followed(&self, expected: Aftermath, worker: &Worker) -> Result<()> {
        let name = self.stage.name();
        let logged = |part| !worker.logs().with(part).is_empty();
        let followed = match expected {
            Aftermath::Waits => logged("waiting: "),
            Aftermath::Rebuilds => logged("lane is rebuilt: "),
            Aftermath::LeavesFiles => logged("old checkpoints are left in their directory"),
            Aftermath::ReadsBack => {
                worker.metric(&format!("weir_commit_unknown_total{{pipeline=\"{name}\"}}")).await? >= 1.0
            }
            Aftermath::Fails => worker.status(name).await?.to_string().contains("failpoint "),
        };
        ensure!(followed, "not yet");
        Ok(())
    }

    /// The worker hangs, another one takes over what it can get, and the first one wakes up.
    async fn hang(&mut self) -> Result<usize> {
        let file = self.state.join(self.id("go-on"));
        let zombie = self.armed(&format!("hang:{}", file.display()))?;
        self.reached(&zombie).await?;
        let heir = self.plan("heir")?.start()?;
        self.wave()?;
        until("the heir's share of the lanes", &heir, async || self.taken_over().await).await?;
        if is_on_thread(self.case.point) {
            self.arrived(&heir).await?;
        }
        ensure!(zombie.logs().with("failpoint left").is_empty(), "the zombie went on by itself");
        fs::write(&file, "")?;
        let woke = async || {
            ensure!(!zombie.logs().with("failpoint left").is_empty(), "it hangs");
            Ok(())
        };
        until("that the zombie goes on", &zombie, woke).await?;
        self.wave()?;
        self.arrived(&heir)
            .await
            .with_context(|| format!("the zombie's log ends with:\n{}", zombie.logs().tail(30)))?;
        let fenced = zombie.logs().with("lane fenced").len();
        for worker in [zombie, heir] {
            worker.tasks_are(self.stage.name(), "RUNNING").await?;
            no_errors(&worker.stop().await?.logs)?;
        }
        Ok(fenced)
    }

    /// Whether the heir has what a zombie that hangs cannot keep: all lanes where its thread does not poll any more, else
    /// one, or it waits for the lock of one.
    async fn taken_over(&self) -> Result<()> {
        let heir = self.id("heir");
        let owned = format!("SELECT count(*) FROM weir.position WHERE owner = '{heir}'");
        let owned = self.stage.db.number(&owned).await?;
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND (query LIKE '%position%FOR UPDATE' OR query LIKE 'INSERT INTO%position%')";
        let waits = self.stage.db.number(waits).await?;
        let due = if is_on_thread(self.case.point) { i64::from(PARTITIONS) } else { 1 };
        ensure!(owned >= due || (waits > 0 && !is_on_thread(self.case.point)), "the heir has {owned} lanes");
        Ok(())
    }

    /// A last worker goes on from the checkpoints that are there; then every row and manifest is looked at.
    async fn end(mut self) -> Result<()> {
        let worker = self.plan("armed")?.start()?;
        self.wave()?;
        self.arrived(&worker).await.context("the last worker")?;
        let logs = worker.stop().await?.logs;
        no_errors(&logs)?;
        let unusable = logs.with("a checkpoint is passed over");
        ensure!(unusable.is_empty(), "a checkpoint that counts is of no use: {unusable:?}");
        let ends = self.ends();
        let sent = self.feed.finish()?;
        ensure!(sent == self.sent, "{sent} records are sent and not {}", self.sent);
        let beyond = "SELECT count(*) FROM weir.checkpoint c JOIN weir.position p USING (pipeline, topic, partition)
            WHERE c.at_offset > p.next_offset";
        ensure!(self.stage.db.number(beyond).await? == 0, "a manifest is beyond the position");
        let tally = Tally::of(&self.stage.db, self.stage.ticks, &ends).await?;
        ensure!(tally.is_clean(), "{tally}: {:#?}", tally.named);
        Ok(())
    }
}

/// [`eventually`], with the end of a worker's log in the error.
async fn until(what: &str, worker: &Worker, look: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let shown = || format!("the worker's log ends with:\n{}", worker.logs().tail(30));
    eventually(what, PATIENCE, look).await.with_context(shown)
}
