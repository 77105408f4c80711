//! Making a new table a hypertable, where TimescaleDB is installed in the database.

use super::connect::{Connection, literal, quote};
use super::failure;
use crate::error::{Error, Kind, Result};

/// The first version of TimescaleDB with `by_range`.
const BY_RANGE_SINCE: (u32, u32) = (2, 13);

/// The statements that make a hypertable of an empty table (quoted name); None without the extension. Indexes are
/// left to the operator: the one that TimescaleDB makes by default halves the speed of COPY.
pub async fn sql(connection: &Connection, table: &str, time: &str, chunk_interval: &str) -> Result<Option<String>> {
    let sql = "SELECT n.nspname::text, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
               WHERE e.extname = 'timescaledb'";
    let row = connection.client.query_opt(sql, &[]).await;
    let row = row.map_err(|e| failure::error("look for the extension timescaledb", &e))?;
    let Some(row) = row else {
        return Ok(None);
    };
    let (schema, version): (&str, &str) = (row.get(0), row.get(1));
    let version = parse(version).ok_or_else(|| {
        Error::new(
            Kind::SchemaVersion,
            format!("the extension timescaledb has a version that weir cannot read: {version}"),
        )
    })?;
    Ok(Some(statement(schema, version, table, time, chunk_interval)))
}

fn statement(schema: &str, version: (u32, u32), table: &str, time: &str, chunk_interval: &str) -> String {
    let (schema, relation, column) = (quote(schema), literal(table), literal(time));
    let interval = format!("INTERVAL {}", literal(chunk_interval));
    let dimension = if version >= BY_RANGE_SINCE {
        format!("{schema}.by_range({column}, {interval})")
    } else {
        format!("{column}, chunk_time_interval => {interval}")
    };
    format!(
        "SELECT {schema}.create_hypertable({relation}, {dimension}, create_default_indexes => false, if_not_exists => \
         true);\n"
    )
}

/// Major and minor number of a version such as `2.23.0-dev`.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_follows_the_extension_s_version() {
        assert_eq!(
            statement("public", (2, 23), "\"metrics\".\"it's\"", "ts", "1 day"),
            "SELECT \"public\".create_hypertable('\"metrics\".\"it''s\"', \"public\".by_range('ts', INTERVAL '1 day'), \
             create_default_indexes => false, if_not_exists => true);\n"
        );
        assert_eq!(
            statement("ts", (2, 12), "\"ticks\"", "ts", "7 days"),
            "SELECT \"ts\".create_hypertable('\"ticks\"', 'ts', chunk_time_interval => INTERVAL '7 days', \
             create_default_indexes => false, if_not_exists => true);\n"
        );
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse("2.23.0-dev"), Some((2, 23)));
        assert!(parse("2.9.3") < Some(BY_RANGE_SINCE));
        assert_eq!(parse("next"), None);
    }
}
