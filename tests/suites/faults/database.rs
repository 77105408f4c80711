//! The database ends sessions, and crashes: the worker goes on by itself, and nothing is lost or doubled.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::db::Db;
use weir_tests::eventually::eventually;
use weir_tests::postgres::Server;
use weir_tests::worker::Worker;

use super::{ARRIVAL, Stream};

/// Waits until more is committed than was before.
async fn moves_on(stream: &Stream, worker: &Worker, before: &[i64]) -> Result<()> {
    let look = async || {
        let now = stream.positions().await?;
        ensure!(now.iter().sum::<i64>() > before.iter().sum(), "still at {now:?}");
        Ok(())
    };
    let moved = eventually("a commit after the fault", ARRIVAL, look).await;
    moved.with_context(|| format!("the worker's log ends with:\n{}", worker.logs().tail(20)))
}

/// Ends the worker's sessions once and again while records stream.
async fn terminate(rounds: usize) -> Result<()> {
    let mut stream = Stream::start("terminated", 2).await?;
    let worker = stream.plan(&stream.db.url(), "")?.start()?;
    stream.send(10)?;
    stream.arrived(&worker).await?;
    let mut ended = 0;
    for round in 0..rounds {
        let before = stream.positions().await?;
        // At rest, or while it writes.
        if round % 2 == 0 {
            stream.send(2_000)?;
        }
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE application_name LIKE 'weir%' AND datname = current_database()";
        ended += stream.db.number(sql).await?;
        stream.send(20)?;
        moves_on(&stream, &worker, &before).await?;
    }
    stream.arrived(&worker).await?;
    assert!(ended >= rounds as i64 / 2, "only {ended} sessions were there to be ended");
    worker.tasks_are(&stream.name, "RUNNING").await?;
    stream.check(0).await
}

#[tokio::test]
async fn sessions_that_the_database_ends_come_back() -> Result<()> {
    terminate(20).await
}

/// Crashes the server at random places of a stream.
async fn crash(rounds: usize) -> Result<()> {
    let mut server = Server::start().await?;
    let db = Db::on(server.address(), "crashed").await?;
    let mut stream = Stream::with_database(db, "crashed", 2).await?;
    let worker = stream.plan(&stream.db.url(), "")?.start()?;
    stream.send(10)?;
    stream.arrived(&worker).await?;
    for _ in 0..rounds {
        // It is at work on these when the server crashes, and meets the last ones without it.
        stream.send(3_000)?;
        server.crash()?;
        stream.send(20)?;
        let look = async || {
            let status = worker.status(&stream.name).await?;
            let waiting = status["tasks"][0].get("waiting").and_then(|text| text.as_str()).unwrap_or_default();
            ensure!(waiting.contains("weir keeps trying"), "{status}");
            Ok(())
        };
        worker.until("a status that says what the task waits for", look).await?;
        server.serve().await?;
        stream.db.reconnect().await?;
        stream.arrived(&worker).await?;
    }
    worker.tasks_are(&stream.name, "RUNNING").await?;
    stream.check(0).await
}

#[tokio::test]
async fn a_crash_of_the_database_loses_and_doubles_nothing() -> Result<()> {
    crash(3).await
}

mod long {
    use super::*;

    #[tokio::test]
    async fn crash_after_crash_loses_and_doubles_nothing() -> Result<()> {
        terminate(200).await?;
        crash(15).await
    }
}

/// A server that is not there is looked for again and again, ever more seldom.
#[tokio::test]
async fn a_database_that_is_away_for_a_while_is_waited_for() -> Result<()> {
    let mut server = Server::start().await?;
    let db = Db::on(server.address(), "away").await?;
    let mut stream = Stream::with_database(db, "away", 2).await?;
    server.crash()?;
    let worker = stream.plan(&stream.db.url(), "")?.start()?;
    stream.send(100)?;
    let look = async || {
        let said = worker.logs().with("waiting: connect to database");
        ensure!(!said.is_empty(), "nothing said yet");
        Ok(())
    };
    eventually("a word about the database", Duration::from_secs(20), look).await?;
    server.serve().await?;
    stream.db.reconnect().await?;
    stream.arrived(&worker).await?;
    stream.check(0).await
}
