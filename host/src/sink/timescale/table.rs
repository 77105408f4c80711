//! The target table: its name from the pipeline's settings, its columns from the catalogue, and its making where
//! `auto.create` asks for it.

use tokio_postgres::types::Oid;

use super::bind::{self, Filled, Table, TableColumn};
use super::connect::{Connection, literal, quote};
use super::types::{ColumnType, created};
use super::{failure, hypertable};
use crate::error::{Error, Kind, Result};
use crate::record::Field;

/// Bytes of a PostgreSQL identifier; it would cut longer ones without saying so.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// A table's name, maybe with its schema; without one the search path finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The schema, unquoted.
    pub schema: Option<String>,
    /// The table, unquoted.
    pub table: String,
}

impl TableName {
    /// The name that `table.name.format` gives a topic. A dot of the format parts schema and table, unless it stands
    /// between double quotes; a dot that comes with the topic is part of the name.
    pub fn of(format: &str, topic: &str) -> Result<Self> {
        let mut parts = vec![String::new()];
        let mut quoted = false;
        let mut rest = format;
        while let Some(c) = rest.chars().next() {
            let part = parts.last_mut().filter(|_| !rest.starts_with("${topic}"));
            rest = match (part, c) {
                (None, _) => {
                    if let Some(part) = parts.last_mut() {
                        part.push_str(topic);
                    }
                    rest.strip_prefix("${topic}").unwrap_or_default()
                }
                (Some(part), '"') if quoted && rest.starts_with("\"\"") => {
                    part.push('"');
                    rest.get(2..).unwrap_or_default()
                }
                (Some(part), _) => {
                    match c {
                        '"' => quoted = !quoted,
                        '.' if !quoted => parts.push(String::new()),
                        _ => part.push(c),
                    }
                    rest.get(c.len_utf8()..).unwrap_or_default()
                }
            };
        }
        Self::checked(parts, quoted, format)
    }

    fn checked(parts: Vec<String>, quoted: bool, format: &str) -> Result<Self> {
        let too_long = parts.iter().find(|part| part.len() > IDENTIFIER_BYTES_MAX);
        if let Some(part) = too_long {
            return Err(Error::new(
                Kind::TableMissing,
                format!(
                    "table name \"{part}\" has {} bytes, but PostgreSQL takes {IDENTIFIER_BYTES_MAX}: set \
                     `table.name.format` to a shorter one",
                    part.len()
                ),
            ));
        }
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(table), None, None) if !quoted && !table.is_empty() => Ok(TableName { schema: None, table }),
            (Some(schema), Some(table), None) if !quoted && !schema.is_empty() && !table.is_empty() => {
                Ok(TableName { schema: Some(schema), table })
            }
            _ => {
                let message =
                    format!("`table.name.format` is \"{format}\", which is no table name: write table or schema.table");
                Err(Error::new(Kind::TableMissing, message))
            }
        }
    }

    /// As SQL writes it.
    pub fn sql(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&self.table)),
            None => quote(&self.table),
        }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

/// A column's base type under its domains, which may forbid null as well.
const COLUMNS_SQL: &str = "
WITH RECURSIVE base AS (
  SELECT a.attnum, a.atttypid AS oid, a.atttypmod AS modifier, a.attnotnull AS not_null
  FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.attnum, t.typbasetype, CASE WHEN b.modifier >= 0 THEN b.modifier ELSE t.typtypmod END,
         b.not_null OR t.typnotnull
  FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
)
SELECT a.attname::text, b.oid, b.modifier, b.not_null, t.typtype = 'e', format_type(a.atttypid, a.atttypmod),
       a.atthasdef, a.attidentity::text, a.attgenerated::text
FROM base b JOIN pg_type t ON t.oid = b.oid JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = b.attnum
WHERE t.typtype <> 'd' ORDER BY b.attnum";

/// The table as the catalogue has it; None = there is none.
pub async fn read(connection: &Connection, name: &TableName) -> Result<Option<Table>> {
    let failed = |e| failure::error(format!("read the columns of table {name}"), &e);
    let client = &connection.client;
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";
    let Some(row) = client.query_opt(sql, &[&name.sql()]).await.map_err(failed)? else {
        return Ok(None);
    };
    let (oid, schema, table, relkind): (Oid, String, String, &str) = (row.get(0), row.get(1), row.get(2), row.get(3));
    if !matches!(relkind, "r" | "p" | "f") {
        let message = format!("{name} is no table that rows can be copied into, but a view or the like: name a table");
        return Err(Error::new(Kind::TableMismatch, message));
    }
    let rows = client.query(COLUMNS_SQL, &[&oid]).await.map_err(failed)?;
    let columns = rows.iter().map(|row| TableColumn {
        name: row.get(0),
        column_type: ColumnType::of(row.get(1), row.get(2), row.get(4)),
        type_name: row.get(5),
        not_null: row.get(3),
        has_default: row.get(6),
        filled: match (row.get::<_, &str>(7), row.get::<_, &str>(8)) {
            (_, generated) if !generated.is_empty() => Filled::ByExpression,
            ("", _) => Filled::ByWriter,
            _ => Filled::ByIdentity,
        },
    });
    Ok(Some(Table { schema, name: table, columns: columns.collect() }))
}

/// The error for a table that is not there and may not be made.
pub fn missing(name: &TableName) -> Error {
    Error::new(Kind::TableMissing, format!("table {name} does not exist"))
}

/// What `auto.create` makes.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The table.
    pub name: &'a TableName,
    /// Its columns, in order.
    pub columns: Vec<Field>,
    /// `kafka.coordinates`.
    pub coordinates: bool,
    /// `timescale.time.column`.
    pub time_column: Option<&'a str>,
    /// `timescale.chunk.interval`.
    pub chunk_interval: &'a str,
}

/// The columns of a new table: those listed; else those of the sample with what the chain writes over and after.
pub fn columns(listed: &[Field], sample: &[Field], outputs: &[Field]) -> Vec<Field> {
    if !listed.is_empty() {
        return listed.to_vec();
    }
    let mut columns: Vec<Field> = Vec::new();
    for field in sample.iter().chain(outputs).filter(|field| !field.path.is_meta()) {
        match columns.iter_mut().find(|column| column.path == field.path) {
            Some(column) => column.kind = field.kind,
            None => columns.push(field.clone()),
        }
    }
    columns
}

impl Plan<'_> {
    /// Refuses what the database would refuse with words that do not name the settings.
    fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(Kind::TableMismatch, message));
        if self.columns.is_empty() {
            return invalid(format!(
                "table {} cannot be made: the first records have no field to make a column of: list in `fields` what \
                 to write, or create the table",
                self.name
            ));
        }
        if let Some(field) = self.columns.iter().find(|field| field.path.as_str().len() > IDENTIFIER_BYTES_MAX) {
            let (name, bytes) = (&field.path, field.path.as_str().len());
            return invalid(format!(
                "table {} cannot be made: column name \"{name}\" has {bytes} bytes, but PostgreSQL takes \
                 {IDENTIFIER_BYTES_MAX}: list in `fields` what to write",
                self.name
            ));
        }
        let Some(time) = self.time_column else {
            return Ok(());
        };
        match self.columns.iter().find(|field| field.path.as_str() == time) {
            None => invalid(format!(
                "table {} cannot be made: `timescale.time.column` is \"{time}\", but neither records nor transforms \
                 have such a field: name one of theirs",
                self.name
            )),
            Some(field) if field.kind != crate::record::Kind::Timestamp => invalid(format!(
                "table {} cannot be made: `timescale.time.column` \"{time}\" is {}, not a timestamp: convert it with \
                 TimestampConverter, or write {time}:timestamp in `fields`",
                self.name, field.kind
            )),
            Some(_) => Ok(()),
        }
    }

    /// `CREATE TABLE` for it.
    fn sql(&self) -> String {
        let column = |field: &Field| {
            let not_null = if self.time_column == Some(field.path.as_str()) { " NOT NULL" } else { "" };
            format!("{} {}{not_null}", quote(field.path.as_str()), created(field.kind))
        };
        let mut columns: Vec<String> = self.columns.iter().map(column).collect();
        if self.coordinates {
            columns.push(format!("{} text", quote(bind::TOPIC)));
            columns.push(format!("{} integer", quote(bind::PARTITION)));
            columns.push(format!("{} bigint", quote(bind::OFFSET)));
        }
        format!("CREATE TABLE IF NOT EXISTS {} ({})", self.name.sql(), columns.join(", "))
    }

    /// Makes the table, and a hypertable of it where the extension is there. Harmless where another worker was
    /// faster.
    pub async fn create(&self, connection: &mut Connection) -> Result<()> {
        self.check()?;
        let lock = format!(
            "SELECT pg_advisory_xact_lock(hashtextextended({}, 0))",
            literal(&format!("weir table {}", self.name.sql()))
        );
        let sql = self.sql();
        let partition = match self.time_column {
            Some(time) => hypertable::sql(connection, &self.name.sql(), time, self.chunk_interval).await?,
            None => None,
        };
        let statements = format!("BEGIN;\n{lock};\n{sql};\n{}COMMIT", partition.as_deref().unwrap_or_default());
        if let Err(e) = connection.client.batch_execute(&statements).await {
            let failed = failure::error(format!("create table {}", self.name), &e);
            connection.recover().await;
            return Err(if failed.kind() == Kind::DatabaseRights {
                Error::new(Kind::DatabaseRights, format!("{failed}; run this as a user who may:\n{sql};"))
            } else {
                failed
            });
        }
        tracing::info!(table = %self.name, hypertable = partition.is_some(), "created the table");
        Ok(())
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
