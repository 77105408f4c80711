//! Patterns by themselves: where they differ from Java's on purpose, and what is no pattern.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use super::super::calendar::DAY_US;
use super::*;

fn parse(pattern: &str, text: &str) -> Option<i64> {
    Pattern::compile(pattern).unwrap().parse(text)
}

fn format(pattern: &str, us: i64) -> String {
    let mut text = String::new();
    Pattern::compile(pattern).unwrap().format(us, &mut text);
    text
}

#[test]
fn two_digit_years_do_not_move_with_the_clock() {
    for (text, year) in [("49", 2049), ("50", 1950), ("00", 2000), ("99", 1999), ("1", 1), ("150", 150)] {
        assert_eq!(parse("yy", text), Some(days_to_month(year, 1) * DAY_US), "{text}");
    }
}

#[test]
fn the_calendar_is_gregorian_before_1582() {
    // Java: 1500-03-01 is a day of the Julian calendar, nine days later.
    assert_eq!(parse("yyyy-MM-dd", "1500-03-01"), Some(days_to_month(1500, 3) * DAY_US));
    assert_eq!(format("yyyy-MM-dd", days_to_month(1500, 3) * DAY_US), "1500-03-01");
}

#[test]
fn a_weekday_is_read_and_decides_nothing() {
    assert_eq!(parse("EEE yyyy", "Fri 1970"), Some(0));
    assert_eq!(parse("EEE yyyy", "Xyz 1970"), None);
}

#[test]
fn years_before_the_first_are_those_of_their_era() {
    assert_eq!(format("yyyy", days_to_month(0, 1) * DAY_US), "0001");
    assert_eq!(format("yyyy", days_to_month(-9, 1) * DAY_US), "0010");
}

#[test]
fn numbers_that_do_not_fit_do_not_match() {
    assert_eq!(parse("yyyy", "99999999999"), None);
    assert_eq!(parse("yyyy", "9999999999999999999999"), None);
    assert_eq!(parse("yyyy", "2147483647"), None);
}

#[test]
fn every_field_of_an_empty_pattern_is_the_epoch() {
    assert_eq!(parse("", "anything"), Some(0));
    assert_eq!(format("", 5), "");
}

#[test]
fn says_what_is_no_pattern() {
    let letter =
        |c: char| format!("the letter `{c}` stands for nothing here; the letters are y M d E a H h m s S z Z X");
    for (pattern, message) in [
        ("YYYY", letter('Y')),
        ("yyyy-DDD", letter('D')),
        ("kk", letter('k')),
        ("T", letter('T')),
        ("'open", "a quote is not closed".to_owned()),
        ("'", "a quote is not closed".to_owned()),
        ("XXXX", "the letter `X` stands there 4 times".to_owned()),
        (&"d".repeat(256), "the letter `d` stands there 256 times".to_owned()),
    ] {
        assert_eq!(Pattern::compile(pattern), Err(message), "{pattern}");
    }
}
