//! The test kit behaves as a host does: required fields, exact numbers, running watermark.

use weir_plugin_sdk::testkit::{Chance, Datum, Kit, Record};
use weir_plugin_sdk::{Batch, Description, Failure, Kind, OFFSET, Output, Plan, Plugin, Settings, WATERMARK, record};

/// Repeats what it is given.
#[derive(Debug)]
struct Echo;

impl Plugin for Echo {
    fn describe() -> Description {
        Description::new("echo", "1.0.0", "Repeats its inputs.")
    }

    fn configure(_: &Settings) -> Result<(Self, Plan), Failure> {
        let plan = Plan::new()
            .input("price", Kind::Float64)
            .required()
            .input("at", Kind::Timestamp)
            .input(OFFSET, Kind::Int64)
            .input(WATERMARK, Kind::Int64)
            .output("price", Kind::Float64)
            .output("at", Kind::Timestamp)
            .output("offset", Kind::Int64)
            .output("watermark", Kind::Int64)
            .event_time("at", 10)
            .future_max(1_000);
        Ok((Self, plan))
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        for position in 0..4 {
            output.column(position)?.copy(batch, position)?;
        }
        output.identity();
        if batch.float64s(0)?.values().first() == Some(&-1.0) {
            output.reject(0, 5, "Field `price` is -1.");
        }
        Ok(())
    }
}

#[test]
fn the_watermark_before_a_row_runs_behind_the_newest_event_time() {
    let times = [Some(100), Some(50), None, Some(200), Some(0)];
    let records = times.map(|at| record! { "price": 1.0 }.with("at", at));
    let mut kit = Kit::<Echo>::new(&[]).unwrap();
    let mut outcome = kit.process(&records[..2]).unwrap();
    outcome.extend(kit.process(&records[2..]).unwrap());
    let watermarks: Vec<&Datum> = outcome.rows.iter().map(|row| row.get("watermark")).collect();
    let expected = [Datum::Null, Datum::Int64(90), Datum::Int64(90), Datum::Int64(90), Datum::Int64(190)];
    assert_eq!(watermarks, expected.iter().collect::<Vec<_>>());
    assert_eq!(outcome.origins, [0, 1, 2, 3, 4]);
    assert_eq!(outcome.rows[4].get("offset"), &Datum::Int64(4));
}

#[test]
fn a_record_that_the_plugin_is_not_given_leaves_no_trace_in_the_watermark() {
    let records = [
        record! { "price": 1, "at": 100 },
        record! { "at": 900 },               // no price
        record! { "price": 1, "at": 1_101 }, // 1 001 ahead
        record! { "price": 1, "at": 1_100 },
        record! { "price": 1, "at": 0 },
    ];
    let outcome = Kit::<Echo>::new(&[]).unwrap().process(&records).unwrap();
    let watermarks: Vec<&Datum> = outcome.rows.iter().map(|row| row.get("watermark")).collect();
    assert_eq!(watermarks, [&Datum::Null, &Datum::Int64(90), &Datum::Int64(1_090)]);
    assert_eq!(outcome.rejected.iter().map(|error| error.row).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(outcome.rejected[1].message, "Event time 1101 is more than 1000 µs ahead of 100, the newest before it.");
}

#[test]
fn an_advanced_watermark_never_falls() {
    let mut kit = Kit::<Echo>::new(&[]).unwrap();
    assert_eq!(kit.advance(500).unwrap().rows, []);
    let outcome = kit.process(&[record! { "price": 1, "at": 100 }, record! { "price": 1 }]).unwrap();
    let watermarks: Vec<&Datum> = outcome.rows.iter().map(|row| row.get("watermark")).collect();
    assert_eq!(watermarks, [&Datum::Int64(500), &Datum::Int64(500)]);
}

#[test]
fn records_that_the_host_rejects_never_reach_the_plugin() {
    let records = [
        record! { "price": 3 },
        record! {},
        record! { "price": Datum::Null },
        record! { "price": (1_i64 << 53) + 1 },
        record! { "price": "1.5" },
        record! { "price": 4.5 },
    ];
    let outcome = Kit::<Echo>::new(&[]).unwrap().process(&records).unwrap();
    assert_eq!(outcome.origins, [0, 5]);
    assert_eq!(outcome.rows[0].get("price"), &Datum::Float64(3.0));
    let rejected: Vec<(u32, &str)> = outcome.rejected.iter().map(|error| (error.row, error.message.as_str())).collect();
    let lacks = "Field `price` is required, but the record does not have it.";
    let expected = [
        (1, lacks),
        (2, lacks),
        (3, "Field `price` is not of kind Float64: Int64(9007199254740993)."),
        (4, "Field `price` is not of kind Float64: Text(\"1.5\")."),
    ];
    assert_eq!(rejected, expected);
}

#[test]
fn a_rejected_row_of_an_identity_output_is_dropped() {
    let mut kit = Kit::<Echo>::new(&[]).unwrap();
    kit.process(&[record! { "price": 1 }]).unwrap();
    let outcome = kit.process(&[record! { "price": -1 }, record! { "price": 2 }]).unwrap();
    assert_eq!((outcome.origins, outcome.rows.len()), (vec![2], 1));
    assert_eq!((outcome.rejected[0].row, outcome.rejected[0].code), (1, 5));
}

#[test]
fn records_are_equal_by_field_and_by_bits() {
    assert_eq!(record! { "a": 1, "b": f64::NAN }, record! { "b": f64::NAN, "a": 1 });
    assert_ne!(record! { "a": 0.0 }, record! { "a": -0.0 });
    assert_ne!(record! { "a": 1 }, record! { "a": 1, "b": Datum::Null });
    assert_eq!(record! { "a": 1 }, Record::new().with("a", 2).with("a", 1).with("b", Datum::Absent));
}

#[test]
fn chance_is_repeatable_and_within_bounds() {
    let draw = |seed| {
        let mut chance = Chance::new(seed);
        (0..1_000).map(|_| chance.below(6)).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert!((0..6).all(|face| draw(1).contains(&face)));
    assert_eq!(Chance::new(1).below(0), 0);
    let mut shuffled: Vec<usize> = (0..50).collect();
    Chance::new(3).shuffle(&mut shuffled);
    assert!(!shuffled.is_sorted());
    shuffled.sort_unstable();
    assert!(shuffled.into_iter().eq(0..50));
}
