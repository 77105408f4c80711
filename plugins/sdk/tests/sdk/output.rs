//! What plugins write: by column and by row, where it comes from, what is rejected, and every mistake.

use weir_plugin_sdk::{Cell, Decimal, Failure, Kind, Origin, Output, Plan, Values};

fn two_fields() -> Plan {
    Plan::new().output("mean", Kind::Float64).output("count", Kind::Int64)
}

fn begun(rows: usize) -> Output {
    let mut output = Output::new(&two_fields());
    output.begin(rows);
    output
}

/// Writes with `write` into the output of a batch of three rows and finishes it.
fn finished(write: impl FnOnce(&mut Output) -> Result<(), Failure>) -> Result<Output, String> {
    let mut output = begun(3);
    write(&mut output).map_err(|failure| failure.message)?;
    output.finish().map_err(|failure| failure.message)?;
    Ok(output)
}

#[test]
fn nothing_written_is_nothing_emitted() {
    let output = finished(|_| Ok(())).unwrap();
    assert_eq!(output.emitted().rows, 0);
}

#[test]
fn columns_at_once_beside_origins_and_rejections() {
    let output = finished(|output| {
        let parts = output.parts([1, 0])?;
        let [count, mean] = parts.columns;
        let (count, mean) = (count.int64s()?, mean.float64s()?);
        for row in 0..3 {
            if row == 1 {
                parts.rejected.push(row, 7, "Field `price` is negative.");
                continue;
            }
            parts.origins.push(row);
            count.push_value(row as i64);
            mean.push((row == 2).then_some(0.5));
        }
        Ok(())
    })
    .unwrap();
    let emitted = output.emitted();
    assert_eq!(emitted.origin, Origin::Rows(&[0, 2]));
    assert_eq!((emitted.origin.of(1), emitted.origin.of(2)), (Some(2), None));
    assert_eq!(emitted.columns[0].float64s().unwrap().get(0), Cell::Null);
    assert_eq!(emitted.columns[1].values, Values::Int64s(&[0, 2]));
    assert_eq!((output.rejected()[0].row, output.rejected()[0].code), (1, 7));
}

#[test]
fn an_origin_for_every_row_in_order_is_the_identity() {
    let output = finished(|output| {
        for row in 0..3 {
            output.row(row).set("mean", 1.0)?;
        }
        Ok(())
    })
    .unwrap();
    let emitted = output.emitted();
    assert_eq!((emitted.origin, emitted.rows), (Origin::Identity, 3));
    assert_eq!(emitted.origin.of(2), Some(2));
    assert!(emitted.columns[1].int64s().unwrap().is_absent(2));
}

#[test]
fn one_row_may_become_many_and_others_none() {
    let output = finished(|output| {
        output.row(1).set("count", 1)?;
        output.row(1).set("count", 2)?.set("mean", 0.5)?;
        output.row(1);
        Ok(())
    })
    .unwrap();
    let emitted = output.emitted();
    assert_eq!(emitted.origin, Origin::Rows(&[1, 1, 1]));
    let cells: Vec<_> = emitted.columns[0].float64s().unwrap().iter().collect();
    assert_eq!(cells, [Cell::Absent, Cell::Value(0.5), Cell::Absent]);
    let cells: Vec<_> = emitted.columns[1].int64s().unwrap().iter().collect();
    assert_eq!(cells, [Cell::Value(1), Cell::Value(2), Cell::Absent]);
}

#[test]
fn a_filter_needs_no_columns() {
    let mut output = Output::new(&Plan::new().carry_all());
    output.begin(3);
    output.origin(0);
    output.origin(2);
    output.finish().unwrap();
    assert_eq!(output.emitted().origin, Origin::Rows(&[0, 2]));
    assert_eq!(output.emitted().rows, 2);
}

#[test]
fn rejections_come_in_rising_order_and_once() {
    let output = finished(|output| {
        output.reject(2, 1, "two");
        output.reject(0, 1, "zero");
        output.reject(2, 2, "two again");
        Ok(())
    })
    .unwrap();
    let rejected: Vec<_> = output.rejected().iter().map(|error| (error.row, error.code)).collect();
    assert_eq!(rejected, [(0, 1), (2, 1)]);
}

#[test]
fn rows_of_advance_continue_the_last_row_before_it() {
    let mut output = begun(0);
    output.row(0).set("count", 9).unwrap();
    output.finish().unwrap();
    let emitted = output.emitted();
    assert_eq!((emitted.origin, emitted.rows), (Origin::Rows(&[0]), 1));
}

#[test]
fn buffers_are_kept_from_call_to_call() {
    let mut output = begun(8);
    let mut addresses = Vec::new();
    for round in 0..2 {
        output.begin(8);
        output.identity();
        (0..8).for_each(|row| output.float64(0).unwrap().push((row != 3).then_some(1.0)));
        output.int64(1).unwrap().extend_from_slice(&[round; 8]);
        output.finish().unwrap();
        let emitted = output.emitted();
        assert_eq!(emitted.columns[1].values, Values::Int64s(&[round; 8]));
        assert_eq!(emitted.columns[0].nulls.validity, [0b1111_0111]);
        addresses.push(emitted.columns[0].float64s().unwrap().values().as_ptr());
    }
    assert_eq!(addresses[0], addresses[1]);
}

type Write = fn(&mut Output) -> Result<(), Failure>;

fn check_sentences<const N: usize>(cases: [(Write, &str); N]) {
    for (write, sentence) in cases {
        assert_eq!(finished(write).err().as_deref(), Some(sentence));
    }
}

#[test]
fn writing_what_the_plan_does_not_have_is_named() {
    check_sentences([
        (|output| output.float64(2).map(|_| ()), "Output 2 was written, but the plan writes 2 fields."),
        (
            |output| output.int64(0).map(|_| ()),
            "Output `mean` is of kind Float64 in the plan and does not take an integer.",
        ),
        (
            |output| output.parts([0, 0]).map(|_| ()),
            "Columns [0, 0] were asked for, but the plan writes 2 fields and each can be had once.",
        ),
        (
            |output| output.row(0).set("sum", 1.0).map(|_| ()),
            "`sum` is not an output of the plan: add it there with `output`.",
        ),
        (
            |output| output.row(0).set("mean", "high").map(|_| ()),
            "Output `mean` is of kind Float64 in the plan and does not take a text.",
        ),
        (
            |output| output.row(0).set("mean", 1.0)?.set("mean", 1.0).map(|_| ()),
            "Output `mean` was set twice in one row.",
        ),
    ]);
}

#[test]
fn rows_that_do_not_fit_together_are_named() {
    check_sentences([
        (
            |output| output.float64(0).map(|mean| mean.push_value(1.0)),
            "Output 0 `mean` holds 1 rows without an origin: call identity() or origin(row) for each.",
        ),
        (
            |output| {
                output.identity();
                output.float64(0).map(|mean| mean.push_value(1.0))
            },
            "Output 0 `mean` holds 1 values, but 3 rows were given an origin.",
        ),
        (
            |output| {
                output.row(2);
                output.row(1);
                Ok(())
            },
            "Origin 1 after 2 in a batch of 3 rows: origins must not fall or lie beyond the batch.",
        ),
        (
            |output| {
                output.row(3);
                Ok(())
            },
            "Origin 3 after 0 in a batch of 3 rows: origins must not fall or lie beyond the batch.",
        ),
        (
            |output| {
                output.row(1);
                output.reject(1, 1, "Field `price` is negative.");
                Ok(())
            },
            "Row 1 was rejected and yet has output: reject a row before any output of it.",
        ),
        (
            |output| {
                output.reject(3, 1, "Field `price` is negative.");
                Ok(())
            },
            "Row 3 was rejected in a batch of 3 rows.",
        ),
    ]);
}

#[test]
fn identity_and_single_origins_exclude_each_other() {
    let mut output = Output::new(&Plan::new());
    output.begin(1);
    output.identity();
    output.origin(0);
    let failure = output.finish().unwrap_err();
    assert_eq!(failure.message, "Output rows have an identity() origin and single origins: give one or the other.");
}

#[test]
fn decimals_of_one_call_have_one_scale() {
    let mut output = Output::new(&Plan::new().output("total", Kind::Decimal));
    output.begin(2);
    output.row(0).set("total", Decimal { unscaled: -15, scale: 1 }).unwrap();
    let failure = output.row(1).set("total", Decimal { unscaled: 15, scale: 2 }).map(|_| ()).unwrap_err();
    assert_eq!(failure.message, "Output `total` takes decimals of scale 1 in this call, not 2.");
    output.begin(1);
    let failure = output.decimal(0, 39).unwrap_err();
    assert_eq!(failure.message, "Output `total` takes decimals of scale 0 to 38 in this call, not 39.");
    output.row(0).set("total", Decimal { unscaled: 15, scale: 2 }).unwrap();
    output.finish().unwrap();
    let emitted = output.emitted();
    assert_eq!(emitted.columns[0].decimals().unwrap().get(0), Cell::Value(Decimal { unscaled: 15, scale: 2 }));
}
