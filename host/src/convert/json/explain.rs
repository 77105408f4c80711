//! Why a cell has no value of the wanted kind, told from the record itself once a row is rejected.

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::not_json;
use super::pull::Puller;
use crate::convert::Side;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::{Kind, Origin, Path};

/// Characters of a value that an explanation shows.
const EXCERPT_CHARS: usize = 64;

/// What stands at a path.
enum Found {
    Absent,
    Null,
    /// The value as it is written.
    Value(String),
}

/// One sentence that names the field, what stands there, and what was expected.
pub fn explain(origin: &Origin, row: usize, path: &Path, kind: Kind) -> String {
    let side = if path.is_meta() { Side::Key } else { Side::Value };
    let Some(inner) = side.inner(path) else {
        return format!("field {path} is no part of a JSON record");
    };
    let Some(payload) = side.payload(origin, row) else {
        return format!("{} is missing: the {side} is null", named(side, inner));
    };
    let segments: Vec<&str> = inner.split('.').filter(|_| !inner.is_empty()).collect();
    let steps: Vec<String> = (0..=segments.len()).filter_map(|n| Some(segments.get(..n)?.join("."))).collect();
    match look_up(side, payload, &steps) {
        Ok(found) => tell(side, inner, kind, steps.iter().zip(found)),
        Err(e) => e.to_string(),
    }
}

/// What stands at each of these paths.
fn look_up(side: Side, payload: &[u8], paths: &[String]) -> Result<Vec<Found>> {
    let wants: Vec<(&str, Kind)> = paths.iter().map(|path| (path.as_str(), Kind::Json)).collect();
    let mut puller = Puller::new(&wants, false)?;
    puller.begin(1);
    let malformed = |fault| Error::new(ErrorKind::RecordMalformed, not_json(side, fault, payload));
    puller.document(0, payload).map_err(malformed)?;
    let found = puller.finish()?.into_iter().map(|column| match column.array.as_string_opt::<i32>() {
        Some(texts) if texts.is_valid(0) => Found::Value(texts.value(0).to_owned()),
        _ if column.is_absent(0) || column.is_mismatch(0) => Found::Absent,
        _ => Found::Null,
    });
    Ok(found.collect())
}

/// The sentence, from what stands at each step of the path, the whole document first.
fn tell<'s>(side: Side, inner: &str, kind: Kind, steps: impl Iterator<Item = (&'s String, Found)>) -> String {
    let field = named(side, inner);
    for (step, found) in steps {
        let last = step == inner;
        let around = named(side, step);
        match found {
            Found::Absent => break,
            Found::Null if last => return format!("{field} is null, expected {kind}"),
            Found::Null => return format!("{field} is missing: {around} is null"),
            Found::Value(text) if last => {
                return format!("{field} is {}, {}", excerpt(&text), reason(kind, &text));
            }
            Found::Value(text) if !text.starts_with('{') => {
                return format!("{field} is missing: {around} is {}, which is no object", excerpt(&text));
            }
            Found::Value(_) => {}
        }
    }
    format!("{field} is missing")
}

fn named(side: Side, inner: &str) -> String {
    match (side, inner) {
        (_, "") => format!("the {side}"),
        (Side::Key, inner) => format!("field $key.{inner}"),
        (Side::Value, inner) => format!("field {inner}"),
    }
}

/// The beginning of a value's text, on one line.
fn excerpt(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let mut excerpt: String = line.take(EXCERPT_CHARS).collect();
    if text.chars().nth(EXCERPT_CHARS).is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// Why a value of that text is none of the kind.
fn reason(kind: Kind, text: &str) -> String {
    let what = match text.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    };
    match (kind, what) {
        (Kind::Int64, "a number") => "which is no integer of 64 bits".into(),
        (Kind::Float64, "a number") => "which is an integer that no float64 equals".into(),
        (Kind::Decimal, "a number") => "which has more than 20 digits before the point or 18 after it".into(),
        (Kind::Timestamp, "a number") => {
            "a number, expected a timestamp as RFC 3339 text; TimestampConverter makes one of epoch numbers".into()
        }
        (Kind::Timestamp, "a string") => "which is no date-time with zone as RFC 3339 writes it".into(),
        (Kind::Binary, "a string") => "which is no padded base64".into(),
        (kind, what) => format!("{what}, expected {kind}"),
    }
}
