//! `consumer.override.*`: Java's names for the consumer's properties in librdkafka's words.
//!
//! Configurations come from Connect, whose client is Java's. Most names are shared; where they differ they are
//! translated, and what has no counterpart is refused instead of being passed over in silence.
//! Source: librdkafka's CONFIGURATION.md and Kafka's consumer configuration.

use std::collections::BTreeMap;

use super::keys::{AUTO_OFFSET_RESET, GROUP_ID, ISOLATION_LEVEL, OVERRIDE_PREFIX};
use super::pipeline::OffsetReset;
use super::validate::Values;

/// What the overrides come to.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) overrides: BTreeMap<String, String>,
    pub(super) group: Option<String>,
    pub(super) reset: OffsetReset,
}

/// Names that differ: Java's, librdkafka's.
const RENAMED: [(&str, &str); 7] = [
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes"),
    ("request.timeout.ms", "socket.timeout.ms"),
    ("send.buffer.bytes", "socket.send.buffer.bytes"),
    ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
    ("ssl.keystore.key", "ssl.key.pem"),
    ("ssl.truststore.certificates", "ssl.ca.pem"),
];

/// What weir sets itself, because exactly-once delivery depends on it.
const OWNED: [&str; 7] = [
    "auto.commit.interval.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "group.instance.id",
    "key.deserializer",
    "value.deserializer",
];

/// Java's properties without a counterpart in librdkafka; a `.` at the end stands for all that begin so.
const JAVA_ONLY: [&str; 18] = [
    "auto.include.jmx.reporter",
    "default.api.timeout.ms",
    "exclude.internal.topics",
    "interceptor.classes",
    "max.poll.records",
    "metric.reporters",
    "metrics.",
    "sasl.client.callback.handler.class",
    "sasl.login.",
    "security.providers",
    "ssl.enabled.protocols",
    "ssl.engine.factory.class",
    "ssl.keymanager.algorithm",
    "ssl.protocol",
    "ssl.provider",
    "ssl.secure.random.implementation",
    "ssl.trustmanager.algorithm",
    "ssl.truststore.password",
];

/// Assignment strategies: the last part of Java's class name, librdkafka's word.
const STRATEGIES: [(&str, &str); 3] = [
    ("RangeAssignor", "range"),
    ("RoundRobinAssignor", "roundrobin"),
    ("CooperativeStickyAssignor", "cooperative-sticky"),
];

/// What becomes of one property.
enum Property {
    /// These, in librdkafka's words.
    Set(Vec<(String, String)>),
    /// Refused: why, and the way out.
    Refused(String, String),
}

/// Reads every override.
pub(super) fn read(values: &mut Values<'_, '_>) -> Consumer {
    let reset = match values.text(&AUTO_OFFSET_RESET).as_str() {
        "latest" => OffsetReset::Latest,
        "none" => OffsetReset::Error,
        _ => OffsetReset::Earliest,
    };
    let group = values.optional(&GROUP_ID);
    isolation(values);
    let own = [AUTO_OFFSET_RESET.name, GROUP_ID.name, ISOLATION_LEVEL.name];
    let mut overrides = BTreeMap::new();
    let mut set_by: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in values.with_prefix(OVERRIDE_PREFIX) {
        if own.contains(&key.as_str()) {
            continue;
        }
        match translate(key.strip_prefix(OVERRIDE_PREFIX).unwrap_or(&key), &value) {
            Property::Refused(message, hint) => values.problem(&key, message, hint),
            Property::Set(properties) => {
                for (name, value) in properties {
                    if let Some(other) = set_by.insert(name.clone(), key.clone()) {
                        values.problem(&key, format!("sets `{name}`, as `{other}` does"), "remove one of them");
                    }
                    overrides.insert(name, value);
                }
            }
        }
    }
    Consumer { overrides, group, reset }
}

/// Reading uncommitted records is refused with the reason, not as one wrong word among others.
fn isolation(values: &mut Values<'_, '_>) {
    let level = values.peek(ISOLATION_LEVEL.name);
    if level.as_deref() == Some("read_uncommitted") {
        let message = "`read_uncommitted` would write records of transactions that Kafka may still abort, and a row \
                       that is written cannot be taken back";
        values.problem(ISOLATION_LEVEL.name, message, "remove the key; weir reads committed records");
    } else {
        values.text(&ISOLATION_LEVEL);
    }
}

fn translate(name: &str, value: &str) -> Property {
    let as_is = |name: &str| Property::Set(vec![(name.to_owned(), value.to_owned())]);
    let refused = |message: &str, hint: &str| Property::Refused(message.to_owned(), hint.to_owned());
    if let Some((_, renamed)) = RENAMED.iter().find(|(java, _)| *java == name) {
        return as_is(renamed);
    }
    if OWNED.contains(&name) {
        return refused("is set by weir itself, since exactly-once delivery depends on it", "remove the key");
    }
    if JAVA_ONLY.iter().any(|java| name == *java || (java.ends_with('.') && name.starts_with(java))) {
        return refused("has no counterpart in librdkafka, the Kafka client that weir uses", "remove the key");
    }
    match (name, value) {
        ("bootstrap.servers", _) => refused("is an option of its own", "write it as `bootstrap.servers`"),
        ("ssl.endpoint.identification.algorithm", "") => Property::Set(vec![(name.to_owned(), "none".to_owned())]),
        (_, "") => refused("has an empty value", "write one, or remove the key"),
        ("ssl.truststore.type", "PEM") | ("ssl.keystore.type", "PKCS12") => Property::Set(Vec::new()),
        ("ssl.truststore.type", _) => {
            refused("takes `PEM`, the only trust store that librdkafka reads", "convert the trust store to PEM")
        }
        ("ssl.keystore.type", _) => refused(
            "takes `PKCS12`, the only key store that librdkafka reads",
            "convert it, or give `ssl.key.location` and `ssl.certificate.location` as PEM files",
        ),
        ("ssl.truststore.location", _) => as_is("ssl.ca.location"),
        ("partition.assignment.strategy", _) => strategies(name, value),
        ("sasl.jaas.config", _) => jaas(value),
        _ => as_is(name),
    }
}

fn strategies(name: &str, value: &str) -> Property {
    let word = |item: &str| {
        let simple = item.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(item);
        STRATEGIES.iter().find(|(class, word)| *class == simple || *word == simple).map(|(_, word)| *word)
    };
    let words: Option<Vec<&str>> = value.split(',').map(|item| word(item.trim())).collect();
    match words {
        Some(words) => Property::Set(vec![(name.to_owned(), words.join(","))]),
        None => Property::Refused(
            "takes `range`, `roundrobin` or `cooperative-sticky`, or Java's class names for these".to_owned(),
            "remove the key for the default".to_owned(),
        ),
    }
}

/// Java's login line `…LoginModule required username="u" password="p";` as user and password. Only modules that
/// log in by these have a counterpart. Nothing of the line is shown: it holds a password.
fn jaas(line: &str) -> Property {
    let module = line.split_whitespace().next().unwrap_or_default();
    let option = |name: &str| {
        let at = line
            .match_indices(name)
            .find(|(at, _)| line.get(..*at).is_some_and(|before| before.ends_with(char::is_whitespace)))?
            .0;
        let rest = line.get(at + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        let (quote, rest) = match rest.chars().next()? {
            quote @ ('"' | '\'') => (quote, rest.get(1..)?),
            _ => return None,
        };
        Some(rest.split_once(quote)?.0.to_owned())
    };
    let is_known = module.ends_with(".PlainLoginModule") || module.ends_with(".ScramLoginModule");
    match (is_known, option("username"), option("password")) {
        (true, Some(user), Some(password)) => {
            Property::Set(vec![("sasl.username".to_owned(), user), ("sasl.password".to_owned(), password)])
        }
        _ => Property::Refused(
            "takes a PlainLoginModule or ScramLoginModule with `username=\"…\"` and `password=\"…\"`".to_owned(),
            "or write `consumer.override.sasl.username` and `consumer.override.sasl.password`".to_owned(),
        ),
    }
}
