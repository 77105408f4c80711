//! Rows that are written anew after a rewind: those of before go in the same transaction, so that a reader sees either
//! the old or the new rows of a record, never none and never both. They are found by their coordinates.

use tokio_postgres::Client;

use super::bind::{OFFSET, PARTITION, TOPIC};
use super::part::plain;
use super::{Target, failure};
use crate::error::{Error, Kind};
use crate::record::{Claim, Flush, Segment};
use crate::sink::WriteError;

/// A segment some of whose records have rows already.
#[derive(Debug)]
pub struct Rewrite<'a> {
    segment: &'a Segment,
    target: &'a Target,
    /// The first offset that has none.
    until: i64,
}

/// The segments of a flush whose lane was rewound behind them.
pub fn rewrites<'a>(flush: &'a Flush, claims: &[Claim], targets: &'a [Target]) -> Result<Vec<Rewrite<'a>>, Error> {
    let mut rewrites = Vec::new();
    for (segment, claim) in flush.segments.iter().zip(claims) {
        let Some(until) = claim.rewrite_until.filter(|&until| segment.from < until) else { continue };
        let target = targets.get(segment.table).ok_or_else(|| {
            Error::new(Kind::Internal, format!("segment of {} is for unknown table {}", segment.lane, segment.table))
        })?;
        rewrites.push(Rewrite { segment, target, until });
    }
    Ok(rewrites)
}

impl Rewrite<'_> {
    /// Removes the rows that the segment replaces, in the transaction that is open.
    pub async fn make_room(&self, client: &Client) -> Result<(), WriteError> {
        let Rewrite { segment, target, until } = self;
        let sql = format!(
            "DELETE FROM {} WHERE {TOPIC} = $1 AND {PARTITION} = $2 AND {OFFSET} >= $3 AND {OFFSET} < $4",
            target.quoted
        );
        let (lane, to) = (&segment.lane, segment.to.min(*until));
        let removed = client.execute(&sql, &[&&*lane.topic, &lane.partition, &segment.from, &to]).await;
        let doing = format!("remove the rows of {lane} that are written anew from table {}", target.name);
        match removed {
            Ok(removed) => {
                tracing::debug!(%lane, from = segment.from, to, removed, "rows are written anew");
                Ok(())
            }
            // Without coordinates nobody can tell which rows they are.
            Err(e) if e.code().is_some_and(|code| code.code() == "42703") => {
                Err(WriteError::Failed(Error::new(Kind::TableMismatch, failure::error(doing, &e).to_string())))
            }
            Err(e) => Err(plain(&doing, &e)),
        }
    }
}
