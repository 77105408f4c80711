//! A topic that is not what it was: made again under its name, or with more partitions. The task stops and says so, or
//! goes on as it was told.

use anyhow::{Context, Result, ensure};
use weir_tests::eventually::eventually;

use super::{ARRIVAL, Stream, trace};

/// How soon a group hears of a topic's partitions.
const SOON: &str = "consumer.override.topic.metadata.refresh.interval.ms: 300\n";

/// Deletes the stream's topic and makes it anew.
async fn make_again(stream: &Stream) -> Result<()> {
    stream.kafka.delete(&stream.topic).await?;
    let make = async || stream.kafka.create(&stream.topic, stream.partitions, &[]).await;
    eventually("the topic again", ARRIVAL, make).await
}

/// Adds partitions to the stream's topic, which are then sent to as well: by a producer that knows of them.
async fn grow(stream: &mut Stream, partitions: i32) -> Result<()> {
    stream.kafka.add_partitions(&stream.topic, usize::try_from(partitions)?).await?;
    let look = async || {
        let known = stream.kafka.partitions(&stream.topic)?.len();
        ensure!(known == usize::try_from(partitions)?, "{known} partitions");
        Ok(())
    };
    eventually("the added partitions", ARRIVAL, look).await?;
    stream.producer = stream.kafka.producer_with(&[("linger.ms", "0")])?;
    stream.partitions = partitions;
    Ok(())
}

#[tokio::test]
async fn a_topic_that_was_made_again_is_not_read() -> Result<()> {
    let mut stream = Stream::start("again", 2).await?;
    let plan = stream.plan(&stream.db.url(), "")?;
    let worker = plan.start()?;
    stream.send(20)?;
    stream.arrived(&worker).await?;
    worker.stop().await?;
    make_again(&stream).await?;
    // The position is an offset of the new log as well.
    stream.send(40)?;
    let trace = trace(&plan.start()?, &stream).await?;
    assert!(trace.contains(&format!("topic {} was deleted and made again", stream.topic)), "{trace}");
    assert!(trace.contains("give the pipeline another name"), "the way out is told: {trace}");
    assert_eq!(stream.positions().await?, [20, 20]);
    assert_eq!(stream.db.count("averages").await?, 40);
    Ok(())
}

#[tokio::test]
async fn a_topic_that_is_made_again_while_it_is_read_fails_the_task() -> Result<()> {
    let mut stream = Stream::start("anew", 1).await?;
    let worker = stream.plan(&stream.db.url(), SOON)?.start()?;
    stream.send(20)?;
    stream.arrived(&worker).await?;
    make_again(&stream).await?;
    let trace = trace(&worker, &stream).await?;
    assert!(trace.contains("was deleted and made again since this pipeline first read it"), "{trace}");
    assert_eq!(stream.positions().await?, [20]);
    Ok(())
}

#[tokio::test]
async fn added_partitions_fail_a_pipeline_with_state_until_it_is_told_to_go_on() -> Result<()> {
    let mut stream = Stream::start("grown", 2).await?;
    let url = stream.db.url();
    let worker = stream.plan(&url, SOON)?.start()?;
    stream.send(20)?;
    stream.arrived(&worker).await?;
    grow(&mut stream, 4).await?;
    let trace = trace(&worker, &stream).await?;
    let named = format!("of topic {} were added after this pipeline first read it, when it had 2", stream.topic);
    assert!(trace.contains(&named) && trace.contains("partitions 2, 3"), "{trace}");
    assert!(trace.contains("set `partitions.added: continue`"), "the way out is told: {trace}");
    worker.stop().await?;

    // What was sent meanwhile is not passed over, whatever new lanes begin by elsewhere.
    stream.send(20)?;
    let yaml = stream.yaml(&url, "partitions.added: continue\n").replace("reset: earliest", "reset: latest");
    let plan = stream.plan(&url, "")?.pipeline(&stream.name, &yaml)?;
    let worker = plan.start()?;
    stream.send(20)?;
    stream.arrived(&worker).await?;
    worker.stop().await?;

    // Once they have positions they are partitions like all others.
    let worker = stream.plan(&url, "partitions.added: fail\n")?.start()?;
    stream.send(20)?;
    stream.arrived(&worker).await?;
    stream.check(0).await
}

#[tokio::test]
async fn added_partitions_of_a_pipeline_without_state_are_read_from_their_first_record() -> Result<()> {
    let mut stream = Stream::start("wider", 1).await?;
    let yaml = stream.yaml(&stream.db.url(), SOON).replace("reset: earliest", "reset: latest");
    let (head, rest) = yaml.split_once("transforms:").context("the chain")?;
    let (_, tail) = rest.split_once("consumer.override").context("the rest")?;
    let yaml = format!("{head}fields.missing: null\nconsumer.override{tail}");
    let plan = stream.plan(&stream.db.url(), "")?.pipeline(&stream.name, &yaml)?;
    let worker = plan.start()?;
    let begun = async || {
        let positions = stream.positions().await?;
        ensure!(positions == [0], "{positions:?}");
        Ok(())
    };
    worker.until("a first claim", begun).await?;
    stream.send(20)?;
    grow(&mut stream, 3).await?;
    stream.send(20)?;
    stream.arrived(&worker).await?;
    assert_eq!(stream.db.count("averages").await?, 80);
    Ok(())
}

#[tokio::test]
async fn tasks_and_workers_that_begin_together_add_no_partitions() -> Result<()> {
    let mut stream = Stream::start("together", 6).await?;
    let plans = [stream.plan(&stream.db.url(), "tasks.max: 3\n")?, stream.plan(&stream.db.url(), "tasks.max: 2\n")?];
    let workers = [plans[0].start()?, plans[1].start()?];
    stream.send(30)?;
    stream.arrived(&workers[0]).await?;
    for worker in &workers {
        worker.tasks_are(&stream.name, "RUNNING").await?;
    }
    stream.check(0).await
}
