//! The database ends sessions, and crashes: the worker goes on by itself, and nothing is lost or doubled.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_tests::db::{Address, Db};
use weir_tests::eventually::{eventually, reached};
use weir_tests::postgres::Server;
use weir_tests::worker::Worker;

use super::{ARRIVAL, Stream, waits_for};

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
        waits_for(&worker, &stream, "weir keeps trying").await?;
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

    #[tokio::test]
    async fn a_minute_of_each_is_waited_for_too() -> Result<()> {
        go_through("cured_late", Duration::from_secs(61)).await
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

/// A state of the database that passes: what begins it and what ends it.
struct Trouble {
    begins: String,
    ends: String,
    /// What the task's status says meanwhile; None = nothing, where it does not last.
    told: Option<&'static str>,
}

/// `role` is whom the worker is to the database; its sessions are ended where a state is met at their beginning.
fn troubles(role: &str) -> [Trouble; 4] {
    let trouble = |begins: String, ends: &str, told| Trouble { begins, ends: ends.replace("ROLE", role), told };
    let ended = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    [
        trouble(
            format!("ALTER ROLE {role} CONNECTION LIMIT 0; {ended}"),
            "ALTER USER ROLE CONNECTION LIMIT -1",
            Some("too many connections"),
        ),
        trouble(
            format!("ALTER ROLE {role} SET default_transaction_read_only = on; {ended}"),
            "ALTER USER ROLE RESET default_transaction_read_only",
            Some("weir keeps trying"),
        ),
        // A disk cannot be filled for one test alone: a trigger says what the server would.
        trouble(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
             CREATE TRIGGER full_disk BEFORE INSERT ON averages EXECUTE FUNCTION full_disk()"
                .to_owned(),
            "DROP TRIGGER full_disk ON averages",
            Some("could not extend file"),
        ),
        trouble("BEGIN; LOCK TABLE averages IN ACCESS EXCLUSIVE MODE".to_owned(), "COMMIT", None),
    ]
}

/// Lets each state last for so long while records stream; the worker stays within its memory.
async fn go_through(hint: &str, lasting: Duration) -> Result<()> {
    let mut stream = Stream::start(hint, 2).await?;
    let role = stream.name.replace('-', "_");
    let operator = stream.db.address().connect().await?;
    operator
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD '{role}'; GRANT ALL ON averages TO {role};
             DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {role}', current_database()); END $$"
        ))
        .await?;
    let worker_s = Address { user: role.clone(), password: role.clone(), ..stream.db.address().clone() };
    let more = format!("connection.password: {role}\n");
    let worker = stream.plan(&worker_s.url(), &more)?.flag("--memory", "256M").start()?;
    for Trouble { begins, ends, told } in troubles(&role) {
        stream.send(200)?;
        stream.arrived(&worker).await?;
        operator.batch_execute(&begins).await?;
        let over = Instant::now() + lasting;
        stream.send(2_000)?;
        if let Some(told) = told {
            waits_for(&worker, &stream, told).await?;
        }
        reached(over).await;
        operator.batch_execute(&ends).await?;
        stream.arrived(&worker).await.with_context(|| begins)?;
        worker.tasks_are(&stream.name, "RUNNING").await?;
    }
    stream.check(0).await?;
    let peak = worker.rss_peak_bytes()?;
    ensure!(peak < 256 << 20, "the worker took {peak} bytes");
    drop(worker);
    Ok(operator.batch_execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await?)
}

#[tokio::test]
async fn what_the_database_may_cure_is_waited_for() -> Result<()> {
    go_through("cured", Duration::from_secs(2)).await
}
