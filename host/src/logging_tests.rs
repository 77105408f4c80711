//! Log lines as they come out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::{Arc, Mutex};

use tracing::subscriber::with_default;

use super::*;

/// A writer that keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged while `emit` runs.
fn lines(level: &str, is_json: bool, emit: impl FnOnce()) -> Vec<String> {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = subscriber(level, is_json, false, move || writer.clone()).unwrap();
    with_default(subscriber, emit);
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn json_lines_hold_the_fields_of_event_and_spans_at_the_top() {
    let lines = lines("info", true, || {
        let pipeline = tracing::info_span!("pipeline", pipeline = "ticks", topic = tracing::field::Empty);
        let _in_pipeline = pipeline.enter();
        let _in_task = tracing::info_span!("task", task = 1, offset = 5_u64).entered();
        pipeline.record("topic", "t");
        tracing::warn!(partition = 3, offset = 42_i64, late = true, share = 0.5, cause = ?Some("x"), "row {} skipped", 7);
        tracing::debug!("not logged");
    });
    assert_eq!(lines.len(), 1);
    let mut line: Map<String, Value> = serde_json::from_str(&lines[0]).unwrap();
    let timestamp = line.remove("timestamp").unwrap();
    let timestamp = timestamp.as_str().unwrap();
    assert!(timestamp.starts_with("20") && timestamp.ends_with('Z') && timestamp.contains('T'), "{timestamp}");
    let expected = serde_json::json!({
        "level": "WARN", "target": "weir::logging::tests", "message": "row 7 skipped", "pipeline": "ticks", "task": 1,
        "topic": "t", "partition": 3, "offset": 42, "late": true, "share": 0.5, "cause": "Some(\"x\")",
    });
    assert_eq!(Value::Object(line), expected);
}

#[test]
fn text_lines_end_in_the_fields() {
    let lines = lines("weir=debug", false, || {
        let _in_task = tracing::info_span!("task", pipeline = "ticks", task = 1).entered();
        tracing::debug!(offset = 42, "flushed");
        tracing::trace!("not logged");
    });
    assert_eq!(lines.len(), 1);
    let after_time = lines[0].split_once(' ').unwrap().1.trim_start();
    assert_eq!(after_time, "DEBUG task: flushed offset=42 pipeline=\"ticks\" task=1");
}

#[test]
fn refuses_a_level_that_is_none() {
    let error = subscriber("weir=loud", true, false, io::sink).err().unwrap();
    let message = error.to_string();
    assert!(
        message
            .starts_with("the log level `weir=loud` is not one of error, warn, info, debug, trace or MODULE=LEVEL: "),
        "{message}"
    );
}
