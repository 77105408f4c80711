//! Runs of documents: neighbours, malformed ones among good ones, and what a sample of them shows.

use super::super::Json;
use crate::convert::testing::{cell, origin, pull, record, values};
use crate::convert::{Converter, Side};
use crate::record::Kind::{self, Boolean, Float64, Int64, Text};

#[test]
fn malformed_records_are_named_and_their_neighbours_are_not_touched() {
    let run = values(&[
        r#"{"a":1,"t":"one"}"#,
        r#"{"a":2,"t":"two"#,
        r#"{"a":3,"t":"three"}"#,
        "",
        r#"{"t":"five","a":5} x"#,
        r#"{"t":"six"}"#,
    ]);
    let pulled = pull(&Json, Side::Value, &run, &[("a", Int64), ("t", Text)]);
    let rows: Vec<u32> = pulled.malformed.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, [1, 3, 4]);
    let column = |at: usize| (0..6).map(|row| cell(&pulled.columns[at], row)).collect::<Vec<_>>();
    assert_eq!(column(0), ["1", "null", "3", "null", "null", "absent"]);
    assert_eq!(column(1), ["one", "null", "three", "null", "null", "six"]);
}

#[test]
fn a_reader_forgets_a_run_before_the_next() {
    let mut reader = Json.reader(Side::Value, &[("t".into(), Text), ("a".into(), Int64)]).unwrap();
    let first = reader.read(&values(&[r#"{"t":"x","a":1}"#; 3])).unwrap();
    let second = reader.read(&values(&["{}", "{}"])).unwrap();
    assert_eq!(cell(&first.columns[0], 2), "x");
    assert_eq!([cell(&second.columns[0], 0), cell(&second.columns[1], 1)], ["absent", "absent"]);
}

#[test]
fn more_names_than_are_remembered_are_read_all_the_same() {
    let documents: Vec<String> = (0..300)
        .map(|n| format!("{{\"k{n}\":[{n}],\"wanted\":{n},\"{}\":{{\"wanted\":0}},\"late\":\"{n}\"}}", "y".repeat(n)))
        .collect();
    let pulled =
        pull(&Json, Side::Value, &values(&documents), &[("wanted", Int64), ("late", Text), ("k299", Kind::Json)]);
    for n in 0..300 {
        let cells = [cell(&pulled.columns[0], n), cell(&pulled.columns[1], n)];
        assert_eq!(cells, [n.to_string(), n.to_string()]);
        assert_eq!(cell(&pulled.columns[2], n), if n == 299 { "[299]" } else { "absent" });
    }
}

#[test]
fn a_sample_names_fields_in_order_of_first_appearance() {
    let run = values(&[
        r#"{"symbol":"S1","none":null,"price":1}"#,
        "not json",
        "[1]",
        r#"{"ok":true,"symbol":"S2","price":2.5,"list":[],"object":{"a":1},"mixed":1,"late":null}"#,
        r#"{"mixed":"x","late":false,"twice":1,"twice":"x","":0,"$x":0,"a.b":0,"\u0061":0}"#,
    ]);
    let fields: Vec<(String, Kind)> =
        Json.sample(&run).unwrap().into_iter().map(|f| (f.path.as_str().to_owned(), f.kind)).collect();
    let expected = [
        ("symbol", Text),
        ("none", Text),
        ("price", Float64),
        ("ok", Boolean),
        ("list", Kind::Json),
        ("object", Kind::Json),
        ("mixed", Kind::Json),
        ("late", Boolean),
        ("twice", Text),
        ("a", Float64),
    ];
    assert_eq!(fields, expected.map(|(name, kind)| (name.to_owned(), kind)));
}

#[test]
fn what_has_no_fields_is_no_sample() {
    assert_eq!(Json.sample(&values(&["null", "not json", "{}", "[1]", "7"])), None);
    assert_eq!(Json.sample(&origin(vec![record(None, None)])), None);
}

#[test]
fn what_a_sample_names_can_be_pulled() {
    let run = values(&[r#"{"a":1,"b":"x","c":[true],"d":null,"e":false}"#, r#"{"a":2.5}"#]);
    let fields = Json.sample(&run).unwrap();
    let wants: Vec<_> = fields.into_iter().map(|field| (field.path, field.kind)).collect();
    let pulled = Json.reader(Side::Value, &wants).unwrap().read(&run).unwrap();
    let cells: Vec<String> = pulled.columns.iter().map(|column| cell(column, 0)).collect();
    assert_eq!(cells, ["1.0", "x", "[true]", "null", "false"]);
}
