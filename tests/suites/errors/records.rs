//! What is wrong with a record: with `errors.tolerance` none the task fails and names topic, partition, offset, column
//! and cause; with all the record is skipped and recorded, and the rest arrives.

use anyhow::{Result, ensure};
use weir_tests::kafka::Record;
use weir_tests::worker::Worker;

use super::{Bed, logged, pipeline, told};

/// A record that cannot become a row of `(v int8 NOT NULL CHECK (v <> 13), s text)`. It has offset 1.
struct Case {
    name: &'static str,
    value: Option<&'static [u8]>,
    /// Before and after the record's place in the sentence.
    begins: &'static str,
    cause: &'static str,
    /// The column or field, with the word that stands before it.
    at: &'static str,
    hint: &'static str,
    /// The decision: kind and stage.
    decision: (&'static str, &'static str),
}

const PRODUCER: &str = "Mend the producer, or set `errors.tolerance: all` to skip and record such records.";
const CONVERTER: &str = "the value converter cannot take the record of";
const TABLE: &str = "the table cannot take the record of";

const CASES: [Case; 8] = [
    Case {
        name: "malformed",
        value: Some(b"{\"v\":1,\"s\":"),
        begins: CONVERTER,
        cause: "the value is not JSON: expected a value at byte 11, where it ends",
        at: "",
        hint: PRODUCER,
        decision: ("rejected", "-1"),
    },
    Case {
        name: "huge_number",
        value: Some(b"{\"v\":1e400}"),
        begins: CONVERTER,
        cause: "the value is not JSON: a number out of the range of float64 at byte 5",
        at: "",
        hint: PRODUCER,
        decision: ("rejected", "-1"),
    },
    Case {
        name: "invalid_utf8",
        value: Some(b"{\"v\":1,\"s\":\"\xff\"}"),
        begins: CONVERTER,
        cause: "the value is not JSON: bytes that are not UTF-8 at byte 12",
        at: "",
        hint: PRODUCER,
        decision: ("rejected", "-1"),
    },
    Case {
        name: "nul_in_text",
        value: Some(b"{\"v\":1,\"s\":\"a\\u0000b\"}"),
        begins: TABLE,
        cause: "text \"a\\0b\" with a NUL character does not fit column \"s\" (text): no text of PostgreSQL can hold one",
        at: "column s",
        hint: PRODUCER,
        decision: ("refused", "32767"),
    },
    Case {
        name: "other_kind",
        value: Some(b"{\"v\":\"one\"}"),
        begins: TABLE,
        cause: "field \"v\" is no int64, which column \"v\" (bigint) needs",
        at: "column v",
        hint: PRODUCER,
        decision: ("refused", "32767"),
    },
    Case {
        name: "no_value_for_not_null",
        value: Some(b"{\"s\":\"x\"}"),
        begins: TABLE,
        cause: "column \"v\" (bigint) is NOT NULL, but the record has no such field",
        at: "column v",
        hint: PRODUCER,
        decision: ("refused", "32767"),
    },
    Case {
        name: "tombstone",
        value: None,
        begins: TABLE,
        cause: "its value is null, which asks for a delete, and rows are only added to table public.none_tombstone",
        at: "",
        hint: PRODUCER,
        decision: ("refused", "32767"),
    },
    Case {
        name: "constraint",
        value: Some(b"{\"v\":13}"),
        begins: "the database refuses the row of",
        cause: "new row for relation \"none_constraint\" violates check constraint \"none_constraint_v_check\"; Failing row \
                contains (13, null) (SQLSTATE 23514)",
        at: "",
        hint: "Mend the record or the table's constraint, or set `errors.tolerance: all` to skip and record such rows.",
        decision: ("refused", "32767"),
    },
];

impl Case {
    /// The sentence of a task that fails.
    fn sentence(&self, topic: &str) -> String {
        let at = if self.at.is_empty() { String::new() } else { format!(", {}", self.at) };
        format!("{} topic {topic}, partition 0, offset 1{at}: {}", self.begins, self.cause)
    }

    /// What is recorded of a record that is skipped.
    fn detail(&self) -> String {
        let at = if self.at.is_empty() { String::new() } else { format!("{}: ", self.at) };
        format!("{at}{}", self.cause).replace("none_", "all_")
    }
}

async fn fails(bed: &Bed, worker: &Worker, case: &Case, topic: &str) -> Result<()> {
    let pipeline = format!("none_{}", case.name);
    let status = worker.tasks_are(&pipeline, "FAILED").await?;
    let sentence = case.sentence(topic);
    assert_eq!(told(&status, "trace"), Some(format!("{sentence}. {}", case.hint).as_str()));
    assert_eq!(logged(worker, &pipeline)?, (format!("task failed: {sentence}"), case.hint.to_owned()));
    let later = format!("SELECT count(*) FROM {pipeline} WHERE v > 0");
    assert_eq!(bed.db.number(&later).await?, 0, "{pipeline}: nothing from the bad record on is written");
    Ok(())
}

async fn skips(bed: &Bed, worker: &Worker, case: &Case) -> Result<()> {
    let pipeline = format!("all_{}", case.name);
    let rows = async || {
        let rows = bed.db.rows(&format!("SELECT v, s FROM {pipeline} ORDER BY v")).await?;
        ensure!(rows.len() == 2, "{rows:?}");
        Ok(rows)
    };
    let rows = worker.until(&format!("the other rows of {pipeline}"), rows).await?;
    let good = |v: &str, s: &str| vec![Some(v.to_owned()), Some(s.to_owned())];
    assert_eq!(rows, [good("0", "first"), good("2", "last")], "{pipeline}");
    let recorded =
        format!("SELECT partition, at_offset, kind, stage, detail FROM weir.decision WHERE pipeline = '{pipeline}'");
    let (kind, stage) = case.decision;
    let expected = ["0", "1", kind, stage, &case.detail()].map(|cell| Some(cell.to_owned()));
    assert_eq!(bed.db.rows(&recorded).await?, [expected], "{pipeline}");
    let skipped = worker.logs().with("record skipped").into_iter();
    let skipped: Vec<_> =
        skipped.filter(|line| line.field("pipeline").is_some_and(|name| *name == *pipeline)).collect();
    let [line] = skipped.as_slice() else { anyhow::bail!("{pipeline} has logged {} skipped records", skipped.len()) };
    assert_eq!(line.field("offset").unwrap(), 1, "{pipeline}");
    worker.tasks_are(&pipeline, "RUNNING").await?;
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_record_is_told_with_its_place_or_recorded() -> Result<()> {
    let mut bed = Bed::start("records").await?;
    let mut plan = bed.plan()?;
    let mut topics = Vec::new();
    for case in &CASES {
        let topic = bed.kafka.topic("records", 1).await?;
        bed.producer.send(&topic, &Record::new(r#"{"v":0,"s":"first"}"#))?;
        let bad = case.value.map_or_else(|| Record::tombstone().key("gone"), Record::new);
        bed.producer.send(&topic, &bad)?;
        bed.producer.send(&topic, &Record::new(r#"{"v":2,"s":"last"}"#))?;
        for (tolerance, adds) in [("none", ""), ("all", "errors.tolerance: all\nerrors.log.enable: true\n")] {
            let name = format!("{tolerance}_{}", case.name);
            bed.db.batch_execute(&format!("CREATE TABLE {name} (v int8 NOT NULL CHECK (v <> 13), s text)")).await?;
            plan = plan.pipeline(&name, &pipeline(&name, &topic, &bed.db, &name, adds))?;
        }
        topics.push(topic);
    }
    bed.producer.flush()?;
    let worker = plan.start()?;
    worker.ready().await?;
    for (case, topic) in CASES.iter().zip(&topics) {
        fails(&bed, &worker, case, topic).await?;
        skips(&bed, &worker, case).await?;
        bed.beat(&worker, case.name).await?;
    }
    assert_eq!(worker.stop().await?.status.code(), Some(0));
    Ok(())
}
