//! What can be seen from outside of the invariants of exactly once: a trigger notes every move of a position with the
//! transaction and the process that made it, and questions to the notes show what must not be.
//!
//! A process, and not a session: a worker that is fenced on one lane opens another connection, and goes on with the
//! claims that it has on the others.

use anyhow::{Result, ensure};
use weir_tests::db::{Db, Session};
use weir_tests::worker::PROCESS;

/// The table that a pipeline under audit writes, and how its rows are found by their coordinates.
const TABLE: &str = "
    CREATE TABLE averages (kafka_topic text, kafka_partition int4, kafka_offset int8, symbol text, price float8, sma float8);
    CREATE INDEX ON averages (kafka_partition, kafka_offset)";

/// Notes are numbered while the position's row is locked: in one partition their numbers have the order of the moves.
const NOTES: &str = "
    CREATE TABLE public.moves (number bigserial, xid xid, writer text, partition int4, epoch int8, claim boolean,
      from_offset int8, to_offset int8);
    CREATE FUNCTION public.note_move() RETURNS trigger LANGUAGE plpgsql AS $note$
    BEGIN
      INSERT INTO public.moves (xid, writer, partition, epoch, claim, from_offset, to_offset)
      VALUES (pg_current_xact_id()::xid, current_setting('audit.writer'), NEW.partition, NEW.epoch,
        NEW.token <> OLD.token, OLD.next_offset, NEW.next_offset);
      RETURN NULL;
    END $note$;
    CREATE TRIGGER note_move AFTER UPDATE ON weir.position FOR EACH ROW
      WHEN ((OLD.epoch, OLD.token, OLD.next_offset) IS DISTINCT FROM (NEW.epoch, NEW.token, NEW.next_offset))
      EXECUTE FUNCTION public.note_move()";

/// Each with a count that must be 0.
const QUESTIONS: [(&str, &str); 3] = [
    (
        "moves that go back, leave a gap, or claim and advance at once",
        "SELECT count(*) FROM (
           SELECT *, lag(to_offset) OVER (PARTITION BY partition ORDER BY number) AS stood FROM public.moves) m
         WHERE to_offset < from_offset OR from_offset <> coalesce(stood, from_offset)
           OR claim <> (to_offset = from_offset)",
    ),
    (
        "advances under another epoch or by another process than the last claim's, and claims that skip an epoch",
        "SELECT count(*) FROM (
           SELECT *, first_value(epoch) OVER claimed AS holder_epoch, first_value(writer) OVER claimed AS holder,
             lag(epoch) OVER (PARTITION BY partition ORDER BY number) AS epoch_before
           FROM (SELECT *, count(*) FILTER (WHERE claim) OVER (PARTITION BY partition ORDER BY number) AS claims
                 FROM public.moves) m
           WINDOW claimed AS (PARTITION BY partition, claims ORDER BY number)) m
         WHERE CASE WHEN claim THEN epoch <> coalesce(epoch_before, epoch - 1) + 1
                    ELSE claims = 0 OR epoch <> holder_epoch OR writer <> holder END",
    ),
    (
        "rows of another transaction than the one that moved the position over them",
        "SELECT count(*) FROM averages a LEFT JOIN public.moves m
           ON m.xid = a.xmin AND m.partition = a.kafka_partition AND NOT m.claim
           AND a.kafka_offset >= m.from_offset AND a.kafka_offset < m.to_offset
         WHERE m.xid IS NULL",
    ),
];

/// Makes the table that the pipeline is to write.
pub async fn make_table(db: &Db) -> Result<()> {
    Ok(db.batch_execute(TABLE).await?)
}

/// What a worker's `connection.url` has to hold, so that all its sessions say which process they belong to.
pub fn signature() -> String {
    format!("options=-caudit.writer%3D${{env:{PROCESS}}}")
}

/// Begins to note moves; the schema of weir must be there, and nobody hold a lane.
pub async fn begin(db: &Db) -> Result<()> {
    Ok(db.batch_execute(NOTES).await?)
}

/// Asks the notes about the whole run.
///
/// # Errors
/// The first thing found that must not be.
pub async fn check(session: &Session) -> Result<()> {
    for (what, sql) in QUESTIONS {
        let found = session.number(sql).await?;
        ensure!(found == 0, "{found} {what}");
    }
    ensure!(session.number("SELECT count(*) FROM public.moves WHERE NOT claim").await? > 0, "no move is noted");
    Ok(())
}

/// Where each partition stands, after a look at all rows from these offsets on. It is one statement and so one instant,
/// and it holds at any: rows and positions move together.
///
/// # Errors
/// Rows are missing or doubled below a position, there are rows beyond one, or a position went back.
pub async fn stand(session: &Session, stood: &[i64]) -> Result<Vec<i64>> {
    let sql = "
        SELECT p.partition, p.next_offset, count(a.kafka_offset), count(DISTINCT a.kafka_offset),
          count(*) FILTER (WHERE a.kafka_offset >= p.next_offset)
        FROM weir.position p LEFT JOIN averages a
          ON a.kafka_partition = p.partition AND a.kafka_offset >= ($1::int8[])[p.partition + 1]
        GROUP BY p.partition, p.next_offset ORDER BY p.partition";
    let rows = session.query(sql, &[&stood]).await?;
    ensure!(rows.len() == stood.len(), "{} positions of {} partitions", rows.len(), stood.len());
    let mut stands = Vec::with_capacity(stood.len());
    for (row, &from) in rows.iter().zip(stood) {
        let (partition, next): (i32, i64) = (row.get(0), row.get(1));
        let (rows, places, beyond): (i64, i64, i64) = (row.get(2), row.get(3), row.get(4));
        let at = format!("partition {partition} at {next}, from {from} on");
        ensure!(next >= from, "{at}: the position went back");
        ensure!(beyond == 0, "{at}: {beyond} rows beyond the position");
        ensure!(rows == places, "{at}: {} rows are doubled", rows - places);
        ensure!(places == next - from, "{at}: {} rows are lost", next - from - places);
        stands.push(next);
    }
    Ok(stands)
}

/// A stand-in for weir's schema, in which everything is done by hand.
async fn by_hand() -> Result<(Db, [Session; 2])> {
    let db = Db::postgres("audit").await?;
    make_table(&db).await?;
    db.batch_execute(
        "CREATE SCHEMA weir;
         CREATE TABLE weir.position (partition int4, next_offset int8, epoch int8, token int4);
         INSERT INTO weir.position VALUES (0, 0, 1, 1)",
    )
    .await?;
    begin(&db).await?;
    let sessions = [by_process(&db, 1).await?, by_process(&db, 2).await?];
    Ok((db, sessions))
}

/// A session that says it belongs to this process.
async fn by_process(db: &Db, number: u32) -> Result<Session> {
    let session = db.address().connect().await?;
    session.batch_execute(&format!("SET audit.writer = '{number}'")).await?;
    Ok(session)
}

const CLAIM: &str = "UPDATE weir.position SET epoch = epoch + 1, token = token + 1";
const FLUSH: &str =
    "BEGIN; INSERT INTO averages (kafka_partition, kafka_offset) SELECT 0, next_offset FROM weir.position;
                     UPDATE weir.position SET next_offset = next_offset + 1; COMMIT";

#[tokio::test]
async fn a_clean_course_passes_the_audit() -> Result<()> {
    let (db, [one, other]) = by_hand().await?;
    for session in [&one, &other, &one] {
        session.batch_execute(CLAIM).await?;
        session.batch_execute(FLUSH).await?;
        session.batch_execute(FLUSH).await?;
    }
    by_process(&db, 1).await?.batch_execute(FLUSH).await?;
    check(&db).await?;
    assert_eq!(stand(&db, &[0]).await?, [7]);
    assert_eq!(stand(&db, &[4]).await?, [7]);
    Ok(())
}

#[tokio::test]
async fn the_audit_names_what_must_not_be() -> Result<()> {
    let spoilt = [
        ("UPDATE weir.position SET next_offset = 0", "moves that go back"),
        ("UPDATE weir.position SET epoch = epoch + 2, token = 9", "claims that skip an epoch"),
        ("UPDATE weir.position SET epoch = epoch + 1, token = 9, next_offset = 5", "claim and advance at once"),
        ("INSERT INTO averages (kafka_partition, kafka_offset) VALUES (0, 0)", "rows of another transaction"),
    ];
    for (sql, named) in spoilt {
        let (db, [one, other]) = by_hand().await?;
        one.batch_execute(CLAIM).await?;
        one.batch_execute(FLUSH).await?;
        other.batch_execute(sql).await?;
        let said = check(&db).await.unwrap_err().to_string();
        assert!(said.contains(named), "{sql}: {said}");
    }
    let (db, [zombie, heir]) = by_hand().await?;
    zombie.batch_execute(CLAIM).await?;
    heir.batch_execute(CLAIM).await?;
    zombie.batch_execute(FLUSH).await?;
    let said = check(&db).await.unwrap_err().to_string();
    assert!(said.contains("by another process than the last claim's"), "{said}");
    Ok(())
}

#[tokio::test]
async fn each_look_names_rows_that_are_lost_doubled_or_beyond() -> Result<()> {
    let spoilt = [
        ("DELETE FROM averages WHERE kafka_offset = 1", "1 rows are lost"),
        ("INSERT INTO averages SELECT * FROM averages WHERE kafka_offset = 1", "1 rows are doubled"),
        ("UPDATE averages SET kafka_offset = 7 WHERE kafka_offset = 1", "1 rows beyond the position"),
        ("UPDATE weir.position SET next_offset = 0", "the position went back"),
    ];
    for (sql, named) in spoilt {
        let (db, [one, _]) = by_hand().await?;
        one.batch_execute(CLAIM).await?;
        for _ in 0..3 {
            one.batch_execute(FLUSH).await?;
        }
        one.batch_execute(sql).await?;
        let said = stand(&db, &[1]).await.unwrap_err().to_string();
        assert!(said.contains(named), "{sql}: {said}");
    }
    Ok(())
}
