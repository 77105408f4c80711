//! What is wrong with brokers, topics, databases and tables: what an operator must mend fails the task, what may come
//! by itself is waited for, visibly.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::kafka::Record;
use weir_tests::worker::{Worker, free_port};

use super::{Bed, logged, pipeline, told};

/// Something that is wrong beside the files.
struct Case {
    name: &'static str,
    /// The table, if there is one: `TABLE` in `sentence` is its name.
    columns: Option<&'static str>,
    /// What the pipeline's file has beside what all have.
    adds: &'static str,
    /// `TOPIC`, `TABLE`, `DATABASE` and `NOBODY` stand for what this run has.
    sentence: &'static str,
    hint: &'static str,
    is_waited_for: bool,
}

const CASES: [Case; 9] = [
    Case {
        name: "missing_table",
        columns: None,
        adds: "",
        sentence: "table missing_table does not exist",
        hint: "Create the table, or set `auto.create: true`.",
        is_waited_for: false,
    },
    Case {
        name: "listed_otherwise",
        columns: Some("v float8"),
        adds: "auto.create: true\nfields: v:text\n",
        sentence: "column \"v\" of table public.listed_otherwise has type double precision, but `fields` lists it as \
                   text: change the column, or convert the field with a transform",
        hint: MISMATCH,
        is_waited_for: false,
    },
    Case {
        name: "written_otherwise",
        columns: Some("v float8, sma text"),
        adds: "transforms:\n- name: sma\n  type: sma\n  value.field: v\n  window: 3\n",
        sentence: "column \"sma\" of table public.written_otherwise has type text, but the transforms write it as \
                   float64: change the column, or convert the field with a transform",
        hint: MISMATCH,
        is_waited_for: false,
    },
    Case {
        name: "unwritable",
        columns: Some("v float8, place point"),
        adds: "",
        sentence: "column \"place\" of table public.unwritable has type point, which weir cannot write: change the \
                   column's type, or list in `fields` the columns to write without it",
        hint: MISMATCH,
        is_waited_for: false,
    },
    Case {
        name: "wrong_password",
        columns: Some("v float8"),
        adds: "connection.url: postgres://secured@DATABASE\nconnection.password: hunter2\n",
        sentence: "connect to database DATABASE: password authentication failed for user \"secured\" (SQLSTATE 28P01)",
        hint: "Check the user and the password in `connection.url` and `connection.password`.",
        is_waited_for: false,
    },
    Case {
        name: "no_password",
        columns: Some("v float8"),
        adds: "connection.url: postgres://secured@DATABASE\n",
        sentence: "connect to database DATABASE: invalid configuration: password missing",
        hint: "Check the user and the password in `connection.url` and `connection.password`.",
        is_waited_for: false,
    },
    Case {
        name: "broker_down",
        columns: Some("v float8"),
        adds: "bootstrap.servers: NOBODY\n",
        sentence: "no broker of NOBODY answers: Connect to ipv4#NOBODY failed: Connection refused",
        hint: "Check `bootstrap.servers` and that the broker runs; weir keeps trying.",
        is_waited_for: true,
    },
    Case {
        name: "topic_missing",
        columns: Some("v float8"),
        adds: "consumer.override.topic.metadata.refresh.interval.ms: 500\n",
        sentence: "topic TOPIC does not exist",
        hint: "Create the topic or correct `topics`; weir keeps looking.",
        is_waited_for: true,
    },
    Case {
        name: "database_down",
        columns: Some("v float8"),
        adds: "connection.url: postgres://weir@NOBODY/weir\n",
        sentence: "connect to database NOBODY/weir: error connecting to server: Connection refused (os error 111)",
        hint: "Check `connection.url` and that the database runs; weir keeps trying.",
        is_waited_for: true,
    },
];

const MISMATCH: &str = "Change the column, or convert the field with a transform.";
const TOPIC_MISSING: &str = "topic_missing";

/// Waits for the outcome of a case: the status that shows it.
async fn outcome(worker: &Worker, case: &Case, sentence: &str) -> Result<Value> {
    let Case { name, hint, is_waited_for, .. } = case;
    let report = format!("{sentence}. {hint}");
    let (state, place) = if *is_waited_for { ("RUNNING", "waiting") } else { ("FAILED", "trace") };
    let look = async || {
        let status = worker.status(name).await?;
        ensure!(status["tasks"][0]["state"] == state, "{status}");
        ensure!(told(&status, place) == Some(&report), "{place} is {:?}, not {report:?}", told(&status, place));
        Ok(status)
    };
    worker.until(&format!("{state} of {name}"), look).await
}

#[tokio::test]
async fn what_is_wrong_with_servers_costs_one_pipeline_and_is_told() -> Result<()> {
    let mut bed = Bed::start("servers").await?;
    let topic = bed.kafka.topic("servers", 1).await?;
    let absent = format!("{topic}-absent");
    let nobody = format!("127.0.0.1:{}", free_port()?);
    let database = format!("{}/{}", bed.db.address().authority(), bed.db.address().database);
    let with_names = |case: &Case, text: &str| {
        let topic = if case.name == TOPIC_MISSING { &absent } else { &topic };
        text.replace("TOPIC", topic).replace("NOBODY", &nobody).replace("DATABASE", &database)
    };
    let mut plan = bed.plan()?;
    for case in &CASES {
        if let Some(columns) = case.columns {
            bed.db.batch_execute(&format!("CREATE TABLE {} ({columns})", case.name)).await?;
        }
        let yaml = pipeline(case.name, &with_names(case, "TOPIC"), &bed.db, case.name, &with_names(case, case.adds));
        plan = plan.pipeline(case.name, &yaml)?;
    }
    let worker = plan.start()?;
    worker.ready().await?;
    for case in &CASES {
        let sentence = with_names(case, case.sentence);
        outcome(&worker, case, &sentence).await?;
        if !case.is_waited_for {
            assert_eq!(logged(&worker, case.name)?, (format!("task failed: {sentence}"), case.hint.to_owned()));
        }
        bed.beat(&worker, case.name).await?;
    }
    assert!(worker.logs().with("hunter2").is_empty(), "a password is never told");
    assert_eq!(worker.status(&bed.healthy).await?["connector"]["state"], "RUNNING");

    // What is waited for is taken up when it comes.
    bed.kafka.create(&absent, 1, &[]).await?;
    bed.producer.send(&absent, &Record::new(r#"{"v":1}"#))?;
    bed.producer.flush()?;
    let arrived = async || {
        ensure!(bed.db.count(TOPIC_MISSING).await? == 1, "no row yet");
        let status = worker.status(TOPIC_MISSING).await?;
        ensure!(told(&status, "waiting").is_none(), "still waiting: {status}");
        Ok(())
    };
    worker.until("the row of a topic that came later", arrived).await?;
    assert_eq!(worker.stop().await.context("drain with failed and waiting tasks")?.status.code(), Some(0));
    Ok(())
}
