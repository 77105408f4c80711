//! Names and types of fields: what a stage wants to read and what it writes.

use std::fmt;
use std::sync::Arc;

/// A field's name: a dotted path into the value (`price`, `position.lat`) or a name with `$` in front for
/// what belongs to the record itself (`$key $timestamp $topic $partition $offset $headers.NAME $watermark`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Arc<str>);

impl Path {
    /// The path as written.
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Path(path.into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The steps into nested objects.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether it names something of the record instead of a field of its value.
    pub fn is_meta(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Path {
    fn from(path: &str) -> Self {
        Path::new(path)
    }
}

/// The types that cells have inside; each is one Arrow type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `Int64Array`.
    Int64,
    /// `Float64Array`.
    Float64,
    /// `BooleanArray`.
    Boolean,
    /// `StringArray`.
    Text,
    /// `BinaryArray`.
    Binary,
    /// `Decimal128Array`; the scale is the array's.
    Decimal,
    /// `TimestampMicrosecondArray` with time zone `UTC`.
    Timestamp,
    /// `StringArray` holding one JSON value each, as its text.
    Json,
}

impl Kind {
    /// The word for it in settings, docs and errors.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Int64 => "int64",
            Kind::Float64 => "float64",
            Kind::Boolean => "boolean",
            Kind::Text => "text",
            Kind::Binary => "binary",
            Kind::Decimal => "decimal",
            Kind::Timestamp => "timestamp",
            Kind::Json => "json",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Kind> {
        use Kind::{Binary, Boolean, Decimal, Float64, Int64, Json, Text, Timestamp};
        [Int64, Float64, Boolean, Text, Binary, Decimal, Timestamp, Json].into_iter().find(|k| k.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A field that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Want {
    /// Where it is.
    pub path: Path,
    /// The type it must have; the same path may be wanted as several kinds.
    pub kind: Kind,
    /// Whether a row without it (absent or null) is a row error.
    pub required: bool,
}

/// A field that a stage writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its path; it hides an older field of the same path.
    pub path: Path,
    /// Its type.
    pub kind: Kind,
}

/// What of the origin row stays visible beside the fields that a stage writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Carry {
    /// Every field.
    #[default]
    All,
    /// None.
    None,
    /// These.
    These(Vec<Path>),
}
