//! State survives the worker: a lane goes on from its newest checkpoint that counts and can be used, with the same rows
//! as if nothing had happened.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::eventually::eventually;
use weir_tests::worker::{Plan, WAIT, Worker};

use super::{Stream, compare, expected, expected_of, rows};

const IN_DATABASE: &str = "checkpoint.interval.records: 40\n";
const IN_DIRECTORY: &str = "checkpoint.interval.records: 40\ncheckpoint.store: directory\n";

/// A stream whose worker takes checkpoints.
struct Kept {
    stream: Stream,
    plan: Plan,
}

impl Kept {
    async fn start(hint: &str, more: &str) -> Result<(Self, Worker)> {
        let mut stream = Stream::start(hint, 2).await?;
        let plan = stream.plan(&stream.db.url(), more)?;
        let worker = plan.start()?;
        stream.send(100)?;
        stream.arrived(&worker).await?;
        let kept = Kept { stream, plan };
        kept.counted(&worker, 40).await?;
        Ok((kept, worker))
    }

    /// Waits until each lane has a checkpoint at or beyond an offset.
    async fn counted(&self, worker: &Worker, offset: i64) -> Result<()> {
        let look = async || {
            let newest = self.newest().await?;
            ensure!(newest.len() == 2 && newest.iter().all(|at| *at >= offset), "checkpoints at {newest:?}");
            Ok(())
        };
        let counted = eventually("a checkpoint of each lane", WAIT, look).await;
        counted.with_context(|| format!("the worker's log ends with:\n{}", worker.logs().tail(30)))
    }

    /// Waits until the worker's status names the newest checkpoint of each lane.
    async fn told(&self, worker: &Worker) -> Result<()> {
        let look = async || {
            let (status, newest) = (worker.status(&self.stream.name).await?, self.newest().await?);
            let lanes = status["tasks"][0]["lanes"].as_array().context("no lanes")?;
            let told: Vec<Option<i64>> = lanes.iter().map(|lane| lane["checkpoint_offset"].as_i64()).collect();
            ensure!(told == newest.iter().copied().map(Some).collect::<Vec<_>>(), "{told:?} of {newest:?}");
            Ok(())
        };
        worker.until("the newest checkpoints in the status", look).await
    }

    /// The offset of each lane's newest checkpoint.
    async fn newest(&self) -> Result<Vec<i64>> {
        let sql =
            "SELECT max(at_offset) FROM weir.checkpoint WHERE pipeline = $1 GROUP BY partition ORDER BY partition";
        let rows = self.stream.db.query(sql, &[&self.stream.name]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Whether it is recorded once for each lane that another chain took over there, and which.
    async fn cut_over_at(&self, offsets: &[i64]) -> Result<()> {
        let sql = "SELECT d.at_offset, split_part(d.detail, ' ', 5) = encode(substr(p.generation, 1, 6), 'hex')
                     AND split_part(d.detail, ' ', 3) <> split_part(d.detail, ' ', 5)
                   FROM weir.decision d JOIN weir.position p USING (pipeline, topic, partition)
                   WHERE d.kind = 'cutover' ORDER BY d.partition";
        let rows = self.stream.db.query(sql, &[]).await?;
        let found: Vec<(i64, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let wanted: Vec<(i64, bool)> = offsets.iter().map(|offset| (*offset, true)).collect();
        ensure!(found == wanted, "recorded: {found:?}, took over at {offsets:?}");
        Ok(())
    }

    /// Starts a worker and sends it more; all rows must be there and right. Returns where each lane was read from.
    async fn goes_on(&mut self) -> Result<(Worker, Vec<i64>)> {
        self.stream.send(20)?;
        let worker = self.plan.start()?;
        self.stream.arrived(&worker).await?;
        self.stream.check(0).await?;
        let from = read_from(&worker);
        Ok((worker, from))
    }
}

/// Where the last claim of each of two lanes was read from.
fn read_from(worker: &Worker) -> Vec<i64> {
    let claims = worker.logs().with("lane claimed");
    let last = |partition: i64| {
        let of_lane =
            claims.iter().rev().find(|line| line.field("partition").and_then(Value::as_i64) == Some(partition));
        of_lane.and_then(|line| line.field("replay_from")).and_then(Value::as_i64).expect("a claimed lane")
    };
    vec![last(0), last(1)]
}

#[tokio::test]
async fn a_killed_worker_goes_on_from_its_checkpoints() -> Result<()> {
    for more in [IN_DATABASE, IN_DIRECTORY] {
        let (mut kept, mut worker) = Kept::start("kept", more).await?;
        for _ in 0..3 {
            let newest = kept.newest().await?;
            worker.kill().await?;
            let from;
            (worker, from) = kept.goes_on().await?;
            // One more may have come to count before the kill.
            assert!(from.iter().zip(&newest).all(|(from, newest)| from >= newest), "{from:?}, though {newest:?} count");
            kept.stream.send(60)?;
            kept.stream.arrived(&worker).await?;
            kept.counted(&worker, newest.iter().min().copied().unwrap_or_default() + 40).await?;
            kept.told(&worker).await?;
        }
        let restores = worker.metric(&format!("weir_restores_total{{pipeline=\"{}\"}}", kept.stream.name)).await?;
        assert!((restores - 2.0).abs() < f64::EPSILON, "both lanes were restored: {restores}");
        let manifests: i64 = kept.stream.db.count("weir.checkpoint").await?;
        assert!(manifests <= 6, "{manifests} manifests are kept");
        let in_database = kept.stream.db.count("weir.checkpoint_chunk").await? > 0;
        assert_eq!(in_database, more == IN_DATABASE);
        worker.stop().await?;
        kept.stream.check(0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stopped_worker_leaves_nothing_to_replay() -> Result<()> {
    let (mut kept, worker) = Kept::start("stopped", IN_DATABASE).await?;
    kept.stream.send(7)?;
    kept.stream.arrived(&worker).await?;
    worker.stop().await?;
    let stood = kept.stream.positions().await?;
    assert_eq!(kept.newest().await?, stood, "the last checkpoint is where the sink stands");
    let (worker, from) = kept.goes_on().await?;
    assert_eq!(from, stood);
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_that_is_spoilt_is_passed_over() -> Result<()> {
    let spoilt = [
        (
            "UPDATE weir.checkpoint_chunk SET data = set_byte(data, length(data) - 9, get_byte(data, length(data) - 9) # 1)",
            "its checksum differs",
        ),
        ("UPDATE weir.checkpoint_chunk SET data = substr(data, 1, 100)", "its checksum differs"),
        ("DELETE FROM weir.checkpoint_chunk", "is missing"),
        ("UPDATE weir.checkpoint SET content = '{}'", "missing field"),
    ];
    for (sql, told) in spoilt {
        let (mut kept, worker) = Kept::start("spoilt", IN_DATABASE).await?;
        worker.kill().await?;
        kept.stream.db.batch_execute(sql).await?;
        let (worker, from) = kept.goes_on().await?;
        assert_eq!(from, [0, 0], "{sql}: nothing is left but the start");
        let passed_over = worker.logs().with("passed over");
        assert!(passed_over.iter().any(|line| line.text.contains(told)), "{sql}: {passed_over:?}");
        worker.stop().await?;
        kept.stream.check(0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_of_a_lost_history_is_never_used() -> Result<()> {
    let (mut kept, worker) = Kept::start("lost", IN_DATABASE).await?;
    worker.kill().await?;
    // The database comes back as it was at offset 20 of each lane, but its manifests do not: a restore by hand.
    kept.stream
        .db
        .batch_execute(
            "DELETE FROM averages WHERE kafka_offset >= 20;
             UPDATE weir.position SET next_offset = 20, records_in = 20, rows_out = 20",
        )
        .await?;
    let (worker, from) = kept.goes_on().await?;
    assert_eq!(from, [0, 0], "each checkpoint is beyond what the database holds");
    worker.stop().await?;
    kept.stream.check(0).await
}

#[tokio::test]
async fn changed_settings_take_over_at_the_next_offset_whatever_crashes() -> Result<()> {
    let (mut kept, worker) = Kept::start("changed", IN_DATABASE).await?;
    worker.kill().await?;
    let stood = kept.stream.positions().await?;
    let before = rows(&kept.stream.db).await?;
    // Rows from here on are means of three, over all that came before.
    let yaml = kept.stream.yaml(&kept.stream.db.url(), IN_DATABASE).replace("window: 5", "window: 3");
    std::fs::write(kept.plan.pipeline_file(&kept.stream.name), yaml)?;
    let mut worker = kept.plan.start()?;
    for _ in 0..2 {
        kept.stream.send(30)?;
        kept.stream.arrived(&worker).await?;
        worker.kill().await?;
        worker = kept.plan.start()?;
    }
    kept.stream.send(30)?;
    kept.stream.arrived(&worker).await?;
    worker.stop().await?;
    let mut wanted = expected_of(&kept.stream.log()?, 3);
    wanted.retain(|row| row.offset >= stood[row.partition as usize]);
    wanted.extend(before);
    wanted.sort_by_key(|row| (row.partition, row.offset));
    compare(&wanted, &rows(&kept.stream.db).await?, 0)?;
    ensure!(wanted != expected(&kept.stream.log()?), "the settings make no difference");
    let spoken = "SELECT bool_and(p.generation = c.generation) FROM weir.position p, LATERAL (
        SELECT generation FROM weir.checkpoint WHERE partition = p.partition ORDER BY at_offset DESC LIMIT 1) c";
    ensure!(kept.stream.db.value(spoken).await? == "t", "the newest checkpoint is of the chain that speaks");
    kept.cut_over_at(&stood).await
}

#[tokio::test]
async fn a_store_that_fails_costs_checkpoints_and_nothing_else() -> Result<()> {
    let mut stream = Stream::start("unkept", 2).await?;
    let plan = stream.plan(&stream.db.url(), IN_DIRECTORY)?;
    let in_the_way = plan.folder().join("state").join("checkpoints");
    std::fs::create_dir_all(plan.folder().join("state"))?;
    std::fs::write(&in_the_way, "a file where a folder should be")?;
    let worker = plan.start()?;
    stream.send(100)?;
    stream.arrived(&worker).await?;
    let told = async || {
        ensure!(!worker.logs().with("waiting: write").is_empty(), "nobody says that the store fails");
        Ok(())
    };
    eventually("a word about the store", WAIT, told).await?;
    stream.send(50)?;
    stream.arrived(&worker).await?;
    stream.check(0).await?;
    std::fs::remove_file(&in_the_way)?;
    let kept = Kept { stream, plan };
    kept.counted(&worker, 40).await?;
    worker.stop().await?;
    Ok(())
}
