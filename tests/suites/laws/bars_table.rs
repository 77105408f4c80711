//! Open, high, low, close and volume over the whole path: real Kafka to real PostgreSQL, through workers that end in
//! mid stream; each window of the Python oracle is in the table, once, at the coordinates of the record that fired it.

use anyhow::{Context, Result, ensure};
use weir_tests::db::Db;
use weir_tests::environment::repository;
use weir_tests::kafka::{Kafka, Producer, Record};
use weir_tests::ohlc_cases::{Bar, Case, Expected, Row, Volume, ask, generate};
use weir_tests::worker::{Plan, Worker};

/// Generated streams that are strung together in the partitions, about 100 records each.
const STREAMS: usize = 48;
const PARTITIONS: usize = 2;
/// How often the worker ends before it may finish.
const ENDS: usize = 6;
/// What a row may be ahead of the newest before it where nothing is set: 30 days.
const FUTURE_US: i64 = 30 * 86_400_000_000;
const SETTINGS: [(&str, &str); 3] = [("interval", "40ms"), ("lateness", "20ms"), ("volume.type", "float64")];

/// The streams of one partition, one after the other in time. JSON has no NaN and no infinities: such rows are left out.
fn partition(seed: u64, partition: usize) -> Vec<Row> {
    let cases = generate(seed, 2 * STREAMS).into_iter().filter(|case| !case.is_whole());
    let mut newest_us = 1_790_000_000_000_000_i64;
    let mut rows = Vec::new();
    for case in cases.skip(partition).step_by(PARTITIONS) {
        let shift_us = newest_us - case.rows.first().map_or(0, |row| row.time_us);
        for mut row in case.rows {
            let finite = |volume| matches!(volume, Volume::Double(volume) if volume.is_finite());
            if !row.price.is_none_or(f64::is_finite) || !row.volume.is_none_or(finite) {
                continue;
            }
            row.time_us += shift_us;
            if row.time_us - newest_us <= FUTURE_US {
                newest_us = newest_us.max(row.time_us);
            }
            rows.push(row);
        }
    }
    rows
}

fn value(row: &Row) -> String {
    let price = row.price.map_or_else(|| "null".to_owned(), |price| format!("{price:e}"));
    let volume = match row.volume {
        Some(Volume::Double(volume)) => format!("{volume:e}"),
        _ => "null".to_owned(),
    };
    format!("{{\"price\":{price},\"volume\":{volume},\"ts\":{}}}", row.time_us)
}

fn pipeline(db: &Db, topic: &str) -> String {
    let settings: String = SETTINGS.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
    format!(
        "name: bars\ntopics: {topic}\nkey.converter: string\nvalue.converter: json\n\
         value.converter.schemas.enable: false\nconsumer.override.auto.offset.reset: earliest\nerrors.tolerance: all\n\
         transforms:\n  - name: times\n    type: TimestampConverter\n    field: ts\n    target.type: Timestamp\n    \
         unix.precision: microseconds\n  - name: bars\n    type: ohlc\n    price.field: price\n    \
         volume.field: volume\n    time.field: ts\n{settings}\
         connector.class: TimescaleSink\nconnection.url: {}?sslmode=disable\ntable.name.format: bars\n\
         kafka.coordinates: true\n",
        db.url(),
    )
}

/// A line of the table: partition, offset, and the window.
type Line = (usize, usize, Bar);

/// The windows that the oracle says are in the table, and how many records are errors.
fn expected(partitions: &[Vec<Row>]) -> Result<(Vec<Line>, usize)> {
    let settings = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let case = |rows: &Vec<Row>| Case { settings: settings.clone(), rows: rows.clone() };
    let cases: Vec<Case> = partitions.iter().map(case).collect();
    let answers = ask(&repository().join("plugins/ohlc/oracle/oracle.py"), &cases)?;
    let (mut lines, mut rejected) = (Vec::new(), 0);
    for (partition, (case, answers)) in cases.iter().zip(answers).enumerate() {
        // The last answer is that to the end, which has not come.
        for (offset, answer) in answers.into_iter().take(case.rows.len()).enumerate() {
            match answer {
                Expected::Rejected => rejected += 1,
                Expected::Fired(bars) => lines.extend(bars.into_iter().map(|bar| (partition, offset, bar))),
            }
        }
    }
    Ok((lines, rejected))
}

/// What is in the table, in the order in which it was fired.
async fn written(db: &Db) -> Result<Vec<Line>> {
    let sql = "SELECT kafka_partition, kafka_offset, (extract(epoch FROM window_start) * 1000000)::int8, key, open, \
               high, low, close, volume, count FROM bars ORDER BY 1, 2, 3, key COLLATE \"C\" NULLS FIRST";
    let line = |row: &Vec<Option<String>>| {
        let text = |index: usize| row[index].as_deref().context("a value");
        let price = |index: usize| text(index).and_then(|text| Ok(text.parse::<f64>()?));
        let volume = row[8].as_ref().map(|text| text.parse()).transpose()?;
        let bar = Bar {
            start_us: text(2)?.parse()?,
            key: row[3].clone(),
            prices: [price(4)?, price(5)?, price(6)?, price(7)?],
            volume: volume.map(Volume::Double),
            count: text(9)?.parse()?,
        };
        Ok((text(0)?.parse()?, text(1)?.parse()?, bar))
    };
    db.rows(sql).await?.iter().map(line).collect()
}

fn send(producer: &Producer, topic: &str, partition: usize, rows: &[Row]) -> Result<()> {
    for row in rows {
        let value = value(row);
        let record = Record::new(&value).partition(partition as i32);
        match &row.key {
            Some(key) => producer.send(topic, &record.key(key))?,
            None => producer.send(topic, &record)?,
        }
    }
    producer.flush()
}

/// The offsets that the pipeline has passed, added up.
async fn passed(db: &Db) -> Result<i64> {
    match db.number("SELECT count(*) FROM pg_class WHERE relname = 'position'").await? {
        0 => Ok(0),
        _ => db.number("SELECT coalesce(sum(next_offset), 0) FROM weir.position").await,
    }
}

/// Waits until all that was sent is written.
async fn caught_up(worker: &Worker, db: &Db, sent: usize) -> Result<()> {
    let look = async || {
        let passed = passed(db).await?;
        ensure!(passed == sent as i64, "{passed} of {sent} records are passed");
        Ok(())
    };
    worker.until("everything that was sent", look).await
}

#[tokio::test]
async fn windows_reach_the_table_as_the_oracle_says() -> Result<()> {
    let seed = super::seed();
    let partitions: Vec<Vec<Row>> = (0..PARTITIONS).map(|number| partition(seed, number)).collect();
    let (kafka, db) = (Kafka::from_environment()?, Db::postgres("bars").await?);
    let topic = kafka.topic("bars", PARTITIONS as i32).await?;
    db.batch_execute(
        "CREATE TABLE bars (window_start timestamptz NOT NULL, key text, open float8, high float8, low float8, \
         close float8, volume float8, count int8, kafka_topic text, kafka_partition int4, kafka_offset int8)",
    )
    .await?;
    let plan = Plan::run(kafka.brokers())?.pipeline("bars", &pipeline(&db, &topic))?;
    let producer = kafka.producer()?;
    let mut sent = 0;
    for end in 0..=ENDS {
        let worker = plan.start()?;
        for (number, rows) in partitions.iter().enumerate() {
            let share = rows.len() * end / (ENDS + 1)..rows.len() * (end + 1) / (ENDS + 1);
            send(&producer, &topic, number, &rows[share.clone()])?;
            sent += share.len();
        }
        if end % 2 == 0 {
            caught_up(&worker, &db, sent).await.with_context(|| format!("seed {seed}, worker {end}"))?;
            let ended = worker.stop().await?;
            ensure!(ended.status.success(), "a stopped worker: {}\n{}", ended.status, ended.logs.tail(30));
        } else {
            worker.kill().await?;
        }
    }
    let (expected, rejected) = expected(&partitions)?;
    let found = written(&db).await?;
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "seed {seed}");
    }
    assert_eq!(found.len(), expected.len(), "seed {seed}");
    assert!(expected.len() >= 1_000 && rejected >= 10, "{} windows, {rejected} rejected records", expected.len());
    assert_eq!(db.number("SELECT count(*) FROM weir.decision").await?, rejected as i64, "seed {seed}");
    println!("{} windows of {sent} records agree, {rejected} records are errors", found.len());
    Ok(())
}
