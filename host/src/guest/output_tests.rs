//! Rows as a guest emits them, and the errors that it returns beside them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;

use super::*;
use crate::record::Kind;

fn output(rows_in: usize) -> Output {
    let fields = [Field { path: "n".into(), kind: Kind::Int64 }];
    Output::new(fields.into_iter().collect(), rows_in, 100, 10_000)
}

fn ints(values: &[i64]) -> Vec<types::ColumnResult> {
    let values = types::ValuesResult::Int64s(values.to_vec());
    vec![types::ColumnResult { field: 0, validity: Vec::new(), absent: Vec::new(), values }]
}

fn rows(rows: &[u32]) -> wit::Origin {
    wit::Origin::Rows(rows.to_vec())
}

fn error(row: u32) -> types::RowError {
    types::RowError { row, code: 7, message: "no\tprice".to_owned() }
}

fn numbers(processed: &Processed) -> Vec<i64> {
    processed.columns[0].array.as_primitive::<Int64Type>().values().to_vec()
}

#[track_caller]
fn broke<T: std::fmt::Debug>(result: Result<T, Fault>, expected: &str) {
    match result {
        Err(Fault::Contract(what)) => assert!(what.contains(expected), "{what} does not say {expected}"),
        other => panic!("{other:?} instead of a contract fault with {expected}"),
    }
}

#[test]
fn one_emit_of_identity_is_passed_on_as_it_is() {
    let mut output = output(2);
    output.emit(wit::Origin::Identity, ints(&[5, 6])).unwrap();
    let processed = output.finish(Vec::new()).unwrap();
    assert_eq!((processed.origin.clone(), numbers(&processed)), (RowOrigin::Identity, vec![5, 6]));
}

#[test]
fn rejected_rows_of_identity_are_dropped() {
    let mut output = output(4);
    output.emit(wit::Origin::Identity, ints(&[5, 6, 7, 8])).unwrap();
    let processed = output.finish(vec![error(0), error(2)]).unwrap();
    assert_eq!(processed.origin, RowOrigin::Rows(vec![1, 3].into()));
    assert_eq!(numbers(&processed), [6, 8]);
    let first = GuestRowError { row: 0, code: 7, message: "no price".to_owned() };
    assert_eq!((processed.row_errors.len(), &processed.row_errors[0]), (2, &first));
}

#[test]
fn several_emits_concatenate_and_none_drops_every_row() {
    let mut several = output(3);
    several.emit(rows(&[0, 0]), ints(&[1, 2])).unwrap();
    several.emit(rows(&[]), ints(&[])).unwrap();
    several.emit(rows(&[0, 2]), ints(&[3, 4])).unwrap();
    let processed = several.finish(vec![error(1)]).unwrap();
    assert_eq!(processed.origin, RowOrigin::Rows(vec![0, 0, 0, 2].into()));
    assert_eq!(numbers(&processed), [1, 2, 3, 4]);
    let nothing = output(3).finish(Vec::new()).unwrap();
    assert_eq!((nothing.origin.clone(), numbers(&nothing).len()), (RowOrigin::Rows(Vec::new().into()), 0));
}

#[test]
fn rows_of_advance_have_origin_zero() {
    let mut advance = output(0);
    advance.emit(rows(&[0, 0]), ints(&[1, 2])).unwrap();
    assert_eq!(advance.finish(Vec::new()).unwrap().origin, RowOrigin::Rows(vec![0, 0].into()));
    broke(output(0).emit(wit::Origin::Identity, ints(&[])), "identity origin without a batch");
    broke(output(0).emit(rows(&[1]), ints(&[1])), "origin 1 in a batch of 0 rows");
}

#[test]
fn origins_that_fall_or_lie_beyond_the_batch_are_named() {
    broke(output(3).emit(rows(&[1, 0]), ints(&[1, 2])), "origin 0 after a higher one");
    broke(output(3).emit(rows(&[3]), ints(&[1])), "origin 3 in a batch of 3 rows");
    let mut across = output(3);
    across.emit(rows(&[2]), ints(&[1])).unwrap();
    broke(across.emit(rows(&[1]), ints(&[1])), "origin 1 after a higher one");
}

#[test]
fn identity_is_the_only_emit_of_a_call() {
    let mut twice = output(1);
    twice.emit(wit::Origin::Identity, ints(&[1])).unwrap();
    broke(twice.emit(rows(&[0]), ints(&[1])), "after rows of identity origin");
    let mut late = output(1);
    late.emit(rows(&[0]), ints(&[1])).unwrap();
    broke(late.emit(wit::Origin::Identity, ints(&[1])), "identity origin after others");
}

#[test]
fn columns_are_those_of_the_plan() {
    broke(output(1).emit(wit::Origin::Identity, Vec::new()), "0 columns, but its plan writes 1");
    let mut wrong_field = ints(&[1]);
    wrong_field[0].field = 4;
    broke(output(1).emit(wit::Origin::Identity, wrong_field), "field 4 where 0 (n) was due");
    broke(output(2).emit(wit::Origin::Identity, ints(&[1])), "column n that has 1 values, not 2");
}

#[test]
fn row_errors_rise_lie_within_the_batch_and_have_no_output() {
    broke(output(3).finish(vec![error(1), error(1)]), "rows rise and occur once");
    broke(output(3).finish(vec![error(2), error(0)]), "rows rise and occur once");
    broke(output(3).finish(vec![error(3)]), "error of row 3 in a batch of 3 rows");
    let mut both = output(3);
    both.emit(rows(&[0, 2]), ints(&[1, 2])).unwrap();
    broke(both.finish(vec![error(1), error(2)]), "emitted a row of row 2 and returned it as an error");
}

#[test]
fn rows_and_bytes_of_a_call_are_bounded() {
    let mut output = output(60);
    let many = vec![0; 60];
    output.emit(rows(&many), ints(&[1; 60])).unwrap();
    let over = output.emit(rows(&many), ints(&[1; 60]));
    assert!(
        matches!(over, Err(Fault::Limit(what)) if what == "emitted 120 rows in one call; its limit is 100 (plugin.limits.output.rows)")
    );
}
