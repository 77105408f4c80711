//! Bindings, and the sentence of everything that cannot be bound.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

fn column(name: &str, column_type: ColumnType, type_name: &str) -> TableColumn {
    TableColumn {
        name: name.to_owned(),
        column_type: Some(column_type),
        type_name: type_name.to_owned(),
        not_null: false,
        has_default: false,
        filled: Filled::ByWriter,
    }
}

fn field(name: &str, kind: Kind) -> Field {
    Field { path: Path::new(name), kind }
}

/// `ticks_sma` with a surrogate key in front.
fn table() -> Table {
    let text = column("symbol", ColumnType::Text(None), "text");
    Table {
        schema: "public".to_owned(),
        name: "ticks_sma".to_owned(),
        columns: vec![
            TableColumn { filled: Filled::ByIdentity, not_null: true, ..column("id", ColumnType::Int8, "bigint") },
            TableColumn { not_null: true, ..column("ts", ColumnType::Timestamp, "timestamp with time zone") },
            text,
            column("sma", ColumnType::Float8, "double precision"),
            TableColumn { filled: Filled::ByExpression, ..column("day", ColumnType::Date, "date") },
        ],
    }
}

fn with(column: TableColumn) -> Table {
    let mut table = table();
    table.columns.push(column);
    table
}

const NOTHING: Settings<'static> = Settings { outputs: &[], listed: &[], coordinates: false };

fn names(bound: &[Bound]) -> Vec<&str> {
    bound.iter().map(|column| column.name.as_str()).collect()
}

fn wanted(bound: &[Bound]) -> Vec<(&str, Kind, bool)> {
    let want = |column: &Bound| match &column.source {
        Source::Field(want) => Some((want.kind, want.required)),
        _ => None,
    };
    bound
        .iter()
        .filter_map(|column| want(column).map(|(kind, required)| (column.name.as_str(), kind, required)))
        .collect()
}

fn refusal(table: &Table, settings: Settings<'_>) -> String {
    let error = bind(table, settings).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TableMismatch);
    error.to_string()
}

#[test]
fn every_column_that_nobody_else_fills_is_bound_to_the_field_of_its_name() {
    let bound = bind(&table(), NOTHING).unwrap();
    assert_eq!(
        wanted(&bound),
        [("ts", Kind::Timestamp, true), ("symbol", Kind::Text, false), ("sma", Kind::Float64, false)]
    );
}

#[test]
fn an_identity_column_is_bound_when_it_is_asked_for() {
    let outputs = [field("id", Kind::Int64)];
    assert_eq!(
        names(&bind(&table(), Settings { outputs: &outputs, ..NOTHING }).unwrap()),
        ["id", "ts", "symbol", "sma"]
    );
    let listed = [field("ts", Kind::Timestamp), field("id", Kind::Int64)];
    assert_eq!(names(&bind(&table(), Settings { listed: &listed, ..NOTHING }).unwrap()), ["id", "ts"]);
}

#[test]
fn a_list_of_fields_leaves_other_columns_to_their_defaults() {
    let created = TableColumn {
        not_null: true,
        has_default: true,
        ..column("created_at", ColumnType::Timestamp, "timestamp with time zone")
    };
    let listed = [field("ts", Kind::Timestamp), field("sma", Kind::Float64)];
    let outputs = [field("sma", Kind::Float64), field("scratch", Kind::Int64)];
    let settings = Settings { listed: &listed, outputs: &outputs, ..NOTHING };
    assert_eq!(names(&bind(&with(created), settings).unwrap()), ["ts", "sma"]);
}

#[test]
fn a_written_field_keeps_its_kind_where_the_column_takes_it() {
    let table = with(column("n", ColumnType::Numeric(None), "numeric"));
    let outputs = [field("n", Kind::Int64), field("sma", Kind::Int64)];
    let bound = bind(&table, Settings { outputs: &outputs, ..NOTHING }).unwrap();
    assert_eq!(
        wanted(&bound).split_off(2),
        [("sma", Kind::Float64, false), ("n", Kind::Int64, false)],
        "the column's own kind where a cast loses nothing, the field's where the encoder takes it"
    );
}

#[test]
fn coordinates_come_from_the_record_itself() {
    let mut table = table();
    table.columns.push(column("kafka_topic", ColumnType::Text(None), "text"));
    table.columns.push(column("kafka_partition", ColumnType::Int4, "integer"));
    table.columns.push(column("kafka_offset", ColumnType::Int8, "bigint"));
    let bound = bind(&table, Settings { coordinates: true, ..NOTHING }).unwrap();
    let sources: Vec<&Source> = bound.iter().skip(3).map(|column| &column.source).collect();
    assert_eq!(sources, [&Source::Topic, &Source::Partition, &Source::Offset]);
    let plain = bind(&table, NOTHING).unwrap();
    assert_eq!(wanted(&plain).len(), 6, "without the setting they are columns like any other");
}

#[test]
fn names_that_are_no_column_are_refused() {
    let listed = [field("price", Kind::Float64)];
    assert_eq!(
        refusal(&table(), Settings { listed: &listed, ..NOTHING }),
        "table public.ticks_sma has no column \"price\", which `fields` lists: add the column or take price out of `fields`"
    );
    let outputs = [field("$key", Kind::Text), field("count", Kind::Int64)];
    assert_eq!(
        refusal(&table(), Settings { outputs: &outputs, ..NOTHING }),
        "table public.ticks_sma has no column \"count\", which the transforms write (int64): add the column, or list in \
         `fields` what to write"
    );
    assert_eq!(
        refusal(&table(), Settings { coordinates: true, ..NOTHING }),
        "table public.ticks_sma has no column \"kafka_topic\": add kafka_topic text, kafka_partition integer and \
         kafka_offset bigint, or set `kafka.coordinates: false`"
    );
}

#[test]
fn types_that_cannot_be_written_are_refused() {
    let span = TableColumn { column_type: None, ..column("span", ColumnType::Bytea, "interval") };
    assert_eq!(
        refusal(&with(span), NOTHING),
        "column \"span\" of table public.ticks_sma has type interval, which weir cannot write: change the column's \
         type, or list in `fields` the columns to write without it"
    );
}

#[test]
fn kinds_that_do_not_fit_are_refused() {
    let outputs = [field("ts", Kind::Int64)];
    assert_eq!(
        refusal(&table(), Settings { outputs: &outputs, ..NOTHING }),
        "column \"ts\" of table public.ticks_sma has type timestamp with time zone, but the transforms write it as \
         int64: change the column, or convert the field with a transform"
    );
    let listed = [field("ts", Kind::Timestamp), field("symbol", Kind::Float64)];
    assert_eq!(
        refusal(&table(), Settings { listed: &listed, ..NOTHING }),
        "column \"symbol\" of table public.ticks_sma has type text, but `fields` lists it as float64: change the \
         column, or convert the field with a transform"
    );
}

#[test]
fn a_list_that_cannot_fill_the_table_is_refused() {
    let listed = [field("symbol", Kind::Text)];
    assert_eq!(
        refusal(&table(), Settings { listed: &listed, ..NOTHING }),
        "column \"ts\" of table public.ticks_sma is NOT NULL and has no default, but `fields` does not list it: list \
         ts, or give the column a default"
    );
    let listed = [field("ts", Kind::Timestamp), field("day", Kind::Timestamp)];
    assert_eq!(
        refusal(&table(), Settings { listed: &listed, ..NOTHING }),
        "column \"day\" of table public.ticks_sma is computed by the database: take day out of `fields`"
    );
}

#[test]
fn coordinates_of_other_types_are_refused() {
    let mut table = table();
    table.columns.push(column("kafka_topic", ColumnType::Text(None), "text"));
    table.columns.push(column("kafka_partition", ColumnType::Int4, "integer"));
    table.columns.push(column("kafka_offset", ColumnType::Int4, "integer"));
    assert_eq!(
        refusal(&table, Settings { coordinates: true, ..NOTHING }),
        "column \"kafka_offset\" of table public.ticks_sma has type integer, but `kafka.coordinates` writes it as \
         bigint: change the column, or set `kafka.coordinates: false`"
    );
}

#[test]
fn a_table_without_columns_to_write_is_refused() {
    let table =
        Table { columns: table().columns.into_iter().filter(|c| c.filled != Filled::ByWriter).collect(), ..table() };
    assert_eq!(
        refusal(&table, NOTHING),
        "table public.ticks_sma has no column that weir may write: add the pipeline's fields to it"
    );
}
