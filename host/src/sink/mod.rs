//! The contract between a task and where its rows go.
//!
//! The position lives where the rows live: a sink that is [`Level::ExactlyOnce`] keeps, beside the rows, one
//! position per lane, and moves it in the same transaction. The task calls one method at a time and never
//! in parallel. No method retries by itself: each is one attempt, and the task's writer decides what follows
//! from its outcome. A future that is dropped half-way leaves the outcome unknown; the writer treats it so.

pub mod console;
pub mod directory;
pub mod timescale;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use crate::error::{Error, Result};
use crate::record::{Batch, Claim, Field, Flush, Lane, PositionRow, RowError, Segment, Topic, Want};
use crate::state::{ChunkId, Generation, Manifest, Ruling, Standing};

/// A boxed future, so that sinks can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a sink promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The position moves in the transaction of the rows.
    ExactlyOnce,
    /// Positions are the consumer group's; rows may repeat after a failure.
    AtLeastOnce,
}

/// Whether a sink can take rows of a topic yet.
pub enum Prepared {
    /// The table exists and fits; this encodes rows for it.
    Ready(Box<dyn Encoder>),
    /// The table must be created and its columns are only known from records: call again with a sample.
    NeedsSample,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Prepared::Ready(_) => "Ready",
            Prepared::NeedsSample => "NeedsSample",
        })
    }
}

/// A lane to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The lane.
    pub lane: Lane,
    /// Where to begin when the sink has no position of the lane; None asks only for an existing one.
    pub start: Option<i64>,
    /// Whether the lane has state: the claim then brings the decisions since its start offset, under which it is
    /// replayed, and its checkpoints.
    pub stateful: bool,
    /// The chain that is to speak. A lane without state, or without a position, speaks by it from the claim on.
    pub generation: Generation,
}

/// The answer to one [`ClaimRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The lane is held.
    Held(Claim, History),
    /// The sink has no position of this lane and was not told where to begin.
    NoPosition(Lane),
}

/// What is known of the state that a claimed lane had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The chain that wrote last; None = none has written what is counted, so that a replay cannot be compared.
    pub generation: Option<Generation>,
    /// The checkpoints at or below the next offset, the newest first. Of a lane without state: none.
    pub checkpoints: Vec<Manifest>,
    /// Whether the lane cannot be read without one of them: what came before its start is in no log.
    pub needs_state: bool,
}

/// Why a flush was not written.
#[derive(Debug)]
pub enum WriteError {
    /// A row is at fault; nothing was written.
    Refused(Refusal),
    /// Nothing was written.
    Failed(Error),
    /// The transaction may or may not have been committed, or an advance met a position that is not as
    /// expected: read the positions to learn which.
    Unknown(Error),
}

/// A row that the database refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The segment of the flush.
    pub segment: usize,
    /// The row within the segment's lines; None where the database did not name one.
    pub line: Option<usize>,
    /// The column, where the database named one.
    pub column: Option<String>,
    /// The five-character SQLSTATE.
    pub sqlstate: String,
    /// The database's sentence.
    pub message: String,
}

/// Encodes rows of one topic for its table. Pure: lives on the task's thread.
pub trait Encoder: Send {
    /// The table's number, as in [`crate::record::Segment::table`].
    fn table(&self) -> usize;
    /// The fields that the table's columns are bound to.
    fn wants(&self) -> &[Want];
    /// Told, when a lane is taken up, how many of its rows an earlier claim has seen.
    fn resume(&mut self, _rows: u64) {}
    /// Appends the batch's rows to `data`, and to `lines` the offset of each row's record. A record one of
    /// whose rows cannot be encoded leaves no row at all and is returned with stage
    /// [`crate::record::Stage::Sink`].
    fn encode(&mut self, batch: &Batch, data: &mut Vec<u8>, lines: &mut Vec<i64>) -> Result<Vec<RowError>>;
}

/// Where rows go.
pub trait Sink: Send {
    /// What it promises.
    fn level(&self) -> Level;

    /// Connects where needed and binds a topic's rows to its table. `outputs` are the fields that the chain
    /// writes; `sample` the fields found in the first records, where [`Prepared::NeedsSample`] asked for them.
    fn prepare<'a>(
        &'a mut self,
        topic: &'a str,
        outputs: &'a [Field],
        sample: Option<&'a [Field]>,
    ) -> BoxFuture<'a, Result<Prepared>>;

    /// Notes topics that the pipeline claims lanes of for the first time, and answers with what was noted then of each,
    /// in the same order. A sink that keeps nothing knows what it is told.
    fn recognise<'a>(&'a mut self, topics: &'a [Topic]) -> BoxFuture<'a, Result<Vec<Topic>>> {
        Box::pin(async move { Ok(topics.to_vec()) })
    }

    /// Claims lanes: raises the epoch, writes a new token, and reads the position. All or none.
    fn claim<'a>(&'a mut self, requests: &'a [ClaimRequest]) -> BoxFuture<'a, Result<Vec<Claimed>>>;

    /// Writes a flush in one transaction: rows, decisions, and the advance of each lane's position under
    /// `claims` (one per segment, same order). One attempt.
    fn write<'a>(&'a mut self, flush: &'a Flush, claims: &'a [Claim]) -> BoxFuture<'a, Result<(), WriteError>>;

    /// Reads positions on a new connection to the writable primary, after any transaction that still holds
    /// them has ended; one answer per lane, None = no row.
    fn positions<'a>(&'a mut self, lanes: &'a [Lane]) -> BoxFuture<'a, Result<Vec<Option<PositionRow>>>>;

    /// Takes all rows of the record at `offset` out of a segment's encoded data and lines. Pure.
    fn withdraw(&self, segment: &mut Segment, offset: i64);

    /// Who keeps checkpoints beside the rows; None where the sink has no positions. `directory`: where their chunks
    /// lie; None = beside the rows as well.
    fn keeper(&self, _directory: Option<&Path>) -> Result<Option<Box<dyn Keeper>>> {
        Ok(None)
    }

    /// Where the workers and operators of the pipeline tell each other about chains that are to take over; None where the
    /// sink keeps nothing.
    fn gazette(&self) -> Result<Option<Box<dyn Gazette>>> {
        Ok(None)
    }

    /// Closes the connection; the next call opens a new one.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// What is decided about chains that are to take over, and where each stands. One call at a time, one attempt each.
pub trait Gazette: Send {
    /// Everything that is decided.
    fn rulings(&mut self) -> BoxFuture<'_, Result<Vec<Ruling>>>;

    /// Decides, in place of what was decided about the same subjects.
    fn rule<'a>(&'a mut self, rulings: &'a [Ruling]) -> BoxFuture<'a, Result<()>>;

    /// Tells where a chain stands, for this worker.
    fn tell<'a>(&'a mut self, standing: &'a Standing) -> BoxFuture<'a, Result<()>>;
}

/// Where checkpoints are kept. As with [`Sink`]: one call at a time, one attempt each.
pub trait Keeper: Send {
    /// Stores a chunk; it is durable afterwards. A chunk that is there already is left as it is.
    fn put<'a>(&'a mut self, lane: &'a Lane, id: ChunkId, bytes: Vec<u8>) -> BoxFuture<'a, Result<()>>;

    /// Reads a chunk. Errors: [`crate::error::Kind::CheckpointUnusable`] where it is not there.
    fn get<'a>(&'a mut self, lane: &'a Lane, id: ChunkId) -> BoxFuture<'a, Result<Vec<u8>>>;

    /// Makes a checkpoint count, where `claim` still holds the lane and has committed everything below the manifest's
    /// offset, and removes what is older than the last few. With `speaks` the lane is recovered by its chain from now on;
    /// without, it is that of a chain which only follows. False: it does not count. To be repeated after an error.
    fn count<'a>(&'a mut self, claim: &'a Claim, manifest: &'a Manifest, speaks: bool) -> BoxFuture<'a, Result<bool>>;

    /// Closes the connection; the next call opens a new one.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}
