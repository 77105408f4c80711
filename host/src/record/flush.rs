//! What one transaction carries, and the words in which a task and its sink speak of positions.

use std::sync::Arc;

use uuid::Uuid;

use super::gap::Gap;
use super::lane::Lane;
use super::origin::Origin;
use super::row_error::Stage;
use crate::limits::DECISION_BYTES;

/// What replay could not derive from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecisionKind {
    /// The record was kept from the stage and all after it (it trapped the guest).
    Excluded,
    /// The stage itself rejected the record; on replay it must reject it again.
    Rejected,
    /// The database refused a row of the record, after every stage had taken it.
    Refused,
    /// An operator had the lane written anew from this offset on.
    Rewound,
    /// The lane was silent: the stage's watermark was moved behind the record at this offset.
    Idle {
        /// To where, in µs since the epoch.
        watermark_us: i64,
    },
    /// Another chain speaks from this offset on: what was written before is not to be compared with what it gives.
    Cutover,
}

impl DecisionKind {
    /// Its name in the `decision` table.
    pub fn name(self) -> &'static str {
        match self {
            DecisionKind::Excluded => "excluded",
            DecisionKind::Rejected => "rejected",
            DecisionKind::Refused => "refused",
            DecisionKind::Rewound => "rewound",
            DecisionKind::Idle { .. } => "idle",
            DecisionKind::Cutover => "cutover",
        }
    }

    /// The kind of that name, with the watermark that is stored beside it.
    pub fn parse(name: &str, watermark_us: Option<i64>) -> Option<Self> {
        let idle = watermark_us.map(|watermark_us| Self::Idle { watermark_us });
        let all = [Self::Excluded, Self::Rejected, Self::Refused, Self::Rewound, Self::Cutover];
        all.into_iter().chain(idle).find(|kind| kind.name() == name)
    }

    /// The watermark that is stored beside it.
    pub fn watermark_us(self) -> Option<i64> {
        match self {
            Self::Idle { watermark_us } => Some(watermark_us),
            Self::Excluded | Self::Rejected | Self::Refused | Self::Rewound | Self::Cutover => None,
        }
    }
}

/// A record that became no row, and why, written in the transaction that passes its offset; or what an operator has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The record's offset in the segment's lane.
    pub offset: i64,
    /// What was decided.
    pub kind: DecisionKind,
    /// By or before which stage.
    pub stage: Stage,
    /// The cause, for operators; never compared.
    pub detail: String,
}

/// One lane's part of a flush: everything between two offsets. Kept until the sink has acknowledged it.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The lane.
    pub lane: Lane,
    /// The next offset before this segment: what the position row must say.
    pub from: i64,
    /// The next offset after it; greater than `from`, but for a segment of a silence alone.
    pub to: i64,
    /// The leader epoch of the last record below `to`; None = it does not tell.
    pub leader_epoch: Option<i32>,
    /// The generation that speaks from `from` on, where another one spoke before.
    pub speaks: Option<[u8; 32]>,
    /// Records read between them, those without a row included.
    pub records: u64,
    /// Rows that left the chain, before the database refused any.
    pub rows: u64,
    /// How often a silence has moved the lane's watermarks in it.
    pub idles: i64,
    /// The table they go to, in the encoder's numbering.
    pub table: usize,
    /// The rows, encoded for that table, end to end.
    pub data: Vec<u8>,
    /// The offset of the record of each encoded row; not decreasing.
    pub lines: Vec<i64>,
    /// What became of records without a row.
    pub decisions: Vec<Decision>,
    /// The consumed records, for error reports and dead letters.
    pub origins: Vec<Arc<Origin>>,
}

impl Segment {
    /// An empty segment that starts at this offset.
    pub fn new(lane: Lane, from: i64, table: usize) -> Self {
        Segment {
            lane,
            from,
            to: from,
            leader_epoch: None,
            speaks: None,
            records: 0,
            rows: 0,
            idles: 0,
            table,
            data: Vec::new(),
            lines: Vec::new(),
            decisions: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// What it holds in memory, in bytes: encoded rows, their offsets, decisions, and the payloads.
    pub fn bytes(&self) -> usize {
        let encoded = self.data.capacity() + self.lines.capacity() * size_of::<i64>();
        let decided = self.decisions.len() * DECISION_BYTES;
        encoded + decided + self.origins.iter().map(|o| o.bytes).sum::<usize>()
    }

    /// Rows and decisions, of which a transaction takes so many.
    pub fn entries(&self) -> usize {
        self.lines.len() + self.decisions.len()
    }
}

/// A list of segments, at most one per lane, that go into one transaction in lane order.
#[derive(Debug, Clone, Default)]
pub struct Flush {
    /// The segments, sorted by lane.
    pub segments: Vec<Segment>,
}

impl Flush {
    /// Encoded rows in all segments.
    pub fn rows(&self) -> usize {
        self.segments.iter().map(|s| s.lines.len()).sum()
    }

    /// What it holds in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(Segment::bytes).sum()
    }
}

/// A worker's hold on a lane's position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The lane.
    pub lane: Lane,
    /// Raised by one at each claim.
    pub epoch: i64,
    /// Random; a transaction advances the position only under the token it was claimed with.
    pub token: Uuid,
    /// Where the sink stands: the first offset without rows.
    pub next_offset: i64,
    /// The leader epoch of the last record below `next_offset`, by which a truncated log is told; None = not known.
    pub leader_epoch: Option<i32>,
    /// Where the pipeline began to read this lane: the start of a replay without checkpoints.
    pub start_offset: i64,
    /// Records read since `start_offset`.
    pub records: u64,
    /// Rows that left the chain since `start_offset`.
    pub rows: u64,
    /// How often silences have moved the lane's watermarks: by it a transaction is told that moves no offset.
    pub idles: i64,
    /// Below this offset there are rows from before a rewind: each goes in the transaction that writes it anew.
    pub rewrite_until: Option<i64>,
    /// The decisions since `start_offset`, by offset; only filled for stateful pipelines.
    pub decisions: Vec<Decision>,
    /// The gaps below `next_offset` that an operator has accepted, by offset; only filled for stateful pipelines.
    pub gaps: Vec<Gap>,
}

/// A position row as it is read back when the outcome of a transaction is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionRow {
    /// The claim that wrote it.
    pub epoch: i64,
    /// Its token.
    pub token: Uuid,
    /// Where the sink stands.
    pub next_offset: i64,
    /// How often silences have moved the lane's watermarks.
    pub idles: i64,
    /// Who holds it: the worker's name, for messages.
    pub owner: String,
}
