//! Guests that break every promise of the interface, one at a time, behind the real walls: the worker and every other
//! pipeline go on, a record that is at fault is found, and what is no record's fault fails the task with the limit named.

mod files;
mod flat;
mod state;

use anyhow::{Result, ensure};
use weir_tests::kafka::{Kafka, Record};
use weir_tests::worker::{Plan, Worker};

use super::errors::{Bed, pipeline, told};

/// Records of a topic, and the one whose field `bad` is true.
const RECORDS: i64 = 40;
const BAD: i64 = 17;

/// The lines of a pipeline with this fault, under these settings of the stage.
fn stage(fault: &str, settings: &str) -> String {
    format!("transforms:\n  - name: m\n    type: misbehave\n    fault: {fault}\n{settings}")
}

/// A pipeline's table.
async fn make_table(bed: &Bed, name: &str) -> Result<()> {
    Ok(bed.db.batch_execute(&format!("CREATE TABLE {name} (n int8, out int8, note text)")).await?)
}

/// Sends the numbers of a range, one of them marked.
fn send(kafka: &Kafka, topic: &str, numbers: std::ops::Range<i64>) -> Result<()> {
    let producer = kafka.producer()?;
    for n in numbers {
        let bad = if n == BAD { r#","bad":true"# } else { "" };
        producer.send(topic, &Record::new(&format!(r#"{{"n":{n}{bad}}}"#)))?;
    }
    producer.flush()
}

/// Waits until a pipeline's table has rows of exactly these numbers, each once and as the plugin passes them.
async fn holds(bed: &Bed, worker: &Worker, name: &str, numbers: impl Iterator<Item = i64>) -> Result<()> {
    let numbers: Vec<i64> = numbers.collect();
    let look = async || {
        let rows = bed.db.query(&format!("SELECT n, out, note FROM {name} ORDER BY n"), &[]).await?;
        let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        ensure!(found == numbers, "{name} holds {found:?}");
        let passed =
            |row: &tokio_postgres::Row| row.get::<_, i64>(0) == row.get::<_, i64>(1) && row.get::<_, &str>(2) == "ok";
        ensure!(rows.iter().all(passed), "{rows:?}");
        Ok(())
    };
    worker.until(&format!("the rows of {name}"), look).await
}

/// Faults of one record: the fault, and what is said of the record.
const OF_A_RECORD: [(&str, &str); 12] = [
    ("trap", "trapped in process"),
    ("loop", "did not return from process within its time limit of 1s (plugin.limits.call.ms)"),
    ("stack-overflow", "trapped in process: its stack passed the limit of 512 KiB"),
    ("column-count", "it emitted 1 columns, but its plan writes 2"),
    ("column-type", "it emitted column out that holds texts, but the plan says int64"),
    ("column-length", "it emitted column out that has 2 values, not 1"),
    ("offsets-fall", "it emitted column note that has offsets from 2 to 1"),
    ("ids-out-of-range", "it emitted column note that has id 9 at row 0 in a dictionary of 1 texts"),
    ("invalid-utf8", "it emitted column note that is not UTF-8"),
    ("validity-length", "it emitted column out that has 2 validity bytes, not 1"),
    ("origin-out-of-range", "it emitted origin 1 in a batch of 1 rows"),
    ("error-out-of-range", "it returned an error of row 1 in a batch of 1 rows"),
];

#[tokio::test]
async fn a_record_that_breaks_a_guest_is_found_whatever_it_does() -> Result<()> {
    let mut bed = Bed::start("guests").await?;
    let topic = bed.kafka.topic("guests", 1).await?;
    send(&bed.kafka, &topic, 0..RECORDS)?;
    let mut plan = bed.plan()?.flag("--memory", "1G");
    for (fault, _) in OF_A_RECORD {
        for (tolerance, more) in [("all", "errors.tolerance: all\n"), ("none", "")] {
            let name = format!("{tolerance}_{}", fault.replace('-', "_"));
            make_table(&bed, &name).await?;
            let more = format!("{more}plugin.limits.call.ms: 1000\n{}", stage(fault, ""));
            plan = plan.pipeline(&name, &pipeline(&name, &topic, &bed.db, &name, &more))?;
        }
    }
    let worker = plan.start()?;
    worker.ready().await?;
    for (fault, said) in OF_A_RECORD {
        let fault = fault.replace('-', "_");
        let name = format!("all_{fault}");
        holds(&bed, &worker, &name, (0..RECORDS).filter(|n| *n != BAD)).await?;
        worker.tasks_are(&name, "RUNNING").await?;
        let sql = format!("SELECT at_offset, kind, stage, detail FROM weir.decision WHERE pipeline = '{name}'");
        let decided = bed.db.rows(&sql).await?;
        let [decision] = decided.as_slice() else { anyhow::bail!("{name}: {decided:?}") };
        let cell = |at: usize| decision[at].clone().unwrap_or_default();
        assert_eq!([cell(0), cell(1), cell(2)], [BAD.to_string(), "excluded".to_owned(), "0".to_owned()], "{name}");
        assert!(cell(3).contains(said), "{name}: {}", cell(3));

        let name = format!("none_{fault}");
        let status = worker.tasks_are(&name, "FAILED").await?;
        let trace = told(&status, "trace").unwrap_or_default();
        let place = format!("the record of topic {topic}, partition 0, offset {BAD} breaks the plugin each time: ");
        assert!(trace.contains(&place) && trace.contains(said), "{name}: {trace}");
        let beyond = bed.db.number(&format!("SELECT count(*) FROM {name} WHERE n >= {BAD}")).await?;
        assert_eq!(beyond, 0, "{name}: nothing from the bad record on is written");
        bed.beat(&worker, &name).await?;
    }
    assert_eq!(worker.stop().await?.status.code(), Some(0));
    Ok(())
}

/// What is no record's fault: the fault, the stage's settings, and the sentence of the task that fails.
const OF_THE_PLUGIN: [(&str, &str, &str); 7] = [
    (
        "memory-bomb",
        "    plugin.limits.memory: 128M\n",
        "KiB of memory; its limit is 131072 KiB (plugin.limits.memory)",
    ),
    (
        "slow-leak",
        "    when: always\n    plugin.limits.memory: 24M\n",
        "KiB of memory; its limit is 24576 KiB (plugin.limits.memory)",
    ),
    (
        "huge-output",
        "    plugin.limits.output.bytes: 4M\n",
        "in one call; its limit is 4096 KiB (plugin.limits.output.bytes)",
    ),
    (
        "many-rows",
        "    plugin.limits.output.rows: 55000\n",
        "it emitted 60000 rows in one call; its limit is 55000 (plugin.limits.output.rows)",
    ),
    (
        "error-flood",
        "    when: always\n    plugin.limits.rejected.rows: 20\n",
        "rows one after the other; its limit is 20 (plugin.limits.rejected.rows); the last (code 7): No row is good enough",
    ),
    ("metric-flood", "", "it declares 33 metrics; its limit is 32 (plugin.limits.metrics)"),
    (
        "loop-in-configure",
        "    plugin.limits.call.ms: 500\n",
        "did not return from configure within its time limit of 500ms (plugin.limits.call.ms)",
    ),
];

#[tokio::test]
async fn what_is_no_records_fault_fails_the_task_with_the_limit_named() -> Result<()> {
    let mut bed = Bed::start("limits").await?;
    let topic = bed.kafka.topic("limits", 1).await?;
    send(&bed.kafka, &topic, 0..RECORDS)?;
    let mut plan = bed.plan()?.flag("--memory", "1G");
    for (fault, settings, _) in OF_THE_PLUGIN {
        let name = fault.replace('-', "_");
        make_table(&bed, &name).await?;
        let more = format!("errors.tolerance: all\n{}", stage(fault, settings));
        plan = plan.pipeline(&name, &pipeline(&name, &topic, &bed.db, &name, &more))?;
    }
    let worker = plan.start()?;
    worker.ready().await?;
    for (fault, _, said) in OF_THE_PLUGIN {
        let name = fault.replace('-', "_");
        let failed = async || {
            let status = worker.status(&name).await?;
            let states = [status.pointer("/tasks/0/state"), status.pointer("/connector/state")];
            ensure!(states.iter().flatten().any(|state| **state == "FAILED"), "{status}");
            Ok(status)
        };
        let status = worker.until(&format!("the end of {name}"), failed).await?;
        let trace = told(&status, "trace").unwrap_or_default();
        assert!(trace.contains(said), "{name}: {trace}");
        bed.beat(&worker, &name).await?;
    }
    let decided = bed.db.number("SELECT count(*) FROM weir.decision").await?;
    assert!(decided <= 2 * RECORDS, "{decided} records were skipped before the plugin was found to be at fault");
    assert_eq!(worker.stop().await?.status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_flood_of_log_lines_is_withheld_and_counted() -> Result<()> {
    let bed = Bed::start("logs").await?;
    let topic = bed.kafka.topic("logs", 1).await?;
    make_table(&bed, "logs").await?;
    let settings = "    when: always\n    plugin.limits.log.lines: 10\n    plugin.limits.log.line.bytes: 200\n";
    let yaml = pipeline("logs", &topic, &bed.db, "logs", &stage("log-flood", settings));
    let worker = bed.plan()?.pipeline("logs", &yaml)?.start()?;
    worker.ready().await?;
    for n in 0..3 {
        send(&bed.kafka, &topic, n * 5..(n + 1) * 5)?;
        holds(&bed, &worker, "logs", 0..(n + 1) * 5).await?;
    }
    let flood: Vec<_> = worker.logs().with("xxxxxxxx");
    // Ten in each second that a call lasted.
    assert!((1..1_000).contains(&flood.len()), "{} lines", flood.len());
    assert!(flood.iter().all(|line| line.message().len() <= 200), "lines are cut");
    worker.tasks_are("logs", "RUNNING").await?;
    let logs = worker.stop().await?.logs;
    let withheld = logs.with("log lines withheld: more than 10 in a second (plugin.limits.log.lines)");
    assert!(!withheld.is_empty(), "what is withheld is told, in the last second as well");
    Ok(())
}

/// A worker's plan with one pipeline of this fault.
fn plan(bed: &Bed, name: &str, topic: &str, more: &str) -> Result<Plan> {
    bed.plan()?.pipeline(name, &pipeline(name, topic, &bed.db, name, more))
}
