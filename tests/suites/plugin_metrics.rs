//! What plugins report is on `/metrics`: each stage of each lane for itself, by names that Prometheus reads.

use anyhow::{Result, ensure};
use weir_tests::environment::unique;
use weir_tests::kafka::{Kafka, Record};
use weir_tests::worker::Plan;

/// Two averages over the same records: to the first the last record comes too late, to the second it does not.
fn pipeline(name: &str, topic: &str) -> String {
    let stage = |name: &str, lateness: &str| {
        format!(
            "- name: {name}\n  type: sma\n  value.field: v\n  window: 1h\n  lateness: {lateness}\n  output.field: {name}\n"
        )
    };
    format!(
        "name: {name}\ntopics: {topic}\nvalue.converter: json\nvalue.converter.schemas.enable: false\n\
         consumer.override.auto.offset.reset: earliest\nconnector.class: ConsoleSink\ntransforms:\n{}{}",
        stage("strict", "0"),
        stage("lenient", "1h")
    )
}

#[tokio::test]
async fn each_stage_of_each_lane_reports_for_itself() -> Result<()> {
    let kafka = Kafka::from_environment()?;
    // The records are from 1970, which a broker would delete by their age.
    let topic = kafka.topic_with("late", 2, &[("retention.ms", "-1")]).await?;
    let (producer, name) = (kafka.producer()?, unique("late"));
    for (partition, timestamps_ms) in [(0, [60_000, 1_000, 2_000]), (1, [60_000, 61_000, 1_000])] {
        for timestamp_ms in timestamps_ms {
            let record = Record::new(r#"{"v":1}"#).partition(partition).timestamp_ms(timestamp_ms);
            producer.send(&topic, &record)?;
        }
    }
    producer.flush()?;
    let worker = Plan::run(kafka.brokers())?.pipeline(&name, &pipeline(&name, &topic))?.start()?;
    worker.ready().await?;
    let sample = |transform: &str, partition: i32| {
        format!(
            "weir_plugin_sma_late_rows_total{{partition=\"{partition}\",pipeline=\"{name}\",plugin=\"sma\",\
             topic=\"{topic}\",transform=\"{transform}\"}}"
        )
    };
    let expected = [("strict", 0, 2.0), ("strict", 1, 1.0), ("lenient", 0, 0.0), ("lenient", 1, 0.0)];
    let counted = async || {
        ensure!(worker.output().lines().len() == 6, "{} of 6 records", worker.output().lines().len());
        for (transform, partition, late) in expected {
            let found = worker.metric(&sample(transform, partition)).await?;
            ensure!((found - late).abs() < f64::EPSILON, "{transform} {partition}: {found}, not {late}");
        }
        Ok(())
    };
    worker.until("the plugins' figures", counted).await?;
    let page = worker.get("/metrics").await?.body;
    let heads: Vec<&str> = page.lines().filter(|line| line.starts_with("# ") && line.contains("weir_plugin")).collect();
    let expected = [
        "# HELP weir_plugin_sma_late_rows_total Rows older than the newest of their key by more than the lateness; not averaged.",
        "# TYPE weir_plugin_sma_late_rows_total counter",
    ];
    assert_eq!(heads, expected);
    worker.stop().await?;
    Ok(())
}
