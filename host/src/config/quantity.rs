//! Amounts with units as operators write them: bytes (`256M`) and intervals (`1 day`, `12h`).

/// A number of bytes: digits and, without or after a blank, `K`, `M` or `G` (powers of 1 024), with or without
/// `B` or `iB` behind it.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text.trim())?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// The units of intervals: PostgreSQL's name, and the other names it is known by.
const UNITS: [(&str, &[&str]); 7] = [
    ("seconds", &["s", "sec", "secs", "second"]),
    ("minutes", &["m", "min", "mins", "minute"]),
    ("hours", &["h", "hr", "hrs", "hour"]),
    ("days", &["d", "day"]),
    ("weeks", &["w", "week"]),
    ("months", &["mon", "mons", "month"]),
    ("years", &["y", "yr", "yrs", "year"]),
];

/// An interval as PostgreSQL writes one (`1 days 12 hours`): one or more numbers with units, together positive.
pub fn interval(text: &str) -> Option<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let word = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (word, after) = after.split_at(word);
        let number: u32 = number.parse().ok()?;
        let word = word.to_ascii_lowercase();
        let (unit, _) = UNITS.iter().find(|(unit, names)| *unit == word || names.contains(&word.as_str()))?;
        parts.push((number, *unit));
        rest = after.trim_start();
    }
    let positive = parts.iter().any(|&(number, _)| number > 0);
    let written: Vec<String> = parts.iter().map(|(number, unit)| format!("{number} {unit}")).collect();
    positive.then(|| written.join(" "))
}

/// Digits and what stands behind them.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::{bytes, interval};

    #[test]
    fn reads_bytes() {
        let cases = [
            ("0", Some(0)),
            ("1048576", Some(1 << 20)),
            ("256M", Some(256 << 20)),
            ("256 MiB", Some(256 << 20)),
            (" 1g ", Some(1 << 30)),
            ("64KB", Some(64 << 10)),
            ("", None),
            ("M", None),
            ("1.5G", None),
            ("-1", None),
            ("1T", None),
            ("99999999999G", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn reads_intervals() {
        let cases = [
            ("1 day", Some("1 days")),
            ("1d", Some("1 days")),
            ("12 HOURS", Some("12 hours")),
            ("1 day 12h", Some("1 days 12 hours")),
            ("1d12h30m", Some("1 days 12 hours 30 minutes")),
            ("2 weeks", Some("2 weeks")),
            ("3 mons", Some("3 months")),
            ("0 days", None),
            ("", None),
            ("day", None),
            ("1", None),
            ("-1 day", None),
            ("1.5 days", None),
            ("1 fortnight", None),
            ("1 day'; drop table t", None),
            ("99999999999 days", None),
        ];
        for (text, expected) in cases {
            assert_eq!(interval(text).as_deref(), expected, "{text}");
        }
    }
}
