//! URLs taken apart: every form, every refusal, and that no password is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use super::*;

#[test]
fn takes_every_form_apart() {
    // URL, without credentials, user in the query, user, password, shown
    let cases = [
        ("postgres://h", "postgres://h", None, None, None, "postgres://h"),
        ("postgres://u@h:5432/db", "postgres://u@h:5432/db", None, Some("u"), None, "postgres://u@h:5432/db"),
        (
            "postgresql://u:p%40s@h/db?sslmode=require",
            "postgresql://u@h/db?sslmode=require",
            None,
            Some("u"),
            Some("p%40s"),
            "postgresql://u:[hidden]@h/db?sslmode=require",
        ),
        (
            "jdbc:postgresql://h:5432/db?user=u&ssl=true&password=p",
            "jdbc:postgresql://h:5432/db?ssl=true",
            Some("u"),
            Some("u"),
            Some("p"),
            "jdbc:postgresql://h:5432/db?ssl=true&user=u&password=[hidden]",
        ),
        (
            "postgres://u:p@[::1]:5432,h2:5433/db?target_session_attrs=read-write",
            "postgres://u@[::1]:5432,h2:5433/db?target_session_attrs=read-write",
            None,
            Some("u"),
            Some("p"),
            "postgres://u:[hidden]@[::1]:5432,h2:5433/db?target_session_attrs=read-write",
        ),
        ("postgres://u:a@b@h/db", "postgres://u@h/db", None, Some("u"), Some("a@b"), "postgres://u:[hidden]@h/db"),
        ("postgres://:p@h?x=1", "postgres://h?x=1", None, None, Some("p"), "postgres://:[hidden]@h?x=1"),
        ("postgres://u@h?password=p", "postgres://u@h", None, Some("u"), Some("p"), "postgres://u@h?password=[hidden]"),
    ];
    for (url, bare, in_query, user, password, hidden) in cases {
        let parts = split(url).expect(url);
        assert_eq!(parts.without_credentials(), bare, "{url}");
        assert_eq!(parts.user_in_query(), in_query, "{url}");
        assert_eq!((parts.user, parts.password), (user, password), "{url}");
        assert_eq!(shown(url), hidden, "{url}");
    }
}

#[test]
fn says_what_is_wrong_without_the_url() {
    let scheme = "takes a URL that begins with `postgres://`, `postgresql://` or `jdbc:postgresql://`";
    let cases = [
        ("mysql://u:hunter2@h/db", scheme),
        ("localhost:5432/db", scheme),
        ("jdbc:postgres://h/db", scheme),
        ("postgres:///db", "names no host"),
        ("postgres://u:hunter2@/db", "names no host"),
        ("postgres://u@h1,,h2/db", "names no host"),
        ("postgres://h:x/db", "names a port that is no number from 1 to 65535"),
        ("postgres://h:0/db", "names a port that is no number from 1 to 65535"),
        ("postgres://[::1]:70000/db", "names a port that is no number from 1 to 65535"),
        ("postgres://u:p@h/db?password=q", "names the user or the password twice"),
    ];
    for (url, message) in cases {
        assert_eq!(split(url).unwrap_err(), message, "{url}");
        assert!(!shown(url).contains("hunter2"), "{url}");
    }
}

#[test]
fn references_are_shown_and_literals_are_not() {
    let cases = [
        ("${env:DATABASE_URL}", "${env:DATABASE_URL}"),
        ("postgres://u:${file:/run/db:password}@h/db", "postgres://u:${file:/run/db:password}@h/db"),
        ("postgres://u:x${env:P}@${env:HOST}/db", "postgres://u:[hidden]@${env:HOST}/db"),
        ("postgres://${env:USER}@h:${env:PORT}/db", "postgres://${env:USER}@h:${env:PORT}/db"),
        ("hunter2", "[hidden]"),
    ];
    for (written, expected) in cases {
        assert_eq!(shown(written), expected, "{written}");
    }
}

#[test]
fn decodes_percent_escapes() {
    assert_eq!(decode("p%40s%C3%A9").as_deref(), Some("p@sé"));
    assert_eq!(decode("%FF"), None);
    assert_eq!(decode("100%").as_deref(), Some("100%"));
}
