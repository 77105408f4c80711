//! One key's window: its value and its slots, from the oldest to the newest.

use super::arena::Slot;
use super::dirt::Touch;
use super::entry::LongKeys;
use super::outbox::Outbox;
use super::slots::Slots;
use super::windows::{Record, change, leave};
use std::fmt;

/// The value and the slots of one key. Slot 0 is the oldest.
pub struct Window<'a, V, const W: usize> {
    pub(super) record: &'a mut Record<V>,
    pub(super) slots: &'a mut Slots<W>,
    pub(super) outbox: &'a mut Outbox,
    pub(super) long_keys: &'a LongKeys,
}

impl<V: fmt::Debug, const W: usize> fmt::Debug for Window<'_, V, W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Window").field("len", &self.len()).field("value", self.value()).finish_non_exhaustive()
    }
}

impl<'a, V, const W: usize> Window<'a, V, W> {
    /// The number of slots.
    #[inline]
    pub fn len(&self) -> u32 {
        self.record.ring.len
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room for another slot.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.slots.capacity == Some(self.len())
    }

    /// The value beside the slots.
    #[inline(always)]
    pub fn value(&self) -> &V {
        &self.record.value
    }

    /// The value beside the slots, to change it.
    #[inline(always)]
    pub fn value_mut(&mut self) -> &mut V {
        &mut self.record.value
    }

    /// The value alone.
    #[inline]
    pub fn into_value(self) -> &'a mut V {
        &mut self.record.value
    }

    /// Slot `index`, counted from the oldest.
    #[inline]
    pub fn get(&self, index: u32) -> Option<[u64; W]> {
        if index >= self.len() {
            return None;
        }
        let position = self.slots.position(&self.record.ring, index);
        let place = self.slots.place(&self.record.ring, position)?;
        self.slots.arena.get(place).copied()
    }

    /// Appends a slot as the newest. In a full window it takes the place of the oldest, which is returned.
    #[inline(always)]
    pub fn push(&mut self, slot: [u64; W]) -> Option<[u64; W]> {
        if W == 0 || self.slots.capacity == Some(0) {
            return Some(slot);
        }
        if !self.is_full() {
            let position = self.slots.position(&self.record.ring, self.len());
            self.record.ring.len += 1;
            self.write(position, slot);
            return None;
        }
        let position = self.record.ring.start;
        self.record.ring.start = self.slots.position(&self.record.ring, 1);
        self.write(position, slot)
    }

    /// Takes the oldest slot out.
    #[inline]
    pub fn pop_oldest(&mut self) -> Option<[u64; W]> {
        let slot = self.get(0)?;
        let former = self.record.ring;
        self.record.ring.start = self.slots.position(&former, 1);
        self.record.ring.len -= 1;
        if self.slots.capacity.is_none() && self.record.ring.start.is_multiple_of(self.slots.arena.block_slots()) {
            let page = self.slots.pages(&former).next();
            let block = self.slots.pop_first(&former);
            if let Some(page) = page {
                let key = self.record.key();
                leave(self.slots, self.outbox, self.long_keys, key, page);
            }
            if let Some(block) = block {
                self.slots.arena.release(block);
            }
        }
        Some(slot)
    }

    /// Puts a slot in as number `index`, at most [`len`](Self::len); those from there on move up by one, which
    /// costs a step for each. False, and nothing done, in a full window or beyond its end.
    pub fn insert(&mut self, index: u32, slot: [u64; W]) -> bool {
        let len = self.len();
        if self.is_full() || index > len || W == 0 {
            return false;
        }
        let mut moving = slot;
        for index in index..=len {
            if index == len {
                self.push(moving);
            } else {
                let position = self.slots.position(&self.record.ring, index);
                moving = self.write(position, moving).unwrap_or(moving);
            }
        }
        true
    }

    /// Writes the slot at a position; returns what was there.
    #[inline(always)]
    fn write(&mut self, position: u32, slot: Slot<W>) -> Option<Slot<W>> {
        let place = self.slots.place_or_make(&mut self.record.ring, position)?;
        let touch = self.slots.arena.dirt.touch_first(self.slots.arena.page(place));
        if touch != Touch::Again {
            let is_pending = touch == Touch::Pending;
            change(self.slots, self.outbox, self.long_keys, self.record.key(), (position, place), is_pending);
        }
        self.slots.arena.get_mut(place).map(|held| std::mem::replace(held, slot))
    }
}
