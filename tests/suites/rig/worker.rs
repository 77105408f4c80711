//! The rig's hold on a worker: it starts, is seen through REST and its log, obeys signals, and ends.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::kafka::{Kafka, Record};
use weir_tests::worker::Plan;

fn console(topic: &str) -> String {
    format!(
        "name: console\ntopics: {topic}\nvalue.converter: json\nvalue.converter.schemas.enable: false\n\
         consumer.override.auto.offset.reset: earliest\nconnector.class: ConsoleSink\n"
    )
}

#[tokio::test]
async fn a_verb_ends_with_its_output_and_exit_code() -> Result<()> {
    let version = Plan::verb(&["--version"])?.finish(Duration::from_secs(10)).await?;
    assert_eq!(version.status.code(), Some(0));
    assert!(version.output.tail(1).starts_with("weir "), "{}", version.output.tail(1));
    let unknown = Plan::verb(&["no-such-verb"])?.finish(Duration::from_secs(10)).await?;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(!unknown.logs.with("no-such-verb").is_empty(), "{}", unknown.logs.tail(5));
    Ok(())
}

#[tokio::test]
async fn a_worker_is_seen_and_obeys() -> Result<()> {
    let kafka = Kafka::from_environment()?;
    let topic = kafka.topic("console", 1).await?;
    let plan = Plan::run(kafka.brokers())?.pipeline("console", &console(&topic))?;
    let worker = plan.start()?;
    worker.ready().await?;
    worker.tasks_are("console", "RUNNING").await?;

    let producer = kafka.producer()?;
    producer.send(&topic, &Record::new(r#"{"seen":"first"}"#))?;
    producer.flush()?;
    let printed = async |text: &str| {
        worker
            .until(text, async || {
                ensure!(!worker.output().with(text).is_empty(), "not printed yet");
                Ok(())
            })
            .await
    };
    printed("first").await?;
    let (now, peak) = (worker.rss_bytes()?, worker.rss_peak_bytes()?);
    assert!(now > 1 << 20 && peak >= now, "{now} {peak}");
    assert!(worker.logs().lines().iter().all(|line| !line.json.is_null()), "logs are JSON lines");

    worker.signal("STOP")?;
    producer.send(&topic, &Record::new(r#"{"seen":"second"}"#))?;
    producer.flush()?;
    assert!(worker.output().with("second").is_empty(), "a stopped process prints nothing");
    worker.signal("CONT")?;
    printed("second").await?;

    assert_eq!(worker.stop().await?.status.code(), Some(0), "SIGTERM drains and ends well");
    let again = plan.start()?;
    again.ready().await?;
    let killed = again.kill().await?;
    assert_eq!(killed.status.code(), None, "a killed process has no exit code");
    Ok(())
}
