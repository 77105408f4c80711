//! The client library's errors as weir's: by SQLSTATE where the database spoke, by what broke where it did not.

use std::error::Error as _;
use std::fmt::Display;

use tokio_postgres::error::{DbError, Severity};

use super::sqlstate;
use crate::error::{Error, Kind};

/// A failed statement or connection as an error; `doing` names what was being done to what.
pub fn error(doing: impl Display, cause: &tokio_postgres::Error) -> Error {
    match cause.as_db_error() {
        Some(said) => Error::new(sqlstate::kind(said.code().code()), format!("{doing}: {}", sentence(said))),
        None => Error::new(local_kind(cause), format!("{doing}: {}", chain(cause))),
    }
}

/// The database's own words with their SQLSTATE.
pub fn sentence(said: &DbError) -> String {
    format!("{} (SQLSTATE {})", words(said), said.code().code())
}

/// The database's own words: message, detail and hint.
pub fn words(said: &DbError) -> String {
    let extra = [said.detail(), said.hint()].into_iter().flatten();
    let parts: Vec<&str> =
        std::iter::once(said.message()).chain(extra).map(|part| part.trim_end_matches('.')).collect();
    parts.join("; ")
}

/// Whether an error ended only its statement; anything else ended the session, or came from this side.
pub fn ended_statement_only(cause: &tokio_postgres::Error) -> bool {
    cause.as_db_error().is_some_and(|said| said.parsed_severity() == Some(Severity::Error))
}

/// Whether the session did not come about because of its encryption, so that one without may.
pub fn refused_encrypted(cause: &tokio_postgres::Error) -> bool {
    // pg_hba.conf has no entry for encrypted sessions (28000), or the handshake failed.
    cause.code().is_some_and(|code| code.code() == "28000") || cause.to_string().starts_with("error performing TLS")
}

/// The kind of an error that is not the database's. The library tells them apart only by their text.
fn local_kind(cause: &tokio_postgres::Error) -> Kind {
    const BROKEN: &[&str] = &[
        "connection closed",
        "error communicating",
        "error connecting",
        "error parsing response",
        "error performing TLS",
        "timeout waiting",
        "unexpected message",
    ];
    const DENIED: &[&str] = &["authentication error", "invalid configuration"];
    let text = cause.to_string();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
    if begins(BROKEN) {
        Kind::DatabaseUnreachable
    } else if begins(DENIED) {
        Kind::DatabaseDenied
    } else {
        Kind::Internal
    }
}

/// An error and its causes in one line.
fn chain(cause: &tokio_postgres::Error) -> String {
    let mut text = cause.to_string();
    let mut below = cause.source();
    while let Some(cause) = below {
        text = format!("{text}: {cause}");
        below = cause.source();
    }
    text
}
