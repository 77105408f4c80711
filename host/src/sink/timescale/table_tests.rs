//! Names of tables, and the SQL that makes them.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;
use crate::record::{Kind as FieldKind, Path};

fn field(name: &str, kind: FieldKind) -> Field {
    Field { path: Path::new(name), kind }
}

fn plan<'a>(name: &'a TableName, columns: Vec<Field>, time_column: Option<&'a str>) -> Plan<'a> {
    Plan { name, columns, coordinates: false, time_column, chunk_interval: "1 day" }
}

#[test]
fn dots_of_the_format_part_schema_and_table_and_those_of_the_topic_do_not() {
    let table = [
        ("ticks", "t", r#""ticks""#),
        ("${topic}", "shop.orders", r#""shop.orders""#),
        ("metrics.${topic}", "shop.orders", r#""metrics"."shop.orders""#),
        ("raw_${topic}_v1", "ticks", r#""raw_ticks_v1""#),
        (r#""my.schema"."it's ""it""""#, "t", r#""my.schema"."it's ""it""""#),
        ("Ticks", "t", r#""Ticks""#),
        (r#"a"b.c"d"#, "t", r#""ab.cd""#),
    ];
    for (format, topic, sql) in table {
        assert_eq!(TableName::of(format, topic).unwrap().sql(), sql, "{format}");
    }
}

#[test]
fn names_that_postgresql_would_not_take_are_refused() {
    for format in ["", "a.", ".b", "a.b.c", "\"a"] {
        assert_eq!(
            TableName::of(format, "t").unwrap_err().to_string(),
            format!("`table.name.format` is \"{format}\", which is no table name: write table or schema.table")
        );
    }
    let topic = "t".repeat(64);
    assert_eq!(
        TableName::of("${topic}", &topic).unwrap_err().to_string(),
        format!(
            "table name \"{topic}\" has 64 bytes, but PostgreSQL takes 63: set `table.name.format` to a shorter one"
        )
    );
}

#[test]
fn a_new_table_has_the_sample_s_columns_and_then_the_chain_s() {
    let sample = [field("ts", FieldKind::Float64), field("symbol", FieldKind::Text), field("$key", FieldKind::Text)];
    let outputs = [field("ts", FieldKind::Timestamp), field("sma", FieldKind::Float64)];
    let made = columns(&[], &sample, &outputs);
    let expected =
        [field("ts", FieldKind::Timestamp), field("symbol", FieldKind::Text), field("sma", FieldKind::Float64)];
    assert_eq!(made, expected);
    let listed = [field("sma", FieldKind::Decimal)];
    assert_eq!(columns(&listed, &sample, &outputs), listed, "a list is the whole truth");
}

#[test]
fn every_kind_has_its_type() {
    let name = TableName { schema: Some("metrics".to_owned()), table: "all \"kinds\"".to_owned() };
    let kinds = [
        ("a", FieldKind::Int64),
        ("b", FieldKind::Float64),
        ("c", FieldKind::Boolean),
        ("d", FieldKind::Text),
        ("e", FieldKind::Binary),
        ("f", FieldKind::Decimal),
        ("ts", FieldKind::Timestamp),
        ("h", FieldKind::Json),
    ];
    let columns = kinds.iter().map(|(name, kind)| field(name, *kind)).collect();
    let plan = Plan { coordinates: true, ..plan(&name, columns, Some("ts")) };
    assert_eq!(
        plan.sql(),
        r#"CREATE TABLE IF NOT EXISTS "metrics"."all ""kinds""" ("a" bigint, "b" double precision, "c" boolean, "#
            .to_owned()
            + r#""d" text, "e" bytea, "f" numeric, "ts" timestamp with time zone NOT NULL, "h" jsonb, "#
            + r#""kafka_topic" text, "kafka_partition" integer, "kafka_offset" bigint)"#
    );
}

#[test]
fn a_time_column_that_is_none_is_refused() {
    let name = TableName { schema: None, table: "ticks".to_owned() };
    let refusal = |plan: Plan<'_>| plan.check().unwrap_err().to_string();
    assert_eq!(
        refusal(plan(&name, vec![field("price", FieldKind::Float64)], Some("ts"))),
        "table ticks cannot be made: `timescale.time.column` is \"ts\", but neither records nor transforms have such a \
         field: name one of theirs"
    );
    assert_eq!(
        refusal(plan(&name, vec![field("ts", FieldKind::Float64)], Some("ts"))),
        "table ticks cannot be made: `timescale.time.column` \"ts\" is float64, not a timestamp: convert it with \
         TimestampConverter, or write ts:timestamp in `fields`"
    );
    let long = "f".repeat(64);
    assert_eq!(
        refusal(plan(&name, vec![field(&long, FieldKind::Float64)], None)),
        format!(
            "table ticks cannot be made: column name \"{long}\" has 64 bytes, but PostgreSQL takes 63: list in `fields` \
             what to write"
        )
    );
}
