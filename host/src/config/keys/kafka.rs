//! The rows about Kafka: brokers, topics and the consumer.

use super::{Check, Default, Importance, Key, Type};

const KAFKA: &str = "Kafka";

/// Put before a consumer property.
pub const OVERRIDE_PREFIX: &str = "consumer.override.";

/// `topics`.
pub const TOPICS: Key = Key {
    name: "topics",
    kind: Type::List,
    default: Default::Required,
    importance: Importance::High,
    group: "Common",
    sink: None,
    check: Check::Fits {
        takes: "topic names of 1 to 249 letters, digits, `.`, `_` and `-`, separated by commas",
        fits: is_topic,
    },
    doc: "The topics to read.",
    example: "ticks",
};

/// `partitions.added`.
pub const PARTITIONS_ADDED: Key = Key {
    name: "partitions.added",
    kind: Type::String,
    default: Default::Unset,
    importance: Importance::Medium,
    group: KAFKA,
    sink: None,
    check: Check::OneOf(&["fail", "continue"]),
    doc: "What partitions do that were added to a topic after the pipeline began to read it: `fail` fails the task, \
          `continue` reads them from their first record on, whatever `auto.offset.reset` says. Unset = `fail` where a \
          plugin has state, which is kept by partition and does not follow keys that move, else `continue`.",
    example: "continue",
};

/// `bootstrap.servers`.
pub const BOOTSTRAP_SERVERS: Key = Key {
    name: "bootstrap.servers",
    kind: Type::List,
    default: Default::Unset,
    importance: Importance::Medium,
    group: KAFKA,
    sink: None,
    check: Check::Fits { takes: "brokers as HOST:PORT, separated by commas", fits: is_address },
    doc: "The pipeline's own brokers; unset = the worker's.",
    example: "localhost:9092",
};

/// `consumer.override.auto.offset.reset`.
pub const AUTO_OFFSET_RESET: Key = Key {
    name: "consumer.override.auto.offset.reset",
    kind: Type::String,
    default: Default::Value("earliest"),
    importance: Importance::Medium,
    group: KAFKA,
    sink: None,
    check: Check::OneOf(&["earliest", "latest", "none"]),
    doc: "Where to begin when neither the database nor the group has a position: at the oldest record, after the \
          newest, or nowhere (the task fails).",
    example: "latest",
};

/// `consumer.override.group.id`.
pub const GROUP_ID: Key = Key {
    name: "consumer.override.group.id",
    kind: Type::String,
    default: Default::Unset,
    importance: Importance::Low,
    group: KAFKA,
    sink: None,
    check: Check::Any,
    doc: "The consumer group; unset = `connect-<name>`.",
    example: "connect-ticks",
};

/// `consumer.override.isolation.level`.
pub const ISOLATION_LEVEL: Key = Key {
    name: "consumer.override.isolation.level",
    kind: Type::String,
    default: Default::Value("read_committed"),
    importance: Importance::Low,
    group: KAFKA,
    sink: None,
    check: Check::OneOf(&["read_committed"]),
    doc: "Only committed records are read, since a row of an aborted transaction could not be taken back.",
    example: "read_committed",
};

/// `consumer.override.*`.
pub const CONSUMER_OVERRIDE: Key = Key {
    name: "consumer.override.*",
    kind: Type::String,
    default: Default::Unset,
    importance: Importance::Low,
    group: KAFKA,
    sink: None,
    check: Check::Any,
    doc: "Any property of the Kafka consumer, by its name in the Java client or in librdkafka.",
    example: "500",
};

const fn refused(name: &'static str, why: &'static str, way_out: &'static str) -> Key {
    Key {
        name,
        kind: Type::String,
        default: Default::Unset,
        importance: Importance::Low,
        group: KAFKA,
        sink: None,
        check: Check::Refused(why, way_out),
        doc: "Known from Connect and refused.",
        example: "",
    }
}

const NO_DEAD_LETTERS: &str = "is for dead letters, which are not supported yet";

pub(super) const KEYS: &[&Key] = &[
    &TOPICS,
    &PARTITIONS_ADDED,
    &refused("topics.regex", "topics cannot be chosen by a pattern yet", "list them in `topics`"),
    &BOOTSTRAP_SERVERS,
    &AUTO_OFFSET_RESET,
    &GROUP_ID,
    &ISOLATION_LEVEL,
    &CONSUMER_OVERRIDE,
    &refused("producer.override.*", NO_DEAD_LETTERS, "remove the key"),
    &refused("admin.override.*", NO_DEAD_LETTERS, "remove the key"),
];

/// Kafka's rule for topic names (`org.apache.kafka.common.internals.Topic`).
fn is_topic(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}

/// Whether a text is HOST:PORT; an IPv6 host stands in brackets.
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || matches!(c, ':' | '/' | '@')),
    };
    is_host && port.parse::<u16>().is_ok()
}
