//! One attempt to write one flush: BEGIN, COPY, decisions, advance, COMMIT in two waits for the server.
//!
//! Requests are queued in the order of their first poll and answered in that order, so what does not depend on an
//! answer is sent along: COPY's start with BEGIN, and everything behind the rows, COMMIT included, with their end.
//! That is safe because a COMMIT behind a failed statement rolls back; and because it then reports success all the
//! same, the attempt counts only when every answer was good.

use std::pin::{Pin, pin};

use bytes::Bytes;
use futures_util::SinkExt as _;
use futures_util::future::{join, join4};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, CopyInSink, Statement};

use super::connect::{Connection, quote};
use super::copy::{HEADER, TRAILER};
use super::position::{Advance, BEGIN, Pipeline};
use super::refusal;
use super::schema;
use super::sqlstate;
use super::{Target, failure};
use crate::error::{Error, Kind};
use crate::limits::COPY_CHUNK_BYTES;
use crate::record::{Claim, Decision, Flush, Lane, Segment};
use crate::sink::{Refusal, WriteError};

/// A failure of the client library.
pub type Cause = tokio_postgres::Error;

/// The segments that go into one table, with their place in the flush.
#[derive(Debug)]
pub struct Part<'a> {
    /// The table.
    pub target: &'a Target,
    /// Its segments that have rows.
    pub segments: Vec<(usize, &'a Segment)>,
}

/// The flush by table; segments without rows are in no part.
pub fn parts<'a>(flush: &'a Flush, targets: &'a [Target]) -> Result<Vec<Part<'a>>, Error> {
    let mut parts: Vec<(usize, Part<'a>)> = Vec::new();
    for (at, segment) in flush.segments.iter().enumerate().filter(|(_, segment)| !segment.lines.is_empty()) {
        if let Some((_, part)) = parts.iter_mut().find(|(table, _)| *table == segment.table) {
            part.segments.push((at, segment));
            continue;
        }
        let target = targets.get(segment.table).ok_or_else(|| {
            Error::new(Kind::Internal, format!("segment of {} is for unknown table {}", segment.lane, segment.table))
        })?;
        parts.push((segment.table, Part { target, segments: vec![(at, segment)] }));
    }
    Ok(parts.into_iter().map(|(_, part)| part).collect())
}

/// One attempt. After an error the connection is to be recovered or dropped; a dropped future leaves it unusable.
pub async fn attempt(
    connection: &mut Connection,
    of: Pipeline<'_>,
    targets: &[Target],
    flush: &Flush,
    claims: &[Claim],
) -> Result<(), WriteError> {
    let parts = parts(flush, targets).map_err(WriteError::Failed)?;
    let failed = |e: Cause| WriteError::Failed(failure::error("prepare a flush", &e));
    let mut copies = Vec::with_capacity(parts.len());
    for part in parts {
        let statement = connection.prepare(&part.target.copy_sql).await;
        copies.push((statement.map_err(|e| refuse(&part, &e))?, part));
    }
    let tail = Tail::prepare(connection, of, flush, claims).await.map_err(failed)?;

    let client = &connection.client;
    let mut copies = copies.into_iter();
    let Some((first, mut part)) = copies.next() else {
        client.batch_execute(BEGIN).await.map_err(|e| WriteError::Failed(failure::error("begin a flush", &e)))?;
        return tail.finish(client, None).await;
    };
    let (begun, started) = join(client.batch_execute(BEGIN), client.copy_in::<_, Bytes>(&first)).await;
    // When BEGIN failed, dropping the COPY that was started without a transaction aborts it.
    begun.map_err(|e| WriteError::Failed(failure::error("begin a flush", &e)))?;
    let mut sink = Box::pin(started.map_err(|e| refuse(&part, &e))?);
    for (statement, next_part) in copies {
        send(sink.as_mut(), &part).await.map_err(|e| refuse(&part, &e))?;
        let (finished, started) = join(sink.as_mut().finish(), client.copy_in(&statement)).await;
        finished.map_err(|e| refuse(&part, &e))?;
        sink = Box::pin(started.map_err(|e| refuse(&next_part, &e))?);
        part = next_part;
    }
    send(sink.as_mut(), &part).await.map_err(|e| refuse(&part, &e))?;
    tail.finish(client, Some((sink.as_mut(), &part))).await
}

/// Sends the rows of a part, between header and trailer, in pieces.
async fn send(mut sink: Pin<&mut CopyInSink<Bytes>>, part: &Part<'_>) -> Result<(), Cause> {
    sink.feed(Bytes::from_static(&HEADER)).await?;
    for (_, segment) in &part.segments {
        for chunk in segment.data.chunks(COPY_CHUNK_BYTES) {
            sink.feed(Bytes::copy_from_slice(chunk)).await?;
        }
    }
    sink.feed(Bytes::from_static(&TRAILER)).await
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
        client: &Client,
        copy: Option<(Pin<&mut CopyInSink<Bytes>>, &Part<'_>)>,
    ) -> Result<(), WriteError> {
        let (sink, part) = copy.unzip();
        let end_copy = async {
            match sink {
                Some(sink) => sink.finish().await.map(drop),
                None => Ok(()),
            }
        };
        match &self.moves {
            Moves::Called(call) => {
                let (copied, decided, moved, committed) =
                    join4(end_copy, self.decide(client), self.call(client, call), client.batch_execute("COMMIT")).await;
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
                client.batch_execute("COMMIT").await.map_err(|e| Step::Commit.failed(part, &e))
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
        let parameters: [&(dyn ToSql + Sync); 9] =
            [&self.pipeline, &a.topics, &a.partitions, &a.epochs, &a.tokens, &a.froms, &a.tos, &a.records, &a.rows];
        client.execute(statement, &parameters).await
    }
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

/// A failure before COMMIT was sent.
fn plain(doing: &str, cause: &Cause) -> WriteError {
    WriteError::Failed(failure::error(doing, cause))
}

/// A failure of COPY: the row's fault where the database says so.
pub fn refuse(part: &Part<'_>, cause: &Cause) -> WriteError {
    let Some(said) = cause.as_db_error() else {
        return plain(&format!("copy rows to table {}", part.target.name), cause);
    };
    let code = said.code().code();
    let context = refusal::copy_context(said, &part.target.table);
    let lines = part.segments.iter().map(|(at, segment)| (*at, segment.lines.len()));
    if sqlstate::kind(code) == Kind::RecordRefused {
        let place = context.as_ref().and_then(|context| refusal::place(context.line, lines));
        return WriteError::Refused(Refusal {
            segment: place.or(part.segments.first().map(|(at, _)| (*at, 0))).unwrap_or_default().0,
            line: place.map(|(_, line)| line),
            column: said.column().or(context.and_then(|context| context.column)).map(str::to_owned),
            sqlstate: code.to_owned(),
            message: failure::words(said),
        });
    }
    // Widths that the server does not expect mean that a column has changed its type since it was bound.
    if code == "08P01" && context.is_some() {
        let message = format!("table {} has changed: {}", part.target.name, failure::sentence(said));
        return WriteError::Failed(Error::new(Kind::TableMismatch, message));
    }
    plain(&format!("copy rows to table {}", part.target.name), cause)
}

/// The decisions of a flush as columns.
#[derive(Default)]
struct Decisions<'a> {
    topics: Vec<&'a str>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    kinds: Vec<&'a str>,
    stages: Vec<i16>,
    details: Vec<String>,
}

impl<'a> Decisions<'a> {
    fn of(flush: &'a Flush) -> Option<Self> {
        let mut all = Decisions::default();
        for segment in &flush.segments {
            for decision in &segment.decisions {
                all.push(&segment.lane, decision);
            }
        }
        (!all.offsets.is_empty()).then_some(all)
    }

    fn push(&mut self, lane: &'a Lane, decision: &Decision) {
        self.topics.push(&lane.topic);
        self.partitions.push(lane.partition);
        self.offsets.push(decision.offset);
        self.kinds.push(decision.kind.name());
        self.stages.push(decision.stage.number());
        // PostgreSQL's texts hold no NUL, and a message may quote one.
        self.details.push(decision.detail.replace('\0', "\u{fffd}"));
    }

    /// After a rewind an offset may be decided again, the same way.
    fn insert_sql(schema: &str) -> String {
        format!(
            "INSERT INTO {}.decision (pipeline, topic, partition, at_offset, kind, stage, detail)
             SELECT $1, * FROM unnest($2::text[], $3::int4[], $4::int8[], $5::text[], $6::int2[], $7::text[])
             ON CONFLICT (pipeline, topic, partition, at_offset, kind, stage)
             DO UPDATE SET detail = excluded.detail, decided_at = excluded.decided_at",
            quote(schema)
        )
    }

    async fn insert(&self, client: &Client, statement: &Statement, pipeline: &str) -> Result<(), Cause> {
        let parameters: [&(dyn ToSql + Sync); 7] =
            [&pipeline, &self.topics, &self.partitions, &self.offsets, &self.kinds, &self.stages, &self.details];
        client.execute(statement, &parameters).await.map(drop)
    }
}

/// Copies some lines of a segment in a statement of its own, inside a transaction that is open.
pub async fn copy_bytes(client: &Client, copy: &Statement, data: &[u8]) -> Result<(), Cause> {
    let mut sink = pin!(client.copy_in::<_, Bytes>(copy).await?);
    sink.feed(Bytes::from_static(&HEADER)).await?;
    for chunk in data.chunks(COPY_CHUNK_BYTES) {
        sink.feed(Bytes::copy_from_slice(chunk)).await?;
    }
    sink.feed(Bytes::from_static(&TRAILER)).await?;
    sink.finish().await.map(drop)
}
