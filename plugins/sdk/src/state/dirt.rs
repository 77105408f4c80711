//! What a table's items (records, pages) owe to checkpoints: which have changed, and which of them the
//! running checkpoint has not handed out yet.
//!
//! A checkpoint copies nothing when it begins: it takes the set of changed items over as its own. An item
//! that is about to change before it was handed out is written aside first (copy on write); that is what
//! [`Dirt::touch`] tells its caller.

use super::Extent;
use super::bitset::BitSet;

/// The checkpoint bookkeeping of numbered items.
#[derive(Debug, Default)]
pub(super) struct Dirt {
    /// Changed since the last checkpoint began.
    changed: BitSet,
    /// Came into being since then, so that no checkpoint knows of it.
    fresh: BitSet,
    /// In the running checkpoint and not handed out yet.
    pending: BitSet,
    /// What the running checkpoint took over from `changed`.
    held: BitSet,
    /// Whether a checkpoint is running.
    frozen: bool,
}

impl Dirt {
    /// Notes that the item is about to change. True: it has to be written aside first.
    #[inline(always)]
    #[must_use]
    pub(super) fn touch(&mut self, item: u32) -> bool {
        self.changed.insert(item);
        self.take_pending(item)
    }

    /// The same, for callers that also want to know whether the item was changed before.
    #[inline(always)]
    pub(super) fn touch_first(&mut self, item: u32) -> Touch {
        let was = self.changed.insert(item);
        match (self.take_pending(item), was) {
            (true, _) => Touch::Pending,
            (false, true) => Touch::Again,
            (false, false) => Touch::First,
        }
    }

    /// Notes a new item; `known`: a checkpoint may hold an entry under its key.
    pub(super) fn create(&mut self, item: u32, known: bool) {
        self.changed.insert(item);
        if !known {
            self.fresh.insert(item);
        }
    }

    /// Notes that the item goes. It must have been written aside before if it was pending.
    /// Returns whether a checkpoint may know of it, so that a deletion has to be told.
    pub(super) fn remove(&mut self, item: u32) -> bool {
        self.changed.remove(item);
        !self.fresh.remove(item)
    }

    /// Whether the running checkpoint still has to hand out the item; from now on it has not.
    #[inline(always)]
    pub(super) fn take_pending(&mut self, item: u32) -> bool {
        self.frozen && self.pending.remove(item)
    }

    /// Begins a checkpoint; `live` are all items there are.
    pub(super) fn begin(&mut self, extent: Extent, live: &BitSet) {
        self.held = std::mem::take(&mut self.changed);
        self.pending = match extent {
            Extent::Full => live.clone(),
            Extent::Incremental => self.held.clone(),
        };
        self.fresh.clear();
        self.frozen = true;
    }

    /// Ends the checkpoint; what an uncommitted one held, as far as it is `live`, counts as changed again.
    pub(super) fn end(&mut self, committed: bool, live: &BitSet) {
        if !committed {
            let held = std::mem::take(&mut self.held);
            held.iter().filter(|item| live.contains(*item)).for_each(|item| {
                self.changed.insert(item);
            });
        }
        self.held = BitSet::default();
        self.pending = BitSet::default();
        self.frozen = false;
    }

    /// What the running checkpoint still has to hand out.
    pub(super) fn pending(&self) -> &BitSet {
        &self.pending
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        [&self.changed, &self.fresh, &self.pending, &self.held].map(BitSet::bytes).iter().sum()
    }
}

/// What a change meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// The item has changed before since the last checkpoint began.
    Again,
    /// It has not.
    First,
    /// The running checkpoint has not handed it out: it has to be written aside first.
    Pending,
}
