//! Tables: found by name, made where that is asked for, and the sentence where neither can be.

use anyhow::{Context, Result};
use arrow_array::{ArrayRef, TimestampMicrosecondArray};
use std::sync::Arc;
use weir::config::pipeline::Timescale;
use weir::error::{Error, Kind as ErrorKind};
use weir::record::{Field, Kind, Lane};
use weir::sink::{Encoder, Prepared, Sink as _};
use weir_tests::db::Db;

use super::{claim, field, flush, segment, settings, sink, texts};

/// 2026-09-21T14:13:20Z in µs since 1970.
const TIME_US: i64 = 1_790_000_000_000_000;

fn creating(db: &Db) -> Timescale {
    Timescale { auto_create: true, ..settings(db) }
}

fn times(values: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values.to_vec()).with_timezone("UTC"))
}

async fn prepare(
    settings: Timescale,
    outputs: &[Field],
    sample: Option<&[Field]>,
) -> Result<Option<Box<dyn Encoder>>, Error> {
    Ok(match sink(settings, "first").prepare("ticks", outputs, sample).await? {
        Prepared::Ready(encoder) => Some(encoder),
        Prepared::NeedsSample => None,
    })
}

async fn failure(settings: Timescale) -> Error {
    prepare(settings, &[], None).await.err().expect("a table that cannot be used")
}

/// Name and type of each column, and whether it takes null.
async fn columns(db: &Db, table: &str) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END
         FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
    );
    Ok(db.rows(&sql).await?.into_iter().flatten().flatten().collect())
}

#[tokio::test]
async fn a_missing_table_is_named_with_the_way_out() -> Result<()> {
    let db = Db::postgres("missing").await?;
    let error = failure(settings(&db)).await;
    assert_eq!(error.report(), "table public.ticks does not exist. Create the table, or set `auto.create: true`.");
    assert_eq!(error.kind(), ErrorKind::TableMissing);
    Ok(())
}

#[tokio::test]
async fn a_table_is_made_from_a_sample_and_what_the_chain_writes() -> Result<()> {
    let db = Db::postgres("create").await?;
    let outputs = [field("ts", Kind::Timestamp), field("sma", Kind::Float64)];
    let making = || Timescale { time_column: Some("ts".to_owned()), coordinates: true, ..creating(&db) };
    assert!(prepare(making(), &outputs, None).await?.is_none(), "the columns are not known yet");
    let sample = [field("ts", Kind::Float64), field("symbol", Kind::Text), field("price", Kind::Float64)];
    let encoder = prepare(making(), &outputs, Some(&sample)).await?.context("a table")?;
    let wants: Vec<_> = encoder.wants().iter().map(|want| (want.path.as_str(), want.kind, want.required)).collect();
    assert_eq!(
        wants,
        [
            ("ts", Kind::Timestamp, true),
            ("symbol", Kind::Text, false),
            ("price", Kind::Float64, false),
            ("sma", Kind::Float64, false)
        ]
    );
    assert_eq!(
        columns(&db, "ticks").await?,
        [
            "ts timestamp with time zone not null",
            "symbol text",
            "price double precision",
            "sma double precision",
            "kafka_topic text",
            "kafka_partition integer",
            "kafka_offset bigint"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn listed_fields_need_no_sample_and_workers_may_make_the_table_at_once() -> Result<()> {
    let db = Db::postgres("create_race").await?;
    let fields = [
        Kind::Int64,
        Kind::Float64,
        Kind::Boolean,
        Kind::Text,
        Kind::Binary,
        Kind::Decimal,
        Kind::Timestamp,
        Kind::Json,
    ]
    .map(|kind| field(kind.name(), kind));
    let attempts = (0..4).map(|_| prepare(Timescale { fields: fields.to_vec(), ..creating(&db) }, &[], None));
    for made in futures_util::future::join_all(attempts).await {
        assert_eq!(made?.context("a table")?.wants().len(), fields.len());
    }
    assert_eq!(
        columns(&db, "ticks").await?,
        [
            "int64 bigint",
            "float64 double precision",
            "boolean boolean",
            "text text",
            "binary bytea",
            "decimal numeric",
            "timestamp timestamp with time zone",
            "json jsonb"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn without_the_right_to_make_a_table_the_error_shows_the_sql() -> Result<()> {
    let db = Db::postgres("create_rights").await?;
    let role = format!("role_{}", db.address().database);
    db.batch_execute(&format!(
        "CREATE ROLE {role} LOGIN; CREATE SCHEMA weir AUTHORIZATION {role};
                               REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    ))
    .await?;
    let limited = Timescale { user: Some(role), fields: vec![field("price", Kind::Float64)], ..creating(&db) };
    let error = failure(limited).await;
    assert_eq!(error.kind(), ErrorKind::DatabaseRights);
    assert_eq!(
        error.to_string(),
        "create table public.ticks: permission denied for schema public (SQLSTATE 42501); run this as a user who \
         may:\nCREATE TABLE IF NOT EXISTS \"public\".\"ticks\" (\"price\" double precision);"
    );
    Ok(())
}

#[tokio::test]
async fn odd_names_are_only_names() -> Result<()> {
    let db = Db::postgres("names").await?;
    db.batch_execute(
        r#"CREATE SCHEMA "My ""Schema"; SET search_path = "My ""Schema";
                        CREATE TABLE "it's; DROP" ("a ""b"" 'c'" text, "$offset" int8, "select" float8)"#,
    )
    .await?;
    let mut odd = settings(&db);
    odd.table_format = r#""My ""Schema"."it's; DROP""#.to_owned();
    let mut sink = sink(odd, "first");
    let Prepared::Ready(mut encoder) = sink.prepare("ticks", &[], None).await? else {
        panic!("the table is there");
    };
    let lane = Lane::new("ticks", 0);
    let held = claim(&mut sink, &lane, 0).await?;
    let columns = [
        ("a \"b\" 'c'", Kind::Text, texts(&["x"])),
        ("$offset", Kind::Int64, super::ints(&[7])),
        ("select", Kind::Float64, super::floats(&[1.5])),
    ];
    let rows = flush([segment(encoder.as_mut(), &lane, 0, &columns)?]);
    sink.write(&rows, std::slice::from_ref(&held)).await.expect("a row of odd names");
    let row = db.rows("TABLE \"it's; DROP\"").await?.concat();
    assert_eq!(row, ["x", "7", "1.5"].map(|text| Some(text.to_owned())));
    Ok(())
}

#[tokio::test]
async fn an_unqualified_name_is_looked_for_along_the_search_path() -> Result<()> {
    let db = Db::postgres("search_path").await?;
    db.batch_execute("CREATE SCHEMA metrics; CREATE TABLE metrics.ticks (price float8)").await?;
    let mut plain = settings(&db);
    plain.table_format = "${topic}".to_owned();
    assert_eq!(failure(plain.clone()).await.to_string(), "table ticks does not exist");
    plain.url = format!("jdbc:{}&currentSchema=metrics", plain.url.replace("postgres://", "postgresql://"));
    assert!(prepare(plain, &[], None).await?.is_some());
    Ok(())
}

/// The role of the test bed is called `weir`, and so is weir's own schema: by default that comes first in its path.
#[tokio::test]
async fn weirs_own_schema_is_the_last_place_for_tables_of_pipelines() -> Result<()> {
    let db = Db::postgres("own_schema").await?;
    assert_eq!(db.value("SELECT session_user").await?, db.weir_schema());
    let unqualified = |name: &str| Timescale {
        table_format: name.to_owned(),
        fields: vec![field("price", Kind::Float64)],
        ..creating(&db)
    };
    for name in ["first", "second"] {
        assert!(prepare(unqualified(name), &[], None).await?.is_some());
        assert_eq!(columns(&db, &format!("public.{name}")).await?, ["price double precision"]);
    }
    // Where the role's own CREATE TABLE puts it.
    db.batch_execute("CREATE TABLE mine (price float8)").await?;
    let encoder = prepare(Timescale { auto_create: false, ..unqualified("mine") }, &[], None).await?;
    assert!(encoder.is_some());
    assert_eq!(columns(&db, "weir.mine").await?, ["price double precision"]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_copied_into_is_refused_by_name() -> Result<()> {
    let db = Db::postgres("view").await?;
    db.batch_execute("CREATE VIEW ticks AS SELECT 1.5::float8 AS price").await?;
    let error = failure(settings(&db)).await;
    assert_eq!(error.kind(), ErrorKind::TableMismatch);
    assert_eq!(
        error.to_string(),
        "public.ticks is no table that rows can be copied into, but a view or the like: name a table"
    );
    Ok(())
}

#[tokio::test]
async fn domains_partitions_and_filled_columns_are_read_from_the_catalogue() -> Result<()> {
    let db = Db::postgres("catalogue").await?;
    db.batch_execute(
        "CREATE DOMAIN code AS varchar(4) NOT NULL; CREATE DOMAIN short_code AS code CHECK (VALUE <> '');
         CREATE TABLE ticks (id int8 GENERATED ALWAYS AS IDENTITY, symbol short_code, price numeric(6,2),
           doubled numeric GENERATED ALWAYS AS (price * 2) STORED) PARTITION BY LIST (symbol);
         CREATE TABLE ticks_rest PARTITION OF ticks DEFAULT",
    )
    .await?;
    let mut encoder = prepare(settings(&db), &[], None).await?.context("a table")?;
    let wants: Vec<_> = encoder.wants().iter().map(|want| (want.path.as_str(), want.kind, want.required)).collect();
    assert_eq!(wants, [("symbol", Kind::Text, true), ("price", Kind::Decimal, false)]);
    let prices = arrow_array::Decimal128Array::from(vec![100, 1_000_000]).with_precision_and_scale(38, 2)?;
    let columns =
        [("symbol", Kind::Text, texts(&["long!", "ok"])), ("price", Kind::Decimal, Arc::new(prices) as ArrayRef)];
    let (mut data, mut lines) = (Vec::new(), Vec::new());
    let batch = super::batch(&Lane::new("ticks", 0), 0, &columns);
    let errors = encoder.encode(&batch, &mut data, &mut lines)?;
    let sentences: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        sentences,
        [
            "text \"long!\" of 5 characters does not fit column \"symbol\" (short_code): it takes 4 characters",
            "decimal 10000.00 does not fit column \"price\" (numeric(6,2)): it takes 6 digits, 2 of them decimals",
        ]
    );
    assert!(data.is_empty() && lines.is_empty());
    Ok(())
}

#[tokio::test]
async fn with_the_extension_a_new_table_is_a_hypertable() -> Result<()> {
    let db = Db::timescale("hyper").await?;
    let settings = Timescale {
        time_column: Some("ts".to_owned()),
        fields: vec![field("ts", Kind::Timestamp), field("symbol", Kind::Text)],
        ..creating(&db)
    };
    let mut sink = sink(settings, "first");
    let Prepared::Ready(mut encoder) = sink.prepare("ticks", &[], None).await? else {
        panic!("listed fields need no sample");
    };
    let lane = Lane::new("ticks", 0);
    let held = claim(&mut sink, &lane, 0).await?;
    let days = [0, 1, 2].map(|day| TIME_US + day * 86_400_000_000);
    let columns = [("ts", Kind::Timestamp, times(&days)), ("symbol", Kind::Text, texts(&["a", "b", "c"]))];
    let rows = flush([segment(encoder.as_mut(), &lane, 0, &columns)?]);
    sink.write(&rows, std::slice::from_ref(&held)).await.expect("rows of three days");
    sink.close().await;

    let (schema, _) = db.table("ticks").split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let of = format!("hypertable_schema = '{schema}' AND hypertable_name = 'ticks'");
    let chunks = format!("SELECT count(*) FROM timescaledb_information.chunks WHERE {of}");
    assert_eq!(db.number(&chunks).await?, 3, "one chunk per day");
    let interval = format!("SELECT time_interval FROM timescaledb_information.dimensions WHERE {of}");
    assert_eq!(db.value(&interval).await?, "1 day");
    let indexes = format!("SELECT count(*) FROM pg_indexes WHERE schemaname = '{schema}'");
    assert_eq!(db.number(&indexes).await?, 0, "indexes are the operator's");
    assert_eq!(db.count(&db.table("ticks")).await?, 3);
    Ok(())
}
