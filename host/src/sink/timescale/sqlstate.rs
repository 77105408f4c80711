//! What a SQLSTATE means for the pipeline: one table from code to failure kind, exact codes before classes.
//!
//! Only classes 22 (data exception) and 23 (integrity constraint violation) can be a row's fault; whatever passes
//! by itself is retried; the rest waits for an operator. Codes: PostgreSQL documentation, appendix A.

use crate::error::Kind;

/// Raised by weir's own `advance` function when a position is not as expected.
pub const POSITION_MOVED: &str = "WE001";

/// Codes that differ from the rest of their class.
const CODES: &[(&str, Kind)] = &[
    // Binary data that the server cannot read is well-formed for the table that was bound: the table has changed.
    ("22P03", Kind::TableMismatch),
    ("22P04", Kind::TableMismatch),
    ("25006", Kind::DatabaseUnreachable),
    ("25P03", Kind::DatabaseBusy),
    ("25P04", Kind::DatabaseBusy),
    ("3D000", Kind::DatabaseUnreachable),
    ("3F000", Kind::TableMissing),
    ("42501", Kind::DatabaseRights),
    ("42883", Kind::SchemaVersion),
    ("42P01", Kind::TableMissing),
    ("42601", Kind::Internal),
    ("55006", Kind::DatabaseBusy),
    ("55P03", Kind::DatabaseBusy),
    ("57014", Kind::DatabaseBusy),
    ("72000", Kind::DatabaseBusy),
    (POSITION_MOVED, Kind::Fenced),
];

/// Classes, by their first two characters.
const CLASSES: &[(&str, Kind)] = &[
    ("08", Kind::DatabaseUnreachable),
    ("0L", Kind::DatabaseRights),
    ("0P", Kind::DatabaseRights),
    ("22", Kind::RecordRefused),
    ("23", Kind::RecordRefused),
    ("24", Kind::Internal),
    ("25", Kind::Internal),
    ("26", Kind::Internal),
    ("28", Kind::DatabaseDenied),
    ("34", Kind::Internal),
    ("40", Kind::DatabaseBusy),
    ("53", Kind::DatabaseBusy),
    ("57", Kind::DatabaseUnreachable),
    ("58", Kind::DatabaseBusy),
    // TimescaleDB's own: a chunk or job that changed underneath, gone at the next attempt.
    ("TS", Kind::DatabaseBusy),
    ("XX", Kind::DatabaseBusy),
];

/// The failure kind of a SQLSTATE. What no table names was raised by a trigger, a policy or a limit of the table:
/// [`Kind::TableMismatch`].
pub fn kind(code: &str) -> Kind {
    let exact = CODES.iter().find(|(known, _)| *known == code);
    let class = || CLASSES.iter().find(|(class, _)| code.starts_with(class));
    exact.or_else(class).map_or(Kind::TableMismatch, |&(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_that_streams_meet_has_the_kind_that_handles_it() {
        let table = [
            // retried until it works
            ("08000", Kind::DatabaseUnreachable),
            ("08006", Kind::DatabaseUnreachable),
            ("08P01", Kind::DatabaseUnreachable),
            ("25006", Kind::DatabaseUnreachable),
            ("3D000", Kind::DatabaseUnreachable),
            ("57P01", Kind::DatabaseUnreachable),
            ("57P02", Kind::DatabaseUnreachable),
            ("57P03", Kind::DatabaseUnreachable),
            ("57P05", Kind::DatabaseUnreachable),
            ("57014", Kind::DatabaseBusy),
            ("25P03", Kind::DatabaseBusy),
            ("40001", Kind::DatabaseBusy),
            ("40P01", Kind::DatabaseBusy),
            ("53100", Kind::DatabaseBusy),
            ("53200", Kind::DatabaseBusy),
            ("53300", Kind::DatabaseBusy),
            ("55P03", Kind::DatabaseBusy),
            ("55006", Kind::DatabaseBusy),
            ("58030", Kind::DatabaseBusy),
            ("XX000", Kind::DatabaseBusy),
            ("TS102", Kind::DatabaseBusy),
            // the row's fault
            ("22001", Kind::RecordRefused),
            ("22003", Kind::RecordRefused),
            ("22008", Kind::RecordRefused),
            ("22021", Kind::RecordRefused),
            ("22P02", Kind::RecordRefused),
            ("22P05", Kind::RecordRefused),
            ("23502", Kind::RecordRefused),
            ("23503", Kind::RecordRefused),
            ("23505", Kind::RecordRefused),
            ("23514", Kind::RecordRefused),
            ("23P01", Kind::RecordRefused),
            // an operator's turn
            ("28000", Kind::DatabaseDenied),
            ("28P01", Kind::DatabaseDenied),
            ("42501", Kind::DatabaseRights),
            ("0P000", Kind::DatabaseRights),
            ("42P01", Kind::TableMissing),
            ("3F000", Kind::TableMissing),
            ("42703", Kind::TableMismatch),
            ("42804", Kind::TableMismatch),
            ("42P10", Kind::TableMismatch),
            ("428C9", Kind::TableMismatch),
            ("22P03", Kind::TableMismatch),
            ("22P04", Kind::TableMismatch),
            ("0A000", Kind::TableMismatch),
            ("44000", Kind::TableMismatch),
            ("54000", Kind::TableMismatch),
            ("55000", Kind::TableMismatch),
            ("P0001", Kind::TableMismatch),
            ("42883", Kind::SchemaVersion),
            ("25P02", Kind::Internal),
            ("42601", Kind::Internal),
            ("WE001", Kind::Fenced),
        ];
        for (code, expected) in table {
            assert_eq!(kind(code), expected, "SQLSTATE {code}");
        }
    }
}
