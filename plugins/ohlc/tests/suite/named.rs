//! Streams worked out by hand: edges, ties, late rows, gaps, and what is no observation.

use crate::bar;
use crate::ohlc_cases::{Bar, Volume};
use ohlc::Ohlc;
use weir_plugin_sdk::testkit::{Datum, Kit, Outcome, Record};
use weir_plugin_sdk::{metric, record};

pub(super) const SECOND: i64 = 1_000_000;

/// A plugin with windows of 10 s.
pub(super) fn kit(settings: &[(&str, &str)]) -> Kit<Ohlc> {
    let fields = [("price.field", "p"), ("volume.field", "v"), ("interval", "10s")];
    let settings: Vec<_> = fields.into_iter().chain(settings.iter().copied()).collect();
    Kit::new(&settings).unwrap()
}

pub(super) fn tick(key: &str, second: i64, price: f64) -> Record {
    record! { "$key": key, "$timestamp": second * SECOND, "p": price }
}

fn with_volume(record: Record, volume: f64) -> Record {
    record.with("v", volume)
}

/// A window of key `a` that begins at a second.
fn window(second: i64, prices: [f64; 4], count: i64) -> Bar {
    Bar { start_us: second * SECOND, key: Some("a".to_owned()), prices, volume: None, count }
}

/// The windows with the offsets that fired them.
pub(super) fn fired(outcome: &Outcome) -> Vec<(usize, Bar)> {
    outcome.origins.iter().copied().zip(outcome.rows.iter().map(bar)).collect()
}

#[test]
fn a_window_takes_its_beginning_and_fires_at_its_end() {
    let rows = [(0, 5.0), (4, 7.0), (9, 3.0), (10, 1.0), (19, 2.0), (20, 9.0)];
    let records = rows.map(|(second, price)| tick("a", second, price));
    let outcome = kit(&[]).process(&records).unwrap();
    let expected = [(3, window(0, [5.0, 7.0, 3.0, 3.0], 3)), (5, window(10, [1.0, 2.0, 1.0, 2.0], 2))];
    assert_eq!(fired(&outcome), expected);
}

#[test]
fn windows_before_the_epoch_lie_end_to_end_with_those_after_it() {
    let records = [-11, -10, -1, 0, 10].map(|second| tick("a", second, f64::from(second as i32)));
    let starts: Vec<_> = fired(&kit(&[]).process(&records).unwrap())
        .into_iter()
        .map(|(at, bar)| (at, bar.start_us / SECOND, bar.count))
        .collect();
    assert_eq!(starts, [(1, -20, 1), (3, -10, 2), (4, 0, 1)]);
}

#[test]
fn of_equal_times_the_first_opens_and_the_last_closes() {
    let rows = [(5, 50.0), (3, 30.0), (3, 31.0), (7, 70.0), (7, 71.0), (4, 40.0), (3, 32.0), (30, 0.0)];
    let records = rows.map(|(second, price)| tick("a", second, price));
    let outcome = kit(&[("lateness", "20s")]).process(&records).unwrap();
    assert_eq!(fired(&outcome), [(7, window(0, [30.0, 71.0, 30.0, 71.0], 7))]);
}

#[test]
fn a_row_is_late_when_its_window_has_fired_and_not_before() {
    let mut kit = kit(&[("lateness", "5s")]);
    let rows = [(1, 1.0), (14, 2.0), (2, 3.0), (15, 4.0), (3, 5.0), (12, 6.0), (30, 0.0)];
    let outcome = kit.process(&rows.map(|(second, price)| tick("a", second, price))).unwrap();
    // 14 - 5 < 10: the window of 2 is open. 15 - 5 = 10: it fires, and 3 is too late; 12 is not.
    let expected = [(3, window(0, [1.0, 3.0, 1.0, 3.0], 2)), (6, window(10, [6.0, 6.0, 2.0, 4.0], 3))];
    assert_eq!(fired(&outcome), expected);
    assert!(outcome.rejected.is_empty());
    assert_eq!(metric::value("late_rows_total"), Some(1.0));
}

/// The watermark is that of the lane: a busy key closes the windows of a quiet one, in the order of beginning and key.
#[test]
fn windows_that_one_row_fires_go_by_beginning_and_key() {
    let mut records: Vec<Record> =
        [("b", 12), ("a", 12), ("", 3), ("b", 1), ("ab", 3)].map(|(key, second)| tick(key, second, 1.0)).into();
    records.push(record! { "$timestamp": 3 * SECOND, "p": 1.0 });
    records.push(tick("z", 1_000, 1.0));
    let outcome = kit(&[("lateness", "60s")]).process(&records).unwrap();
    let order: Vec<_> = fired(&outcome).into_iter().map(|(at, bar)| (at, bar.start_us / SECOND, bar.key)).collect();
    let key = |key: &str| Some(key.to_owned());
    let expected = [(0, None), (0, key("")), (0, key("ab")), (0, key("b")), (10, key("a")), (10, key("b"))];
    assert_eq!(order, expected.map(|(second, key)| (6, second, key)));
}

#[test]
fn an_interval_without_rows_gives_no_row() {
    let outcome = kit(&[]).process(&[tick("a", 0, 1.0), tick("a", 500, 2.0), tick("a", 1_000, 3.0)]).unwrap();
    assert_eq!(fired(&outcome).iter().map(|(_, bar)| bar.start_us / SECOND).collect::<Vec<_>>(), [0, 500]);
}

#[test]
fn what_has_no_price_is_no_observation_but_its_time_counts() {
    let at = |second: i64| record! { "$key": "a", "$timestamp": second * SECOND, "v": 100.0 };
    let records = [
        at(0),
        at(1).with("p", Datum::Null),
        tick("a", 2, f64::NAN),
        with_volume(tick("a", 3, -0.0), 1.5),
        at(20),
        at(40),
    ];
    let outcome = kit(&[]).process(&records).unwrap();
    let expected = Bar { volume: Some(Volume::Double(1.5)), ..window(0, [0.0; 4], 1) };
    assert_eq!(fired(&outcome), [(4, expected)]);
    assert_eq!(outcome.rows[0].get("open"), &Datum::Float64(0.0), "one zero");
}

#[test]
fn infinite_prices_are_prices() {
    let (inf, rows) = (f64::INFINITY, [(0, 1.0), (1, f64::INFINITY), (2, f64::NEG_INFINITY), (3, 2.0), (10, 0.0)]);
    let outcome = kit(&[]).process(&rows.map(|(second, price)| tick("a", second, price))).unwrap();
    assert_eq!(fired(&outcome), [(4, window(0, [1.0, inf, -inf, 2.0], 4))]);
}

#[test]
fn volumes_are_summed_without_loss_and_null_where_there_is_none() {
    let volumes = [Some(1e16), None, Some(1.0), Some(-1e16), Some(0.1)];
    let row = |(second, volume): (i64, Option<f64>)| tick("a", second, 1.0).with("v", volume);
    let mut records: Vec<Record> = (0..).zip(volumes).map(row).collect();
    records.extend([tick("b", 11, 1.0), tick("b", 20, 1.0)]);
    let outcome = kit(&[]).process(&records).unwrap();
    assert_eq!(
        outcome.rows.iter().map(|row| row.get("volume").clone()).collect::<Vec<_>>(),
        [Datum::Float64(1.1), Datum::Null]
    );
    let whole = [(0, i64::MAX - 1), (1, 1), (2, i64::MIN), (3, 7), (10, 0)];
    let records = whole.map(|(second, volume)| tick("a", second, 1.0).with("v", volume));
    let outcome = kit(&[("volume.type", "int64")]).process(&records).unwrap();
    assert_eq!(outcome.rows[0].get("volume"), &Datum::Int64(6));
}

#[test]
fn a_volume_that_does_not_fit_rejects_its_row_which_then_fires_nothing() {
    let row = |second: i64, volume: i64| tick("a", second, 1.0).with("v", volume);
    // Row 2 would fire the window of row 0, but is an error: row 3 does.
    let records = [row(0, 1), row(11, i64::MAX), row(12, 1), row(13, -1), row(20, 1)];
    let mut kit = kit(&[("volume.type", "int64"), ("lateness", "2s")]);
    let outcome = kit.process(&records).unwrap();
    let found: Vec<_> =
        outcome.origins.iter().zip(&outcome.rows).map(|(at, row)| (*at, row.get("volume").clone())).collect();
    assert_eq!(found, [(3, Datum::Int64(1))]);
    let [error] = outcome.rejected.as_slice() else { panic!("{:?}", outcome.rejected) };
    assert_eq!((error.row, error.code), (2, ohlc::CODE_VOLUME));
    assert_eq!(
        error.message,
        "Field `v` is 1, with which the sum of the window leaves 64 bits: set `volume.type` to float64, or shorten `interval`."
    );
    let end = kit.advance(i64::MAX).unwrap();
    let left: Vec<_> = end.rows.iter().map(|row| (row.get("volume").clone(), row.get("count").clone())).collect();
    assert_eq!(left, [(Datum::Int64(i64::MAX - 1), Datum::Int64(2)), (Datum::Int64(1), Datum::Int64(1))]);
}

#[test]
fn a_time_far_ahead_is_rejected_and_closes_nothing() {
    let day = 86_400;
    let rows = [(0, 1.0), (2 * day, 9.0), (1, 2.0), (day, 3.0), (2 * day, 4.0)];
    let outcome = kit(&[("future.max", "1d")]).process(&rows.map(|(second, price)| tick("a", second, price))).unwrap();
    // Row 2 is not late: row 1 has left no trace. A day is not more than a day, and then two are near.
    assert_eq!(fired(&outcome), [(3, window(0, [1.0, 2.0, 1.0, 2.0], 2)), (4, window(day, [3.0; 4], 1))]);
    assert_eq!(outcome.rejected.iter().map(|error| error.row).collect::<Vec<_>>(), [1]);
}

#[test]
fn an_advance_fires_what_is_due_and_its_windows_stay_closed() {
    let mut kit = kit(&[]);
    kit.process(&[tick("b", 1, 1.0), tick("a", 2, 2.0), tick("a", 9, 3.0)]).unwrap();
    assert!(kit.advance(10 * SECOND - 1).unwrap().rows.is_empty());
    let idle = fired(&kit.advance(10 * SECOND).unwrap());
    assert_eq!(
        idle.iter().map(|(at, bar)| (*at, bar.key.as_deref())).collect::<Vec<_>>(),
        [(2, Some("a")), (2, Some("b"))]
    );
    assert!(kit.advance(5 * SECOND).unwrap().rows.is_empty());
    let later = kit.process(&[tick("a", 9, 4.0), tick("a", 10, 5.0), tick("a", 20, 6.0)]).unwrap();
    assert_eq!(fired(&later), [(5, window(10, [5.0; 4], 1))]);
}
