//! Reading a text by a pattern, field by field as Java's `SimpleDateFormat.subParse` does.

use super::{Field, HALVES, MONTHS, Part, Pattern, WEEKDAYS, days_to_month};
use crate::transform::timestamp_converter::calendar::DAY_US;

/// What the fields said; what none said is that of 1970-01-01T00:00:00Z.
#[derive(Debug, Default)]
struct Parsed {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour_of_day: i64,
    hour_of_half: i64,
    half: i64,
    minute: i64,
    second: i64,
    milli: i64,
    zone_minutes: i64,
}

/// A text and how far it is read.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Pattern {
    /// The moment (µs since the epoch) that a text names; None where it does not match or is out of range.
    pub(crate) fn parse(&self, text: &str) -> Option<i64> {
        let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
        let mut parsed = Parsed::default();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => cursor.literal(literal.as_bytes())?,
                Part::Field { field, count, is_bounded } => {
                    let end = if *is_bounded { cursor.at.checked_add(*count)? } else { text.len() };
                    cursor.field(*field, *count, end, &mut parsed)?;
                }
            }
        }
        parsed.moment(self.is_half_day)
    }
}

impl Parsed {
    fn moment(&self, is_half_day: bool) -> Option<i64> {
        let days = days_to_month(self.year.unwrap_or(1970), self.month.unwrap_or(1)) + self.day.unwrap_or(1) - 1;
        let hours = if is_half_day { self.hour_of_half + 12 * self.half } else { self.hour_of_day };
        let minutes = hours * 60 + self.minute - self.zone_minutes;
        let millis = (minutes * 60 + self.second) * 1_000 + self.milli;
        // Each number is one of 32 bits, so only the last step can leave the range.
        i64::try_from(i128::from(days) * i128::from(DAY_US) + i128::from(millis) * 1_000).ok()
    }
}

impl Cursor<'_> {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn literal(&mut self, literal: &[u8]) -> Option<()> {
        self.rest().starts_with(literal).then(|| self.at += literal.len())
    }

    /// Reads one field; a number ends before `end`.
    fn field(&mut self, field: Field, count: usize, end: usize, parsed: &mut Parsed) -> Option<()> {
        let start = self.at;
        self.at += self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if self.rest().is_empty() {
            return None;
        }
        if field.is_number(count) {
            let first = self.at;
            let number = self.number(end)?;
            parsed.set(field, if field == Field::Year && count <= 2 { self.century(first, number) } else { number });
            return Some(());
        }
        match field {
            Field::ZoneName | Field::ZoneOffset => parsed.zone_minutes = self.zone()?,
            Field::ZoneIso => parsed.zone_minutes = self.zone_iso(count)?,
            _ => {
                // Names begin at once: Java skips blanks only before numbers and zones.
                self.at = start;
                match field {
                    Field::Month => parsed.month = Some(self.name(&MONTHS, true)? + 1),
                    Field::HalfOfDay => parsed.half = self.name(&HALVES, false)?,
                    // The weekday follows from the date; it must be one, whichever it is.
                    _ => drop(self.name(&WEEKDAYS, true)?),
                }
            }
        }
        Some(())
    }

    /// A number with or without a minus, of 32 bits.
    fn number(&mut self, end: usize) -> Option<i64> {
        let bytes = self.bytes.get(self.at..end)?;
        let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
        let is_negative = digits.len() < bytes.len();
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = digits.get(..length).filter(|digits| !digits.is_empty())?;
        let add = |number: i64, byte: &u8| Some(number.checked_mul(10)? + i64::from(byte - b'0'));
        let number = digits.iter().try_fold(0, add)?;
        self.at += length + usize::from(is_negative);
        let number = if is_negative { -number } else { number };
        i32::try_from(number).ok().map(i64::from)
    }

    /// A year of exactly two digits lies in 1950 to 2049; any other is meant as written.
    fn century(&self, first: usize, year: i64) -> i64 {
        let is_two_digits = self.at - first == 2 && (0..100).contains(&year);
        if is_two_digits { year + if year < 50 { 2_000 } else { 1_900 } } else { year }
    }

    /// The number of the name that stands here, whatever its case: whole, else its first three letters.
    fn name(&mut self, names: &[&str], has_short: bool) -> Option<i64> {
        let rest = self.rest();
        let begins = |name: &[u8]| rest.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name));
        let whole = |name: &&str| begins(name.as_bytes());
        let short = |name: &&str| has_short && name.as_bytes().first_chunk::<3>().is_some_and(|short| begins(short));
        let (number, length) = match names.iter().position(whole) {
            Some(number) => (number, names.get(number)?.len()),
            None => (names.iter().position(short)?, 3),
        };
        self.at += length;
        Some(number as i64)
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.rest().first().copied()?;
        self.at += 1;
        Some(byte)
    }

    /// A zone as `z` and `Z` read it: `+hhmm`, `GMT+h:mm`, `GMT` or `UTC`; minutes east of Greenwich.
    fn zone(&mut self) -> Option<i64> {
        if let Some(sign) = self.sign() {
            return self.offset(sign, 0, false);
        }
        let named = |rest: &[u8], name: &[u8]| rest.get(..3).is_some_and(|text| text.eq_ignore_ascii_case(name));
        let is_gmt = named(self.rest(), b"GMT");
        if !is_gmt && !named(self.rest(), b"UTC") {
            return None;
        }
        self.at += 3;
        match is_gmt.then(|| self.sign()).flatten() {
            Some(sign) => self.offset(sign, 0, true),
            None => Some(0),
        }
    }

    /// A zone as `X` reads it: `Z`, `+hh`, `+hhmm` or `+hh:mm` by the number of letters.
    fn zone_iso(&mut self, count: usize) -> Option<i64> {
        if self.rest().first() == Some(&b'Z') {
            self.at += 1;
            return Some(0);
        }
        let sign = self.sign()?;
        self.offset(sign, count, count == 3)
    }

    fn sign(&mut self) -> Option<i64> {
        let sign = match self.rest().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.at += 1;
        Some(sign)
    }

    fn digit(&mut self) -> Option<i64> {
        self.next().filter(u8::is_ascii_digit).map(|byte| i64::from(byte - b'0'))
    }

    /// Hours and minutes behind a sign. `letters` 0 = not `X`; one `X` has hours alone.
    fn offset(&mut self, sign: i64, letters: usize, has_colon: bool) -> Option<i64> {
        let mut hours = self.digit()?;
        let is_two_digits = self.rest().first().is_some_and(u8::is_ascii_digit);
        if is_two_digits {
            hours = hours * 10 + self.digit()?;
        } else if letters > 0 || !has_colon {
            return None;
        }
        let mut minutes = 0;
        if letters != 1 {
            if has_colon && self.next()? != b':' {
                return None;
            }
            minutes = self.digit()? * 10 + self.digit()?;
        }
        (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
    }
}

impl Parsed {
    fn set(&mut self, field: Field, number: i64) {
        match field {
            Field::Year => self.year = Some(number),
            Field::Month => self.month = Some(number),
            Field::Day => self.day = Some(number),
            Field::HourOfDay => self.hour_of_day = number,
            // 12 stands for 0: half past midnight is 12:30 AM.
            Field::HourOfHalf => self.hour_of_half = if number == 12 { 0 } else { number },
            Field::Minute => self.minute = number,
            Field::Second => self.second = number,
            Field::Milli => self.milli = number,
            Field::Weekday | Field::HalfOfDay | Field::ZoneName | Field::ZoneOffset | Field::ZoneIso => {}
        }
    }
}
