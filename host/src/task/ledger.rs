//! What has been processed and what may be committed: the books of a task. Pure.
//!
//! Each lane stands at two offsets: where its claim says the sink is, and how far its records have been
//! processed. Everything between lies in segments: at most one being filled (open) and one in flight.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};
use crate::record::{Claim, Flush, Lane, Segment};

/// The books of one task.
#[derive(Debug, Default)]
pub struct Ledger {
    lanes: BTreeMap<Lane, Standing>,
    open: BTreeMap<Lane, Segment>,
    spare: Vec<(Vec<u8>, Vec<i64>)>,
    spare_bytes_max: usize,
    bytes: usize,
    entries: usize,
}

#[derive(Debug)]
struct Standing {
    claim: Claim,
    processed: i64,
    /// Silences that have moved the lane's watermarks, those that are not committed included.
    idles: i64,
}

impl Ledger {
    /// Empty books that keep at most this many bytes of the buffers of written segments for later ones.
    pub fn new(spare_bytes_max: usize) -> Self {
        Ledger { spare_bytes_max, ..Ledger::default() }
    }

    /// Opens the books of a lane at its claim's next offset.
    pub fn open(&mut self, claim: Claim) {
        let (processed, idles) = (claim.next_offset, claim.idles);
        self.drop_open(&claim.lane.clone());
        self.lanes.insert(claim.lane.clone(), Standing { claim, processed, idles });
    }

    /// Closes the books of a lane; what was not in flight is forgotten (its next owner reads it again).
    pub fn close(&mut self, lane: &Lane) {
        self.lanes.remove(lane);
        self.drop_open(lane);
    }

    fn drop_open(&mut self, lane: &Lane) {
        if let Some(segment) = self.open.remove(lane) {
            self.recycle(segment);
            self.count();
        }
    }

    /// How far a lane has been processed.
    pub fn processed(&self, lane: &Lane) -> Option<i64> {
        self.lanes.get(lane).map(|s| s.processed)
    }

    /// Whether a lane's state is of its next offset and beyond what is committed: a silence has moved its watermarks.
    pub fn is_ahead_in_place(&self, lane: &Lane) -> bool {
        let ahead = |s: &Standing| s.processed == s.claim.next_offset && s.idles > s.claim.idles;
        self.lanes.get(lane).is_some_and(ahead)
    }

    /// How many silences are in a lane's state.
    pub fn idles(&self, lane: &Lane) -> i64 {
        self.lanes.get(lane).map_or(0, |s| s.idles)
    }

    /// The claim under which a lane is held.
    pub fn claim(&self, lane: &Lane) -> Option<&Claim> {
        self.lanes.get(lane).map(|s| &s.claim)
    }

    /// Fills the lane's open segment: `fill` appends what records in `[processed, to)` became. On an error the
    /// segment is as it was before.
    pub fn fill<T, E: From<Error>>(
        &mut self,
        lane: &Lane,
        to: i64,
        table: usize,
        fill: impl FnOnce(&mut Segment) -> Result<T, E>,
    ) -> Result<T, E> {
        let processed = self.processed(lane).ok_or_else(|| not_held(lane))?;
        assert!(to > processed, "a lane only moves on: {lane} from {processed} to {to}");
        self.append(lane, to, table, fill)
    }

    /// Fills the lane's open segment with what a silence has fired: `fill` counts the silence in it. The lane stays where
    /// it is.
    pub fn idle<T, E: From<Error>>(
        &mut self,
        lane: &Lane,
        table: usize,
        fill: impl FnOnce(&mut Segment) -> Result<T, E>,
    ) -> Result<T, E> {
        let processed = self.processed(lane).ok_or_else(|| not_held(lane))?;
        self.append(lane, processed, table, fill)
    }

    fn append<T, E: From<Error>>(
        &mut self,
        lane: &Lane,
        to: i64,
        table: usize,
        fill: impl FnOnce(&mut Segment) -> Result<T, E>,
    ) -> Result<T, E> {
        let standing = self.lanes.get_mut(lane).ok_or_else(|| not_held(lane))?;
        let from = standing.processed;
        let is_new = !self.open.contains_key(lane);
        let spare = &mut self.spare;
        let counted = self.open.get(lane).map_or(0, Segment::bytes);
        let segment = self.open.entry(lane.clone()).or_insert_with(|| {
            let (data, lines) = spare.pop().unwrap_or_default();
            Segment { data, lines, ..Segment::new(lane.clone(), from, table) }
        });
        assert_eq!(segment.to, from, "a segment has no holes: {lane}");
        let before = Mark::of(segment);
        let filled = fill(segment);
        if filled.is_err() {
            before.restore(segment);
            if is_new {
                // A segment that holds nothing and moves nothing is none.
                self.drop_open(lane);
            }
            return filled;
        }
        segment.to = to;
        standing.processed = to;
        standing.idles += segment.idles - before.idles;
        self.bytes += segment.bytes() - counted;
        self.entries += segment.entries() - before.lines - before.decisions;
        filled
    }

    /// Encoded rows and decisions waiting in open segments.
    pub fn open_entries(&self) -> usize {
        self.entries
    }

    /// Memory held by open segments, in bytes.
    pub fn open_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether anything waits: also a segment without rows moves its lane's position.
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether something of a lane waits.
    pub fn is_open(&self, lane: &Lane) -> bool {
        self.open.contains_key(lane)
    }

    /// Takes what is open as one flush, in lane order, with the claim of each segment.
    pub fn take(&mut self) -> (Flush, Vec<Claim>) {
        let segments: Vec<Segment> = std::mem::take(&mut self.open).into_values().collect();
        let claims = segments.iter().filter_map(|s| self.claim(&s.lane).cloned()).collect();
        self.count();
        (Flush { segments }, claims)
    }

    /// Books a segment up to `to`, with so many silences, as committed. `epoch` is that of the claim under which it was
    /// written; a lane that has been claimed anew since is left alone.
    pub fn committed(&mut self, lane: &Lane, epoch: i64, to: i64, idles: i64) {
        if let Some(standing) = self.lanes.get_mut(lane).filter(|s| s.claim.epoch == epoch) {
            let at = standing.claim.next_offset;
            assert!(to > at || (to == at && idles > 0), "a position only grows: {lane} to {to}");
            assert!(to <= standing.processed, "only what was processed is committed: {lane} to {to}");
            standing.claim.next_offset = to;
            standing.claim.idles += idles;
        }
    }

    /// Takes the buffers of a written segment back for later use.
    pub fn recycle(&mut self, segment: Segment) {
        let (mut data, mut lines) = (segment.data, segment.lines);
        data.clear();
        lines.clear();
        let held: usize = self.spare.iter().map(|(data, _)| data.capacity()).sum();
        if self.spare.len() < 2 * self.lanes.len() && held + data.capacity() <= self.spare_bytes_max {
            self.spare.push((data, lines));
        }
    }

    /// Where the sink stands, per lane.
    pub fn positions(&self) -> impl Iterator<Item = (&Lane, i64)> {
        self.lanes.iter().map(|(lane, standing)| (lane, standing.claim.next_offset))
    }

    fn count(&mut self) {
        self.bytes = self.open.values().map(Segment::bytes).sum();
        self.entries = self.open.values().map(Segment::entries).sum();
    }
}

/// How long a segment's parts were, to take back what a failed fill appended.
struct Mark {
    data: usize,
    lines: usize,
    decisions: usize,
    origins: usize,
    records: u64,
    rows: u64,
    idles: i64,
}

impl Mark {
    fn of(segment: &Segment) -> Self {
        Mark {
            data: segment.data.len(),
            lines: segment.lines.len(),
            decisions: segment.decisions.len(),
            origins: segment.origins.len(),
            records: segment.records,
            rows: segment.rows,
            idles: segment.idles,
        }
    }

    fn restore(&self, segment: &mut Segment) {
        segment.data.truncate(self.data);
        segment.lines.truncate(self.lines);
        segment.decisions.truncate(self.decisions);
        segment.origins.truncate(self.origins);
        segment.records = self.records;
        segment.rows = self.rows;
        segment.idles = self.idles;
    }
}

fn not_held(lane: &Lane) -> Error {
    Error::new(Kind::Internal, format!("records of {lane} were processed without a claim"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
    use super::*;
    use crate::limits::DECISION_BYTES;
    use crate::record::{Decision, DecisionKind, Stage};
    use uuid::Uuid;

    fn claim(partition: i32, epoch: i64, next_offset: i64) -> Claim {
        Claim {
            lane: Lane::new("t", partition),
            epoch,
            token: Uuid::nil(),
            next_offset,
            gaps: Vec::new(),
            leader_epoch: None,
            start_offset: 0,
            records: 0,
            rows: 0,
            idles: 0,
            rewrite_until: None,
            decisions: vec![],
        }
    }

    fn fill(ledger: &mut Ledger, partition: i32, to: i64, rows: &[i64]) {
        ledger
            .fill(&Lane::new("t", partition), to, 0, |s| {
                s.lines.extend_from_slice(rows);
                s.data.extend(rows.iter().map(|_| 7u8));
                Ok::<(), Error>(())
            })
            .unwrap();
    }

    #[test]
    fn a_flush_takes_all_lanes_in_order_and_leaves_nothing_open() {
        let mut ledger = Ledger::default();
        ledger.open(claim(1, 1, 10));
        ledger.open(claim(0, 1, 5));
        fill(&mut ledger, 1, 12, &[10, 11]);
        fill(&mut ledger, 0, 6, &[5]);
        fill(&mut ledger, 1, 13, &[12]);
        assert_eq!(ledger.open_entries(), 4);
        let (flush, claims) = ledger.take();
        let ranges: Vec<_> = flush.segments.iter().map(|s| (s.lane.partition, s.from, s.to)).collect();
        assert_eq!(ranges, [(0, 5, 6), (1, 10, 13)]);
        assert_eq!(claims.iter().map(|c| c.next_offset).collect::<Vec<_>>(), [5, 10]);
        assert!(!ledger.has_open());
        assert_eq!((ledger.open_entries(), ledger.open_bytes()), (0, 0));
    }

    #[test]
    fn what_was_decided_takes_room_in_a_flush_as_rows_do() {
        let mut ledger = Ledger::default();
        ledger.open(claim(0, 1, 0));
        fill(&mut ledger, 0, 2, &[0, 1]);
        let (entries, bytes) = (ledger.open_entries(), ledger.open_bytes());
        let (kind, stage) = (DecisionKind::Rejected, Stage::ValueConverter);
        let decided = (2..5).map(|offset| Decision { offset, kind, stage, detail: String::new() });
        let fill = |segment: &mut Segment| {
            segment.decisions.extend(decided);
            Ok::<(), Error>(())
        };
        ledger.fill(&Lane::new("t", 0), 5, 0, fill).unwrap();
        assert_eq!((ledger.open_entries(), ledger.open_bytes()), (entries + 3, bytes + 3 * DECISION_BYTES));
        drop(ledger.take());
        assert_eq!((ledger.open_entries(), ledger.open_bytes()), (0, 0));
    }

    #[test]
    fn a_failed_fill_leaves_the_segment_as_it_was() {
        let mut ledger = Ledger::default();
        ledger.open(claim(0, 1, 0));
        fill(&mut ledger, 0, 2, &[0, 1]);
        let failed: Result<()> = ledger.fill(&Lane::new("t", 0), 4, 0, |s| {
            s.lines.push(2);
            s.data.push(9);
            s.records += 1;
            Err(Error::new(Kind::Internal, "x"))
        });
        assert!(failed.is_err());
        assert_eq!(ledger.processed(&Lane::new("t", 0)), Some(2));
        let (flush, _) = ledger.take();
        assert_eq!(flush.segments[0].lines, [0, 1]);
        assert_eq!(flush.segments[0].data, [7, 7]);
    }

    #[test]
    fn a_commit_under_an_older_claim_moves_nothing() {
        let mut ledger = Ledger::default();
        ledger.open(claim(0, 1, 0));
        fill(&mut ledger, 0, 2, &[0, 1]);
        let _ = ledger.take();
        ledger.open(claim(0, 2, 0));
        ledger.committed(&Lane::new("t", 0), 1, 2, 0);
        assert_eq!(ledger.positions().next().unwrap().1, 0);
    }

    #[test]
    fn a_silence_makes_a_segment_that_moves_nothing_until_records_come() {
        let lane = Lane::new("t", 0);
        let mut ledger = Ledger::default();
        ledger.open(claim(0, 1, 5));
        let failed: Result<()> = ledger.idle(&lane, 0, |_| Err(Error::new(Kind::Internal, "x")));
        assert!(failed.is_err() && !ledger.has_open(), "what has failed leaves no segment");
        let silence = |segment: &mut Segment| {
            segment.idles += 1;
            segment.lines.push(4);
            Ok::<(), Error>(())
        };
        ledger.idle(&lane, 0, silence).unwrap();
        assert!(ledger.is_ahead_in_place(&lane));
        let (flush, claims) = ledger.take();
        let segment = &flush.segments[0];
        assert_eq!((segment.from, segment.to, segment.idles, claims[0].idles), (5, 5, 1, 0));
        ledger.committed(&lane, 1, 5, 1);
        assert!(!ledger.is_ahead_in_place(&lane));
        ledger.idle(&lane, 0, silence).unwrap();
        fill(&mut ledger, 0, 7, &[5, 6]);
        assert!(!ledger.is_ahead_in_place(&lane), "a checkpoint now waits for the records to be committed");
        let (flush, claims) = ledger.take();
        let segment = &flush.segments[0];
        assert_eq!((segment.from, segment.to, segment.idles, claims[0].idles), (5, 7, 1, 1));
        assert_eq!(segment.lines, [4, 5, 6]);
    }

    #[test]
    fn what_is_open_counts_by_its_memory_and_buffers_kept_are_bounded() {
        let (lane, capacity) = (Lane::new("t", 0), 600);
        let mut ledger = Ledger::new(1_000);
        ledger.open(claim(0, 1, 0));
        for to in 1..4 {
            // Kept buffers come back with their capacity; the first one is made here.
            let fill = |segment: &mut Segment| {
                segment.data.reserve_exact(capacity);
                segment.data.push(1);
                Ok::<(), Error>(())
            };
            ledger.fill(&lane, to, 0, fill).unwrap();
            assert_eq!(ledger.open_bytes(), capacity, "room that is reserved is taken");
            let (flush, _) = ledger.take();
            flush.segments.into_iter().for_each(|segment| ledger.recycle(segment));
            let another = Segment { data: Vec::with_capacity(capacity), ..Segment::new(lane.clone(), to, 0) };
            ledger.recycle(another);
            assert_eq!(ledger.spare.iter().map(|(data, _)| data.capacity()).collect::<Vec<_>>(), [capacity]);
        }
    }
}
