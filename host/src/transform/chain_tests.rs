//! Chains of plain stages: what they need from records, what becomes of rejected records, and the law of cuts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array};
use proptest::prelude::*;

use super::*;
use crate::error::Kind as ErrorKind;
use crate::record::origin::{OwnedPayloads, OwnedRecord};
use crate::record::{Column, Decoded, Lane};

/// A stage made of a plan and a function from `n` (rows of int64 or null) to output rows.
struct Stub {
    plan: Plan,
    state: i64,
    act: fn(&mut i64, i64) -> Act,
}

/// What a [`Stub`] does with one row.
enum Act {
    Write(i64),
    Twice(i64),
    Drop,
    Reject(&'static str),
    Break,
}

impl Transform for Stub {
    fn alias(&self) -> &'static str {
        "stub"
    }

    fn class(&self) -> &'static str {
        "Stub"
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn transform(&mut self, batch: Batch) -> Result<Transformed> {
        let numbers = batch.pull(&"n".into(), Kind::Int64)?.into_owned();
        let numbers = numbers.array.as_primitive::<Int64Type>();
        let (mut positions, mut written, mut rejections) = (Vec::new(), Vec::new(), Vec::new());
        for (row, number) in numbers.values().iter().enumerate() {
            let row = row as u32;
            match (self.act)(&mut self.state, *number) {
                Act::Write(value) => {
                    positions.push(row);
                    written.push(value);
                }
                Act::Twice(value) => {
                    positions.extend([row, row]);
                    written.extend([value, -value]);
                }
                Act::Drop => {}
                Act::Reject(why) => {
                    let message = (why != "cell").then(|| why.to_owned());
                    rejections.push(Rejection { row, field: Some("n".to_owned()), message });
                }
                Act::Break => return Err(Error::new(ErrorKind::PluginTrap, "it broke")),
            }
        }
        let mut batch = batch.select(&positions.into())?;
        let written = Int64Array::from(written);
        batch.write("n".into(), Column::of(Kind::Int64, Arc::new(written)));
        Ok(Transformed { batch, rejections })
    }
}

fn stub(act: fn(&mut i64, i64) -> Act) -> Box<dyn Transform> {
    let plan = Plan {
        wants: vec![Want { path: "n".into(), kind: Kind::Int64, required: true }],
        writes: vec![Field { path: "n".into(), kind: Kind::Int64 }],
        ..Plan::default()
    };
    Box::new(Stub { plan, state: 0, act })
}

/// Records with these numbers in `n` at offsets 100, 110, 120, …, from the `first` on.
fn batch(numbers: &[i64], first: usize) -> Batch {
    let offsets: Vec<i64> = (0..numbers.len()).map(|i| 100 + 10 * (first + i) as i64).collect();
    let next = offsets.last().map_or(100, |last| last + 1);
    let payloads = OwnedPayloads { records: vec![OwnedRecord::default(); numbers.len()] };
    let timestamps = vec![0; numbers.len()];
    let origin = Origin::new(Lane::new("t", 3), offsets, timestamps, next, 0, Arc::new(payloads));
    let column = Column::of(Kind::Int64, Arc::new(Int64Array::from(numbers.to_vec())));
    let decoded = Decoded { columns: vec![("n".into(), column)], ..Decoded::default() };
    Batch::new(Arc::new(origin), decoded, Rows::All(numbers.len()))
}

/// Offset and value of each row.
fn rows(outcome: &Outcome) -> Vec<(i64, i64)> {
    let batch = &outcome.batch;
    let column = batch.pull(&"n".into(), Kind::Int64).unwrap();
    let values = column.array.as_primitive::<Int64Type>();
    (0..batch.len()).map(|row| (batch.origin.offsets[batch.rows.origin(row)], values.value(row))).collect()
}

#[test]
fn rows_run_through_every_stage_in_order() {
    let mut chain = Chain::new(vec![
        stub(|_, n| Act::Twice(n)),
        stub(|sum, n| {
            *sum += n;
            Act::Write(*sum + 1000)
        }),
    ]);
    let outcome = chain.run(batch(&[1, 2], 0), &[]).unwrap();
    assert_eq!(rows(&outcome), [(100, 1001), (100, 1000), (110, 1002), (110, 1000)]);
    assert!(chain.is_stateful() && outcome.rejected.is_empty());
}

#[test]
fn a_rejected_record_leaves_with_all_its_rows() {
    // Stage 0 makes n and −n of each record, stage 1 rejects negative odd rows.
    let picky = |_: &mut i64, n: i64| if n < 0 && n % 2 != 0 { Act::Reject("odd") } else { Act::Write(n) };
    let mut chain = Chain::new(vec![stub(|_, n| Act::Twice(n)), stub(picky)]);
    let outcome = chain.run(batch(&[2, 3, 4], 0), &[]).unwrap();
    assert_eq!(rows(&outcome), [(100, 2), (100, -2), (120, 4), (120, -4)]);
    let (field, message) = (Some("n".to_owned()), Some("odd".to_owned()));
    assert_eq!(outcome.rejected, [Rejected { record: 1, stage: Stage::Transform(1), field, wanted: None, message }]);
}

#[test]
fn a_cell_that_cannot_be_read_is_left_to_the_converter_to_explain() {
    let mut chain = Chain::new(vec![stub(|_, n| if n == 5 { Act::Reject("cell") } else { Act::Write(n) })]);
    let rejected = chain.run(batch(&[4, 5], 0), &[]).unwrap().rejected;
    let (field, wanted) = (Some("n".to_owned()), Some(Kind::Int64));
    assert_eq!(rejected, [Rejected { record: 1, stage: Stage::Transform(0), field, wanted, message: None }]);
}

#[test]
fn errors_of_all_stages_come_by_record() {
    let odd = |_: &mut i64, n: i64| if n % 2 != 0 { Act::Reject("odd") } else { Act::Write(n) };
    let large = |_: &mut i64, n: i64| if n > 10 { Act::Reject("large") } else { Act::Write(n) };
    let mut chain = Chain::new(vec![stub(odd), stub(large)]);
    let outcome = chain.run(batch(&[12, 1, 4, 14], 0), &[]).unwrap();
    let errors: Vec<_> = outcome.rejected.iter().map(|e| (e.record, e.stage)).collect();
    assert_eq!(errors, [(0, Stage::Transform(1)), (1, Stage::Transform(0)), (3, Stage::Transform(1))]);
    assert_eq!(rows(&outcome), [(120, 4)]);
}

#[test]
fn excluded_records_are_kept_from_their_stage_on() {
    let sum = |state: &mut i64, n: i64| {
        *state += n;
        Act::Write(*state)
    };
    let mut chain = Chain::new(vec![stub(sum), stub(sum)]);
    let excluded = [(2, Stage::Transform(1)), (0, Stage::Transform(0))];
    let outcome = chain.run(batch(&[1, 2, 3, 4], 0), &excluded).unwrap();
    // Stage 0 sums 2, 5, 9; stage 1 is given 2 and 9.
    assert_eq!(rows(&outcome), [(110, 2), (130, 11)]);
    assert!(outcome.rejected.is_empty(), "an exclusion is a decision, not an error");
}

#[test]
fn a_broken_stage_is_named_with_the_records_it_was_given() {
    let mut chain =
        Chain::new(vec![stub(|_, n| if n == 1 { Act::Drop } else { Act::Write(n) }), stub(|_, _| Act::Break)]);
    let failure = chain.run(batch(&[1, 2, 3, 1], 0), &[]).unwrap_err();
    assert_eq!((failure.stage, failure.records.clone()), (Stage::Transform(1), 1..3));
    assert_eq!(failure.error.kind(), ErrorKind::PluginTrap);
    assert_eq!(Error::from(failure).to_string(), "transforms.stub of t-3, offsets 110 to 120: it broke");
}

#[test]
fn stages_run_on_no_rows_too_so_that_their_fields_are_there() {
    let mut chain = Chain::new(vec![stub(|_, _| Act::Drop), stub(|_, n| Act::Write(n))]);
    let outcome = chain.run(batch(&[1, 2], 0), &[]).unwrap();
    assert_eq!(rows(&outcome), []);
    assert_eq!(outcome.batch.pull(&"n".into(), Kind::Int64).unwrap().array.len(), 0);
}

/// A stage that only plans.
fn planned(plan: Plan) -> Box<dyn Transform> {
    Box::new(Stub { plan, state: 0, act: |_, n| Act::Write(n) })
}

fn wants(wanted: &[(&str, Kind)]) -> Vec<Want> {
    wanted.iter().map(|(path, kind)| Want { path: (*path).into(), kind: *kind, required: false }).collect()
}

fn fields(written: &[(&str, Kind)]) -> Vec<Field> {
    written.iter().map(|(path, kind)| Field { path: (*path).into(), kind: *kind }).collect()
}

fn pulls(chain: &Chain, sink: &[(&str, Kind)]) -> Vec<(String, Kind)> {
    chain.projection(&wants(sink)).into_iter().map(|(path, kind)| (path.to_string(), kind)).collect()
}

fn pairs(expected: &[(&str, Kind)]) -> Vec<(String, Kind)> {
    expected.iter().map(|(path, kind)| ((*path).to_owned(), *kind)).collect()
}

#[test]
fn only_what_no_stage_writes_is_pulled() {
    let sma = Plan {
        wants: wants(&[("price", Kind::Float64), ("$key", Kind::Text)]),
        writes: fields(&[("sma", Kind::Float64)]),
        event_time: Some(super::super::EventTime { path: "$timestamp".into(), lateness_us: 0, future_max_us: None }),
        ..Plan::default()
    };
    let round =
        Plan { wants: wants(&[("sma", Kind::Decimal)]), writes: fields(&[("price", Kind::Int64)]), ..Plan::default() };
    let chain = Chain::new(vec![planned(sma), planned(round)]);
    let sink = [("sma", Kind::Float64), ("price", Kind::Float64), ("symbol", Kind::Text), ("price.unit", Kind::Text)];
    let expected =
        [("$key", Kind::Text), ("$timestamp", Kind::Timestamp), ("price", Kind::Float64), ("symbol", Kind::Text)];
    assert_eq!(pulls(&chain, &sink), pairs(&expected));
    assert_eq!(chain.outputs(), fields(&[("sma", Kind::Float64), ("price", Kind::Int64)]));
    assert_eq!(
        pulls(&Chain::new(Vec::new()), &sink[2..]),
        pairs(&[("price.unit", Kind::Text), ("symbol", Kind::Text)])
    );
}

#[test]
fn a_field_is_pulled_once_for_each_kind_that_is_wanted() {
    let both = Plan { wants: wants(&[("ts", Kind::Int64), ("ts", Kind::Timestamp)]), ..Plan::default() };
    let chain = Chain::new(vec![planned(both)]);
    assert_eq!(pulls(&chain, &[("ts", Kind::Timestamp)]), pairs(&[("ts", Kind::Int64), ("ts", Kind::Timestamp)]));
}

#[test]
fn what_a_stage_does_not_carry_is_not_pulled_for_later_ones() {
    let narrow = Plan {
        wants: wants(&[("a", Kind::Text)]),
        writes: fields(&[("b", Kind::Text)]),
        carry: Carry::These(vec!["c".into()]),
        ..Plan::default()
    };
    let chain = Chain::new(vec![planned(narrow)]);
    let sink = [("a", Kind::Int64), ("b", Kind::Text), ("c.d", Kind::Text), ("$offset", Kind::Int64)];
    assert_eq!(pulls(&chain, &sink), pairs(&[("$offset", Kind::Int64), ("a", Kind::Text), ("c.d", Kind::Text)]));
    assert_eq!(chain.carry(), Carry::These(vec!["c".into()]));
    let hidden = Plan { carry: Carry::None, writes: fields(&[("z", Kind::Text)]), ..Plan::default() };
    let chain =
        Chain::new(vec![planned(Plan { writes: fields(&[("y", Kind::Text)]), ..Plan::default() }), planned(hidden)]);
    assert_eq!(chain.outputs(), fields(&[("z", Kind::Text)]));
}

#[test]
fn tombstones_that_go_by_keep_the_key_that_other_rows_have_rewritten() {
    let rekey = |tombstones| Plan { writes: fields(&[("$key", Kind::Text)]), tombstones, ..Plan::default() };
    let sink = [("$key", Kind::Text)];
    assert_eq!(pulls(&Chain::new(vec![planned(rekey(false))]), &sink), pairs(&sink));
    assert_eq!(pulls(&Chain::new(vec![planned(rekey(true))]), &sink), pairs(&[]));
}

/// Drops, doubles, rejects and sums, each by state that earlier rows have left.
fn lawful() -> Chain {
    Chain::new(vec![
        stub(|count, n| {
            *count += 1;
            match *count % 5 {
                0 => Act::Drop,
                1 => Act::Twice(n),
                _ => Act::Write(n),
            }
        }),
        stub(|last, n| {
            let jump = n - std::mem::replace(last, n);
            if jump > 40 { Act::Reject("jump") } else { Act::Write(n) }
        }),
        stub(|sum, n| {
            *sum = sum.wrapping_mul(31).wrapping_add(n);
            Act::Write(*sum)
        }),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Rows and errors are the same wherever batches are cut.
    #[test]
    fn cuts_change_nothing(numbers in prop::collection::vec(-50i64..50, 1..60), cuts in prop::collection::vec(0usize..60, 0..8)) {
        let whole = lawful().run(batch(&numbers, 0), &[]).unwrap();
        let mut edges: Vec<usize> = cuts.into_iter().map(|cut| cut % numbers.len()).chain([0, numbers.len()]).collect();
        edges.sort_unstable();
        let (mut chain, mut cut_rows, mut cut_errors) = (lawful(), Vec::new(), Vec::new());
        for edge in edges.windows(2) {
            let outcome = chain.run(batch(&numbers[edge[0]..edge[1]], edge[0]), &[]).unwrap();
            cut_rows.extend(rows(&outcome));
            cut_errors.extend(outcome.rejected.into_iter().map(|e| (e.record as usize + edge[0], e.stage)));
        }
        prop_assert_eq!(cut_rows, rows(&whole));
        let whole_errors: Vec<_> = whole.rejected.iter().map(|e| (e.record as usize, e.stage)).collect();
        prop_assert_eq!(cut_errors, whole_errors);
    }
}
