//! RFC 3339 date-times: the examples of the RFC, edges, and Arrow's parser as oracle.

use arrow_array::timezone::Tz;
use arrow_cast::parse::string_to_datetime;
use proptest::prelude::*;

use super::super::timestamp::parse;

#[test]
fn the_examples_of_the_rfc_are_read() {
    for (text, micros) in [
        ("1985-04-12T23:20:50.52Z", 482_196_050_520_000),
        ("1996-12-19T16:39:57-08:00", 851_042_397_000_000),
        ("1990-12-31T23:59:60Z", 662_688_000_000_000),
        ("1990-12-31T15:59:60-08:00", 662_688_000_000_000),
        ("1937-01-01T12:00:27.87+00:20", -1_041_337_172_130_000),
    ] {
        assert_eq!(parse(text.as_bytes()), Some(micros), "{text}");
    }
}

#[test]
fn edges_are_read() {
    for (text, micros) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01 00:00:00z", 0),
        ("1970-01-01t00:00:00-00:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1969-12-31T23:59:59.9999999Z", -1),
        ("1970-01-01T00:00:00.0000019999999999999999999999Z", 1),
        ("2000-02-29T00:00:00Z", 951_782_400_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ("1970-01-01T00:00:00+23:59", -86_340_000_000),
    ] {
        assert_eq!(parse(text.as_bytes()), Some(micros), "{text}");
    }
}

#[test]
fn anything_else_is_no_time() {
    for text in [
        "",
        "2026-11-22",
        "2026-11-22T05:00:00",
        "2026-11-22T05:00Z",
        "2026-11-22T05:00:00.Z",
        "2026-11-22T05:00:00,5Z",
        "2026-11-22T05:00:00 Z",
        "2026-11-22T05:00:00+0100",
        "2026-11-22T05:00:00+01",
        "2026-11-22T05:00:00+24:00",
        "2026-11-22T05:00:00+01:60",
        "2026-11-22T05:00:00Zx",
        "2026-11-22T05:00:00Europe/Berlin",
        "2026-11-22_05:00:00Z",
        " 2026-11-22T05:00:00Z",
        "2026-11-22T05:00:00Z ",
        "26-11-22T05:00:00Z",
        "+2026-11-22T05:00:00Z",
        "2026-00-22T05:00:00Z",
        "2026-13-22T05:00:00Z",
        "2026-11-00T05:00:00Z",
        "2026-11-31T05:00:00Z",
        "2026-02-29T05:00:00Z",
        "1900-02-29T05:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T05:60:00Z",
        "2026-11-22T05:00:61Z",
        "2026-11-22T05:00:60Z",
        "2026-11-22T23:59:60+01:00",
        "2026-1١-22T05:00:00Z",
        "1790000000000",
    ] {
        assert_eq!(parse(text.as_bytes()), None, "{text}");
    }
}

proptest! {
    #[test]
    fn dates_are_read_as_arrow_reads_them(
        (year, month, day) in (0..=9_999_u32, 0..=13_u32, 0..=32_u32),
        (hour, minute, second) in (0..=23_u32, 0..=59_u32, 0..=59_u32),
        fraction in proptest::option::of("[0-9]{1,6}"),
        zone in prop_oneof![Just("Z".to_owned()), "[+-](0[0-9]|1[0-9]|2[0-3]):[0-5][0-9]"],
    ) {
        let fraction = fraction.map_or(String::new(), |digits| format!(".{digits}"));
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}");
        let utc: Tz = "+00:00".parse().unwrap();
        let expected = string_to_datetime(&utc, &text).ok().map(|time| time.timestamp_micros());
        prop_assert_eq!(parse(text.as_bytes()), expected, "{}", text);
    }
}
