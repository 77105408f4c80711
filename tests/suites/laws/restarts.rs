//! The law of cuts over whole workers: stopped and killed at random places of a stream, at work, while they start and
//! while they replay, they leave the rows that the Python oracle says, each once.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use weir_plugin_sdk::testkit::Chance;
use weir_tests::db::Db;
use weir_tests::environment::repository;
use weir_tests::kafka::{Kafka, Producer, Record};
use weir_tests::sma_cases::{Case, Expected, Row, ask, generate, is_same, share};
use weir_tests::worker::{Plan, Worker};

/// Generated streams that are merged into the topic, about 100 records each.
const STREAMS: usize = 44;
const PARTITIONS: usize = 2;
/// How often the worker ends before it may finish.
const ENDS: usize = 36;

/// A pipeline of the worker, with its table.
struct Average {
    name: &'static str,
    settings: [(&'static str, &'static str); 3],
}

const PIPELINES: [Average; 2] = [
    Average { name: "by_rows", settings: [("window", "20"), ("min.periods", "3"), ("emit", "every")] },
    Average { name: "by_time", settings: [("window", "40ms"), ("lateness", "20ms"), ("emit", "ready")] },
];

impl Average {
    fn settings(&self) -> Vec<(String, String)> {
        self.settings.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    }

    fn yaml(&self, db: &Db, topic: &str) -> String {
        let settings = self.settings.iter().fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "    {key}: {value}");
            text
        });
        format!(
            "name: {name}\ntopics: {topic}\nkey.converter: string\nvalue.converter: json\n\
             value.converter.schemas.enable: false\nconsumer.override.auto.offset.reset: earliest\n\
             errors.tolerance: all\n\
             transforms:\n  - name: times\n    type: TimestampConverter\n    field: ts\n    target.type: Timestamp\n    \
             unix.precision: microseconds\n  - name: average\n    type: sma\n    value.field: price\n    \
             time.field: ts\n    count.field: n\n    sum.field: sum\n{settings}\
             connector.class: TimescaleSink\nconnection.url: {url}?sslmode=disable\n\
             table.name.format: {name}\nkafka.coordinates: true\n",
            name = self.name,
            url = db.url(),
        )
    }
}

/// A record of the topic, and the row that it means; none where its value is no JSON.
struct Sent {
    partition: usize,
    key: Option<String>,
    value: String,
    row: Option<Row>,
}

/// The streams, merged at random; keys are those of one stream, so that each window has its own course.
fn records(seed: u64, chance: &mut Chance) -> Vec<Sent> {
    let mut streams: Vec<_> = generate(seed, STREAMS).into_iter().map(|case| case.rows.into_iter()).collect();
    let mut sent = Vec::new();
    let mut open: Vec<usize> = (0..streams.len()).collect();
    while !open.is_empty() {
        let at = chance.below(open.len());
        match streams[open[at]].next() {
            Some(row) => sent.push(record(open[at], row)),
            None => drop(open.swap_remove(at)),
        }
    }
    sent
}

/// JSON has no NaN and no infinities: those records are malformed, and stay without a row.
fn record(stream: usize, mut row: Row) -> Sent {
    row.key = row.key.map(|key| format!("{stream}{key}"));
    let price = row.value.map_or_else(|| "null".to_owned(), |value| format!("{value:e}"));
    let value = format!("{{\"price\":{price},\"ts\":{}}}", row.time_us);
    let readable = row.value.is_none_or(f64::is_finite);
    Sent { partition: stream % PARTITIONS, key: row.key.clone(), value, row: readable.then_some(row) }
}

/// What lies in the topic, and what the oracle says to it under one pipeline's settings: per record of a partition its
/// answer, none for a malformed one.
fn expected(sent: &[Sent], pipeline: &Average) -> Result<Vec<Vec<Option<Expected>>>> {
    let of = |partition| sent.iter().filter(move |record| record.partition == partition);
    let rows = |partition| of(partition).filter_map(|record| record.row.clone()).collect();
    let cases: Vec<Case> =
        (0..PARTITIONS).map(|partition| Case { settings: pipeline.settings(), rows: rows(partition) }).collect();
    let answers = ask(&repository().join("plugins/sma/oracle/oracle.py"), &cases)?;
    let merge = |(partition, answers): (usize, Vec<Expected>)| {
        let mut answers = answers.into_iter();
        of(partition).map(|record| record.row.as_ref().and_then(|_| answers.next())).collect()
    };
    Ok(answers.into_iter().enumerate().map(merge).collect())
}

/// The worker, its topic and its tables.
struct Stage {
    db: Db,
    topic: String,
    producer: Producer,
    plan: Plan,
    records: Vec<Sent>,
    sent: usize,
}

impl Stage {
    async fn set(records: Vec<Sent>) -> Result<Self> {
        let (kafka, db) = (Kafka::from_environment()?, Db::postgres("restarts").await?);
        let topic = kafka.topic("restarts", PARTITIONS as i32).await?;
        let mut plan = Plan::run(kafka.brokers())?;
        for pipeline in &PIPELINES {
            let columns = "ts timestamptz, price float8, sma float8, n int8, sum float8, kafka_topic text, \
                           kafka_partition int4, kafka_offset int8";
            db.batch_execute(&format!("CREATE TABLE {} ({columns})", pipeline.name)).await?;
            plan = plan.pipeline(pipeline.name, &pipeline.yaml(&db, &topic))?;
        }
        Ok(Self { db, topic, producer: kafka.producer()?, plan, records, sent: 0 })
    }

    /// Sends the next records, and waits until the broker has them.
    fn send(&mut self, count: usize) -> Result<()> {
        let until = self.records.len().min(self.sent + count);
        for record in &self.records[self.sent..until] {
            let outgoing = Record::new(&record.value).partition(record.partition as i32);
            match &record.key {
                Some(key) => self.producer.send(&self.topic, &outgoing.key(key))?,
                None => self.producer.send(&self.topic, &outgoing)?,
            }
        }
        self.sent = until;
        self.producer.flush()
    }

    /// The offsets that all pipelines have passed, added up.
    async fn passed(&self) -> Result<i64> {
        let exists = self.db.number("SELECT count(*) FROM pg_class WHERE relname = 'position'").await?;
        match exists {
            0 => Ok(0),
            _ => self.db.number("SELECT coalesce(sum(next_offset), 0) FROM weir.position").await,
        }
    }

    /// Waits until more than `before` has been passed.
    async fn moves_on(&self, worker: &Worker, before: i64) -> Result<()> {
        worker
            .until("a position that moves", async || {
                let passed = self.passed().await?;
                ensure!(passed > before, "it stands at {passed}");
                Ok(())
            })
            .await
    }

    /// One worker from its start to an end in the middle of the stream.
    async fn ended_worker(&mut self, chance: &mut Chance, share: usize) -> Result<()> {
        let before = self.passed().await?;
        let worker = self.plan.start()?;
        // Half of the records while it runs, in small pieces, so that flushes are small and the end falls anywhere.
        self.send(share / 2)?;
        if !chance.one_in(4) {
            self.moves_on(&worker, before).await?;
        }
        let pieces = 1 + chance.below(12);
        for _ in 0..pieces {
            self.send(share / 2 / pieces)?;
        }
        if chance.one_in(2) {
            let ended = worker.stop().await?;
            ensure!(ended.status.success(), "a stopped worker: {}\n{}", ended.status, ended.logs.tail(30));
        } else {
            worker.kill().await?;
        }
        Ok(())
    }

    /// A last worker, until everything is written.
    async fn finish(&mut self) -> Result<()> {
        self.send(self.records.len())?;
        let worker = self.plan.start()?;
        let all = (self.records.len() * PIPELINES.len()) as i64;
        self.moves_on(&worker, all - 1).await?;
        let ended = worker.stop().await?;
        ensure!(ended.status.success(), "the last worker: {}\n{}", ended.status, ended.logs.tail(30));
        Ok(())
    }

    /// Compares a pipeline's table with the oracle, row by row; returns the number of rows.
    async fn compare(&self, pipeline: &Average) -> Result<usize> {
        let expected = expected(&self.records, pipeline)?;
        let sql = format!(
            "SELECT kafka_partition, kafka_offset, sma, n, sum FROM {} ORDER BY kafka_partition, kafka_offset",
            pipeline.name
        );
        let written = self.db.rows(&sql).await?;
        let place = |partition| move |(offset, answer): (usize, &Option<Expected>)| (partition, offset, *answer);
        let rows = expected.iter().enumerate().flat_map(|(partition, answers)| {
            let answers = answers.iter().enumerate().map(place(partition));
            answers.filter(|(_, _, answer)| !matches!(answer, None | Some(Expected::Dropped)))
        });
        let rows: Vec<_> = rows.collect();
        for ((partition, offset, answer), row) in rows.iter().zip(&written) {
            let wanted = [Some(partition.to_string()), Some(offset.to_string())];
            ensure!(row[..2] == wanted, "{}: {row:?} where {partition}/{offset} is due", pipeline.name);
            ensure!(is_answer(&row[2..], *answer)?, "{}: {row:?} is not {answer:?}", pipeline.name);
        }
        ensure!(rows.len() == written.len(), "{}: {} rows, {} are due", pipeline.name, written.len(), rows.len());
        Ok(written.len())
    }
}

/// Whether mean, count and sum as the database prints them are the oracle's.
fn is_answer(row: &[Option<String>], answer: Option<Expected>) -> Result<bool> {
    let Some(Expected::Row { mean, count, sum }) = answer else { return Ok(false) };
    let double = |text: &Option<String>| text.as_ref().map(|text| text.parse::<f64>()).transpose();
    let whole = row[1].as_ref().map(|text| text.parse::<i64>()).transpose()?;
    Ok(is_same(double(&row[0])?, mean) && whole == count && is_same(double(&row[2])?, sum))
}

#[tokio::test]
async fn workers_that_are_stopped_and_killed_leave_what_fractions_say() -> Result<()> {
    let begun = Instant::now();
    let seed = super::seed();
    let mut chance = Chance::new(seed);
    let records = records(seed, &mut chance);
    let malformed = records.iter().filter(|record| record.row.is_none()).count();
    let late = share(&generate(seed, STREAMS), |_, row| row.is_late);
    println!("{} records, {malformed} malformed, {late:.0} % late", records.len());
    assert!(records.len() >= 4_000 && malformed >= 100 && late >= 5.0);
    let mut stage = Stage::set(records).await?;
    let share = stage.records.len() / ENDS;
    for end in 0..ENDS {
        stage.ended_worker(&mut chance, share).await.with_context(|| format!("seed {seed}, worker {end}"))?;
    }
    stage.finish().await.with_context(|| format!("seed {seed}"))?;
    let mut rows = 0;
    for pipeline in &PIPELINES {
        rows += stage.compare(pipeline).await.with_context(|| format!("seed {seed}"))?;
    }
    let decisions = stage.db.number("SELECT count(*) FROM weir.decision").await?;
    assert_eq!(decisions, (malformed * PIPELINES.len()) as i64, "each malformed record is decided once");
    let plans = ENDS * PIPELINES.len();
    println!(
        "{plans} plans ({ENDS} workers ended, {} pipelines), {rows} rows agree, {:?}",
        PIPELINES.len(),
        begun.elapsed()
    );
    Ok(())
}
