//! The exact sum against a slow reference that shares nothing with it: one counter per binary place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares doubles exactly"
)]

use super::Sum;
use crate::state::{Reader, Stored};
use proptest::prelude::*;
use std::collections::VecDeque;

const PLACES: usize = 2_300;

/// The sum of `values` divided by `count`, as text of binary digits first and rounded then.
fn reference(values: &[f64], count: u64) -> f64 {
    let mut places = vec![0_i64; PLACES]; // place p counts 2^(p - 1074)
    for value in values {
        let bits = value.to_bits();
        let (field, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
        let (digits, lowest) = if field == 0 { (fraction, 0) } else { (fraction | 1 << 52, field as usize - 1) };
        for place in 0..53 {
            places[lowest + place] += (digits >> place & 1) as i64 * if value.is_sign_negative() { -1 } else { 1 };
        }
    }
    let negative = carried(&mut places) < 0;
    if negative {
        for place in &mut places {
            *place = -*place;
        }
        carried(&mut places);
    }
    // Long division, with 80 digits behind the last place.
    let (mut remainder, mut quotient) = (0_u64, Vec::new());
    for digit in places.iter().rev().copied().chain(std::iter::repeat_n(0, 80)) {
        remainder = remainder << 1 | digit as u64;
        quotient.push(remainder >= count);
        remainder %= count;
    }
    let Some(first) = quotient.iter().position(|digit| *digit) else {
        return if negative { -0.0 } else { 0.0 };
    };
    let magnitude = round(&quotient, first, remainder != 0);
    if negative { -magnitude } else { magnitude }
}

/// Brings every place to 0 or 1; returns what is carried out of the top: -1 for a negative number.
fn carried(places: &mut [i64]) -> i64 {
    let mut carry = 0;
    for place in places.iter_mut() {
        let sum = *place + carry;
        (*place, carry) = (sum.rem_euclid(2), sum.div_euclid(2));
    }
    carry
}

/// Cuts the digits after 53, or at the place of the smallest subnormal, and rounds half to even.
fn round(quotient: &[bool], first: usize, rest: bool) -> f64 {
    let end = (first + 53).min(PLACES);
    let kept = quotient[first..end.max(first)].iter().fold(0_u64, |kept, digit| kept << 1 | u64::from(*digit));
    let (half, tail) = (quotient[end.max(first)], &quotient[end.max(first) + 1..]);
    let above = rest || tail.iter().any(|digit| *digit);
    // A first digit below the last place: nothing is kept, and the half is only at the next place.
    let (kept, half, above) = if first >= PLACES { (0, first == PLACES, above) } else { (kept, half, above) };
    let kept = kept + u64::from(half && (above || kept & 1 == 1));
    let scale = PLACES as i32 - end as i32 - 1_074;
    (kept as f64) * 2_f64.powi(scale / 2) * 2_f64.powi(scale - scale / 2)
}

fn same(left: f64, right: f64) -> bool {
    left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
}

/// Slides a window of `length` over the values and compares each mean, the total, and a decoded copy.
fn slide(values: &[f64], length: usize) {
    let (mut sum, mut window) = (Sum::default(), VecDeque::new());
    for (index, value) in values.iter().enumerate() {
        if window.len() == length {
            sum.remove(window.pop_front().unwrap());
        }
        sum.add(*value);
        window.push_back(*value);
        let held: Vec<f64> = window.iter().copied().collect();
        let (mean, total) = (reference(&held, held.len() as u64), reference(&held, 1));
        assert!(
            same(sum.mean().unwrap(), mean),
            "mean of {held:?} at {index}: {:e} is not {mean:e}",
            sum.mean().unwrap()
        );
        assert!(same(sum.total(), total), "sum of {held:?} at {index}: {:e} is not {total:e}", sum.total());
        let mut bytes = Vec::new();
        sum.encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        sum = Sum::decode(&mut reader).expect("decodes");
        assert!(reader.is_empty());
        assert!(same(sum.mean().unwrap(), mean), "after decoding");
        let mut again = Vec::new();
        sum.encode(&mut again);
        assert_eq!(bytes, again, "one form per state");
    }
}

/// Doubles of one class: prices, short numbers, any bits, neighbours of the range's ends, cancelling pairs.
fn doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (1..1_000_000_i64).prop_map(|cents| cents as f64 / 100.0),
        2 => (-1_000..1_000_i64).prop_map(|whole| whole as f64),
        2 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
        1 => (0..1_u64 << 54).prop_map(f64::from_bits),
        1 => prop_oneof![Just(f64::MAX), Just(-f64::MAX), Just(5e-324), Just(f64::MIN_POSITIVE), Just(0.0)],
        2 => (-300..300_i32, 1..1_000_u32).prop_map(|(power, digits)| f64::from(digits) * 10_f64.powi(power)),
        1 => prop_oneof![Just(1e16), Just(-1e16), Just(1.0), Just(-1.0), Just(1e90), Just(-1e90)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_window_is_rounded_once(values in prop::collection::vec(doubles(), 1..60), length in 1_usize..20) {
        slide(&values, length);
    }

    #[test]
    fn one_scale_stays_on_the_grid(cents in prop::collection::vec(1..100_000_000_i64, 1..80), length in 1_usize..40) {
        let values: Vec<f64> = cents.iter().map(|cents| *cents as f64 / 100.0).collect();
        slide(&values, length);
        let mut sum = Sum::default();
        for value in &values {
            sum.add(*value);
        }
        prop_assert!(sum.is_on_grid());
    }

    #[test]
    fn the_order_of_coming_and_going_does_not_matter(mut values in prop::collection::vec(doubles(), 2..40), kept in 1_usize..20) {
        let kept = kept.min(values.len() - 1);
        let expected = reference(&values[..kept], kept as u64);
        let mut sum = Sum::default();
        values.iter().rev().for_each(|value| sum.add(*value));
        let gone = values.split_off(kept);
        for value in &gone {
            sum.remove(*value);
        }
        prop_assert!(same(sum.mean().unwrap(), expected));
    }

    #[test]
    fn a_power_of_two_scales_the_mean(cents in prop::collection::vec(-1_000_000..1_000_000_i64, 1..30), power in -900..900_i32) {
        let (mut plain, mut scaled) = (Sum::default(), Sum::default());
        for cents in &cents {
            plain.add(*cents as f64 / 100.0);
            scaled.add(*cents as f64 / 100.0 * 2_f64.powi(power));
        }
        prop_assert!(same(plain.mean().unwrap() * 2_f64.powi(power), scaled.mean().unwrap()));
    }

    #[test]
    fn counts_of_any_size_divide_exactly(values in prop::collection::vec(doubles(), 1..6), count in 1..=u32::MAX) {
        let mut sum = Sum::default();
        for value in &values {
            sum.add(*value);
        }
        prop_assert!(same(sum.divided(count), reference(&values, u64::from(count))), "{} is not {}", sum.divided(count), reference(&values, u64::from(count)));
    }
}

#[test]
fn a_window_heals_when_what_is_not_finite_leaves() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let mut sum = Sum::default();
    let steps = [(1.0, 1.0), (inf, inf), (-inf, nan), (nan, nan)];
    for (value, mean) in steps {
        sum.add(value);
        assert!(same(sum.mean().unwrap(), mean), "after adding {value}");
    }
    for (value, mean) in [(nan, nan), (inf, -inf), (-inf, 1.0)] {
        sum.remove(value);
        assert!(same(sum.mean().unwrap(), mean), "after removing {value}");
    }
    assert!(sum.is_on_grid());
    sum.remove(1.0);
    assert_eq!(sum.mean(), None);
}

#[test]
fn the_grid_follows_the_stream_and_the_superaccumulator_goes() {
    let mut sum = Sum::default();
    let mut window = VecDeque::new();
    let stream = [1e-200, 1e-200].into_iter().chain((0..100).map(|step| 100.25 + f64::from(step)));
    for value in stream {
        if window.len() == 20 {
            sum.remove(window.pop_front().unwrap());
        }
        sum.add(value);
        window.push_back(value);
    }
    assert!(sum.is_on_grid(), "the first values chose a grid far away from where the stream stays");
    let bytes = |sum: &Sum| {
        let mut bytes = Vec::new();
        sum.encode(&mut bytes);
        bytes.len()
    };
    assert_eq!(bytes(&sum), 23);
    sum.add(1e-200);
    assert!(bytes(&sum) > 23);
}

#[test]
fn the_sum_may_exceed_doubles_and_128_bits() {
    let mut sum = Sum::default();
    (0..1_000).for_each(|_| sum.add(f64::MAX));
    assert_eq!((sum.mean(), sum.total()), (Some(f64::MAX), f64::INFINITY));
    let mut sum = Sum::default();
    sum.add(1.0);
    let large = 2_f64.powi(28) * 1.999_999;
    (0..1_000_000).for_each(|_| sum.add(large));
    (0..1_000_000).for_each(|_| sum.remove(large));
    assert_eq!(sum.mean(), Some(1.0));
    assert!(sum.is_on_grid());
}

#[test]
fn broken_bytes_are_refused() {
    let mut bytes = Vec::new();
    let mut sum = Sum::default();
    for value in [1.0, 1e300, f64::NAN] {
        sum.add(value);
    }
    sum.encode(&mut bytes);
    assert!(Sum::decode(&mut Reader::new(&bytes)).is_some());
    assert!((0..bytes.len()).all(|length| Sum::decode(&mut Reader::new(&bytes[..length])).is_none()));
    for (at, value) in [(21, 0x70), (22, 2), (22, 4), (36, 0), (36, 35)] {
        let mut broken = bytes.clone();
        broken[at] = value;
        assert!(Sum::decode(&mut Reader::new(&broken)).is_none(), "byte {at} = {value}");
    }
}
