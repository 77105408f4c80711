//! What leaves a table beside its live items: entries written aside for the running checkpoint, and keys
//! whose entries are gone.

use super::Entries;
use std::collections::{BTreeSet, VecDeque};

/// Entries written aside are kept in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// Entries on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Of the running checkpoint: entries that changed before they were handed out, as they were.
    aside: VecDeque<Entries>,
    /// Keys whose entries went since the last checkpoint began and that a checkpoint may know.
    gone: BTreeSet<Box<[u8]>>,
    /// Of the running checkpoint: such keys, and how many of them were handed out.
    leaving: Vec<Box<[u8]>>,
    told: usize,
}

impl Outbox {
    /// Writes an entry aside.
    pub(super) fn put_aside(&mut self, key: &[u8], value: &[u8]) {
        if self.aside.back().is_none_or(|piece| piece.bytes() >= PIECE_BYTES) {
            self.aside.push_back(Entries::new());
        }
        if let Some(piece) = self.aside.back_mut() {
            piece.put(key, value);
        }
    }

    /// Notes that the entry under `key` is gone.
    pub(super) fn note_gone(&mut self, key: Vec<u8>) {
        self.gone.insert(key.into_boxed_slice());
    }

    /// Whether any key is gone; if not, [`recall`](Self::recall) need not be asked.
    #[inline]
    pub(super) fn has_gone(&self) -> bool {
        !self.gone.is_empty() || !self.leaving.is_empty()
    }

    /// Notes that there is an entry under `key` (again). Returns whether a checkpoint may know of a former one.
    pub(super) fn recall(&mut self, key: &[u8]) -> bool {
        let leaving = self.leaving.binary_search_by(|gone| (**gone).cmp(key)).is_ok();
        self.gone.remove(key) | leaving
    }

    /// Begins a checkpoint. A full one has no use for deletions.
    pub(super) fn begin(&mut self, is_full: bool) {
        self.leaving = std::mem::take(&mut self.gone).into_iter().collect();
        self.told = if is_full { self.leaving.len() } else { 0 };
    }

    /// Appends up to about `max_bytes` of what waits here; true when nothing waits any more.
    pub(super) fn hand_out(&mut self, max_bytes: usize, entries: &mut Entries) -> bool {
        while entries.bytes() < max_bytes {
            if let Some(piece) = self.aside.pop_front() {
                for (key, value) in piece.iter() {
                    entries.put(key, value.unwrap_or_default());
                }
            } else if let Some(key) = self.leaving.get(self.told) {
                entries.delete(key);
                self.told += 1;
            } else {
                return true;
            }
        }
        false
    }

    /// Ends the checkpoint; the keys of an uncommitted one for which there is no entry are gone again.
    pub(super) fn end(&mut self, committed: bool, exists: impl Fn(&[u8]) -> bool) {
        self.aside.clear();
        let leaving = std::mem::take(&mut self.leaving);
        if !committed {
            self.gone.extend(leaving.into_iter().filter(|key| !exists(key)));
        }
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        let aside: usize = self.aside.iter().map(Entries::bytes).sum();
        let keys = self.gone.iter().chain(&self.leaving).map(|key| key.len() + 2 * size_of::<Box<[u8]>>());
        aside + keys.sum::<usize>()
    }
}
