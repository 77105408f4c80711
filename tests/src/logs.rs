//! What a worker wrote to its standard error: JSON lines, or plain sentences before logging has begun.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

/// One line of a worker's log.
#[derive(Debug, Clone)]
pub struct Line {
    /// The line as written.
    pub text: String,
    /// The line as JSON, null when it is a plain sentence.
    pub json: Value,
}

impl Line {
    fn new(text: String) -> Self {
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { text, json }
    }

    /// `ERROR`, `WARN`, `INFO`, …; empty for a plain sentence.
    pub fn level(&self) -> &str {
        self.json.get("level").and_then(Value::as_str).unwrap_or_default()
    }

    /// A field of the event, wherever the format puts it: beside the level or under `fields`.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.json.get(name).or_else(|| self.json.get("fields")?.get(name))
    }

    /// The event's message, or the plain sentence.
    pub fn message(&self) -> &str {
        self.field("message").and_then(Value::as_str).unwrap_or(&self.text)
    }
}

/// The lines so far of a running worker; clones see the same lines.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Logs {
    /// Reads `source` on a thread of its own until it ends; the handle ends when the source does.
    pub fn follow(source: impl Read + Send + 'static) -> (Self, thread::JoinHandle<()>) {
        let logs = Self::default();
        let writer = logs.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                let line = Line::new(String::from_utf8_lossy(&line).into_owned());
                writer.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        (logs, reader)
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lines whose text contains `part`.
    pub fn with(&self, part: &str) -> Vec<Line> {
        self.lines().into_iter().filter(|line| line.text.contains(part)).collect()
    }

    /// The lines of level WARN or ERROR, and the plain sentences.
    pub fn complaints(&self) -> Vec<Line> {
        self.lines().into_iter().filter(|line| matches!(line.level(), "WARN" | "ERROR" | "")).collect()
    }

    /// The last lines as one text, for error messages.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.lines();
        let skipped = lines.len().saturating_sub(count);
        lines.iter().skip(skipped).map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}
