//! A flush's rows for one table: how they are sent, and what it means when the table does not take them.

use std::pin::{Pin, pin};

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::{Client, CopyInSink, Statement};

use super::connect::Connection;
use super::copy::{HEADER, TRAILER};
use super::{Target, failure, refusal, sqlstate};
use crate::error::{Error, Kind};
use crate::failpoint::Point;
use crate::limits::COPY_CHUNK_BYTES;
use crate::record::{Flush, Segment};
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

/// Sends the rows of a part, between header and trailer.
pub async fn send(
    connection: &Connection,
    mut sink: Pin<&mut CopyInSink<Bytes>>,
    part: &Part<'_>,
) -> Result<(), Cause> {
    sink.feed(Bytes::from_static(&HEADER)).await?;
    for (_, segment) in &part.segments {
        let (half, rest) = segment.data.split_at(segment.data.len() / 2);
        send_bytes(sink.as_mut(), half).await?;
        connection.pass(Point::HalfCopy).await?;
        send_bytes(sink.as_mut(), rest).await?;
    }
    sink.feed(Bytes::from_static(&TRAILER)).await
}

async fn send_bytes(mut sink: Pin<&mut CopyInSink<Bytes>>, data: &[u8]) -> Result<(), Cause> {
    for chunk in data.chunks(COPY_CHUNK_BYTES) {
        sink.feed(Bytes::copy_from_slice(chunk)).await?;
    }
    Ok(())
}

/// Copies some lines of a segment in a statement of its own, inside a transaction that is open.
pub async fn copy_bytes(client: &Client, copy: &Statement, data: &[u8]) -> Result<(), Cause> {
    let mut sink = pin!(client.copy_in::<_, Bytes>(copy).await?);
    sink.feed(Bytes::from_static(&HEADER)).await?;
    send_bytes(sink.as_mut(), data).await?;
    sink.feed(Bytes::from_static(&TRAILER)).await?;
    sink.finish().await.map(drop)
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

/// A failure before COMMIT was sent.
pub fn plain(doing: &str, cause: &Cause) -> WriteError {
    WriteError::Failed(failure::error(doing, cause))
}
