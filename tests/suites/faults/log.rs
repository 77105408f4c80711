//! A log that no longer holds what is to be read: the task stops and says so, and passes nothing over.

use anyhow::{Context, Result};
use weir_tests::worker::Worker;

use super::Stream;

/// Only the last checkpoint of a worker that is stopped.
const RARE: &str = "checkpoint.interval.ms: 3600000\n";

/// Why the only task of a stream's pipeline has failed.
async fn trace(worker: &Worker, stream: &Stream) -> Result<String> {
    let status = worker.tasks_are(&stream.name, "FAILED").await?;
    Ok(status["tasks"][0]["trace"].as_str().context("a failed task has a trace")?.to_owned())
}

/// Makes the sink remember another history than the log holds, as an election of a leader without its tail leaves it.
async fn other_history(stream: &Stream) -> Result<()> {
    let epochs = "SELECT count(*) FROM weir.position WHERE leader_epoch >= 0";
    assert_eq!(
        stream.db.number(epochs).await?,
        i64::from(stream.partitions),
        "each position has the epoch of its record"
    );
    stream.db.batch_execute("UPDATE weir.position SET leader_epoch = leader_epoch + 1 WHERE partition = 1").await?;
    Ok(())
}

#[tokio::test]
async fn records_that_were_deleted_unread_fail_the_task_and_nothing_is_passed_over() -> Result<()> {
    let mut stream = Stream::start("deleted", 2).await?;
    let plan = stream.plan(&stream.db.url(), "")?;
    let worker = plan.start()?;
    stream.send(50)?;
    stream.arrived(&worker).await?;
    worker.stop().await?;
    stream.send(50)?;
    stream.kafka.delete_records(&stream.topic, 1, 80).await?;
    let worker = plan.start()?;
    let status = worker.tasks_are(&stream.name, "FAILED").await?;
    let trace = status["tasks"][0]["trace"].as_str().unwrap_or_default();
    assert!(trace.contains(&format!("{}-1", stream.topic)), "the lane is named: {trace}");
    assert!(trace.contains("Records were deleted before they were read"), "the way out is told: {trace}");
    let positions = stream.positions().await?;
    assert_eq!(positions[1], 50, "nothing of the lane is passed over");
    assert_eq!(stream.db.count("averages WHERE kafka_partition = 1").await?, 50);
    Ok(())
}

#[tokio::test]
async fn a_log_that_was_truncated_is_told_by_the_client() -> Result<()> {
    let mut stream = Stream::start("truncated", 2).await?;
    let plan = stream.plan(&stream.db.url(), RARE)?;
    let worker = plan.start()?;
    stream.send(50)?;
    stream.arrived(&worker).await?;
    worker.stop().await?;
    other_history(&stream).await?;
    stream.send(20)?;
    let worker = plan.start()?;
    let trace = trace(&worker, &stream).await?;
    assert!(trace.contains(&format!("read {}-1", stream.topic)) && trace.contains("log truncation"), "{trace}");
    assert_eq!(stream.positions().await?[1], 50, "nothing of another history is read");
    assert_eq!(stream.db.count("averages WHERE kafka_partition = 1").await?, 50);
    Ok(())
}

#[tokio::test]
async fn a_log_that_was_truncated_is_told_by_the_replay() -> Result<()> {
    let mut stream = Stream::start("rewritten", 2).await?;
    let plan = stream.plan(&stream.db.url(), RARE)?;
    let worker = plan.start()?;
    stream.send(50)?;
    stream.arrived(&worker).await?;
    worker.kill().await?;
    other_history(&stream).await?;
    stream.send(20)?;
    let worker = plan.start()?;
    let trace = trace(&worker, &stream).await?;
    assert!(trace.contains(&format!("the log of {}-1 was truncated", stream.topic)), "{trace}");
    assert_eq!(stream.positions().await?[1], 50);
    Ok(())
}
