//! The superaccumulator: a fixed-point number wide enough for the sum of any doubles.
//!
//! After Kulisch's long accumulator and Radford Neal's "small superaccumulator" (arXiv 1505.05571),
//! without the redundant digits: sums leave the grid seldom, and two's complement has one form per value,
//! which makes checkpoints canonical.

/// 2 176 bits of two's complement in units of 2^-1074: doubles need 2 098, the rest holds 2^77 of the largest.
const LIMBS: usize = 34;

/// The exact sum of any doubles, in units of 2^-1074.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wide {
    /// The lowest limb first.
    limbs: [u64; LIMBS],
}

/// The magnitude of a [`Wide`] with its sign taken off.
pub(super) struct Magnitude {
    limbs: [u64; LIMBS],
    pub(super) negative: bool,
}

impl Wide {
    pub(super) const ZERO: Self = Self { limbs: [0; LIMBS] };

    /// Adds (or takes away) `digits` · 2^(`position` - 1074).
    pub(super) fn add(&mut self, digits: u128, position: u32, negative: bool) {
        let shift = position % 64;
        let (low, high) = (digits as u64, (digits >> 64) as u64);
        let parts = if shift == 0 {
            [low, high, 0]
        } else {
            [low << shift, low >> (64 - shift) | high << shift, high >> (64 - shift)]
        };
        let limbs = self.limbs.iter_mut().skip((position / 64) as usize);
        let mut parts = parts.into_iter();
        let mut carry = false;
        for limb in limbs {
            let part = parts.next();
            if part.is_none() && !carry {
                break;
            }
            let part = part.unwrap_or(0);
            let (sum, first, second);
            if negative {
                (sum, first) = limb.overflowing_sub(part);
                (*limb, second) = sum.overflowing_sub(u64::from(carry));
            } else {
                (sum, first) = limb.overflowing_add(part);
                (*limb, second) = sum.overflowing_add(u64::from(carry));
            }
            carry = first | second;
        }
    }

    /// Sign and magnitude.
    pub(super) fn magnitude(&self) -> Magnitude {
        let negative = self.limbs.last().is_some_and(|limb| limb >> 63 == 1);
        let mut limbs = self.limbs;
        if negative {
            let mut carry = true;
            for limb in &mut limbs {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        Magnitude { limbs, negative }
    }

    /// The limbs from the lowest one, without the highest that only repeat the sign.
    pub(super) fn significant(&self) -> &[u64] {
        let sign = self.limbs.last().map_or(0, |limb| ((*limb as i64) >> 63) as u64);
        let length = self.limbs.iter().rposition(|limb| *limb != sign).map_or(0, |last| last + 1);
        // One limb of the sign stays, so that reading can extend it.
        self.limbs.get(..(length + 1).min(LIMBS)).unwrap_or(&self.limbs)
    }

    /// The number whose [`significant`](Self::significant) limbs these are.
    pub(super) fn from_significant(limbs: impl ExactSizeIterator<Item = u64>) -> Option<Self> {
        if limbs.len() == 0 || limbs.len() > LIMBS {
            return None;
        }
        let mut wide = Self::ZERO;
        let mut slots = wide.limbs.iter_mut();
        let mut sign = 0;
        for limb in limbs {
            *slots.next()? = limb;
            sign = ((limb as i64) >> 63) as u64;
        }
        slots.for_each(|slot| *slot = sign);
        Some(wide)
    }
}

impl Magnitude {
    /// Bits from `position` on, if the number is a multiple of 2^(`position` - 1074) and below 2^(`bits` + `position` - 1074).
    pub(super) fn bits_from(&self, position: u32, bits: u32) -> Option<u128> {
        let (skipped, shift) = ((position / 64) as usize, position % 64);
        let (below, from) = self.limbs.split_at_checked(skipped)?;
        let mut parts = from.iter().copied();
        let [first, second, third] = [parts.next()?, parts.next().unwrap_or(0), parts.next().unwrap_or(0)];
        let above_is_zero =
            parts.all(|limb| limb == 0) && (shift > 0 || third == 0) && (shift == 0 || third >> shift == 0);
        let low = u128::from(second) << 64 | u128::from(first);
        let value = if shift == 0 { low } else { low >> shift | u128::from(third) << (128 - shift) };
        let below_is_zero = below.iter().all(|limb| *limb == 0) && first.trailing_zeros().min(64) >= shift;
        (above_is_zero && below_is_zero && 128 - value.leading_zeros() <= bits).then_some(value)
    }

    /// The quotient by `divisor` (1 to 2^32 - 1) as digits and exponent for [`nearest`](super::round::nearest).
    pub(super) fn divided(&self, divisor: u64) -> (u64, i32) {
        let mut remainder = 0_u64;
        let mut limbs = self.limbs.iter().enumerate().rev();
        let mut quotient = 0_u128;
        let mut weight = 0;
        // Two limbs of quotient from the first that is not zero hold at least 65 digits.
        let mut wanted = 2;
        for (index, limb) in limbs.by_ref() {
            let high = remainder << 32 | limb >> 32;
            let low = (high % divisor) << 32 | limb & 0xffff_ffff;
            remainder = low % divisor;
            quotient = quotient << 64 | u128::from(((high / divisor) << 32) | (low / divisor));
            weight = index as i32 * 64 - 1074;
            wanted -= i32::from(quotient != 0);
            if wanted == 0 {
                break;
            }
        }
        let rest = remainder != 0 || limbs.any(|(_, limb)| *limb != 0);
        let length = 128 - quotient.leading_zeros() as i32;
        let cut = (length - 63).max(0);
        let lost = quotient & ((1_u128 << cut) - 1) != 0;
        // With nothing cut the number has at most 63 digits only when its last limb was reached: then a
        // remainder needs room below the last digit.
        if cut == 0 {
            let room = 63 - length.max(1);
            return scaled_rest(quotient as u64, remainder, divisor, room, weight);
        }
        ((quotient >> cut) as u64 | u64::from(lost || rest), weight + cut)
    }
}

/// Appends `room` binary digits of `remainder` / `divisor` to `whole` and a sticky one.
fn scaled_rest(whole: u64, remainder: u64, divisor: u64, room: i32, weight: i32) -> (u64, i32) {
    let wide = u128::from(remainder) << room;
    let (digits, rest) = (wide / u128::from(divisor), wide % u128::from(divisor));
    (whole << room | digits as u64 | u64::from(rest != 0), weight - room)
}
