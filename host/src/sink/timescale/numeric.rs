//! PostgreSQL's binary `numeric`: groups of four decimal digits, most significant first, with the power of 10 000 of
//! the first group (`numeric_recv` in PostgreSQL's source).

use std::io::Write as _;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITE: u16 = 0xD000;
const NEGATIVE_INFINITE: u16 = 0xF000;
/// Digits of one group.
const GROUP: usize = 4;

/// Encodes numbers, keeping its digit buffer between them.
#[derive(Debug, Default)]
pub struct NumericEncoder {
    text: Vec<u8>,
    digits: Vec<u8>,
}

impl NumericEncoder {
    /// Appends `value` × 10^−`scale`.
    pub fn decimal(&mut self, value: i128, scale: i8, out: &mut Vec<u8>) {
        self.print(value.unsigned_abs());
        // A negative scale means zeros before the point.
        self.text.extend(std::iter::repeat_n(b'0', usize::from(scale.min(0).unsigned_abs())));
        self.encode(value < 0, scale.max(0).unsigned_abs().into(), out);
    }

    /// Appends a whole number.
    pub fn integer(&mut self, value: i64, out: &mut Vec<u8>) {
        self.decimal(value.into(), 0, out);
    }

    /// Appends a double as the shortest decimal that reads back as the same double; infinities need PostgreSQL 14.
    pub fn float(&mut self, value: f64, out: &mut Vec<u8>) {
        let special = if value.is_nan() {
            Some(NAN)
        } else if value == f64::INFINITY {
            Some(INFINITE)
        } else {
            None
        };
        let special = special.or((value == f64::NEG_INFINITY).then_some(NEGATIVE_INFINITE));
        if let Some(sign) = special {
            return header(0, 0, sign, 0, out);
        }
        self.print(value.abs());
        let point = self.text.iter().position(|&byte| byte == b'.');
        let scale = point.map_or(0, |at| self.text.len() - at - 1);
        self.text.retain(|&byte| byte != b'.');
        self.encode(value < 0.0, scale, out);
    }

    fn print(&mut self, value: impl std::fmt::Display) {
        self.text.clear();
        // Writing into a Vec cannot fail.
        let _ = write!(self.text, "{value}");
    }

    /// Encodes the digits in `text`, the last `scale` of them behind the point.
    fn encode(&mut self, negative: bool, scale: usize, out: &mut Vec<u8>) {
        // Zeros on both sides make the groups meet at the point.
        let whole = self.text.len().saturating_sub(scale);
        let behind = scale.max(self.text.len() - whole);
        self.digits.clear();
        self.digits.extend(std::iter::repeat_n(b'0', whole.next_multiple_of(GROUP) - whole));
        self.digits.extend(self.text.iter().take(whole));
        self.digits.extend(std::iter::repeat_n(b'0', scale.saturating_sub(self.text.len())));
        self.digits.extend(self.text.iter().skip(whole));
        self.digits.extend(std::iter::repeat_n(b'0', behind.next_multiple_of(GROUP) - behind));

        let groups = || self.digits.chunks_exact(GROUP).map(group);
        let leading = groups().take_while(|&group| group == 0).count();
        let count = groups().count();
        let trailing = groups().rev().take_while(|&group| group == 0).count();
        let used = count.saturating_sub(leading + trailing);
        let weight = whole.div_ceil(GROUP) as i16 - 1 - leading as i16;
        if used == 0 {
            return header(0, 0, POSITIVE, scale as u16, out);
        }
        header(used as u16, weight, if negative { NEGATIVE } else { POSITIVE }, scale as u16, out);
        for group in groups().skip(leading).take(used) {
            out.extend_from_slice(&group.to_be_bytes());
        }
    }
}

fn group(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |sum, &digit| sum * 10 + u16::from(digit - b'0'))
}

fn header(groups: u16, weight: i16, sign: u16, scale: u16, out: &mut Vec<u8>) {
    for part in [groups, weight as u16, sign, scale] {
        out.extend_from_slice(&part.to_be_bytes());
    }
}

/// Whether `value` × 10^−`scale`, rounded half away from zero to `column_scale` digits as PostgreSQL does, needs at
/// most `precision` digits in all.
pub fn fits(value: i128, scale: i8, precision: u32, column_scale: i32) -> bool {
    let dropped = i32::from(scale) - column_scale;
    let magnitude = value.unsigned_abs();
    let power = |exponent: u32| 10_u128.checked_pow(exponent);
    if dropped <= 0 {
        // The column keeps every digit: value × 10^−dropped < 10^precision.
        return match precision.checked_sub(dropped.unsigned_abs()) {
            Some(digits) => power(digits).is_none_or(|limit| magnitude < limit),
            None => magnitude == 0,
        };
    }
    let Some(unit) = power(dropped.unsigned_abs()) else {
        return true;
    };
    let rounded = magnitude / unit + u128::from(magnitude % unit >= unit.div_ceil(2));
    power(precision).is_none_or(|limit| rounded < limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(encode: impl FnOnce(&mut NumericEncoder, &mut Vec<u8>)) -> Vec<u16> {
        let mut out = Vec::new();
        encode(&mut NumericEncoder::default(), &mut out);
        out.chunks_exact(2).map(|pair| pair.iter().fold(0, |word, &byte| word << 8 | u16::from(byte))).collect()
    }

    #[test]
    fn decimals_become_groups_of_four_digits() {
        // groups, weight, sign, scale, digits; each checked against `numeric_send`
        assert_eq!(words(|n, out| n.decimal(12_345, 2, out)), [2, 0, 0, 2, 123, 4500]);
        assert_eq!(words(|n, out| n.decimal(-12_345, 2, out)), [2, 0, 0x4000, 2, 123, 4500]);
        assert_eq!(words(|n, out| n.decimal(0, 3, out)), [0, 0, 0, 3]);
        assert_eq!(words(|n, out| n.decimal(1, 5, out)), [1, 0xfffe, 0, 5, 1000]);
        assert_eq!(words(|n, out| n.decimal(10_000, 0, out)), [1, 1, 0, 0, 1]);
        assert_eq!(words(|n, out| n.decimal(7, -5, out)), [1, 1, 0, 0, 70]);
        assert_eq!(words(|n, out| n.integer(i64::MIN, out)), [5, 4, 0x4000, 0, 922, 3372, 368, 5477, 5808]);
    }

    #[test]
    fn doubles_become_their_shortest_decimal() {
        assert_eq!(words(|n, out| n.float(0.1, out)), [1, 0xffff, 0, 1, 1000]);
        assert_eq!(words(|n, out| n.float(-1.5, out)), [2, 0, 0x4000, 1, 1, 5000]);
        assert_eq!(words(|n, out| n.float(1e20, out)), [1, 5, 0, 0, 1]);
        assert_eq!(words(|n, out| n.float(-0.0, out)), [0, 0, 0, 0]);
        assert_eq!(words(|n, out| n.float(f64::NAN, out)), [0, 0, 0xC000, 0]);
        assert_eq!(words(|n, out| n.float(f64::INFINITY, out)), [0, 0, 0xD000, 0]);
        assert_eq!(words(|n, out| n.float(f64::NEG_INFINITY, out)), [0, 0, 0xF000, 0]);
    }

    #[test]
    fn precision_is_judged_after_rounding() {
        assert!(fits(9_999, 2, 4, 2), "99.99 in numeric(4,2)");
        assert!(!fits(10_000, 2, 4, 2), "100.00 in numeric(4,2)");
        assert!(fits(99_994, 3, 4, 2), "99.994 rounds to 99.99");
        assert!(!fits(99_995, 3, 4, 2), "99.995 rounds to 100.00");
        assert!(fits(99, 0, 4, 2), "99 in numeric(4,2)");
        assert!(!fits(100, 0, 4, 2), "100 in numeric(4,2)");
        assert!(fits(0, 0, 2, 5), "0 in numeric(2,5)");
        assert!(!fits(1, 0, 2, 5), "1 in numeric(2,5)");
        assert!(fits(99_949, 0, 3, -2), "99949 rounds to 99900 in numeric(3,-2)");
        assert!(!fits(99_950, 0, 3, -2), "99950 rounds to 100000 in numeric(3,-2)");
        assert!(fits(i128::MAX, 0, 1000, 0));
        assert!(!fits(i128::MIN, 38, 0, 0));
    }
}
