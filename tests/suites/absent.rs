//! Columns whose field no record has, and records without a value, end to end: a mistyped column is noticed within the
//! first thousand records and never again, and a tombstone is neither a row nor a sign of a mistyped column.

use anyhow::{Result, ensure};
use weir_tests::db::Db;
use weir_tests::environment::unique;
use weir_tests::kafka::{Kafka, Record};
use weir_tests::worker::{Plan, Worker};

/// The records within which every column's field must show up.
const FIRST: i64 = 1_000;

struct Bed {
    kafka: Kafka,
    db: Db,
    topic: String,
    /// The pipeline's name, its own in each test: so is its consumer group.
    name: String,
}

impl Bed {
    async fn start(columns: &str) -> Result<Self> {
        let (kafka, db) = (Kafka::from_environment()?, Db::postgres("absent").await?);
        let topic = kafka.topic("absent", 1).await?;
        db.batch_execute(&format!("CREATE TABLE ticks ({columns})")).await?;
        Ok(Bed { kafka, db, topic, name: unique("absent") })
    }

    fn plan(&self, more: &str) -> Result<Plan> {
        Plan::run(self.kafka.brokers())?.pipeline(&self.name, &self.yaml(more))
    }

    fn yaml(&self, more: &str) -> String {
        format!(
            "name: {}\ntopics: {}\nkey.converter: string\nvalue.converter: json\n\
             value.converter.schemas.enable: false\nconsumer.override.auto.offset.reset: earliest\n\
             connector.class: TimescaleSink\nconnection.url: {}\ntable.name.format: ticks\n{more}",
            self.name,
            self.topic,
            self.db.url()
        )
    }

    /// Sends `{"v":n}` for each number.
    fn send(&self, numbers: std::ops::Range<i64>) -> Result<()> {
        let producer = self.kafka.producer()?;
        producer.send_all(&self.topic, numbers.map(|n| format!("{{\"v\":{n}}}")))?;
        producer.flush()
    }

    async fn holds(&self, worker: &Worker, rows: i64) -> Result<()> {
        let look = async || {
            let found = self.db.count("ticks").await?;
            ensure!(found == rows, "{found} of {rows} rows");
            Ok(())
        };
        worker.until("the rows", look).await
    }
}

#[tokio::test]
async fn a_column_whose_field_never_comes_fails_the_task_unless_it_may() -> Result<()> {
    let bed = Bed::start("v int8, tpyo text").await?;
    bed.send(0..FIRST - 1)?;
    let plan = bed.plan("")?;
    let worker = plan.start()?;
    worker.ready().await?;
    bed.holds(&worker, FIRST - 1).await?;
    worker.tasks_are(&bed.name, "RUNNING").await?;
    bed.send(FIRST - 1..FIRST)?;
    let status = worker.tasks_are(&bed.name, "FAILED").await?;
    let sentence = "none of the first 1000 records has a field \"tpyo\" for column \"tpyo\" of table public.ticks: list \
                    the fields to write in `fields`, or set `fields.missing: null`. Change the column, or convert the \
                    field with a transform.";
    assert_eq!(status["tasks"][0]["trace"], sentence);
    assert_eq!(bed.db.count("ticks").await?, FIRST - 1, "the flush in which it was noticed is not written");
    worker.stop().await?;

    let worker = plan.pipeline(&bed.name, &bed.yaml("fields.missing: \"null\"\n"))?.start()?;
    worker.ready().await?;
    bed.holds(&worker, FIRST).await?;
    worker.tasks_are(&bed.name, "RUNNING").await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_rare_field_is_not_asked_for_again_after_a_restart() -> Result<()> {
    let bed = Bed::start("v int8, note text").await?;
    let producer = bed.kafka.producer()?;
    producer.send(&bed.topic, &Record::new(r#"{"v":-1,"note":"rare"}"#))?;
    producer.flush()?;
    bed.send(0..FIRST)?;
    let plan = bed.plan("")?;
    let first = plan.start()?;
    first.ready().await?;
    bed.holds(&first, FIRST + 1).await?;
    first.stop().await?;
    bed.send(FIRST..3 * FIRST)?;
    let second = plan.start()?;
    second.ready().await?;
    bed.holds(&second, 3 * FIRST + 1).await?;
    second.tasks_are(&bed.name, "RUNNING").await?;
    second.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_table_is_made_after_the_first_records_unless_they_have_no_field() -> Result<()> {
    let bed = Bed::start("v int8").await?;
    let producer = bed.kafka.producer()?;
    producer.send(&bed.topic, &Record::tombstone().key("k"))?;
    producer.send(&bed.topic, &Record::new("null").key("k"))?;
    producer.flush()?;
    let made =
        |more: &str| bed.yaml(more).replace("table.name.format: ticks", "table.name.format: made\nauto.create: true");
    let plan = bed.plan("")?.pipeline(&bed.name, &made("errors.tolerance: all\n"))?;
    let worker = plan.start()?;
    let status = worker.tasks_are(&bed.name, "FAILED").await?;
    let trace = status["tasks"][0]["trace"].as_str().unwrap_or_default().to_owned();
    assert!(trace.contains("has a field: name the table's columns in `fields`"), "{trace}");
    worker.stop().await?;

    let plan = plan.pipeline(&bed.name, &made("errors.tolerance: all\nfields: v:int64,note:text\n"))?;
    let worker = plan.start()?;
    producer.send(&bed.topic, &Record::new(r#"{"v":7,"note":"x"}"#))?;
    producer.flush()?;
    let look = async || {
        let rows = bed.db.rows("SELECT v, note FROM made").await?;
        ensure!(rows == [[Some("7".to_owned()), Some("x".to_owned())]], "{rows:?}");
        Ok(())
    };
    worker.until("the row", look).await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn tombstones_pass_plugins_by_and_are_no_rows() -> Result<()> {
    let bed = Bed::start("v float8, sma float8").await?;
    let producer = bed.kafka.producer()?;
    for n in 1..=FIRST {
        producer.send(&bed.topic, &Record::tombstone().key("k"))?;
        if n % 100 == 0 {
            producer.send(&bed.topic, &Record::new(&format!("{{\"v\":{n}}}")).key("k"))?;
        }
    }
    producer.flush()?;
    let stage = "transforms:\n- name: sma\n  type: sma\n  value.field: v\n  window: 2\n";
    let worker = bed.plan(&format!("{stage}errors.tolerance: all\n"))?.start()?;
    worker.ready().await?;
    bed.holds(&worker, FIRST / 100).await?;
    worker.tasks_are(&bed.name, "RUNNING").await?;
    let means = bed.db.rows("SELECT sma FROM ticks ORDER BY v LIMIT 3").await?.concat();
    assert_eq!(means, [None, Some("150".to_owned()), Some("250".to_owned())], "no tombstone is in a window");
    let recorded = "SELECT count(*), min(detail) FROM weir.decision WHERE kind = 'refused'";
    let told = "its value is null, which asks for a delete, and rows are only added to table public.ticks".to_owned();
    assert_eq!(bed.db.rows(recorded).await?, [[Some(FIRST.to_string()), Some(told)]]);
    worker.stop().await?;
    Ok(())
}
