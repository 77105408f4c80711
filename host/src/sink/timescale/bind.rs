//! Which field each column of a table is written from. Pure: the catalogue's answer in, bindings out.
//!
//! Records of schemaless JSON may hold any field, so every column that weir may write is bound to the field of its
//! own name, wherever the record has it: an absent field writes null (a row error where the column is NOT NULL),
//! never the column's default. Left to the database are generated and identity columns, and, when `fields` lists
//! what to write, whatever is not listed.

use super::types::ColumnType;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::{Field, Kind, Path, Want};

/// The columns of `kafka.coordinates`.
pub const TOPIC: &str = "kafka_topic";
/// The partition's column.
pub const PARTITION: &str = "kafka_partition";
/// The offset's column.
pub const OFFSET: &str = "kafka_offset";

/// Who gives a column its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// The writer, or else a default.
    ByWriter,
    /// A sequence, unless the writer insists.
    ByIdentity,
    /// An expression over other columns: nobody may write it.
    ByExpression,
}

/// A column as the catalogue describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name, unquoted.
    pub name: String,
    /// Its type; None = one that weir cannot write.
    pub column_type: Option<ColumnType>,
    /// Its type as PostgreSQL prints it, for messages.
    pub type_name: String,
    /// NOT NULL, from the column or its domain.
    pub not_null: bool,
    /// Whether it has a default.
    pub has_default: bool,
    /// Who gives it its value.
    pub filled: Filled,
}

/// A table as the catalogue describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its schema, unquoted.
    pub schema: String,
    /// Its name, unquoted.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<TableColumn>,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Where a column's cells come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A field.
    Field(Want),
    /// The record's topic.
    Topic,
    /// The record's partition.
    Partition,
    /// The record's offset.
    Offset,
}

/// A column that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its name, unquoted.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// Its type as PostgreSQL prints it, for messages.
    pub type_name: String,
    /// Whether null is refused.
    pub not_null: bool,
    /// Where its cells come from.
    pub source: Source,
}

/// What binds beside the table itself.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The fields that the chain writes.
    pub outputs: &'a [Field],
    /// `fields`: the only columns to write; empty = all.
    pub listed: &'a [Field],
    /// `kafka.coordinates`.
    pub coordinates: bool,
}

/// The columns to write, in the table's order. Errors: [`ErrorKind::TableMismatch`] naming column, type and way out.
pub fn bind(table: &Table, settings: Settings<'_>) -> Result<Vec<Bound>> {
    check_names(table, settings)?;
    let mut bound = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        if let Some(source) = source(table, column, settings)? {
            bound.push(Bound {
                name: column.name.clone(),
                column_type: column.column_type.ok_or_else(|| unwritable(table, column))?,
                type_name: column.type_name.clone(),
                not_null: column.not_null,
                source,
            });
        }
    }
    if bound.is_empty() {
        return Err(mismatch(format!(
            "table {table} has no column that weir may write: add the pipeline's fields to it"
        )));
    }
    Ok(bound)
}

/// Every name that the settings promise must be a column.
fn check_names(table: &Table, settings: Settings<'_>) -> Result<()> {
    let has = |name: &str| table.columns.iter().any(|column| column.name == name);
    if let Some(field) = settings.listed.iter().find(|field| !has(field.path.as_str())) {
        return Err(mismatch(format!(
            "table {table} has no column \"{0}\", which `fields` lists: add the column or take {0} out of `fields`",
            field.path
        )));
    }
    // With a list, an output that is not on it is left out on purpose.
    let written = settings.outputs.iter().filter(|field| settings.listed.is_empty() && !field.path.is_meta());
    if let Some(field) = written.into_iter().find(|field| !has(field.path.as_str())) {
        return Err(mismatch(format!(
            "table {table} has no column \"{0}\", which the transforms write ({1}): add the column, or list in \
             `fields` what to write",
            field.path, field.kind
        )));
    }
    if let Some(name) = [TOPIC, PARTITION, OFFSET].into_iter().find(|name| settings.coordinates && !has(name)) {
        return Err(mismatch(format!(
            "table {table} has no column \"{name}\": add {TOPIC} text, {PARTITION} integer and {OFFSET} bigint, or set \
             `kafka.coordinates: false`"
        )));
    }
    Ok(())
}

/// The source of one column, None = left to the database.
fn source(table: &Table, column: &TableColumn, settings: Settings<'_>) -> Result<Option<Source>> {
    if settings.coordinates
        && let Some(source) = coordinate(table, column)?
    {
        return Ok(Some(source));
    }
    let find = |fields: &[Field]| fields.iter().rev().find(|f| f.path.as_str() == column.name).map(|f| f.kind);
    let (listed, output) = (find(settings.listed), find(settings.outputs));
    match column.filled {
        Filled::ByExpression if listed.is_some() => {
            return Err(mismatch(format!(
                "column \"{0}\" of table {table} is computed by the database: take {0} out of `fields`",
                column.name
            )));
        }
        Filled::ByExpression => return Ok(None),
        Filled::ByIdentity if listed.is_none() && output.is_none() => return Ok(None),
        Filled::ByWriter if listed.is_none() && !settings.listed.is_empty() => {
            return if column.not_null && !column.has_default {
                Err(mismatch(format!(
                    "column \"{0}\" of table {table} is NOT NULL and has no default, but `fields` does not list it: \
                     list {0}, or give the column a default",
                    column.name
                )))
            } else {
                Ok(None)
            };
        }
        Filled::ByIdentity | Filled::ByWriter => {}
    }
    let column_type = column.column_type.ok_or_else(|| unwritable(table, column))?;
    let kind = match output.or(listed) {
        None => column_type.kind(),
        Some(given) => column_type.takes(given).ok_or_else(|| wrong_kind(table, column, given, output.is_some()))?,
    };
    Ok(Some(Source::Field(Want { path: Path::new(column.name.as_str()), kind, required: column.not_null })))
}

/// The source of a column of `kafka.coordinates`.
fn coordinate(table: &Table, column: &TableColumn) -> Result<Option<Source>> {
    let (source, fits, wanted) = match column.name.as_str() {
        TOPIC => (Source::Topic, matches!(column.column_type, Some(ColumnType::Text(None))), "text"),
        PARTITION => {
            (Source::Partition, matches!(column.column_type, Some(ColumnType::Int4 | ColumnType::Int8)), "integer")
        }
        OFFSET => (Source::Offset, matches!(column.column_type, Some(ColumnType::Int8)), "bigint"),
        _ => return Ok(None),
    };
    if fits && column.filled != Filled::ByExpression {
        return Ok(Some(source));
    }
    Err(mismatch(format!(
        "column \"{}\" of table {table} has type {}, but `kafka.coordinates` writes it as {wanted}: change the column, \
         or set `kafka.coordinates: false`",
        column.name, column.type_name
    )))
}

fn unwritable(table: &Table, column: &TableColumn) -> Error {
    mismatch(format!(
        "column \"{}\" of table {table} has type {}, which weir cannot write: change the column's type, or list in \
         `fields` the columns to write without it",
        column.name, column.type_name
    ))
}

fn wrong_kind(table: &Table, column: &TableColumn, given: Kind, by_chain: bool) -> Error {
    let who = if by_chain { "the transforms write" } else { "`fields` lists" };
    mismatch(format!(
        "column \"{}\" of table {table} has type {}, but {who} it as {given}: change the column, or convert the field \
         with a transform",
        column.name, column.type_name
    ))
}

fn mismatch(message: String) -> Error {
    Error::new(ErrorKind::TableMismatch, message)
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
