//! Patterns of Java's SimpleDateFormat: the letters `y M d E a H h m s S z Z X` and quotes, in English and UTC,
//! formatting and lenient parsing as Java does both (JDK 17), since Connect's configurations rely on it:
//! fields run over (2021-02-30 is 2021-03-02), text behind the pattern is not looked at, `S` counts milliseconds.
//!
//! Different here: the calendar before 1582-10-15 (see `calendar`); two-digit years are those of 1950 to 2049 and
//! do not move with the clock, since a replay must give what it gave before; digits are ASCII; of zone names only
//! UTC and GMT are known; a number that does not fit 32 bits does not match instead of wrapping around.

use super::calendar::{Moment, days_to_month};

mod parse;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    parts: Vec<Part>,
    /// Whether `h` and `a` give the hour, not `H`.
    is_half_day: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field {
        field: Field,
        /// How many times the letter stands there.
        count: usize,
        /// Whether a number must end after `count` characters, because another number follows without a gap.
        is_bounded: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    Weekday,
    HalfOfDay,
    HourOfDay,
    HourOfHalf,
    Minute,
    Second,
    Milli,
    ZoneName,
    ZoneOffset,
    ZoneIso,
}

impl Field {
    fn of(letter: char) -> Option<Field> {
        Some(match letter {
            'y' => Field::Year,
            'M' => Field::Month,
            'd' => Field::Day,
            'E' => Field::Weekday,
            'a' => Field::HalfOfDay,
            'H' => Field::HourOfDay,
            'h' => Field::HourOfHalf,
            'm' => Field::Minute,
            's' => Field::Second,
            'S' => Field::Milli,
            'z' => Field::ZoneName,
            'Z' => Field::ZoneOffset,
            'X' => Field::ZoneIso,
            _ => return None,
        })
    }

    /// Whether the field, written `count` times, is read as a number.
    fn is_number(self, count: usize) -> bool {
        match self {
            Field::Month => count <= 2,
            Field::Year
            | Field::Day
            | Field::HourOfDay
            | Field::HourOfHalf
            | Field::Minute
            | Field::Second
            | Field::Milli => true,
            Field::Weekday | Field::HalfOfDay | Field::ZoneName | Field::ZoneOffset | Field::ZoneIso => false,
        }
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const HALVES: [&str; 2] = ["AM", "PM"];

impl Pattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub(super) fn compile(text: &str) -> Result<Pattern, String> {
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                push_literal(&mut parts, &quoted(&mut chars)?);
            } else if !c.is_ascii_alphabetic() {
                push_literal(&mut parts, c.encode_utf8(&mut [0; 4]));
            } else {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                let field = Field::of(c).ok_or_else(|| {
                    format!("the letter `{c}` stands for nothing here; the letters are y M d E a H h m s S z Z X")
                })?;
                if count > if field == Field::ZoneIso { 3 } else { 255 } {
                    return Err(format!("the letter `{c}` stands there {count} times"));
                }
                parts.push(Part::Field { field, count, is_bounded: false });
            }
        }
        bound_numbers(&mut parts);
        let is_half_day = is_half_day(&parts);
        Ok(Pattern { text: text.to_owned(), parts, is_half_day })
    }

    /// The pattern as written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Appends a moment (µs since the epoch) as this pattern writes it.
    pub(super) fn format(&self, us: i64, text: &mut String) {
        let moment = Moment::of(us);
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Field { field, count, .. } => field.format(*count, &moment, text),
            }
        }
    }
}

/// The text up to the closing quote; two quotes in a row are one quote.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    if chars.next_if_eq(&'\'').is_some() {
        return Ok("'".to_owned());
    }
    let mut literal = String::new();
    loop {
        match chars.next() {
            Some('\'') if chars.next_if_eq(&'\'').is_some() => literal.push('\''),
            Some('\'') => return Ok(literal),
            Some(c) => literal.push(c),
            None => return Err("a quote is not closed".to_owned()),
        }
    }
}

fn push_literal(parts: &mut Vec<Part>, literal: &str) {
    match parts.last_mut() {
        Some(Part::Literal(text)) => text.push_str(literal),
        _ => parts.push(Part::Literal(literal.to_owned())),
    }
}

/// A field before a number without a gap ends after as many characters as it has letters (`yyyyMMdd`).
fn bound_numbers(parts: &mut [Part]) {
    let mut is_number_next = false;
    for part in parts.iter_mut().rev() {
        match part {
            Part::Literal(_) => is_number_next = false,
            Part::Field { field, count, is_bounded } => {
                *is_bounded = is_number_next;
                is_number_next = field.is_number(*count);
            }
        }
    }
}

/// Which hour counts where a pattern has both: `h` with `a`, if one of them stands behind `H`.
fn is_half_day(parts: &[Part]) -> bool {
    let last =
        |wanted: Field| parts.iter().rposition(|part| matches!(part, Part::Field { field, .. } if *field == wanted));
    match (last(Field::HourOfDay), last(Field::HourOfHalf), last(Field::HalfOfDay)) {
        (None, ..) => true,
        (Some(of_day), Some(of_half), Some(half)) => of_half.max(half) > of_day,
        (Some(_), ..) => false,
    }
}

impl Field {
    fn format(self, count: usize, moment: &Moment, text: &mut String) {
        let seconds = moment.day_us / 1_000_000;
        let hour = seconds / 3_600;
        let number = match self {
            // The year of its era, as Java writes it: 1 BC is 1.
            Field::Year => {
                let year = if moment.year <= 0 { 1 - moment.year } else { moment.year };
                return if count == 2 { pad(year % 100, 2, text) } else { pad(year, count, text) };
            }
            Field::Month if count > 2 => return text.push_str(name(&MONTHS, moment.month - 1, count)),
            Field::Weekday => return text.push_str(name(&WEEKDAYS, moment.weekday, count)),
            Field::HalfOfDay => return text.push_str(name(&HALVES, hour / 12, 4)),
            Field::ZoneName => return text.push_str(if count < 4 { "UTC" } else { "Coordinated Universal Time" }),
            Field::ZoneOffset => return text.push_str("+0000"),
            Field::ZoneIso => return text.push('Z'),
            Field::Month => moment.month,
            Field::Day => moment.day,
            Field::HourOfDay => hour,
            Field::HourOfHalf => (hour + 11) % 12 + 1,
            Field::Minute => seconds / 60 % 60,
            Field::Second => seconds % 60,
            Field::Milli => moment.day_us / 1_000 % 1_000,
        };
        pad(number, count, text);
    }
}

/// The name of that number: whole from four letters on, else its first three.
fn name(names: &[&'static str], number: i64, count: usize) -> &'static str {
    let whole = usize::try_from(number).ok().and_then(|number| names.get(number)).copied().unwrap_or_default();
    if count >= 4 { whole } else { whole.get(..3).unwrap_or(whole) }
}

/// Appends a number that is not negative with at least `count` digits.
fn pad(number: i64, count: usize, text: &mut String) {
    let digits = number.to_string();
    text.extend(std::iter::repeat_n('0', count.saturating_sub(digits.len())));
    text.push_str(&digits);
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
