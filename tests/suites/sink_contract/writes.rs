//! Flushes: rows, decisions and positions in one transaction, under the claim or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use weir::error::Kind as ErrorKind;
use weir::record::{Kind, Lane};
use weir::sink::{Sink as _, WriteError};
use weir::state::verdict::{Verdict, judge};
use weir_tests::db::Db;

use super::{Ticks, claim, empty, encoder, flush, ints, segment, settings, sink};

#[tokio::test]
async fn rows_counts_and_position_move_together() -> Result<()> {
    let mut ticks = Ticks::start("write").await?;
    for (from, symbols) in [(0, ["a", "b"]), (2, ["c", "d"])] {
        let segment = ticks.segment(from, &symbols);
        ticks.write(segment).await.expect("a flush of the claimed lane");
    }
    ticks.write(empty(&ticks.lane, 4, 9)).await.expect("a flush without rows");
    assert_eq!(ticks.symbols().await?, ["a", "b", "c", "d"]);
    let row = "SELECT next_offset, start_offset, records_in, rows_out, epoch FROM weir.position";
    let row: Vec<String> = ticks.db.rows(row).await?.concat().into_iter().flatten().collect();
    assert_eq!(row, ["9", "0", "9", "4", "1"]);
    Ok(())
}

#[tokio::test]
async fn a_fenced_lane_writes_nothing_and_takes_its_flush_with_it() -> Result<()> {
    let mut ticks = Ticks::start("fence").await?;
    let other = Lane::new("ticks", 1);
    let claims = [ticks.claim.clone(), claim(&mut ticks.sink, &other, 0).await?];
    let flush = flush([ticks.segment(0, &["a"]), ticks.segment_of(&other, 0, &["b"])]);
    let mut rival = sink(settings(&ticks.db), "rival");
    claim(&mut rival, &ticks.lane, 0).await?;

    let Err(WriteError::Unknown(error)) = ticks.sink.write(&flush, &claims).await else {
        panic!("a fenced flush was written");
    };
    assert_eq!(
        error.to_string(),
        "advance positions: the position of ticks-0 is not 0 under epoch 1; it is 0 under epoch 2 of rival \
         (SQLSTATE WE001)"
    );
    assert_eq!(ticks.symbols().await?, Vec::<String>::new());
    let lanes = [ticks.lane.clone(), other.clone()];
    let rows = ticks.sink.positions(&lanes).await?;
    let verdict = |at: usize| {
        let segment = &flush.segments[at];
        judge(&claims[at], segment.from, segment.to, segment.idles, rows[at].as_ref())
    };
    assert_eq!(verdict(0), Verdict::Fenced { owner: "rival".to_owned() });
    assert_eq!(verdict(1), Verdict::SendAgain);

    // The same bytes without the fenced segment.
    let rest = super::flush(flush.segments.into_iter().skip(1));
    ticks.sink.write(&rest, &claims[1..]).await.expect("the lane that is still held");
    assert_eq!(ticks.symbols().await?, ["b"]);
    Ok(())
}

#[tokio::test]
async fn a_flush_that_does_not_begin_where_the_lane_stands_is_not_written() -> Result<()> {
    let mut ticks = Ticks::start("gap").await?;
    let segment = ticks.segment(5, &["a"]);
    let outcome = ticks.write(segment).await;
    assert!(matches!(&outcome, Err(WriteError::Unknown(e)) if e.kind() == ErrorKind::Fenced), "{outcome:?}");
    assert_eq!((ticks.next_offset().await?, ticks.symbols().await?.len()), (0, 0));
    Ok(())
}

#[tokio::test]
async fn several_tables_share_one_transaction() -> Result<()> {
    let mut ticks = Ticks::start("tables").await?;
    // By its whole name: the schema of weir's own tables is called like the user, so a bare name would go there.
    let table = ticks.db.table("trades");
    ticks.db.batch_execute(&format!("CREATE TABLE {table} (volume int8 CHECK (volume > 0))")).await?;
    let mut trades = encoder(&mut ticks.sink, "trades").await?;
    assert_ne!(trades.table(), ticks.encoder.table());
    let lane = Lane::new("trades", 0);
    let claims = [ticks.claim.clone(), claim(&mut ticks.sink, &lane, 0).await?];
    let volumes = |from: i64, volume: i64| [("volume", Kind::Int64, ints(&[volume, from + 1]))];
    let bad = segment(trades.as_mut(), &lane, 0, &volumes(0, -1))?;
    let refused = flush([ticks.segment(0, &["a"]), bad]);
    let outcome = ticks.sink.write(&refused, &claims).await;
    assert!(matches!(&outcome, Err(WriteError::Refused(r)) if (r.segment, r.line) == (1, Some(0))), "{outcome:?}");
    assert_eq!(ticks.symbols().await?, Vec::<String>::new(), "the other table's rows went with it");

    let good = segment(trades.as_mut(), &lane, 0, &volumes(0, 1))?;
    let taken = flush([ticks.segment(0, &["a"]), good]);
    ticks.sink.write(&taken, &claims).await.expect("rows for two tables");
    assert_eq!((ticks.symbols().await?.len(), ticks.db.count(&table).await?), (1, 2));
    Ok(())
}

#[tokio::test]
async fn lanes_of_one_flush_may_come_in_any_order() -> Result<()> {
    let mut ticks = Ticks::start("order").await?;
    let other = Lane::new("another", 9);
    let claims = [ticks.claim.clone(), claim(&mut ticks.sink, &other, 3).await?];
    let flush = flush([ticks.segment(0, &["a"]), ticks.segment_of(&other, 3, &["b", "c"])]);
    ticks.sink.write(&flush, &claims).await.expect("a flush of two topics");
    let next = "SELECT next_offset FROM weir.position ORDER BY topic";
    assert_eq!(ticks.db.rows(next).await?.concat(), [Some("5".to_owned()), Some("1".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn a_worker_without_the_function_checks_positions_itself() -> Result<()> {
    let db = Db::postgres("checked").await?;
    let setup = "CREATE TABLE ticks (symbol text, price float8); CREATE ROLE plain_writer LOGIN;
                 GRANT INSERT, SELECT ON ticks TO plain_writer";
    db.batch_execute(&setup.replace("plain_writer", &role(&db))).await?;
    let mut admin = sink(settings(&db), "admin");
    claim(&mut admin, &Lane::new("ticks", 7), 0).await?;
    let narrow = format!(
        "DROP FUNCTION weir.advance_3; GRANT USAGE ON SCHEMA weir TO {0};
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA weir TO {0}",
        role(&db)
    );
    db.batch_execute(&narrow).await?;

    let mut plain = settings(&db);
    plain.user = Some(role(&db));
    let mut sink = sink(plain, "plain");
    let mut encoder = encoder(&mut sink, "ticks").await?;
    let lane = Lane::new("ticks", 0);
    let held = claim(&mut sink, &lane, 0).await?;
    let columns = [("symbol", Kind::Text, super::texts(&["a"])), ("price", Kind::Float64, super::floats(&[1.0]))];
    let rows = flush([segment(encoder.as_mut(), &lane, 0, &columns)?]);
    sink.write(&rows, std::slice::from_ref(&held)).await.expect("a flush of the claimed lane");
    let again = sink.write(&rows, std::slice::from_ref(&held)).await;
    let Err(WriteError::Unknown(error)) = again else { panic!("written twice: {again:?}") };
    assert_eq!(error.to_string(), "only 0 of 1 positions are as expected");
    assert_eq!(db.count("ticks").await?, 1);
    assert_eq!(db.number("SELECT next_offset FROM weir.position WHERE partition = 0").await?, 1);
    Ok(())
}

/// A role of the test's own: roles belong to the whole server.
fn role(db: &Db) -> String {
    format!("plain_{}", db.address().database)
}

/// How often the client began to send after the server had answered: the waits of a conversation.
struct Turns {
    authority: String,
    waits: Arc<AtomicU64>,
}

impl Turns {
    /// A relay in front of a server, for one connection.
    async fn start(server: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let authority = listener.local_addr()?.to_string();
        let waits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&waits);
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await?;
            let mut server = TcpStream::connect(server).await?;
            let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            let mut server_spoke = false;
            loop {
                tokio::select! {
                    n = client.read(&mut asked) => {
                        let n = n?;
                        counted.fetch_add(u64::from(server_spoke), Ordering::Relaxed);
                        server_spoke = false;
                        if n == 0 {
                            return anyhow::Ok(());
                        }
                        server.write_all(&asked[..n]).await?;
                    }
                    n = server.read(&mut answered) => {
                        server_spoke = true;
                        client.write_all(&answered[..n?]).await?;
                    }
                }
            }
        });
        Ok(Turns { authority, waits })
    }
}

// On one thread, so that what is queued together leaves together.
#[tokio::test(flavor = "current_thread")]
async fn a_flush_waits_twice() -> Result<()> {
    let db = Db::postgres("waits").await?;
    let turns = Turns::start(db.address().authority()).await?;
    let through = db.address().through(&turns.authority)?;
    let mut ticks = Ticks::on(db, "symbol text, price float8", |db| {
        let mut settings = settings(db);
        settings.url = format!("{}?sslmode=disable", through.url());
        settings
    })
    .await?;
    let first = ticks.segment(0, &["a"]);
    ticks.write(first).await.expect("the flush that prepares statements");
    let symbols = vec!["many"; 1_000];
    for from in [1, 1_001, 2_001] {
        let segment = ticks.segment(from, &symbols);
        let before = turns.waits.load(Ordering::Relaxed);
        ticks.write(segment).await.expect("a flush of the claimed lane");
        // The first send of a flush follows the answer to the flush before, so it counts as well: the answers to
        // BEGIN and COMMIT are what was waited for.
        let waits = turns.waits.load(Ordering::Relaxed) - before;
        assert_eq!(waits, 2, "a flush of {} rows", symbols.len());
    }
    Ok(())
}
