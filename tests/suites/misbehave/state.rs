//! Guests whose state lies, hangs, or is not a function of their records.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::eventually::eventually;

use super::super::errors::{Bed, pipeline, told};
use super::{holds, make_table, plan, send, stage};

/// State that cannot be restored is rebuilt from the log, and every row is there once.
async fn rebuilt(fault: &str, settings: &str, said: &str) -> Result<()> {
    let mut bed = Bed::start("state").await?;
    let name = fault.replace('-', "_");
    let topic = bed.kafka.topic("state", 1).await?;
    make_table(&bed, &name).await?;
    let plan = plan(&bed, &name, &topic, &stage(fault, settings))?;
    send(&bed.kafka, &topic, 0..30)?;
    let worker = plan.start()?;
    worker.ready().await?;
    holds(&bed, &worker, &name, 0..30).await?;
    // A worker that is stopped leaves a checkpoint.
    worker.stop().await?;
    let checkpoints = format!("SELECT count(*) FROM weir.checkpoint WHERE pipeline = '{name}'");
    assert!(bed.db.number(&checkpoints).await? > 0);
    send(&bed.kafka, &topic, 30..50)?;
    let worker = plan.start()?;
    worker.ready().await?;
    holds(&bed, &worker, &name, 0..50).await?;
    worker.tasks_are(&name, "RUNNING").await?;
    assert!(!worker.logs().with(said).is_empty(), "{said}:\n{}", worker.logs().tail(30));
    bed.beat(&worker, &name).await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn state_that_lies_about_its_size_is_rebuilt() -> Result<()> {
    rebuilt("state-miscounted", "", "the checkpoint gave 1 entries, but its plugins hold 1000000").await
}

#[tokio::test]
async fn a_restore_that_hangs_is_ended_and_the_state_rebuilt() -> Result<()> {
    let said = "did not return from begin-restore within its time limit of 1s (plugin.limits.call.ms)";
    rebuilt("restore-hangs", "    plugin.limits.call.ms: 1000\n", said).await
}

/// Faults of checkpoints: the fault, the stage's settings, and what is said of it.
const OF_CHECKPOINTS: [(&str, &str, &str); 3] = [
    (
        "state-endless",
        "    plugin.limits.memory: 8M\n",
        "it handed out 8193 KiB of state for one checkpoint; its memory is 8192 KiB (plugin.limits.memory)",
    ),
    ("state-stuck", "", "it said 1001 times that more entries follow, and handed out none"),
    (
        "checkpoint-hangs",
        "    plugin.limits.call.ms: 500\n",
        "did not return from begin-checkpoint within its time limit of 500ms (plugin.limits.call.ms)",
    ),
];

/// Each breakage is mended by a rebuild, and what comes next is written; after some of them the task fails.
#[tokio::test]
async fn a_guest_whose_checkpoints_break_fails_its_task_alone() -> Result<()> {
    const FAILURE: Duration = Duration::from_secs(180);
    let mut bed = Bed::start("checkpoints").await?;
    let topic = bed.kafka.topic("checkpoints", 1).await?;
    let mut plan = bed.plan()?;
    for (fault, settings, _) in OF_CHECKPOINTS {
        let name = fault.replace('-', "_");
        make_table(&bed, &name).await?;
        let more = format!("checkpoint.interval.ms: 20\n{}", stage(fault, settings));
        plan = plan.pipeline(&name, &pipeline(&name, &topic, &bed.db, &name, &more))?;
    }
    send(&bed.kafka, &topic, 0..10)?;
    let worker = plan.start()?;
    worker.ready().await?;
    let mut sent = 100;
    for (fault, _, said) in OF_CHECKPOINTS {
        let name = fault.replace('-', "_");
        let failed = async || {
            // A checkpoint is due where something was read since the last one.
            send(&bed.kafka, &topic, sent..sent + 1)?;
            sent += 1;
            let status = worker.status(&name).await?;
            ensure!(status.pointer("/tasks/0/state").is_some_and(|state| *state == "FAILED"), "{status}");
            Ok(status)
        };
        let status = eventually(&format!("the end of {name}"), FAILURE, failed).await?;
        let trace = told(&status, "trace").unwrap_or_default();
        assert!(trace.contains("was rebuilt 10 times and breaks again: ") && trace.contains(said), "{name}: {trace}");
        assert!(bed.db.count(&name).await? >= 10, "{name}: what was read before is written");
        bed.beat(&worker, fault).await?;
    }
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_plugin_that_gives_other_rows_on_replay_is_found_out() -> Result<()> {
    let mut bed = Bed::start("other").await?;
    let topic = bed.kafka.topic("other", 1).await?;
    bed.db.batch_execute("CREATE TABLE other (n int8, out int8, note text)").await?;
    // Without a checkpoint the replay begins with the first record.
    let more = format!("checkpoint.interval.ms: 3600000\n{}", stage("nondeterminism", "    when: always\n"));
    let plan = plan(&bed, "other", &topic, &more)?;
    let worker = plan.start()?;
    worker.ready().await?;
    for round in 0..3_i64 {
        send(&bed.kafka, &topic, round * 10..(round + 1) * 10)?;
        let last = (round + 1) * 10 - 1;
        let arrived = async || {
            ensure!(bed.db.number("SELECT max(n) FROM other").await? == last, "record {last} is not there");
            Ok(())
        };
        worker.until("the rows of a batch", arrived).await?;
    }
    let rows = bed.db.count("other").await?;
    assert!(rows > 30, "{rows} rows: later calls repeat theirs");
    worker.kill().await?;
    let worker = plan.start()?;
    worker.ready().await?;
    let status = worker.tasks_are("other", "FAILED").await?;
    let trace = told(&status, "trace").unwrap_or_default();
    assert!(trace.contains("The log or the plugin no longer gives what it gave before"), "{trace}");
    assert_eq!(bed.db.count("other").await?, rows, "nothing is written by a chain that diverges");
    bed.beat(&worker, "a divergence").await?;
    worker.stop().await?;
    Ok(())
}
