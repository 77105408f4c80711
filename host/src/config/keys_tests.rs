//! The option table holds together: each row takes its own default and example, and no two rows are the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

use super::*;

fn rows() -> impl Iterator<Item = &'static Key> {
    pipeline().chain(worker::KEYS.iter().copied())
}

fn is_refused(key: &Key) -> bool {
    matches!(key.check, Check::Refused(..))
}

#[test]
fn rows_take_their_own_defaults_and_examples() {
    for key in rows().filter(|key| !is_refused(key)) {
        if let Default::Value(value) = key.default {
            assert_eq!(key.check(value, value), Ok(()), "default of {}", key.name);
        }
        // An example stands as it is written in YAML; quotes and references are not the value's own.
        let example = key.example.trim_matches('"');
        if !example.starts_with("${") {
            assert_eq!(key.check(example, example), Ok(()), "example of {}", key.name);
        }
    }
}

#[test]
fn rows_are_documented_in_whole_sentences() {
    for key in rows() {
        assert!(key.doc.ends_with('.') && key.doc.starts_with(|c: char| c.is_uppercase()), "{}: {}", key.name, key.doc);
    }
}

#[test]
fn no_two_rows_have_one_name() {
    for keys in [pipeline().collect::<Vec<_>>(), worker::KEYS.to_vec()] {
        let names: BTreeSet<&str> = keys.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), keys.len());
    }
}

#[test]
fn refused_rows_say_why_and_the_way_out() {
    let refused: Vec<&Key> = rows().filter(|key| is_refused(key)).collect();
    assert!(!refused.is_empty());
    for key in refused {
        let Check::Refused(why, way_out) = key.check else { unreachable!() };
        assert!(!why.is_empty() && !way_out.is_empty(), "{}", key.name);
        assert!(key.check("x", "x").is_err(), "{}", key.name);
    }
}

#[test]
fn finds_rows_by_name_and_pattern() {
    let cases = [
        ("name", Some("name")),
        ("topics.regex", Some("topics.regex")),
        ("transforms.sma.type", Some("transforms.*.type")),
        ("transforms.sma.plugin.version", Some("transforms.*.plugin.version")),
        ("transforms.sma.predicate", Some("transforms.*.predicate")),
        ("transforms.sma.window", Some("transforms.*")),
        ("consumer.override.group.id", Some("consumer.override.group.id")),
        ("consumer.override.fetch.min.bytes", Some("consumer.override.*")),
        ("consumer.override.", None),
        ("errors.deadletterqueue.topic.name", Some("errors.deadletterqueue.*")),
        ("checkpoint.interval.ms", Some("checkpoint.interval.ms")),
        ("Name", None),
        ("transforms", Some("transforms")),
        ("transformss", None),
    ];
    for (name, expected) in cases {
        assert_eq!(find(name).map(|key| key.name), expected, "{name}");
    }
}

#[test]
fn says_what_it_takes() {
    let cases: &[(&Key, &str, &str)] = &[
        (&TASKS_MAX, "0", "takes a whole number from 1 to 1024, not `0`"),
        (&TASKS_MAX, "1.5", "takes a whole number from 1 to 1024, not `1.5`"),
        (&ERRORS_RETRY_TIMEOUT, "-2", "takes a whole number of at least -1, not `-2`"),
        (&AUTO_CREATE, "yes", "takes `true` or `false`, not `yes`"),
        (&ERRORS_TOLERANCE, "some", "takes `none` or `all`, not `some`"),
        (&CONNECTION_USER, "", "takes a text that is not blank, not ``"),
        (&CONNECTION_PASSWORD, "", "takes a text that is not blank"),
        (
            &TOPICS,
            "a,,b",
            "takes topic names of 1 to 249 letters, digits, `.`, `_` and `-`, separated by commas, not `a,,b`",
        ),
        (&BOOTSTRAP_SERVERS, "kafka", "takes brokers as HOST:PORT, separated by commas, not `kafka`"),
        (
            &NAME,
            "a\nb",
            "takes a name of 1 to 200 bytes that does not begin with `@` and has no control characters, not `a\\nb`",
        ),
    ];
    for (key, value, expected) in cases {
        assert_eq!(key.check(value, value), Err((*expected).to_owned()), "{}", key.name);
    }
}

#[test]
fn shows_long_values_cut() {
    let long = "x".repeat(100);
    let told = TASKS_MAX.check(&long, &long).unwrap_err();
    assert_eq!(told, format!("takes a whole number from 1 to 1024, not `{}…`", "x".repeat(64)));
}

#[test]
fn finds_the_nearest_name() {
    let known = ["topics", "name", "tasks.max", "connection.url"];
    let cases = [
        ("topcis", Some("topics")),
        ("Topics", Some("topics")),
        ("task.max", Some("tasks.max")),
        ("connection.uri", Some("connection.url")),
        ("nam", Some("name")),
        ("frobnicate", None),
        ("", None),
    ];
    for (name, expected) in cases {
        assert_eq!(nearest(name, known), expected, "{name}");
    }
}

#[test]
fn knows_addresses() {
    for address in ["localhost:9092", "10.0.0.1:1", "[::1]:9092", "a-b.c:0"] {
        assert!(kafka::is_address(address), "{address}");
    }
    for text in ["localhost", ":9092", "h:", "h:x", "h:70000", "::1:9092", "http://h:1", "[::1:1", "a b:1", ""] {
        assert!(!kafka::is_address(text), "{text}");
    }
}

#[test]
fn sinks_are_known_by_full_and_simple_name() {
    for class in ["TimescaleSink", "TimescaleSinkConnector", "weir.TimescaleSink", "weir.TimescaleSinkConnector"] {
        assert_eq!(SinkClass::parse(class), Some(SinkClass::Timescale), "{class}");
    }
    assert_eq!(SinkClass::parse("ConsoleSink"), Some(SinkClass::Console));
    for class in ["", "Timescale", "timescalesink", "io.x.TimescaleSink"] {
        assert_eq!(SinkClass::parse(class), None, "{class}");
    }
}
