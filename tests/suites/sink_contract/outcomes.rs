//! Answers that never arrive, and servers that go away: after each the position row tells what was written.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::{mpsc, watch};
use weir::clock::Clock;
use weir::error::{Kind as ErrorKind, Policy};
use weir::limits;
use weir::record::Lane;
use weir::sink::{Sink as _, WriteError};
use weir::state::verdict::{Verdict, judge};
use weir::task::ages::Ages;
use weir::task::committer::{Answer, Committer, Request};
use weir::task::writer::{Fate, Report, Tolerance};
use weir_tests::db::Db;
use weir_tests::eventually::eventually;
use weir_tests::proxy::{Fault, Proxy};

use super::{Ticks, claim, flush, settings, sink};

/// Longest wait for the server to do what it was asked.
const WAIT: Duration = Duration::from_secs(20);

/// A claimed lane behind a proxy that meets the COMMIT of the first flush with rows with a fault.
async fn behind(hint: &str, fault: Fault) -> Result<(Proxy, Ticks)> {
    let db = Db::postgres(hint).await?;
    let plan = move |commit: weir_tests::wire::Commit| {
        if commit.copy_number == Some(1) { fault } else { Fault::Pass }
    };
    let proxy = Proxy::start(&db.address().authority(), plan).await?;
    let through = db.address().through(proxy.authority())?;
    let ticks = Ticks::on(db, "symbol text, price float8", |db| {
        let mut settings = settings(db);
        settings.url = format!("{}?sslmode=disable", through.url());
        settings
    })
    .await?;
    Ok((proxy, ticks))
}

/// The verdict on a segment from 0 to 2, by the row that the sink reads.
async fn verdict(ticks: &mut Ticks) -> Result<Verdict> {
    let rows = ticks.sink.positions(std::slice::from_ref(&ticks.lane)).await?;
    Ok(judge(&ticks.claim, 0, 2, 0, rows[0].as_ref()))
}

#[tokio::test]
async fn a_commit_that_never_reached_the_server_is_sent_again() -> Result<()> {
    let (_proxy, mut ticks) = behind("cut_before", Fault::CutBefore).await?;
    let segment = ticks.segment(0, &["a", "b"]);
    let outcome = ticks.write(segment.clone()).await;
    assert!(matches!(&outcome, Err(WriteError::Unknown(e)) if e.policy() == Policy::Retry), "{outcome:?}");
    assert_eq!(verdict(&mut ticks).await?, Verdict::SendAgain);
    ticks.write(segment).await.expect("the same bytes again");
    assert_eq!(verdict(&mut ticks).await?, Verdict::Committed);
    assert_eq!(ticks.symbols().await?, ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_sent_again() -> Result<()> {
    let (_proxy, mut ticks) = behind("cut_after", Fault::CutAfter).await?;
    let segment = ticks.segment(0, &["a", "b"]);
    let outcome = ticks.write(segment).await;
    assert!(matches!(&outcome, Err(WriteError::Unknown(e)) if e.policy() == Policy::Retry), "{outcome:?}");
    assert_eq!(verdict(&mut ticks).await?, Verdict::Committed);
    let next = ticks.segment(2, &["c"]);
    ticks.write(next).await.expect("the next flush on the new connection");
    assert_eq!(ticks.symbols().await?, ["a", "b", "c"]);
    Ok(())
}

#[tokio::test]
async fn a_former_session_that_still_holds_the_position_is_ended() -> Result<()> {
    let (_proxy, mut ticks) = behind("hang", Fault::HangBefore).await?;
    let segment = ticks.segment(0, &["a", "b"]);
    // The writer gives up on a COMMIT that hangs; the server still waits for it, with the row locked.
    let waited = {
        let write = ticks.write(segment.clone());
        tokio::pin!(write);
        tokio::select! {
            outcome = &mut write => panic!("a COMMIT that nobody answered ended: {outcome:?}"),
            held = position_is_locked(Db::postgres("watch").await?) => held,
        }
    };
    waited?;
    assert_eq!(verdict(&mut ticks).await?, Verdict::SendAgain);
    ticks.write(segment).await.expect("the same bytes again");
    assert_eq!(ticks.symbols().await?, ["a", "b"]);
    Ok(())
}

/// Waits until a session of the pipeline is idle in a transaction.
async fn position_is_locked(watch: Db) -> Result<()> {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE application_name = 'weir/ticks-sma' AND state = 'idle in transaction'
                 AND query LIKE '%advance_3%' AND datname LIKE 'hang%'";
    eventually("a transaction that waits for COMMIT", WAIT, async || {
        ensure!(watch.number(sql).await? > 0, "there is none yet");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_session_that_an_administrator_ends_is_replaced() -> Result<()> {
    let mut ticks = Ticks::start("ended").await?;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE application_name = 'weir/ticks-sma' AND datname = current_database()";
    assert_eq!(ticks.db.number(end).await?, 1);
    let segment = ticks.segment(0, &["a", "b"]);
    // The end of the session may be noticed before the first statement, or by it.
    if let Err(e) = ticks.write(segment.clone()).await {
        let (WriteError::Failed(e) | WriteError::Unknown(e)) = e else { panic!("{e:?}") };
        assert_eq!(e.kind(), ErrorKind::DatabaseUnreachable, "{e}");
        assert_eq!(verdict(&mut ticks).await?, Verdict::SendAgain);
        ticks.write(segment).await.expect("the same bytes on a new connection");
    }
    assert_eq!(ticks.symbols().await?, ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn a_flush_that_waits_for_a_lock_is_tried_again() -> Result<()> {
    let mut ticks = Ticks::start("busy").await?;
    let holder = ticks.db.address().connect().await?;
    holder.batch_execute("BEGIN; LOCK TABLE ticks IN ACCESS EXCLUSIVE MODE").await?;
    let watch = ticks.db.address().connect().await?;
    let segment = ticks.segment(0, &["a", "b"]);
    let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
                  WHERE application_name = 'weir/ticks-sma' AND wait_event_type = 'Lock'
                    AND datname = current_database()";
    // What the lock timeout does after its ten seconds, at once.
    let canceled = eventually("a flush that waits for the table", WAIT, async || {
        ensure!(watch.number(cancel).await? == 1, "it does not wait yet");
        Ok(())
    });
    let (outcome, canceled) = tokio::join!(ticks.write(segment.clone()), canceled);
    canceled?;
    assert!(matches!(&outcome, Err(WriteError::Failed(e)) if e.kind() == ErrorKind::DatabaseBusy), "{outcome:?}");
    holder.batch_execute("ROLLBACK").await?;
    ticks.write(segment).await.expect("the table is free");
    assert_eq!(ticks.next_offset().await?, 2);
    Ok(())
}

#[tokio::test]
async fn sessions_say_who_they_are_and_wait_for_nothing_forever() -> Result<()> {
    let ticks = Ticks::start("session").await?;
    let names = "SELECT application_name FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name <> ''";
    assert_eq!(ticks.db.value(names).await?, "weir/ticks-sma");
    Ok(())
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_not_the_one_to_talk_to() -> Result<()> {
    let mut ticks = Ticks::start("read_only").await?;
    let database = ticks.db.address().database.clone();
    let alter = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
    ticks.db.batch_execute(&alter).await?;
    let error = claim(&mut sink(settings(&ticks.db), "new"), &ticks.lane, 0).await.expect_err("it is read-only");
    let place = format!("{}/{database}", ticks.db.address().authority());
    assert_eq!(
        error.to_string(),
        format!("connect to database {place}: error connecting to server: database does not allow writes")
    );

    // A session that was open when the server changed sides is dropped at the first refusal.
    ticks.sink.close().await;
    ticks.db.batch_execute(&alter.replace("= on", "= off")).await?;
    let lane = Lane::new("ticks", 5);
    let claim = claim(&mut ticks.sink, &lane, 0).await?;
    let table = "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN RAISE EXCEPTION USING ERRCODE = ''25006'', MESSAGE = ''read-only''; END';
                 CREATE TRIGGER stop BEFORE INSERT ON ticks EXECUTE FUNCTION stop()";
    ticks.db.batch_execute(table).await?;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir/ticks-sma'
                 AND datname = current_database()";
    assert_eq!(ticks.db.number(count).await?, 1);
    let rows = flush([ticks.segment_of(&lane, 0, &["a"])]);
    let outcome = ticks.sink.write(&rows, std::slice::from_ref(&claim)).await;
    assert!(
        matches!(&outcome, Err(WriteError::Failed(e)) if e.kind() == ErrorKind::DatabaseUnreachable),
        "{outcome:?}"
    );
    eventually("the end of the session", WAIT, async || {
        ensure!(ticks.db.number(count).await? == 0, "it is still open");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn passwords_are_checked_and_never_shown() -> Result<()> {
    let db = Db::postgres("password").await?;
    let mut secured = settings(&db);
    secured.user = Some("secured".to_owned());
    let place = format!("{}/{}", db.address().authority(), db.address().database);
    let attempt = async |password: Option<&str>| {
        let mut settings = secured.clone();
        settings.password = password.map(weir::config::Secret::new);
        sink(settings, "first").prepare("ticks", &[], None).await.map(drop)
    };
    let wrong = attempt(Some("hunter2")).await.expect_err("a wrong password");
    assert_eq!(
        wrong.to_string(),
        format!("connect to database {place}: password authentication failed for user \"secured\" (SQLSTATE 28P01)")
    );
    assert_eq!(wrong.kind(), ErrorKind::DatabaseDenied);
    let none = attempt(None).await.expect_err("no password");
    assert_eq!(none.to_string(), format!("connect to database {place}: invalid configuration: password missing"));
    assert_eq!(none.kind(), ErrorKind::DatabaseDenied);
    // The right one gets in, and as far as this role's rights go.
    let right = attempt(Some("right")).await.expect_err("a role without rights");
    assert_eq!(right.kind(), ErrorKind::DatabaseRights);
    let debug = format!("{secured:?}").contains("hunter2");
    assert!(!debug && !wrong.report().contains("hunter2"));
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_not_there_is_waited_for() -> Result<()> {
    let db = Db::postgres("absent").await?;
    let proxy = Proxy::transparent(&db.address().authority()).await?;
    let gone = proxy.authority().to_owned();
    drop(proxy);
    let mut settings = settings(&db);
    settings.url = format!("{}?sslmode=disable", db.address().through(&gone)?.url());
    let error = sink(settings, "first").prepare("ticks", &[], None).await.map(drop);
    let error = error.err().context("nobody listens there")?;
    assert_eq!(error.policy(), Policy::Retry);
    let place = format!("{gone}/{}", db.address().database);
    let sentence = format!("connect to database {place}: error connecting to server");
    assert!(error.to_string().starts_with(&sentence), "{error}");
    Ok(())
}

/// What becomes of a flush of two rows whose COMMIT meets this fault, by the committer with a short deadline.
async fn committed_behind(hint: &str, fault: Fault) -> Result<(Report, Proxy, Db)> {
    let (proxy, mut ticks) = behind(hint, fault).await?;
    let segment = ticks.segment(0, &["a", "b"]);
    let (sender, mut answers) = mpsc::unbounded_channel();
    let committer = Committer {
        sink: Box::new(ticks.sink),
        tolerance: Tolerance::None,
        // A test that has failed does not listen any more.
        answers: Box::new(move |answer| sender.send(answer).unwrap_or_default()),
        waiting: Box::new(|_| {}),
        clock: Clock::start(),
        // Longer than the wait for a position that the transaction given up still holds.
        answer_max: limits::DATABASE_POSITION_WAIT_MAX * 2,
        ages: Ages::default(),
    };
    let (requests, received) = mpsc::channel(4);
    let (_abandon, abandoned) = watch::channel(false);
    tokio::spawn(committer.run(received, abandoned));
    requests.send(Request::Write(flush([segment]), vec![ticks.claim])).await?;
    let answer = tokio::time::timeout(WAIT, answers.recv()).await.context("the committer waits for ever")?;
    match answer {
        Some(Answer::Written(report, _)) => Ok((report, proxy, ticks.db)),
        other => anyhow::bail!("{other:?}"),
    }
}

#[tokio::test]
async fn a_commit_that_is_never_answered_is_given_up_and_read_back() -> Result<()> {
    // Before the server acts it has to be sent again, afterwards not.
    for (fault, attempts) in [(Fault::HangBefore, 2), (Fault::HangAfter, 1)] {
        let (report, _proxy, db) = committed_behind("never_answered", fault).await?;
        assert!(report.failure.is_none(), "{:?}", report.failure);
        assert_eq!((report.attempts, report.unknown), (attempts, 1), "{fault:?}");
        assert!(matches!(report.segments.as_slice(), [(_, _, Fate::Committed)]), "{fault:?}: {:?}", report.segments);
        assert_eq!(db.value("SELECT string_agg(symbol, ' ' ORDER BY symbol) FROM ticks").await?, "a b");
    }
    Ok(())
}
