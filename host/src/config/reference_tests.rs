//! References: what they resolve to, and the exact sentence for each that does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::config::testing::Table;

fn table() -> Table {
    Table::new(
        &[("DB_PASSWORD", "hunter2"), ("EMPTY", "")],
        &[
            ("/run/secrets/db", "user=weir\npassword=hunter3\npassword=hunter4\n"),
            ("/run/secrets/token", "\n hunter5 \n"),
        ],
    )
}

#[test]
fn resolves() {
    let cases = [
        ("plain", "plain"),
        ("", ""),
        ("${env:DB_PASSWORD}", "hunter2"),
        ("${env:EMPTY}", ""),
        ("a ${env:DB_PASSWORD} b ${file:/run/secrets/db:user} c", "a hunter2 b weir c"),
        ("${file:/run/secrets/db:password}", "hunter4"),
        ("${file:/run/secrets/token}", "hunter5"),
        ("${topic}_sma", "${topic}_sma"),
        ("${topic}-${env:DB_PASSWORD}", "${topic}-hunter2"),
        ("$env:DB_PASSWORD ${", "$env:DB_PASSWORD ${"),
        ("${}:${ a:b}", "${}:${ a:b}"),
    ];
    for (text, expected) in cases {
        assert_eq!(resolve(text, &table()), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn results_are_not_resolved_again() {
    let table = Table::new(&[("OUTER", "${env:INNER}"), ("INNER", "x")], &[]);
    assert_eq!(resolve("${env:OUTER}", &table), Ok("${env:INNER}".to_owned()));
}

#[test]
fn says_what_is_missing() {
    let cases = [
        ("${env:DB_PASWORD}", "the variable `DB_PASWORD` is not set; set it where weir is started"),
        (
            "${file:/run/secrets/db:pass}",
            "the file `/run/secrets/db` has no key `pass`; add the key, or correct its name",
        ),
        (
            "${file:/run/none}",
            "the file `/run/none` cannot be read: entity not found; make it readable to weir, or correct its path",
        ),
        (
            "${vault:db:password}",
            "`vault` in `${vault:db:password}` is no source of values; \
             weir knows `${env:NAME}`, `${file:PATH:KEY}` and `${file:PATH}`",
        ),
        ("${env:}", "`${env:}` names nothing; weir knows `${env:NAME}`, `${file:PATH:KEY}` and `${file:PATH}`"),
        ("${env:DB", "`${env:DB` has no closing brace; write `}` after it"),
    ];
    for (text, expected) in cases {
        let unresolved = resolve(text, &table()).unwrap_err();
        let told: Vec<String> = unresolved.iter().map(|u| format!("{}; {}", u.message, u.hint)).collect();
        assert_eq!(told, [expected], "{text}");
    }
}

#[test]
fn reports_every_reference_of_a_value() {
    assert_eq!(resolve("${env:A}${env:B}", &table()).unwrap_err().len(), 2);
}

#[test]
fn tells_references_from_literals() {
    for (text, referring, only) in [
        ("${env:A}", true, true),
        (" ${env:A} ${file:/x} ", true, true),
        ("x${env:A}", true, false),
        ("${topic}", false, false),
        ("", false, false),
    ] {
        assert_eq!((is_referring(text), is_only_references(text)), (referring, only), "{text}");
    }
}

#[test]
fn masks_and_restores() {
    let text = "postgres://${env:USER}:${file:/run/db:pass@word}@host/${topic}";
    let masked = mask(text);
    assert_eq!(masked.text, "postgres://\u{e000}:\u{e001}@host/${topic}");
    assert_eq!(masked.restore(&masked.text), text);
    assert_eq!(masked.restore("\u{e001}"), "${file:/run/db:pass@word}");
}
