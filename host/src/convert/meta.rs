//! Fields of the record itself, whatever its payloads are: `$timestamp`, `$topic`, `$partition`, `$offset` and
//! `$headers.NAME`.
//!
//! A record without timestamp has no `$timestamp`, one without the header no `$headers.NAME`; of headers of one
//! name the last counts, and one without value is null. A header is wanted as text (a mismatch where it is not
//! UTF-8; `SimpleHeaderConverter` would guess a type, which no column can) or binary.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

use super::builder::{Bytes, Fixed, State};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::origin::NO_TIMESTAMP;
use crate::record::{Column, Kind, Origin, Path};

/// One field of the record itself.
#[derive(Debug)]
enum Source {
    Timestamp,
    Topic,
    Partition,
    Offset,
    /// Name, and the column while it is built.
    Header(String, Bytes),
}

/// Reads fields of the record itself.
#[derive(Debug)]
pub struct MetaReader {
    fields: Vec<(Source, Kind)>,
}

impl MetaReader {
    /// A reader of these fields. Refuses one that records do not have, and kinds that it does not come in.
    pub fn new(wants: &[(Path, Kind)]) -> Result<MetaReader> {
        let fields = wants.iter().map(|(path, kind)| Ok((source(path, *kind)?, *kind))).collect::<Result<_>>()?;
        Ok(MetaReader { fields })
    }

    /// The columns, each as long as the run.
    pub fn read(&mut self, origin: &Origin) -> Result<Vec<Column>> {
        self.read_headers(origin);
        self.fields.iter_mut().map(|(source, kind)| column(source, *kind, origin)).collect()
    }

    /// One look at the headers of each record, for all the header fields.
    fn read_headers(&mut self, origin: &Origin) {
        let mut wanted: Vec<(&str, Kind, &mut Bytes)> = Vec::new();
        for (source, kind) in &mut self.fields {
            if let Source::Header(name, cells) = source {
                cells.begin(origin.len());
                wanted.push((name, *kind, cells));
            }
        }
        for row in 0..if wanted.is_empty() { 0 } else { origin.len() } {
            let headers = origin.headers(row);
            for (wanted, kind, cells) in &mut wanted {
                match headers.iter().rev().find(|(name, _)| name == wanted) {
                    None => {}
                    Some((_, None)) => cells.mark(row, State::Null),
                    Some((_, Some(value))) => cells.set(row, |out| {
                        out.extend_from_slice(value);
                        *kind == Kind::Binary || std::str::from_utf8(value).is_ok()
                    }),
                }
            }
        }
    }
}

fn source(path: &Path, kind: Kind) -> Result<Source> {
    let (source, kinds): (_, &[Kind]) = match path.as_str() {
        "$timestamp" => (Source::Timestamp, &[Kind::Timestamp, Kind::Int64]),
        "$topic" => (Source::Topic, &[Kind::Text]),
        "$partition" => (Source::Partition, &[Kind::Int64]),
        "$offset" => (Source::Offset, &[Kind::Int64]),
        other => match other.strip_prefix("$headers.") {
            Some(name) => (Source::Header(name.to_owned(), Bytes::default()), &[Kind::Text, Kind::Binary]),
            None => {
                let message = format!(
                    "field {path} is unknown; a record has $key, $timestamp, $topic, $partition, $offset and $headers.NAME"
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        },
    };
    if kinds.contains(&kind) {
        return Ok(source);
    }
    let given: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let message = format!("field {path} cannot be read as {kind}; it comes as {}", given.join(" or "));
    Err(Error::new(ErrorKind::Config, message))
}

fn column(source: &mut Source, kind: Kind, origin: &Origin) -> Result<Column> {
    let rows = origin.len();
    let array: ArrayRef = match source {
        Source::Header(_, cells) => return cells.finish(kind),
        Source::Timestamp => return timestamps(origin, kind),
        Source::Offset => Arc::new(Int64Array::new(origin.offsets.clone(), None)),
        Source::Partition => Arc::new(Int64Array::from(vec![i64::from(origin.lane.partition); rows])),
        Source::Topic => Arc::new(StringArray::new_repeated(&*origin.lane.topic, rows)),
    };
    Ok(Column::of(kind, array))
}

fn timestamps(origin: &Origin, kind: Kind) -> Result<Column> {
    let array = |values, nulls| -> ArrayRef {
        match kind {
            Kind::Int64 => Arc::new(Int64Array::new(values, nulls)),
            _ => Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone("UTC")),
        }
    };
    if !origin.timestamps.contains(&NO_TIMESTAMP) {
        return Ok(Column::of(kind, array(origin.timestamps.clone(), None)));
    }
    let mut cells = Fixed::<i64>::default();
    cells.begin(origin.len());
    for (row, &timestamp) in origin.timestamps.iter().enumerate().filter(|(_, at)| **at != NO_TIMESTAMP) {
        cells.set(row, Some(timestamp));
    }
    cells.finish(kind, |values, nulls| Ok(array(values.into(), nulls)))
}

/// Why a cell is a mismatch or missing.
pub fn explain(path: &Path) -> String {
    match path.as_str().strip_prefix("$headers.") {
        Some(name) => format!("header {name} is missing, null or not UTF-8"),
        None => format!("the record has no {}", path.as_str().trim_start_matches('$')),
    }
}

#[cfg(test)]
#[path = "meta_tests.rs"]
mod tests;
