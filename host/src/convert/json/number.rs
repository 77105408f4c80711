//! Numbers: one scan that checks syntax and range and gathers digits and exponent, and the conversions that
//! cells want. Floats are correctly rounded: short ones by the exact path of W. D. Clinger, "How to read
//! floating point numbers accurately" (PLDI 1990), all others by the standard library.

use super::fault::{Cause, Fault};
use super::scan::{Cursor, HIGHS, ONES};

/// Decimal digits after the point of every decimal cell (the scale of its Arrow type). Fixed, because a cell
/// may depend on its own record alone; 18 is what currencies down to wei need.
pub const DECIMAL_SCALE: u32 = 18;
/// Significant digits of a decimal cell: the precision of its Arrow type.
pub const DECIMAL_DIGITS: u32 = 38;
/// The most digits of which every number fits 64 bits.
const WORD_DIGITS: usize = 19;
/// Stands for a mantissa of more than [`WORD_DIGITS`] digits.
const LONG: u64 = u64::MAX;
/// The largest integer up to which all are exactly floats: 2^53.
const EXACT_MAX: u64 = 1 << 53;
/// A number below 10^308 is below the largest float.
const RANGE_DIGITS: i64 = 308;
/// Exponents are read up to here; beyond, a number is 0 or out of range whatever its digits.
const EXPONENT_MAX: i64 = 1 << 32;

/// A scanned number. Its text, which only unusual conversions look at, is where it was.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// All its digits, the point left out; [`LONG`] if they are too many.
    mantissa: u64,
    /// The number is mantissa × 10^exponent.
    exponent: i64,
    negative: bool,
}

/// Goes over a number, whose first byte is `-` or a digit.
#[inline(always)]
pub fn scan(cursor: &mut Cursor<'_>) -> Result<Number, Fault> {
    let mut word = cursor.word();
    let negative = word as u8 == b'-';
    if negative {
        cursor.advance(1);
        word = cursor.word();
    }
    if let Some((mantissa, exponent, bytes)) = scan_short(word) {
        cursor.advance(bytes);
        return Ok(Number { mantissa, exponent, negative });
    }
    let (mantissa, shape) = scan_medium(cursor.rest());
    if shape != 0 {
        cursor.advance(usize::from(shape & 0xFF));
        return Ok(Number { mantissa, exponent: -i64::from(shape >> 8), negative });
    }
    let (mantissa, exponent, left) = scan_long(*cursor)?;
    cursor.leave(left);
    Ok(Number { mantissa, exponent, negative })
}

/// Digits, exponent and length of a number without sign and exponent that ends within a word. None where it is
/// longer, or wrong.
#[inline(always)]
fn scan_short(word: u64) -> Option<(u64, i64, usize)> {
    let others = other_bytes(word);
    if others == 0 {
        return None;
    }
    let whole = others.trailing_zeros() >> 3;
    let next = (word >> (8 * whole)) as u8;
    if whole == 0 || (whole > 1 && word as u8 == b'0') || next | 0x20 == b'e' {
        return None;
    }
    if next != b'.' {
        return Some((number_of_digits(word, whole), 0, whole as usize));
    }
    let others = others & others.wrapping_sub(1);
    if others == 0 {
        return None;
    }
    let end = others.trailing_zeros() >> 3;
    if end == whole + 1 || (word >> (8 * end)) as u8 | 0x20 == b'e' {
        return None;
    }
    // Closes the gap of the point.
    let after = u64::MAX << (8 * whole);
    let digits = (word & !after) | ((word >> 8) & after);
    let exponent = i64::from(whole) + 1 - i64::from(end);
    Some((number_of_digits(digits, end - 1), exponent, end as usize))
}

/// As [`scan_short`] within two words: the digits, and the length with the digits after the point × 256; 0 where
/// it is longer, or wrong, or near the end.
#[inline(never)]
fn scan_medium(rest: &[u8]) -> (u64, u16) {
    const NO: (u64, u16) = (0, 0);
    let Some(chunk) = rest.first_chunk::<16>() else {
        return NO;
    };
    let word = u128::from_le_bytes(*chunk);
    let others = u128::from(other_bytes(word as u64)) | u128::from(other_bytes((word >> 64) as u64)) << 64;
    if others == 0 {
        return NO;
    }
    let whole = others.trailing_zeros() >> 3;
    let next = (word >> (8 * whole)) as u8;
    if whole == 0 || (whole > 1 && word as u8 == b'0') || next | 0x20 == b'e' {
        return NO;
    }
    if next != b'.' {
        return (number_of_two_words(word, whole), whole as u16);
    }
    let others = others & others.wrapping_sub(1);
    if others == 0 {
        return NO;
    }
    let end = others.trailing_zeros() >> 3;
    if end == whole + 1 || (word >> (8 * end)) as u8 | 0x20 == b'e' {
        return NO;
    }
    let after = u128::MAX << (8 * whole);
    let digits = (word & !after) | ((word >> 8) & after);
    (number_of_two_words(digits, end - 1), ((end - whole - 1) << 8 | end) as u16)
}

/// As [`number_of_digits`], 1 to 16.
#[inline]
fn number_of_two_words(word: u128, count: u32) -> u64 {
    let padded = word << (128 - 8 * count);
    let (first, last) = (number_of_digits(padded as u64, 8), number_of_digits((padded >> 64) as u64, 8));
    first.wrapping_mul(100_000_000).wrapping_add(last)
}

/// Mantissa and exponent of any number, whose first digit is at the cursor, and the bytes left after it.
#[inline(never)]
fn scan_long(start: Cursor<'_>) -> Result<(u64, i64, usize), Fault> {
    let mut cursor = start;
    let (mut mantissa, mut digits) = scan_digits(&mut cursor, 0)?;
    if start.peek() == Some(b'0') && digits > 1 {
        return Err(start.fault(Cause::LeadingZero));
    }
    let mut exponent = 0;
    if cursor.eat(b'.') {
        let (value, after) = scan_digits(&mut cursor, mantissa)?;
        mantissa = value;
        digits += after;
        exponent = -(after as i64);
    }
    let has_exponent = cursor.peek().is_some_and(|byte| byte | 0x20 == b'e');
    if has_exponent || digits > WORD_DIGITS {
        if has_exponent {
            exponent += scan_exponent(&mut cursor)?;
        }
        mantissa = if digits > WORD_DIGITS { LONG } else { mantissa };
        if mantissa != 0 && digits as i64 + exponent > RANGE_DIGITS && parse(start.until(cursor)).is_infinite() {
            return Err(start.fault(Cause::Range));
        }
    }
    Ok((mantissa, exponent, cursor.left()))
}

/// Goes over at least one digit; gives the number that they make after the digits of `before`, modulo 2^64,
/// and how many they are.
#[inline]
fn scan_digits(cursor: &mut Cursor<'_>, before: u64) -> Result<(u64, usize), Fault> {
    let mut number = before;
    let mut digits = 0_usize;
    loop {
        let (value, count) = leading_digits(cursor.word());
        number = number.wrapping_mul(power_of_ten(count)).wrapping_add(value);
        cursor.advance(count);
        digits = digits.wrapping_add(count);
        if count < 8 {
            break;
        }
    }
    if digits == 0 { Err(cursor.fault(Cause::Digit)) } else { Ok((number, digits)) }
}

/// The number that the digits at the beginning of a word make, and how many they are, 0 to 8.
#[inline]
fn leading_digits(word: u64) -> (u64, usize) {
    let count = other_bytes(word).trailing_zeros() >> 3;
    if count == 0 { (0, 0) } else { (number_of_digits(word, count), count as usize) }
}

/// The high bit of each byte of a word that is no digit.
#[inline]
fn other_bytes(word: u64) -> u64 {
    let values = word ^ (ONES * u64::from(b'0'));
    (((values & !HIGHS).wrapping_add(ONES * 0x76)) | values) & HIGHS
}

/// The number that the first `count` bytes of a word make, all digits, 1 to 8.
#[inline]
fn number_of_digits(word: u64, count: u32) -> u64 {
    // The others shifted out for zeros in front; then pairs, fours, eights are added up.
    let padded = word.wrapping_shl(64_u32.wrapping_sub(8 * count)) & (ONES * 0x0F);
    let pairs = (padded.wrapping_mul(10).wrapping_add(padded >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xFFFF_FFFF
}

#[inline]
fn power_of_ten(digits: usize) -> u64 {
    const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    POWERS.get(digits).copied().unwrap_or(1)
}

/// Goes over an exponent from its letter on.
#[cold]
fn scan_exponent(cursor: &mut Cursor<'_>) -> Result<i64, Fault> {
    cursor.advance(1);
    let negative = cursor.eat(b'-');
    if !negative {
        cursor.eat(b'+');
    }
    if !cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        return Err(cursor.fault(Cause::Digit));
    }
    let mut exponent = 0;
    while let Some(byte @ b'0'..=b'9') = cursor.peek() {
        exponent = EXPONENT_MAX.min(exponent * 10 + i64::from(byte - b'0'));
        cursor.advance(1);
    }
    Ok(if negative { -exponent } else { exponent })
}

/// A number's text by the standard library, which reads the numbers of JSON and more.
#[cold]
fn parse(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::INFINITY)
}

impl Number {
    /// The number as an integer, if it is one (however it is written) and fits.
    #[inline]
    pub fn to_i64<'a>(self, text: impl FnOnce() -> &'a [u8]) -> Option<i64> {
        if self.exponent == 0 && i64::try_from(self.mantissa).is_ok() {
            let value = self.mantissa as i64;
            return Some(if self.negative { -value } else { value });
        }
        scaled(self.mantissa, self.exponent, text(), 0).and_then(|value| value.try_into().ok())
    }

    /// The number as the nearest float, ties to even; one written as an integer only when it is exactly a float.
    #[inline]
    pub fn to_f64<'a>(self, text: impl FnOnce() -> &'a [u8]) -> Option<f64> {
        const POWERS: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
            1e19, 1e20, 1e21, 1e22,
        ];
        match POWERS.get(self.exponent.unsigned_abs() as usize) {
            Some(power) if self.mantissa <= EXACT_MAX => {
                let mantissa = self.mantissa as i64 as f64;
                let value = if self.exponent <= 0 { mantissa / power } else { mantissa * power };
                Some(if self.negative { -value } else { value })
            }
            _ => nearest(text()),
        }
    }

    /// The number as a decimal of [`DECIMAL_SCALE`], if it fits its digits exactly.
    pub fn to_decimal(self, text: &[u8]) -> Option<i128> {
        scaled(self.mantissa, self.exponent, text, DECIMAL_SCALE)
    }
}

/// The float nearest to a number; to one written as an integer, only an equal float.
#[cold]
fn nearest(text: &[u8]) -> Option<f64> {
    let value = parse(text);
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let integer = digits.iter().all(u8::is_ascii_digit);
    (!integer || format!("{:.0}", value.abs()).as_bytes() == digits).then_some(value)
}

/// A number × 10^scale, if that is an integer of at most [`DECIMAL_DIGITS`] digits.
#[cold]
fn scaled(mantissa: u64, exponent: i64, text: &[u8], scale: u32) -> Option<i128> {
    let (mantissa, zeros) = if mantissa == LONG { significant(text)? } else { (u128::from(mantissa), 0) };
    let shift = exponent + zeros + i64::from(scale);
    let power = u32::try_from(shift.unsigned_abs()).ok().and_then(|digits| 10_u128.checked_pow(digits));
    let magnitude = match power {
        _ if mantissa == 0 => 0,
        Some(power) if shift >= 0 => mantissa.checked_mul(power)?,
        Some(power) if mantissa % power == 0 => mantissa / power,
        _ => return None,
    };
    let value = i128::try_from(magnitude).ok().filter(|&value| value < 10_i128.pow(DECIMAL_DIGITS))?;
    Some(if text.first() == Some(&b'-') { -value } else { value })
}

/// The digits of a number without zeros at either end, if they are no more than a decimal has, and the number
/// of zeros taken off the end.
fn significant(text: &[u8]) -> Option<(u128, i64)> {
    let mut mantissa = 0_u128;
    let mut digits = 0_u32;
    let mut zeros = 0_u32;
    for byte in text.iter().take_while(|byte| !matches!(byte, b'e' | b'E')) {
        match byte {
            b'1'..=b'9' => {
                digits = digits.saturating_add(zeros).saturating_add(1);
                if digits > DECIMAL_DIGITS {
                    return None;
                }
                mantissa = mantissa * 10_u128.pow(zeros + 1) + u128::from(byte - b'0');
                zeros = 0;
            }
            // Zeros in front do not count.
            b'0' if mantissa != 0 => zeros = zeros.saturating_add(1),
            _ => {}
        }
    }
    Some((mantissa, i64::from(zeros)))
}
