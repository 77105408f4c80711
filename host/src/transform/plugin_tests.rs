//! Plugins as stages, through real components: what a guest is given, what goes by it, and what is put over
//! the batch.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Float64Array, StringArray, TimestampMicrosecondArray};

use super::*;
use crate::guest::Limits;
use crate::guest::fixture::{PlanSpec, Spec, setup};
use crate::limits::BATCH_ROWS_MAX;
use crate::record::origin::{OwnedPayloads, OwnedRecord};
use crate::record::{Carry, Decoded, Field, Lane, Origin, Path, Rows};

fn stage(spec: Spec) -> PluginTransform {
    PluginTransform::new(&spec.plugin().unwrap(), &setup(&[], Limits::default())).unwrap()
}

/// Emits its first input as its first output, row by row.
const ECHO: &str = "(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (local.get $columns) (i32.const 1))";

fn echo(from: &'static str, to: &'static str, kind: Kind, required: bool) -> Spec {
    let plan = PlanSpec { inputs: vec![(from, kind, required)], outputs: vec![(to, kind)], ..PlanSpec::default() };
    Spec { plan, process: ECHO.to_owned(), ..Spec::default() }
}

/// Records with these decoded columns; those without a value are tombstones.
fn batch(columns: Vec<(&str, Column)>, tombstones: &[usize]) -> Batch {
    let rows = columns[0].1.array.len();
    let value = |row: usize| (!tombstones.contains(&row)).then(|| b"{}".to_vec());
    let records = (0..rows).map(|row| OwnedRecord { value: value(row), ..OwnedRecord::default() }).collect();
    let offsets: Vec<i64> = (0..rows as i64).collect();
    let payloads = Arc::new(OwnedPayloads { records });
    let origin = Origin::new(Lane::new("t", 0), offsets, vec![0; rows], rows as i64, 0, payloads);
    let columns = columns.into_iter().map(|(path, column)| (Path::from(path), column)).collect();
    Batch::new(Arc::new(origin), Decoded { columns, ..Decoded::default() }, Rows::All(rows))
}

fn floats(values: &[Option<f64>]) -> Column {
    Column::of(Kind::Float64, Arc::new(Float64Array::from(values.to_vec())))
}

fn numbers(batch: &Batch, path: &str) -> Vec<Option<f64>> {
    batch.pull(&path.into(), Kind::Float64).unwrap().array.as_primitive::<Float64Type>().iter().collect()
}

fn origins(batch: &Batch) -> Vec<usize> {
    (0..batch.len()).map(|row| batch.rows.origin(row)).collect()
}

#[test]
fn a_guest_reads_and_writes_fields_of_the_batch() {
    let mut stage = stage(echo("price", "sma", Kind::Float64, false));
    assert_eq!((stage.alias(), stage.class(), stage.is_stateful()), ("x", "fixture 1.0.0", false));
    assert_eq!(stage.plan().wants, [Want { path: "price".into(), kind: Kind::Float64, required: false }]);
    let done = stage.transform(batch(vec![("price", floats(&[Some(1.5), None]))], &[])).unwrap();
    assert_eq!(numbers(&done.batch, "sma"), [Some(1.5), None]);
    assert_eq!(numbers(&done.batch, "price"), [Some(1.5), None]);
    assert!(matches!(done.batch.rows, Rows::All(2)) && done.rejections.is_empty());
    assert!(stage.memory_bytes() > 0);
}

#[test]
fn mismatching_and_missing_cells_are_rejected_before_the_guest_sees_them() {
    let mut stage = stage(echo("price", "sma", Kind::Float64, true));
    let mut price = floats(&[Some(1.0), None, None, Some(4.0)]);
    price.mismatch = Some([false, true, false, false].into_iter().collect());
    let done = stage.transform(batch(vec![("price", price)], &[])).unwrap();
    assert_eq!((origins(&done.batch), numbers(&done.batch, "sma")), (vec![0, 3], vec![Some(1.0), Some(4.0)]));
    let rejection = |row| Rejection { row, field: Some("price".to_owned()), message: None };
    assert_eq!(done.rejections, [rejection(1), rejection(2)], "the converter tells why");
}

#[test]
fn a_missing_optional_cell_is_null_and_a_mismatching_one_is_rejected() {
    let mut stage = stage(echo("price", "sma", Kind::Float64, false));
    let mut price = floats(&[None, None]);
    price.mismatch = Some([false, true].into_iter().collect());
    let done = stage.transform(batch(vec![("price", price)], &[])).unwrap();
    assert_eq!((numbers(&done.batch, "sma"), done.rejections[0].row), (vec![None], 1));
}

#[test]
fn a_cell_that_an_earlier_stage_wrote_or_hid_is_explained_at_once() {
    let mut stage = stage(echo("price", "sma", Kind::Float64, true));
    let texts = Column::of(Kind::Text, Arc::new(StringArray::from(vec![Some("1"), None])));
    let mut written = batch(vec![("price", floats(&[Some(1.0), Some(2.0)]))], &[]);
    written.write("price".into(), texts);
    let messages = |done: Transformed| done.rejections.into_iter().map(|r| r.message.unwrap()).collect::<Vec<_>>();
    assert_eq!(
        messages(stage.transform(written).unwrap()),
        [
            "price as written by an earlier transform is not float64",
            "price is required, but an earlier transform left it empty"
        ]
    );
    let mut hidden = batch(vec![("price", floats(&[Some(1.0)]))], &[]);
    hidden.carry = Carry::None;
    let messages = messages(stage.transform(hidden).unwrap());
    assert_eq!(messages, ["price is required, but an earlier transform does not carry it"]);
}

#[test]
fn tombstones_go_by_untouched_in_their_place() {
    let mut stage = stage(echo("price", "$key", Kind::Float64, true));
    let columns = vec![
        ("price", floats(&[None, Some(1.0), None, Some(2.0), None, None])),
        ("$key", floats(&[Some(10.0), Some(11.0), Some(12.0), Some(13.0), Some(14.0), Some(15.0)])),
    ];
    let done = stage.transform(batch(columns, &[0, 2, 5])).unwrap();
    // Row 4 has a value but no price.
    assert_eq!(origins(&done.batch), [0, 1, 2, 3, 5]);
    assert_eq!(numbers(&done.batch, "$key"), [Some(10.0), Some(1.0), Some(12.0), Some(2.0), Some(15.0)]);
    assert_eq!(done.rejections.iter().map(|r| r.row).collect::<Vec<_>>(), [4]);
}

#[test]
fn so_do_records_whose_value_says_null() {
    let mut stage = stage(echo("price", "sma", Kind::Float64, true));
    let mut told = batch(vec![("price", floats(&[None, Some(1.0), None]))], &[]);
    Arc::get_mut(&mut told.decoded).unwrap().nulls = vec![2];
    let done = stage.transform(told).unwrap();
    assert_eq!(origins(&done.batch), [1, 2]);
    assert_eq!(done.rejections.iter().map(|r| r.row).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_tombstone_has_no_field_that_the_guest_writes_unless_an_earlier_stage_wrote_it() {
    let mut stage = stage(echo("price", "sma", Kind::Float64, false));
    let column = || floats(&[None, Some(1.0)]);
    let done = stage.transform(batch(vec![("price", column())], &[0])).unwrap();
    let sma = done.batch.pull(&"sma".into(), Kind::Float64).unwrap().into_owned();
    assert!(sma.is_absent(0) && !sma.is_absent(1));
    let mut written = batch(vec![("price", column())], &[0]);
    written.write("sma".into(), floats(&[Some(7.0), Some(8.0)]));
    assert_eq!(numbers(&stage.transform(written).unwrap().batch, "sma"), [Some(7.0), Some(1.0)]);
}

#[test]
fn tombstones_reach_a_plugin_whose_plan_asks_for_them() {
    let mut spec = echo("price", "sma", Kind::Float64, false);
    spec.plan.tombstones = true;
    let done = stage(spec).transform(batch(vec![("price", floats(&[None, Some(1.0)]))], &[0])).unwrap();
    let sma = done.batch.pull(&"sma".into(), Kind::Float64).unwrap().into_owned();
    assert!(!sma.is_absent(0), "the guest wrote an explicit null");
}

/// Emits the watermark that it is given.
fn watermark_stage(lateness: u64) -> PluginTransform {
    bounded_stage(lateness, None)
}

/// The same, with a bound on how far ahead an event time may be.
fn bounded_stage(lateness: u64, future_max: Option<u64>) -> PluginTransform {
    let plan = PlanSpec {
        inputs: vec![(WATERMARK, Kind::Int64, false), ("n", Kind::Float64, true)],
        outputs: vec![("w", Kind::Int64)],
        event_time: Some(("ts", lateness, future_max)),
        ..PlanSpec::default()
    };
    stage(Spec { plan, process: ECHO.to_owned(), ..Spec::default() })
}

fn times(values: &[Option<i64>]) -> Column {
    Column::of(Kind::Timestamp, Arc::new(TimestampMicrosecondArray::from(values.to_vec()).with_timezone("UTC")))
}

fn watermarks(stage: &mut PluginTransform, ts: Column, n: &[Option<f64>], tombstones: &[usize]) -> Vec<Option<i64>> {
    let done = stage.transform(batch(vec![("ts", ts), ("n", floats(n))], tombstones)).unwrap();
    done.batch.pull(&"w".into(), Kind::Int64).unwrap().array.as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn the_watermark_is_the_running_maximum_before_each_row_that_the_stage_is_given() {
    let mut stage = watermark_stage(10);
    let ts = times(&[None, Some(100), Some(500), Some(90), Some(300), Some(70)]);
    // Row 2 is rejected (n is missing), so its event time of 500 leaves no trace; row 5 is a tombstone.
    let n = [Some(0.0), Some(0.0), None, Some(0.0), Some(0.0), None];
    let seen = watermarks(&mut stage, ts, &n, &[5]);
    assert_eq!(seen, [None, None, Some(90), Some(90), None], "the tombstone has no watermark written");
    assert_eq!(watermarks(&mut stage, times(&[Some(0), Some(400)]), &[Some(0.0); 2], &[]), [Some(290), Some(290)]);
    assert_eq!(watermarks(&mut stage, times(&[None]), &[Some(0.0)], &[]), [Some(390)]);
}

#[test]
fn event_time_that_is_no_time_is_rejected_and_the_watermark_never_overflows() {
    let mut stage = watermark_stage(u64::MAX);
    let mut ts = times(&[Some(i64::MIN), None, Some(5)]);
    ts.mismatch = Some([false, true, false].into_iter().collect());
    let done = stage.transform(batch(vec![("ts", ts), ("n", floats(&[Some(0.0); 3]))], &[])).unwrap();
    assert_eq!(done.rejections, [Rejection { row: 1, field: Some("ts".to_owned()), message: None }]);
    let w = done.batch.pull(&"w".into(), Kind::Int64).unwrap().into_owned();
    assert_eq!(w.array.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [None, Some(i64::MIN)]);
}

#[test]
fn a_row_too_far_ahead_of_the_newest_before_it_is_rejected_and_moves_no_watermark() {
    let mut stage = bounded_stage(10, Some(2_000_000));
    let ts = times(&[Some(0), Some(2_000_001), Some(2_000_000), Some(i64::MAX), Some(4_000_000), Some(9), None]);
    // Row 4 has no n: it is rejected before it is judged, and is nobody's newest.
    let n = [Some(0.0), Some(0.0), Some(0.0), Some(0.0), None, Some(0.0), Some(0.0)];
    let done = stage.transform(batch(vec![("ts", ts), ("n", floats(&n))], &[])).unwrap();
    let rows: Vec<(u32, bool)> = done.rejections.iter().map(|r| (r.row, r.message.is_some())).collect();
    assert_eq!(rows, [(1, true), (3, true), (4, false)]);
    assert_eq!(
        done.rejections[0].message.as_deref().unwrap(),
        "event time ts is 1970-01-01T00:00:02.000001Z, which is more than 2 s ahead of the newest before it, \
         1970-01-01T00:00:00Z; mend the record, or raise the transform's bound on future event times"
    );
    assert!(
        done.rejections[1].message.as_deref().unwrap().starts_with("event time ts is 9223372036854775807 µs, which")
    );
    let w = done.batch.pull(&"w".into(), Kind::Int64).unwrap().into_owned();
    let seen: Vec<_> = w.array.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(seen, [None, Some(-10), Some(1_999_990), Some(1_999_990)]);
    assert_eq!(stage.watermark(), Some(2_000_000));
}

#[test]
fn the_first_event_time_is_never_too_far_ahead() {
    let mut stage = bounded_stage(0, Some(1));
    assert_eq!(watermarks(&mut stage, times(&[Some(i64::MAX), Some(5)]), &[Some(0.0); 2], &[]), [None, Some(i64::MAX)]);
}

#[test]
fn a_stage_goes_on_from_the_watermark_of_another() {
    let mut first = watermark_stage(10);
    assert_eq!(first.watermark(), None);
    watermarks(&mut first, times(&[Some(500), Some(300)]), &[Some(0.0); 2], &[]);
    assert_eq!(first.watermark(), Some(500));
    let mut second = watermark_stage(10);
    second.set_watermark(first.watermark());
    assert_eq!(watermarks(&mut second, times(&[Some(0)]), &[Some(0.0)], &[]), [Some(490)]);
    let mut without = stage(echo("n", "m", Kind::Float64, true));
    without.set_watermark(Some(7));
    assert_eq!(without.watermark(), None, "its plan names no event time");
}

/// Keeps a running sum in the guest's memory, emits it for every row, and traps when given more rows than a
/// call may have.
const SUM: &str = "
    (local $at i32) (local $end i32)
    (if (i32.gt_u (local.get $rows) (i32.const 8192)) (then (unreachable)))
    (local.set $at (i32.load offset=24 (local.get $columns)))
    (local.set $end (i32.add (local.get $at) (i32.mul (local.get $rows) (i32.const 8))))
    (loop
      (global.set $sum (f64.add (global.get $sum) (f64.load (local.get $at))))
      (f64.store (local.get $at) (global.get $sum))
      (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))";

fn sum_stage() -> PluginTransform {
    let extra = "(global $sum (mut f64) (f64.const 0))".to_owned();
    stage(Spec { process: format!("{SUM} {ECHO}"), extra, ..echo("n", "sum", Kind::Float64, true) })
}

#[test]
fn a_large_batch_is_cut_into_calls_and_comes_back_as_one() {
    let rows = 3 * BATCH_ROWS_MAX + 5;
    let ones = vec![Some(1.0); rows];
    let done = sum_stage().transform(batch(vec![("n", floats(&ones))], &[])).unwrap();
    let expected: Vec<Option<f64>> = (1..=rows).map(|n| Some(n as f64)).collect();
    assert_eq!(numbers(&done.batch, "sum"), expected);
    // The same with a row rejected and a tombstone in other calls than the first.
    let mut some = ones;
    (some[BATCH_ROWS_MAX + 7], some[2 * BATCH_ROWS_MAX]) = (None, None);
    let done = sum_stage().transform(batch(vec![("n", floats(&some))], &[2 * BATCH_ROWS_MAX])).unwrap();
    assert_eq!(done.rejections.iter().map(|r| r.row as usize).collect::<Vec<_>>(), [BATCH_ROWS_MAX + 7]);
    assert_eq!((done.batch.len(), origins(&done.batch)[BATCH_ROWS_MAX + 7]), (rows - 1, BATCH_ROWS_MAX + 8));
    assert_eq!(numbers(&done.batch, "sum")[rows - 2], Some(rows as f64 - 2.0));
}

#[test]
fn rows_of_many_bytes_are_cut_by_bytes_and_a_larger_one_goes_alone() {
    let text = |bytes: usize| Some("x".repeat(bytes));
    let texts: StringArray = [text(3 << 20), text(2 << 20), text(5 << 20), text(1), text(1)].into_iter().collect();
    let column = Column::of(Kind::Text, Arc::new(texts));
    let pieces = cut::pieces(5, std::slice::from_ref(&column));
    assert_eq!(pieces, [0..1, 1..2, 2..3, 3..5]);
    let done = stage(echo("t", "u", Kind::Text, true)).transform(batch(vec![("t", column.clone())], &[])).unwrap();
    let back = done.batch.pull(&"u".into(), Kind::Text).unwrap().into_owned();
    assert_eq!(back.array.as_ref(), column.array.as_ref());
}

/// Emits every row twice and rejects nothing.
const TWICE: &str = "
    (local $at i32) (local $values i32) (local $i i32)
    (local.set $values (i32.load offset=24 (local.get $columns)))
    (local.set $at (i32.const 65536))
    (loop
      (i32.store (i32.add (local.get $at) (i32.mul (local.get $i) (i32.const 8))) (local.get $i))
      (i32.store offset=4 (i32.add (local.get $at) (i32.mul (local.get $i) (i32.const 8))) (local.get $i))
      (f64.store (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 16)))
        (f64.load (i32.add (local.get $values) (i32.mul (local.get $i) (i32.const 8)))))
      (f64.store offset=8 (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 16))) (f64.const -1))
      (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $rows))))
    (i32.store offset=24 (local.get $columns) (i32.const 131072))
    (i32.store offset=28 (local.get $columns) (i32.mul (local.get $rows) (i32.const 2)))
    (call $emit (i32.const 1) (local.get $at) (i32.mul (local.get $rows) (i32.const 2)) (local.get $columns) (i32.const 1))";

#[test]
fn more_rows_out_than_in_keep_the_carried_fields_of_their_origin() {
    let spec = Spec { process: TWICE.to_owned(), pages: 8, ..echo("n", "m", Kind::Float64, true) };
    let mut given = batch(vec![("n", floats(&[Some(1.0), Some(2.0)])), ("tag", floats(&[Some(8.0), Some(9.0)]))], &[]);
    given.write("earlier".into(), floats(&[Some(5.0), Some(6.0)]));
    let done = stage(spec).transform(given).unwrap().batch;
    assert_eq!(numbers(&done, "m"), [Some(1.0), Some(-1.0), Some(2.0), Some(-1.0)]);
    assert_eq!(numbers(&done, "tag"), [Some(8.0), Some(8.0), Some(9.0), Some(9.0)]);
    assert_eq!(numbers(&done, "earlier"), [Some(5.0), Some(5.0), Some(6.0), Some(6.0)]);
}

#[test]
fn what_is_not_carried_is_gone_but_for_what_belongs_to_the_record() {
    let mut spec = echo("n", "m", Kind::Float64, true);
    spec.plan.carry = 1;
    let mut given = batch(vec![("n", floats(&[Some(1.0)])), ("$key", floats(&[Some(3.0)]))], &[]);
    given.write("earlier".into(), floats(&[Some(5.0)]));
    let done = stage(spec).transform(given).unwrap().batch;
    assert_eq!((numbers(&done, "n"), numbers(&done, "earlier")), (vec![None], vec![None]));
    assert_eq!((numbers(&done, "m"), numbers(&done, "$key")), (vec![Some(1.0)], vec![Some(3.0)]));
}

#[test]
fn no_rows_at_all_still_have_the_fields_that_the_stage_writes() {
    let mut stage = sum_stage();
    let empty = batch(vec![("n", floats(&[]))], &[]);
    let done = stage.transform(empty).unwrap();
    assert_eq!(numbers(&done.batch, "sum"), []);
    let all_rejected = stage.transform(batch(vec![("n", floats(&[None, None]))], &[])).unwrap();
    assert_eq!((numbers(&all_rejected.batch, "sum"), all_rejected.rejections.len()), (Vec::new(), 2));
    let all_tombstones = stage.transform(batch(vec![("n", floats(&[None, None]))], &[0, 1])).unwrap();
    assert_eq!(origins(&all_tombstones.batch), [0, 1]);
}

#[test]
fn a_guest_that_drops_every_row_leaves_none() {
    let spec = Spec { process: String::new(), ..echo("n", "m", Kind::Float64, true) };
    let done = stage(spec).transform(batch(vec![("n", floats(&[Some(1.0), Some(2.0)]))], &[])).unwrap();
    assert_eq!((done.batch.len(), numbers(&done.batch, "m")), (0, Vec::new()));
}

#[test]
fn a_failed_guest_stays_failed() {
    let spec = Spec { process: "(unreachable)".to_owned(), ..echo("n", "m", Kind::Float64, true) };
    let mut stage = stage(spec);
    let first = stage.transform(batch(vec![("n", floats(&[Some(1.0)]))], &[])).unwrap_err();
    let second = stage.transform(batch(vec![("n", floats(&[Some(1.0)]))], &[])).unwrap_err();
    assert_eq!((first.to_string(), first.kind()), (second.to_string(), crate::error::Kind::PluginTrap));
}

#[test]
fn the_plan_of_the_stage_is_the_guests_without_the_watermark() {
    let stage = watermark_stage(3);
    assert_eq!(stage.plan().wants, [Want { path: "n".into(), kind: Kind::Float64, required: true }]);
    assert_eq!(stage.plan().writes, [Field { path: "w".into(), kind: Kind::Int64 }]);
    assert_eq!(stage.plan().event_time, Some(EventTime { path: "ts".into(), lateness_us: 3, future_max_us: None }));
}
