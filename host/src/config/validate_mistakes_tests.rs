//! The exact sentence for each mistake in a pipeline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use super::tests::{BASE, problems, without};

#[test]
fn reports_every_mistake_of_a_file_in_the_order_of_its_lines() {
    let told = problems(
        "\
name: x
tasks.max: none
topcis: a
connector.class: TimescaleSink
connection.password: ${env:NONE}
transforms: a
errors.tolerance: some
",
    );
    let keys: Vec<_> = told.iter().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        keys,
        [
            "1 topics",
            "1 value.converter",
            "1 connection.url",
            "2 tasks.max",
            "3 topcis",
            "5 connection.password",
            "6 transforms",
            "7 errors.tolerance"
        ]
    );
}

/// Cases of one mistake each: lines added to the base (line 7 is the first of them), and what is said.
const EACH_KEY: &[(&str, &[&str])] = &[
    ("topcis: a", &["7: topcis: is no option; did you mean `topics`?"]),
    ("conection.url: x", &["7: conection.url: is no option; did you mean `connection.url`?"]),
    ("transfroms.sma.type: x", &["7: transfroms.sma.type: is no option; did you mean `transforms.sma.type`?"]),
    (
        "consumer.overide.fetch.min.bytes: 1",
        &["7: consumer.overide.fetch.min.bytes: is no option; did you mean `consumer.override.fetch.min.bytes`?"],
    ),
    ("frobnicate: 1", &["7: frobnicate: is no option; remove it"]),
    ("tasks.max: 0", &["7: tasks.max: takes a whole number from 1 to 1024, not `0`; for example `tasks.max: 2`"]),
    (
        "tasks.max: ${env:TASKS}",
        &["7: tasks.max: takes a whole number from 1 to 1024, not `${env:TASKS}`; for example `tasks.max: 2`"],
    ),
    ("linger.ms: 5m", &["7: linger.ms: takes a whole number from 0 to 60000, not `5m`; for example `linger.ms: 5`"]),
    ("auto.create: yes", &["7: auto.create: takes `true` or `false`, not `yes`; for example `auto.create: true`"]),
    (
        "errors.tolerance: some",
        &["7: errors.tolerance: takes `none` or `all`, not `some`; for example `errors.tolerance: all`"],
    ),
    (
        "key.converter: avro",
        &["7: key.converter: takes `json`, `string`, `bytes` or the class name of one of Connect's converters for \
               these, not `avro`; for example `key.converter: string`"],
    ),
    (
        "key.converter: json",
        &["7: key.converter.schemas.enable: is missing, and its default `true` means JSON with a schema, which is \
               not supported yet; write `key.converter.schemas.enable: false`"],
    ),
    (
        "key.converter: json\nkey.converter.schemas.enable: true",
        &["8: key.converter.schemas.enable: asks for JSON with a schema, which is not supported yet; write \
               `key.converter.schemas.enable: false`"],
    ),
    ("topics.regex: t.*", &["7: topics.regex: topics cannot be chosen by a pattern yet; list them in `topics`"]),
    (
        "predicates: p\npredicates.p.type: RecordIsTombstone",
        &[
            "7: predicates: predicates are not supported yet; remove the key; each transformation then applies to \
                 every record",
            "8: predicates.p.type: predicates are not supported yet; remove the key; each transformation then \
                 applies to every record",
        ],
    ),
    (
        "errors.deadletterqueue.topic.name: dead",
        &["7: errors.deadletterqueue.topic.name: dead-letter topics are not supported yet; remove the key; with \
               `errors.tolerance: all` and `errors.log.enable: true` such records are skipped and logged"],
    ),
    (
        "checkpoint.store: disk",
        &[
            "7: checkpoint.store: takes `database` or `directory`, not `disk`; for example `checkpoint.store: directory`",
        ],
    ),
    (
        "producer.override.acks: all",
        &["7: producer.override.acks: is for dead letters, which are not supported yet; remove the key"],
    ),
    (
        "connection.password: ${env:DB_PASWORD}",
        &["7: connection.password: the variable `DB_PASWORD` is not set; set it where weir is started"],
    ),
    (
        "connection.password: ''",
        &["7: connection.password: takes a text that is not blank; for example `connection.password: \
               ${env:DB_PASSWORD}`"],
    ),
    (
        "connection.user: other",
        &["7: connection.user: is given beside the user in `connection.url`; remove one of them"],
    ),
    (
        "fields: a:int64",
        &["7: fields: has no effect, since it names the columns of a table that weir creates; write `auto.create: \
               true`, or remove it"],
    ),
    (
        "auto.create: true\nfields: a:int32",
        &["8: fields: takes NAME:TYPE separated by commas, each TYPE one of int64, float64, boolean, text, binary, \
               decimal, timestamp, json, not `a:int32`; for example `fields: ts:timestamp,symbol:text,price:float64`"],
    ),
    ("auto.create: true\nfields: a:text,a:json", &["8: fields: names `a` twice; remove one of them"]),
    (
        "auto.create: true\nfields: a:text\ntimescale.time.column: ts",
        &["9: timescale.time.column: names `ts`, which `fields` does not list; add the column to `fields`"],
    ),
    (
        "timescale.chunk.interval: 1 day",
        &["7: timescale.chunk.interval: has no effect without `timescale.time.column`; name the column, or remove it"],
    ),
    (
        "timescale.time.column: ts\ntimescale.chunk.interval: daily",
        &["8: timescale.chunk.interval: takes a positive interval such as `1 day`, `12 hours` or `1d`, not `daily`; \
               for example `timescale.chunk.interval: 1 day`"],
    ),
    (
        "table.name.format: ${symbol}",
        &["7: table.name.format: takes a table's name, also SCHEMA.TABLE, in which only `${topic}` stands for \
               something, not `${symbol}`; for example `table.name.format: ticks_sma`"],
    ),
    (
        "sink.schema: pg_weir",
        &["7: sink.schema: takes a PostgreSQL name of 1 to 63 bytes without control characters that does not begin \
               with `pg_`, not `pg_weir`; for example `sink.schema: weir`"],
    ),
    (
        "fields.missing: skip",
        &["7: fields.missing: takes `fail` or `null`, not `skip`; for example `fields.missing: null`"],
    ),
    (
        "bootstrap.servers: kafka",
        &["7: bootstrap.servers: takes brokers as HOST:PORT, separated by commas, not `kafka`; for example \
               `bootstrap.servers: localhost:9092`"],
    ),
];

#[test]
fn says_what_is_wrong_with_each_key() {
    for (lines, expected) in EACH_KEY {
        assert_eq!(problems(&format!("{BASE}{lines}\n")), *expected, "{lines}");
    }
}

/// Cases in which a line of the base is replaced: its key, the line in its place, and what is said.
const EVERY_PIPELINE: &[(&str, &str, &[&str])] = &[
    ("name", "", &["1: name: is missing; for example `name: ticks-sma`"]),
    (
        "name",
        "name: ' '",
        &[
            "6: name: takes a name of 1 to 200 bytes that does not begin with `@` and has no control characters, not ` `; for example `name: \
               ticks-sma`",
        ],
    ),
    ("topics", "", &["1: topics: is missing; for example `topics: ticks`"]),
    ("topics", "topics: []", &["6: topics: names no topic; for example `topics: ticks`"]),
    (
        "topics",
        "topics: a b",
        &["6: topics: takes topic names of 1 to 249 letters, digits, `.`, `_` and `-`, separated by commas, not \
               `a b`; for example `topics: ticks`"],
    ),
    ("topics", "topics: [a, b, a]", &["6: topics: names `a` twice; remove one of them"]),
    (
        "topics",
        "topics: a,${env:TOPIC},ticks",
        &["6: topics: names a part of `a,${env:TOPIC},ticks` twice; remove one of them"],
    ),
    (
        "topics",
        "topics.regex: a.*",
        &["6: topics.regex: topics cannot be chosen by a pattern yet; list them in `topics`"],
    ),
    ("connector.class", "", &["1: connector.class: is missing; for example `connector.class: TimescaleSink`"]),
    (
        "connector.class",
        "connector.class: TimescalSink",
        &["6: connector.class: takes `TimescaleSink` or `ConsoleSink`, not `TimescalSink`; did you mean \
               `TimescaleSink`?"],
    ),
    (
        "connector.class",
        "connector.class: io.confluent.connect.jdbc.JdbcSinkConnector",
        &["6: connector.class: names a JDBC sink, whose keys are not read yet; write `TimescaleSink` with its own \
               keys"],
    ),
    (
        "connector.class",
        "connector.class: KafkaSink",
        &["6: connector.class: names the Kafka sink, which is not there yet; write `TimescaleSink` or \
               `ConsoleSink`"],
    ),
    (
        "connector.class",
        "connector.class: ConsoleSink",
        &["5: connection.url: is an option of `TimescaleSink`, and this pipeline writes to `ConsoleSink`; remove it"],
    ),
    ("value.converter", "", &["1: value.converter: is missing; for example `value.converter: json`"]),
    (
        "value.converter.schemas.enable",
        "",
        &["4: value.converter.schemas.enable: is missing, and its default `true` means JSON with a schema, which \
               is not supported yet; write `value.converter.schemas.enable: false`"],
    ),
    (
        "value.converter.schemas.enable",
        "value.converter.schemas.enable: no",
        &["6: value.converter.schemas.enable: takes `true` or `false`, not `no`; for example \
               `value.converter.schemas.enable: false`"],
    ),
    (
        "connection.url",
        "",
        &["1: connection.url: is missing; for example `connection.url: postgres://weir@localhost:5432/metrics`"],
    ),
    (
        "connection.url",
        "connection.url: mysql://u:hunter2@h/db",
        &["6: connection.url: takes a URL that begins with `postgres://`, `postgresql://` or `jdbc:postgresql://`; \
               for example `connection.url: postgres://weir@localhost:5432/metrics`"],
    ),
    (
        "connection.url",
        "connection.url: postgres://u:%FF@h/db",
        &["6: connection.url: holds a user or a password that is no UTF-8 behind its percent signs; for example \
               `connection.url: postgres://weir@localhost:5432/metrics`"],
    ),
    (
        "connection.url",
        "connection.url: ${env:DB_URL}\nconnection.password: p",
        &["7: connection.password: is given beside the password in `connection.url`; remove the one in the URL"],
    ),
];

#[test]
fn says_what_is_wrong_with_the_keys_that_every_pipeline_has() {
    for (key, line, expected) in EVERY_PIPELINE {
        assert_eq!(problems(&format!("{}{line}\n", without(key))), *expected, "{key}: {line}");
    }
}

const CHAIN: &[(&str, &[&str])] = &[
    (
        "transforms: a\n",
        &["7: transforms: lists `a`, which has no settings; write at least `transforms.a.type`, or remove `a` from \
               the list"],
    ),
    (
        "transforms: a\ntransforms.a.window: 5",
        &["8: transforms.a.type: is missing; for example `transforms.a.type: sma`"],
    ),
    ("transforms: a\ntransforms.a.type: ''", &["8: transforms.a.type: is blank; for example `transforms.a.type: sma`"]),
    (
        "transforms: a\ntransforms.a.type: ${env:NONE}",
        &["8: transforms.a.type: the variable `NONE` is not set; set it where weir is started"],
    ),
    (
        "transforms: a, a\ntransforms.a.type: x",
        &["7: transforms: names `a` twice; give each transformation an alias of its own"],
    ),
    (
        "transforms: smooth\ntransforms.smooth.type: x\ntransforms.smoth.window: 5\ntransforms.smoth.size: 5",
        &["10: transforms.smoth.size: belongs to `smoth`, which `transforms` does not list; did you mean \
               `transforms.smooth`?"],
    ),
    (
        "transforms.b.type: x",
        &["7: transforms.b.type: belongs to `b`, which `transforms` does not list; add `b` to `transforms`, or \
               remove its settings"],
    ),
    (
        "transforms: a\ntransforms.a.type: x\ntransforms.a.predicate: p",
        &["9: transforms.a.predicate: predicates are not supported yet; remove the key; each transformation then \
               applies to every record"],
    ),
    (
        "transforms: ${env:TOPIC}\ntransforms.a.type: x",
        &["7: transforms: takes aliases that are written out, not `${env:TOPIC}`; write them, since they are parts \
               of other keys"],
    ),
    (
        "transforms: 'a b'",
        &["7: transforms: takes aliases without blanks, separated by commas, not `a b`; for example `transforms: \
               sma`"],
    ),
];

#[test]
fn says_what_is_wrong_with_the_chain() {
    for (lines, expected) in CHAIN {
        assert_eq!(problems(&format!("{BASE}{lines}\n")), *expected, "{lines}");
    }
}

#[test]
fn says_what_is_wrong_with_consumer_overrides() {
    let owned = "is set by weir itself, since exactly-once delivery depends on it; remove the key";
    let java = "has no counterpart in librdkafka, the Kafka client that weir uses; remove the key";
    let cases: &[(&str, String)] = &[
        (
            "isolation.level: read_uncommitted",
            "isolation.level: `read_uncommitted` would write records of transactions that Kafka may still abort, and a \
             row that is written cannot be taken back; remove the key; weir reads committed records"
                .into(),
        ),
        (
            "isolation.level: serializable",
            "isolation.level: takes `read_committed`, not `serializable`; for example \
             `consumer.override.isolation.level: read_committed`"
                .into(),
        ),
        (
            "auto.offset.reset: smallest",
            "auto.offset.reset: takes `earliest`, `latest` or `none`, not `smallest`; for example \
             `consumer.override.auto.offset.reset: latest`"
                .into(),
        ),
        ("enable.auto.commit: true", format!("enable.auto.commit: {owned}")),
        ("group.instance.id: a", format!("group.instance.id: {owned}")),
        ("max.poll.records: 500", format!("max.poll.records: {java}")),
        ("metrics.num.samples: 5", format!("metrics.num.samples: {java}")),
        (
            "bootstrap.servers: a:1",
            "bootstrap.servers: is an option of its own; write it as `bootstrap.servers`".into(),
        ),
        ("client.rack: ''", "client.rack: has an empty value; write one, or remove the key".into()),
        (
            "ssl.truststore.type: JKS",
            "ssl.truststore.type: takes `PEM`, the only trust store that librdkafka reads; convert the trust store to \
             PEM"
                .into(),
        ),
        (
            "ssl.keystore.type: JKS",
            "ssl.keystore.type: takes `PKCS12`, the only key store that librdkafka reads; convert it, or give \
             `ssl.key.location` and `ssl.certificate.location` as PEM files"
                .into(),
        ),
        (
            "partition.assignment.strategy: sticky",
            "partition.assignment.strategy: takes `range`, `roundrobin` or `cooperative-sticky`, or Java's class names \
             for these; remove the key for the default"
                .into(),
        ),
        (
            "sasl.jaas.config: com.sun.security.auth.module.Krb5LoginModule required password=\"hunter2\";",
            "sasl.jaas.config: takes a PlainLoginModule or ScramLoginModule with `username=\"…\"` and \
             `password=\"…\"`; or write `consumer.override.sasl.username` and `consumer.override.sasl.password`"
                .into(),
        ),
    ];
    for (line, expected) in cases {
        let told = problems(&format!("{BASE}consumer.override:\n  {line}\n"));
        assert_eq!(told, [format!("8: consumer.override.{expected}")], "{line}");
    }
    let twice = "consumer.override:\n  fetch.max.wait.ms: 1\n  fetch.wait.max.ms: 2\n";
    assert_eq!(
        problems(&format!("{BASE}{twice}")),
        ["9: consumer.override.fetch.wait.max.ms: sets `fetch.wait.max.ms`, as \
          `consumer.override.fetch.max.wait.ms` does; remove one of them"]
    );
}
