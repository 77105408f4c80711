//! What a course runs on: a topic that grows, the audited database, and the pipeline between them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::db::Db;
use weir_tests::eventually::eventually;
use weir_tests::kafka::Kafka;
use weir_tests::worker::{Plan, Worker};

use super::audit;
use super::ticks::{Feed, Ticks, WINDOW};

/// Longest wait for a commit or for the end of the log; what a worker reads again before it writes counts here.
const ARRIVAL: Duration = Duration::from_secs(180);
/// The memory that a worker is given.
pub const MEMORY_MIB: u64 = 256;

/// Topic, database and pipeline of one course.
#[derive(Debug)]
pub struct Stage {
    kafka: Kafka,
    /// The database.
    pub db: Db,
    topic: String,
    partitions: i32,
    /// What the topic holds.
    pub ticks: Ticks,
    more: String,
}

impl Stage {
    /// An empty topic and the table; `more` are further lines of the pipeline file.
    pub async fn set(hint: &str, partitions: i32, seed: u64, more: &str) -> Result<Self> {
        Self::of_ticks(hint, partitions, Ticks::new(seed), more).await
    }

    /// The same for these ticks.
    pub async fn of_ticks(hint: &str, partitions: i32, ticks: Ticks, more: &str) -> Result<Self> {
        let (kafka, db) = (Kafka::from_environment()?, Db::postgres(hint).await?);
        audit::make_table(&db).await?;
        let topic = kafka.topic(hint, partitions).await?;
        Ok(Self { kafka, db, topic, partitions, ticks, more: more.to_owned() })
    }

    /// A worker makes weir's schema and claims each partition at its start; then the audit can begin. By a plan that is
    /// started again: the group keeps its lanes for it, and would give them to no other before the session is over.
    pub async fn begin_audit(&self, plan: &Plan) -> Result<()> {
        let worker = plan.start()?;
        let claimed = async || {
            let claims = self.db.number("SELECT count(*) FROM weir.position WHERE epoch > 0").await?;
            ensure!(claims == i64::from(self.partitions), "{claims} partitions are claimed");
            Ok(())
        };
        worker.until("a claim of each partition", claimed).await?;
        worker.stop().await?;
        audit::begin(&self.db).await
    }

    /// A worker with the pipeline, and a state folder of its own.
    pub fn plan(&self) -> Result<Plan> {
        let yaml = format!(
            "name: {topic}\ntopics: {topic}\nkey.converter: string\nvalue.converter: json\n\
             value.converter.schemas.enable: false\nconsumer.override.auto.offset.reset: earliest\n\
             transforms:\n  - name: sma\n    type: sma\n    key.field: symbol\n    value.field: price\n    window: {WINDOW}\n\
             connector.class: TimescaleSink\nconnection.url: {url}?sslmode=disable&{signature}\ntable.name.format: averages\n\
             kafka.coordinates: true\n{more}",
            topic = self.topic,
            url = self.db.url(),
            signature = audit::signature(),
            more = self.more,
        );
        let plan = Plan::run(self.kafka.brokers())?.pipeline(&self.topic, &yaml)?;
        Ok(plan.flag("--memory", &format!("{MEMORY_MIB}M")))
    }

    /// The pipeline's name.
    pub fn name(&self) -> &str {
        &self.topic
    }

    /// Begins to send.
    pub fn feed(&self) -> Result<Feed> {
        Feed::start(&self.kafka, &self.topic, self.partitions, self.ticks)
    }

    /// Positions before the first record.
    pub fn start(&self) -> Vec<i64> {
        vec![0; self.partitions as usize]
    }

    /// Where the sink stands now in each partition.
    pub async fn positions(&self) -> Result<Vec<i64>> {
        let rows = self.db.query("SELECT next_offset FROM weir.position ORDER BY partition", &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The offsets passed in all partitions together.
    pub async fn passed(&self) -> Result<i64> {
        Ok(self.positions().await?.iter().sum())
    }

    /// Waits for a commit beyond `before`; what has been passed then.
    pub async fn moves_on(&self, worker: &Worker, before: i64) -> Result<i64> {
        let look = async || {
            let passed = self.passed().await?;
            ensure!(passed > before, "the sink still stands at {passed}");
            Ok(passed)
        };
        self.wait("a commit", worker, look).await
    }

    /// Waits until the sink stands at these ends.
    pub async fn arrived(&self, worker: &Worker, ends: &[i64]) -> Result<()> {
        let look = async || {
            let positions = self.positions().await?;
            ensure!(positions == ends, "the sink stands at {positions:?} of {ends:?}");
            Ok(())
        };
        self.wait("the end of the log in the database", worker, look).await
    }

    async fn wait<T>(&self, what: &str, worker: &Worker, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        let waited = eventually(what, ARRIVAL, look).await;
        waited.with_context(|| format!("the worker's log ends with:\n{}", worker.logs().tail(30)))
    }
}
