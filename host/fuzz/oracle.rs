//! What the JSON converter must agree on with serde_json, for any bytes. The fuzz target and the tests of the
//! converter share this file; whoever includes it has the crate in scope under the name `weir`.
//!
//! Known differences, by design: nesting (serde_json stops at 127 levels, weir after 128), and an integer that is
//! no float exactly (serde_json rounds it, weir calls it a mismatch).

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use serde_json::{Number, Value};

use super::weir::convert::{Reader, Side, by_name};
use super::weir::record::origin::{OwnedPayloads, OwnedRecord};
use super::weir::record::{Column, Kind, Lane, Origin, Path};

const KINDS: [Kind; 8] =
    [Kind::Int64, Kind::Float64, Kind::Boolean, Kind::Text, Kind::Binary, Kind::Decimal, Kind::Timestamp, Kind::Json];

/// Pulls `a`, `b`, `a.b` and the whole value from one payload after another with the same reader, as a lane does.
pub struct Oracle {
    reader: Box<dyn Reader>,
    wants: Vec<(Path, Kind)>,
}

/// A run of one record.
fn run(payload: &[u8]) -> Origin {
    let record = OwnedRecord { key: None, value: Some(payload.to_vec()), headers: Vec::new() };
    let payloads = Arc::new(OwnedPayloads { records: vec![record] });
    Origin::new(Lane::new("fuzz", 0), vec![0], vec![0], 1, payload.len(), payloads)
}

fn reader(wants: &[(Path, Kind)]) -> Box<dyn Reader> {
    let json = by_name("json").expect("the JSON converter exists");
    json.reader(Side::Value, wants).expect("any path can be wanted of JSON")
}

fn each_kind<'p>(paths: impl IntoIterator<Item = &'p str>) -> Vec<(Path, Kind)> {
    paths.into_iter().flat_map(|path| KINDS.map(|kind| (Path::from(path), kind))).collect()
}

impl Default for Oracle {
    fn default() -> Self {
        let wants = each_kind(["a", "", "b", "a.b"]);
        Oracle { reader: reader(&wants), wants }
    }
}

impl Oracle {
    /// Panics where weir and serde_json disagree about a payload. True if both take it.
    pub fn check(&mut self, payload: &[u8]) -> bool {
        let pulled = self.reader.read(&run(payload)).expect("a payload cannot break a reader");
        let value = match (serde_json::from_slice::<Value>(payload), pulled.malformed.first()) {
            (Ok(value), None) => value,
            (Err(_), Some(_)) => return false,
            (Ok(_), Some((_, sentence))) => {
                panic!("serde_json takes what weir refuses: {sentence}")
            }
            (Err(error), None) if error.to_string().starts_with("recursion limit") => return false,
            (Err(error), None) => panic!("weir takes what serde_json refuses: {error}"),
        };
        compare(&value, &self.wants, &pulled.columns);
        let members = value.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let nameable = members.filter(|name| !name.is_empty() && !name.starts_with('$') && !name.contains('.'));
        let wants = each_kind(nameable.take(4));
        let pulled = reader(&wants).read(&run(payload)).expect("a payload cannot break a reader");
        compare(&value, &wants, &pulled.columns);
        true
    }
}

/// What serde_json says about a path.
enum Expected<'v> {
    Absent,
    Mismatch,
    Value(&'v Value),
}

fn look_up<'v>(document: &'v Value, path: &Path) -> Expected<'v> {
    if document.is_null() {
        return Expected::Absent;
    }
    let mut value = document;
    for segment in path.segments().filter(|_| !path.as_str().is_empty()) {
        match value {
            Value::Object(members) => match members.get(segment) {
                Some(member) => value = member,
                None => return Expected::Absent,
            },
            Value::Null => return Expected::Absent,
            _ => return Expected::Mismatch,
        }
    }
    Expected::Value(value)
}

fn compare(document: &Value, wants: &[(Path, Kind)], columns: &[Column]) {
    assert_eq!(wants.len(), columns.len());
    for ((path, kind), column) in wants.iter().zip(columns) {
        let is_value = column.array.is_valid(0);
        let state = (column.is_absent(0), column.is_mismatch(0), is_value);
        match look_up(document, path) {
            Expected::Absent => {
                assert_eq!(state, (true, false, false), "{path} as {kind} is absent");
            }
            Expected::Mismatch => assert_eq!(state, (false, true, false), "{path} as {kind} is a mismatch"),
            Expected::Value(Value::Null) => {
                assert_eq!(state, (false, false, false), "{path} as {kind} is null");
            }
            Expected::Value(value) => {
                assert_eq!(column.is_mismatch(0), !is_value, "{path} as {kind} is a value or a mismatch");
                assert!(!column.is_absent(0), "{path} as {kind} is there");
                assert!(agrees(value, *kind, column), "{path} as {kind} of {value}: {:?}", column.array);
            }
        }
    }
}

/// Whether the cell is what serde_json's value allows.
fn agrees(value: &Value, kind: Kind, column: &Column) -> bool {
    let array = &column.array;
    let is_value = array.is_valid(0);
    match (kind, value) {
        (Kind::Json, _) => {
            let text = array.as_string::<i32>().value(0);
            serde_json::from_str::<Value>(text).is_ok_and(|read| read == *value)
        }
        (Kind::Text, Value::String(text)) => is_value && array.as_string::<i32>().value(0) == text,
        (Kind::Boolean, Value::Bool(value)) => is_value && array.as_boolean().value(0) == *value,
        (Kind::Int64 | Kind::Float64 | Kind::Decimal, Value::Number(number)) => match kind {
            Kind::Int64 => agrees_int64(number, column),
            Kind::Float64 => agrees_float64(number, column),
            _ => agrees_decimal(number, column),
        },
        (Kind::Binary | Kind::Timestamp, Value::String(_)) => true,
        _ => !is_value,
    }
}

/// The number where serde_json keeps it as an integer.
fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or(number.as_u64().map(i128::from))
}

fn agrees_int64(number: &Number, column: &Column) -> bool {
    let array = &column.array;
    let cell = array.is_valid(0).then(|| array.as_primitive::<Int64Type>().value(0));
    match integer(number) {
        Some(integer) => cell == i64::try_from(integer).ok(),
        // Not written as an integer: equal to one at most by its value.
        None => cell.is_none_or(|cell| number.as_f64() == Some(cell as f64)),
    }
}

fn agrees_float64(number: &Number, column: &Column) -> bool {
    let array = &column.array;
    let cell = array.is_valid(0).then(|| array.as_primitive::<Float64Type>().value(0));
    let float = number.as_f64().unwrap_or(f64::NAN);
    let same = cell.is_some_and(|cell| cell.to_bits() == float.to_bits());
    match integer(number) {
        Some(integer) if float as i128 == integer => same,
        Some(_) => cell.is_none(),
        // A long integer may be a mismatch; any other float is taken as it is.
        None => same || (cell.is_none() && float.fract() == 0.0 && float.abs() >= 9e18),
    }
}

fn agrees_decimal(number: &Number, column: &Column) -> bool {
    let array = &column.array;
    let cell = array.is_valid(0).then(|| array.as_primitive::<Decimal128Type>().value(0));
    let float = number.as_f64().unwrap_or(f64::NAN);
    match integer(number) {
        Some(integer) => cell == Some(integer * 10_i128.pow(18)),
        None => cell.is_none_or(|cell| (cell as f64 / 1e18 - float).abs() <= float.abs() * 1e-15),
    }
}
