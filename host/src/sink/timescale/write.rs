//! One attempt to write one flush: BEGIN, COPY, decisions, advance, COMMIT in two waits for the server.
//!
//! Requests are queued in the order of their first poll and answered in that order, so what does not depend on an
//! answer is sent along: COPY's start with BEGIN, and everything behind the rows, COMMIT included, with their end.
//! That is safe because a COMMIT behind a failed statement rolls back; and because it then reports success all the
//! same, the attempt counts only when every answer was good.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::{join, join3, join4};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, CopyInSink, Statement};

use super::connect::Connection;
use super::decisions::Decisions;
use super::part::{Cause, Part, parts, plain, refuse, send};
use super::position::{Advance, BEGIN, Cutover, Pipeline};
use super::rewrite::{Rewrite, rewrites};
use super::{Target, failure, schema};
use crate::error::{Error, Kind};
use crate::failpoint::Point;
use crate::record::{Claim, Flush};
use crate::sink::WriteError;

/// One attempt. After an error the connection is to be recovered or dropped; a dropped future leaves it unusable.
pub async fn attempt(
    connection: &mut Connection,
    of: Pipeline<'_>,
    targets: &[Target],
    flush: &Flush,
    claims: &[Claim],
) -> Result<(), WriteError> {
    let rewrites = rewrites(flush, claims, targets).map_err(WriteError::Failed)?;
    let parts = parts(flush, targets).map_err(WriteError::Failed)?;
    let mut copies = Vec::with_capacity(parts.len());
    for part in parts {
        let statement = connection.prepare(&part.target.copy_sql).await;
        copies.push((statement.map_err(|e| refuse(&part, &e))?, part));
    }
    let tail = Tail::prepare(connection, of, flush, claims).await.map_err(|e| plain("prepare a flush", &e))?;

    connection.pass(Point::BeforeCopy).await.map_err(|e| plain("begin a flush", &e))?;
    let client = &connection.client;
    let cutovers = Cutover::of(flush, claims);
    let begin = match (rewrites.is_empty(), cutovers.is_empty()) {
        (true, true) => BEGIN,
        _ => begin_slowly(client, of, &rewrites, &cutovers).await?,
    };
    let mut copies = copies.into_iter();
    let Some((first, mut part)) = copies.next() else {
        client.batch_execute(begin).await.map_err(|e| plain("begin a flush", &e))?;
        return tail.finish(connection, None).await;
    };
    let (begun, started) = join(client.batch_execute(begin), client.copy_in::<_, Bytes>(&first)).await;
    // When BEGIN failed, dropping the COPY that was started without a transaction aborts it.
    begun.map_err(|e| plain("begin a flush", &e))?;
    let mut sink = Box::pin(started.map_err(|e| refuse(&part, &e))?);
    for (statement, next_part) in copies {
        send(connection, sink.as_mut(), &part).await.map_err(|e| refuse(&part, &e))?;
        let (finished, started) = join(sink.as_mut().finish(), client.copy_in(&statement)).await;
        finished.map_err(|e| refuse(&part, &e))?;
        sink = Box::pin(started.map_err(|e| refuse(&next_part, &e))?);
        part = next_part;
    }
    send(connection, sink.as_mut(), &part).await.map_err(|e| refuse(&part, &e))?;
    connection.pass(Point::AfterCopy).await.map_err(|e| refuse(&part, &e))?;
    tail.finish(connection, Some((sink.as_mut(), &part))).await
}

/// Begins a flush that replaces rows, or in which another chain begins to speak. Awaited: what follows a statement that
/// failed would be written without what it was to do. Returns what is left to begin the flush with.
async fn begin_slowly(
    client: &Client,
    of: Pipeline<'_>,
    rewrites: &[Rewrite<'_>],
    cutovers: &[Cutover<'_>],
) -> Result<&'static str, WriteError> {
    client.batch_execute(BEGIN).await.map_err(|e| plain("begin a flush", &e))?;
    for cutover in cutovers {
        cutover.write(client, of).await.map_err(|e| plain("let another chain speak", &e))?;
    }
    for rewrite in rewrites {
        rewrite.make_room(client).await?;
    }
    Ok("")
}

/// Everything behind the rows.
struct Tail<'a> {
    decide: Option<(Statement, Decisions<'a>)>,
    advance: Advance<'a>,
    moves: Moves,
    pipeline: &'a str,
}

/// How positions are moved.
enum Moves {
    /// By the function, which raises when one is not as expected.
    Called(Statement),
    /// By an update behind a lock, whose count is compared before COMMIT.
    Checked { lock: Statement, update: Statement },
}

impl<'a> Tail<'a> {
    async fn prepare(
        connection: &mut Connection,
        of: Pipeline<'a>,
        flush: &'a Flush,
        claims: &'a [Claim],
    ) -> Result<Self, Cause> {
        let moves = if connection.has_advance == Some(true) {
            Moves::Called(connection.prepare(&schema::call_advance(of.schema)).await?)
        } else {
            Moves::Checked {
                lock: connection.prepare(&Advance::lock_sql(of.schema)).await?,
                update: connection.prepare(&Advance::update_sql(of.schema)).await?,
            }
        };
        let decisions = Decisions::of(flush);
        let decide = match decisions {
            Some(decisions) => Some((connection.prepare(&Decisions::insert_sql(of.schema)).await?, decisions)),
            None => None,
        };
        Ok(Tail { decide, advance: Advance::of(flush, claims), moves, pipeline: of.name })
    }

    /// Ends the last COPY, where there is one, and the transaction.
    async fn finish(
        self,
        connection: &Connection,
        copy: Option<(Pin<&mut CopyInSink<Bytes>>, &Part<'_>)>,
    ) -> Result<(), WriteError> {
        let client = &connection.client;
        let (sink, part) = copy.unzip();
        let end_copy = async {
            match sink {
                Some(sink) => sink.finish().await.map(drop),
                None => Ok(()),
            }
        };
        match &self.moves {
            Moves::Called(call) => {
                let end = async {
                    match connection.pass_behind(Point::BeforeAdvance).await {
                        Ok(()) => join(self.call(client, call), commit(connection)).await,
                        Err(lost) => (Err(lost), Ok(())),
                    }
                };
                let (copied, decided, (moved, committed)) = join3(end_copy, self.decide(client), end).await;
                let outcome = copied
                    .map_err(|e| Step::Copy.failed(part, &e))
                    .and(decided.map_err(|e| Step::Decide.failed(part, &e)))
                    .and(moved.map_err(|e| Step::Advance.failed(part, &e)));
                outcome.and(committed.map_err(|e| Step::Commit.failed(part, &e)))
            }
            Moves::Checked { lock, update } => {
                let (copied, decided, locked, moved) =
                    join4(end_copy, self.decide(client), self.lock(client, lock), self.call(client, update)).await;
                // COMMIT was not sent, so whatever failed here left nothing behind.
                copied.map_err(|e| part.map_or_else(|| plain("end a flush", &e), |part| refuse(part, &e)))?;
                decided.map_err(|e| plain("write decisions", &e))?;
                locked.map_err(|e| plain("lock positions", &e))?;
                let moved = moved.map_err(|e| plain("advance positions", &e))?;
                let expected = self.advance.topics.len() as u64;
                if moved != expected {
                    let message = format!("only {moved} of {expected} positions are as expected");
                    return Err(WriteError::Unknown(Error::new(Kind::Fenced, message)));
                }
                commit(connection).await.map_err(|e| Step::Commit.failed(part, &e))
            }
        }
    }

    async fn decide(&self, client: &Client) -> Result<(), Cause> {
        match &self.decide {
            Some((insert, decisions)) => decisions.insert(client, insert, self.pipeline).await,
            None => Ok(()),
        }
    }

    async fn lock(&self, client: &Client, lock: &Statement) -> Result<(), Cause> {
        client.execute(lock, &[&self.pipeline, &self.advance.topics, &self.advance.partitions]).await.map(drop)
    }

    async fn call(&self, client: &Client, statement: &Statement) -> Result<u64, Cause> {
        let a = &self.advance;
        let parameters: [&(dyn ToSql + Sync); 12] = [
            &self.pipeline,
            &a.topics,
            &a.partitions,
            &a.epochs,
            &a.tokens,
            &a.froms,
            &a.tos,
            &a.records,
            &a.rows,
            &a.leader_epochs,
            &a.idles,
            &a.more_idles,
        ];
        client.execute(statement, &parameters).await
    }
}

async fn commit(connection: &Connection) -> Result<(), Cause> {
    connection.pass_behind(Point::BeforeCommit).await?;
    connection.client.batch_execute("COMMIT").await?;
    connection.pass(Point::AfterCommit).await
}

/// A step that was sent together with COMMIT.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Copy,
    Decide,
    Advance,
    Commit,
}

impl Step {
    /// What the failure of this step, the first of the flush, means.
    fn failed(self, part: Option<&Part<'_>>, cause: &Cause) -> WriteError {
        let doing = match self {
            Step::Copy => "copy rows",
            Step::Decide => "write decisions",
            Step::Advance => "advance positions",
            Step::Commit => "commit a flush",
        };
        // An error that ended only its statement made the COMMIT behind it roll back. Where the session ended, or
        // this side lost it, COMMIT may have been executed without its answer arriving.
        if !failure::ended_statement_only(cause) {
            return WriteError::Unknown(failure::error(doing, cause));
        }
        let error = failure::error(doing, cause);
        match (self, part) {
            (Step::Copy, Some(part)) => refuse(part, cause),
            // A constraint that is checked late: the row is not named.
            (Step::Commit, Some(part)) if error.kind() == Kind::RecordRefused => refuse(part, cause),
            _ if error.kind() == Kind::Fenced => WriteError::Unknown(error),
            // Neither positions nor decisions are rows of a record.
            _ if error.kind() == Kind::RecordRefused => {
                WriteError::Failed(Error::new(Kind::Internal, error.to_string()))
            }
            _ => WriteError::Failed(error),
        }
    }
}
