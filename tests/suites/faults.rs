//! What breaks while records stream, and that every record becomes its row once all the same: through the real worker,
//! a real broker and a real database. Each suite compares all rows with a calculation of its own, from the log.

mod brittle;
mod broker;
mod checkpoints;
mod compaction;
mod cuts;
mod database;
mod fences;
mod floods;
mod history;
mod log;
mod memory;
mod refusals;
mod replay;
mod silence;
mod swap;
mod topics;
mod traps;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::db::{Db, Session};
use weir_tests::eventually::eventually;
use weir_tests::kafka::{Isolation, Kafka, Producer, Record, Stored};
use weir_tests::worker::{Plan, Worker};

/// Rows of the moving average.
const WINDOW: usize = 5;
/// Longest wait for a stream to arrive.
const ARRIVAL: Duration = Duration::from_secs(120);
/// The table that the pipelines of these suites write.
const TABLE: &str = "
    CREATE TABLE averages (kafka_topic text, kafka_partition int4, kafka_offset int8, symbol text, price float8, sma float8)";

/// A row as it must be, or as it is.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    partition: i32,
    offset: i64,
    symbol: String,
    price: f64,
    sma: Option<f64>,
}

/// A topic of prices, and the database that their averages go to.
struct Stream {
    kafka: Kafka,
    producer: Producer,
    topic: String,
    partitions: i32,
    db: Db,
    /// The pipeline's name.
    name: String,
    sent: u64,
}

impl Stream {
    /// An empty topic with this many partitions, and the empty table.
    async fn start(hint: &str, partitions: i32) -> Result<Self> {
        Self::with_database(Db::postgres(hint).await?, hint, partitions).await
    }

    /// The same into a database of the test's own.
    async fn with_database(db: Db, hint: &str, partitions: i32) -> Result<Self> {
        Self::between(Kafka::from_environment()?, db, hint, partitions).await
    }

    /// The same from a broker of the test's own.
    async fn between(kafka: Kafka, db: Db, hint: &str, partitions: i32) -> Result<Self> {
        db.batch_execute(TABLE).await?;
        let topic = kafka.topic(hint, partitions).await?;
        let producer = kafka.producer_with(&[("linger.ms", "0")])?;
        Ok(Self { kafka, producer, name: topic.clone(), topic, partitions, db, sent: 0 })
    }

    /// The pipeline file: moving averages of each symbol, by a database URL, with more lines at its end.
    fn yaml(&self, url: &str, more: &str) -> String {
        format!(
            "name: {}\ntopics: {}\nvalue.converter: json\nvalue.converter.schemas.enable: false\n\
             transforms:\n  - name: sma\n    type: sma\n    key.field: symbol\n    value.field: price\n    window: {WINDOW}\n\
             consumer.override.auto.offset.reset: earliest\n\
             connector.class: TimescaleSink\nconnection.url: {url}?sslmode=disable\ntable.name.format: averages\n\
             kafka.coordinates: true\n{more}",
            self.name, self.topic
        )
    }

    /// A worker's plan with this pipeline.
    fn plan(&self, url: &str, more: &str) -> Result<Plan> {
        Plan::run(self.kafka.brokers())?.pipeline(&self.name, &self.yaml(url, more))
    }

    /// Sends `count` prices to each partition and waits until they are stored. Prices are quarters, so that sums are exact.
    fn send(&mut self, count: usize) -> Result<()> {
        self.send_priced(count, price)
    }

    /// The same; `price` makes the price of the record of this number.
    fn send_priced(&mut self, count: usize, price: impl Fn(u64) -> f64) -> Result<()> {
        self.queue(count, price)?;
        self.producer.flush()
    }

    /// Sends prices without waiting.
    fn queue(&mut self, count: usize, price: impl Fn(u64) -> f64) -> Result<()> {
        for _ in 0..count {
            for partition in 0..self.partitions {
                let (symbol, price) = (self.sent % 3, price(self.sent));
                self.send_value(partition, &format!(r#"{{"symbol":"S{symbol}","price":{price}}}"#))?;
            }
        }
        Ok(())
    }

    /// Sends any value, without waiting.
    fn send_value(&mut self, partition: i32, value: &str) -> Result<()> {
        self.sent += 1;
        self.producer.send(&self.topic, &Record::new(value).partition(partition))
    }

    /// Waits until the sink stands at the end of every partition.
    async fn arrived(&self, worker: &Worker) -> Result<()> {
        let ends: Vec<i64> = (0..self.partitions)
            .map(|partition| Ok(self.kafka.offsets(&self.topic, partition)?.1))
            .collect::<Result<_>>()?;
        let look = async || {
            let positions = self.positions().await?;
            ensure!(positions == ends, "the sink stands at {positions:?} of {ends:?}");
            Ok(())
        };
        let arrived = eventually("the end of the log in the database", ARRIVAL, look).await;
        arrived.with_context(|| format!("the worker's log ends with:\n{}", worker.logs().tail(30)))
    }

    /// Where the sink stands in each partition that has a position.
    async fn positions(&self) -> Result<Vec<i64>> {
        let sql = format!("SELECT next_offset FROM weir.position WHERE pipeline = '{}' ORDER BY partition", self.name);
        let rows = self.db.query(&sql, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The records of the log.
    fn log(&self) -> Result<Vec<Stored>> {
        self.kafka.read(&self.topic, Isolation::ReadCommitted)
    }

    /// Compares every row with what the whole log gives; `seed` is shown where they differ.
    async fn check(&self, seed: u64) -> Result<()> {
        compare(&expected(&self.log()?), &rows(&self.db).await?, seed)
    }
}

/// Some price.
fn price(number: u64) -> f64 {
    (number * 7 % 4_000) as f64 / 4.0
}

/// Waits until the only task of a stream's pipeline says that it waits, in these words.
async fn waits_for(worker: &Worker, stream: &Stream, told: &str) -> Result<()> {
    let look = async || {
        let status = worker.status(&stream.name).await?;
        let waiting = status["tasks"][0]["waiting"].as_str().unwrap_or_default();
        ensure!(waiting.contains(told), "{status}");
        Ok(())
    };
    worker.until("a status that says what the task waits for", look).await
}

/// Waits until it says nothing of the kind any more.
async fn waits_no_more(worker: &Worker, stream: &Stream) -> Result<()> {
    let look = async || {
        let status = worker.status(&stream.name).await?;
        ensure!(status["tasks"][0]["waiting"].is_null(), "{status}");
        Ok(())
    };
    worker.until("a status of a task that waits for nothing", look).await
}

/// Why the only task of a stream's pipeline has failed.
async fn trace(worker: &Worker, stream: &Stream) -> Result<String> {
    let status = worker.tasks_are(&stream.name, "FAILED").await?;
    Ok(status["tasks"][0]["trace"].as_str().context("a failed task has a trace")?.to_owned())
}

/// The rows that records become: each price with the mean of the last prices of its symbol in its partition.
fn expected<'a>(records: impl IntoIterator<Item = &'a Stored>) -> Vec<Row> {
    expected_of(records, WINDOW)
}

/// The same with a window of so many rows.
fn expected_of<'a>(records: impl IntoIterator<Item = &'a Stored>, length: usize) -> Vec<Row> {
    let mut windows: BTreeMap<(i32, String), VecDeque<f64>> = BTreeMap::new();
    records
        .into_iter()
        .map(|record| {
            let (symbol, price) = read(record);
            let window = windows.entry((record.partition, symbol.clone())).or_default();
            window.push_back(price);
            if window.len() > length {
                window.pop_front();
            }
            // Sums of quarters are exact, so that the quotient is rounded once.
            let sma = (window.len() == length).then(|| window.iter().sum::<f64>() / length as f64);
            Row { partition: record.partition, offset: record.offset, symbol, price, sma }
        })
        .collect()
}

/// Symbol and price of a record that is well-formed.
fn read(record: &Stored) -> (String, f64) {
    let value: serde_json::Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    (value["symbol"].as_str().unwrap().to_owned(), value["price"].as_f64().unwrap())
}

/// The rows of the table, in the order of the log.
async fn rows(session: &Session) -> Result<Vec<Row>> {
    rows_of(session, "averages").await
}

/// The rows of a table like it.
async fn rows_of(session: &Session, table: &str) -> Result<Vec<Row>> {
    let sql = format!("SELECT kafka_partition, kafka_offset, symbol, price, sma FROM {table} ORDER BY 1, 2");
    let row = |row: &tokio_postgres::Row| Row {
        partition: row.get(0),
        offset: row.get(1),
        symbol: row.get(2),
        price: row.get(3),
        sma: row.get(4),
    };
    Ok(session.query(&sql, &[]).await?.iter().map(row).collect())
}

/// Names the rows that are lost, doubled or wrong; passes where there are none.
fn compare(expected: &[Row], found: &[Row], seed: u64) -> Result<()> {
    let by_place = |rows: &[Row]| {
        let mut places: BTreeMap<(i32, i64), Vec<Row>> = BTreeMap::new();
        for row in rows {
            places.entry((row.partition, row.offset)).or_default().push(row.clone());
        }
        places
    };
    let (wanted, stored) = (by_place(expected), by_place(found));
    let lost: Vec<_> = wanted.keys().filter(|place| !stored.contains_key(place)).collect();
    let strange: Vec<_> = stored.keys().filter(|place| !wanted.contains_key(place)).collect();
    let doubled: Vec<_> = stored.iter().filter(|(_, rows)| rows.len() > 1).map(|(place, _)| place).collect();
    let wrong: Vec<_> = wanted.iter().filter(|(place, rows)| stored.get(place).is_some_and(|s| s != *rows)).collect();
    let counts = (lost.len(), strange.len(), doubled.len(), wrong.len());
    ensure!(
        counts == (0, 0, 0, 0),
        "seed {seed}: (lost, strange, doubled, wrong) = {counts:?} of {} rows; first lost {:?}, strange {:?}, doubled {:?}, wrong {:?}",
        expected.len(),
        lost.first(),
        strange.first(),
        doubled.first(),
        wrong.first().map(|(place, rows)| (rows, stored.get(place)))
    );
    ensure!(expected.len() == found.len(), "seed {seed}: {} rows instead of {}", found.len(), expected.len());
    Ok(())
}

/// A number drawn by seed and place: SplitMix64 (Steele, Lea, Flood 2014).
pub fn drawn(seed: u64, place: u64) -> u64 {
    let mixed = seed.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[test]
fn the_comparison_names_what_is_lost_doubled_or_wrong() {
    let row = |offset, price| Row { partition: 0, offset, symbol: "S0".to_owned(), price, sma: None };
    let wanted = [row(0, 1.0), row(1, 2.0)];
    assert!(compare(&wanted, &wanted, 7).is_ok());
    let cases = [
        (vec![row(0, 1.0)], "(1, 0, 0, 0)"),
        (vec![row(0, 1.0), row(1, 2.0), row(2, 3.0)], "(0, 1, 0, 0)"),
        (vec![row(0, 1.0), row(0, 1.0), row(1, 2.0)], "(0, 0, 1, 1)"),
        (vec![row(0, 1.0), row(1, 2.5)], "(0, 0, 0, 1)"),
    ];
    for (found, counts) in cases {
        let sentence = compare(&wanted, &found, 7).unwrap_err().to_string();
        assert!(sentence.starts_with(&format!("seed 7: (lost, strange, doubled, wrong) = {counts}")), "{sentence}");
    }
}
