//! The plugin against the test kit: rows as they come, renamed rows, and what operators get wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use weir_plugin_sdk::testkit::{Datum, Kit, Record, law_of_cuts};
use weir_plugin_sdk::{Carry, Decimal, Kind, record};

use super::Identity;

const RENAME: [(&str, &str); 2] = [("from", "sym"), ("to", "symbol")];

fn ticks() -> Vec<Record> {
    vec![record! { "sym": "A", "price": 1.5 }, record! { "sym": Datum::Null }, record! {}, record! { "sym": "" }]
}

#[test]
fn without_settings_every_row_passes_as_it_is() {
    let mut kit = Kit::<Identity>::new(&[]).unwrap();
    let plan = kit.guest().plan().unwrap();
    assert!(plan.inputs().is_empty() && plan.outputs().is_empty());
    assert_eq!(plan.carried(), &Carry::All);
    let outcome = kit.process(&ticks()).unwrap();
    assert_eq!(outcome.origins, [0, 1, 2, 3]);
}

#[test]
fn a_renamed_field_keeps_its_value_and_loses_its_old_name() {
    let outcome = Kit::<Identity>::new(&RENAME).unwrap().process(&ticks()).unwrap();
    let expected = [record! { "symbol": "A" }, record! { "symbol": Datum::Null }, record! {}, record! { "symbol": "" }];
    assert_eq!(outcome.rows, expected);
    assert_eq!(outcome.origins, [0, 1, 2, 3]);
}

#[test]
fn every_kind_can_be_renamed() {
    let values: [Datum; 8] = [
        7_i64.into(),
        f64::NAN.into(),
        true.into(),
        "text".into(),
        Datum::Binary(vec![0, 255]),
        Decimal { unscaled: -15, scale: 1 }.into(),
        1_790_000_000_000_000_i64.into(),
        "[1]".into(),
    ];
    for (kind, value) in Kind::ALL.into_iter().zip(values) {
        let settings = [("from", "a"), ("to", "b"), ("kind", kind.name())];
        let records = [record! {}.with("a", value.clone()), record! {}];
        let outcome = Kit::<Identity>::new(&settings).unwrap().process(&records).unwrap();
        assert_eq!(outcome.rows, [record! {}.with("b", value), record! {}]);
    }
}

#[test]
fn rows_do_not_depend_on_the_cuts() {
    law_of_cuts::<Identity>(&RENAME, &vec![ticks(); 50].concat(), 1, 50).unwrap();
}

#[test]
fn wrong_settings_are_named() {
    let pair = "Settings `from` and `to` need each other and two different names.";
    let kinds =
        "Setting `kind` takes one of int64, float64, boolean, text, binary, decimal, timestamp, json, not `double`.";
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("from", "a")], pair),
        (&[("from", "a"), ("to", "a")], pair),
        (&[("kind", "double")], kinds),
        (&[("form", "a")], "Setting `form` is unknown; the nearest one is `from`."),
    ];
    for (settings, sentence) in cases {
        assert_eq!(Kit::<Identity>::new(settings).unwrap_err().message, sentence);
    }
}
