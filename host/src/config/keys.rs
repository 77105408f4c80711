//! The option table: every option is one row. Parsing, the sentences of errors, validation over REST and the
//! documentation come from the rows, so that they cannot tell different stories.
//!
//! The words are those of Kafka's `ConfigDef` (types, importance, group), since Connect's tools read them.

mod framework;
mod kafka;
mod plugins;
mod sinks;
pub mod worker;

pub use framework::{
    CHECKPOINT_INTERVAL_MS, CHECKPOINT_INTERVAL_RECORDS, CHECKPOINT_STORE, CONNECTOR_CLASS, CONVERTERS,
    ERRORS_LOG_ENABLE, ERRORS_LOG_INCLUDE_MESSAGES, ERRORS_RETRY_DELAY_MAX_MS, ERRORS_RETRY_TIMEOUT, ERRORS_TOLERANCE,
    IDLE_TIMEOUT_MS, KEY_CONVERTER, KEY_CONVERTER_SCHEMAS_ENABLE, LINGER_MS, NAME, PLUGIN_SWAP_POLICY,
    SWAP_PROBATION_MS, TASKS_MAX, TRANSFORM_TYPE, TRANSFORMS, VALUE_CONVERTER, VALUE_CONVERTER_SCHEMAS_ENABLE,
};
pub use kafka::{
    AUTO_OFFSET_RESET, BOOTSTRAP_SERVERS, CONSUMER_OVERRIDE, GROUP_ID, ISOLATION_LEVEL, OVERRIDE_PREFIX,
    PARTITIONS_ADDED, TOPICS,
};
pub use plugins::{
    LIMIT_CALL_MS, LIMIT_LOG_LINE_BYTES, LIMIT_LOG_LINES, LIMIT_MEMORY, LIMIT_METRICS, LIMIT_OUTPUT_BYTES,
    LIMIT_OUTPUT_ROWS, LIMIT_REJECTED_ROWS, LIMIT_TABLE_ELEMENTS,
};
pub use sinks::{
    AUTO_CREATE, CHUNK_INTERVAL, CONNECTION_PASSWORD, CONNECTION_URL, CONNECTION_USER, FIELDS, FIELDS_MISSING,
    KAFKA_COORDINATES, SINK_SCHEMA, SinkClass, TABLE_NAME_FORMAT, TIME_COLUMN, field,
};

use super::problem::{any_of, shown};

/// The type of a value, by its name in Kafka's `ConfigDef`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Boolean,
    /// A 32-bit integer.
    Int,
    /// A 64-bit integer.
    Long,
    /// A text.
    String,
    /// Texts separated by commas.
    List,
    /// The name of a class.
    Class,
    /// A text that is never shown.
    Password,
}

impl Type {
    /// The name in `ConfigDef` and over REST.
    pub fn name(self) -> &'static str {
        match self {
            Type::Boolean => "BOOLEAN",
            Type::Int => "INT",
            Type::Long => "LONG",
            Type::String => "STRING",
            Type::List => "LIST",
            Type::Class => "CLASS",
            Type::Password => "PASSWORD",
        }
    }
}

/// What holds where a key is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// Nothing: it must be written.
    Required,
    /// It is unset.
    Unset,
    /// This value.
    Value(&'static str),
}

/// How much an option matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// Most pipelines write it.
    High,
    /// Some do.
    Medium,
    /// Few do.
    Low,
}

/// Which values a key takes beyond those of its type.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// Every value that is not blank.
    Any,
    /// Whole numbers from the first to the last.
    Between(i64, i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Values that the function takes; `takes` says which those are. Of a list: each item.
    Fits {
        /// What it takes, to be read after `takes `.
        takes: &'static str,
        /// Whether it takes this.
        fits: fn(&str) -> bool,
    },
    /// None: the key is known from Connect, and this says why weir does not have it, and the way out.
    Refused(&'static str, &'static str),
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name. A `*` at the end stands for any text, one inside for a name of the operator's choice.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// What holds where it is not written.
    pub default: Default,
    /// How much it matters.
    pub importance: Importance,
    /// Under which heading it is shown.
    pub group: &'static str,
    /// The sink that has it; None = every pipeline.
    pub sink: Option<SinkClass>,
    /// Which values it takes.
    pub check: Check,
    /// What it does, in whole sentences.
    pub doc: &'static str,
    /// A value that it takes.
    pub example: &'static str,
}

impl Key {
    /// Whether the name of an entry means this option.
    pub fn is_named(&self, name: &str) -> bool {
        match self.name.split_once('*') {
            None => self.name == name,
            Some((head, tail)) => {
                let inner = name.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
                inner.is_some_and(|inner| !inner.is_empty())
            }
        }
    }

    /// What the key takes, to be read after `takes `.
    pub fn takes(&self) -> String {
        match (self.check, self.kind) {
            (_, Type::Boolean) => any_of(["true", "false"]),
            (Check::OneOf(words), _) => any_of(words.iter().copied()),
            (Check::Between(min, i64::MAX), _) => format!("a whole number of at least {min}"),
            (Check::Between(min, max), _) => format!("a whole number from {min} to {max}"),
            (Check::Fits { takes, .. }, _) => takes.to_owned(),
            (Check::Any | Check::Refused(..), Type::List) => "items separated by commas".to_owned(),
            (Check::Any | Check::Refused(..), _) => "a text that is not blank".to_owned(),
        }
    }

    /// Whether the key takes a value (surrounding blanks already removed); if not, the sentence that says so.
    /// `written` is the value as it stands in the file, which is what the sentence may show.
    pub fn check(&self, value: &str, written: &str) -> Result<(), String> {
        let fits = match (self.check, self.kind) {
            (Check::Refused(..), _) => false,
            (_, Type::Boolean) => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            (Check::OneOf(words), _) => words.contains(&value),
            (Check::Between(min, max), _) => value.parse().is_ok_and(|number| (min..=max).contains(&number)),
            (Check::Fits { fits, .. }, Type::List) => items(value).all(fits),
            (Check::Fits { fits, .. }, _) => fits(value),
            (Check::Any, Type::List) => items(value).all(|item| !item.is_empty()),
            (Check::Any, _) => !value.is_empty(),
        };
        match (fits, self.kind) {
            (true, _) => Ok(()),
            (false, Type::Password) => Err(format!("takes {}", self.takes())),
            (false, _) => Err(format!("takes {}, not {}", self.takes(), shown(written))),
        }
    }

    /// The hint that goes with a refused or missing value.
    pub fn hint(&self) -> String {
        format!("for example `{}: {}`", self.name, self.example)
    }

    /// Its default as a text; empty where there is none.
    pub fn default_text(&self) -> &'static str {
        match self.default {
            Default::Value(text) => text,
            Default::Required | Default::Unset => "",
        }
    }
}

/// The items of a list value. A blank value has none.
pub fn items(value: &str) -> impl Iterator<Item = &str> {
    let blank = value.trim().is_empty();
    value.split(',').map(str::trim).filter(move |_| !blank)
}

/// Every option of a pipeline, in the order in which they are shown.
pub fn pipeline() -> impl Iterator<Item = &'static Key> {
    framework::KEYS.iter().chain(plugins::KEYS).chain(kafka::KEYS).chain(sinks::KEYS).copied()
}

/// The option that a name means: the row of that name, else the first pattern that fits.
pub fn find(name: &str) -> Option<&'static Key> {
    pipeline().find(|key| key.name == name).or_else(|| pipeline().find(|key| key.is_named(name)))
}

/// The name of a row nearest to a mistyped one, where one is near enough to be meant: at most a third of its
/// characters differ (Damerau and Levenshtein's distance, a swap of neighbours counting once).
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| strsim::osa_distance(&name.to_lowercase(), &other.to_lowercase());
    let (distance, nearest) = known.into_iter().map(|other| (distance(other), other)).min_by_key(|&(d, _)| d)?;
    (distance <= name.chars().count().max(3) / 3).then_some(nearest)
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
