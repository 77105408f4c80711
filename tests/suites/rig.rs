//! The rig tells the truth: what it sends arrives, what it cuts is cut where it says. The other suites lean on this.

mod kafka;
mod link;
mod proxy;
mod worker;

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use futures_util::SinkExt;
use weir_tests::db::{Db, Session, sqlstate};
use weir_tests::eventually::eventually;
use weir_tests::logs::{Line, Logs};
use weir_tests::rest;
use weir_tests::worker::free_port;

/// Copies `lines` (text format, tab between columns) into `table`; the transaction, if any, stays open.
async fn copy(session: &Session, table: &str, lines: &[String]) -> Result<u64> {
    let mut sink = Box::pin(session.copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN")).await?);
    for line in lines {
        sink.send(Bytes::from(format!("{line}\n"))).await?;
    }
    Ok(sink.as_mut().finish().await?)
}

#[tokio::test]
async fn eventually_returns_what_comes_to_hold_and_names_what_does_not() -> Result<()> {
    let mut looks = 0;
    let third = eventually("the third look", Duration::from_secs(10), async || {
        looks += 1;
        ensure!(looks >= 3, "only {looks}");
        Ok(looks)
    });
    assert_eq!(third.await?, 3);
    let never = eventually("rain", Duration::from_millis(60), async || Err::<(), _>(anyhow!("the sky is blue"))).await;
    assert_eq!(format!("{:#}", never.unwrap_err()), "rain did not come to hold within 60ms: the sky is blue");
    Ok(())
}

#[tokio::test]
async fn databases_of_postgres_are_apart_and_durable() -> Result<()> {
    let (one, other) = (Db::postgres("apart").await?, Db::postgres("apart").await?);
    for db in [&one, &other] {
        let table = db.table("t");
        db.batch_execute(&format!("CREATE SCHEMA {}; CREATE TABLE {table} (x int8)", db.weir_schema())).await?;
        assert_eq!(copy(db, &table, &["1".to_owned(), "2".to_owned()]).await?, 2);
    }
    assert_eq!(one.count("t").await?, 2);
    assert_eq!(one.value("SHOW fsync").await?, "on");
    assert_eq!(one.rows("SELECT 0; SELECT x, NULL FROM t ORDER BY x").await?[1], [Some("2".to_owned()), None]);
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_the_right_one_is_not() -> Result<()> {
    let mut address = Db::postgres("secured").await?.address().clone();
    address.user = "secured".to_owned();
    for (password, enters) in [("right", true), ("wrong", false), ("", false)] {
        address.password = password.to_owned();
        assert_eq!(address.connect().await.is_ok(), enters, "password '{password}'");
    }
    Ok(())
}

#[tokio::test]
async fn timescale_has_hypertables_and_copies_in_pipelined_transactions() -> Result<()> {
    let db = Db::timescale("hyper").await?;
    let table = db.table("ticks");
    db.batch_execute(&format!(
        "CREATE TABLE {table} (ts timestamptz NOT NULL, x int8); SELECT create_hypertable('{table}', by_range('ts'))"
    ))
    .await?;
    let lines: Vec<String> = (0..10_000).map(|x| format!("2026-01-01 00:00:00.{x:04}+00\t{x}")).collect();
    let (begun, copied) = tokio::join!(db.batch_execute("BEGIN"), copy(&db, &table, &lines));
    begun?;
    assert_eq!(copied?, 10_000);
    db.batch_execute("COMMIT").await?;
    let other = db.address().connect().await?;
    assert_eq!(other.value(&format!("SELECT sum(x) FROM {table}")).await?, "49995000");
    let refused = copy(&db, &table, &["no date\t1".to_owned()]).await;
    assert_eq!(sqlstate(&refused.unwrap_err()), Some("22007"));
    assert_eq!(db.count(&table).await?, 10_000, "the connection goes on after a refused COPY");
    Ok(())
}

#[tokio::test]
async fn two_connections_take_turns_on_timescale() -> Result<()> {
    let db = Db::timescale("turns").await?;
    let table = db.table("t");
    db.batch_execute(&format!("CREATE TABLE {table} (x int8)")).await?;
    let other = db.address().connect().await?;
    db.batch_execute(&format!("BEGIN; INSERT INTO {table} VALUES (1)")).await?;
    let (counted, committed) = tokio::join!(other.count(&table), db.batch_execute("COMMIT"));
    committed?;
    assert_eq!(counted?, 1, "the other one waits for the end of the transaction");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_dies_in_a_transaction_leaves_nothing_on_timescale() -> Result<()> {
    let db = Db::timescale("dies").await?;
    let table = db.table("t");
    db.batch_execute(&format!("CREATE TABLE {table} (x int8)")).await?;
    let dying = db.address().connect().await?;
    dying.batch_execute(&format!("BEGIN; INSERT INTO {table} VALUES (1)")).await?;
    drop(dying);
    assert_eq!(db.count(&table).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() -> Result<()> {
    let nobody = format!("127.0.0.1:{}", free_port()?);
    assert!(rest::get(&nobody, "/health").await.is_err());
    Ok(())
}

#[test]
fn logs_tell_levels_messages_and_plain_sentences() {
    let written = concat!(
        r#"{"level":"INFO","fields":{"message":"claimed","lane":3}}"#,
        "\n",
        r#"{"level":"WARN","message":"slow","ms":12}"#,
        "\n",
        "no such file\n"
    );
    let (logs, reader) = Logs::follow(written.as_bytes());
    reader.join().unwrap();
    let lines = logs.lines();
    assert_eq!(lines.iter().map(Line::message).collect::<Vec<_>>(), ["claimed", "slow", "no such file"]);
    assert_eq!(lines[0].field("lane").unwrap(), 3);
    assert_eq!(lines[1].field("ms").unwrap(), 12);
    assert_eq!(logs.complaints().len(), 2);
    assert_eq!(logs.with("claimed").len(), 1);
    assert_eq!(logs.tail(1), "no such file");
}
