//! From entries to a pipeline: what each key becomes, and that no secret is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::super::pipeline::{OffsetReset, PluginLimits, Sink, Timescale};
use super::super::secret::Secret;
use super::super::testing::Table;
use super::super::yaml;
use super::*;
use crate::record::Kind;

pub(super) const BASE: &str = "\
name: ticks-sma
topics: ticks
connector.class: TimescaleSink
value.converter: json
value.converter.schemas.enable: false
connection.url: postgres://weir@localhost:5432/metrics
";

fn sources() -> Table {
    Table::new(
        &[("DB_PASSWORD", "hunter2"), ("DB_URL", "postgres://u:hunter2@h/db"), ("TASKS", "many"), ("TOPIC", "ticks")],
        &[("/run/db", "password=p@ss/w:rd%41\n")],
    )
}

fn checked(text: &str) -> Checked {
    let flat = yaml::flatten(text);
    assert_eq!(flat.problems, [], "{text}");
    check(&flat.entries, &sources())
}

/// The pipeline of a text without mistakes.
fn pipeline(text: &str) -> Pipeline {
    let checked = checked(text);
    assert_eq!(checked.problems, [], "{text}");
    checked.pipeline.unwrap()
}

/// The pipeline of the base with more lines.
fn with(more: &str) -> Pipeline {
    pipeline(&format!("{BASE}{more}"))
}

fn timescale(more: &str) -> Timescale {
    match with(more).sink {
        Sink::Timescale(sink) => sink,
        Sink::Console => panic!("a console"),
    }
}

/// The problems of a text as `LINE: KEY: SENTENCE`.
pub(super) fn problems(text: &str) -> Vec<String> {
    let checked = checked(text);
    assert_eq!(checked.pipeline.is_none(), !checked.problems.is_empty(), "{text}");
    checked.problems.iter().map(|problem| format!("{}: {problem}", problem.line.unwrap())).collect()
}

/// The base without the lines of one key.
pub(super) fn without(key: &str) -> String {
    let is_other = |line: &&str| !line.starts_with(&format!("{key}:"));
    BASE.split_inclusive('\n').filter(is_other).collect()
}

#[test]
fn reads_the_shortest_pipeline_with_its_defaults() {
    let pipeline = with("");
    assert_eq!((pipeline.name.as_str(), pipeline.group.as_str()), ("ticks-sma", "connect-ticks-sma"));
    assert_eq!(pipeline.topics, ["ticks"]);
    assert_eq!((pipeline.tasks_max, pipeline.linger_ms), (1, 0));
    assert_eq!((pipeline.bootstrap_servers, pipeline.auto_offset_reset), (None, OffsetReset::Earliest));
    assert!(pipeline.consumer_overrides.is_empty() && pipeline.transforms.is_empty());
    assert_eq!((pipeline.key_converter.as_str(), pipeline.value_converter.as_str()), ("string", "json"));
    let errors = Errors {
        tolerate: false,
        retry_timeout_ms: Some(0),
        retry_delay_max_ms: 60_000,
        log: false,
        log_messages: false,
    };
    assert_eq!(pipeline.errors, errors);
    let sink = timescale("");
    assert_eq!((sink.url.as_str(), sink.user), ("postgres://weir@localhost:5432/metrics", None));
    assert_eq!((sink.table_format.as_str(), sink.schema.as_str()), ("${topic}", "weir"));
    assert_eq!((sink.time_column, sink.chunk_interval.as_str()), (None, "7 days"));
    assert!(sink.password.is_none() && sink.fields.is_empty());
    assert!(!sink.auto_create && !sink.coordinates && !sink.fields_missing_null);
}

#[test]
fn reads_every_key() {
    let pipeline = with(
        "\
tasks.max: 4
bootstrap.servers: a:9092, b:9093
linger.ms: 5
key.converter: org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable: FALSE
header.converter: org.apache.kafka.connect.storage.SimpleHeaderConverter
errors:
  tolerance: all
  retry: {timeout: -1, delay.max.ms: 5000}
  log: {enable: true, include.messages: true}
consumer.override:
  auto.offset.reset: latest
  group.id: mine
  isolation.level: read_committed
  max.partition.fetch.bytes: 1048576
  fetch.max.wait.ms: 50
transforms:
  - name: ts
    type: TimestampConverter
    target.type: Timestamp
    field: ts
  - name: sma
    type: sma
    plugin.version: \"[1.0,2.0)\"
    window: 50
  - {name: last, type: x, plugin.version: latest}
",
    );
    assert_eq!((pipeline.tasks_max, pipeline.linger_ms), (4, 5));
    assert_eq!(pipeline.bootstrap_servers.as_deref(), Some("a:9092, b:9093"));
    assert_eq!((pipeline.key_converter.as_str(), pipeline.group.as_str()), ("json", "mine"));
    assert_eq!(pipeline.auto_offset_reset, OffsetReset::Latest);
    let errors =
        Errors { tolerate: true, retry_timeout_ms: None, retry_delay_max_ms: 5_000, log: true, log_messages: true };
    assert_eq!(pipeline.errors, errors);
    let overrides: Vec<_> = pipeline.consumer_overrides.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(overrides, ["fetch.wait.max.ms=50", "max.partition.fetch.bytes=1048576"]);
    let transform = |alias: &str, class: &str, version: Option<&str>, settings: &[(&str, &str)]| Transform {
        limits: PluginLimits::default(),
        alias: alias.into(),
        class: class.into(),
        plugin_version: version.map(str::to_owned),
        settings: settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
    };
    let expected = [
        transform("ts", "TimestampConverter", None, &[("field", "ts"), ("target.type", "Timestamp")]),
        transform("sma", "sma", Some("[1.0,2.0)"), &[("window", "50")]),
        transform("last", "x", None, &[]),
    ];
    assert!(pipeline.transforms == expected, "{:?}", pipeline.transforms);
}

#[test]
fn reads_every_key_of_timescale() {
    let sink = timescale(
        "\
connection.password: ${env:DB_PASSWORD}
table.name.format: metrics.${topic}_sma
auto.create: true
fields: ts:timestamp, symbol:text,price:float64
fields.missing: null
timescale.time.column: ts
timescale.chunk.interval: 12h
kafka.coordinates: true
sink.schema: weir_2
",
    );
    assert_eq!(sink.password.unwrap().reveal(), "hunter2");
    assert_eq!((sink.table_format.as_str(), sink.schema.as_str()), ("metrics.${topic}_sma", "weir_2"));
    assert_eq!((sink.time_column.as_deref(), sink.chunk_interval.as_str()), (Some("ts"), "12 hours"));
    assert!(sink.auto_create && sink.coordinates && sink.fields_missing_null);
    let fields: Vec<_> = sink.fields.iter().map(|field| (field.path.as_str(), field.kind)).collect();
    assert_eq!(fields, [("ts", Kind::Timestamp), ("symbol", Kind::Text), ("price", Kind::Float64)]);
}

#[test]
fn reads_a_console_pipeline() {
    let pipeline = pipeline("name: x\ntopics: [a, b]\nconnector.class: ConsoleSink\nvalue.converter: bytes\n");
    assert!(matches!(pipeline.sink, Sink::Console));
    assert_eq!(pipeline.topics, ["a", "b"]);
}

#[test]
fn takes_credentials_out_of_the_url() {
    // connection lines; URL, user, password
    let cases = [
        ("connection.url: postgres://u:p%40ss@h/db", "postgres://u@h/db", None, Some("p@ss")),
        ("connection.url: ${env:DB_URL}", "postgres://u@h/db", None, Some("hunter2")),
        ("connection.url: postgres://u:${file:/run/db:password}@h/db", "postgres://u@h/db", None, Some("p@ss/w:rd%41")),
        (
            "connection.url: jdbc:postgresql://h:5432/db?user=u%20v&password=p&ssl=true",
            "jdbc:postgresql://h:5432/db?ssl=true",
            Some("u v"),
            Some("p"),
        ),
        (
            "connection.url: postgres://h\nconnection.user: u\nconnection.password: p",
            "postgres://h",
            Some("u"),
            Some("p"),
        ),
    ];
    for (lines, url, user, password) in cases {
        let sink = match pipeline(&format!("{}{lines}\n", without("connection.url"))).sink {
            Sink::Timescale(sink) => sink,
            Sink::Console => panic!("a console"),
        };
        assert_eq!((sink.url.as_str(), sink.user.as_deref()), (url, user), "{lines}");
        assert_eq!(sink.password.as_ref().map(Secret::reveal), password, "{lines}");
    }
}

#[test]
fn shows_what_was_written_and_no_secret() {
    let pipeline = with(
        "\
connection.password: ${env:DB_PASSWORD}
consumer.override.sasl.password: hunter3
transforms: geo
transforms.geo.type: geo
transforms.geo.key: ${env:DB_PASSWORD}
",
    );
    assert_eq!(pipeline.raw["connection.password"], "${env:DB_PASSWORD}");
    assert_eq!(pipeline.raw["consumer.override.sasl.password"], "[hidden]");
    assert_eq!(pipeline.raw["topics"], "ticks");
    let shown = format!("{pipeline:?} {:?} {:?}", pipeline.transforms, pipeline.sink);
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn aliases_may_hold_dots() {
    let pipeline = with("transforms: a,a.b\ntransforms.a.type: x\ntransforms.a.b.type: y\ntransforms.a.b.c: 1\n");
    let read: Vec<_> =
        pipeline.transforms.iter().map(|t| (t.alias.as_str(), t.class.as_str(), t.settings.len())).collect();
    assert_eq!(read, [("a", "x", 0), ("a.b", "y", 1)]);
}

#[test]
fn the_chain_is_read_beside_other_mistakes() {
    let checked = checked("transforms: a\ntransforms.a.type: x\ntransforms.a.window: 5\n");
    assert_eq!(checked.transforms.len(), 1);
    assert!(checked.pipeline.is_none());
}

#[test]
fn translates_consumer_overrides() {
    let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"p w\";";
    let jaas = format!("sasl.jaas.config: '{jaas}'");
    // a line below consumer.override, and what reaches librdkafka
    let cases: &[(&str, &[&str])] = &[
        ("fetch.min.bytes: 1", &["fetch.min.bytes=1"]),
        ("request.timeout.ms: 1", &["socket.timeout.ms=1"]),
        ("receive.buffer.bytes: 1", &["socket.receive.buffer.bytes=1"]),
        ("ssl.truststore.certificates: x", &["ssl.ca.pem=x"]),
        ("ssl.truststore.location: /ca.pem", &["ssl.ca.location=/ca.pem"]),
        ("ssl.truststore.type: PEM", &[]),
        ("ssl.endpoint.identification.algorithm: ''", &["ssl.endpoint.identification.algorithm=none"]),
        (
            "partition.assignment.strategy: [org.apache.kafka.clients.consumer.CooperativeStickyAssignor, range]",
            &["partition.assignment.strategy=cooperative-sticky,range"],
        ),
        (&jaas, &["sasl.password=p w", "sasl.username=u"]),
        ("group.protocol: consumer", &["group.protocol=consumer"]),
    ];
    for (line, expected) in cases {
        let pipeline = with(&format!("consumer.override:\n  {line}\n"));
        let overrides: Vec<_> = pipeline.consumer_overrides.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(overrides, *expected, "{line}");
    }
}

#[test]
fn entries_without_lines_have_problems_without_lines() {
    let checked = check(&[Entry::new("name", "x")], &sources());
    assert!(checked.problems.iter().all(|problem| problem.line.is_none()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a resolved reference is, no sentence, nothing shown and no debug output holds it.
    #[test]
    fn resolved_values_are_never_shown(secret in "zq[a-z0-9@:/,%]{6,12}", at in 0..KEYS.len()) {
        let sources = Table::new(&[("SECRET", &secret)], &[]);
        let key = KEYS[at];
        let text = format!("{}{key}: ${{env:SECRET}}\n", without(key));
        let checked = check(&yaml::flatten(&text).entries, &sources);
        let raw = checked.pipeline.as_ref().map(|pipeline| &pipeline.raw);
        let shown = format!("{checked:?} {raw:?}");
        prop_assert!(!shown.contains(&secret), "{}: {}", key, shown);
    }
}

/// Keys whose values might be echoed.
const KEYS: [&str; 15] = [
    "name",
    "topics",
    "connector.class",
    "tasks.max",
    "value.converter",
    "connection.url",
    "connection.password",
    "connection.user",
    "errors.tolerance",
    "linger.ms",
    "fields",
    "sink.schema",
    "transforms",
    "consumer.override.partition.assignment.strategy",
    "consumer.override.isolation.level",
];
