//! A checked pipeline: what the rest of the program works with. Made by `validate`, never by hand.

use std::collections::BTreeMap;
use std::fmt;

pub use super::limits::PluginLimits;
use super::secret::Secret;
use crate::record::{Field, Lane};

/// One pipeline (in Connect's words: a sink connector), every value checked, every reference resolved. `Debug`
/// shows only what was written, since resolved references may be secrets.
#[derive(Clone)]
pub struct Pipeline {
    /// Its name: the key of its position, and `connect-<name>` its consumer group.
    pub name: String,
    /// The topics it reads, at least one.
    pub topics: Vec<String>,
    /// Its number of tasks, at least one.
    pub tasks_max: usize,
    /// Its own brokers; None = the worker's.
    pub bootstrap_servers: Option<String>,
    /// `consumer.override.*` without the prefix, in librdkafka's words where they differ from Java's.
    pub consumer_overrides: BTreeMap<String, String>,
    /// Where to begin when there is neither a position nor a group commit.
    pub auto_offset_reset: OffsetReset,
    /// What partitions do that are added to its topics; None = it depends on whether its chain has state.
    pub partitions_added: Option<PartitionsAdded>,
    /// Its consumer group.
    pub group: String,
    /// How keys are read: a converter class name that `convert::by_name` knows.
    pub key_converter: String,
    /// How values are read.
    pub value_converter: String,
    /// The chain, in order.
    pub transforms: Vec<Transform>,
    /// What happens to rows that cannot be processed.
    pub errors: Errors,
    /// Milliseconds that a flush may wait for more rows while the database is idle; 0 = none.
    pub linger_ms: u64,
    /// After how many milliseconds of silence watermarks are moved; 0 = never.
    pub idle_timeout_ms: u64,
    /// How often and where state is kept.
    pub checkpoints: Checkpoints,
    /// How plugins are swapped.
    pub swap: Swap,
    /// Where it ends to read, by lane: a replay of history does. Empty = nowhere.
    pub until: BTreeMap<Lane, i64>,
    /// Where rows go.
    pub sink: Sink,
    /// Every key as written, references unresolved: what REST shows.
    pub raw: BTreeMap<String, String>,
}

/// Where to begin reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// Nowhere: the task fails.
    Error,
}

/// `partitions.added`: what partitions do that were added after a topic was first read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionsAdded {
    /// They fail the task.
    Fail,
    /// They are read from their first record on.
    Continue,
}

impl PartitionsAdded {
    /// What holds where nothing is written: state does not follow keys that move to another partition.
    pub fn by_state(stateful: bool) -> Self {
        if stateful { PartitionsAdded::Fail } else { PartitionsAdded::Continue }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("raw", &self.raw).finish_non_exhaustive()
    }
}

/// One entry of `transforms`. `Debug` shows the keys of its settings and not their values.
#[derive(Clone, PartialEq, Eq)]
pub struct Transform {
    /// Its alias.
    pub alias: String,
    /// A built-in class, its short name, or the id of a plugin.
    pub class: String,
    /// `plugin.version`: a version range, None = the newest.
    pub plugin_version: Option<String>,
    /// Its settings without the `transforms.ALIAS.` prefix, sorted by key.
    pub settings: Vec<(String, String)>,
    /// The bounds of its guests.
    pub limits: PluginLimits,
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.settings.iter().map(|(key, _)| key.as_str()).collect();
        let Transform { alias, class, plugin_version, limits, settings: _ } = self;
        let mut shown = f.debug_struct("Transform");
        shown.field("alias", alias).field("class", class).field("plugin_version", plugin_version);
        shown.field("settings", &keys).field("limits", limits).finish()
    }
}

/// `errors.*`, with Connect's meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    /// `errors.tolerance: all`: skip and record instead of failing.
    pub tolerate: bool,
    /// `errors.retry.timeout`: how long an operation on a record is tried again; None = for ever, 0 = one attempt.
    pub retry_timeout_ms: Option<u64>,
    /// `errors.retry.delay.max.ms`: the longest wait between two attempts.
    pub retry_delay_max_ms: u64,
    /// `errors.log.enable`.
    pub log: bool,
    /// `errors.log.include.messages`.
    pub log_messages: bool,
}

/// `checkpoint.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoints {
    /// After so many records of a lane.
    pub records: u64,
    /// After so many milliseconds.
    pub ms: u64,
    /// `checkpoint.store: directory`: below the worker's state directory, not in the database.
    pub in_directory: bool,
}

/// `plugin.swap.policy` and `swap.probation.ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap {
    /// When a new chain takes over.
    pub policy: SwapPolicy,
    /// How long the one before follows.
    pub probation_ms: u64,
}

/// When a new chain takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapPolicy {
    /// As soon as it can.
    Auto,
    /// Where its rows are those of the chain that speaks.
    CanaryEqual,
    /// When an operator says so.
    Manual,
}

/// Where rows go.
#[derive(Debug, Clone)]
pub enum Sink {
    /// A table of PostgreSQL or TimescaleDB.
    Timescale(Timescale),
    /// Standard output.
    Console,
}

/// `TimescaleSink`.
#[derive(Debug, Clone)]
pub struct Timescale {
    /// `connection.url`: `postgres://user@host:port/database?…` or `jdbc:postgresql://…`, without password.
    pub url: String,
    /// `connection.user`, where it is not in the URL.
    pub user: Option<String>,
    /// `connection.password`, or the one that stood in the URL.
    pub password: Option<Secret>,
    /// `table.name.format`: `${topic}` stands for the topic; may be `schema.table`.
    pub table_format: String,
    /// `auto.create`: make the table when it does not exist.
    pub auto_create: bool,
    /// `fields`: the columns that `auto.create` makes; empty = those of the first records.
    pub fields: Vec<Field>,
    /// `fields.missing: null`: a column whose field never shows up is written as null, not an error.
    pub fields_missing_null: bool,
    /// `timescale.time.column`: makes the table a hypertable where the extension is there.
    pub time_column: Option<String>,
    /// `timescale.chunk.interval`, as PostgreSQL writes intervals (`1 day`).
    pub chunk_interval: String,
    /// `kafka.coordinates`: also write `kafka_topic text, kafka_partition int4, kafka_offset int8`.
    pub coordinates: bool,
    /// `sink.schema`: where positions lie.
    pub schema: String,
}
