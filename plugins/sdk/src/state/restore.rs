//! How a table of windows comes back from the entries of a checkpoint, in any order.

use super::arena::PAGE_SLOTS;
use super::bitset::BitSet;
use super::entry::{EntryKey, Preamble, fill_page, read_clock, record_key};
use super::key::KeyWords;
use super::slots::{NONE, Page};
use super::{Entries, Reader, Stored, Windows};
use crate::{CODE_STATE, Failure};
use std::collections::BTreeMap;

/// A restore that has not ended.
#[derive(Debug, Default)]
pub(super) struct Restore {
    /// Records whose own entry has come.
    whole: BitSet,
    /// Blocks by record and block number; linked once all records are there.
    blocks: BTreeMap<(u32, u32), u32>,
    clock: Option<i64>,
}

impl<V: Stored + Default, const W: usize> Windows<V, W> {
    pub(super) fn restore_entries(&mut self, entries: &Entries) -> Result<(), Failure> {
        let mut restore = self.checkpoint.restore.take().unwrap_or_default();
        for (key, value) in entries.iter() {
            let parsed = EntryKey::parse(key).ok_or_else(|| broken(key, "its key is none of this table"))?;
            self.restore_entry(&mut restore, parsed, value)
                .ok_or_else(|| broken(key, "its value does not fit the layout"))?;
        }
        self.checkpoint.restore = Some(restore);
        Ok(())
    }

    fn restore_entry(&mut self, restore: &mut Restore, key: EntryKey<'_>, value: Option<&[u8]>) -> Option<()> {
        match key {
            EntryKey::Clock => {
                read_clock(value.unwrap_or_default(), &mut restore.clock)?;
                self.checkpoint.clock_kept = value.is_some();
            }
            EntryKey::Record(name) => {
                let number = self.find_or_create(name)?;
                match value {
                    Some(value) => {
                        self.restore_record(number, value)?;
                        restore.whole.insert(number);
                    }
                    None => {
                        restore.whole.remove(number);
                    }
                }
            }
            EntryKey::Page(name, page) => {
                let number = self.find_or_create(name)?;
                self.restore_page(restore, number, page, value)?;
            }
        }
        Some(())
    }

    fn find_or_create(&mut self, name: Option<&[u8]>) -> Option<u32> {
        let words = KeyWords::of(name);
        self.find(words, name).or_else(|| self.create(words, name))
    }

    fn restore_record(&mut self, number: u32, value: &[u8]) -> Option<()> {
        let mut reader = Reader::new(value);
        let preamble = Preamble::read(Self::HAS_SLOTS, &mut reader)?;
        let value = V::decode(&mut reader)?;
        let fits =
            self.slots.capacity.is_none_or(|capacity| preamble.len <= capacity && preamble.start < capacity.max(1));
        if !reader.is_empty() || !fits {
            return None;
        }
        if let Some(expiry) = &mut self.expiry {
            expiry.restore(number, preamble.stamp);
        }
        let record = self.records.get_mut(number)?;
        record.value = value;
        (record.ring.start, record.ring.len) = (preamble.start, preamble.len);
        Some(())
    }

    fn restore_page(&mut self, restore: &mut Restore, number: u32, page: u32, value: Option<&[u8]>) -> Option<()> {
        let block_pages = self.slots.arena.block_pages();
        let (block_number, in_block) = (page / block_pages, page % block_pages);
        let block = if self.slots.is_single() {
            let ring = &mut self.records.get_mut(number)?.ring;
            if ring.blocks == NONE {
                let block = self.slots.arena.allocate();
                self.slots.append(ring, block)?;
            }
            (block_number == 0).then_some(ring.blocks)?
        } else {
            let arena = &mut self.slots.arena;
            *restore.blocks.entry((number, block_number)).or_insert_with(|| arena.allocate())
        };
        let arena = &mut self.slots.arena;
        let slots = arena.page_slots_mut(block, in_block);
        if slots.is_empty() {
            return None;
        }
        fill_page(slots, value.unwrap_or_default())?;
        let item = Page { number: page, block, in_block }.item(arena);
        if value.is_some() {
            arena.live.insert(item);
        } else {
            arena.live.remove(item);
        }
        Some(())
    }

    pub(super) fn finish_restore(&mut self) -> Result<(), Failure> {
        let Some(restore) = self.checkpoint.restore.take() else {
            return Ok(());
        };
        let Restore { whole, blocks, clock } = *restore;
        self.link_blocks(blocks)?;
        let strays: Vec<u32> = self.records.live().iter().filter(|number| !whole.contains(*number)).collect();
        for number in strays {
            let Some(ring) = self.records.get(number).map(|record| record.ring) else {
                continue;
            };
            if self.slots.pages(&ring).any(|page| self.slots.arena.live.contains(page.item(&self.slots.arena))) {
                return Err(self.incomplete(number, "the record that its pages belong to"));
            }
            self.take_out(number, &ring);
        }
        if let Some(number) = self.records.live().iter().find(|number| !self.is_covered(*number)) {
            return Err(self.incomplete(number, "a page of its window"));
        }
        match &mut self.expiry {
            Some(expiry) => expiry.restored(clock, self.records.live().iter()),
            // Without forgetting the clock stands still: the entry stays, and says so.
            None => self.checkpoint.clock_changed = self.checkpoint.clock_kept,
        }
        Ok(())
    }

    /// Makes the chains of windows that have several blocks. Blocks come sorted by record.
    fn link_blocks(&mut self, blocks: BTreeMap<(u32, u32), u32>) -> Result<(), Failure> {
        let mut chain: Vec<(u32, u32)> = Vec::new();
        let mut blocks = blocks.into_iter().peekable();
        while let Some(((number, block_number), block)) = blocks.next() {
            let Some(record) = self.records.get(number) else {
                continue;
            };
            if self.slots.is_block_live(block) {
                chain.push((self.slots.link_of(&record.ring, block_number), block));
            } else {
                self.slots.arena.release(block);
            }
            if blocks.peek().is_some_and(|((next, _), _)| *next == number) {
                continue;
            }
            chain.sort_unstable();
            let is_whole = chain.iter().zip(0..).all(|((link, _), index)| *link == index);
            let Some(record) = self.records.get_mut(number).filter(|_| is_whole) else {
                return Err(self.incomplete(number, "a page between others"));
            };
            for (_, block) in chain.drain(..) {
                self.slots.append(&mut record.ring, block);
            }
        }
        Ok(())
    }

    /// Whether every slot of the record's window lies on a page that has come.
    fn is_covered(&self, number: u32) -> bool {
        let Some(ring) = self.records.get(number).map(|record| record.ring) else {
            return false;
        };
        let (arena, mut index) = (&self.slots.arena, 0);
        while index < ring.len {
            let position = self.slots.position(&ring, index);
            match self.slots.place(&ring, position) {
                Some(place) if arena.live.contains(arena.page(place)) => {
                    let left = (PAGE_SLOTS - place.offset % PAGE_SLOTS).min(arena.block_slots() - place.offset);
                    let to_end = self.slots.capacity.map_or(left, |capacity| capacity - position);
                    index = index.saturating_add(left.min(to_end));
                }
                _ => return false,
            }
        }
        true
    }

    fn incomplete(&self, number: u32, missing: &str) -> Failure {
        let key = self.records.get(number).map(|record| record_key(record.key(), &self.long_keys));
        broken(&key.unwrap_or_default(), &format!("{missing} is missing"))
    }
}

fn broken(key: &[u8], reason: &str) -> Failure {
    let shown = String::from_utf8_lossy(key);
    Failure::new(
        CODE_STATE,
        format!("The checkpoint is broken at entry {shown:?}: {reason}; restore an older checkpoint or start empty."),
    )
}
