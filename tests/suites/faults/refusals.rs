//! Rows that the database refuses and that no encoder can know: each costs one more attempt, is named, and takes nothing
//! else with it.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::logs::Line;
use weir_tests::worker::Worker;

use super::{Row, Stream, compare, expected, rows};

/// Constraints whose refusals PostgreSQL names by their line: a CHECK, a unique index, a trigger.
const NAMED: &str = "
    ALTER TABLE averages ADD CONSTRAINT positive CHECK (price >= 0);
    CREATE UNIQUE INDEX alone ON averages (price) WHERE price > 5000;
    INSERT INTO averages (kafka_partition, kafka_offset, symbol, price) VALUES (-1, 0, 'first', 6000);
    CREATE FUNCTION whole() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'no price of %', NEW.price USING ERRCODE = 'check_violation', CONSTRAINT = 'whole'; END $$;
    CREATE TRIGGER whole BEFORE INSERT ON averages FOR EACH ROW WHEN (NEW.price = 4999.5) EXECUTE FUNCTION whole()";

/// A constraint that is checked at COMMIT, for which PostgreSQL names no line.
const DEFERRED: &str = "
    CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'price % is late', NEW.price USING ERRCODE = 'check_violation'; END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON averages DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW WHEN (NEW.price < 0) EXECUTE FUNCTION late()";

/// A trigger that sees all rows of the COPY at once, behind them.
const STATEMENT: &str = "
    CREATE FUNCTION all_at_once() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF EXISTS (SELECT FROM fresh WHERE price < 0) THEN
          RAISE EXCEPTION 'a price below zero' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
      END $$;
    CREATE TRIGGER all_at_once AFTER INSERT ON averages REFERENCING NEW TABLE AS fresh
      FOR EACH STATEMENT EXECUTE FUNCTION all_at_once()";

/// What the refused rows of a flush must come to.
struct Case {
    sql: &'static str,
    /// Records per partition; there are two.
    records: usize,
    /// Numbers of the bad records and their prices, with a part of the decision's detail.
    bad: &'static [(u64, f64, &'static str)],
}

/// One flush of all records, of which some are refused: they cost an attempt each.
async fn run(case: &Case) -> Result<()> {
    let mut stream = Stream::start("refused", 2).await?;
    stream.db.batch_execute(case.sql).await?;
    let before = rows(&stream.db).await?.len();
    let price = |number| {
        let bad = case.bad.iter().find(|(at, _, _)| *at == number);
        bad.map_or((number % 1_000) as f64 / 4.0, |(_, price, _)| *price)
    };
    stream.send_priced(case.records, price)?;
    // The flush waits for all records: it goes when it is full, or when nothing has come for long.
    let linger = if case.records == 50_000 { 60_000 } else { 1_500 };
    let more = format!("errors.tolerance: all\nerrors.log.enable: true\nlinger.ms: {linger}\n");
    let worker = stream.plan(&stream.db.url(), &more)?.flag("--memory", "1G").start()?;
    stream.arrived(&worker).await?;
    check_rows(&stream, case, before).await?;
    check_decisions(&stream, case).await?;
    check_metrics(&stream, &worker, case).await?;
    check_log(&stream, &worker, case);
    worker.stop().await?;
    Ok(())
}

/// Every other record is there once, with the mean that the refused ones have their part in.
async fn check_rows(stream: &Stream, case: &Case, before: usize) -> Result<()> {
    let places = places(stream, case)?;
    let mut wanted = expected(&stream.log()?);
    wanted.retain(|row| !places.contains(&(row.partition, row.offset)));
    let mut found = rows(&stream.db).await?;
    found.drain(..before);
    compare(&wanted, &found, 0)
}

/// Partition and offset of each bad record.
fn places(stream: &Stream, case: &Case) -> Result<BTreeSet<(i32, i64)>> {
    let is_bad = |row: &Row| case.bad.iter().any(|(_, price, _)| price.to_bits() == row.price.to_bits());
    let places: BTreeSet<_> =
        expected(&stream.log()?).iter().filter(|row| is_bad(row)).map(|row| (row.partition, row.offset)).collect();
    ensure!(places.len() == case.bad.len(), "{places:?}");
    Ok(places)
}

async fn check_decisions(stream: &Stream, case: &Case) -> Result<()> {
    let sql = "SELECT partition, at_offset, kind, stage, detail FROM weir.decision ORDER BY partition, at_offset";
    let decided = stream.db.query(sql, &[]).await?;
    let found: BTreeSet<(i32, i64)> = decided.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, places(stream, case)?);
    assert_eq!(decided.len(), case.bad.len());
    for row in &decided {
        assert_eq!((row.get::<_, &str>(2), row.get::<_, i16>(3)), ("refused", i16::MAX));
    }
    for (_, _, part) in case.bad {
        let named = decided.iter().any(|row| row.get::<_, &str>(4).contains(part));
        assert!(named, "no decision says {part}: {decided:?}");
    }
    Ok(())
}

/// k refused rows cost at most k + 1 attempts more than the flushes that were committed.
async fn check_metrics(stream: &Stream, worker: &Worker, case: &Case) -> Result<()> {
    let of_pipeline = |name: &str| format!("{name}{{pipeline=\"{}\"}}", stream.name);
    let errors = |partition: i32| {
        let (pipeline, topic) = (&stream.name, &stream.topic);
        format!("weir_record_errors_total{{partition=\"{partition}\",pipeline=\"{pipeline}\",topic=\"{topic}\"}}")
    };
    let number = async |sample: &str| anyhow::Ok(worker.metric(sample).await? as usize);
    let refused = case.bad.len();
    let counted = async || {
        let skipped = number(&errors(0)).await? + number(&errors(1)).await?;
        ensure!(skipped == refused, "{skipped} errors are counted");
        Ok(())
    };
    worker.until("the count of refused rows", counted).await?;
    let flushes = number(&of_pipeline("weir_flushes_total")).await?;
    let retries = number(&of_pipeline("weir_flush_attempts_total")).await? - flushes;
    assert!(flushes >= 1 && retries <= refused + 1, "{flushes} flushes, {retries} retries, {refused} refused rows");
    if case.records == 50_000 {
        assert_eq!(flushes, 1, "all records are one flush");
    }
    Ok(())
}

/// Every refused row is logged with topic, partition and offset.
fn check_log(stream: &Stream, worker: &Worker, case: &Case) {
    let skipped = worker.logs().with("record skipped");
    assert_eq!(skipped.len(), case.bad.len());
    let number = |line: &Line, name: &str| line.field(name).and_then(Value::as_i64).unwrap();
    let named: BTreeSet<(i32, i64)> =
        skipped.iter().map(|line| (number(line, "partition") as i32, number(line, "offset"))).collect();
    assert_eq!(named, places(stream, case).unwrap());
    for line in &skipped {
        assert_eq!(line.field("topic").and_then(Value::as_str), Some(stream.topic.as_str()));
    }
}

#[tokio::test]
async fn rows_that_the_database_names_cost_one_attempt_each() -> Result<()> {
    let bad = &[
        (0, -1.0, "positive"),
        (5, 6000.0, "alone"),
        (7, 4999.5, "no price of 4999.5"),
        (40_001, -2.0, "positive"),
        (50_000, -3.0, "positive"),
        (50_001, -4.0, "positive"),
        (70_000, -5.0, "positive"),
        (99_998, -6.0, "positive"),
        (99_999, -7.0, "positive"),
    ];
    run(&Case { sql: NAMED, records: 50_000, bad }).await
}

#[tokio::test]
async fn rows_that_the_database_refuses_at_commit_are_found() -> Result<()> {
    let bad = &[(3, -1.0, "price -1 is late"), (50_004, -2.0, "price -2 is late"), (99_999, -3.0, "price -3 is late")];
    run(&Case { sql: DEFERRED, records: 50_000, bad }).await
}

#[tokio::test]
async fn rows_that_a_trigger_refuses_behind_the_copy_are_found() -> Result<()> {
    let bad = &[(0, -1.0, "a price below zero"), (1_001, -2.0, "below zero"), (1_999, -3.0, "below zero")];
    run(&Case { sql: STATEMENT, records: 1_000, bad }).await
}

/// Without tolerance the task fails, and status and log name the record, the column or constraint, and the cause.
async fn fails(sql: &str, value: &str, words: &[&str]) -> Result<()> {
    let mut stream = Stream::start("strict", 2).await?;
    stream.send(3)?;
    let worker = stream.plan(&stream.db.url(), "")?.start()?;
    stream.arrived(&worker).await?;
    stream.db.batch_execute(sql).await?;
    let before = stream.positions().await?;
    stream.send_value(1, value)?;
    stream.producer.flush()?;
    let status = worker.tasks_are(&stream.name, "FAILED").await?;
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    let place = format!("the row of topic {}, partition 1, offset 3", stream.topic);
    let line = worker.logs().with("task failed").pop().unwrap();
    assert_eq!(line.level(), "ERROR");
    for word in words.iter().copied().chain([place.as_str(), "errors.tolerance: all"]) {
        assert!(trace.contains(word), "{word} is not in the trace: {trace}");
        assert!(line.text.contains(word), "{word} is not in the log: {}", line.text);
    }
    assert_eq!(stream.positions().await?, before, "nothing of the flush is written");
    compare(&expected(stream.log()?.iter().filter(|record| record.offset < 3)), &rows(&stream.db).await?, 0)
}

#[tokio::test]
async fn without_tolerance_the_task_fails_and_names_the_row() -> Result<()> {
    let check = "ALTER TABLE averages ADD CONSTRAINT positive CHECK (price >= 0)";
    let narrow = "ALTER TABLE averages ALTER symbol TYPE varchar(2)";
    let value = r#"{"symbol":"S1","price":-1}"#;
    fails(check, value, &["violates check constraint", "positive", "23514"]).await?;
    fails(narrow, r#"{"symbol":"S11","price":1}"#, &["offset 3, column symbol: value too long", "22001"]).await?;
    fails(DEFERRED, value, &["price -1 is late", "23514"]).await
}
