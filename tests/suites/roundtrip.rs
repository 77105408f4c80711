//! Every type that the database sink claims, with the database as oracle: generated values go through the encoder
//! and COPY into one table, the same values as SQL literals into another, and PostgreSQL compares them as text.
//!
//! The text of a value is exact in PostgreSQL (doubles print the shortest digits that read back to the same bits),
//! so equal texts are equal values. Case count and seed: `PROPTEST_CASES`, and the seed printed on failure.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use proptest::prelude::*;
use proptest::strategy::{BoxedStrategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use weir::record::{Column, Field, Flush, Kind, Lane, Path, Segment};
use weir::sink::{ClaimRequest, Claimed, Prepared, Sink as _};
use weir::state::Generation;
use weir_tests::db::{Db, Session};
use weir_tests::environment::fresh_seed;

use super::sink_contract::{batch, settings, sink};

/// Rows generated per column type.
const ROWS: usize = 500;
/// The range of PostgreSQL's timestamps in µs since 1970, as far as 64 bits reach.
const TIMES_US: std::ops::RangeInclusive<i64> = -210_866_803_200_000_000..=i64::MAX;

/// A column type, the kind that its field is given, and how values are made.
struct Case {
    column: &'static str,
    kind: Kind,
    /// A cell and the literal that means the same.
    cells: fn(&mut TestRunner) -> Vec<Cell>,
    /// The cells as an array.
    array: fn(&[Cell]) -> ArrayRef,
}

/// One generated value.
#[derive(Debug, Clone)]
struct Cell {
    value: Option<Value>,
    literal: String,
}

#[derive(Debug, Clone)]
enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Bytes(Vec<u8>),
    Decimal(i128),
}

/// Values of a strategy, a tenth of them null.
fn generate<T: std::fmt::Debug + 'static>(
    runner: &mut TestRunner,
    values: BoxedStrategy<T>,
    cell: impl Fn(T) -> (Value, String),
) -> Vec<Cell> {
    let strategy = proptest::option::weighted(0.9, values);
    let made = (0..ROWS).map(|_| strategy.new_tree(runner).expect("a value").current());
    let cell = |value: Option<T>| match value.map(&cell) {
        Some((value, literal)) => Cell { value: Some(value), literal },
        None => Cell { value: None, literal: "NULL".to_owned() },
    };
    made.map(cell).collect()
}

fn integers(runner: &mut TestRunner, range: std::ops::RangeInclusive<i64>) -> Vec<Cell> {
    let edges = prop::sample::select(vec![*range.start(), *range.end(), 0]);
    generate(runner, prop_oneof![1 => edges, 4 => range].boxed(), |value| (Value::Int(value), format!("'{value}'")))
}

fn floats(runner: &mut TestRunner, values: BoxedStrategy<f64>) -> Vec<Cell> {
    // `{:e}` prints the shortest digits that read back to the same double.
    let literal = |value: f64| match value {
        value if value.is_nan() => "'NaN'".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "'Infinity'" } else { "'-Infinity'" }.to_owned(),
        value => format!("'{value:e}'"),
    };
    generate(runner, values, move |value| (Value::Float(value), literal(value)))
}

/// Any text that PostgreSQL takes: no NUL.
fn texts(runner: &mut TestRunner, pattern: &'static str) -> Vec<Cell> {
    let values = proptest::string::string_regex(pattern).expect("a pattern").boxed();
    generate(runner, values, |text| {
        let literal = quoted(&text);
        (Value::Text(text), literal)
    })
}

fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn json(runner: &mut TestRunner) -> Vec<Cell> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has finite numbers", |v| v.is_finite()).prop_map(Into::into),
        "[^\\x00]{0,9}".prop_map(Into::into),
    ];
    let values = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a-z]{1,4}", inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    });
    generate(runner, values.boxed(), |value| {
        let text = value.to_string();
        let literal = quoted(&text);
        (Value::Text(text), literal)
    })
}

fn decimals(runner: &mut TestRunner, bound: i128, scale: u32) -> Vec<Cell> {
    generate(runner, (-bound..=bound).boxed(), move |value| {
        let unit = 10_u128.pow(scale);
        let (whole, rest) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
        let sign = if value < 0 { "-" } else { "" };
        let fraction = if scale == 0 { String::new() } else { format!(".{rest:0width$}", width = scale as usize) };
        (Value::Decimal(value), format!("'{sign}{whole}{fraction}'"))
    })
}

fn times(runner: &mut TestRunner, literal: fn(i64) -> String) -> Vec<Cell> {
    let edges = prop::sample::select(vec![*TIMES_US.start(), *TIMES_US.end(), 0, -1, 946_684_800_000_000]);
    let near = -5_000_000_000_000_000..5_000_000_000_000_000_i64;
    let values = prop_oneof![1 => edges, 4 => near, 4 => TIMES_US].boxed();
    generate(runner, values, move |us| (Value::Int(us), literal(us)))
}

/// Whole seconds and the rest apart: an interval of µs loses digits beyond 2^53.
fn timestamptz(us: i64) -> String {
    let (seconds, rest) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    let (days, seconds) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    format!(
        "timestamptz '1970-01-01 00:00:00+00' + interval '{days} days' + interval '{seconds} seconds' + interval \
         '{rest} microseconds'"
    )
}

fn ints_of(cells: &[Cell]) -> impl Iterator<Item = Option<i64>> {
    cells.iter().map(|cell| match cell.value {
        Some(Value::Int(value)) => Some(value),
        _ => None,
    })
}

fn int_array(cells: &[Cell]) -> ArrayRef {
    Arc::new(ints_of(cells).collect::<Int64Array>())
}

fn time_array(cells: &[Cell]) -> ArrayRef {
    Arc::new(ints_of(cells).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn float_array(cells: &[Cell]) -> ArrayRef {
    Arc::new(
        cells
            .iter()
            .map(|cell| match cell.value {
                Some(Value::Float(value)) => Some(value),
                _ => None,
            })
            .collect::<Float64Array>(),
    )
}

fn bool_array(cells: &[Cell]) -> ArrayRef {
    Arc::new(
        cells
            .iter()
            .map(|cell| match cell.value {
                Some(Value::Bool(value)) => Some(value),
                _ => None,
            })
            .collect::<BooleanArray>(),
    )
}

fn text_array(cells: &[Cell]) -> ArrayRef {
    Arc::new(
        cells
            .iter()
            .map(|cell| match &cell.value {
                Some(Value::Text(value)) => Some(value.as_str()),
                _ => None,
            })
            .collect::<StringArray>(),
    )
}

fn bytes_array(cells: &[Cell]) -> ArrayRef {
    Arc::new(
        cells
            .iter()
            .map(|cell| match &cell.value {
                Some(Value::Bytes(value)) => Some(value.as_slice()),
                _ => None,
            })
            .collect::<BinaryArray>(),
    )
}

fn decimal_array(cells: &[Cell], scale: i8) -> ArrayRef {
    let array: Decimal128Array = cells
        .iter()
        .map(|cell| match cell.value {
            Some(Value::Decimal(value)) => Some(value),
            _ => None,
        })
        .collect();
    Arc::new(array.with_precision_and_scale(38, scale).expect("at most 38 digits"))
}

fn cases() -> Vec<Case> {
    let case = |column, kind, cells, array| Case { column, kind, cells, array };
    vec![
        case("smallint", Kind::Int64, |r| integers(r, i16::MIN.into()..=i16::MAX.into()), int_array),
        case("integer", Kind::Int64, |r| integers(r, i32::MIN.into()..=i32::MAX.into()), int_array),
        case("bigint", Kind::Int64, |r| integers(r, i64::MIN..=i64::MAX), int_array),
        case("double precision", Kind::Float64, |r| floats(r, prop::num::f64::ANY.boxed()), float_array),
        case("real", Kind::Float64, |r| floats(r, any_real()), float_array),
        case("numeric", Kind::Decimal, |r| decimals(r, 10_i128.pow(38) - 1, 11), |c| decimal_array(c, 11)),
        case("numeric", Kind::Decimal, |r| decimals(r, 10_000_000, 7), |c| decimal_array(c, 7)),
        case("numeric(12,4)", Kind::Decimal, |r| decimals(r, 10_i128.pow(12) - 1, 4), |c| decimal_array(c, 4)),
        case("numeric", Kind::Int64, |r| integers(r, i64::MIN..=i64::MAX), int_array),
        case("numeric", Kind::Float64, |r| floats(r, any_decimal_double()), float_array),
        case("boolean", Kind::Boolean, booleans, bool_array),
        case("text", Kind::Text, |r| texts(r, "[^\\x00]{0,40}"), text_array),
        case("character varying(8)", Kind::Text, |r| texts(r, "[^\\x00]{0,8}[ ]{0,3}"), text_array),
        case("character(5)", Kind::Text, |r| texts(r, "[a-ž]{0,5}"), text_array),
        case("side", Kind::Text, |r| texts(r, "buy|sell|ž \\\\'"), text_array),
        case("bytea", Kind::Binary, bytes, bytes_array),
        case("timestamp with time zone", Kind::Timestamp, |r| times(r, timestamptz), time_array),
        case("timestamp without time zone", Kind::Timestamp, |r| times(r, |us| utc(us, "timestamp")), time_array),
        case("date", Kind::Timestamp, |r| times(r, |us| utc(us, "date")), time_array),
        case("json", Kind::Json, json, text_array),
        case("jsonb", Kind::Json, json, text_array),
        case("jsonb", Kind::Text, json, text_array),
        case("uuid", Kind::Text, uuids, text_array),
    ]
}

fn utc(us: i64, of: &str) -> String {
    format!("(({}) AT TIME ZONE 'UTC')::{of}", timestamptz(us))
}

/// Doubles that are reals as well, and some that round to one.
fn any_real() -> BoxedStrategy<f64> {
    let normal = prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO;
    let special = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]);
    let near = (-1e30..1e30_f64).boxed();
    prop_oneof![4 => normal.prop_map(f64::from), 1 => special, 2 => near].boxed()
}

/// Doubles whose decimal PostgreSQL prints with the same digits: not a negative zero, which numeric has not.
fn any_decimal_double() -> BoxedStrategy<f64> {
    let ordinary = (-1e18..1e18_f64).prop_filter("numeric has no negative zero", |v| *v != 0.0);
    let special = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1, 1e-300, 1e300]);
    prop_oneof![4 => ordinary, 1 => special].boxed()
}

fn booleans(runner: &mut TestRunner) -> Vec<Cell> {
    generate(runner, any::<bool>().boxed(), |value| (Value::Bool(value), value.to_string()))
}

fn bytes(runner: &mut TestRunner) -> Vec<Cell> {
    generate(runner, prop::collection::vec(any::<u8>(), 0..40).boxed(), |value| {
        let hex = value.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        (Value::Bytes(value), format!("'\\x{hex}'"))
    })
}

fn uuids(runner: &mut TestRunner) -> Vec<Cell> {
    let pattern = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9A-F]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}";
    texts(runner, pattern)
}

/// Writes the cells through the sink, in two batches, with their offsets.
async fn write(db: &Db, case: &Case, cells: &[Cell]) -> Result<()> {
    let mut settings = settings(db);
    settings.coordinates = true;
    let mut sink = sink(settings, "roundtrip");
    let lane = Lane::new("actual", 0);
    let outputs = [Field { path: Path::new("v"), kind: case.kind }];
    let Prepared::Ready(mut encoder) = sink.prepare("actual", &outputs, None).await? else {
        anyhow::bail!("the table is not there");
    };
    let request = ClaimRequest { lane: lane.clone(), start: Some(0), stateful: false, generation: Generation([0; 32]) };
    let claimed = sink.claim(&[request]).await?.pop().context("an answer")?;
    let Claimed::Held(claim, _) = claimed else { anyhow::bail!("a new lane with a start is held") };
    let mut segment = Segment::new(lane.clone(), 0, encoder.table());
    segment.to = cells.len() as i64;
    for (number, part) in cells.chunks(cells.len() / 2).enumerate() {
        let from = (number * (cells.len() / 2)) as i64;
        let array = (case.array)(part);
        let mut batch = batch(&lane, from, &[("v", case.kind, Arc::clone(&array))]);
        // As the chain's output, which is what `prepare` was told: its kind need not be the column's own.
        batch.write(Path::new("v"), Column::of(case.kind, array));
        let errors = encoder.encode(&batch, &mut segment.data, &mut segment.lines)?;
        ensure!(errors.is_empty(), "{}: refused {errors:?}", case.column);
    }
    let flush = Flush { segments: vec![segment] };
    sink.write(&flush, &[claim]).await.map_err(|e| anyhow::anyhow!("{}: {e:?}", case.column))?;
    sink.close().await;
    Ok(())
}

/// Rows whose value is not the literal's.
async fn differences(session: &Session, column: &str, cells: &[Cell]) -> Result<Vec<Vec<Option<String>>>> {
    let mut insert = format!("CREATE TABLE expected (o int8, v {column}); INSERT INTO expected VALUES ");
    for (row, cell) in cells.iter().enumerate() {
        let comma = if row == 0 { "" } else { ", " };
        write!(insert, "{comma}({row}, ({})::{column})", cell.literal)?;
    }
    session.batch_execute(&insert).await.with_context(|| format!("the literals of {column}"))?;
    session
        .rows(
            "SELECT e.o, e.v::text, a.v::text FROM expected e FULL JOIN actual a ON a.kafka_offset = e.o
             WHERE a.v::text IS DISTINCT FROM e.v::text OR e.o IS NULL OR a.kafka_offset IS NULL",
        )
        .await
}

#[tokio::test]
async fn what_is_written_is_what_was_meant() -> Result<()> {
    let seed = fresh_seed()?;
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let db = Db::postgres("roundtrip").await?;
    db.batch_execute("CREATE TYPE side AS ENUM ('buy', 'sell', E'ž \\\\''')").await?;
    for case in cases() {
        let cells = (case.cells)(&mut runner);
        let tables = format!(
            "DROP TABLE IF EXISTS actual, expected; DROP SCHEMA IF EXISTS weir CASCADE;
             CREATE TABLE actual (v {}, kafka_topic text, kafka_partition int4, kafka_offset int8)",
            case.column
        );
        db.batch_execute(&tables).await?;
        write(&db, &case, &cells).await?;
        let different = differences(&db, case.column, &cells).await?;
        assert!(different.is_empty(), "{} from {}: {different:?}", case.column, case.kind);
        let places = "SELECT DISTINCT kafka_topic || kafka_partition FROM actual";
        assert_eq!(db.rows(places).await?, [[Some("actual0".to_owned())]]);
    }
    Ok(())
}
