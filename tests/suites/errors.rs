//! What an operator is told when something is wrong: the exact sentence with its hint, where it is shown, and that it
//! costs its own pipeline and no other.

mod files;
mod records;
mod servers;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::db::Db;
use weir_tests::environment::unique;
use weir_tests::kafka::{Kafka, Producer, Record};
use weir_tests::worker::{Plan, Worker};

/// The YAML of a pipeline from `topic` into `table` of `db`, unless `more` names another database.
pub fn pipeline(name: &str, topic: &str, db: &Db, table: &str, more: &str) -> String {
    let key = "connection.url";
    let url = if more.contains(key) { String::new() } else { format!("{key}: {}\n", db.url()) };
    format!(
        "name: {name}\ntopics: {topic}\nvalue.converter: json\nvalue.converter.schemas.enable: false\n\
         consumer.override.auto.offset.reset: earliest\nconnector.class: TimescaleSink\ntable.name.format: {table}\n\
         {url}{more}"
    )
}

/// Servers of a test, and a pipeline on them with which nothing is wrong.
pub struct Bed {
    pub kafka: Kafka,
    pub db: Db,
    pub producer: Producer,
    /// The name of the pipeline that must keep running, its own in each test: so is its consumer group.
    healthy: String,
    healthy_topic: String,
    beats: i64,
}

impl Bed {
    pub async fn start(hint: &str) -> Result<Self> {
        let (kafka, db) = (Kafka::from_environment()?, Db::postgres(hint).await?);
        let (producer, healthy_topic) = (kafka.producer()?, kafka.topic("healthy", 1).await?);
        db.batch_execute("CREATE TABLE healthy (beat int8)").await?;
        Ok(Bed { kafka, db, producer, healthy: unique("healthy"), healthy_topic, beats: 0 })
    }

    /// A worker to start that has the healthy pipeline.
    pub fn plan(&self) -> Result<Plan> {
        let yaml = pipeline(&self.healthy, &self.healthy_topic, &self.db, "healthy", "");
        Plan::run(self.kafka.brokers())?.pipeline(&self.healthy, &yaml)
    }

    /// One more record for the healthy pipeline arrives in its table.
    pub async fn beat(&mut self, worker: &Worker, after: &str) -> Result<()> {
        self.beats += 1;
        let beats = self.beats;
        self.producer.send(&self.healthy_topic, &Record::new(&format!("{{\"beat\":{beats}}}")))?;
        self.producer.flush()?;
        let arrived = async || {
            let found = self.db.number("SELECT coalesce(max(beat), 0) FROM healthy").await?;
            ensure!(found == beats, "{found} of {beats} beats");
            Ok(())
        };
        worker.until(&format!("another pipeline's row after {after}"), arrived).await
    }
}

/// A text of the status: that of the first task, else that of the pipeline itself.
pub fn told<'a>(status: &'a Value, what: &str) -> Option<&'a str> {
    let task = status.get("tasks").and_then(|tasks| tasks.get(0));
    let place = task.or_else(|| status.get("connector"))?;
    place.get(what)?.as_str()
}

/// The message of the one ERROR line of a pipeline, with its hint.
fn logged(worker: &Worker, pipeline: &str) -> Result<(String, String)> {
    let is_its = |line: &weir_tests::logs::Line| {
        line.level() == "ERROR" && line.field("pipeline").and_then(Value::as_str) == Some(pipeline)
    };
    let lines: Vec<_> = worker.logs().lines().into_iter().filter(is_its).collect();
    let [line] = lines.as_slice() else { anyhow::bail!("{} ERROR lines of {pipeline}", lines.len()) };
    let hint = line.field("hint").and_then(Value::as_str).context("an ERROR line has a hint")?;
    Ok((line.message().to_owned(), hint.to_owned()))
}
