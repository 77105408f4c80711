//! The rows that every pipeline has: those of Connect's framework and those of weir's own machinery.

use super::{Check, Default, Importance, Key, Type};

const COMMON: &str = "Common";
const TRANSFORM: &str = "Transforms";
const ERRORS: &str = "Error Handling";
const MACHINERY: &str = "Machinery";

/// `name`.
pub const NAME: Key = Key {
    name: "name",
    kind: Type::String,
    default: Default::Required,
    importance: Importance::High,
    group: COMMON,
    sink: None,
    check: Check::Fits {
        takes: "a name of 1 to 200 bytes that does not begin with `@` and has no control characters",
        fits: is_name,
    },
    doc: "The pipeline's name: the key of its position in the database, and `connect-<name>` its consumer group. \
          A pipeline that is given another name starts anew.",
    example: "ticks-sma",
};

/// `connector.class`.
pub const CONNECTOR_CLASS: Key = Key {
    name: "connector.class",
    kind: Type::Class,
    default: Default::Required,
    importance: Importance::High,
    group: COMMON,
    sink: None,
    check: Check::Any,
    doc: "Where rows go: `TimescaleSink` (a table of PostgreSQL or TimescaleDB, exactly once) or `ConsoleSink` \
          (standard output, for trying things out).",
    example: "TimescaleSink",
};

/// `tasks.max`.
pub const TASKS_MAX: Key = Key {
    name: "tasks.max",
    kind: Type::Int,
    default: Default::Value("1"),
    importance: Importance::High,
    group: COMMON,
    sink: None,
    check: Check::Between(1, 1_024),
    doc: "The number of tasks. Each has a thread, a consumer and a database connection; more tasks than \
          partitions leave some idle.",
    example: "2",
};

/// `key.converter`.
pub const KEY_CONVERTER: Key = Key {
    name: "key.converter",
    kind: Type::Class,
    default: Default::Value("string"),
    importance: Importance::Low,
    group: COMMON,
    sink: None,
    check: Check::Fits { takes: CONVERTERS_TAKEN, fits: is_converter },
    doc: "How keys are read: `json`, `string` or `bytes`, or the class name of Connect's converter.",
    example: "string",
};

/// `key.converter.schemas.enable`.
pub const KEY_CONVERTER_SCHEMAS_ENABLE: Key = Key {
    name: "key.converter.schemas.enable",
    kind: Type::Boolean,
    default: Default::Value("true"),
    importance: Importance::Low,
    group: COMMON,
    sink: None,
    check: Check::Any,
    doc: "Whether JSON keys carry a schema beside their payload. They cannot be read yet, so a pipeline with JSON \
          keys must write false.",
    example: "false",
};

/// `value.converter`.
pub const VALUE_CONVERTER: Key = Key {
    name: "value.converter",
    kind: Type::Class,
    default: Default::Required,
    importance: Importance::Low,
    group: COMMON,
    sink: None,
    check: Check::Fits { takes: CONVERTERS_TAKEN, fits: is_converter },
    doc: "How values are read: `json`, `string` or `bytes`, or the class name of Connect's converter.",
    example: "json",
};

/// `value.converter.schemas.enable`.
pub const VALUE_CONVERTER_SCHEMAS_ENABLE: Key = Key {
    name: "value.converter.schemas.enable",
    kind: Type::Boolean,
    default: Default::Value("true"),
    importance: Importance::Low,
    group: COMMON,
    sink: None,
    check: Check::Any,
    doc: "Whether JSON values carry a schema beside their payload. They cannot be read yet, so a pipeline with \
          JSON values must write false.",
    example: "false",
};

const HEADER_CONVERTER: Key = Key {
    name: "header.converter",
    kind: Type::Class,
    default: Default::Value("org.apache.kafka.connect.storage.SimpleHeaderConverter"),
    importance: Importance::Low,
    group: COMMON,
    sink: None,
    check: Check::Any,
    doc: "Taken so that configurations of Connect keep working; a header is read as the text or the bytes that it \
          is, whatever stands here.",
    example: "org.apache.kafka.connect.storage.SimpleHeaderConverter",
};

/// `transforms`.
pub const TRANSFORMS: Key = Key {
    name: "transforms",
    kind: Type::List,
    default: Default::Value(""),
    importance: Importance::High,
    group: TRANSFORM,
    sink: None,
    check: Check::Fits { takes: "aliases without blanks, separated by commas", fits: is_alias },
    doc: "The chain of transformations in order: aliases whose settings are `transforms.ALIAS.*`. In YAML also a \
          list of maps with `name`.",
    example: "sma",
};

/// `transforms.ALIAS.type`.
pub const TRANSFORM_TYPE: Key = Key {
    name: "transforms.*.type",
    kind: Type::Class,
    default: Default::Required,
    importance: Importance::High,
    group: TRANSFORM,
    sink: None,
    check: Check::Any,
    doc: "What the transformation is: a built-in class or the id of a plugin in the plugin directories.",
    example: "sma",
};

const TRANSFORM_VERSION: Key = Key {
    name: "transforms.*.plugin.version",
    kind: Type::String,
    default: Default::Unset,
    importance: Importance::Low,
    group: TRANSFORM,
    sink: None,
    check: Check::Any,
    doc: "Which versions of the plugin may be used, as a Maven version range (KIP-891); unset or `latest` = the \
          newest.",
    example: "\"[1.0,2.0)\"",
};

const TRANSFORM_SETTING: Key = Key {
    name: "transforms.*",
    kind: Type::String,
    default: Default::Unset,
    importance: Importance::Medium,
    group: TRANSFORM,
    sink: None,
    check: Check::Any,
    doc: "The settings of a transformation, which it checks itself.",
    example: "50",
};

/// `errors.tolerance`.
pub const ERRORS_TOLERANCE: Key = Key {
    name: "errors.tolerance",
    kind: Type::String,
    default: Default::Value("none"),
    importance: Importance::Medium,
    group: ERRORS,
    sink: None,
    check: Check::OneOf(&["none", "all"]),
    doc: "What a record that cannot be processed does: `none` fails the task, `all` skips the record and records \
          that it was skipped.",
    example: "all",
};

/// `errors.retry.timeout`.
pub const ERRORS_RETRY_TIMEOUT: Key = Key {
    name: "errors.retry.timeout",
    kind: Type::Long,
    default: Default::Value("0"),
    importance: Importance::Medium,
    group: ERRORS,
    sink: None,
    check: Check::Between(-1, i64::MAX),
    doc: "Milliseconds for which an operation on a record that may succeed later is tried again; 0 = once, -1 = \
          for ever.",
    example: "60000",
};

/// `errors.retry.delay.max.ms`.
pub const ERRORS_RETRY_DELAY_MAX_MS: Key = Key {
    name: "errors.retry.delay.max.ms",
    kind: Type::Long,
    default: Default::Value("60000"),
    importance: Importance::Medium,
    group: ERRORS,
    sink: None,
    check: Check::Between(1, i64::MAX),
    doc: "The longest wait between two such attempts, in milliseconds.",
    example: "10000",
};

/// `errors.log.enable`.
pub const ERRORS_LOG_ENABLE: Key = Key {
    name: "errors.log.enable",
    kind: Type::Boolean,
    default: Default::Value("false"),
    importance: Importance::Medium,
    group: ERRORS,
    sink: None,
    check: Check::Any,
    doc: "Whether each record that cannot be processed is logged, with stage and cause.",
    example: "true",
};

/// `errors.log.include.messages`.
pub const ERRORS_LOG_INCLUDE_MESSAGES: Key = Key {
    name: "errors.log.include.messages",
    kind: Type::Boolean,
    default: Default::Value("false"),
    importance: Importance::Medium,
    group: ERRORS,
    sink: None,
    check: Check::Any,
    doc: "Whether such a log line also names topic, partition, offset and timestamp of the record; its payload is \
          never logged.",
    example: "true",
};

/// `linger.ms`.
pub const LINGER_MS: Key = Key {
    name: "linger.ms",
    kind: Type::Long,
    default: Default::Value("0"),
    importance: Importance::Low,
    group: MACHINERY,
    sink: None,
    check: Check::Between(0, 60_000),
    doc: "Milliseconds that a flush waits for more rows while the database is idle. While a transaction is in \
          flight the next flush grows anyway.",
    example: "5",
};

/// `idle.timeout.ms`.
pub const IDLE_TIMEOUT_MS: Key = Key {
    name: "idle.timeout.ms",
    kind: Type::Long,
    default: Default::Value("0"),
    importance: Importance::Medium,
    group: MACHINERY,
    sink: None,
    check: Check::Between(0, 31_536_000_000),
    doc: "Milliseconds without a record after which the event time of a partition is taken to have gone on by as much, \
          once for each silence: windows that are over by then are closed, and records that come for them later are late. \
          Make it at least as long as the windows of its plugins and their lateness. 0 = windows wait for the next record.",
    example: "120000",
};

/// `checkpoint.interval.records`.
pub const CHECKPOINT_INTERVAL_RECORDS: Key = Key {
    name: "checkpoint.interval.records",
    kind: Type::Long,
    default: Default::Value("1000000"),
    importance: Importance::Medium,
    group: MACHINERY,
    sink: None,
    check: Check::Between(1, i64::MAX),
    doc: "Records of a partition after which the state of its plugins is written as a checkpoint: the most that is \
          replayed when the partition is taken up again.",
    example: "250000",
};

/// `checkpoint.interval.ms`.
pub const CHECKPOINT_INTERVAL_MS: Key = Key {
    name: "checkpoint.interval.ms",
    kind: Type::Long,
    default: Default::Value("10000"),
    importance: Importance::Medium,
    group: MACHINERY,
    sink: None,
    check: Check::Between(1, i64::MAX),
    doc: "Milliseconds after which a checkpoint is written where fewer records were read.",
    example: "60000",
};

/// `plugin.swap.policy`.
pub const PLUGIN_SWAP_POLICY: Key = Key {
    name: "plugin.swap.policy",
    kind: Type::String,
    default: Default::Value("auto"),
    importance: Importance::Medium,
    group: MACHINERY,
    sink: None,
    check: Check::OneOf(&["auto", "canary-equal", "manual"]),
    doc: "When a new plugin version takes over in a running pipeline: auto = as soon as it has the state and follows the \
          stream; canary-equal = only if its rows are those of the version that runs; manual = when `weir plugin approve` \
          says so.",
    example: "canary-equal",
};

/// `swap.probation.ms`.
pub const SWAP_PROBATION_MS: Key = Key {
    name: "swap.probation.ms",
    kind: Type::Long,
    default: Default::Value("60000"),
    importance: Importance::Low,
    group: MACHINERY,
    sink: None,
    check: Check::Between(0, i64::MAX),
    doc: "Milliseconds for which the version that was taken over from follows the stream, so that it can take over again \
          at once.",
    example: "600000",
};

/// `checkpoint.store`.
pub const CHECKPOINT_STORE: Key = Key {
    name: "checkpoint.store",
    kind: Type::String,
    default: Default::Value("database"),
    importance: Importance::Medium,
    group: MACHINERY,
    sink: None,
    check: Check::OneOf(&["database", "directory"]),
    doc: "Where checkpoints lie: in the sink's database, or below the worker's state directory (`--state`), which has \
          to be the same for every worker that may take a partition up. What counts is told by the database in both.",
    example: "directory",
};

/// The rows that Connect has and weir does not have yet: known, so that the error says more than "unknown".
const fn refused(name: &'static str, group: &'static str, why: &'static str, way_out: &'static str) -> Key {
    Key {
        name,
        kind: Type::String,
        default: Default::Unset,
        importance: Importance::Low,
        group,
        sink: None,
        check: Check::Refused(why, way_out),
        doc: "Known from Connect and refused.",
        example: "",
    }
}

const NO_PREDICATES: &str = "predicates are not supported yet";
const APPLY_ALWAYS: &str = "remove the key; each transformation then applies to every record";
const NO_DEAD_LETTERS: &str = "dead-letter topics are not supported yet";
const LOG_INSTEAD: &str =
    "remove the key; with `errors.tolerance: all` and `errors.log.enable: true` such records are skipped and logged";

pub(super) const KEYS: &[&Key] = &[
    &NAME,
    &CONNECTOR_CLASS,
    &TASKS_MAX,
    &KEY_CONVERTER,
    &KEY_CONVERTER_SCHEMAS_ENABLE,
    &VALUE_CONVERTER,
    &VALUE_CONVERTER_SCHEMAS_ENABLE,
    &HEADER_CONVERTER,
    &TRANSFORMS,
    &TRANSFORM_TYPE,
    &TRANSFORM_VERSION,
    &refused("transforms.*.predicate", TRANSFORM, NO_PREDICATES, APPLY_ALWAYS),
    &refused("transforms.*.negate", TRANSFORM, NO_PREDICATES, APPLY_ALWAYS),
    &TRANSFORM_SETTING,
    &refused("predicates", TRANSFORM, NO_PREDICATES, APPLY_ALWAYS),
    &refused("predicates.*", TRANSFORM, NO_PREDICATES, APPLY_ALWAYS),
    &ERRORS_TOLERANCE,
    &ERRORS_RETRY_TIMEOUT,
    &ERRORS_RETRY_DELAY_MAX_MS,
    &ERRORS_LOG_ENABLE,
    &ERRORS_LOG_INCLUDE_MESSAGES,
    &refused("errors.deadletterqueue.*", ERRORS, NO_DEAD_LETTERS, LOG_INSTEAD),
    &LINGER_MS,
    &IDLE_TIMEOUT_MS,
    &CHECKPOINT_INTERVAL_RECORDS,
    &CHECKPOINT_INTERVAL_MS,
    &CHECKPOINT_STORE,
    &PLUGIN_SWAP_POLICY,
    &SWAP_PROBATION_MS,
];

const CONVERTERS_TAKEN: &str = "`json`, `string`, `bytes` or the class name of one of Connect's converters for these";

/// The converters by short name, each with the names that Connect knows it by.
pub const CONVERTERS: [(&str, &[&str]); 3] = [
    ("json", &["json", "JsonConverter", "org.apache.kafka.connect.json.JsonConverter"]),
    ("string", &["string", "StringConverter", "org.apache.kafka.connect.storage.StringConverter"]),
    ("bytes", &["bytes", "ByteArrayConverter", "org.apache.kafka.connect.converters.ByteArrayConverter"]),
];

fn is_converter(class: &str) -> bool {
    CONVERTERS.iter().any(|(_, names)| names.contains(&class))
}

fn is_name(name: &str) -> bool {
    (1..=200).contains(&name.len()) && !name.starts_with('@') && !name.chars().any(char::is_control)
}

fn is_alias(alias: &str) -> bool {
    !alias.is_empty() && !alias.contains(|c: char| c.is_whitespace() || c.is_control())
}
