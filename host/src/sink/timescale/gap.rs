//! The acceptance of a gap in a lane's log: recorded under a claim of its own, so that a worker that still reads the lane
//! is fenced and takes it up where it stands then.

use std::ops::Range;

use tokio_postgres::Transaction;
use uuid::Uuid;

use super::connect::{Connection, quote};
use super::failure;
use super::position::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::record::{Gap, Lane};

/// What an acceptance came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The gaps that were recorded; none = all of it had been accepted before.
    pub gaps: Vec<Gap>,
    /// Where the lane stands now.
    pub next_offset: i64,
}

/// Accepts that the records `gap` of a lane are gone, whose log begins at `first`. Errors: [`Kind::GapRefused`] where the
/// lane has no position, or another than the gap was named for, or the log still holds what would be passed over.
pub async fn accept(
    connection: &mut Connection,
    of: Pipeline<'_>,
    lane: &Lane,
    first: i64,
    gap: &Range<i64>,
) -> Result<Accepted> {
    let doing = format!("accept a gap of {lane} in pipeline {}", of.name);
    let transaction = connection.client.transaction().await.map_err(|e| failure::error(&doing, &e))?;
    let known = read(&transaction, of, lane, gap).await.map_err(|e| failure::error(&doing, &e))?;
    let refused = |why: String| Error::new(Kind::GapRefused, format!("{doing}: {why}"));
    let (next_offset, is_known) = known.ok_or_else(|| refused("it has no position there".to_owned()))?;
    if is_known {
        return Ok(Accepted { gaps: Vec::new(), next_offset });
    }
    let (gaps, goes_on) = Gap::accept(next_offset, first, gap.start, gap.end).map_err(refused)?;
    record(transaction, of, lane, &gaps, goes_on).await.map_err(|e| failure::error(&doing, &e))?;
    Ok(Accepted { gaps, next_offset: goes_on })
}

/// Where the lane stands, under a lock, and whether this gap was accepted before.
async fn read(
    transaction: &Transaction<'_>,
    of: Pipeline<'_>,
    lane: &Lane,
    gap: &Range<i64>,
) -> Result<Option<(i64, bool)>, tokio_postgres::Error> {
    let sql = format!(
        "SELECT p.next_offset, EXISTS (
           SELECT FROM {0}.decision d JOIN {0}.decision e USING (pipeline, topic, partition)
           WHERE d.pipeline = p.pipeline AND d.topic = p.topic AND d.partition = p.partition
             AND d.at_offset = $4 AND d.to_offset > $4 AND e.at_offset >= $4 AND e.to_offset = $5 AND p.next_offset >= $5)
         FROM {0}.position p WHERE p.pipeline = $1 AND p.topic = $2 AND p.partition = $3 FOR UPDATE OF p",
        quote(of.schema)
    );
    let row = transaction.query_opt(&sql, &[&of.name, &&*lane.topic, &lane.partition, &gap.start, &gap.end]).await?;
    Ok(row.map(|row| (row.get(0), row.get(1))))
}

async fn record(
    transaction: Transaction<'_>,
    of: Pipeline<'_>,
    lane: &Lane,
    gaps: &[Gap],
    next_offset: i64,
) -> Result<(), tokio_postgres::Error> {
    let schema = quote(of.schema);
    let (name, topic, partition): (_, &str, _) = (&of.name, &lane.topic, &lane.partition);
    let decide = format!(
        "INSERT INTO {schema}.decision (pipeline, topic, partition, at_offset, kind, stage, detail, to_offset)
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7) ON CONFLICT (pipeline, topic, partition, at_offset, kind, stage)
         DO UPDATE SET detail = excluded.detail, to_offset = excluded.to_offset, decided_at = now()"
    );
    for gap in gaps {
        let detail = format!("accepted by {}", of.owner);
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [name, &topic, partition, &gap.from, &gap.name(), &detail, &gap.to];
        transaction.execute(&decide, &row).await?;
    }
    // The epoch of the record before the gap says nothing of the log behind it.
    let claim = format!(
        "UPDATE {schema}.position SET epoch = epoch + 1, token = $4, owner = $5, claimed_at = now(), next_offset = $6,
           leader_epoch = NULL
         WHERE pipeline = $1 AND topic = $2 AND partition = $3"
    );
    transaction.execute(&claim, &[name, &topic, partition, &Uuid::new_v4(), &of.owner, &next_offset]).await?;
    transaction.commit().await
}
