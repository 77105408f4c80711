//! Guests that run, and guests that misbehave in one exact way each: the error names the guest, the limit or
//! the promise, and the value, and nothing of the instance is used again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use std::time::Duration;

use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, PrimitiveArray, StringArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::BooleanBuffer;
use proptest::prelude::*;

use super::super::fixture::{Image, PlanSpec, Spec, compiler, echo, setup};
use super::super::manifest::LimitsAsked;
use super::super::output::RowOrigin;
use super::*;
use crate::config::keys;
use crate::config::pipeline::PluginLimits;
use crate::record::{Column, Kind as FieldKind};

fn floats(values: &[f64]) -> Column {
    Column::of(FieldKind::Float64, Arc::new(Float64Array::from(values.to_vec())))
}

/// A guest with one float input and one float output that does this in `process`.
fn guest(process: &str) -> Guest {
    guest_within(process, Limits::default())
}

fn guest_within(process: &str, limits: Limits) -> Guest {
    Spec { process: process.to_owned(), ..echo("v", "w", FieldKind::Float64) }.guest(limits).unwrap()
}

#[track_caller]
fn fails(result: Result<impl std::fmt::Debug>, kind: Kind, expected: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, expected));
}

#[test]
fn a_column_comes_back_as_it_went_in() {
    let mut guest = echo("v", "w", FieldKind::Float64).guest(Limits::default()).unwrap();
    let processed = guest.process(3, &[floats(&[1.5, -0.0, 3.0])]).unwrap();
    assert_eq!(processed.origin, RowOrigin::Identity);
    assert_eq!(processed.columns[0].array.as_ref(), floats(&[1.5, -0.0, 3.0]).array.as_ref());
    assert_eq!(guest.plan().outputs[0].path.as_str(), "w");
    assert!(guest.memory_bytes() >= 4 * 65536 && !guest.is_stateful());
    assert_eq!((guest.name().to_string().as_str(), guest.name().alias()), ("plugin fixture 1.0.0", "x"));
}

/// A column of every kind with nulls and absent cells, cut out of a longer one at any place, so that bitmaps
/// and offsets do not begin at zero.
fn any_column() -> impl Strategy<Value = Column> {
    let cells = prop::collection::vec((any::<Option<i64>>(), "[a-zé]{0,6}", any::<bool>()), 1..40);
    (cells, 0usize..8, 0u8..8).prop_map(|(cells, kind, cut)| {
        let kind = [
            FieldKind::Int64,
            FieldKind::Float64,
            FieldKind::Boolean,
            FieldKind::Text,
            FieldKind::Binary,
            FieldKind::Decimal,
            FieldKind::Timestamp,
            FieldKind::Json,
        ][kind];
        let ints = || cells.iter().map(|(number, _, _)| *number);
        let texts = || cells.iter().map(|(number, text, _)| number.map(|_| text.as_str()));
        let array: ArrayRef = match kind {
            FieldKind::Int64 => Arc::new(ints().collect::<Int64Array>()),
            FieldKind::Float64 => Arc::new(ints().map(|n| n.map(|n| n as f64 / 3.0)).collect::<Float64Array>()),
            FieldKind::Boolean => Arc::new(ints().map(|n| n.map(|n| n > 0)).collect::<BooleanArray>()),
            FieldKind::Text | FieldKind::Json => Arc::new(texts().collect::<StringArray>()),
            FieldKind::Binary => Arc::new(texts().map(|t| t.map(str::as_bytes)).collect::<BinaryArray>()),
            FieldKind::Timestamp => Arc::new(ints().collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            FieldKind::Decimal => {
                let numbers = ints().map(|n| n.map(|n| i128::from(n) * 1_000_000_007));
                Arc::new(numbers.collect::<Decimal128Array>().with_precision_and_scale(38, 4).unwrap())
            }
        };
        let absent: BooleanBuffer = cells.iter().map(|(number, _, absent)| number.is_none() && *absent).collect();
        let start = usize::from(cut) % cells.len();
        let rows = cells.len() - start;
        let absent = absent.slice(start, rows);
        Column { absent: absent.has_true().then_some(absent), ..Column::of(kind, array.slice(start, rows)) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Lowering and lifting are inverse for every kind.
    #[test]
    fn every_kind_survives_the_boundary(column in any_column()) {
        let mut guest = echo_of(column.kind);
        let rows = column.array.len();
        let back = guest.process(rows, std::slice::from_ref(&column)).unwrap().columns.remove(0);
        prop_assert_eq!(cells(&back), cells(&column));
        prop_assert_eq!(back.array.data_type(), column.array.data_type());
    }
}

/// A guest that echoes columns of this kind; its component is compiled once.
fn echo_of(kind: FieldKind) -> Guest {
    use std::collections::HashMap;
    use std::sync::{Mutex, OnceLock};
    static PLUGINS: OnceLock<Mutex<HashMap<FieldKind, Arc<Plugin>>>> = OnceLock::new();
    let mut plugins = PLUGINS.get_or_init(Mutex::default).lock().unwrap();
    let plugin = plugins.entry(kind).or_insert_with(|| Arc::new(echo("v", "w", kind).plugin().unwrap()));
    Guest::new(plugin, &setup(&[], Limits::default())).unwrap()
}

/// What can be seen of each cell.
fn cells(column: &Column) -> Vec<(Option<String>, bool)> {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    fn number<T: arrow_array::ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> String {
        format!("{:?}", array.value(row))
    }
    let array = &column.array;
    let text = |row: usize| match column.kind {
        FieldKind::Int64 => number(array.as_primitive::<Int64Type>(), row),
        FieldKind::Float64 => number(array.as_primitive::<Float64Type>(), row),
        FieldKind::Timestamp => number(array.as_primitive::<TimestampMicrosecondType>(), row),
        FieldKind::Decimal => number(array.as_primitive::<Decimal128Type>(), row),
        FieldKind::Boolean => array.as_boolean().value(row).to_string(),
        FieldKind::Text | FieldKind::Json => array.as_string::<i32>().value(row).to_owned(),
        FieldKind::Binary => format!("{:?}", array.as_binary::<i32>().value(row)),
    };
    (0..array.len()).map(|row| (array.is_valid(row).then(|| text(row)), column.is_absent(row))).collect()
}

#[test]
fn a_trap_carries_the_text_that_the_panic_logged() {
    let mut image = Image::default();
    let (at, len) = image.text(b"panicked at src/lib.rs:7:5:\nwindow is empty");
    let process = format!("(call $log (i32.const 3) (i32.const {at}) (i32.const {len})) (unreachable)");
    let mut guest = Spec { image, process, ..echo("v", "w", FieldKind::Float64) }.guest(Limits::default()).unwrap();
    let expected = "plugin fixture 1.0.0 trapped in process: panicked at src/lib.rs:7:5: window is empty";
    fails(guest.process(1, &[floats(&[1.0])]), Kind::PluginTrap, expected);
    // The instance is gone; the reason stays.
    fails(guest.process(1, &[floats(&[1.0])]), Kind::PluginTrap, expected);
    assert_eq!(guest.memory_bytes(), 0);
}

#[test]
fn a_trap_without_words_is_told_by_its_kind() {
    let trapped = guest("(unreachable)").process(1, &[floats(&[1.0])]);
    let who = "plugin fixture 1.0.0 trapped in process:";
    fails(trapped, Kind::PluginTrap, &format!("{who} wasm `unreachable` instruction executed"));
    let trapped = guest("(drop (i32.div_u (local.get $rows) (i32.const 0)))").process(1, &[floats(&[1.0])]);
    fails(trapped, Kind::PluginTrap, &format!("{who} integer divide by zero"));
    let trapped = guest("(drop (i32.load (i32.const -4)))").process(1, &[floats(&[1.0])]);
    fails(trapped, Kind::PluginTrap, &format!("{who} out of bounds memory access"));
}

#[test]
fn endless_recursion_meets_the_stack_limit() {
    let spec = Spec {
        extra: "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))".to_owned(),
        process: "(drop (call $deep (i32.const 0)))".to_owned(),
        ..echo("v", "w", FieldKind::Float64)
    };
    let trapped = spec.guest(Limits::default()).unwrap().process(1, &[floats(&[1.0])]);
    let expected = "plugin fixture 1.0.0 trapped in process: its stack passed the limit of 512 KiB";
    fails(trapped, Kind::PluginTrap, expected);
}

#[test]
fn every_call_has_a_time_limit_the_first_ones_too() {
    let limits = Limits { call_max: Duration::from_millis(30), ..Limits::default() };
    let endless = || "(loop (br 0))".to_owned();
    let expected = |place: &str, call: &str| {
        format!(
            "{place}plugin fixture 1.0.0 did not return from {call} within its time limit of 30ms (plugin.limits.call.ms)"
        )
    };
    fails(
        guest_within(&endless(), limits).process(1, &[floats(&[1.0])]),
        Kind::PluginDeadline,
        &expected("", "process"),
    );
    let configure = Spec { on_configure: endless(), ..Spec::default() }.guest(limits);
    fails(configure, Kind::PluginDeadline, &expected("transforms.x: ", "configure"));
    // A second call has its full time again.
    let mut patient = guest_within(&echo("v", "w", FieldKind::Float64).process, limits);
    for _ in 0..20 {
        patient.process(1, &[floats(&[1.0])]).unwrap();
    }
}

#[test]
fn a_start_function_that_does_not_end_is_cut_too() {
    let limits = Limits { call_max: Duration::from_millis(30), ..Limits::default() };
    let spec =
        Spec { extra: "(func $spin (loop (br 0)))".to_owned(), on_start: "(call $spin)".to_owned(), ..Spec::default() };
    let source = crate::guest::Source::new(std::path::Path::new("x.wasm"), spec.component());
    let component = compiler().component(&source).unwrap();
    let mut sandbox = Sandbox::new(compiler().engine(), GuestName::unknown("x.wasm"), limits, Arc::default());
    let instance = compiler().engine().linker().instantiate_pre(&component).unwrap();
    let started = sandbox.call(Call::Start, |store| instance.instantiate(store).map(drop));
    fails(
        started,
        Kind::PluginDeadline,
        "plugin file x.wasm did not return from start within its time limit of 30ms (plugin.limits.call.ms)",
    );
}

#[test]
fn memory_beyond_the_limit_is_named_with_the_value() {
    let limits = Limits { memory_bytes_max: 1 << 20, ..Limits::default() };
    let bomb = "(loop (drop (memory.grow (i32.const 4))) (br 0))";
    fails(
        guest_within(bomb, limits).process(1, &[floats(&[1.0])]),
        Kind::PluginLimit,
        "plugin fixture 1.0.0 passed a limit in process: it wants 1280 KiB of memory; its limit is 1024 KiB (plugin.limits.memory)",
    );
    let born_large = Spec { pages: 17, ..Spec::default() }.guest(limits);
    let expected = "transforms.x: plugin fixture 1.0.0 passed a limit in start: it wants 1088 KiB of memory; its limit is 1024 KiB (plugin.limits.memory)";
    fails(born_large, Kind::PluginLimit, expected);
    let tables = Limits { table_elements_max: 5, ..Limits::default() };
    let table = Spec { extra: "(table 6 funcref)".to_owned(), ..Spec::default() }.guest(tables);
    let expected = "transforms.x: plugin fixture 1.0.0 passed a limit in start: it wants a table of 6 elements; its limit is 5 (plugin.limits.table.elements)";
    fails(table, Kind::PluginLimit, expected);
}

#[test]
fn memory_is_counted_as_it_grows() {
    let mut guest = guest("(drop (memory.grow (i32.const 10)))");
    let before = guest.memory_bytes();
    guest.process(1, &[floats(&[1.0])]).unwrap();
    assert_eq!(guest.memory_bytes(), before + 10 * 65536);
}

#[test]
fn data_of_one_call_is_bounded() {
    let limits = Limits { output_bytes_max: 1 << 20, ..Limits::default() };
    // Two million bytes of validity for one row.
    let mut image = Image::default();
    let (columns, count) = image.columns(&[(0, (0, 2_000_000), (0, 0), 1, vec![0, 1])]);
    let process =
        format!("(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const {columns}) (i32.const {count}))");
    let spec = Spec { image, process, pages: 40, ..echo("v", "w", FieldKind::Float64) };
    let expected =
        "plugin fixture 1.0.0 handed over more than 1024 KiB in one call of process (plugin.limits.output.bytes)";
    fails(spec.guest(limits).unwrap().process(1, &[floats(&[1.0])]), Kind::PluginLimit, expected);
    // Each emit is small, all of them together are not.
    let often = "(local $i i32) (loop (call $emit (i32.const 1) (i32.const 0) (local.get $rows) (local.get $columns) (i32.const 1))
        (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))";
    let values = vec![1.0; 1000];
    let limited = guest_within(often, limits).process(1000, &[floats(&values)]).unwrap_err();
    assert_eq!(limited.kind(), Kind::PluginLimit, "{limited}");
    let few = Limits { output_rows_max: 999, ..Limits::default() };
    let expected = "plugin fixture 1.0.0 passed a limit in process: it emitted 1000 rows in one call; its limit is 999 (plugin.limits.output.rows)";
    fails(
        guest_within(&echo("v", "w", FieldKind::Float64).process, few).process(1000, &[floats(&values)]),
        Kind::PluginLimit,
        expected,
    );
}

/// A guest that returns `rejected` as the errors of each call: rows with code 9 and a message.
fn rejecting(rejected: &[u32], limits: Limits) -> Guest {
    let mut image = Image::default();
    let (text, len) = image.text(b"too late.");
    // A row error: row, code, message.
    let errors: Vec<u32> = rejected.iter().flat_map(|row| [*row, 9, text, len]).collect();
    let (errors, _) = image.u32s(&errors);
    let result = image.u32s(&[0, errors, rejected.len() as u32, 0]).0;
    let process = format!("(return (i32.const {result}))");
    Spec { image, process, ..echo("v", "w", FieldKind::Float64) }.guest(limits).unwrap()
}

#[test]
fn rows_rejected_one_after_the_other_are_bounded() {
    let limits = Limits { rejected_rows_max: 6, ..Limits::default() };
    let four = floats(&[1.0; 4]);
    let call = |guest: &mut Guest| guest.process(4, std::slice::from_ref(&four)).map(|done| done.row_errors.len());
    // Over several calls, as long as none goes well in between.
    let mut all = rejecting(&[0, 1, 2, 3], limits);
    assert_eq!(call(&mut all).unwrap(), 4);
    let expected = "plugin fixture 1.0.0 rejected 8 rows one after the other; its limit is 6 \
                    (plugin.limits.rejected.rows); the last (code 9): too late";
    fails(call(&mut all), Kind::PluginRejects, expected);
    fails(call(&mut all), Kind::PluginRejects, expected);
    for rejected in [&[0, 1, 2][..], &[1, 2, 3], &[0, 3], &[1, 2]] {
        let mut some = rejecting(rejected, limits);
        for _ in 0..20 {
            call(&mut some).unwrap();
        }
    }
    // What a replay repeats was counted when it was decided.
    let mut replaying = rejecting(&[0, 1, 2, 3], limits);
    replaying.mute(true);
    for _ in 0..20 {
        call(&mut replaying).unwrap();
    }
    replaying.mute(false);
    assert_eq!(call(&mut replaying).unwrap(), 4);
    assert!(call(&mut replaying).is_err());
}

/// What the guest must not hand over, through the real boundary: one float column of one row.
fn emitting(validity: u32, tag: u8, payload: Vec<u32>) -> Guest {
    let mut image = Image::default();
    let (bits, _) = image.text(&[0; 64]);
    let (columns, count) = image.columns(&[(0, (bits, validity), (0, 0), tag, payload)]);
    let process =
        format!("(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const {columns}) (i32.const {count}))");
    Spec { image, process, ..echo("v", "w", FieldKind::Float64) }.guest(Limits::default()).unwrap()
}

#[test]
fn broken_promises_end_the_guest_with_the_column_and_the_value() {
    let who = "plugin fixture 1.0.0 broke the interface in process: it";
    let one = [floats(&[1.0])];
    fails(
        emitting(5, 1, vec![DATA, 1]).process(1, &one),
        Kind::PluginTrap,
        &format!("{who} emitted column w that has 5 validity bytes, not 1"),
    );
    fails(
        emitting(0, 1, vec![DATA, 3]).process(1, &one),
        Kind::PluginTrap,
        &format!("{who} emitted column w that has 3 values, not 1"),
    );
    fails(
        emitting(0, 0, vec![DATA, 1]).process(1, &one),
        Kind::PluginTrap,
        &format!("{who} emitted column w that holds int64s, but the plan says float64"),
    );
    let beyond = emitting(0, 1, vec![u32::MAX - 7, 1]).process(1, &one).unwrap_err();
    assert!(beyond.to_string().contains("out of bounds"), "{beyond}");
}

const DATA: u32 = 4096;

#[test]
fn rows_may_only_be_emitted_and_metrics_declared_where_they_belong() {
    let emit = "(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))".to_owned();
    let early = Spec { on_configure: emit, ..Spec::default() }.guest(Limits::default());
    let expected = "transforms.x: plugin fixture 1.0.0 broke the interface in configure: it called output.emit in configure; it belongs into process and advance";
    fails(early, Kind::PluginTrap, expected);
    let mut image = Image::default();
    let (name, len) = image.text(b"late_rows");
    let declare = format!(
        "(drop (call $declare (i32.const {name}) (i32.const {len}) (i32.const 0) (i32.const 0) (i32.const 0)))"
    );
    let late = Spec { image, process: declare, ..echo("v", "w", FieldKind::Float64) };
    let expected = "plugin fixture 1.0.0 broke the interface in process: it called metric.declare in process; it belongs into configure";
    fails(late.guest(Limits::default()).unwrap().process(1, &[floats(&[1.0])]), Kind::PluginTrap, expected);
    let unknown = guest("(call $update (i32.const 3) (f64.const 1))").process(1, &[floats(&[1.0])]);
    let expected =
        "plugin fixture 1.0.0 broke the interface in process: it updates metric 3, which it has not declared";
    fails(unknown, Kind::PluginTrap, expected);
}

#[test]
fn metrics_count_unless_muted() {
    let mut image = Image::default();
    let (name, len) = image.text(b"calls");
    let on_configure = format!(
        "(drop (call $declare (i32.const {name}) (i32.const {len}) (i32.const 0) (i32.const 0) (i32.const 0)))"
    );
    let process = "(call $update (i32.const 0) (f64.const 2))".to_owned();
    let plugin = Spec { image, process, on_configure, ..echo("v", "w", FieldKind::Float64) }.plugin().unwrap();
    let setup = setup(&[], Limits::default());
    let mut guest = Guest::new(&plugin, &setup).unwrap();
    for muted in [false, true, false] {
        guest.mute(muted);
        guest.process(1, &[floats(&[1.0])]).unwrap();
    }
    // A rebuilt guest goes on where the first one stood.
    Guest::new(&plugin, &setup).unwrap().process(1, &[floats(&[1.0])]).unwrap();
    let meters: Vec<(String, f64)> = setup.meters.all().iter().map(|m| (m.name.clone(), m.value())).collect();
    assert_eq!(meters, [("calls".to_owned(), 6.0)]);
}

#[test]
fn failures_that_a_guest_reports_carry_its_code_and_message() {
    let mut image = Image::default();
    let (text, len) = image.text(b"window takes\n50 or 5m, not 0");
    // Tag 1, then code, retryable and message at the failure's alignment of 4.
    let failure = image.u32s(&[1, 9, text, len]).0;
    let process = format!("(return (i32.const {failure}))");
    let mut failed = Spec { image, process, ..echo("v", "w", FieldKind::Float64) }.guest(Limits::default()).unwrap();
    fails(
        failed.process(1, &[floats(&[1.0])]),
        Kind::PluginFailure,
        "plugin fixture 1.0.0 failed in process (code 9): window takes 50 or 5m, not 0",
    );
    let mut image = Image::default();
    let (text, len) = image.text(b"window 0");
    // A plan is aligned to 8, so the failure begins there; 65536 sets `retryable`, the byte after the code.
    let refusal = image.u32s(&[1, 0, 65536 + 4, text, len]).0;
    let on_configure = format!("(return (i32.const {refusal}))");
    let refused = Spec { image, on_configure, ..Spec::default() }.guest(Limits::default());
    let expected =
        "transforms.x: plugin fixture 1.0.0 refuses its settings (code 4, may pass when tried again): window 0";
    fails(refused, Kind::PluginFailure, expected);
}

#[test]
fn a_plan_that_cannot_be_carried_out_is_refused() {
    let plan = PlanSpec { outputs: vec![("$offset", FieldKind::Int64)], ..PlanSpec::default() };
    let refused = Spec { plan, ..Spec::default() }.guest(Limits::default());
    let expected = "transforms.x: plugin fixture 1.0.0 has a plan that writes `$offset`, which cannot be written";
    fails(refused, Kind::PluginInvalid, expected);
}

#[test]
fn the_whole_plan_comes_through_the_boundary() {
    let plan = PlanSpec {
        inputs: vec![
            ("price", FieldKind::Decimal, true),
            ("$watermark", FieldKind::Int64, false),
            ("note", FieldKind::Json, false),
        ],
        outputs: vec![("a.b", FieldKind::Binary), ("$key", FieldKind::Text)],
        carry: 1,
        event_time: Some(("ts", 250_000, Some(7))),
        tombstones: true,
    };
    let guest = Spec { plan, ..Spec::default() }.guest(Limits::default()).unwrap();
    let plan = guest.plan();
    let inputs: Vec<_> = plan.inputs.iter().map(|want| (want.path.as_str(), want.kind, want.required)).collect();
    assert_eq!(
        inputs,
        [
            ("price", FieldKind::Decimal, true),
            ("$watermark", FieldKind::Int64, false),
            ("note", FieldKind::Json, false)
        ]
    );
    let outputs: Vec<_> = plan.outputs.iter().map(|field| (field.path.as_str(), field.kind)).collect();
    assert_eq!(outputs, [("a.b", FieldKind::Binary), ("$key", FieldKind::Text)]);
    assert_eq!(plan.carry, crate::record::Carry::None);
    let time = plan.event_time.as_ref().unwrap();
    let found = (time.path.as_str(), time.lateness_us, time.future_max_us, plan.tombstones);
    assert_eq!(found, ("ts", 250_000, Some(7), true));
}

#[test]
fn state_calls_need_a_plugin_with_state() {
    let mut stateless = Spec::default().guest(Limits::default()).unwrap();
    let expected = "stats was called on plugin fixture 1.0.0, which keeps no state";
    fails(stateless.stats(), Kind::Internal, expected);
    let spec = Spec { state: true, ..Spec::default() };
    let described = spec.plugin().unwrap_err();
    assert_eq!(described.to_string(), "fixture.wasm exports state but describes none");
}

#[test]
fn columns_that_do_not_fit_the_plan_are_the_hosts_own_fault() {
    let mut guest = echo("v", "w", FieldKind::Float64).guest(Limits::default()).unwrap();
    for (rows, columns) in [(1, Vec::new()), (2, vec![floats(&[1.0])])] {
        assert_eq!(guest.process(rows, &columns).unwrap_err().kind(), Kind::Internal);
    }
    guest.process(1, &[floats(&[1.0])]).unwrap();
}

#[test]
fn a_plugin_asks_for_less_than_the_host_grants_never_for_more() {
    let limits = |memory: &str, call: &str| {
        let description = format!(
            r#"{{"id":"a","version":"1.0.0","doc":"","settings":[],"state":null,"limits":{{"memory_bytes":{memory},"call_ms":{call}}}}}"#
        );
        Spec { description, ..Spec::default() }.plugin().unwrap().limits()
    };
    let host = Limits::default();
    assert_eq!(limits("null", "null"), host);
    let less = limits("1048576", "100");
    assert_eq!((less.memory_bytes_max, less.call_max), (1 << 20, Duration::from_millis(100)));
    assert_eq!(limits("99999999999999", "99999999999"), host);
}

#[test]
fn what_a_pipeline_writes_counts_whatever_the_plugin_asks_for() {
    let asked = LimitsAsked { memory_bytes: Some(1 << 20), call_ms: Some(100) };
    let written = PluginLimits {
        call_ms: Some(7_000),
        memory_bytes: Some(2 << 30),
        table_elements: Some(3),
        output_rows: Some(4),
        output_bytes: Some(5),
        rejected_rows: Some(6),
        log_lines: Some(7),
        log_line_bytes: Some(8),
        metrics: Some(9),
    };
    let expected = Limits {
        call_max: Duration::from_secs(7),
        memory_bytes_max: 2 << 30,
        table_elements_max: 3,
        output_rows_max: 4,
        output_bytes_max: 5,
        rejected_rows_max: 6,
        log_lines_max: 7,
        log_line_bytes_max: 8,
        metrics_max: 9,
    };
    assert_eq!(Limits::of(&written, asked), expected);
    let only_memory = PluginLimits { memory_bytes: Some(64 << 20), ..PluginLimits::default() };
    let limits = Limits::of(&only_memory, asked);
    assert_eq!((limits.memory_bytes_max, limits.call_max), (64 << 20, Duration::from_millis(100)));
}

#[test]
fn the_documented_defaults_are_those_that_hold() {
    let host = Limits::default();
    let number = |key: &keys::Key| crate::config::quantity::bytes(key.default_text()).unwrap();
    for (key, value) in [
        (&keys::LIMIT_CALL_MS, host.call_max.as_millis() as u64),
        (&keys::LIMIT_MEMORY, host.memory_bytes_max as u64),
        (&keys::LIMIT_TABLE_ELEMENTS, host.table_elements_max as u64),
        (&keys::LIMIT_OUTPUT_ROWS, host.output_rows_max as u64),
        (&keys::LIMIT_OUTPUT_BYTES, host.output_bytes_max as u64),
        (&keys::LIMIT_REJECTED_ROWS, host.rejected_rows_max),
        (&keys::LIMIT_LOG_LINES, u64::from(host.log_lines_max)),
        (&keys::LIMIT_LOG_LINE_BYTES, host.log_line_bytes_max as u64),
        (&keys::LIMIT_METRICS, host.metrics_max as u64),
    ] {
        assert_eq!(number(key), value, "{}", key.name);
        let readme = include_str!("../../../README.md");
        let row = format!("| `{}` | {} |", key.name, key.default_text());
        assert!(readme.contains(&row), "README has no row {row}");
    }
}
