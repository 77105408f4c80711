//! How a table of windows goes through checkpoints.

use super::bitset::BitSet;
use super::entry::{CLOCK_KEY, EntryKey, clock_value, page_key, page_value};
use super::key::KeyWords;
use super::{Entries, Extent, Stored, Table, Windows};
use crate::Failure;

/// Where the checkpoints of a table stand.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    /// The running one.
    walk: Option<Walk>,
    /// Whether the clock's entry has changed since the last one began.
    pub(super) clock_changed: bool,
    /// Whether a restore brought an entry for the clock.
    pub(super) clock_kept: bool,
    /// What is between the first `put` and the end of a restore.
    pub(super) restore: Option<Box<super::restore::Restore>>,
}

/// A running checkpoint: which records it looks at, and how far it is.
#[derive(Debug)]
struct Walk {
    records: BitSet,
    next: u32,
    /// The clock's entry as it was at the beginning, until it is handed out.
    clock: Option<Vec<u8>>,
    clock_held: bool,
}

impl<V: Stored + Default, const W: usize> Windows<V, W> {
    /// Whether the clock has an entry: from the first event time on.
    fn has_clock(&self) -> bool {
        self.now().is_some() || self.checkpoint.clock_kept
    }

    fn now(&self) -> Option<i64> {
        self.expiry.as_ref().and_then(super::expiry::Expiry::now)
    }

    /// Appends what the running checkpoint still has of a record; false where the room ended before.
    fn hand_out(&mut self, number: u32, max_bytes: usize, entries: &mut Entries) -> bool {
        if self.dirt.take_pending(number)
            && let Some((key, value)) = self.record_entry(number)
        {
            entries.put(&key, &value);
        }
        let Some(record) = self.records.get(number) else {
            return true;
        };
        let key = record.key();
        let pages: Vec<_> = self.slots.pages(&record.ring).collect();
        for page in pages {
            if entries.bytes() >= max_bytes {
                return false;
            }
            if self.slots.arena.dirt.take_pending(page.item(&self.slots.arena)) {
                let slots = self.slots.arena.page_slots(page.block, page.in_block);
                entries.put(&page_key(key, &self.long_keys, page.number), &page_value(slots));
            }
        }
        true
    }

    /// Whether there is an entry under this key.
    fn has_entry(&self, key: &[u8]) -> bool {
        match EntryKey::parse(key) {
            Some(EntryKey::Record(name)) => self.find(KeyWords::of(name), name).is_some(),
            Some(EntryKey::Page(name, number)) => {
                self.page_item(name, number).is_some_and(|item| self.slots.arena.live.contains(item))
            }
            Some(EntryKey::Clock) => self.has_clock(),
            None => false,
        }
    }

    fn page_item(&self, name: Option<&[u8]>, number: u32) -> Option<u32> {
        let record = self.records.get(self.find(KeyWords::of(name), name)?)?;
        let page = self.slots.pages(&record.ring).find(|page| page.number == number)?;
        Some(page.item(&self.slots.arena))
    }
}

impl<V: Stored + Default, const W: usize> Table for Windows<V, W> {
    fn begin(&mut self, extent: Extent) {
        if self.checkpoint.walk.is_some() {
            self.end(false);
        }
        let is_full = extent == Extent::Full;
        let held = std::mem::take(&mut self.checkpoint.clock_changed);
        let clock = (self.has_clock() && (is_full || held)).then(|| clock_value(self.now()));
        self.dirt.begin(extent, self.records.live());
        self.slots.arena.begin(extent);
        self.outbox.begin(is_full);
        let records = self.dirt.pending().clone();
        self.checkpoint.walk = Some(Walk { records, next: 0, clock, clock_held: held });
    }

    fn next_entries(&mut self, max_bytes: usize, entries: &mut Entries) -> Result<bool, Failure> {
        let max_bytes = entries.bytes().saturating_add(max_bytes.max(1));
        loop {
            if !self.outbox.hand_out(max_bytes, entries) {
                return Ok(true);
            }
            let Some(walk) = &mut self.checkpoint.walk else {
                return Ok(false);
            };
            if let Some(clock) = walk.clock.take() {
                entries.put(&CLOCK_KEY, &clock);
                continue;
            }
            let Some(number) = walk.records.next_from(walk.next) else {
                return Ok(false);
            };
            walk.next = number;
            if !self.hand_out(number, max_bytes, entries) {
                return Ok(true);
            }
            if let Some(walk) = &mut self.checkpoint.walk {
                walk.next = number + 1;
            }
        }
    }

    fn end(&mut self, committed: bool) {
        let Some(walk) = self.checkpoint.walk.take() else {
            return;
        };
        self.checkpoint.clock_changed |= walk.clock_held && !committed;
        self.dirt.end(committed, self.records.live());
        self.slots.arena.end(committed);
        let mut outbox = std::mem::take(&mut self.outbox);
        outbox.end(committed, |key| self.has_entry(key));
        self.outbox = outbox;
    }

    fn put(&mut self, entries: &Entries) -> Result<(), Failure> {
        self.restore_entries(entries)
    }

    fn end_restore(&mut self) -> Result<(), Failure> {
        self.finish_restore()
    }

    fn len(&self) -> u64 {
        u64::from(self.records.len()) + self.slots.arena.live.len() + u64::from(self.has_clock())
    }

    fn keys(&self) -> u64 {
        u64::from(self.records.len())
    }

    fn bytes(&self) -> u64 {
        let expiry = self.expiry.as_ref().map_or(0, super::expiry::Expiry::bytes);
        let parts = [
            self.index.bytes(),
            self.records.bytes(),
            self.long_keys.bytes(),
            self.dirt.bytes(),
            self.slots.bytes(),
            self.outbox.bytes(),
            expiry,
        ];
        parts.iter().sum::<usize>() as u64
    }
}
