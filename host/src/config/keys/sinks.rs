//! The rows of the sinks, and the names by which a sink is chosen.

use super::{Check, Default, Importance, Key, Type};
use crate::config::quantity;
use crate::record::Kind;

const CONNECTION: &str = "Connection";
const TABLE: &str = "Table";

/// The sinks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkClass {
    /// A table of PostgreSQL or TimescaleDB.
    Timescale,
    /// Standard output.
    Console,
}

impl SinkClass {
    /// Every sink.
    pub const ALL: [SinkClass; 2] = [SinkClass::Timescale, SinkClass::Console];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            SinkClass::Timescale => "TimescaleSink",
            SinkClass::Console => "ConsoleSink",
        }
    }

    /// The sink of a class name: full or simple, with or without `Connector` at its end, as in Connect.
    pub fn parse(class: &str) -> Option<SinkClass> {
        let simple = class.strip_prefix("weir.").unwrap_or(class);
        let simple = simple.strip_suffix("Connector").unwrap_or(simple);
        SinkClass::ALL.into_iter().find(|sink| sink.name() == simple)
    }
}

/// `connection.url`.
pub const CONNECTION_URL: Key = Key {
    name: "connection.url",
    kind: Type::String,
    default: Default::Required,
    importance: Importance::High,
    group: CONNECTION,
    sink: Some(SinkClass::Timescale),
    check: Check::Any,
    doc: "The database: `postgres://user@host:port/database?…` or the JDBC form `jdbc:postgresql://…`. A password \
          in it is treated as one.",
    example: "postgres://weir@localhost:5432/metrics",
};

/// `connection.user`.
pub const CONNECTION_USER: Key = Key {
    name: "connection.user",
    kind: Type::String,
    default: Default::Unset,
    importance: Importance::High,
    group: CONNECTION,
    sink: Some(SinkClass::Timescale),
    check: Check::Any,
    doc: "The database user, where the URL does not name one.",
    example: "weir",
};

/// `connection.password`.
pub const CONNECTION_PASSWORD: Key = Key {
    name: "connection.password",
    kind: Type::Password,
    default: Default::Unset,
    importance: Importance::High,
    group: CONNECTION,
    sink: Some(SinkClass::Timescale),
    check: Check::Any,
    doc: "The database user's password; best a reference such as `${file:/run/secrets/db:password}`.",
    example: "${env:DB_PASSWORD}",
};

/// `table.name.format`.
pub const TABLE_NAME_FORMAT: Key = Key {
    name: "table.name.format",
    kind: Type::String,
    default: Default::Value("${topic}"),
    importance: Importance::Medium,
    group: TABLE,
    sink: Some(SinkClass::Timescale),
    check: Check::Fits {
        takes: "a table's name, also SCHEMA.TABLE, in which only `${topic}` stands for something",
        fits: is_table_format,
    },
    doc: "The table; `${topic}` stands for the topic's name.",
    example: "ticks_sma",
};

/// `auto.create`.
pub const AUTO_CREATE: Key = Key {
    name: "auto.create",
    kind: Type::Boolean,
    default: Default::Value("false"),
    importance: Importance::Medium,
    group: TABLE,
    sink: Some(SinkClass::Timescale),
    check: Check::Any,
    doc: "Whether the table is created when it does not exist.",
    example: "true",
};

/// `fields`.
pub const FIELDS: Key = Key {
    name: "fields",
    kind: Type::List,
    default: Default::Value(""),
    importance: Importance::Medium,
    group: TABLE,
    sink: Some(SinkClass::Timescale),
    check: Check::Fits {
        takes: "NAME:TYPE separated by commas, each TYPE one of int64, float64, boolean, text, binary, decimal, \
                timestamp, json",
        fits: |item| field(item).is_some(),
    },
    doc: "The columns that `auto.create` makes; empty = the fields of the first records and the outputs of the \
          plugins.",
    example: "ts:timestamp,symbol:text,price:float64",
};

/// `fields.missing`.
pub const FIELDS_MISSING: Key = Key {
    name: "fields.missing",
    kind: Type::String,
    default: Default::Value("fail"),
    importance: Importance::Low,
    group: TABLE,
    sink: Some(SinkClass::Timescale),
    check: Check::OneOf(&["fail", "null"]),
    doc: "What a column whose field is absent from each of the first 1 000 records does: fail the task, or be \
          written as null.",
    example: "null",
};

/// `timescale.time.column`.
pub const TIME_COLUMN: Key = Key {
    name: "timescale.time.column",
    kind: Type::String,
    default: Default::Unset,
    importance: Importance::Medium,
    group: TABLE,
    sink: Some(SinkClass::Timescale),
    check: Check::Fits { takes: IDENTIFIER_TAKEN, fits: is_identifier },
    doc: "The column by which the table is made a hypertable, where the TimescaleDB extension is there; without \
          the extension it stays a plain table.",
    example: "ts",
};

/// `timescale.chunk.interval`.
pub const CHUNK_INTERVAL: Key = Key {
    name: "timescale.chunk.interval",
    kind: Type::String,
    default: Default::Value("7 days"),
    importance: Importance::Low,
    group: TABLE,
    sink: Some(SinkClass::Timescale),
    check: Check::Fits {
        takes: "a positive interval such as `1 day`, `12 hours` or `1d`",
        fits: |text| quantity::interval(text).is_some(),
    },
    doc: "The time that one chunk of the hypertable covers.",
    example: "1 day",
};

/// `kafka.coordinates`.
pub const KAFKA_COORDINATES: Key = Key {
    name: "kafka.coordinates",
    kind: Type::Boolean,
    default: Default::Value("false"),
    importance: Importance::Low,
    group: TABLE,
    sink: Some(SinkClass::Timescale),
    check: Check::Any,
    doc: "Whether columns `kafka_topic`, `kafka_partition` and `kafka_offset` are written too, for audit.",
    example: "true",
};

/// `sink.schema`.
pub const SINK_SCHEMA: Key = Key {
    name: "sink.schema",
    kind: Type::String,
    default: Default::Value("weir"),
    importance: Importance::Low,
    group: TABLE,
    sink: Some(SinkClass::Timescale),
    check: Check::Fits {
        takes: "a PostgreSQL name of 1 to 63 bytes without control characters that does not begin with `pg_`",
        fits: |name| is_identifier(name) && !name.starts_with("pg_"),
    },
    doc: "The schema of the database in which positions are kept.",
    example: "weir",
};

pub(super) const KEYS: &[&Key] = &[
    &CONNECTION_URL,
    &CONNECTION_USER,
    &CONNECTION_PASSWORD,
    &TABLE_NAME_FORMAT,
    &AUTO_CREATE,
    &FIELDS,
    &FIELDS_MISSING,
    &TIME_COLUMN,
    &CHUNK_INTERVAL,
    &KAFKA_COORDINATES,
    &SINK_SCHEMA,
];

const IDENTIFIER_TAKEN: &str = "a PostgreSQL name of 1 to 63 bytes without control characters";

/// Whether PostgreSQL keeps the name whole; NAMEDATALEN is 64 with its end mark.
fn is_identifier(name: &str) -> bool {
    (1..=63).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// One item of `fields`: NAME:TYPE.
pub fn field(item: &str) -> Option<(&str, Kind)> {
    let (name, kind) = item.rsplit_once(':')?;
    let (name, kind) = (name.trim(), Kind::parse(kind.trim())?);
    (!name.is_empty() && name.len() <= 63).then_some((name, kind))
}

fn is_table_format(format: &str) -> bool {
    let plain = format.replace("${topic}", "t");
    let named = plain.split('.').all(|part| !part.is_empty());
    named && !plain.contains("${") && !plain.chars().any(char::is_control)
}
