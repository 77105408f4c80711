//! A log that no longer holds what is to be read: the task stops and says so, and passes nothing over.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use weir_tests::kafka::{Kafka, Stored};
use weir_tests::worker::{Plan, WAIT, Worker};

use super::{Stream, compare, expected, rows, trace};

/// Only the last checkpoint of a worker that is stopped.
const RARE: &str = "checkpoint.interval.ms: 3600000\n";

/// A stream that a worker has begun to read: 50 records of each partition have their rows.
async fn begun(hint: &str) -> Result<(Stream, Plan, Worker)> {
    let mut stream = Stream::start(hint, 2).await?;
    let plan = stream.plan(&stream.db.url(), RARE)?;
    let worker = plan.start()?;
    stream.send(50)?;
    stream.arrived(&worker).await?;
    Ok((stream, plan, worker))
}

/// Runs the command that a failed task names; returns what it says.
async fn accept(plan: &Plan, trace: &str) -> Result<String> {
    let (_, command) = trace.split_once("weir accept-gap ").context("the command is named")?;
    let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_end_matches('.')).take(6).collect();
    refusable(plan, &words).await
}

/// Runs the verb with these arguments on the plan's pipelines.
async fn refusable(plan: &Plan, words: &[&str]) -> Result<String> {
    let pipelines = plan.folder().join("pipelines").display().to_string();
    let (kafka, at) = (Kafka::from_environment()?, "--bootstrap-servers");
    let flags = ["--pipelines", &pipelines, at, kafka.brokers()];
    let ended = Plan::verb(&[&["accept-gap"], words, &flags].concat())?.finish(WAIT).await?;
    ensure!(ended.status.success(), "{}", ended.logs.tail(5));
    Ok(ended.output.tail(5))
}

impl Stream {
    /// Compares every row with what these records give, of which partition 1 has lost some: those of `stateless` have
    /// their rows, but are not in the state; those of `unread` have none.
    async fn check_without(&self, log: Vec<Stored>, stateless: Range<i64>, unread: Range<i64>) -> Result<()> {
        let is_of = |record: &Stored, range: &Range<i64>| record.partition == 1 && range.contains(&record.offset);
        let kept: Vec<&Stored> = log.iter().filter(|record| !is_of(record, &unread)).collect();
        let (before, after): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|record| record.partition == 1 && record.offset < stateless.end);
        let mut wanted: Vec<_> = expected(before).into_iter().chain(expected(after)).collect();
        wanted.sort_by_key(|row| (row.partition, row.offset));
        compare(&wanted, &rows(&self.db).await?, 0)
    }
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
    let (mut stream, plan, worker) = begun("deleted").await?;
    worker.stop().await?;
    stream.send(50)?;
    let mut log = stream.log()?;
    stream.kafka.delete_records(&stream.topic, 1, 80).await?;
    let worker = plan.start()?;
    let trace = trace(&worker, &stream).await?;
    assert!(trace.contains(&format!("{}-1", stream.topic)), "the lane is named: {trace}");
    assert!(trace.contains("Records were deleted before they were read"), "the way out is told: {trace}");
    let positions = stream.positions().await?;
    assert_eq!(positions[1], 50, "nothing of the lane is passed over");
    assert_eq!(stream.db.count("averages WHERE kafka_partition = 1").await?, 50);
    worker.stop().await?;

    let lane = format!("{}-1", stream.topic);
    let refusals = [
        (["--from", "60", "--to", "80"], "offsets 50 to 59 would be passed over as well: write --from 50"),
        (
            ["--from", "50", "--to", "90"],
            "the log still holds what follows offset 80, which would be passed over: write --to 80",
        ),
    ];
    for (range, sentence) in refusals {
        let refused = refusable(&plan, &[&[stream.name.as_str(), &lane], &range[..]].concat()).await.unwrap_err();
        assert!(refused.to_string().contains(sentence), "{refused}");
    }
    for _ in 0..2 {
        let said = accept(&plan, &trace).await?;
        assert!(said.contains("it is read on from offset 80"), "{said}");
    }
    let decided = "decision WHERE kind = 'gap' AND at_offset = 50 AND to_offset = 80 AND detail LIKE 'accepted by%'";
    assert_eq!(stream.db.count(&format!("weir.{decided}")).await?, 1);
    // The state of the checkpoint below the gap goes on behind it, also when it has to be replayed.
    let worker = plan.start()?;
    stream.arrived(&worker).await?;
    worker.kill().await?;
    stream.send(20)?;
    log.extend(stream.log()?.into_iter().filter(|record| record.offset >= 100));
    let worker = plan.start()?;
    stream.arrived(&worker).await?;
    stream.check_without(log, 0..0, 50..80).await
}

#[tokio::test]
async fn state_that_cannot_be_rebuilt_is_told_and_goes_on_without_what_is_gone() -> Result<()> {
    let (mut stream, plan, worker) = begun("stateless").await?;
    worker.kill().await?;
    stream.send(50)?;
    let log = stream.log()?;
    stream.kafka.delete_records(&stream.topic, 1, 80).await?;
    let worker = plan.start()?;
    let trace = trace(&worker, &stream).await?;
    assert!(trace.contains("from which its state up to offset 50 is rebuilt"), "{trace}");
    worker.stop().await?;
    let said = accept(&plan, &trace).await?;
    assert!(said.contains("goes on without offsets 0 to 49, offsets 50 to 79 are passed over"), "{said}");
    // Twice, since the second one replays what the first one has read.
    plan.start()?.kill().await?;
    let worker = plan.start()?;
    stream.arrived(&worker).await?;
    worker.kill().await?;
    let worker = plan.start()?;
    worker.tasks_are(&stream.name, "RUNNING").await?;
    stream.check_without(log, 0..50, 50..80).await
}

#[tokio::test]
async fn a_log_that_was_truncated_is_told_by_the_client() -> Result<()> {
    let (mut stream, plan, worker) = begun("truncated").await?;
    worker.stop().await?;
    other_history(&stream).await?;
    stream.send(20)?;
    let worker = plan.start()?;
    let trace = trace(&worker, &stream).await?;
    assert!(trace.contains(&format!("read {}-1", stream.topic)) && trace.contains("log truncation"), "{trace}");
    assert_eq!(stream.positions().await?[1], 50, "nothing of another history is read");
    assert_eq!(stream.db.count("averages WHERE kafka_partition = 1").await?, 50);
    worker.stop().await?;

    let said = accept(&plan, &trace).await?;
    assert!(said.contains("the log is accepted as it is; it is read on from offset 50"), "{said}");
    let worker = plan.start()?;
    stream.send(20)?;
    stream.arrived(&worker).await?;
    stream.check(0).await
}

#[tokio::test]
async fn a_log_that_was_truncated_is_told_by_the_replay() -> Result<()> {
    let (mut stream, plan, worker) = begun("rewritten").await?;
    worker.kill().await?;
    other_history(&stream).await?;
    stream.send(20)?;
    let worker = plan.start()?;
    let trace = trace(&worker, &stream).await?;
    assert!(trace.contains(&format!("the log of {}-1 was truncated", stream.topic)), "{trace}");
    assert_eq!(stream.positions().await?[1], 50);
    worker.stop().await?;

    let said = accept(&plan, &trace).await?;
    assert!(said.contains("the state goes on without offsets 0 to 49; it is read on from offset 50"), "{said}");
    let worker = plan.start()?;
    stream.arrived(&worker).await?;
    stream.check_without(stream.log()?, 0..50, 0..0).await
}
