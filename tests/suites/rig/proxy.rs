//! The proxy cuts COMMIT on the side it says, in both protocols, and leaves everything else alone.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;
use weir_tests::db::{Db, Session, sqlstate};
use weir_tests::eventually::eventually;
use weir_tests::proxy::{Fault, Proxy};
use weir_tests::wire::Commit;

use super::copy;

/// How a client says COMMIT.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    Simple,
    Prepared,
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Simple, Protocol::Prepared];

async fn place() -> Result<Db> {
    let db = Db::postgres("proxied").await?;
    db.batch_execute("CREATE TABLE t (x int8)").await?;
    Ok(db)
}

async fn through(db: &Db, proxy: &Proxy) -> Result<Session> {
    db.address().through(proxy.authority())?.connect().await
}

/// One transaction: BEGIN and COPY in one go, as the sink sends them, then COMMIT.
async fn flush(session: &Session, lines: &[String], protocol: Protocol) -> Result<()> {
    let (begun, copied) = tokio::join!(session.batch_execute("BEGIN"), copy(session, "t", lines));
    begun?;
    copied?;
    match protocol {
        Protocol::Simple => session.batch_execute("COMMIT").await?,
        Protocol::Prepared => drop(session.execute("COMMIT", &[]).await?),
    }
    Ok(())
}

fn line(x: usize) -> Vec<String> {
    vec![x.to_string()]
}

#[tokio::test]
async fn a_transparent_proxy_changes_nothing() -> Result<()> {
    let db = place().await?;
    let proxy = Proxy::transparent(&db.address().authority()).await?;
    let session = through(&db, &proxy).await?;
    let lines: Vec<String> = (0..100_000).map(|x| x.to_string()).collect();
    for protocol in PROTOCOLS {
        flush(&session, &lines, protocol).await?;
    }
    let wide = "x".repeat(3 << 20);
    assert_eq!(session.value(&format!("SELECT length('{wide}')")).await?, (3 << 20).to_string());
    assert_eq!(db.value("SELECT count(*) || ' ' || sum(x) FROM t").await?, "200000 9999900000");
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.commits, counts.copy_commits, counts.faults), (1, 2, 2, 0));
    Ok(())
}

#[tokio::test]
async fn every_third_commit_is_cut_on_the_side_that_the_plan_names() -> Result<()> {
    for protocol in PROTOCOLS {
        for (fault, stays) in [(Fault::CutBefore, false), (Fault::CutAfter, true)] {
            let db = place().await?;
            let plan = move |commit: Commit| {
                if commit.number.is_multiple_of(3) { fault } else { Fault::Pass }
            };
            let proxy = Proxy::start(&db.address().authority(), plan).await?;
            let mut session = through(&db, &proxy).await?;
            let mut expected = Vec::new();
            for x in 1..=12 {
                let failed = flush(&session, &line(x), protocol).await.is_err();
                assert_eq!(failed, x % 3 == 0, "{protocol:?} {fault:?} {x}");
                if failed {
                    session = through(&db, &proxy).await?;
                }
                if !failed || stays {
                    expected.push(vec![Some(x.to_string())]);
                }
            }
            assert_eq!(db.rows("SELECT x FROM t ORDER BY x").await?, expected, "{protocol:?} {fault:?}");
            assert_eq!(proxy.counts().faults, 4);
        }
    }
    Ok(())
}

#[tokio::test]
async fn only_transactions_that_copied_have_a_copy_number() -> Result<()> {
    static SEEN: Mutex<Vec<Commit>> = Mutex::new(Vec::new());
    let db = place().await?;
    let note = |commit| {
        SEEN.lock().unwrap().push(commit);
        Fault::Pass
    };
    let proxy = Proxy::start(&db.address().authority(), note).await?;
    let session = through(&db, &proxy).await?;
    session.batch_execute("BEGIN; INSERT INTO t VALUES (1); COMMIT").await?;
    flush(&session, &line(2), Protocol::Simple).await?;
    session.batch_execute("BEGIN; SELECT 'commit'; end").await?;
    flush(&session, &line(3), Protocol::Prepared).await?;
    let seen: Vec<_> = SEEN.lock().unwrap().iter().map(|commit| (commit.number, commit.copy_number)).collect();
    assert_eq!(seen, [(1, None), (2, Some(1)), (3, None), (4, Some(2))]);
    Ok(())
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_is_cut_and_not_the_next_one() -> Result<()> {
    for protocol in PROTOCOLS {
        let db = Db::postgres("deferred").await?;
        db.batch_execute("CREATE TABLE t (x int8 UNIQUE DEFERRABLE INITIALLY DEFERRED)").await?;
        let plan = |commit: Commit| {
            if commit.number == 2 { Fault::CutAfter } else { Fault::Pass }
        };
        let proxy = Proxy::start(&db.address().authority(), plan).await?;
        let session = through(&db, &proxy).await?;
        flush(&session, &line(1), protocol).await?;
        let cut = flush(&session, &line(1), protocol).await.unwrap_err();
        assert_eq!(sqlstate(&cut), None, "the server's answer stays unknown");
        let session = through(&db, &proxy).await?;
        flush(&session, &line(2), protocol).await?;
        assert_eq!(db.value("SELECT string_agg(x::text, ' ' ORDER BY x) FROM t").await?, "1 2");
    }
    Ok(())
}

#[tokio::test]
async fn a_commit_that_hangs_goes_on_hanging_until_the_connection_is_cut() -> Result<()> {
    for (fault, rows) in [(Fault::HangBefore, 0), (Fault::HangAfter, 1)] {
        let db = place().await?;
        let plan = move |commit: Commit| {
            if commit.number == 1 { fault } else { Fault::Pass }
        };
        let proxy = Proxy::start(&db.address().authority(), plan).await?;
        let session = through(&db, &proxy).await?;
        let cut_once_decided = async {
            eventually("the fault", Duration::from_secs(10), async || {
                anyhow::ensure!(proxy.counts().faults == 1 && db.count("t").await? == rows, "not yet");
                Ok(())
            })
            .await?;
            proxy.cut();
            anyhow::Ok(())
        };
        let lines = line(1);
        let (flushed, cut) = tokio::join!(flush(&session, &lines, Protocol::Simple), cut_once_decided);
        cut?;
        assert!(flushed.is_err(), "{fault:?}");
        assert_eq!(db.count("t").await?, rows, "{fault:?}");
    }
    Ok(())
}

#[tokio::test]
async fn delays_and_latency_make_answers_late_and_nothing_else() -> Result<()> {
    let db = place().await?;
    let late = Duration::from_millis(150);
    let plan = move |commit: Commit| {
        if commit.number == 1 { Fault::Delay(late) } else { Fault::Pass }
    };
    let proxy = Proxy::start(&db.address().authority(), plan).await?;
    let session = through(&db, &proxy).await?;
    let begun = Instant::now();
    flush(&session, &line(1), Protocol::Simple).await?;
    assert!(begun.elapsed() >= late);
    proxy.set_latency(late);
    let begun = Instant::now();
    assert_eq!(session.count("t").await?, 1);
    assert!(begun.elapsed() >= late);
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_refuses_lets_nobody_in_until_it_is_taken_back() -> Result<()> {
    let db = place().await?;
    let proxy = Proxy::transparent(&db.address().authority()).await?;
    let inside = through(&db, &proxy).await?;
    proxy.refuse(true);
    assert!(through(&db, &proxy).await.is_err());
    assert_eq!(inside.count("t").await?, 0, "those inside stay");
    proxy.refuse(false);
    assert_eq!(through(&db, &proxy).await?.count("t").await?, 0);
    Ok(())
}
