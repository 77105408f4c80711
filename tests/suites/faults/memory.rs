//! A worker stays in its memory while large records wait for a slow database.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_tests::db::Db;
use weir_tests::eventually::eventually;
use weir_tests::kafka::{Kafka, Record};
use weir_tests::proxy::{Fault, Proxy};
use weir_tests::worker::Plan;

/// Bytes of a record's text, which is a number over and over.
const TEXT_BYTES: usize = 1 << 20;
const NUMBER_BYTES: usize = 8;
/// What a COMMIT takes in the slow database.
const SLOW: Duration = Duration::from_millis(700);
/// Longest wait for all records.
const ARRIVAL: Duration = Duration::from_secs(240);

/// Streams `per_partition` records of 1 MiB through each of `partitions`, under `--memory` of so many MiB.
async fn stays_within(memory_mib: u64, partitions: i32, per_partition: usize) -> Result<()> {
    let kafka = Kafka::from_environment()?;
    let db = Db::postgres("memory").await?;
    db.batch_execute("CREATE TABLE texts (kafka_topic text, kafka_partition int4, kafka_offset int8, text text)")
        .await?;
    let topic = kafka.topic_with("memory", partitions, &[("max.message.bytes", "2097152")]).await?;
    // Offsets tell numbers: what is sent again, as to a leader that has just been elected, must not change places.
    let producer = kafka.producer_with(&[
        ("message.max.bytes", "2000000"),
        ("queue.buffering.max.kbytes", "65536"),
        ("enable.idempotence", "true"),
    ])?;
    for number in 0..per_partition {
        for partition in 0..partitions {
            let number = format!("{:0NUMBER_BYTES$}", partition as usize * 10_000 + number);
            let value = format!(r#"{{"text":"{}"}}"#, number.repeat(TEXT_BYTES / NUMBER_BYTES));
            producer.send(&topic, &Record::new(&value).partition(partition))?;
        }
    }
    producer.flush()?;
    let proxy = Proxy::start(&db.address().authority(), |_| Fault::Delay(SLOW)).await?;
    let yaml = format!(
        "name: {topic}\ntopics: {topic}\nvalue.converter: json\nvalue.converter.schemas.enable: false\n\
         consumer.override.auto.offset.reset: earliest\nconnector.class: TimescaleSink\n\
         connection.url: {}?sslmode=disable\ntable.name.format: texts\nkafka.coordinates: true\n",
        db.address().through(proxy.authority())?.url()
    );
    let plan = Plan::run(kafka.brokers())?.pipeline(&topic, &yaml)?.flag("--memory", &format!("{memory_mib}M"));
    let begun = Instant::now();
    let worker = plan.start()?;
    let wanted = i64::from(partitions) * per_partition as i64;
    let look = async || {
        let there = db.count("texts").await?;
        ensure!(there >= wanted, "{there} of {wanted} records; {} MiB", worker.rss_bytes()? >> 20);
        Ok(())
    };
    let arrived = eventually("all records", ARRIVAL, look).await;
    arrived.with_context(|| format!("the worker's log ends with:\n{}", worker.logs().tail(20)))?;
    let peak = worker.rss_peak_bytes()?;
    let commits = proxy.counts().copy_commits;
    println!("{wanted} MiB in {:?} and {commits} flushes, {} MiB at most", begun.elapsed(), peak >> 20);
    assert!(peak < memory_mib << 20, "{} MiB of {memory_mib} MiB", peak >> 20);
    let good = format!(
        "SELECT count(DISTINCT (kafka_partition, kafka_offset)) FROM texts
         WHERE text = repeat(lpad((kafka_partition * 10000 + kafka_offset)::text, {NUMBER_BYTES}, '0'), {})",
        TEXT_BYTES / NUMBER_BYTES
    );
    assert_eq!(db.number(&good).await?, wanted, "every record is there as it was sent");
    assert_eq!(db.count("texts").await?, wanted, "and once");
    worker.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_records_of_few_partitions_stay_within_the_memory() -> Result<()> {
    stays_within(128, 16, 12).await
}

mod long {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn large_records_of_many_partitions_stay_within_the_memory() -> Result<()> {
        stays_within(256, 64, 10).await
    }
}
