//! History again: replays into another table, rewinds of the live one, and savepoints, all beside a worker under load.

use anyhow::{Context, Result, ensure};
use weir_tests::db::Session;
use weir_tests::eventually::eventually;
use weir_tests::worker::{Ended, Plan, WAIT, Worker};

use super::{Row, Stream, compare, expected, expected_of, rows, rows_of};

const OFTEN: &str = "checkpoint.interval.records: 50\n";
const IN_DIRECTORY: &str = "checkpoint.interval.records: 50\ncheckpoint.store: directory\n";

/// A stream under a running worker, whose plan other verbs share.
struct Live {
    stream: Stream,
    plan: Plan,
    worker: Worker,
}

impl Live {
    async fn start(hint: &str, more: &str) -> Result<Self> {
        let mut stream = Stream::start(hint, 2).await?;
        let plan = stream.plan(&stream.db.url(), more)?;
        let worker = plan.start()?;
        stream.send(300)?;
        stream.arrived(&worker).await?;
        let live = Live { stream, plan, worker };
        live.counted(100).await?;
        Ok(live)
    }

    /// Waits until each lane has a checkpoint at or beyond an offset.
    async fn counted(&self, offset: i64) -> Result<()> {
        let sql = format!(
            "SELECT count(DISTINCT partition) FROM weir.checkpoint WHERE at_offset >= {offset} AND pipeline = $1"
        );
        let look = async || {
            let lanes: i64 = self.stream.db.query(&sql, &[&self.stream.name]).await?.first().context("a count")?.get(0);
            ensure!(lanes == 2, "{lanes} lanes have such a checkpoint");
            Ok(())
        };
        eventually("a checkpoint of each lane", WAIT, look).await
    }

    /// A verb of the command line about this pipeline.
    async fn weir(&self, verb: &[&str], more: &[&str]) -> Result<Ended> {
        let line: Vec<&str> = verb.iter().chain([&self.stream.name.as_str()]).chain(more).copied().collect();
        self.plan.instead(&line).finish(WAIT).await
    }

    /// The same, which must be done; gives what it printed.
    async fn done(&self, verb: &[&str], more: &[&str]) -> Result<String> {
        let ended = self.weir(verb, more).await?;
        ensure!(ended.status.success(), "weir {verb:?} {more:?}: {}", ended.logs.tail(20));
        Ok(ended.output.tail(100))
    }

    /// Starts the worker anew with another window.
    async fn average_over(mut self, window: usize, more: &str) -> Result<Self> {
        self.worker.stop().await?;
        let yaml = self.stream.yaml(&self.stream.db.url(), more).replace("window: 5", &format!("window: {window}"));
        std::fs::write(self.plan.pipeline_file(&self.stream.name), yaml)?;
        self.worker = self.plan.start()?;
        Ok(self)
    }

    /// Whether every record of the log has its row, the mean of as many.
    async fn check(&self, window: usize) -> Result<()> {
        compare(&expected_of(&self.stream.log()?, window), &rows(&self.stream.db).await?, 0)
    }

    /// A second table like the live one.
    async fn another_table(&self, name: &str) -> Result<()> {
        Ok(self.stream.db.batch_execute(&format!("CREATE TABLE {name} (LIKE averages)")).await?)
    }
}

/// The rows of these offsets.
fn between(rows: Vec<Row>, from: i64, to: i64) -> Vec<Row> {
    rows.into_iter().filter(|row| (from..to).contains(&row.offset)).collect()
}

#[tokio::test]
async fn a_replay_into_another_table_gives_what_the_log_gives() -> Result<()> {
    for more in [OFTEN, IN_DIRECTORY] {
        let mut live = Live::start("again", more).await?;
        let newest = "SELECT max(at_offset) + 1 FROM weir.checkpoint WHERE pipeline NOT LIKE '%@replay-%'";
        let newest = live.stream.db.value(newest).await?;
        // From the start, from in the middle (whose state is only in the log), and from behind a checkpoint.
        let cases = [
            ("earliest", "latest", "no state before"),
            ("17", "250", "state rebuilt from offset 0"),
            (newest.as_str(), "latest", "state of offset "),
        ];
        for (number, (from, to, state)) in cases.into_iter().rev().enumerate() {
            live.stream.send(40)?;
            let table = format!("again_{number}");
            live.another_table(&table).await?;
            let end = live.stream.kafka.offsets(&live.stream.topic, 0)?.1;
            let printed = live.done(&["replay"], &["--from", from, "--to", to, "--into", &table]).await?;
            ensure!(printed.contains(state), "{from}: {printed}");
            let (from, to) = (from.parse().unwrap_or(0), to.parse().unwrap_or(end));
            let wanted = between(expected(&live.stream.log()?), from, to);
            compare(&wanted, &rows_of(&live.stream.db, &table).await?, 0).with_context(|| printed.clone())?;
        }
        live.stream.arrived(&live.worker).await?;
        live.check(5).await?;
        let left = live.stream.db.count("weir.checkpoint WHERE pipeline LIKE '%@replay-%'").await?;
        ensure!(left == 0, "{left} checkpoints are left of replays that have ended");
        live.worker.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_replay_that_is_killed_goes_on_under_its_id() -> Result<()> {
    let mut live = Live::start("resumed", OFTEN).await?;
    live.stream.send(20_000)?;
    live.another_table("again").await?;
    let line = ["replay", &live.stream.name, "--from", "earliest", "--into", "again", "--id", "mine"];
    let name = format!("{}@replay-mine", live.stream.name);
    let replay = live.plan.instead(&line).start()?;
    let begun = async || {
        let stands = format!("SELECT coalesce(sum(next_offset), 0)::int8 FROM weir.position WHERE pipeline = '{name}'");
        ensure!(live.stream.db.number(&stands).await? > 0, "nothing is written yet");
        Ok(())
    };
    eventually("the first rows of the replay", WAIT, begun).await?;
    replay.kill().await?;
    let ended = live.plan.instead(&line).finish(super::ARRIVAL).await?;
    ensure!(ended.status.success(), "{}", ended.logs.tail(20));
    compare(&expected(&live.stream.log()?), &rows_of(&live.stream.db, "again").await?, 0)?;
    live.stream.arrived(&live.worker).await?;
    live.worker.stop().await?;
    Ok(())
}

/// Watches that a reader never sees a record without its row or with two.
async fn watch(session: Session, stop: std::sync::Arc<std::sync::atomic::AtomicBool>) -> Result<u64> {
    let sql = "SELECT count(a.kafka_offset) - count(DISTINCT (a.kafka_partition, a.kafka_offset)),
        (SELECT sum(greatest(next_offset, rewrite_until)) FROM weir.position)::int8 - count(DISTINCT (a.kafka_partition, a.kafka_offset))
        FROM averages a";
    let mut looks = 0;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let rows = session.query(sql, &[]).await?;
        let row = rows.first().context("a row")?;
        let (doubled, lost): (i64, i64) = (row.get(0), row.get(1));
        ensure!((doubled, lost) == (0, 0), "a reader saw {doubled} rows doubled and {lost} lost");
        looks += 1;
    }
    Ok(looks)
}

#[tokio::test]
async fn a_rewind_under_load_replaces_rows_and_no_reader_sees_a_gap() -> Result<()> {
    let mut live = Live::start("rewound", OFTEN).await?.average_over(3, OFTEN).await?;
    live.stream.send(2_000)?;
    live.stream.arrived(&live.worker).await?;
    let stop = std::sync::Arc::default();
    let watched = tokio::spawn(watch(live.stream.db.address().connect().await?, std::sync::Arc::clone(&stop)));
    let printed = live.done(&["replay"], &["--from", "earliest", "--rewind", "--dry-run"]).await?;
    ensure!(printed.contains("nothing was changed"), "{printed}");
    live.stream.send(500)?;
    live.done(&["replay"], &["--from", "earliest", "--rewind"]).await?;
    live.stream.send(500)?;
    live.stream.arrived(&live.worker).await?;
    // The rows of before were means of five.
    live.check(3).await?;
    // Once more, to where a checkpoint has the state, across a kill.
    live.done(&["replay"], &["--from", "2900", "--rewind"]).await?;
    live.worker.kill().await?;
    live.worker = live.plan.start()?;
    live.stream.send(300)?;
    live.stream.arrived(&live.worker).await?;
    live.check(3).await?;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    ensure!(watched.await?? > 0, "nobody has looked");
    let recorded = live
        .stream
        .db
        .count("weir.decision WHERE kind = 'rewound' AND detail LIKE 'rewind: back from offset %'")
        .await?;
    ensure!(recorded == 4, "{recorded} rewinds are recorded");
    live.worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_savepoint_restores_into_a_new_pipeline() -> Result<()> {
    for more in [OFTEN, IN_DIRECTORY] {
        let mut live = Live::start("saved", more).await?;
        let printed = live.done(&["savepoint", "create"], &["before"]).await?;
        ensure!(printed.contains("entries"), "{printed}");
        // Its own checkpoints move on and leave it behind.
        live.stream.send(300)?;
        live.stream.arrived(&live.worker).await?;
        live.counted(550).await?;
        let saved = saved(&live).await?;
        live.another_table("others").await?;
        let Live { stream, plan, worker } = live;
        worker.stop().await?;
        for (partition, at) in saved.iter().enumerate() {
            stream.kafka.delete_records(&stream.topic, partition as i32, *at).await?;
        }
        let name = format!("{}-other", stream.name);
        let yaml = stream.yaml(&stream.db.url(), more);
        let yaml = yaml.replacen(&stream.name, &name, 1).replace("averages", "others");
        let plan = plan.pipeline(&name, &yaml)?;
        let list = plan.instead(&["savepoint", "list", &name]).finish(WAIT).await?.output.tail(9);
        ensure!(list.contains(&format!("before: pipeline {}", stream.name)), "{list}");
        let restored = plan.instead(&["savepoint", "restore", &name, "before"]).finish(WAIT).await?;
        ensure!(restored.status.success(), "{}", restored.logs.tail(20));
        let worker = plan.start()?;
        stream.arrived(&worker).await?;
        let other = Stream { name: name.clone(), ..stream };
        other.arrived(&worker).await?;
        // The means of its first rows reach back to before the savepoint, where the log is gone: the live rows tell.
        let mut wanted = rows(&other.db).await?;
        wanted.retain(|row| row.offset >= saved[row.partition as usize]);
        compare(&wanted, &rows_of(&other.db, "others").await?, 0)?;
        // Without any checkpoint of its own there is nothing to begin with.
        worker.kill().await?;
        other.db.batch_execute(&format!("DELETE FROM weir.checkpoint WHERE pipeline = '{name}'")).await?;
        let worker = plan.start()?;
        let failed = async || {
            let told = worker.logs().with("task failed");
            ensure!(told.iter().any(|line| line.text.contains("began with the state of a savepoint")), "{told:?}");
            Ok(())
        };
        eventually("the reason why it does not go on", WAIT, failed).await?;
        worker.stop().await?;
    }
    Ok(())
}

/// The offsets of the only savepoint.
async fn saved(live: &Live) -> Result<Vec<i64>> {
    let sql = "SELECT at_offset FROM weir.checkpoint WHERE pipeline LIKE '@savepoint/%' ORDER BY partition";
    Ok(live.stream.db.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn a_running_pipeline_takes_its_own_savepoint_back() -> Result<()> {
    let mut live = Live::start("taken_back", OFTEN).await?;
    live.done(&["savepoint", "create"], &["one"]).await?;
    live.stream.send(400)?;
    live.stream.arrived(&live.worker).await?;
    let at = saved(&live).await?;
    for (more, expected) in
        [(&["one"][..], "replayed with output off"), (&["one", "--rewind"][..], "rows written anew")]
    {
        let claims = live.worker.logs().with("lane claimed").len();
        let printed = live.done(&["savepoint", "restore"], more).await?;
        ensure!(printed.contains(expected), "{printed}");
        live.stream.send(100)?;
        live.stream.arrived(&live.worker).await?;
        let lines = live.worker.logs().with("lane claimed");
        let from: Vec<i64> = lines.iter().skip(claims).filter_map(|line| line.field("replay_from")?.as_i64()).collect();
        ensure!(at.iter().all(|at| from.contains(at)), "the lanes were read from {from:?}, the savepoint is at {at:?}");
        live.check(5).await?;
    }
    live.done(&["savepoint", "delete"], &["one"]).await?;
    ensure!(live.stream.db.count("weir.checkpoint_chunk WHERE pipeline LIKE '@%'").await? == 0, "chunks are left");
    live.worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_done_is_told_and_changes_nothing() -> Result<()> {
    let live = Live::start("refused", OFTEN).await?;
    let topic = &live.stream.topic;
    for partition in [0, 1] {
        live.stream.kafka.delete_records(topic, partition, 20).await?;
    }
    let cases: [(&[&str], &[&str], &str); 6] = [
        (&["savepoint", "restore"], &["none"], "there is no savepoint `none`; there is none"),
        (&["savepoint", "create"], &[""], "a savepoint's name has 1 to 200 bytes without control characters"),
        (&["replay"], &["--from", "earliest"], "--into <TABLE>"),
        (
            &["replay"],
            &["--from", "noon", "--rewind"],
            "takes an offset, a time such as 2026-05-01T00:00:00Z, `earliest` or `latest`",
        ),
        (
            &["replay"],
            &["--from", "30", "--into", "averages"],
            "cannot be rebuilt: no checkpoint or savepoint lies at or before it",
        ),
        (&["replay"], &["--from", "290", "--cold", "--into", "no_such_table"], "no_such_table"),
    ];
    for (verb, more, sentence) in cases {
        let ended = live.weir(verb, more).await?;
        let told = ended.logs.tail(20);
        ensure!(!ended.status.success() && told.contains(sentence), "{verb:?} {more:?}: {told}");
    }
    let unknown = live.plan.instead(&["savepoint", "list", "no-such-pipeline"]).finish(WAIT).await?;
    ensure!(unknown.logs.tail(5).contains(&format!("no file has a pipeline `no-such-pipeline`; there are: {topic}")));
    live.worker.stop().await?;
    Ok(())
}
