//! Order and ranges against the examples of Maven's documentation and KIP-891.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use super::*;

/// The order that Maven's `ComparableVersion` documents, lowest first.
#[test]
fn versions_are_ordered_as_maven_orders_them() {
    let ordered = [
        "1-alpha",
        "1-alpha-2",
        "1.0-beta",
        "1.0-beta-10",
        "1.0-milestone1",
        "1-rc",
        "1-rc2",
        "1-SNAPSHOT",
        "1",
        "1-sp",
        "1-abc",
        "1-xyz",
        "1.0.1",
        "1.1-rc1",
        "1.1",
        "1.9.9",
        "1.10",
        "2",
        "10",
    ];
    for (i, low) in ordered.iter().enumerate() {
        for high in ordered.iter().skip(i + 1) {
            assert!(Version::new(*low) < Version::new(*high), "{low} < {high}");
        }
    }
}

#[test]
fn different_spellings_of_a_version_are_equal() {
    for (a, b) in [
        ("1", "1.0.0"),
        ("1.0", "1.0-final"),
        ("1.0-ga", "1"),
        ("1.0-a1", "1.0-alpha1"),
        ("1.0-cr2", "1.0-RC2"),
        ("1.2.0+build.7", "1.2"),
        ("01.002", "1.2"),
        ("1.0-b2", "1.0-beta-2"),
    ] {
        assert_eq!(Version::new(a), Version::new(b), "{a} = {b}");
    }
}

#[test]
fn numbers_longer_than_any_integer_compare_by_value() {
    let long = "1.99999999999999999999999999999999999999";
    assert!(Version::new(long) < Version::new("1.100000000000000000000000000000000000000"));
    assert!(Version::new("1.5") < Version::new(long));
}

fn within(range: &str, version: &str) -> bool {
    Range::parse(range).unwrap().contains(&Version::new(version))
}

#[test]
fn intervals_include_and_exclude_their_ends() {
    assert!(within("[1.0,2.0)", "1.0") && within("[1.0,2.0)", "1.9.9") && !within("[1.0,2.0)", "2.0"));
    assert!(!within("(1.0,2.0]", "1.0") && within("(1.0,2.0]", "2.0"));
    assert!(within("(,1.0]", "0.1") && !within("(,1.0]", "1.0.1"));
    assert!(within("[1.5,)", "99") && !within("[1.5,)", "1.4"));
    assert!(within("[1.2]", "1.2.0") && !within("[1.2]", "1.2.1"));
    // Known from Maven: a pre-release of the excluded end lies inside.
    assert!(within("[1.0,2.0)", "2.0-rc1"));
}

#[test]
fn a_bare_version_is_exact_and_latest_takes_any() {
    assert!(within("1.2", "1.2.0") && !within("1.2", "1.3"));
    for latest in ["", "latest", " LATEST "] {
        assert!(within(latest, "0.0.1"), "{latest:?}");
    }
}

#[test]
fn unions_hold_what_one_of_them_holds() {
    for (version, held) in [("0.9", true), ("1.0", true), ("1.1", false), ("1.2", true), ("7", true)] {
        assert_eq!(within("(,1.0], [1.2,)", version), held, "{version}");
    }
    assert!(!within("(,1.1),(1.1,)", "1.1"));
}

#[test]
fn malformed_ranges_say_what_is_wrong() {
    for (range, why) in [
        ("[1.0", "has no closing bracket"),
        ("1.0,2.0)", "does not begin with [ or ("),
        ("(1.0)", "a single version outside of [ ]"),
        ("[]", "a single version outside of [ ]"),
        ("[2.0,1.0]", "its higher version first"),
        ("[1.0,1.0)", "an empty interval"),
        ("[1,2,3]", "more than two versions"),
        ("[1,[2]", "a bracket inside a bracket"),
        ("[1,2],[2,3]", "overlap"),
        ("[3,4],[1,2]", "overlap or do not rise"),
        ("[1,),[2,)", "overlap"),
        ("[1,2] [3,4]", "needs a comma"),
        ("[1,2],", "needs a comma"),
        (",", "has no closing bracket"),
        ("é]", "does not begin with [ or ("),
    ] {
        let error = Range::parse(range).unwrap_err();
        assert!(error.contains(why) && error.contains("[1.0,2.0)"), "{range}: {error}");
    }
}
