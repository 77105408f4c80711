//! Numbers against the standard library and against arithmetic on digit strings.

use proptest::prelude::*;

use super::super::Json;
use super::super::number::{DECIMAL_DIGITS, DECIMAL_SCALE};
use crate::convert::Side;
use crate::convert::testing::pull_one;
use crate::record::Kind;

/// The literal's cells as float64, int64 and decimal, read in places of differing length to the end.
fn cells(literal: &str) -> Result<[String; 3], String> {
    let wants = [("a", Kind::Float64), ("a", Kind::Int64), ("a", Kind::Decimal)];
    let mut all = [("}", ""), ("}                    ", ""), (",\"b\":0}", ""), (" }", "")].map(|(after, _)| {
        let document = format!("{{\"a\":{literal}{after}");
        let many = pull_one(&Json, Side::Value, document.as_bytes(), &wants)?;
        for (want, cell) in wants.iter().zip(&many) {
            let one = pull_one(&Json, Side::Value, document.as_bytes(), &[*want])?;
            assert_eq!(one.as_slice(), std::slice::from_ref(cell), "wanted alone: {document}");
        }
        Ok(many.try_into().unwrap())
    });
    all.sort();
    assert_eq!(all.first(), all.last(), "depends on what follows: {literal}");
    all.into_iter().next().unwrap()
}

/// A literal × 10^scale in digits with sign, if that is an integer. Schoolbook.
fn shifted(literal: &str, scale: i64) -> Option<String> {
    let (sign, unsigned) = literal.strip_prefix('-').map_or(("", literal), |rest| ("-", rest));
    let (digits, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let power = exponent.parse::<i64>().unwrap() + scale + zeros as i64 - fraction.len() as i64;
    (0..=400).contains(&power).then(|| format!("{sign}{significant}{}", "0".repeat(power as usize)))
}

fn expected(literal: &str) -> Result<[String; 3], ()> {
    let nearest: f64 = literal.parse().unwrap();
    if nearest.is_infinite() {
        return Err(());
    }
    let written_as_integer = literal.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let mismatch = || "mismatch".to_owned();
    let equal = format!("{nearest:.0}") == literal;
    let float = if written_as_integer && !equal { mismatch() } else { format!("{nearest:?}") };
    let int = shifted(literal, 0).and_then(|text| text.parse::<i64>().ok()).map_or_else(mismatch, |n| n.to_string());
    let decimal = shifted(literal, i64::from(DECIMAL_SCALE)).and_then(|text| text.parse::<i128>().ok());
    let decimal =
        decimal.filter(|n| n.unsigned_abs() < 10_u128.pow(DECIMAL_DIGITS)).map_or_else(mismatch, decimal_word);
    Ok([float, int, decimal])
}

/// A number of 10^-18 without zeros after the last digit.
fn decimal_word(number: i128) -> String {
    let unit = 10_u128.pow(DECIMAL_SCALE);
    let (whole, fraction) = (number.unsigned_abs() / unit, number.unsigned_abs() % unit);
    let text = format!("{}{whole}.{fraction:018}", if number < 0 { "-" } else { "" });
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[track_caller]
fn check(literal: &str) {
    assert_eq!(cells(literal).map_err(drop), expected(literal), "{literal}");
}

#[test]
fn floats_that_are_hard_to_round_are_read_to_the_bit() {
    for literal in [
        "9007199254740993.0",
        "9007199254740992.9999999999999999999999",
        "0.1",
        "0.3",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "179769313486231580793728971405301e276",
        "8.5e22",
        "1e22",
        "1e23",
        "123456789012345678e-3",
        "0.000000000000000000000000000000001",
        "1448997445238699",
        "6.02214076e23",
        "5708990770823839524233143877797980545530986496.0",
        "9214843084008499.0",
        "30078505129381147446200",
        "1777820000000000000001",
        "0.500000000000000166533453693773481063544750213623046875",
    ] {
        check(literal);
        check(&format!("-{literal}"));
    }
}

#[test]
fn numbers_of_every_length_are_read() {
    for whole in 1..=40 {
        for fraction in 0..=24 {
            let digits: String = "1234567890".chars().cycle().take(whole + fraction).collect();
            let (before, after) = digits.split_at(whole);
            let literal = if fraction == 0 { before.to_owned() } else { format!("{before}.{after}") };
            check(&literal);
            check(&format!("-{literal}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_float_survives_its_text(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        prop_assume!(float.is_finite());
        for literal in [format!("{float:?}"), format!("{float:e}"), format!("{float}"), format!("{float:.17e}")] {
            prop_assert_eq!(cells(&literal).map_err(drop), expected(&literal), "{}", literal);
        }
        prop_assert_eq!(&cells(&format!("{float:e}")).unwrap()[0], &format!("{float:?}"));
    }

    #[test]
    fn any_number_is_read_as_the_oracles_read_it(
        literal in r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?"
    ) {
        prop_assert_eq!(cells(&literal).map_err(drop), expected(&literal), "{}", literal);
    }

    #[test]
    fn short_numbers_are_read_as_the_oracles_read_them(literal in r"-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?(e-?[0-9])?") {
        prop_assert_eq!(cells(&literal).map_err(drop), expected(&literal), "{}", literal);
    }

    #[test]
    fn integers_with_many_zeros_are_read(
        literal in r"-?(0|[1-9][0-9]{0,6}0{0,30})(\.0{1,30}|\.0{0,20}[1-9])?(e-?[0-9]{1,2})?"
    ) {
        prop_assert_eq!(cells(&literal).map_err(drop), expected(&literal), "{}", literal);
    }
}
