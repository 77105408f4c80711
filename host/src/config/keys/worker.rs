//! The rows of a worker file, by Connect's worker keys where Connect has them.

use super::kafka::is_address;
use super::{Check, Default, Importance, Key, Type};
use crate::config::quantity;

const WORKER: &str = "Worker";

/// The least memory that a worker can work in.
pub const MEMORY_BYTES_MIN: u64 = 64 << 20;
/// The least address space with which a compiler starts at all.
pub const COMPILE_BYTES_MIN: u64 = 256 << 20;

const fn row(
    name: &'static str,
    kind: Type,
    default: Default,
    check: Check,
    doc: &'static str,
    example: &'static str,
) -> Key {
    Key { name, kind, default, importance: Importance::Medium, group: WORKER, sink: None, check, doc, example }
}

/// `bootstrap.servers`.
pub const BOOTSTRAP_SERVERS: Key = row(
    "bootstrap.servers",
    Type::List,
    Default::Value("localhost:9092"),
    Check::Fits { takes: "brokers as HOST:PORT, separated by commas", fits: is_address },
    "The brokers of pipelines that name none.",
    "localhost:9092",
);

/// `pipelines`.
pub const PIPELINES: Key = row(
    "pipelines",
    Type::List,
    Default::Value("pipelines"),
    Check::Any,
    "Pipeline files and directories of them.",
    "/etc/weir/pipelines",
);

/// `plugin.path`.
pub const PLUGIN_PATH: Key = row(
    "plugin.path",
    Type::List,
    Default::Value("plugins"),
    Check::Any,
    "Directories of plugins.",
    "/etc/weir/plugins",
);

/// `state`.
pub const STATE: Key = row(
    "state",
    Type::String,
    Default::Unset,
    Check::Any,
    "The directory for compiled plugins and the worker's id; unset = nothing is kept.",
    "/var/lib/weir",
);

/// `listeners`.
pub const LISTENERS: Key = row(
    "listeners",
    Type::String,
    Default::Value("127.0.0.1:8083"),
    Check::Fits { takes: "HOST:PORT", fits: |text| is_address(text.strip_prefix("http://").unwrap_or(text)) },
    "Where REST listens.",
    "127.0.0.1:8083",
);

/// `metrics`.
pub const METRICS: Key = row(
    "metrics",
    Type::String,
    Default::Unset,
    Check::Fits { takes: "HOST:PORT", fits: is_address },
    "Where `/metrics` listens beside REST.",
    "0.0.0.0:9404",
);

/// `memory`.
pub const MEMORY: Key = row(
    "memory",
    Type::String,
    Default::Value("512M"),
    Check::Fits {
        takes: "an amount of at least 64M, in bytes or with K, M or G",
        fits: |text| quantity::bytes(text).is_some_and(|bytes| bytes >= MEMORY_BYTES_MIN),
    },
    "The memory from which fetch queues, flushes and guests are granted theirs.",
    "512M",
);

/// `plugin.compile.ms`.
pub const COMPILE_MS: Key = row(
    "plugin.compile.ms",
    Type::Long,
    Default::Value("120000"),
    Check::Between(100, 3_600_000),
    "Milliseconds that the child process has which compiles a plugin; beyond it the plugin is refused.",
    "300000",
);

/// `plugin.compile.memory`.
pub const COMPILE_MEMORY: Key = row(
    "plugin.compile.memory",
    Type::String,
    Default::Value("4G"),
    Check::Fits {
        takes: "an amount of at least 256M, in bytes or with K, M or G",
        fits: |text| quantity::bytes(text).is_some_and(|bytes| bytes >= COMPILE_BYTES_MIN),
    },
    "Address space of that process, of which the program itself takes a part.",
    "8G",
);

/// `worker.id`.
pub const WORKER_ID: Key = row(
    "worker.id",
    Type::String,
    Default::Unset,
    Check::Fits { takes: "1 to 100 letters, digits, `.`, `_` and `-`", fits: is_worker_id },
    "The worker's id, stable over restarts, by which Kafka knows it again.",
    "worker-1",
);

/// Every row.
pub const KEYS: &[&Key] = &[
    &BOOTSTRAP_SERVERS,
    &PIPELINES,
    &PLUGIN_PATH,
    &STATE,
    &LISTENERS,
    &METRICS,
    &MEMORY,
    &COMPILE_MS,
    &COMPILE_MEMORY,
    &WORKER_ID,
];

fn is_worker_id(id: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=100).contains(&id.len()) && id.bytes().all(legal)
}
