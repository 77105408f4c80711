//! A record that makes a plugin trap, and what is left when the worker ends before it could say so.

use std::os::unix::process::ExitStatusExt as _;

use anyhow::{Result, ensure};
use weir::failpoint::VARIABLE;
use weir_tests::environment::{PLUGINS, variable};
use weir_tests::worker::{Plan, Worker};

use super::{Stream, brittle, compare, expected, rows};

/// Traps that exclude a record: in its batch, and twice alone.
const TRAPS: usize = 3;
/// What `abort` ends a process with.
const SIGABRT: i32 = 6;

/// The stream's plan, with the brittle plugin before the average.
fn plan(stream: &Stream) -> Result<Plan> {
    let yaml = stream.yaml(&stream.db.url(), "errors.tolerance: all\n");
    let yaml = yaml.replace("transforms:\n", "transforms:\n  - name: brittle\n    type: brittle\n");
    let plan = stream.plan(&stream.db.url(), "")?.pipeline(&stream.name, &yaml)?;
    let folder = plan.folder().join("brittle");
    brittle::write(&folder)?;
    let folders = format!("{},{}", variable(PLUGINS)?, folder.display());
    Ok(plan.flag("--plugins", &folders))
}

/// How often a worker has rebuilt a lane.
fn rebuilt(worker: &Worker) -> usize {
    worker.logs().with("lane is rebuilt").len()
}

#[tokio::test]
async fn a_trap_then_a_crash_before_the_flush_commits_excludes_the_record_once() -> Result<()> {
    let mut stream = Stream::start("trapped", 1).await?;
    let plan = plan(&stream)?;
    let worker = plan.start()?;
    stream.send(20)?;
    stream.arrived(&worker).await?;
    worker.stop().await?;

    // The first record that is read next is at fault, so that the first flush holds what is decided about it.
    let fault = 20;
    stream.send_value(0, r#"{"symbol":"S1","price":-4}"#)?;
    stream.send(20)?;
    let crashing = plan.instead(&["run"]).variable(VARIABLE, "before-commit=crash").start()?;
    let ended = crashing.ended().await?;
    ensure!(ended.status.signal() == Some(SIGABRT), "{}:\n{}", ended.status, ended.logs.tail(30));
    assert_eq!(ended.logs.with("lane is rebuilt").len(), TRAPS, "it was excluded when the worker crashed");
    assert_eq!(stream.positions().await?, [fault]);
    assert_eq!(stream.db.count("weir.decision").await?, 0, "nothing of it was committed");

    let worker = plan.start()?;
    stream.arrived(&worker).await?;
    assert_eq!(rebuilt(&worker), TRAPS, "it is found out again");
    let counted = format!("weir_decisions_total{{kind=\"excluded\",pipeline=\"{}\"}}", stream.name);
    assert!((worker.metric(&counted).await? - 1.0).abs() < f64::EPSILON);
    let told = async || {
        let status = worker.status(&stream.name).await?;
        ensure!(status["tasks"][0]["lanes"][0]["decisions"] == 1, "{status}");
        Ok(())
    };
    worker.until("the decision in the status", told).await?;
    let decided = format!("weir.decision WHERE kind = 'excluded' AND at_offset = {fault} AND stage = 0");
    assert_eq!((stream.db.count("weir.decision").await?, stream.db.count(&decided).await?), (1, 1));
    worker.kill().await?;

    // Without checkpoints the lane is replayed over it: what was decided is obeyed, and it is not fed again.
    stream.db.batch_execute("DELETE FROM weir.checkpoint").await?;
    stream.send(10)?;
    let worker = plan.start()?;
    stream.arrived(&worker).await?;
    assert_eq!(rebuilt(&worker), 0);
    assert_eq!((stream.db.count("weir.decision").await?, stream.db.count(&decided).await?), (1, 1));
    let mut log = stream.log()?;
    log.retain(|record| record.offset != fault);
    compare(&expected(&log), &rows(&stream.db).await?, 0)
}
