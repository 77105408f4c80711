//! Published vectors and bug reports of other libraries, each under its name. Where their authors write NaN
//! for a missing observation, null stands here.
//!
//! Whoever includes this file runs the plugin: natively here, as a component in the suites of the host.

use super::average;

/// One row of a named stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick<'a> {
    pub(super) key: Option<&'a str>,
    /// The event time, in seconds since the epoch.
    pub(super) second: i64,
    pub(super) value: Option<f64>,
}

const NONE: Option<f64> = None;

fn values(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

/// The means of `stream` under `settings`, one row per second, or at the given seconds.
fn means(stream: &[Option<f64>], seconds: Option<&[i64]>, settings: &[(&str, &str)]) -> Vec<Option<f64>> {
    let second = |row: usize| seconds.map_or(row as i64, |seconds| seconds[row]);
    let tick = |(row, value): (usize, &Option<f64>)| Tick { key: None, second: second(row), value: *value };
    let ticks: Vec<Tick<'_>> = stream.iter().enumerate().map(tick).collect();
    average(settings, &ticks)
}

/// The means of a window of `n` rows.
fn rows(stream: &[Option<f64>], n: &str) -> Vec<Option<f64>> {
    means(stream, None, &[("window", n)])
}

/// Compares bits, so that -0.0 is not 0.0.
#[track_caller]
fn check(found: &[Option<f64>], expected: &[Option<f64>]) {
    let bits = |means: &[Option<f64>]| means.iter().map(|mean| mean.map(f64::to_bits)).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(expected), "{found:?} is not {expected:?}");
}

#[track_caller]
fn check_last(found: &[Option<f64>], expected: &[f64]) {
    check(&found[found.len() - expected.len()..], &values(expected));
}

#[test]
fn stockcharts_five_days() {
    let stream = values(&[11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0]);
    check(&rows(&stream, "5"), &[NONE, NONE, NONE, NONE, Some(13.0), Some(14.0), Some(15.0)]);
}

#[test]
fn pandas_docs_rolling_mean() {
    let stream = values(&[1.0, 2.0, 3.0, 4.0]);
    check(&rows(&stream, "2"), &[NONE, Some(1.5), Some(2.5), Some(3.5)]);
    check(&rows(&stream, "3"), &[NONE, NONE, Some(2.0), Some(3.0)]);
}

#[test]
fn pandas_docs_time_window() {
    let stream = [Some(0.0), Some(1.0), Some(2.0), NONE, Some(4.0)];
    let found = means(&stream, Some(&[0, 2, 3, 5, 6]), &[("window", "2s")]);
    check(&found, &[Some(0.0), Some(1.0), Some(1.5), NONE, Some(4.0)]);
}

#[test]
fn pandas_twin_timestamps() {
    let stream = values(&[1.0, 2.0, 3.0, 4.0]);
    let seconds = [0, 1, 1, 2];
    check(&means(&stream, Some(&seconds), &[("window", "1s")]), &values(&[1.0, 2.0, 2.5, 4.0]));
    check(&means(&stream, Some(&seconds), &[("window", "2s")]), &values(&[1.0, 1.5, 2.0, 3.0]));
}

#[test]
fn pandas_min_periods() {
    let stream = [Some(1.0), Some(2.0), NONE, Some(4.0), Some(5.0)];
    let of = |periods| means(&stream, None, &[("window", "3"), ("min.periods", periods)]);
    check(&of("1"), &values(&[1.0, 1.5, 1.5, 3.0, 4.5]));
    check(&of("2"), &[NONE, Some(1.5), Some(1.5), Some(3.0), Some(4.5)]);
    check(&of("3"), &[NONE; 5]);
    check(&rows(&stream, "3"), &[NONE; 5]);
}

/// The first four of the 252 closes; the next ones are not printed with the vector.
#[test]
fn talib_regtest_closes() {
    let stream = values(&[91.5, 94.815, 94.375, 95.095]);
    check(&rows(&stream, "2"), &[NONE, Some(93.1575), Some(94.595), Some(94.735)]);
}

/// pandas reports 10319: a residue of -2.7e-20 stayed.
#[test]
fn pandas_10319_small_values_then_zeros() {
    check_last(&rows(&values(&[0.000_124_56, 0.000_3, -0.0, -0.0]), "2"), &[0.000_15, 0.0]);
}

/// pandas 19308.
#[test]
fn pandas_19308_ones_then_zeros() {
    let stream = [[1.0001; 5], [0.0; 5]].concat();
    check_last(&rows(&values(&stream), "2"), &[1.0001, 1.0001, 1.0001, 1.0001, 0.500_05, 0.0, 0.0, 0.0, 0.0]);
}

/// pandas 36031: -0.333 stayed, and the first mean is half a unit off in polars, TA-Lib and bottleneck.
#[test]
fn pandas_36031_large_value_then_zeros() {
    let large = 3_002_399_751_580_331.0;
    let stream = values(&[[large; 3], [0.0; 3]].concat());
    let expected = values(&[large, 2.0 * large / 3.0, large / 3.0, 0.0]);
    check(&rows(&stream, "3")[2..], &expected);
    check_last(&rows(&values(&[large, 0.0, 0.0, 0.0]), "3"), &[0.0]);
}

/// pandas 38488: values around 1e6, then zeros.
#[test]
fn pandas_38488_millions_then_zeros() {
    let stream = [[1_234_567.89, 2_345_678.9, 999_999.99, 1e6, 3_141_592.65, 2_718_281.83], [0.0; 6]].concat();
    check_last(&rows(&values(&stream), "6"), &[0.0]);
}

/// polars 22445: 1e90 passes through the window and leaves nothing behind.
#[test]
fn polars_22445_one_huge_value() {
    let stream = values(&[1.0, 2.0, 3.0, 1e90, 4.0, 5.0, 6.0, 7.0]);
    check_last(&rows(&stream, "2"), &[1.5, 2.5, 5e89, 5e89, 4.5, 5.5, 6.5]);
}

/// polars 24738: 2.06, 0.888889, then zeros.
#[test]
fn polars_24738_residue_before_zeros() {
    check_last(&rows(&values(&[2.06, 0.888_889, 0.0, 0.0, 0.0]), "2"), &[0.0, 0.0]);
}

/// polars 12682 and 19001, pandas 57549: NaN and infinities leave no trace once they are out.
#[test]
fn polars_12682_windows_heal() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    check_last(&rows(&values(&[1.0, nan, 2.0, 3.0, 4.0]), "2"), &[nan, nan, 2.5, 3.5]);
    check_last(&rows(&values(&[1.0, inf, 2.0, 3.0, -inf, 4.0, 5.0]), "2"), &[inf, inf, 2.5, -inf, -inf, 4.5]);
    check_last(&rows(&values(&[inf, -inf, 1.0, 1.0]), "2"), &[nan, -inf, 1.0]);
}

/// pandas 38752: the sums of one group leaked into the next.
#[test]
fn pandas_38752_groups_stay_apart() {
    let tick = |key, value| Tick { key: Some(key), second: 0, value: Some(value) };
    let stream = [
        tick("1", 1e10 / 3.0),
        tick("2", 0.1),
        tick("1", 1e-5 / 3.0),
        tick("2", 0.2),
        tick("1", 0.0),
        tick("1", 0.0),
        tick("2", 0.0),
        tick("2", 0.0),
    ];
    let means = average(&[("window", "2")], &stream);
    check(&[means[3], means[5], means[7]], &values(&[0.150_000_000_000_000_02, 0.0, 0.0]));
}

#[test]
fn streaming_1e16_then_ones() {
    check(&rows(&values(&[1e16, 1.0, 1.0, 1.0, 1.0]), "2"), &[NONE, Some(5e15), Some(1.0), Some(1.0), Some(1.0)]);
}

/// The sum exceeds the range of doubles, the mean does not.
#[test]
fn streaming_sum_beyond_doubles() {
    check_last(&rows(&values(&[1.7e308, 1.7e308, 1.0, 2.0, 3.0]), "2"), &[1.7e308, 8.5e307, 1.5, 2.5]);
}

/// With two roundings, of the sum and of the quotient, it is ...666.
#[test]
fn streaming_one_rounding() {
    let stream = values(&[[0.1; 3], [0.2; 3], [0.3; 3]].concat());
    check(&rows(&stream, "3")[4..5], &[Some(0.166_666_666_666_666_69)]);
}

/// polars 21358: means went wrong after 10 000 rows.
#[test]
fn polars_21358_long_streams_do_not_drift() {
    let stream: Vec<Option<f64>> = (0..30_000_i32).map(|row| Some(f64::from(row % 97) / 10.0 + 0.1)).collect();
    let long = rows(&stream, "5");
    let again = rows(&stream[29_000..], "5");
    check(&long[29_004..], &again[4..]);
}
