//! A partition that has fallen silent: its last windows are closed by a recorded decision, once, whatever ends in
//! between, and records that come for them later are late.

use anyhow::{Result, ensure};
use weir::failpoint::VARIABLE;
use weir_tests::db::Db;
use weir_tests::kafka::{Kafka, Producer, Record};
use weir_tests::worker::{Plan, Worker};

/// When event time begins, in ms since the epoch: at the beginning of a window.
const BEGIN_MS: i64 = 1_790_000_000_000;
/// The length of a window.
const WINDOW_MS: i64 = 1_000;
/// A silence that closes every window.
const TIMEOUT: &str = "idle.timeout.ms: 1500\n";
/// Checkpoints that nobody waits for.
const RARE: &str = "checkpoint.interval.ms: 3600000\n";

/// A window as the table has it: partition, offset of the record it follows, beginning, close and count.
type Bar = (i32, i64, i64, f64, i64);

/// A topic of prices, and the database that their windows go to.
struct Bars {
    kafka: Kafka,
    producer: Producer,
    db: Db,
    topic: String,
    sent: Vec<i64>,
}

impl Bars {
    async fn start(hint: &str, partitions: i32) -> Result<Self> {
        let (kafka, db) = (Kafka::from_environment()?, Db::postgres(hint).await?);
        // The records are older than a broker keeps them by default.
        let topic = kafka.topic_with(hint, partitions, &[("retention.ms", "-1")]).await?;
        db.batch_execute(
            "CREATE TABLE bars (window_start timestamptz NOT NULL, key text, open float8, high float8, low float8, \
             close float8, count int8, kafka_topic text, kafka_partition int4, kafka_offset int8)",
        )
        .await?;
        let producer = kafka.producer_with(&[("linger.ms", "0")])?;
        let sent = vec![0; usize::try_from(partitions)?];
        Ok(Self { kafka, producer, db, topic, sent })
    }

    /// The pipeline's file, with more lines at its end.
    fn yaml(&self, more: &str) -> String {
        format!(
            "name: {0}\ntopics: {0}\nvalue.converter: json\nvalue.converter.schemas.enable: false\n\
             consumer.override.auto.offset.reset: earliest\n\
             transforms:\n  - name: bars\n    type: ohlc\n    price.field: price\n    interval: {WINDOW_MS}ms\n\
             connector.class: TimescaleSink\nconnection.url: {1}?sslmode=disable\ntable.name.format: bars\n\
             kafka.coordinates: true\n{RARE}{more}",
            self.topic,
            self.db.url()
        )
    }

    /// A plan of the one worker of this pipeline, whose partitions are its own again as soon as it is back.
    fn plan(&self, more: &str) -> Result<Plan> {
        let plan = Plan::run(self.kafka.brokers())?.flag("--worker-id", &self.topic);
        plan.pipeline(&self.topic, &self.yaml(more))
    }

    /// Sends prices 1, 2, 3, … at these times after the beginning to a partition.
    fn send(&mut self, partition: i32, times_ms: &[i64]) -> Result<()> {
        for time_ms in times_ms {
            let sent = &mut self.sent[partition as usize];
            *sent += 1;
            let value = format!(r#"{{"price":{sent}}}"#);
            let record = Record::new(&value).partition(partition).timestamp_ms(BEGIN_MS + time_ms);
            self.producer.send(&self.topic, &record)?;
        }
        self.producer.flush()
    }

    /// Waits until everything that was sent is committed.
    async fn arrived(&self, worker: &Worker) -> Result<()> {
        let sql = "SELECT string_agg(next_offset::text, ' ' ORDER BY partition) FROM weir.position";
        let ends = self.sent.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
        let look = async || {
            let positions = self.db.value(sql).await?;
            ensure!(positions == ends, "the sink stands at {positions} of {ends}");
            Ok(())
        };
        worker.until("the end of the log in the database", look).await
    }

    /// The windows in the table, by place.
    async fn bars(&self) -> Result<Vec<Bar>> {
        let sql = "SELECT kafka_partition, kafka_offset, (extract(epoch FROM window_start) * 1000)::int8 - $1::int8, \
                   close, count FROM bars ORDER BY 1, 2, 3";
        let rows = self.db.query(sql, &[&BEGIN_MS]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))).collect())
    }

    /// Waits until these windows are in the table and so many silences are recorded.
    async fn closed(&self, worker: &Worker, bars: &[Bar], silences: i64) -> Result<()> {
        let look = async || {
            let (found, decided) = (self.bars().await?, self.silences().await?);
            ensure!(found == bars && decided == silences, "{found:?} after {decided} silences");
            Ok(())
        };
        worker.until(&format!("{bars:?} after {silences} silences"), look).await
    }

    async fn silences(&self) -> Result<i64> {
        self.db.count("weir.decision WHERE kind = 'idle'").await
    }

    /// Runs a worker that is to end or to lose its connection at a point of its first flush, which a silence has made.
    fn failing(plan: &Plan, point: &str) -> Result<Worker> {
        plan.instead(&["run"]).variable(VARIABLE, point).start()
    }
}

#[tokio::test]
async fn a_silence_closes_the_last_windows_once_and_what_comes_later_is_late() -> Result<()> {
    let mut bars = Bars::start("silent", 2).await?;
    let worker = bars.plan(TIMEOUT)?.start()?;
    bars.send(0, &[100, 200, 1_300])?;
    bars.send(1, &[5_400])?;
    bars.arrived(&worker).await?;
    let first = [(0, 2, 0, 2.0, 2), (0, 2, 1_000, 3.0, 1), (1, 0, 5_000, 1.0, 1)];
    bars.closed(&worker, &first, 2).await?;
    let watermarks = "SELECT string_agg(watermark::text, ' ' ORDER BY partition) FROM weir.decision";
    let moved = [1_300, 5_400].map(|newest| ((BEGIN_MS + newest + 1_500) * 1_000).to_string()).join(" ");
    assert_eq!(bars.db.value(watermarks).await?, moved, "event time has gone on by the time-out");

    // The silence of partition 0 has brought its watermark to 2 800.
    bars.send(0, &[1_900, 2_900, 3_100])?;
    bars.arrived(&worker).await?;
    let second = [first[0], first[1], (0, 5, 2_000, 5.0, 1), (0, 5, 3_000, 6.0, 1), first[2]];
    bars.closed(&worker, &second, 3).await?;
    let page = worker.get("/metrics").await?.body;
    let late = page
        .lines()
        .find(|line| line.starts_with("weir_plugin_ohlc_late_rows_total") && line.contains("partition=\"0\""));
    ensure!(late.is_some_and(|line| line.ends_with(" 1")), "{late:?}");
    assert_eq!(bars.db.value("SELECT sum(rows_out)::text FROM weir.position").await?, "5");
    Ok(())
}

#[tokio::test]
async fn a_silence_that_is_cut_at_its_commit_closes_windows_once() -> Result<()> {
    for (point, aborts, committed) in [
        ("before-commit=crash", true, false),
        ("after-commit=crash", true, true),
        ("before-commit=error", false, false),
        ("after-commit=error", false, true),
    ] {
        let mut bars = Bars::start("cut_silence", 1).await?;
        let (without, with) = (bars.plan("")?, bars.plan(TIMEOUT)?);
        let worker = without.start()?;
        bars.send(0, &[100, 1_200])?;
        bars.arrived(&worker).await?;
        worker.kill().await?;
        let (open, closed) = ([(0, 1, 0, 1.0, 1)], [(0, 1, 0, 1.0, 1), (0, 1, 1_000, 2.0, 1)]);
        assert_eq!(bars.bars().await?, open);

        let cut = Bars::failing(&with, point)?;
        if aborts {
            cut.ended().await?;
            let found = (bars.bars().await?, bars.silences().await?);
            assert_eq!(
                found,
                (if committed { closed.to_vec() } else { open.to_vec() }, i64::from(committed)),
                "{point}"
            );
        } else {
            bars.closed(&cut, &closed, 1).await?;
            let unknown = format!("weir_commit_unknown_total{{pipeline=\"{}\"}}", bars.topic);
            let told = async || {
                ensure!(cut.metric(&unknown).await? >= 1.0, "{point}: the outcome was known");
                Ok(())
            };
            cut.until("an outcome that has to be read back", told).await?;
            cut.kill().await?;
        }
        let worker = with.start()?;
        bars.closed(&worker, &closed, 1).await?;
        // What the silence has closed stays closed; its window and the one before it take nothing in.
        bars.send(0, &[1_900, 2_800])?;
        bars.arrived(&worker).await?;
        bars.closed(&worker, &[closed[0], closed[1], (0, 3, 2_000, 4.0, 1)], 2).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_replay_repeats_a_silence_where_it_was_decided() -> Result<()> {
    let mut bars = Bars::start("repeated", 1).await?;
    let (with, without) = (bars.plan(TIMEOUT)?, bars.plan("")?);
    let worker = with.start()?;
    bars.send(0, &[100, 1_200])?;
    bars.arrived(&worker).await?;
    // This checkpoint is of before the silence, at the offset at which that is decided.
    worker.stop().await?;
    let worker = with.start()?;
    let mut closed = vec![(0, 1, 0, 1.0, 1), (0, 1, 1_000, 2.0, 1)];
    bars.closed(&worker, &closed, 1).await?;
    bars.send(0, &[1_900, 3_000])?;
    bars.arrived(&worker).await?;
    closed.push((0, 3, 3_000, 4.0, 1));
    bars.closed(&worker, &closed, 2).await?;
    worker.kill().await?;
    // Once from the checkpoint and once from the start, by workers that decide nothing themselves.
    let phases = [
        ("SELECT", [3_900, 6_000, 7_000], vec![(0, 6, 6_000, 6.0, 1)]),
        ("DELETE FROM weir.checkpoint", [3_900, 8_000, 9_000], vec![(0, 8, 7_000, 7.0, 1), (0, 9, 8_000, 9.0, 1)]),
    ];
    for (forget, times_ms, more) in phases {
        bars.db.batch_execute(forget).await?;
        let worker = without.start()?;
        bars.send(0, &times_ms)?;
        bars.arrived(&worker).await?;
        closed.extend(more);
        bars.closed(&worker, &closed, 2).await?;
        worker.tasks_are(&bars.topic, "RUNNING").await?;
        worker.kill().await?;
    }
    Ok(())
}
