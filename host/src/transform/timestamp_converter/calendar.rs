//! Days and years: the proleptic Gregorian calendar, as in ISO 8601 and PostgreSQL. Java's SimpleDateFormat,
//! and so Connect, counts dates before 1582-10-15 in the Julian calendar; weir does not.
//! Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
//! (<https://howardhinnant.github.io/date_algorithms.html>).

/// Microseconds of one day.
pub(super) const DAY_US: i64 = 86_400_000_000;

/// Days of one 400-year cycle, after which the calendar repeats.
const CYCLE_DAYS: i64 = 146_097;

/// Days from 1970-01-01 to the first of a month; months before January or after December lie in other years.
pub(super) fn days_to_month(year: i64, month: i64) -> i64 {
    let zero_based = month - 1;
    let (year, month) = (year + zero_based.div_euclid(12), zero_based.rem_euclid(12));
    // Years begin in March, so that the leap day is the last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let (cycle, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5;
    let day_of_cycle = year * 365 + year / 4 - year / 100 + day_of_year;
    cycle * CYCLE_DAYS + day_of_cycle - 719_468
}

/// A moment taken apart, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// The year, 0 = 1 BC.
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
    /// 0 = Sunday.
    pub(super) weekday: i64,
    /// Microseconds since midnight.
    pub(super) day_us: i64,
}

impl Moment {
    /// Takes microseconds since the epoch apart.
    pub(super) fn of(us: i64) -> Moment {
        let days = us.div_euclid(DAY_US);
        let shifted = days + 719_468;
        let (cycle, day_of_cycle) = (shifted.div_euclid(CYCLE_DAYS), shifted.rem_euclid(CYCLE_DAYS));
        let year_of_cycle =
            (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
        let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Moment {
            year: cycle * 400 + year_of_cycle + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            weekday: (days + 4).rem_euclid(7),
            day_us: us.rem_euclid(DAY_US),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Moment, days_to_month};

    #[test]
    fn counts_every_day_of_a_thousand_years() {
        let days_of = |year: i64, month: i64| match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let (mut days, mut weekday) = (days_to_month(1500, 1), 1);
        assert_eq!(days, -171_664);
        for year in 1500..2500 {
            for month in 1..=12 {
                assert_eq!(days_to_month(year, month), days);
                for day in 1..=days_of(year, month) {
                    let us = days * super::DAY_US + 5;
                    assert_eq!(Moment::of(us), Moment { year, month, day, weekday, day_us: 5 });
                    days += 1;
                    weekday = (weekday + 1) % 7;
                }
            }
        }
    }

    #[test]
    fn months_run_over_into_other_years() {
        assert_eq!(days_to_month(2021, 13), days_to_month(2022, 1));
        assert_eq!(days_to_month(2021, 0), days_to_month(2020, 12));
        assert_eq!(days_to_month(2021, -23), days_to_month(2019, 1));
    }

    #[test]
    fn the_ends_of_64_bits_are_moments() {
        assert_eq!(Moment::of(i64::MAX).year, 294_247);
        assert_eq!(Moment::of(i64::MIN).year, -290_308);
    }
}
