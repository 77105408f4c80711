//! Converters: payload bytes to columns.
//!
//! A converter is asked once, when the chain is planned, for all the fields that any stage will want
//! ([`Converter::reader`]); each batch then costs one pass over each payload. A row that cannot be decoded is
//! a row error, never a failed batch. Pure: bytes in, columns out.

mod builder;
pub mod bytes;
pub mod decoder;
pub mod json;
pub mod meta;
#[cfg(test)]
mod testing;
pub mod text;
mod whole;

pub use decoder::Decoder;

use std::fmt;

use crate::error::{Kind as ErrorKind, Result};
use crate::record::{Column, Field, Kind, Origin, Path};

/// Which side of a record a converter reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Its key: fields are `$key` (the whole key) and `$key.PATH`.
    Key,
    /// Its value: fields are paths.
    Value,
}

impl Side {
    /// That side's bytes of a record; None = a null key, a tombstone.
    #[inline]
    pub fn payload(self, origin: &Origin, row: usize) -> Option<&[u8]> {
        match self {
            Side::Key => origin.key(row),
            Side::Value => origin.value(row),
        }
    }

    /// The part of a path that names something within that side's payload, empty for the whole payload. None
    /// if the path belongs elsewhere.
    pub fn inner(self, path: &Path) -> Option<&str> {
        match (self, path.as_str()) {
            (Side::Key, "$key") => Some(""),
            (Side::Key, path) => path.strip_prefix("$key.").filter(|inner| !inner.is_empty()),
            (Side::Value, path) => (!path.starts_with('$')).then_some(path),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Key => "key",
            Side::Value => "value",
        })
    }
}

/// Columns pulled from a run of records, each as long as the run, in the order asked for.
#[derive(Debug, Default)]
pub struct Pulled {
    /// The columns. A malformed record's cells are null.
    pub columns: Vec<Column>,
    /// The records whose payload is there and says null, rising.
    pub nulls: Vec<u32>,
    /// The records that are malformed as a whole, rising, each with a sentence that says where and why.
    pub malformed: Vec<(u32, String)>,
}

/// Pulls fields from payloads. Keeps buffers between runs.
pub trait Reader: Send {
    /// One pass over the side's payload of every record of the run.
    fn read(&mut self, origin: &Origin) -> Result<Pulled>;
}

/// A format of payloads.
pub trait Converter: Send + Sync {
    /// A reader that pulls these fields. Refuses a field that the format cannot give
    /// ([`ErrorKind::Config`], naming the field).
    fn reader(&self, side: Side, wants: &[(Path, Kind)]) -> Result<Box<dyn Reader>>;

    /// The fields found in a run's values, for `auto.create`: numbers float64, texts text, booleans boolean,
    /// objects and arrays json, a field that is null in every record text; in order of first appearance. None where no
    /// value has fields that could be named, though the format has: the run is no sample.
    fn sample(&self, origin: &Origin) -> Option<Vec<Field>>;

    /// Why a cell is a mismatch, or null where a value is required, in one sentence that names field and value.
    fn explain(&self, origin: &Origin, row: usize, path: &Path, kind: Kind) -> String;
}

/// The converter of a class name or its short name (`json`, `string`, `bytes`), or None.
/// `schemas_enable` concerns JSON alone.
pub fn by_name(class: &str) -> Option<std::sync::Arc<dyn Converter>> {
    match class {
        "json" | "JsonConverter" | "org.apache.kafka.connect.json.JsonConverter" => {
            Some(std::sync::Arc::new(json::Json))
        }
        "string" | "StringConverter" | "org.apache.kafka.connect.storage.StringConverter" => {
            Some(std::sync::Arc::new(text::Text))
        }
        "bytes" | "ByteArrayConverter" | "org.apache.kafka.connect.converters.ByteArrayConverter" => {
            Some(std::sync::Arc::new(bytes::ByteArray))
        }
        _ => None,
    }
}

/// The kind of failure that a malformed record is.
pub const MALFORMED: ErrorKind = ErrorKind::RecordMalformed;
