//! Every failpoint with every action: the real worker crashes, fails or hangs there, and each record becomes its one row
//! all the same, with the right mean, and checkpoints that can be used.
//!
//! A step that hangs does so until another worker has taken over what it can; then it goes on as a zombie.

mod course;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use futures_util::{StreamExt as _, stream};
use tokio::sync::OnceCell;
use weir::failpoint::{Point, name, points};
use weir_plugin_sdk::testkit::Chance;
use weir_tests::environment::{directory, fresh_seed};
use weir_tests::kafka::Kafka;
use weir_tests::worker::Plan;

use self::course::{Case, Course};

/// Cases under way at once: they wait more than they work.
const CASES_AT_ONCE: usize = 6;

/// What is to happen at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Crash,
    Error,
    Hang,
}

/// Where the chunks of checkpoints lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Database,
    Directory,
}

/// What is seen of a worker in which a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aftermath {
    /// It waits and tries again.
    Waits,
    /// It reads the positions to learn what became of the flush.
    ReadsBack,
    /// It builds the lane's guests anew.
    Rebuilds,
    /// It says that files are left over.
    LeavesFiles,
    /// The task fails with the error's sentence.
    Fails,
}

/// What follows from an error at a point. There is no `_` here and below: a new point says what is expected of it.
pub fn aftermath(point: Point) -> Aftermath {
    use Point as P;
    match point {
        P::BeforeClaim | P::HalfClaim | P::AfterClaim | P::BeforePoll | P::AfterPoll => Aftermath::Waits,
        P::BeforeDecode | P::AfterDecode | P::BeforeEncode | P::AfterEncode => Aftermath::Fails,
        P::BeforeCall | P::AfterCall => Aftermath::Rebuilds,
        P::BeforeCopy | P::HalfCopy | P::AfterCopy => Aftermath::Waits,
        P::BeforeAdvance | P::BeforeCommit | P::AfterCommit => Aftermath::ReadsBack,
        P::BeforeChunk | P::AfterChunk | P::BeforeRename | P::AfterRename => Aftermath::Waits,
        P::BeforeManifest | P::AfterManifest | P::BeforePrune | P::AfterPrune => Aftermath::Waits,
        P::BeforeRemove | P::AfterRemove => Aftermath::LeavesFiles,
        P::BeforeLoad | P::AfterLoad => Aftermath::Waits,
    }
}

/// Whether a point is on the thread that polls: while it hangs there, the group gives the worker up.
pub fn is_on_thread(point: Point) -> bool {
    (Point::BeforePoll..=Point::AfterEncode).contains(&point)
}

/// The stores with which a point is passed.
fn stores(point: Point) -> &'static [Store] {
    use Point as P;
    match point {
        P::BeforeChunk | P::AfterChunk | P::BeforeLoad | P::AfterLoad => &[Store::Database, Store::Directory],
        P::BeforeManifest | P::AfterManifest => &[Store::Database, Store::Directory],
        P::BeforeRename | P::AfterRename | P::BeforeRemove | P::AfterRemove => &[Store::Directory],
        _ => &[Store::Database],
    }
}

/// The first passing at which a point is of interest.
fn first_passing(point: Point) -> usize {
    use Point as P;
    match point {
        // Later ones come only after a fence; chunks are read once.
        P::BeforeClaim | P::HalfClaim | P::AfterClaim | P::BeforeLoad | P::AfterLoad => 1,
        // Most passings find nothing to read.
        P::BeforePoll => 20,
        // Two lanes, three checkpoints of each are kept.
        P::BeforePrune | P::AfterPrune | P::BeforeRemove | P::AfterRemove => 7,
        _ => 2,
    }
}

/// All points and their stores, each with a passing drawn by seed.
fn cases(action: Action, seed: u64) -> Vec<Case> {
    let mut chance = Chance::new(seed);
    let places = points().iter().flat_map(|&point| stores(point).iter().map(move |&store| (point, store)));
    let case = |(point, store)| {
        let first = first_passing(point);
        let passing = if first == 1 { 1 } else { first + chance.below(3) };
        Case { point, action, store, passing }
    };
    places.map(case).collect()
}

/// The folder that all workers share: a first one has compiled the plugins into it, which would take those of all cases
/// long if each did so at once.
async fn state() -> Result<PathBuf> {
    static STATE: OnceCell<PathBuf> = OnceCell::const_new();
    let made = async || {
        let state = directory("failpoints")?;
        let plan = Plan::run(Kafka::from_environment()?.brokers())?.flag("--state", &state.display().to_string());
        let worker = plan.start()?;
        worker.ready().await?;
        worker.stop().await?;
        anyhow::Ok(state)
    };
    STATE.get_or_try_init(made).await.cloned()
}

/// Runs all points with an action; every case is run, and all that fail are named.
async fn survive(action: Action) -> Result<()> {
    let seed = fresh_seed()?;
    let state = state().await?;
    let cases = cases(action, seed);
    ensure!(cases.len() > points().len(), "not every point has a case");
    let run = |case: Case| {
        let state = &state;
        async move { Course::run(case, seed, state).await.map_err(|error| format!("{case:?}: {error:#}")) }
    };
    let ended: Vec<Result<usize, String>> =
        stream::iter(cases.iter().copied()).map(run).buffer_unordered(CASES_AT_ONCE).collect().await;
    let failed: Vec<&str> = ended.iter().filter_map(|ended| ended.as_ref().err()).map(String::as_str).collect();
    ensure!(failed.is_empty(), "seed {seed}: {} of {} cases:\n{}", failed.len(), cases.len(), failed.join("\n\n"));
    let fenced: usize = ended.into_iter().flatten().sum();
    println!("seed {seed}: {} cases of {action:?}, {fenced} segments of zombies refused", cases.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_loses_and_doubles_nothing() -> Result<()> {
    survive(Action::Crash).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_any_step_loses_and_doubles_nothing() -> Result<()> {
    survive(Action::Error).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_hangs_while_another_worker_takes_over_doubles_nothing() -> Result<()> {
    survive(Action::Hang).await
}

#[test]
fn points_are_armed_by_names_that_say_where_they_are() {
    let names: Vec<String> = points().iter().map(|&point| name(point)).collect();
    assert!(names.iter().all(|name| ["before-", "half-", "after-"].iter().any(|when| name.starts_with(when))));
}
