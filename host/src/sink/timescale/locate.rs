//! Finding a refused row that the database did not name (a foreign key, a constraint that is checked late): by
//! halves, in a transaction that is rolled back.
//!
//! Everything before the row is known to be accepted, so each half that goes in stays in, and the next one is tried
//! behind it: about twice the flush is copied in all. Late constraints are checked at once here.

use std::ops::Range;

use tokio_postgres::{Client, Statement};

use super::connect::Connection;
use super::part::{self, Cause};
use super::position::BEGIN;
use super::{Target, failure, rows};
use crate::error::{Error, Kind, Result};
use crate::record::{Flush, Segment};

/// The first row that the database refuses, as segment and line; None when it takes them all. The transaction that the
/// refusal has left open is ended first.
pub async fn locate(connection: &mut Connection, targets: &[Target], flush: &Flush) -> Result<Option<(usize, usize)>> {
    let failed = |e: Cause| failure::error("look for the refused row of a flush", &e);
    let begin = format!("ROLLBACK; {BEGIN}; SET CONSTRAINTS ALL IMMEDIATE");
    connection.client.batch_execute(&begin).await.map_err(failed)?;
    let found = search(connection, targets, flush).await?;
    connection.client.batch_execute("ROLLBACK").await.map_err(failed)?;
    Ok(found)
}

async fn search(connection: &mut Connection, targets: &[Target], flush: &Flush) -> Result<Option<(usize, usize)>> {
    for part in part::parts(flush, targets)? {
        let copy = connection.prepare(&part.target.copy_sql).await;
        let copy = copy.map_err(|e| failure::error(format!("copy rows to table {}", part.target.name), &e))?;
        for (at, segment) in part.segments {
            let probe = Probe { client: &connection.client, copy: &copy, segment };
            if let Some(line) = probe.first_refused().await? {
                return Ok(Some((at, line)));
            }
        }
    }
    Ok(None)
}

/// Tries lines of one segment.
struct Probe<'a> {
    client: &'a Client,
    copy: &'a Statement,
    segment: &'a Segment,
}

impl Probe<'_> {
    async fn first_refused(&self) -> Result<Option<usize>> {
        let lines = self.segment.lines.len();
        if self.accepts(0..lines).await? {
            return Ok(None);
        }
        // All lines before `accepted` are in; the refused one is among those before `end`.
        let (mut accepted, mut end) = (0, lines);
        while end - accepted > 1 {
            let middle = accepted + (end - accepted) / 2;
            if self.accepts(accepted..middle).await? {
                accepted = middle;
            } else {
                end = middle;
            }
        }
        Ok(Some(accepted))
    }

    /// Copies some lines; they stay when the database takes them all.
    async fn accepts(&self, lines: Range<usize>) -> Result<bool> {
        let failed = |e: Cause| failure::error("look for the refused row of a flush", &e);
        let bytes = rows::span(&self.segment.data, &lines).and_then(|span| self.segment.data.get(span));
        let bytes = bytes.ok_or_else(|| {
            Error::new(Kind::Internal, format!("segment of {} has no encoded lines {lines:?}", self.segment.lane))
        })?;
        self.client.batch_execute("SAVEPOINT probe").await.map_err(failed)?;
        match part::copy_bytes(self.client, self.copy, bytes).await {
            Ok(()) => {
                self.client.batch_execute("RELEASE probe").await.map_err(failed)?;
                Ok(true)
            }
            Err(e) => {
                let refused = failed(e);
                if refused.kind() != Kind::RecordRefused {
                    return Err(refused);
                }
                self.client.batch_execute("ROLLBACK TO probe; RELEASE probe").await.map_err(failed)?;
                Ok(false)
            }
        }
    }
}
