//! The exact running sum: values come and go in any order, and no digit is ever lost.
//!
//! The sum has three parts:
//! - the **grid**: a 128-bit integer in units of 2^(base - 1075). The base is chosen from the first value, so
//!   that values from 2^-28 to 2^28 times as large lie on the grid with all their digits. It is all that
//!   ordinary windows need, and the fast path;
//! - the **superaccumulator** ([`wide`]) for values off the grid, there only while the window needs it;
//! - counters of NaN and both infinities, so that a window heals when they leave.
//!
//! The sum is grid + superaccumulator whichever of the two a value went to. A value may therefore be taken
//! from the one when it was added to the other, and the grid may move whenever that pays.
//! Mean and total are rounded once, ties to even: bit-equal to Python's `float(Fraction(sum) / n)`.
//! Non-finite values follow IEEE 754: a NaN, or infinities of both signs, give NaN; else an infinity stays.

mod codec;
mod round;
mod wide;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

use round::nearest;
use wide::Wide;

const FRACTION: u64 = (1 << 52) - 1;
const IMPLICIT: u64 = 1 << 52;
const EXPONENT_FIELD: i32 = 0x7ff;
/// From the unit of the grid to the last place of the largest values on it, in binary places. A sum of 2^17
/// of them stays below 2^126.
const GRID_SPAN: i32 = 56;
/// The grid reaches equally far to smaller and to larger values than the one it was chosen from.
const GRID_MARGIN: i32 = GRID_SPAN / 2;
/// The base before any value has come: above every exponent, so that none is on the grid.
const NO_GRID: i16 = 8_192;
/// Digits with which a sum may return from the superaccumulator to the grid.
const GRID_RETURN_BITS: u32 = 112;
/// So many values off the grid make it move to the newest of them.
const STRAYS_MAX: u8 = 16;
/// From this count on the division takes the general path.
const COUNT_FAST_MAX: u32 = 1 << 24;

/// The exact sum of a window's observations, and their number.
#[derive(Clone, Debug)]
pub struct Sum {
    /// The grid part, two's complement: the low and the high word.
    low: u64,
    high: u64,
    /// Observations, the non-finite ones included.
    count: u32,
    /// The exponent field of a double whose last place is the grid's unit; at least 1 once there is a grid.
    base: i16,
    /// What few windows need.
    rare: Option<Box<Rare>>,
}

/// The parts of a sum that few windows need, and only for a while.
#[derive(Clone, Debug, Default)]
struct Rare {
    nan: u32,
    plus_infinity: u32,
    minus_infinity: u32,
    /// Values off the grid that have come since the superaccumulator did, or since the grid moved.
    strays: u8,
    wide: Option<Box<Wide>>,
}

impl Default for Sum {
    fn default() -> Self {
        Self { low: 0, high: 0, count: 0, base: NO_GRID, rare: None }
    }
}

impl Sum {
    /// The number of observations, the non-finite ones included.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Adds an observation.
    #[inline(always)]
    pub fn add(&mut self, value: f64) {
        self.count = self.count.wrapping_add(1);
        self.apply(value, false);
    }

    /// Takes away an observation that was added before.
    #[inline(always)]
    pub fn remove(&mut self, value: f64) {
        self.count = self.count.wrapping_sub(1);
        self.apply(value, true);
        if self.rare.is_some() {
            self.settle();
        }
    }

    /// The sum, rounded once; beyond the range of doubles an infinity. An exact zero is +0.0.
    #[inline]
    pub fn total(&self) -> f64 {
        self.divided(1)
    }

    /// The sum divided by the number of observations, rounded once; `None` without observations. An exact
    /// zero is +0.0; a negative quotient too small for the smallest subnormal is -0.0, as in Python.
    #[inline(always)]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.divided(self.count))
    }

    /// Whether every value lies on the grid and is finite: then the sum owns no memory beside itself.
    pub fn is_on_grid(&self) -> bool {
        self.rare.is_none()
    }

    #[inline(always)]
    fn apply(&mut self, value: f64, negate: bool) {
        let bits = value.to_bits();
        let field = (bits >> 52) as i32 & EXPONENT_FIELD;
        let shift = field - i32::from(self.base);
        if (0..=GRID_SPAN).contains(&shift) {
            self.add_to_grid(bits & FRACTION | IMPLICIT, shift as u32, (bits >> 63 == 1) != negate);
        } else {
            self.apply_rare(value, negate);
        }
    }

    /// Adds `digits` · 2^`shift` units to the grid part; `shift` is at most [`GRID_SPAN`].
    #[inline(always)]
    fn add_to_grid(&mut self, digits: u64, shift: u32, negative: bool) {
        // In words of 64 bits by hand: WebAssembly has no wider ones and calls a routine to shift them.
        let (low, high) = (digits << shift, (digits >> 1) >> (63 - shift));
        let flip = u64::from(negative).wrapping_neg();
        let (low, carry) = (low ^ flip).overflowing_add(u64::from(negative));
        let high = (high ^ flip).wrapping_add(u64::from(carry));
        if !self.add_words(low, high) {
            self.spill();
            self.add_words(low, high);
        }
    }

    /// Adds a two's complement number to the grid part; false, and nothing added, where 128 bits cannot hold the sum.
    #[inline(always)]
    fn add_words(&mut self, low: u64, high: u64) -> bool {
        let (low, carry) = self.low.overflowing_add(low);
        let sum = self.high.wrapping_add(high).wrapping_add(u64::from(carry));
        let fits = ((self.high ^ sum) & (high ^ sum)) >> 63 == 0;
        if fits {
            (self.low, self.high) = (low, sum);
        }
        fits
    }

    /// Adds or takes away what is not a normal number in the grid's span.
    #[cold]
    #[inline(never)]
    fn apply_rare(&mut self, value: f64, negate: bool) {
        let negative = value.is_sign_negative() != negate;
        if value == 0.0 {
            return;
        }
        if !value.is_finite() {
            let rare = self.rare.get_or_insert_default();
            let counter = match (value.is_nan(), value.is_sign_negative()) {
                (true, _) => &mut rare.nan,
                (false, false) => &mut rare.plus_infinity,
                (false, true) => &mut rare.minus_infinity,
            };
            *counter = if negate { counter.wrapping_sub(1) } else { counter.wrapping_add(1) };
            return;
        }
        let parts = Parts::of(value);
        let empty = self.low == 0 && self.high == 0 && self.rare.as_ref().is_none_or(|rare| rare.wide.is_none());
        if empty {
            self.base = parts.grid();
        }
        match parts.shift(self.base) {
            Some((digits, shift)) => self.add_to_grid(digits, shift, negative),
            None => self.add_to_wide(&parts, negative, !negate),
        }
    }

    /// Adds what is off the grid to the superaccumulator, and moves the grid when that happens again and again.
    fn add_to_wide(&mut self, parts: &Parts, negative: bool, comes: bool) {
        let rare = self.rare.get_or_insert_default();
        rare.strays = rare.strays.saturating_add(u8::from(comes));
        let moves = rare.strays >= STRAYS_MAX;
        let wide = rare.wide.get_or_insert_with(|| Box::new(Wide::ZERO));
        wide.add(u128::from(parts.digits), parts.position(), negative);
        if moves {
            rare.strays = 0;
            self.spill();
            self.base = parts.grid();
            self.settle();
        }
    }

    /// Moves the grid part into the superaccumulator.
    #[cold]
    #[inline(never)]
    fn spill(&mut self) {
        let grid = self.grid();
        if grid != 0 {
            let rare = self.rare.get_or_insert_default();
            let wide = rare.wide.get_or_insert_with(|| Box::new(Wide::ZERO));
            wide.add(grid.unsigned_abs(), grid_position(self.base), grid < 0);
            (self.low, self.high) = (0, 0);
        }
    }

    /// Gives up the superaccumulator as soon as the whole sum lies on the grid, and what else is not needed any more.
    #[cold]
    #[inline(never)]
    fn settle(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.wide.is_some()) {
            self.spill();
        }
        let Some(mut rare) = self.rare.take() else {
            return;
        };
        if let Some(wide) = &rare.wide {
            let magnitude = wide.magnitude();
            let units = magnitude.bits_from(grid_position(self.base), GRID_RETURN_BITS);
            if let Some(units) = units.map(|units| units as i128) {
                let grid = if magnitude.negative { -units } else { units };
                (self.low, self.high) = (grid as u64, (grid >> 64) as u64);
                (rare.wide, rare.strays) = (None, 0);
            }
        }
        if rare.wide.is_some() || rare.nan != 0 || rare.plus_infinity != 0 || rare.minus_infinity != 0 {
            self.rare = Some(rare);
        }
    }

    fn grid(&self) -> i128 {
        (u128::from(self.high) << 64 | u128::from(self.low)) as i128
    }

    #[inline(always)]
    fn divided(&self, count: u32) -> f64 {
        if self.rare.is_some() || count >= COUNT_FAST_MAX {
            return self.divided_rare(count);
        }
        if self.low == 0 && self.high == 0 {
            return 0.0;
        }
        let negative = self.high >> 63 == 1;
        let flip = u64::from(negative).wrapping_neg();
        let (low, carry) = (self.low ^ flip).overflowing_add(u64::from(negative));
        let high = (self.high ^ flip).wrapping_add(u64::from(carry));
        let (digits, exponent) = quotient(high, low, u64::from(count));
        nearest(negative, digits, exponent + i32::from(self.base) - 1_075)
    }

    #[cold]
    #[inline(never)]
    fn divided_rare(&self, count: u32) -> f64 {
        let (mut wide, mut infinite) = (Wide::ZERO, None);
        if let Some(rare) = &self.rare {
            infinite = match (rare.nan, rare.plus_infinity, rare.minus_infinity) {
                (0, 0, 0) => None,
                (0, _, 0) => Some(f64::INFINITY),
                (0, 0, _) => Some(f64::NEG_INFINITY),
                _ => Some(f64::NAN),
            };
            wide = rare.wide.as_deref().cloned().unwrap_or(wide);
        }
        infinite.unwrap_or_else(|| {
            let grid = self.grid();
            wide.add(grid.unsigned_abs(), grid_position(self.base), grid < 0);
            let magnitude = wide.magnitude();
            let (digits, exponent) = magnitude.divided(u64::from(count));
            nearest(magnitude.negative, digits, exponent)
        })
    }
}

/// The place of the grid's unit above 2^-1074.
fn grid_position(base: i16) -> u32 {
    if base == NO_GRID { 0 } else { (i32::from(base) - 1).unsigned_abs() }
}

/// The quotient of `high` · 2^64 + `low` (not 0) and `count` (1 to 2^24): digits and exponent for [`nearest`].
#[inline(always)]
fn quotient(high: u64, low: u64, count: u64) -> (u64, i32) {
    let (top, rest, exponent) = if high == 0 {
        let zeros = low.leading_zeros();
        (low << zeros, 0, 1 - zeros as i32)
    } else {
        let zeros = high.leading_zeros();
        (high << zeros | (low >> 1) >> (63 - zeros), low << zeros, 65 - zeros as i32)
    };
    // 63 digits, so that every number here fits a signed word.
    let half = top >> 1;
    let (whole, remainder) = (half / count, half % count);
    if count <= 256 {
        let sticky = u64::from((remainder | (top & 1) | rest) != 0);
        return (whole | sticky, exponent);
    }
    // Too few digits (39 or more): 31 more from the remainder and the digits behind.
    let next = remainder << 31 | (top & 1) << 30 | rest >> 34;
    let (more, remainder) = (next / count, next % count);
    let room = whole.leading_zeros() - 1;
    let lost = (more << (33 + room)) | remainder | (rest << 30);
    (whole << room | more >> (31 - room) | u64::from(lost != 0), exponent - room as i32)
}

/// A finite double that is not zero, taken apart: `digits` · 2^(`field` - 1075), no zeros at the end of the digits.
struct Parts {
    digits: u64,
    field: i32,
    /// The exponent field of the double itself, 1 for subnormals: what its size is judged by.
    size: i32,
}

impl Parts {
    fn of(value: f64) -> Self {
        let bits = value.to_bits();
        let field = (bits >> 52) as i32 & EXPONENT_FIELD;
        let digits = if field == 0 { bits & FRACTION } else { bits & FRACTION | IMPLICIT };
        let zeros = digits.trailing_zeros();
        Self { digits: digits >> zeros, field: field.max(1) + zeros as i32, size: field.max(1) }
    }

    /// The base of a grid around the number.
    fn grid(&self) -> i16 {
        // Within 1 and 1990 subnormals keep their unit, and the largest doubles are not taken for infinities.
        (self.size - GRID_MARGIN).clamp(1, EXPONENT_FIELD - 1 - GRID_SPAN) as i16
    }

    /// Digits and shift on the grid, if the number is on it.
    fn shift(&self, base: i16) -> Option<(u64, u32)> {
        let base = i32::from(base);
        let on_grid = self.field >= base && self.size <= base + GRID_SPAN;
        let zeros = (self.field - base - GRID_SPAN).max(0);
        on_grid.then(|| (self.digits << zeros, (self.field - base - zeros).unsigned_abs()))
    }

    /// The place of the last digit above 2^-1074.
    fn position(&self) -> u32 {
        (self.field - 1).unsigned_abs()
    }
}
