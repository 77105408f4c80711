//! The records of a batch as they were consumed. They never change along the chain, and live until the sink
//! has acknowledged them: a dead letter must equal the original to the byte.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::ScalarBuffer;

use super::lane::Lane;

/// A header of a record: name and value.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

/// The bytes of consumed records, held without copying them one by one.
pub trait Payloads: Send + Sync + Debug {
    /// The key of record `row`; None = a null key.
    fn key(&self, row: usize) -> Option<&[u8]>;
    /// The value of record `row`; None = a tombstone.
    fn value(&self, row: usize) -> Option<&[u8]>;
    /// The headers of record `row`, in order; names may repeat.
    fn headers(&self, row: usize) -> Vec<Header<'_>>;
    /// Whether there may be a tombstone among the records; a no spares looking at each.
    fn may_have_tombstones(&self) -> bool {
        true
    }
}

/// A timestamp that a record does not have.
pub const NO_TIMESTAMP: i64 = i64::MIN;

/// A contiguous run of records of one lane, n ≥ 1 rows in offset order (gaps in offsets are legal: compaction
/// and transaction markers leave them).
#[derive(Debug, Clone)]
pub struct Origin {
    /// Where they come from.
    pub lane: Lane,
    /// n offsets, rising.
    pub offsets: ScalarBuffer<i64>,
    /// n timestamps in µs since the epoch, [`NO_TIMESTAMP`] where there is none.
    pub timestamps: ScalarBuffer<i64>,
    /// The offset after the run: where reading goes on. At least the last offset + 1.
    pub next_offset: i64,
    /// The leader epoch under which all its records were written (KIP-320); None = they do not tell.
    pub leader_epoch: Option<i32>,
    /// Payload bytes held by the run, keys and headers included: what it costs in the memory budget.
    pub bytes: usize,
    payloads: Arc<dyn Payloads>,
    first: usize,
}

impl Origin {
    /// A run whose row i is record i of `payloads`. `offsets` and `timestamps` have the same length.
    pub fn new(
        lane: Lane,
        offsets: Vec<i64>,
        timestamps: Vec<i64>,
        next_offset: i64,
        bytes: usize,
        payloads: Arc<dyn Payloads>,
    ) -> Self {
        assert_eq!(offsets.len(), timestamps.len(), "one timestamp per offset");
        let (offsets, timestamps) = (offsets.into(), timestamps.into());
        Origin { lane, offsets, timestamps, next_offset, leader_epoch: None, bytes, payloads, first: 0 }
    }

    /// The same run, written under this leader epoch.
    #[must_use]
    pub fn written_under(self, leader_epoch: Option<i32>) -> Origin {
        Origin { leader_epoch, ..self }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The key of a row.
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        self.payloads.key(self.first + row)
    }

    /// The value of a row.
    pub fn value(&self, row: usize) -> Option<&[u8]> {
        self.payloads.value(self.first + row)
    }

    /// The headers of a row.
    pub fn headers(&self, row: usize) -> Vec<Header<'_>> {
        self.payloads.headers(self.first + row)
    }

    /// Whether a row may be a tombstone; a no spares looking at each.
    pub fn may_have_tombstones(&self) -> bool {
        self.payloads.may_have_tombstones()
    }

    /// The rows of a range as a run of their own, sharing the payloads. Its `next_offset` is the offset of
    /// the first row after it, or that of the whole run. Its bytes are a share by rows.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Origin {
        let next_offset = self.offsets.get(range.end).copied().unwrap_or(self.next_offset);
        Origin {
            lane: self.lane.clone(),
            offsets: self.offsets.slice(range.start, range.len()),
            timestamps: self.timestamps.slice(range.start, range.len()),
            next_offset,
            leader_epoch: self.leader_epoch,
            bytes: (self.bytes * range.len()).div_ceil(self.len().max(1)),
            payloads: Arc::clone(&self.payloads),
            first: self.first + range.start,
        }
    }
}

/// Payloads that own their bytes: what tests, benches and replays of files use instead of a broker's buffers.
#[derive(Debug, Default)]
pub struct OwnedPayloads {
    /// Key, value and headers of each record.
    pub records: Vec<OwnedRecord>,
}

/// One record of [`OwnedPayloads`].
#[derive(Debug, Default, Clone)]
pub struct OwnedRecord {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Payloads for OwnedPayloads {
    fn key(&self, row: usize) -> Option<&[u8]> {
        self.records.get(row)?.key.as_deref()
    }

    fn value(&self, row: usize) -> Option<&[u8]> {
        self.records.get(row)?.value.as_deref()
    }

    fn headers(&self, row: usize) -> Vec<Header<'_>> {
        let headers = self.records.get(row).map(|r| r.headers.as_slice()).unwrap_or_default();
        headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
    }
}
