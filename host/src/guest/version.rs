//! Versions of plugins and ranges of them, as `plugin.version` means them (KIP-891: Maven's version order and
//! range syntax; a bare `1.2` is exactly `[1.2]`, `latest` or nothing is the newest). Pure.

use std::cmp::Ordering;
use std::fmt;

/// A version. Order is Maven's: numbers by value, `1.0` = `1`, and before a release its `alpha < beta <
/// milestone < rc < snapshot`; after it `sp`, then other words. Build metadata (`+…`) does not count.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    parts: Vec<Part>,
}

/// One part of a version. The order of the variants is the order of versions that differ here; what is
/// missing counts as a release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A word that comes before a release, by its rank.
    Before(u8),
    /// Nothing more, or a word that says "release".
    Release,
    /// A service pack.
    ServicePack,
    /// Any other word.
    Word(String),
    /// A number, as digits without leading zeros, so that no length overflows: by length, then text.
    Number(usize, String),
}

impl Part {
    fn number(digits: &str) -> Part {
        let digits = digits.trim_start_matches('0');
        Part::Number(digits.len(), digits.to_owned())
    }

    fn is_zero(&self) -> bool {
        matches!(self, Part::Number(0, _))
    }

    /// `before_digit`: `a1`, `b1` and `m1` are short for alpha, beta and milestone.
    fn word(word: &str, before_digit: bool) -> Part {
        match word.to_ascii_lowercase().as_str() {
            "alpha" => Part::Before(0),
            "a" if before_digit => Part::Before(0),
            "beta" => Part::Before(1),
            "b" if before_digit => Part::Before(1),
            "milestone" => Part::Before(2),
            "m" if before_digit => Part::Before(2),
            "rc" | "cr" => Part::Before(3),
            "snapshot" => Part::Before(4),
            "" | "final" | "ga" | "release" => Part::Release,
            "sp" => Part::ServicePack,
            other => Part::Word(other.to_owned()),
        }
    }
}

impl Version {
    /// Any text is a version; what it says is only compared.
    pub fn new(text: impl Into<String>) -> Version {
        let text = text.into();
        let counted = text.split('+').next().unwrap_or_default();
        let mut parts = Vec::new();
        for piece in counted.split(['.', '-', '_']) {
            let mut rest = piece;
            while let Some(first) = rest.chars().next() {
                let digits = first.is_ascii_digit();
                let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
                let (head, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
                if digits {
                    parts.push(Part::number(head));
                } else {
                    trim_zeros(&mut parts);
                    parts.push(Part::word(head, !tail.is_empty()));
                }
                rest = tail;
            }
        }
        trim_zeros(&mut parts);
        Version { text, parts }
    }

    /// The version as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Zeros before a word or the end do not count: `1.0-rc` = `1-rc`.
fn trim_zeros(parts: &mut Vec<Part>) {
    while parts.last().is_some_and(Part::is_zero) {
        parts.pop();
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.parts.len().max(other.parts.len());
        let of = |v: &Version| v.parts.clone().into_iter().chain(std::iter::repeat(Part::Release)).take(length);
        of(self).cmp(of(other))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Which versions will do: the newest, or what lies in one of several intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Empty: any version.
    intervals: Vec<Interval>,
}

/// An interval; a missing end is open to that side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interval {
    low: Option<Bound>,
    high: Option<Bound>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    version: Version,
    included: bool,
}

impl Range {
    /// Any version; the newest wins.
    pub const LATEST: Range = Range { intervals: Vec::new() };

    /// Reads `[1.0,2.0)`, `(,1.5]`, `[1.2]`, unions of them (`[1,2),[3,)`), a bare version, or `latest`.
    /// The error is one sentence that names the text and what it may be.
    pub fn parse(text: &str) -> Result<Range, String> {
        let text = text.trim();
        if text.is_empty() || text.eq_ignore_ascii_case("latest") {
            return Ok(Range::LATEST);
        }
        if !text.contains(['[', '(', ')', ']', ',']) {
            return Ok(Range { intervals: vec![Interval::exactly(text)] });
        }
        let wrong = |why: &str| format!("version range `{text}` {why}; write for example [1.0,2.0), [1.2] or latest");
        let mut intervals: Vec<Interval> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find([']', ')']).ok_or_else(|| wrong("has no closing bracket"))?;
            let (interval, tail) = rest.split_at_checked(end + 1).unwrap_or((rest, ""));
            let interval = Interval::parse(interval.trim()).map_err(wrong)?;
            if intervals.last().is_some_and(|before| !before.ends_before(&interval)) {
                return Err(wrong("has intervals that overlap or do not rise"));
            }
            intervals.push(interval);
            let tail = tail.trim_start();
            rest = match tail.strip_prefix(',') {
                Some(more) if !more.trim().is_empty() => more.trim_start(),
                None if tail.is_empty() => tail,
                _ => return Err(wrong("needs a comma and an interval after each interval but the last")),
            };
        }
        Ok(Range { intervals })
    }

    /// Whether the version will do.
    pub fn contains(&self, version: &Version) -> bool {
        self.intervals.is_empty() || self.intervals.iter().any(|interval| interval.contains(version))
    }
}

impl Interval {
    fn exactly(version: &str) -> Interval {
        let bound = Bound { version: Version::new(version.trim()), included: true };
        Interval { low: Some(bound.clone()), high: Some(bound) }
    }

    fn parse(text: &str) -> Result<Interval, &'static str> {
        let mut inner = text.chars();
        let (Some(opening @ ('[' | '(')), Some(closing @ (']' | ')'))) = (inner.next(), inner.next_back()) else {
            return Err("has an interval that does not begin with [ or (");
        };
        let inner = inner.as_str();
        if inner.contains(['[', '(']) {
            return Err("has a bracket inside a bracket");
        }
        let Some((low, high)) = inner.split_once(',') else {
            return match (opening, closing, inner.trim()) {
                ('[', ']', version) if !version.is_empty() => Ok(Interval::exactly(version)),
                _ => Err("has a single version outside of [ ]"),
            };
        };
        if high.contains(',') {
            return Err("has more than two versions in one interval");
        }
        let bound = |version: &str, included| match version.trim() {
            "" => None,
            version => Some(Bound { version: Version::new(version), included }),
        };
        let interval = Interval { low: bound(low, opening == '['), high: bound(high, closing == ']') };
        match (&interval.low, &interval.high) {
            (Some(low), Some(high)) if low.version > high.version => Err("has its higher version first"),
            (Some(low), Some(high)) if low.version == high.version && !(low.included && high.included) => {
                Err("has an empty interval")
            }
            _ => Ok(interval),
        }
    }

    fn contains(&self, version: &Version) -> bool {
        let above = self.low.as_ref().is_none_or(|b| match version.cmp(&b.version) {
            Ordering::Greater => true,
            Ordering::Equal => b.included,
            Ordering::Less => false,
        });
        let below = self.high.as_ref().is_none_or(|b| match version.cmp(&b.version) {
            Ordering::Less => true,
            Ordering::Equal => b.included,
            Ordering::Greater => false,
        });
        above && below
    }

    /// Whether every version in it is lower than every version in the other.
    fn ends_before(&self, other: &Interval) -> bool {
        match (&self.high, &other.low) {
            (Some(high), Some(low)) => match high.version.cmp(&low.version) {
                Ordering::Less => true,
                Ordering::Equal => !(high.included && low.included),
                Ordering::Greater => false,
            },
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
