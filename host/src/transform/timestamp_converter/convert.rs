//! Moments to numbers and back: what each precision and each target makes of µs since the epoch.
//!
//! Connect keeps milliseconds inside and cuts finer ones off; weir keeps microseconds. Where Connect divides, both
//! cut towards zero (`TimeUnit`), so numbers agree. Where a moment before 1970 has a fraction of a millisecond,
//! a text, a `Date` or a `Time` of it can be that of the millisecond before Connect's. Connect's numbers stop at
//! the ends of 64 bits; here they are row errors.

use super::calendar::DAY_US;

/// What a number of `unix.precision` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Precision {
    Seconds,
    #[default]
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Precision {
    pub(super) fn parse(name: &str) -> Option<Precision> {
        use Precision::{Microseconds, Milliseconds, Nanoseconds, Seconds};
        [Seconds, Milliseconds, Microseconds, Nanoseconds].into_iter().find(|precision| precision.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Precision::Seconds => "seconds",
            Precision::Milliseconds => "milliseconds",
            Precision::Microseconds => "microseconds",
            Precision::Nanoseconds => "nanoseconds",
        }
    }

    /// A number as µs; None out of range.
    #[inline]
    pub(super) fn us_of(self, number: i64) -> Option<i64> {
        match self {
            Precision::Seconds => number.checked_mul(1_000_000),
            Precision::Milliseconds => number.checked_mul(1_000),
            Precision::Microseconds => Some(number),
            Precision::Nanoseconds => Some(number / 1_000),
        }
    }

    /// µs as a number; None out of range.
    #[inline]
    pub(super) fn count_of(self, us: i64) -> Option<i64> {
        match self {
            Precision::Seconds => Some(us / 1_000_000),
            Precision::Milliseconds => Some(us / 1_000),
            Precision::Microseconds => Some(us),
            Precision::Nanoseconds => us.checked_mul(1_000),
        }
    }
}

/// `target.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Target {
    Text,
    Unix,
    Date,
    Time,
    #[default]
    Timestamp,
}

impl Target {
    pub(super) fn parse(name: &str) -> Option<Target> {
        Some(match name {
            "string" => Target::Text,
            "unix" => Target::Unix,
            "Date" => Target::Date,
            "Time" => Target::Time,
            "Timestamp" => Target::Timestamp,
            _ => return None,
        })
    }
}

/// Midnight of the moment's day; None where that is out of range.
#[inline]
pub(super) fn midnight(us: i64) -> Option<i64> {
    us.checked_sub(time_of_day(us))
}

/// The moment's time of day on 1970-01-01.
#[inline]
pub(super) fn time_of_day(us: i64) -> i64 {
    us.rem_euclid(DAY_US)
}
