//! TimestampConverter as a stage: against Kafka Connect's own answers, then where weir differs, then batches with
//! nulls, mismatches and columns of earlier stages, and the sentences of its settings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use arrow_array::{BooleanArray, StringArray};
use proptest::prelude::*;

use super::*;
use crate::record::origin::OwnedPayloads;
use crate::record::{Decoded, Lane, Origin, Rows};

/// A cell of the field as a record or an earlier stage may have it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell<'a> {
    Number(i64),
    Text(&'a str),
    Other,
    Null,
    Absent,
}

fn batch(rows: usize, decoded: Vec<(Path, Column)>) -> Batch {
    let offsets: Vec<i64> = (0..rows as i64).collect();
    let payloads = Arc::new(OwnedPayloads::default());
    let origin = Origin::new(Lane::new("t", 0), offsets, vec![0; rows], rows as i64, 0, payloads);
    Batch::new(Arc::new(origin), Decoded { columns: decoded, ..Decoded::default() }, Rows::All(rows))
}

/// A batch of records whose field `ts` has these cells, as a converter pulls it.
fn pulled(cells: &[Cell<'_>]) -> Batch {
    let bits = |is: &dyn Fn(&Cell<'_>) -> bool| cells.iter().map(is).collect::<BooleanBuffer>();
    let numbers: Int64Array =
        cells.iter().map(|cell| if let Cell::Number(n) = cell { Some(*n) } else { None }).collect();
    let texts: StringArray = cells.iter().map(|cell| if let Cell::Text(t) = cell { Some(*t) } else { None }).collect();
    let absent = Some(bits(&|cell| *cell == Cell::Absent));
    let no_number = bits(&|cell| matches!(cell, Cell::Text(_) | Cell::Other));
    let no_text = bits(&|cell| matches!(cell, Cell::Number(_) | Cell::Other));
    let numbers =
        Column { kind: Kind::Int64, array: Arc::new(numbers), absent: absent.clone(), mismatch: Some(no_number) };
    let texts = Column { kind: Kind::Text, array: Arc::new(texts), absent, mismatch: Some(no_text) };
    batch(cells.len(), vec![(Path::from("ts"), numbers), (Path::from("ts"), texts)])
}

/// A batch whose field `ts` an earlier stage has written.
fn written(kind: Kind, array: ArrayRef) -> Batch {
    let mut batch = batch(array.len(), Vec::new());
    batch.write(Path::from("ts"), Column::of(kind, array));
    batch
}

fn timestamps(us: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(us).with_timezone("UTC"))
}

fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn stage(target: &str, format: &str, precision: &str) -> Box<dyn Transform> {
    let all = [("field", "ts"), ("target.type", target), ("format", format), ("unix.precision", precision)];
    build("ts", "TimestampConverter", &settings(&all)).unwrap()
}

/// The field after the stage, each row as `ms 5`, `us 5`, `int 5`, `text x`, `null` or `absent`.
fn cells(transformed: &Transformed) -> Vec<String> {
    let (_, column) = transformed.batch.overlay.iter().find(|(path, _)| path.as_str() == "ts").unwrap();
    (0..column.array.len())
        .map(|row| match column.kind {
            _ if column.is_absent(row) => "absent".to_owned(),
            _ if column.array.is_null(row) => "null".to_owned(),
            Kind::Int64 => format!("int {}", column.array.as_primitive::<Int64Type>().value(row)),
            Kind::Text => format!("text {}", column.array.as_string::<i32>().value(row)),
            _ => match column.array.as_primitive::<TimestampMicrosecondType>().value(row) {
                us if us % 1_000 == 0 => format!("ms {}", us / 1_000),
                us => format!("us {us}"),
            },
        })
        .collect()
}

/// The one row of a stage's output, or `error`.
fn single(stage: &mut dyn Transform, batch: Batch) -> String {
    let transformed = stage.transform(batch).unwrap();
    assert_eq!(transformed.batch.len() + transformed.rejections.len(), 1);
    cells(&transformed).pop().unwrap_or_else(|| "error".to_owned())
}

/// Patterns that weir reads otherwise on purpose: a day of the week without a date says nothing here, and the century
/// of a two-digit year is fixed, where Java's moves with the clock.
fn is_read_otherwise(format: &str) -> bool {
    format == "E" || (format.contains("yy") && !format.contains("yyy"))
}

#[test]
fn agrees_with_kafka_connect() {
    let (mut compared, mut errors) = (0, 0);
    for line in include_str!("connect_4_3.tsv").lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [target, format, precision, class, value, expected] = columns[..] else { panic!("{line}") };
        let batch = match class {
            "L" => pulled(&[Cell::Number(value.parse().unwrap())]),
            "S" => pulled(&[Cell::Text(value)]),
            _ => written(Kind::Timestamp, timestamps(vec![Some(value.parse::<i64>().unwrap() * 1_000)])),
        };
        let got = single(&mut *stage(target, format, precision), batch);
        if class == "S" && expected != "error" && is_read_otherwise(format) {
            assert_ne!(got, "error", "{line}");
        } else {
            assert_eq!(got, expected, "{line}");
        }
        compared += 1;
        errors += usize::from(expected == "error");
    }
    assert!(compared > 900 && errors > 100, "{compared} compared, {errors} of them errors");
}

#[test]
fn keeps_microseconds_where_connect_keeps_milliseconds() {
    // target, precision, number, ours; Connect's is in the comment
    let cases = [
        ("Timestamp", "microseconds", 1_790_000_000_123_456, "us 1790000000123456"), // 1790000000123 ms
        ("Timestamp", "microseconds", -1, "us -1"),                                  // 0 ms
        ("Timestamp", "nanoseconds", 1_790_000_000_123_456_789, "us 1790000000123456"), // 1790000000123 ms
        ("Timestamp", "nanoseconds", -1_999, "us -1"),                               // 0 ms
        ("Timestamp", "nanoseconds", -999, "ms 0"),                                  // 0 ms
        ("unix", "microseconds", 1_001, "int 1001"),                                 // 1000
        ("unix", "nanoseconds", 1_999, "int 1000"),                                  // 0
        ("Date", "microseconds", -1, "ms -86400000"),                                // 0 ms
        ("Time", "microseconds", -1, "us 86399999999"),                              // 0 ms
    ];
    for (target, precision, number, expected) in cases {
        let got = single(&mut *stage(target, "", precision), pulled(&[Cell::Number(number)]));
        assert_eq!(got, expected, "{target} {precision} {number}");
    }
}

#[test]
fn leap_days_are_days() {
    let format = "yyyy-MM-dd HH:mm:ss";
    for (text, us) in [
        ("2000-02-29 00:00:00", "ms 951782400000"),
        ("2024-02-29 23:59:59", "ms 1709251199000"),
        ("2024-03-01 00:00:00", "ms 1709251200000"),
        ("1900-02-29 00:00:00", "ms -2203891200000"),
        ("1900-03-01 00:00:00", "ms -2203891200000"),
        ("1968-02-29 12:00:00", "ms -58017600000"),
        ("1969-12-31 23:59:59", "ms -1000"),
        ("0001-01-01 00:00:00", "ms -62135596800000"),
    ] {
        assert_eq!(single(&mut *stage("Timestamp", format, "seconds"), pulled(&[Cell::Text(text)])), us, "{text}");
    }
    for (us, text) in [
        (951_782_400_000_000, "text 2000-02-29 00:00:00"),
        (-1, "text 1969-12-31 23:59:59"),
        (-62_135_596_800_000_000, "text 0001-01-01 00:00:00"),
    ] {
        let batch = written(Kind::Timestamp, timestamps(vec![Some(us)]));
        assert_eq!(single(&mut *stage("string", format, "seconds"), batch), text, "{us}");
    }
}

#[test]
fn what_is_out_of_range_is_a_row_error() {
    // target, precision, number, sentence; Connect's TimeUnit stops at the ends of 64 bits instead
    let cases = [
        (
            "Timestamp",
            "seconds",
            i64::MAX,
            "`ts` is 9223372036854775807 seconds, which lies outside of timestamps (years -290308 to 294247)",
        ),
        (
            "unix",
            "milliseconds",
            i64::MIN,
            "`ts` is -9223372036854775808 milliseconds, which lies outside of timestamps (years -290308 to 294247)",
        ),
        (
            "Date",
            "microseconds",
            i64::MIN,
            "`ts` is -9223372036854775808 µs since the epoch, before the first midnight that a timestamp can be",
        ),
    ];
    for (target, precision, number, message) in cases {
        let transformed = stage(target, "", precision).transform(pulled(&[Cell::Number(number)])).unwrap();
        let expected = Rejection { row: 0, field: Some("ts".into()), message: Some(message.into()) };
        assert_eq!(transformed.rejections, [expected], "{target}");
    }
    let far = written(Kind::Timestamp, timestamps(vec![Some(i64::MAX)]));
    let transformed = stage("unix", "", "nanoseconds").transform(far).unwrap();
    let message = "`ts` is 9223372036854775807 µs since the epoch, which as nanoseconds do not fit 64 bits";
    assert_eq!(transformed.rejections[0].message.as_deref(), Some(message));
}

#[test]
fn converts_whole_batches_and_leaves_out_rejected_rows() {
    let cells_in = [
        Cell::Number(1),
        Cell::Null,
        Cell::Text("1970-01-02"),
        Cell::Absent,
        Cell::Other,
        Cell::Text("2 January"),
        Cell::Number(i64::MAX),
        Cell::Number(2),
    ];
    let transformed = stage("Timestamp", "yyyy-MM-dd", "seconds").transform(pulled(&cells_in)).unwrap();
    assert_eq!(cells(&transformed), ["ms 1000", "null", "ms 86400000", "absent", "ms 2000"]);
    let origins: Vec<usize> = (0..transformed.batch.len()).map(|row| transformed.batch.rows.origin(row)).collect();
    assert_eq!(origins, [0, 1, 2, 3, 7]);
    let rejected: Vec<_> = transformed.rejections.iter().map(|r| (r.row, r.message.as_deref().unwrap())).collect();
    assert_eq!(
        rejected,
        [
            (4, "`ts` is neither an integer of 64 bits nor a text"),
            (5, "`ts` is `2 January`, which does not match the format `yyyy-MM-dd`"),
            (6, "`ts` is 9223372036854775807 seconds, which lies outside of timestamps (years -290308 to 294247)"),
        ]
    );
}

#[test]
fn without_a_format_only_numbers_are_read() {
    let mut stage = stage("Timestamp", "", "milliseconds");
    assert_eq!(stage.plan().wants.iter().map(|want| want.kind).collect::<Vec<_>>(), [Kind::Int64]);
    let transformed = stage.transform(pulled(&[Cell::Text("1970-01-02"), Cell::Number(5)])).unwrap();
    assert_eq!(cells(&transformed), ["ms 5"]);
    // The converter knows the record and says what stands there.
    assert_eq!(transformed.rejections, [Rejection { row: 0, field: Some("ts".into()), message: None }]);
}

#[test]
fn a_batch_without_rejections_keeps_its_rows_as_they_are() {
    let transformed = stage("unix", "", "seconds").transform(pulled(&[Cell::Number(1), Cell::Null])).unwrap();
    assert!(matches!(transformed.batch.rows, Rows::All(2)));
    assert_eq!(cells(&transformed), ["int 1", "null"]);
}

#[test]
fn reads_columns_of_earlier_stages_by_their_kind() {
    let format = "yyyy-MM-dd";
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(86_400), None]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("1970-01-02"), None]));
    let moments = timestamps(vec![Some(86_400_000_000), None]);
    for (kind, array) in [(Kind::Int64, numbers), (Kind::Text, texts.clone()), (Kind::Timestamp, moments)] {
        let transformed = stage("string", format, "seconds").transform(written(kind, array)).unwrap();
        assert_eq!(cells(&transformed), ["text 1970-01-02", "null"], "{kind}");
    }
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![None, Some(true)]));
    for (kind, array, format, row) in [(Kind::Boolean, flags, format, 1), (Kind::Text, texts, "", 0)] {
        let transformed = stage("Timestamp", format, "seconds").transform(written(kind, array)).unwrap();
        assert_eq!(cells(&transformed), ["null"], "{kind}");
        let message =
            format!("`ts` is of kind {kind}, and TimestampConverter takes int64, timestamp, or text with `format`");
        assert_eq!(transformed.rejections, [Rejection { row, field: Some("ts".into()), message: Some(message) }]);
    }
}

#[test]
fn a_field_that_is_no_longer_carried_is_absent() {
    let mut batch = pulled(&[Cell::Number(1)]);
    batch.carry = Carry::None;
    let transformed = stage("Timestamp", "", "seconds").transform(batch).unwrap();
    assert_eq!(cells(&transformed), ["absent"]);
}

#[test]
fn plans_what_it_reads_and_writes() {
    for (target, kind) in [
        ("string", Kind::Text),
        ("unix", Kind::Int64),
        ("Date", Kind::Timestamp),
        ("Time", Kind::Timestamp),
        ("Timestamp", Kind::Timestamp),
    ] {
        let stage = stage(target, "yyyy", "seconds");
        let plan = stage.plan();
        let want = |kind| Want { path: Path::from("ts"), kind, required: false };
        assert_eq!(plan.wants, [want(Kind::Int64), want(Kind::Text)]);
        assert_eq!(plan.writes, [Field { path: Path::from("ts"), kind }], "{target}");
        assert_eq!((&plan.carry, &plan.event_time, plan.tombstones), (&Carry::All, &None, false));
        assert!(!stage.is_stateful());
        assert_eq!((stage.alias(), stage.class()), ("ts", CLASS));
    }
}

#[test]
fn is_known_by_its_names() {
    for class in [
        "TimestampConverter",
        "TimestampConverter$Value",
        "TimestampConverter$Key",
        "org.apache.kafka.connect.transforms.TimestampConverter",
        "org.apache.kafka.connect.transforms.TimestampConverter$Value",
    ] {
        assert!(is_named(class), "{class}");
    }
    for class in ["", "timestampconverter", "TimestampRouter", "org.x.TimestampConverter"] {
        assert!(!is_named(class), "{class}");
    }
}

/// Settings, class, and what is said about them.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [String]);

#[test]
fn says_what_is_wrong_with_its_settings() {
    let good = [("field", "ts"), ("target.type", "Timestamp")];
    let letters = "the letters are y M d E a H h m s S z Z X; for example `format: yyyy-MM-dd'T'HH:mm:ss.SSSX`";
    let cases: &[Case<'_>] = &[
        (&good, "TimestampConverter", &[]),
        (&[("field", "a.b"), ("target.type", "Time"), ("replace.null.with.default", "false")], "TimestampConverter", &[]),
        (
            &good,
            "TimestampConverter$Key",
            &["timestamps in keys cannot be converted yet; write `TimestampConverter$Value` for a field of the value".into()],
        ),
        (
            &[],
            "TimestampConverter",
            &["field: is missing; for example `field: ts`".into(),
              "target.type: is missing; for example `target.type: Timestamp`".into()],
        ),
        (
            &[("field", ""), ("target.type", "timestamp"), ("unix.precision", "s")],
            "TimestampConverter",
            &["field: takes the path of one field of the value, not ``; for example `field: ts`".into(),
              "target.type: takes `string`, `unix`, `Date`, `Time` or `Timestamp`, not `timestamp`; for example \
               `target.type: Timestamp`".into(),
              "unix.precision: takes `seconds`, `milliseconds`, `microseconds` or `nanoseconds`, not `s`; for example \
               `unix.precision: seconds`".into()],
        ),
        (
            &[("field", "a,b"), ("target.type", "unix")],
            "TimestampConverter",
            &["field: takes the path of one field of the value, not `a,b`; for example `field: ts`".into()],
        ),
        (
            &[("field", "$timestamp"), ("target.type", "unix")],
            "TimestampConverter",
            &["field: takes the path of one field of the value, not `$timestamp`; for example `field: ts`".into()],
        ),
        (
            &[("field", "ts"), ("target.type", "string")],
            "TimestampConverter",
            &["format: is missing, and `target.type: string` needs it; for example `format: \
               yyyy-MM-dd'T'HH:mm:ss.SSSX`".into()],
        ),
        (
            &[("field", "ts"), ("target.type", "string"), ("format", "YYYY-MM-dd")],
            "TimestampConverter",
            &[format!("format: takes a pattern of Java's SimpleDateFormat, not `YYYY-MM-dd`: the letter `Y` stands for \
                       nothing here; {letters}")],
        ),
        (
            &[("field", "ts"), ("target.type", "string"), ("format", "yyyy'T")],
            "TimestampConverter",
            &["format: takes a pattern of Java's SimpleDateFormat, not `yyyy'T`: a quote is not closed; for example \
               `format: yyyy-MM-dd'T'HH:mm:ss.SSSX`".into()],
        ),
        (
            &[("field", "ts"), ("target.type", "unix"), ("unix.precison", "seconds"), ("window", "5")],
            "TimestampConverter",
            &["unix.precison: is no setting of TimestampConverter; did you mean `unix.precision`?".into(),
              "window: is no setting of TimestampConverter; remove it".into()],
        ),
    ];
    for (pairs, class, expected) in cases {
        let told: Vec<String> = check(class, &settings(pairs)).iter().map(ToString::to_string).collect();
        assert_eq!(told, *expected, "{pairs:?}");
        assert_eq!(build("ts", class, &settings(pairs)).is_ok(), expected.is_empty(), "{pairs:?}");
    }
}

#[test]
fn refuses_to_be_built_with_whole_keys() {
    let error = build("t1", "TimestampConverter$Key", &settings(&[("field", "ts")])).err().unwrap();
    assert_eq!(error.kind(), crate::error::Kind::Config);
    assert_eq!(
        error.to_string(),
        "transforms.t1.type: timestamps in keys cannot be converted yet; write `TimestampConverter$Value` for a field \
         of the value\n\
         transforms.t1.target.type: is missing; for example `target.type: Timestamp`"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_come_back_whole(number in any::<i64>(), at in 0..4_usize) {
        let (precision, divisor) =
            [("seconds", 1_000_000), ("milliseconds", 1_000), ("microseconds", 1), ("nanoseconds", 1)][at];
        let number = number / divisor;
        let got = single(&mut *stage("unix", "", precision), pulled(&[Cell::Number(number)]));
        let expected = if precision == "nanoseconds" { number / 1_000 * 1_000 } else { number };
        prop_assert_eq!(got, format!("int {expected}"));
    }

    #[test]
    fn texts_come_back_to_the_millisecond(ms in -62_135_596_800_000_i64..253_402_300_800_000) {
        let format = "EEEE, d MMMM yyyy hh:mm:ss.SSS a zzzz";
        let batch = written(Kind::Timestamp, timestamps(vec![Some(ms * 1_000)]));
        let text = single(&mut *stage("string", format, "seconds"), batch);
        let text = text.strip_prefix("text ").unwrap();
        let short = format.replace("zzzz", "z");
        let text = text.replace("Coordinated Universal Time", "UTC");
        prop_assert_eq!(single(&mut *stage("Timestamp", &short, "seconds"), pulled(&[Cell::Text(&text)])), format!("ms {ms}"));
    }

    #[test]
    fn no_text_and_no_pattern_crash_it(pattern in "[yMdEaHhmsSzZX' :,-]{0,12}", text in "[0-9A-Za-z' :,+-]{0,20}") {
        if let Ok(pattern) = pattern::Pattern::compile(&pattern)
            && let Some(us) = pattern.parse(&text) {
                pattern.format(us, &mut String::new());
            }
    }

    #[test]
    fn no_moment_crashes_it(us in any::<i64>()) {
        for target in ["string", "unix", "Date", "Time", "Timestamp"] {
            let batch = written(Kind::Timestamp, timestamps(vec![Some(us)]));
            single(&mut *stage(target, "yyyy-MM-dd", "nanoseconds"), batch);
        }
    }
}
