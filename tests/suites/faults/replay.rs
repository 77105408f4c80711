//! A worker that starts again without checkpoints replays its lanes from their start with output off, under what was
//! decided before, and goes on.

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::worker::{Plan, Worker};

use super::{Row, Stream, compare, expected, rows};

/// Where partition 0 begins: what came before belongs to whoever read the topic before weir.
const START: i64 = 3;
const MALFORMED: &str = r#"{"symbol":"S0","price":"#;

/// A stream of which one record cannot be read and one row is refused, up to both.
struct Decided {
    stream: Stream,
    plan: Plan,
    /// The refused rows: partition and offset.
    refused: Vec<(i32, i64)>,
}

impl Decided {
    async fn start() -> Result<(Self, Worker)> {
        let mut stream = Stream::start("replayed", 2).await?;
        stream.kafka.commit(&format!("connect-{}", stream.name), &stream.topic, &[(0, START)], "").await?;
        stream.db.batch_execute("ALTER TABLE averages ADD CONSTRAINT positive CHECK (price >= 0)").await?;
        stream.send(30)?;
        stream.send_value(0, MALFORMED)?;
        stream.send_value(1, r#"{"symbol":"S1","price":-4}"#)?;
        stream.send_value(0, r#"{"symbol":"S2","price":-8}"#)?;
        stream.send(30)?;
        let plan = stream.plan(&stream.db.url(), "errors.tolerance: all\n")?;
        let worker = plan.start()?;
        stream.arrived(&worker).await?;
        let decided = Decided { stream, plan, refused: vec![(1, 30), (0, 31)] };
        decided.check().await?;
        Ok((decided, worker))
    }

    /// Compares rows, decisions and running counts with what the log gives from the start on.
    async fn check(&self) -> Result<()> {
        let mut log = self.stream.log()?;
        log.retain(|record| record.partition != 0 || record.offset >= START);
        let mut counts = [0i64; 4];
        for record in &log {
            let malformed = record.value.as_deref() == Some(MALFORMED.as_bytes());
            counts[record.partition as usize * 2] += 1;
            counts[record.partition as usize * 2 + 1] += i64::from(!malformed);
        }
        log.retain(|record| record.value.as_deref() != Some(MALFORMED.as_bytes()));
        // The chain has taken the refused rows: they have their part in the means behind them.
        let mut wanted: Vec<Row> = expected(&log);
        wanted.retain(|row| !self.refused.contains(&(row.partition, row.offset)));
        compare(&wanted, &rows(&self.stream.db).await?, 0)?;
        let sql = "SELECT string_agg(records_in || ' ' || rows_out, ' ' ORDER BY partition) FROM weir.position";
        ensure!(self.stream.db.value(sql).await? == counts.map(|count| count.to_string()).join(" "));
        Ok(())
    }

    /// Makes the next worker replay from the start.
    async fn forget_checkpoints(&self) -> Result<()> {
        Ok(self.stream.db.batch_execute("DELETE FROM weir.checkpoint").await?)
    }

    /// All decisions with the time at which they were made.
    async fn decisions(&self) -> Result<String> {
        let sql = "SELECT string_agg(d::text, ' ' ORDER BY partition, at_offset) FROM weir.decision d";
        self.stream.db.value(sql).await
    }
}

/// Each lane replays from its start to where the sink stood, and says so.
fn check_log(worker: &Worker, stood: &[i64]) {
    let number = |line: &weir_tests::logs::Line, name: &str| line.field(name).and_then(Value::as_i64).unwrap();
    let claims = worker.logs().with("lane claimed");
    assert_eq!(claims.len(), 2, "{claims:?}");
    for line in claims {
        let partition = number(&line, "partition");
        assert_eq!(number(&line, "replay_from"), if partition == 0 { START } else { 0 });
        assert_eq!(number(&line, "next_offset"), stood[partition as usize]);
    }
    let mut caught_up: Vec<i64> =
        worker.logs().with("replay has caught up").iter().map(|line| number(line, "next_offset")).collect();
    caught_up.sort_unstable();
    assert_eq!(caught_up.len(), 2, "both lanes replay");
}

#[tokio::test]
async fn a_restart_repeats_what_was_decided_and_goes_on() -> Result<()> {
    let (mut decided, mut worker) = Decided::start().await?;
    let before = decided.decisions().await?;
    // The row would be taken now. That it was refused has been decided.
    decided.stream.db.batch_execute("ALTER TABLE averages DROP CONSTRAINT positive").await?;
    for signal in ["TERM", "KILL", "TERM"] {
        let stood = decided.stream.positions().await?;
        worker.signal(signal)?;
        worker.ended().await?;
        decided.forget_checkpoints().await?;
        decided.stream.send(20)?;
        worker = decided.plan.start()?;
        decided.stream.arrived(&worker).await?;
        check_log(&worker, &stood);
        decided.check().await?;
        assert_eq!(decided.decisions().await?, before, "nothing is decided anew");
        decided.stream.send(5)?;
        decided.stream.arrived(&worker).await?;
        decided.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_replay_that_differs_from_what_was_recorded_fails_the_task() -> Result<()> {
    let spoilt = [
        ("DELETE FROM weir.decision WHERE kind = 'rejected'", "fails in VALUE_CONVERTER", "which is not recorded"),
        (
            "UPDATE weir.decision SET at_offset = at_offset + 5 WHERE kind = 'rejected'",
            "fails in VALUE_CONVERTER",
            "which is not recorded",
        ),
        (
            "INSERT INTO weir.decision SELECT pipeline, topic, partition, 7, kind, stage, detail FROM weir.decision
             WHERE kind = 'rejected'",
            "the record at offset 7",
            "no longer fails in VALUE_CONVERTER",
        ),
        ("UPDATE weir.position SET records_in = records_in + 1 WHERE partition = 0", "gave 59 records", "60 and 58"),
        ("UPDATE weir.position SET rows_out = rows_out - 1 WHERE partition = 0", "and 58 rows", "59 and 57"),
    ];
    let (mut decided, mut worker) = Decided::start().await?;
    let db = decided.stream.db.address().connect().await?;
    db.batch_execute("CREATE TABLE decisions AS TABLE weir.decision; CREATE TABLE positions AS TABLE weir.position")
        .await?;
    for (sql, one, other) in spoilt {
        worker.stop().await?;
        decided.forget_checkpoints().await?;
        db.batch_execute(sql).await?;
        worker = decided.plan.start()?;
        let status = worker.tasks_are(&decided.stream.name, "FAILED").await?;
        let trace = status["tasks"][0]["trace"].as_str().unwrap();
        assert!(trace.contains(one) && trace.contains(other), "{sql}: {trace}");
        assert!(trace.contains(&format!("replay of {}-0", decided.stream.topic)), "{trace}");
        db.batch_execute(
            "TRUNCATE weir.decision; INSERT INTO weir.decision TABLE decisions;
             UPDATE weir.position p SET records_in = s.records_in, rows_out = s.rows_out
             FROM positions s WHERE s.partition = p.partition",
        )
        .await?;
    }
    worker.stop().await?;
    decided.stream.send(5)?;
    let worker = decided.plan.start()?;
    decided.stream.arrived(&worker).await?;
    decided.check().await
}
