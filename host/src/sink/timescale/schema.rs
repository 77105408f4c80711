//! Schema `weir`: the tables beside the rows that say where each pipeline stands.
//!
//! Migrations only add; `min_reader` says which worker is too old to go on. Whatever is there is used: a worker
//! without the right to create finds the tables that somebody made from the SQL that its error shows, and without
//! the `advance` function it checks positions itself, at the cost of one more wait per flush.

use tokio_postgres::Transaction;

use super::connect::{Connection, quote};
use super::failure;
use super::sqlstate;
use crate::error::{Error, Kind, Result};

/// One step of the schema.
struct Migration {
    /// The version it leads to: its place in the list, from 1.
    version: i32,
    /// The oldest worker, by the newest version it knows, that may use the schema from here on.
    min_reader: i32,
    /// What it does; `{schema}` stands for the quoted name. Safe to repeat.
    sql: &'static str,
}

/// All steps, in order; none is ever changed.
const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, min_reader: 1, sql: include_str!("sql/1.sql") },
    Migration { version: 2, min_reader: 1, sql: include_str!("sql/2.sql") },
    Migration { version: 3, min_reader: 3, sql: include_str!("sql/3.sql") },
    Migration { version: 4, min_reader: 3, sql: include_str!("sql/4.sql") },
    Migration { version: 5, min_reader: 3, sql: include_str!("sql/5.sql") },
    Migration { version: 6, min_reader: 3, sql: include_str!("sql/6.sql") },
];
/// The function that moves positions. A changed signature gets a new name, so that old workers keep theirs.
const ADVANCE: &str = include_str!("sql/advance.sql");
/// Its signature, as `to_regprocedure` reads it.
const ADVANCE_SIGNATURE: &str =
    "advance_3(text,text[],int4[],int8[],uuid[],int8[],int8[],int8[],int8[],int4[],int8[],int8[])";

/// The newest version that this worker knows.
fn newest() -> i32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// What the database has of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    /// The schema itself.
    schema: bool,
    /// The meta table.
    meta: bool,
    /// The advance function.
    advance: bool,
}

/// Makes the schema as new as this worker and notes on the connection whether `advance` is there. Errors:
/// [`Kind::SchemaVersion`] when a newer worker has closed it, [`Kind::DatabaseRights`] with the SQL to run when it is
/// missing and may not be created.
pub async fn ensure(connection: &mut Connection, name: &str) -> Result<()> {
    let found = look(connection, name).await?;
    let version = if found.meta { version(connection, name).await? } else { 0 };
    if version < newest()
        && let Err(e) = migrate(connection, name, found.schema).await
    {
        return Err(explain(connection, name, e).await);
    }
    connection.has_advance = Some(found.advance || create_advance(connection, name).await?);
    Ok(())
}

async fn look(connection: &Connection, name: &str) -> Result<Found> {
    let schema = quote(name);
    let sql = "SELECT to_regnamespace($1) IS NOT NULL, to_regclass($2) IS NOT NULL, to_regprocedure($3) IS NOT NULL";
    let (meta, advance) = (format!("{schema}.meta"), format!("{schema}.{ADVANCE_SIGNATURE}"));
    let row = connection.client.query_one(sql, &[&schema, &meta, &advance]).await;
    let row = row.map_err(|e| failure::error(format!("look for schema \"{name}\""), &e))?;
    Ok(Found { schema: row.get(0), meta: row.get(1), advance: row.get(2) })
}

/// The version of the schema that is there. Errors when it is not for this worker.
async fn version(connection: &Connection, name: &str) -> Result<i32> {
    let sql = format!("SELECT version, min_reader FROM {}.meta", quote(name));
    let row = connection.client.query_opt(&sql, &[]).await;
    let row = row.map_err(|e| failure::error(format!("read the version of schema \"{name}\""), &e))?;
    let (version, min_reader): (i32, i32) = row.map(|row| (row.get(0), row.get(1))).unwrap_or_default();
    if min_reader > newest() {
        return Err(Error::new(
            Kind::SchemaVersion,
            format!(
                "schema \"{name}\" has version {version}, which needs a weir that knows version {min_reader}, but \
                 this one knows up to {}",
                newest()
            ),
        ));
    }
    Ok(version)
}

/// Runs the missing steps, one worker at a time.
async fn migrate(connection: &mut Connection, name: &str, exists: bool) -> Result<(), tokio_postgres::Error> {
    let transaction = connection.client.transaction().await?;
    // Another worker may have been faster while this one waited for the lock.
    transaction.execute("SELECT pg_advisory_xact_lock(hashtextextended('weir schema ' || $1, 0))", &[&name]).await?;
    let row = transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&format!("{}.meta", quote(name))]).await?;
    let version = if row.get(0) { version_under_lock(&transaction, name).await? } else { 0 };
    if !exists {
        transaction.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {}", quote(name))).await?;
    }
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > version) {
        transaction.batch_execute(&step(migration, name)).await?;
        tracing::info!(schema = name, version = migration.version, "brought the schema to a new version");
    }
    transaction.commit().await
}

async fn version_under_lock(transaction: &Transaction<'_>, name: &str) -> Result<i32, tokio_postgres::Error> {
    let row = transaction.query_opt(&format!("SELECT version FROM {}.meta", quote(name)), &[]).await?;
    Ok(row.map(|row| row.get(0)).unwrap_or_default())
}

/// One step with its note in the meta table.
fn step(migration: &Migration, name: &str) -> String {
    let Migration { version, min_reader, sql } = migration;
    format!(
        "{sql}
INSERT INTO {{schema}}.meta (version, min_reader) VALUES ({version}, {min_reader})
  ON CONFLICT (one) DO UPDATE SET version = excluded.version, min_reader = excluded.min_reader, migrated_at = now();
"
    )
    .replace("{schema}", &quote(name))
}

/// Creates the function. False = the role may not, and positions are checked without it.
async fn create_advance(connection: &Connection, name: &str) -> Result<bool> {
    match connection.client.batch_execute(&ADVANCE.replace("{schema}", &quote(name))).await {
        Ok(()) => Ok(true),
        Err(e) => {
            let failed = failure::error(format!("create function advance_3 in schema \"{name}\""), &e);
            // Two workers that create it at once meet in the catalogue; the function is there then.
            let raced = e.code().is_some_and(|code| matches!(code.code(), "XX000" | "23505" | "42723"));
            if raced {
                return Ok(look(connection, name).await?.advance);
            }
            let may_not = failed.kind() == Kind::DatabaseRights || failed.kind() == Kind::TableMismatch;
            if may_not {
                tracing::warn!(error = %failed, "positions are checked without the function, one more wait per flush");
                return Ok(false);
            }
            Err(failed)
        }
    }
}

/// The failure of a migration; where rights are missing, with everything that an administrator has to run.
async fn explain(connection: &Connection, name: &str, cause: tokio_postgres::Error) -> Error {
    let failed = failure::error(format!("create schema \"{name}\""), &cause);
    if cause.code().is_none_or(|code| sqlstate::kind(code.code()) != Kind::DatabaseRights) {
        return failed;
    }
    let user = connection.client.query_one("SELECT current_user::text", &[]).await;
    let user: String = user.map_or_else(|_| "PUBLIC".to_owned(), |row| quote(row.get(0)));
    Error::new(Kind::DatabaseRights, format!("{failed}; run this as a user who may:\n{}", script(name, &user)))
}

/// Everything that makes the schema, and the rights that a worker needs on it. `role` is quoted.
pub fn script(name: &str, role: &str) -> String {
    let schema = quote(name);
    let steps: String = MIGRATIONS.iter().map(|migration| step(migration, name)).collect();
    let advance = ADVANCE.replace("{schema}", &schema);
    format!(
        "BEGIN;
CREATE SCHEMA IF NOT EXISTS {schema};
{steps}{advance}GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
COMMIT;
"
    )
}

/// The call of the function, its parameters those of [`super::position::Advance`].
pub fn call_advance(name: &str) -> String {
    format!("SELECT {}.advance_3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)", quote(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps_and_known_to_their_own_readers() {
        for (at, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, at as i32 + 1);
            assert!(migration.min_reader <= migration.version, "version {} locks out its own maker", migration.version);
        }
    }

    #[test]
    fn the_script_names_schema_and_role_and_leaves_no_placeholder() {
        let script = script("my weir", "\"writer\"");
        assert!(script.starts_with("BEGIN;\nCREATE SCHEMA IF NOT EXISTS \"my weir\";\n"), "{script}");
        assert!(script.ends_with(
            "GRANT USAGE ON SCHEMA \"my weir\" TO \"writer\";\n\
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \"my weir\" TO \"writer\";\nCOMMIT;\n"
        ));
        assert!(!script.contains("{schema}"), "{script}");
    }

    #[test]
    fn the_function_is_looked_for_under_the_name_it_is_created_with() {
        let (name, _) = ADVANCE_SIGNATURE.split_once('(').unwrap_or_default();
        assert!(ADVANCE.contains(&format!("FUNCTION {{schema}}.{name}(")));
        assert!(call_advance("weir").contains(&format!("\"weir\".{name}(")));
    }
}
