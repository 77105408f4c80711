//! Plans that guests return: what is taken over and what is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use super::*;

fn input(path: &str, kind: types::Kind, required: bool) -> wit::Input {
    wit::Input { path: path.to_owned(), kind, required }
}

fn field(path: &str, kind: types::Kind) -> wit::Field {
    wit::Field { path: path.to_owned(), kind }
}

fn plan(inputs: Vec<wit::Input>, outputs: Vec<wit::Field>) -> wit::Plan {
    let event_time = Some(wit::EventTime { path: "$timestamp".to_owned(), lateness: 5, future_max: Some(9) });
    wit::Plan { inputs, outputs, carry: wit::Carry::All, event_time, tombstones: false }
}

#[test]
fn a_plan_is_taken_over_field_by_field() {
    let inputs = vec![
        input("price", types::Kind::Float64, true),
        input("$key", types::Kind::Text, false),
        input("$watermark", types::Kind::Int64, false),
        input("$headers.trace", types::Kind::Binary, false),
    ];
    let mut given = plan(inputs, vec![field("position.lat", types::Kind::Decimal), field("$key", types::Kind::Json)]);
    given.carry = wit::Carry::These(vec!["symbol".to_owned()]);
    let plan = checked(given).unwrap();
    assert_eq!(plan.inputs[0], Want { path: "price".into(), kind: Kind::Float64, required: true });
    assert_eq!(plan.inputs.len(), 4);
    assert_eq!(plan.outputs[0], Field { path: "position.lat".into(), kind: Kind::Decimal });
    assert_eq!(plan.carry, Carry::These(vec!["symbol".into()]));
    assert_eq!(plan.event_time, Some(EventTime { path: "$timestamp".into(), lateness_us: 5, future_max_us: Some(9) }));
}

#[test]
fn what_no_record_has_and_what_cannot_be_written_is_refused() {
    for (path, kind) in [
        ("$value", types::Kind::Text),
        ("", types::Kind::Text),
        ("a..b", types::Kind::Text),
        ("$headers.", types::Kind::Text),
    ] {
        let error = checked(plan(vec![input(path, kind, false)], Vec::new())).unwrap_err();
        assert!(error.contains("which no record has"), "{path}: {error}");
    }
    for path in ["$offset", "$partition", "$watermark", "$key.id", "a."] {
        let error = checked(plan(Vec::new(), vec![field(path, types::Kind::Int64)])).unwrap_err();
        assert!(error.contains("cannot be written"), "{path}: {error}");
    }
    let twice = vec![field("sma", types::Kind::Float64), field("sma", types::Kind::Int64)];
    assert_eq!(checked(plan(Vec::new(), twice)).unwrap_err(), "writes sma twice");
}

#[test]
fn a_watermark_needs_an_event_time_and_is_an_optional_integer() {
    let mut without = plan(vec![input("$watermark", types::Kind::Int64, false)], Vec::new());
    without.event_time = None;
    assert_eq!(checked(without).unwrap_err(), "wants $watermark but names no event time");
    for wrong in [input("$watermark", types::Kind::Timestamp, false), input("$watermark", types::Kind::Int64, true)] {
        assert!(checked(plan(vec![wrong], Vec::new())).unwrap_err().contains("cannot be required"));
    }
    let mut no_time = plan(Vec::new(), Vec::new());
    no_time.event_time = Some(wit::EventTime { path: "$offset".to_owned(), lateness: 0, future_max: None });
    assert!(checked(no_time).unwrap_err().contains("which is no time"));
}
