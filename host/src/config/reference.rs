//! References in values: `${env:NAME}`, `${file:PATH:KEY}` (a key of a Java properties file) and `${file:PATH}`
//! (a whole file, surrounding blanks removed). The syntax is that of Kafka's ConfigProviders (KIP-297); unlike
//! there, what cannot be resolved is an error. What they resolve to is a secret: it is in no error and no log.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use super::properties;

/// Where values come from: the process's surroundings, or a table in tests.
pub trait Sources: Debug {
    /// The environment variable of that name; None where it is not set or is no UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
    /// The text of a file.
    fn file(&self, path: &Path) -> io::Result<String>;
}

/// The environment and the files of this process.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings;

impl Sources for Surroundings {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }
}

/// A reference that cannot be resolved: what is wrong and the way out, both without values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: String,
}

/// One piece of a value.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Literal(&'a str),
    Reference { text: &'a str, provider: &'a str, rest: &'a str },
}

/// Whether the text holds a reference.
pub fn is_referring(text: &str) -> bool {
    pieces(text).any(|piece| matches!(piece, Piece::Reference { .. }))
}

/// Whether the text is made of references alone, so that it gives away nothing.
pub fn is_only_references(text: &str) -> bool {
    is_referring(text)
        && pieces(text).all(|piece| match piece {
            Piece::Literal(literal) => literal.trim().is_empty(),
            Piece::Reference { .. } => true,
        })
}

/// The text with every reference replaced by what it stands for. Results are not looked through again.
pub fn resolve(text: &str, sources: &dyn Sources) -> Result<String, Vec<Unresolved>> {
    let mut resolved = String::with_capacity(text.len());
    let mut unresolved = Vec::new();
    for piece in pieces(text) {
        match piece {
            Piece::Literal(literal) => resolved.push_str(literal),
            Piece::Reference { text, provider, rest } => match value_of(text, provider, rest, sources) {
                Ok(value) => resolved.push_str(&value),
                Err(why) => unresolved.push(why),
            },
        }
    }
    if unresolved.is_empty() { Ok(resolved) } else { Err(unresolved) }
}

/// A text whose references are stood for by single characters without meaning, so that what a reference holds
/// (colons, slashes) does not disturb splitting the text into parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Masked {
    /// The text with one character of Unicode's private use area for each reference.
    pub text: String,
    references: Vec<String>,
}

/// The first character that stands for a reference; there are 6 400 of them.
const STAND_IN: u32 = 0xE000;

/// Masks the references of a text.
pub fn mask(text: &str) -> Masked {
    let mut masked = Masked { text: String::with_capacity(text.len()), references: Vec::new() };
    for piece in pieces(text) {
        match (piece, char::from_u32(STAND_IN + masked.references.len() as u32)) {
            (Piece::Reference { text, .. }, Some(stand_in)) => {
                masked.text.push(stand_in);
                masked.references.push(text.to_owned());
            }
            (Piece::Literal(text) | Piece::Reference { text, .. }, _) => masked.text.push_str(text),
        }
    }
    masked
}

impl Masked {
    /// A part of the masked text with its references as written.
    pub fn restore(&self, part: &str) -> String {
        let mut restored = String::with_capacity(part.len());
        for c in part.chars() {
            let at = (c as u32).checked_sub(STAND_IN).map(|at| at as usize);
            match at.and_then(|at| self.references.get(at)) {
                Some(reference) => restored.push_str(reference),
                None => restored.push(c),
            }
        }
        restored
    }
}

/// Splits a text at its references: `${word:…}`. `${topic}` is none: it has no colon.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = reference_start(rest);
        let (literal, tail) = rest.split_at(at);
        if !literal.is_empty() {
            rest = tail;
            return Some(Piece::Literal(literal));
        }
        let end = tail.find('}').map_or(tail.len(), |brace| brace + 1);
        let (reference, after) = tail.split_at(end);
        rest = after;
        let (provider, target) = reference.get(2..).and_then(|inner| inner.split_once(':')).unwrap_or_default();
        Some(Piece::Reference { text: reference, provider, rest: target })
    })
}

/// Where the first reference begins, or the length of the text.
fn reference_start(text: &str) -> usize {
    let begins = |at: &usize| {
        let inner = text.get(at + 2..).unwrap_or_default();
        inner.split_once(':').is_some_and(|(word, _)| !word.is_empty() && word.bytes().all(is_word))
    };
    text.match_indices("${").map(|(at, _)| at).find(begins).unwrap_or(text.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn value_of(text: &str, provider: &str, rest: &str, sources: &dyn Sources) -> Result<String, Unresolved> {
    let because = |message: String, hint: &str| Err(Unresolved { message, hint: hint.to_owned() });
    let Some(target) = rest.strip_suffix('}') else {
        return because(format!("`{text}` has no closing brace"), "write `}` after it");
    };
    if target.is_empty() || target.starts_with(':') {
        return because(format!("`{text}` names nothing"), KNOWN);
    }
    match (provider, target.split_once(':')) {
        ("env", _) => match sources.variable(target) {
            Some(value) => Ok(value),
            None => because(format!("the variable `{target}` is not set"), "set it where weir is started"),
        },
        ("file", None) => Ok(read(target, sources)?.trim().to_owned()),
        ("file", Some((path, key))) => {
            let table = properties::parse(&read(path, sources)?);
            match table.into_iter().rev().find(|(name, _)| name == key) {
                Some((_, value)) => Ok(value),
                None => because(format!("the file `{path}` has no key `{key}`"), "add the key, or correct its name"),
            }
        }
        _ => because(format!("`{provider}` in `{text}` is no source of values"), KNOWN),
    }
}

/// The references there are.
const KNOWN: &str = "weir knows `${env:NAME}`, `${file:PATH:KEY}` and `${file:PATH}`";

fn read(path: &str, sources: &dyn Sources) -> Result<String, Unresolved> {
    sources.file(&PathBuf::from(path)).map_err(|error| Unresolved {
        message: format!("the file `{path}` cannot be read: {error}"),
        hint: "make it readable to weir, or correct its path".to_owned(),
    })
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
