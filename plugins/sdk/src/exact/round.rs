//! Rounding a dyadic number to the nearest double once: ties to even, gradual underflow, overflow to infinity.

const MANTISSA_BITS: u32 = 52;
const EXPONENT_MAX: i64 = 2046;

/// The double nearest to ±`digits` · 2^`exponent`, ties to even.
///
/// `digits` is either exact, or it has at least 55 significant bits (53 of the double, one half, and one
/// more) and its lowest bit also stands for all that was cut off below ("sticky"): 1 when any of that was
/// not zero.
/// A negative number too small for the smallest subnormal becomes -0.0, as in IEEE 754 and Python.
#[inline(always)]
pub(super) fn nearest(negative: bool, digits: u64, exponent: i32) -> f64 {
    let sign = u64::from(negative) << 63;
    // A signed conversion is one instruction in x86-64 and in WebAssembly's code generators.
    if let Ok(digits) = i64::try_from(digits)
        && digits != 0
    {
        let rounded = (digits as f64).to_bits();
        let biased = (rounded >> MANTISSA_BITS) as i64 + i64::from(exponent);
        if (1..=EXPONENT_MAX).contains(&biased) {
            let scaled = rounded.wrapping_add((i64::from(exponent) << MANTISSA_BITS) as u64);
            return f64::from_bits(scaled | sign);
        }
    }
    f64::from_bits(nearest_anywhere(digits, exponent) | sign)
}

/// The bits of the nearest double in any range, without its sign.
#[cold]
#[inline(never)]
fn nearest_anywhere(digits: u64, exponent: i32) -> u64 {
    if digits == 0 {
        return 0;
    }
    let length = 64 - digits.leading_zeros() as i32;
    // The weight of the result's last place: 53 places below the top, but never below 2^-1074.
    let unit = (exponent + length - 53).max(-1074);
    let cut = unit - exponent;
    let kept = match cut {
        ..=0 => digits.checked_shl(cut.unsigned_abs()).unwrap_or(0),
        1..=63 => halves_to_even(digits >> cut, digits << (64 - cut)),
        64 => halves_to_even(0, digits),
        _ => 0,
    };
    // `kept` is at most 2^53. As a subnormal (unit = -1074) it is the pattern itself, and its carry into
    // bit 52 is the step to the first normal number; above that its top bit adds one to the exponent.
    let biased = i64::from(unit + 1074);
    let bits = ((biased << MANTISSA_BITS) as u64).wrapping_add(kept);
    if biased > EXPONENT_MAX || bits > f64::MAX.to_bits() { f64::INFINITY.to_bits() } else { bits }
}

/// `kept` plus one where the `cut` digits (of 64, the first worth a half) are above a half, or are a half and `kept` is odd.
fn halves_to_even(kept: u64, cut: u64) -> u64 {
    const HALF: u64 = 1 << 63;
    kept + u64::from(cut > HALF || (cut == HALF && kept & 1 == 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "what is rounded once is compared exactly")]

    use super::nearest;

    #[test]
    fn exact_numbers_come_back_as_they_are() {
        for value in [1.0, 0.1, 1e300, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1.5e-310] {
            let bits = value.to_bits();
            let (field, fraction) = (bits >> 52, bits & ((1 << 52) - 1));
            let (digits, lsb) = if field == 0 { (fraction, 1) } else { (fraction | 1 << 52, field) };
            let exponent = lsb as i32 - 1075;
            assert_eq!(nearest(false, digits, exponent).to_bits(), bits);
            assert_eq!(nearest(true, digits, exponent), -value);
        }
    }

    #[test]
    fn ties_go_to_even_in_every_range() {
        let odd = (1_u64 << 53) | 1; // 53 digits and a half
        assert_eq!(nearest(false, odd, 0), 9_007_199_254_740_992.0);
        assert_eq!(nearest(false, odd + 2, 0), 9_007_199_254_740_996.0);
        assert_eq!(nearest(false, 1, -1075), 0.0, "half of the smallest subnormal");
        assert_eq!(nearest(false, 3, -1075), 1e-323, "one and a half of it");
        assert_eq!(nearest(false, (1 << 63) | 1, -1075 - 63), 5e-324, "a little above the half");
        assert_eq!(nearest(true, 1, -1076).to_bits(), (-0.0_f64).to_bits(), "the sign survives underflow");
    }

    #[test]
    fn the_step_to_normal_and_the_step_to_infinity() {
        assert_eq!(nearest(false, (1 << 53) - 1, -1075), f64::MIN_POSITIVE);
        assert_eq!(nearest(false, u64::MAX, 1024 - 64), f64::INFINITY, "rounds up to 2^1024");
        assert_eq!(nearest(false, u64::MAX << 11, 1024 - 64), f64::MAX);
        assert_eq!(nearest(false, 1, 1024), f64::INFINITY);
    }
}
