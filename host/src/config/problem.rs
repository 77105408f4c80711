//! What configuration is before it is checked (entries), and what is wrong with it (problems).
//!
//! Reading a file never stops at the first mistake: everything that is wrong is collected as problems, each
//! with its line, its key, a sentence and the way out, so that an operator corrects a file in one go.

use std::fmt;

use crate::error::{Error, Kind};

/// One key with its value, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole key, dots between its parts.
    pub key: String,
    /// The text of the value as it stands in the source.
    pub value: String,
    /// The line of the key, from 1; None where the entry comes from no file.
    pub line: Option<usize>,
}

impl Entry {
    /// An entry that comes from no file.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Entry { key: key.into(), value: value.into(), line: None }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line at fault, from 1; None where there is no file.
    pub line: Option<usize>,
    /// The key at fault; empty where the text as a whole is.
    pub key: String,
    /// What is wrong, to be read after `key: `; no full stop. Never a secret or a resolved reference.
    pub message: String,
    /// The way out, no full stop; empty where the message says it.
    pub hint: String,
    /// [`Kind::Config`], or [`Kind::Secret`] where a reference cannot be resolved.
    pub kind: Kind,
}

impl Problem {
    /// A mistake in the configuration itself.
    pub fn new(key: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Problem { line: None, key: key.into(), message: message.into(), hint: hint.into(), kind: Kind::Config }
    }

    /// The same at a line.
    #[must_use]
    pub fn at(mut self, line: Option<usize>) -> Self {
        self.line = line;
        self
    }

    /// The same as a reference that cannot be resolved.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.kind = Kind::Secret;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key.chars().flat_map(printable).collect::<String>())?;
        }
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// All problems as one error, a line for each.
pub fn to_error(problems: &[Problem]) -> Error {
    Error::new(kind(problems), problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))
}

/// The kind of a failure by these problems.
pub fn kind(problems: &[Problem]) -> Kind {
    let is_secret = !problems.is_empty() && problems.iter().all(|problem| problem.kind == Kind::Secret);
    if is_secret { Kind::Secret } else { Kind::Config }
}

/// A value as it may stand in a sentence: in backticks, on one line, at most 64 characters of it.
pub fn shown(value: &str) -> String {
    const CHARS_MAX: usize = 64;
    let mut text: String = value.chars().take(CHARS_MAX).flat_map(printable).collect();
    if value.chars().nth(CHARS_MAX).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

/// A character, or its escape where it would break the line or the terminal.
fn printable(c: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if c.is_control() { (None, Some(c.escape_default())) } else { (Some(c), None) };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

/// Names in backticks as a sentence lists them: `a`, `b` or `c`.
pub fn any_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.pop() {
        Some(last) if !quoted.is_empty() => format!("{} or {last}", quoted.join(", ")),
        Some(only) => only,
        None => String::new(),
    }
}
