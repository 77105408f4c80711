//! Advances through a chain: what a stage fires runs through the stages behind it, before they fire themselves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;

use super::*;
use crate::record::origin::{OwnedPayloads, OwnedRecord};
use crate::record::{Field, FieldSource, Lane};
use crate::transform::{Plan, Rejection, Transform, Transformed};

/// Writes `n`: fires the sum of all that it was given when its watermark moves, and passes rows on tenfold; it takes no
/// number above its bound.
struct Summing {
    plan: Plan,
    newest: i64,
    sum: i64,
    bound: i64,
}

fn ints(values: Vec<i64>) -> Column {
    Column::of(Kind::Int64, Arc::new(Int64Array::from(values)))
}

impl Transform for Summing {
    fn alias(&self) -> &'static str {
        "sum"
    }

    fn class(&self) -> &'static str {
        "Summing"
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn transform(&mut self, mut batch: Batch) -> Result<Transformed> {
        let given = batch.pull(&"n".into(), Kind::Int64)?.into_owned();
        let values: Vec<i64> = given.array.as_primitive::<Int64Type>().values().to_vec();
        let rejected = (0..).zip(&values).filter(|(_, value)| **value > self.bound);
        let message = Some("too much".to_owned());
        let rejections = rejected.map(|(row, _)| Rejection { row, field: None, message: message.clone() }).collect();
        self.sum += values.iter().sum::<i64>();
        batch.write("n".into(), ints(values.iter().map(|value| value * 10).collect()));
        Ok(Transformed { batch, rejections })
    }

    fn idle_watermark(&self, idle_us: u64) -> Option<i64> {
        (self.newest > 0).then(|| self.newest.saturating_add_unsigned(idle_us))
    }

    fn advance(&mut self, watermark_us: i64) -> Result<Option<Fired>> {
        if self.newest >= watermark_us {
            return Ok(None);
        }
        self.newest = watermark_us;
        Ok(Some(Fired { rows: 1, columns: vec![ints(vec![self.sum])] }))
    }
}

fn stage(newest: i64, sum: i64, bound: i64) -> Box<dyn Transform> {
    let want = |path: &str| Want { path: path.into(), kind: Kind::Int64, required: false };
    let plan = Plan {
        wants: vec![want("n"), want("$offset"), want("$headers.h")],
        writes: vec![Field { path: "n".into(), kind: Kind::Int64 }],
        ..Plan::default()
    };
    Box::new(Summing { plan, newest, sum, bound })
}

fn origin() -> Arc<Origin> {
    let record = OwnedRecord { value: Some(Vec::new()), ..OwnedRecord::default() };
    let payloads = Arc::new(OwnedPayloads { records: vec![record] });
    Arc::new(Origin::new(Lane::new("t", 3), vec![41], vec![0], 42, 0, payloads))
}

fn values(advanced: &Advanced) -> Vec<Vec<i64>> {
    let of = |batch: &Batch| {
        let column = batch.pull(&"n".into(), Kind::Int64).unwrap();
        column.array.as_primitive::<Int64Type>().values().to_vec()
    };
    advanced.batches.iter().map(of).collect()
}

#[test]
fn what_a_stage_fires_runs_through_those_behind_it_before_they_fire() {
    let mut chain = Chain::new(vec![stage(5, 7, 100), stage(8, 1, 100)]);
    let watermarks = chain.idle_watermarks(10);
    assert_eq!(watermarks, [(Stage::Transform(0), 15), (Stage::Transform(1), 18)]);
    let advanced = chain.advance(&origin(), &watermarks, &[]).unwrap();
    assert_eq!(values(&advanced), [[70], [8]], "the second one has taken the seven in");
    // Where they are already, nothing is fired again.
    assert!(chain.advance(&origin(), &watermarks, &[]).unwrap().batches.is_empty());
    let one = chain.advance(&origin(), &[(Stage::Transform(1), 20)], &[]).unwrap();
    assert_eq!(values(&one), [[8]]);
}

#[test]
fn a_stage_without_an_event_time_is_not_moved() {
    let chain = Chain::new(vec![stage(0, 7, 100), stage(3, 1, 100)]);
    assert_eq!(chain.idle_watermarks(10), [(Stage::Transform(1), 13)]);
}

#[test]
fn rows_carry_the_coordinates_of_the_last_record_and_nothing_else_of_it() {
    let mut chain = Chain::new(vec![stage(5, 7, 100)]);
    let wants = [Want { path: "$topic".into(), kind: Kind::Text, required: false }];
    let advanced = chain.advance(&origin(), &[(Stage::Transform(0), 6)], &wants).unwrap();
    let batch = &advanced.batches[0];
    assert_eq!((batch.origin.offsets[batch.rows.origin(0)], batch.source(&"price".into())), (41, FieldSource::Nowhere));
    let pulled = |path: &str, kind| batch.pull(&path.into(), kind).unwrap().into_owned();
    assert_eq!(pulled("$offset", Kind::Int64).array.as_primitive::<Int64Type>().value(0), 41);
    assert_eq!(pulled("$topic", Kind::Text).array.as_string::<i32>().value(0), "t");
    assert!(pulled("$headers.h", Kind::Int64).is_absent(0));
}

#[test]
fn a_row_that_a_later_stage_rejects_is_told_as_the_last_record() {
    let mut chain = Chain::new(vec![stage(5, 7, 100), stage(0, 0, 6)]);
    let advanced = chain.advance(&origin(), &[(Stage::Transform(0), 6)], &[]).unwrap();
    assert_eq!(advanced.batches.iter().map(Batch::len).sum::<usize>(), 0);
    let rejected: Vec<_> = advanced.rejected.iter().map(|rejected| (rejected.record, rejected.stage)).collect();
    assert_eq!(rejected, [(0, Stage::Transform(1))]);
}
