//! Columns as the plan promises them, and columns that break one promise each.

use crate::Fault;
use crate::bindings::weir::plugin::types::{Column, Dictionary, Texts, Values};

fn column(field: u32, values: Values) -> Column {
    Column { field, validity: Vec::new(), absent: Vec::new(), values }
}

/// Texts end to end.
pub fn texts(values: &[&str]) -> Texts {
    let mut texts = Texts { bytes: Vec::new(), offsets: vec![0] };
    for value in values {
        texts.bytes.extend_from_slice(value.as_bytes());
        texts.offsets.push(texts.bytes.len() as u32);
    }
    texts
}

/// `out` with these numbers and `note` with these texts.
pub fn with_note(numbers: &[i64], notes: Texts) -> Vec<Column> {
    vec![column(0, Values::Int64s(numbers.to_vec())), column(1, Values::Texts(notes))]
}

/// What the plan promises: each number as `out`, and `ok` as `note`.
pub fn honest(numbers: &[i64]) -> Vec<Column> {
    let notes = Dictionary { ids: vec![0; numbers.len()], values: texts(&["ok"]) };
    vec![column(0, Values::Int64s(numbers.to_vec())), column(1, Values::Dictionary(notes))]
}

/// Columns with this fault; none where it is no fault of columns.
pub fn columns(fault: Fault, numbers: &[i64]) -> Option<Vec<Column>> {
    let rows = numbers.len();
    let mut columns = honest(numbers);
    let note = |values| column(1, values);
    match fault {
        Fault::ColumnCount => drop(columns.pop()),
        Fault::ColumnType => {
            columns.remove(0);
            columns.insert(0, column(0, Values::Texts(texts(&vec!["1"; rows]))));
        }
        Fault::ColumnLength => {
            columns.remove(0);
            columns.insert(0, column(0, Values::Int64s(vec![0; rows + 1])));
        }
        Fault::ValidityLength => columns.iter_mut().for_each(|column| column.validity = vec![255; rows + 1]),
        Fault::OffsetsFall | Fault::IdsOutOfRange | Fault::InvalidUtf8 => {
            columns.pop();
            columns.push(note(match fault {
                Fault::IdsOutOfRange => Values::Dictionary(Dictionary { ids: vec![9; rows], values: texts(&["ok"]) }),
                Fault::InvalidUtf8 => {
                    let offsets = (0..=rows as u32).collect();
                    Values::Texts(Texts { bytes: vec![0xff; rows], offsets })
                }
                // The last offset is right, and what stands before it is beyond it.
                _ => {
                    let last = rows as u32;
                    let beyond = core::iter::repeat_n(last + 1, rows - 1);
                    let first = if rows == 1 { last + 1 } else { 0 };
                    let offsets = [first].into_iter().chain(beyond).chain([last]).collect();
                    Values::Texts(Texts { bytes: vec![b'x'; rows], offsets })
                }
            }));
        }
        _ => return None,
    }
    Some(columns)
}
