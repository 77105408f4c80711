//! Columns cell by cell, at lengths around the words in which bitmaps are packed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};

use super::{Bytes, Fixed, State, pack_booleans};
use crate::convert::testing::cell;
use crate::record::{Column, Kind};

const STATES: [State; 4] = [State::Value, State::Absent, State::Null, State::Mismatch];

fn words(column: &Column) -> Vec<String> {
    (0..column.array.len()).map(|row| cell(column, row)).collect()
}

fn finish(cells: &mut Fixed<i64>) -> Column {
    cells.finish(Kind::Int64, |values, nulls| Ok(Arc::new(Int64Array::new(values.into(), nulls)) as ArrayRef)).unwrap()
}

#[test]
fn each_state_of_each_cell_is_kept_at_any_length() {
    for rows in 0..40 {
        for step in 1..5 {
            let (mut fixed, mut bytes) = (Fixed::<i64>::default(), Bytes::default());
            fixed.begin(rows);
            bytes.begin(rows);
            let mut expected = Vec::new();
            for row in 0..rows {
                let state = STATES[row * step % 4];
                if state == State::Value {
                    fixed.set(row, Some(row as i64));
                    bytes.set_bytes(row, row.to_string().as_bytes());
                } else {
                    fixed.mark(row, state);
                    bytes.mark(row, state);
                }
                expected.push(match state {
                    State::Value => row.to_string(),
                    State::Absent => "absent".to_owned(),
                    State::Null => "null".to_owned(),
                    State::Mismatch => "mismatch".to_owned(),
                });
            }
            assert_eq!(words(&finish(&mut fixed)), expected);
            assert_eq!(words(&bytes.finish(Kind::Text).unwrap()), expected);
        }
    }
}

#[test]
fn a_cell_can_be_set_again() {
    let (mut fixed, mut bytes) = (Fixed::<i64>::default(), Bytes::default());
    fixed.begin(3);
    bytes.begin(3);
    bytes.set_bytes(0, b"first");
    bytes.set_bytes(1, b"long text");
    bytes.set_bytes(1, b"x");
    bytes.mark(1, State::Null);
    bytes.set(1, |out| {
        out.extend_from_slice(b"half");
        false
    });
    bytes.set_bytes(2, b"gone");
    bytes.mark(2, State::Absent);
    fixed.set(0, Some(1));
    fixed.set(0, None);
    fixed.set(1, Some(1));
    fixed.set(1, Some(2));
    fixed.mark(2, State::Null);
    fixed.set(2, Some(3));
    assert_eq!(words(&bytes.finish(Kind::Text).unwrap()), ["first", "mismatch", "absent"]);
    assert_eq!(words(&finish(&mut fixed)), ["mismatch", "2", "3"]);
}

#[test]
fn a_builder_starts_anew_after_each_column() {
    let mut bytes = Bytes::default();
    bytes.begin(2);
    bytes.set_bytes(1, b"ab");
    assert_eq!(words(&bytes.finish(Kind::Binary).unwrap()), ["absent", "6162"]);
    bytes.begin(1);
    assert_eq!(words(&bytes.finish(Kind::Binary).unwrap()), ["absent"]);
}

#[test]
fn booleans_are_packed_in_order() {
    for rows in 0..70_usize {
        let bytes: Vec<u8> = (0..rows).map(|row| u8::from(row % 3 == 0)).collect();
        let bits = pack_booleans(&bytes);
        assert_eq!(bits.iter().collect::<Vec<_>>(), bytes.iter().map(|byte| *byte == 1).collect::<Vec<_>>());
    }
}
