//! RFC 3339 date-times to microseconds since the epoch.

/// µs of a second.
const SECOND_US: i64 = 1_000_000;
/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// The time that a text names, in µs since the epoch; None where it is no date-time of RFC 3339 §5.6 with zone.
/// Between date and time a space may stand for `T` (as its note allows). Digits of a second after the sixth
/// are cut. A leap second (`23:59:60` UTC) is the second after it, as POSIX counts.
pub fn parse(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *date else {
        return None;
    };
    let (separator, rest) = rest.split_first()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let [h0, h1, b':', n0, n1, b':', s0, s1] = *time else {
        return None;
    };
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let days = days_since_epoch(year, two(m0, m1)?, two(d0, d1)?)?;
    let (hour, minute, second) = (two(h0, h1)?, two(n0, n1)?, two(s0, s1)?);
    let (fraction_us, rest) = fraction(rest)?;
    let offset_s = offset(rest)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let at = days * DAY_S + hour * 3_600 + minute * 60 + second - offset_s;
    if second == 60 && at.rem_euclid(DAY_S) != 0 {
        return None;
    }
    Some(at * SECOND_US + fraction_us)
}

/// A number of two digits.
fn two(tens: u8, ones: u8) -> Option<i64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// µs of a fraction, if one stands here, and the text after it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = text.split_first() else {
        return Some((0, text));
    };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(count).filter(|_| count > 0)?;
    let padded = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
    Some((padded.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')), rest))
}

/// Seconds by which a zone is ahead of UTC; the text is nothing but the zone.
fn offset(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
            let seconds = hours * 3_600 + minutes * 60;
            (hours <= 23 && minutes <= 59).then_some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, None where there is no such date. (H. Hinnant,
/// "chrono-compatible low-level date algorithms", `days_from_civil`.)
fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) {
        return None;
    }
    // Years that begin in March, so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}
