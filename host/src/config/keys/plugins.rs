//! The rows that bound a plugin's guests: `plugin.limits.*` for all stages of a pipeline, and behind
//! `transforms.ALIAS.` for one of them.

use super::super::quantity;
use super::{Check, Default, Importance, Key, Type};

const PLUGINS: &str = "Plugins";

const fn count(name: &'static str, default: &'static str, max: i64, doc: &'static str, example: &'static str) -> Key {
    Key {
        name,
        kind: Type::Long,
        default: Default::Value(default),
        importance: Importance::Low,
        group: PLUGINS,
        sink: None,
        check: Check::Between(1, max),
        doc,
        example,
    }
}

const fn bytes(name: &'static str, default: &'static str, doc: &'static str, example: &'static str) -> Key {
    Key {
        name,
        kind: Type::String,
        default: Default::Value(default),
        importance: Importance::Low,
        group: PLUGINS,
        sink: None,
        check: Check::Fits {
            takes: "an amount of at least 64K, in bytes or with K, M or G",
            fits: |text| quantity::bytes(text).is_some_and(|bytes| bytes >= 64 << 10),
        },
        doc,
        example,
    }
}

/// `plugin.limits.call.ms`.
pub const LIMIT_CALL_MS: Key = count(
    "plugin.limits.call.ms",
    "2000",
    3_600_000,
    "Milliseconds that one call of a plugin may take: of its start, its configuration, a batch, a piece of state. Beyond \
     it the guest is ended.",
    "10000",
);

/// `plugin.limits.memory`.
pub const LIMIT_MEMORY: Key = bytes(
    "plugin.limits.memory",
    "1G",
    "Memory of one guest, which each partition has of its own where the plugin keeps state; the state that it hands out \
     for one checkpoint is no larger either. A plugin that asks for less gets less, unless this is written.",
    "256M",
);

/// `plugin.limits.table.elements`.
pub const LIMIT_TABLE_ELEMENTS: Key = count(
    "plugin.limits.table.elements",
    "100000",
    10_000_000,
    "Elements of a table of functions or references of a guest.",
    "200000",
);

/// `plugin.limits.output.rows`.
pub const LIMIT_OUTPUT_ROWS: Key = count(
    "plugin.limits.output.rows",
    "1048576",
    i32::MAX as i64,
    "Rows that one call of a plugin may emit; a call sees at most 8192.",
    "100000",
);

/// `plugin.limits.output.bytes`.
pub const LIMIT_OUTPUT_BYTES: Key = bytes(
    "plugin.limits.output.bytes",
    "64M",
    "Bytes that one call of a plugin may hand over: rows, errors, log lines and pieces of state together.",
    "16M",
);

/// `plugin.limits.rejected.rows`.
pub const LIMIT_REJECTED_ROWS: Key = count(
    "plugin.limits.rejected.rows",
    "10000",
    i64::MAX,
    "Rows of a partition that a plugin may reject one after the other, under `errors.tolerance: all`, before the task \
     fails: then not the records are at fault.",
    "1000000",
);

/// `plugin.limits.log.lines`.
pub const LIMIT_LOG_LINES: Key = count(
    "plugin.limits.log.lines",
    "100",
    1_000_000,
    "Lines that a guest may log in one second; the others are counted and withheld.",
    "10",
);

/// `plugin.limits.log.line.bytes`.
pub const LIMIT_LOG_LINE_BYTES: Key = count(
    "plugin.limits.log.line.bytes",
    "1024",
    65_536,
    "Bytes of a line that a guest logs; the rest is cut off.",
    "4096",
);

/// `plugin.limits.metrics`.
pub const LIMIT_METRICS: Key = count("plugin.limits.metrics", "32", 1_000, "Metrics that a guest may declare.", "8");

pub(super) const KEYS: &[&Key] = &[
    &LIMIT_CALL_MS,
    &LIMIT_MEMORY,
    &LIMIT_TABLE_ELEMENTS,
    &LIMIT_OUTPUT_ROWS,
    &LIMIT_OUTPUT_BYTES,
    &LIMIT_REJECTED_ROWS,
    &LIMIT_LOG_LINES,
    &LIMIT_LOG_LINE_BYTES,
    &LIMIT_METRICS,
];
