//! The column types that weir writes: how each is recognised in the catalogue, which kind of field it takes, and
//! which type a new column of a kind gets.

use crate::record::Kind;

/// A column type as COPY BINARY knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric`, with precision and scale where it is bounded.
    Numeric(Option<(u32, i32)>),
    /// `text`, `varchar(n)`, `char(n)`: at most n characters, spaces at the end not counted.
    Text(Option<u32>),
    /// `boolean`.
    Boolean,
    /// `bytea`.
    Bytea,
    /// `timestamp` with or without time zone: µs, UTC.
    Timestamp,
    /// `date`: the day in UTC.
    Date,
    /// `json`.
    Json,
    /// `jsonb`.
    Jsonb,
    /// `uuid`.
    Uuid,
    /// An enumeration: its label. The database knows the labels.
    Enum,
}

/// Size of the header that PostgreSQL counts into a type modifier.
const MODIFIER_BASE: i32 = 4;

impl ColumnType {
    /// The type of a catalogue entry (base types, not domains): `pg_type.oid`, `atttypmod` (−1 = none) and whether
    /// `typtype` says that it is an enumeration. None = weir cannot write it. Object ids: `pg_type.dat`, they never
    /// change.
    pub fn of(oid: u32, modifier: i32, is_enum: bool) -> Option<ColumnType> {
        let bound = (modifier >= MODIFIER_BASE).then(|| modifier - MODIFIER_BASE);
        Some(match oid {
            _ if is_enum => ColumnType::Enum,
            16 => ColumnType::Boolean,
            17 => ColumnType::Bytea,
            20 => ColumnType::Int8,
            21 => ColumnType::Int2,
            23 => ColumnType::Int4,
            25 => ColumnType::Text(None),
            114 => ColumnType::Json,
            700 => ColumnType::Float4,
            701 => ColumnType::Float8,
            1042 | 1043 => ColumnType::Text(bound.map(|n| n as u32)),
            1082 => ColumnType::Date,
            1114 | 1184 => ColumnType::Timestamp,
            1700 => ColumnType::Numeric(bound.map(numeric_bound)),
            2950 => ColumnType::Uuid,
            3802 => ColumnType::Jsonb,
            _ => return None,
        })
    }

    /// The kind in which a record's field is pulled for it.
    pub fn kind(self) -> Kind {
        match self {
            ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => Kind::Int64,
            ColumnType::Float4 | ColumnType::Float8 => Kind::Float64,
            ColumnType::Numeric(_) => Kind::Decimal,
            ColumnType::Text(_) | ColumnType::Uuid | ColumnType::Enum => Kind::Text,
            ColumnType::Boolean => Kind::Boolean,
            ColumnType::Bytea => Kind::Binary,
            ColumnType::Timestamp | ColumnType::Date => Kind::Timestamp,
            ColumnType::Json | ColumnType::Jsonb => Kind::Json,
        }
    }

    /// The kind in which a field of a known kind is pulled for it; None where that would lose or reinterpret values.
    pub fn takes(self, kind: Kind) -> Option<Kind> {
        match (self, kind) {
            (own, kind) if own.kind() == kind => Some(kind),
            // The encoder writes both exactly.
            (ColumnType::Numeric(_), Kind::Int64 | Kind::Float64) => Some(kind),
            // The cast refuses integers that are no double.
            (ColumnType::Float4 | ColumnType::Float8, Kind::Int64) => Some(Kind::Float64),
            (ColumnType::Text(_), Kind::Json) => Some(Kind::Text),
            (ColumnType::Json | ColumnType::Jsonb, Kind::Text) => Some(Kind::Json),
            _ => None,
        }
    }
}

/// Precision and scale of a `numeric` modifier; the scale is 11 bits, signed since PostgreSQL 15.
fn numeric_bound(modifier: i32) -> (u32, i32) {
    let precision = (modifier >> 16) & 0xffff;
    let scale = ((modifier & 0x7ff) ^ 0x400) - 0x400;
    (precision as u32, scale)
}

/// The type of a column that `auto.create` makes for a kind.
pub fn created(kind: Kind) -> &'static str {
    match kind {
        Kind::Int64 => "bigint",
        Kind::Float64 => "double precision",
        Kind::Boolean => "boolean",
        Kind::Text => "text",
        Kind::Binary => "bytea",
        Kind::Decimal => "numeric",
        Kind::Timestamp => "timestamp with time zone",
        Kind::Json => "jsonb",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_come_out_of_type_modifiers() {
        assert_eq!(ColumnType::of(1043, 14, false), Some(ColumnType::Text(Some(10))));
        assert_eq!(ColumnType::of(1043, -1, false), Some(ColumnType::Text(None)));
        assert_eq!(ColumnType::of(1700, -1, false), Some(ColumnType::Numeric(None)));
        // numeric(10,2) and, since PostgreSQL 15, numeric(3,-2)
        assert_eq!(ColumnType::of(1700, (10 << 16 | 2) + 4, false), Some(ColumnType::Numeric(Some((10, 2)))));
        assert_eq!(ColumnType::of(1700, (3 << 16 | 0x7fe) + 4, false), Some(ColumnType::Numeric(Some((3, -2)))));
    }

    #[test]
    fn types_that_weir_cannot_write_are_none() {
        for oid in [1186, 869, 1007, 600, 1266] {
            assert_eq!(ColumnType::of(oid, -1, false), None, "oid {oid}");
        }
        assert_eq!(ColumnType::of(16_500, -1, true), Some(ColumnType::Enum));
    }

    #[test]
    fn a_field_of_known_kind_is_taken_only_without_loss() {
        assert_eq!(ColumnType::Float8.takes(Kind::Int64), Some(Kind::Float64));
        assert_eq!(ColumnType::Numeric(None).takes(Kind::Float64), Some(Kind::Float64));
        assert_eq!(ColumnType::Jsonb.takes(Kind::Text), Some(Kind::Json));
        assert_eq!(ColumnType::Int8.takes(Kind::Float64), None);
        assert_eq!(ColumnType::Timestamp.takes(Kind::Int64), None, "an epoch number may be ms or µs");
        assert_eq!(ColumnType::Text(None).takes(Kind::Float64), None);
    }
}
