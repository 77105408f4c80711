//! The memory of windows: blocks of slots, cut from slabs, and the dirt of their pages.
//!
//! A block is what a window grows by; a page is what a checkpoint writes. A row window of up to
//! [`BLOCK_SLOTS_MAX`] slots is one block of exactly that size; a larger one is a chain of equal blocks,
//! and a window that grows has blocks of one page.

use super::Extent;
use super::bitset::BitSet;
use super::dirt::Dirt;
use std::num::NonZeroU32;

/// Slots of a page.
pub(super) const PAGE_SLOTS: u32 = 32;
/// A window of more slots than this is made of several blocks.
const BLOCK_SLOTS_MAX: u32 = 512;
/// The bytes that one slab has at most, unless a single block has more.
const SLAB_BYTES: u32 = 64 * 1024;

/// One slot of a window: its words.
pub(super) type Slot<const W: usize> = [u64; W];

/// Blocks of slots.
#[derive(Debug)]
pub(super) struct Arena<const W: usize> {
    /// Slots of a block.
    block_slots: NonZeroU32,
    /// Pages of a block.
    block_pages: u32,
    /// Blocks of a slab, as a power of two.
    slab_bits: u32,
    slabs: Vec<Vec<Slot<W>>>,
    free: Vec<u32>,
    next: u32,
    /// The dirt of the pages, by block and page in it.
    pub(super) dirt: Dirt,
    /// Pages that were ever written: those that a full checkpoint holds.
    pub(super) live: BitSet,
}

/// Where a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) offset: u32,
}

impl<const W: usize> Arena<W> {
    /// Blocks for windows of `capacity` slots; `None` = windows that grow.
    pub(super) fn new(capacity: Option<u32>) -> Self {
        let block_slots = match capacity {
            None => PAGE_SLOTS,
            Some(slots) => slots.div_ceil(slots.div_ceil(BLOCK_SLOTS_MAX).max(1)).max(1),
        };
        let block_bytes = block_slots * (W * size_of::<u64>()) as u32;
        Self {
            block_slots: NonZeroU32::new(block_slots).unwrap_or(NonZeroU32::MIN),
            block_pages: block_slots.div_ceil(PAGE_SLOTS),
            slab_bits: (SLAB_BYTES / block_bytes.max(1)).checked_ilog2().unwrap_or(0),
            slabs: Vec::new(),
            free: Vec::new(),
            next: 0,
            dirt: Dirt::default(),
            live: BitSet::default(),
        }
    }

    #[inline]
    pub(super) fn block_slots(&self) -> u32 {
        self.block_slots.get()
    }

    /// The number of the block in its window that holds a position, and the place of the position in it.
    #[inline]
    pub(super) fn split(&self, position: u32) -> (u32, u32) {
        (position / self.block_slots, position % self.block_slots)
    }

    #[inline]
    pub(super) fn block_pages(&self) -> u32 {
        self.block_pages
    }

    /// The page that a place lies on.
    #[inline(always)]
    pub(super) fn page(&self, place: Place) -> u32 {
        place.block.wrapping_mul(self.block_pages).wrapping_add(place.offset / PAGE_SLOTS)
    }

    #[inline(always)]
    fn position(&self, place: Place) -> (usize, usize) {
        let in_slab = place.block & ((1 << self.slab_bits) - 1);
        (
            (place.block >> self.slab_bits) as usize,
            in_slab as usize * self.block_slots() as usize + place.offset as usize,
        )
    }

    #[inline]
    pub(super) fn get(&self, place: Place) -> Option<&Slot<W>> {
        let (slab, slot) = self.position(place);
        self.slabs.get(slab)?.get(slot)
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Slot<W>> {
        let (slab, slot) = self.position(place);
        self.slabs.get_mut(slab)?.get_mut(slot)
    }

    /// The slots of one page of a block.
    pub(super) fn page_slots(&self, block: u32, page: u32) -> &[Slot<W>] {
        let (slab, from) = self.position(Place { block, offset: page * PAGE_SLOTS });
        let count = PAGE_SLOTS.min(self.block_slots().saturating_sub(page * PAGE_SLOTS)) as usize;
        self.slabs.get(slab).and_then(|slots| slots.get(from..from + count)).unwrap_or_default()
    }

    pub(super) fn page_slots_mut(&mut self, block: u32, page: u32) -> &mut [Slot<W>] {
        let (slab, from) = self.position(Place { block, offset: page * PAGE_SLOTS });
        let count = PAGE_SLOTS.min(self.block_slots().saturating_sub(page * PAGE_SLOTS)) as usize;
        self.slabs.get_mut(slab).and_then(|slots| slots.get_mut(from..from + count)).unwrap_or_default()
    }

    /// A block of zeros.
    pub(super) fn allocate(&mut self) -> u32 {
        let slots = self.block_slots() as usize;
        if let Some(block) = self.free.pop() {
            let (slab, from) = self.position(Place { block, offset: 0 });
            if let Some(old) = self.slabs.get_mut(slab).and_then(|all| all.get_mut(from..from + slots)) {
                old.fill([0; W]);
            }
            return block;
        }
        let block = self.next;
        self.next += 1;
        let (slab, from) = self.position(Place { block, offset: 0 });
        if slab >= self.slabs.len() {
            self.slabs.push(Vec::with_capacity(slots << self.slab_bits));
        }
        if let Some(last) = self.slabs.last_mut() {
            last.resize(from + slots, [0; W]);
        }
        block
    }

    /// Gives a block back. Its pages must have left [`live`](Self::live) and [`dirt`](Self::dirt) before.
    pub(super) fn release(&mut self, block: u32) {
        self.free.push(block);
    }

    /// Begins a checkpoint of the pages.
    pub(super) fn begin(&mut self, extent: Extent) {
        self.dirt.begin(extent, &self.live);
    }

    /// Ends it.
    pub(super) fn end(&mut self, committed: bool) {
        self.dirt.end(committed, &self.live);
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let slots: usize = self.slabs.iter().map(Vec::capacity).sum();
        slots * size_of::<Slot<W>>()
            + self.slabs.capacity() * size_of::<Vec<Slot<W>>>()
            + self.free.capacity() * size_of::<u32>()
            + self.dirt.bytes()
            + self.live.bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::{Arena, Place};

    #[test]
    fn blocks_are_exact_up_to_512_slots_and_nearly_so_above() {
        for (capacity, slots, pages) in
            [(1, 1, 1), (50, 50, 2), (512, 512, 16), (600, 300, 10), (1_001, 501, 16), (100_000, 511, 16)]
        {
            let arena = Arena::<1>::new(Some(capacity));
            assert_eq!((arena.block_slots(), arena.block_pages()), (slots, pages), "window of {capacity}");
        }
        let arena = Arena::<2>::new(None);
        assert_eq!((arena.block_slots(), arena.block_pages()), (32, 1));
    }

    #[test]
    fn a_block_used_again_is_zero() {
        let mut arena = Arena::<1>::new(Some(50));
        let blocks: Vec<u32> = (0..300).map(|_| arena.allocate()).collect();
        for block in &blocks {
            *arena.get_mut(Place { block: *block, offset: 49 }).unwrap() = [u64::from(*block) + 1];
        }
        assert!(
            blocks.iter().all(|block| arena.get(Place { block: *block, offset: 49 }) == Some(&[u64::from(*block) + 1]))
        );
        arena.release(7);
        assert_eq!((arena.allocate(), arena.get(Place { block: 7, offset: 49 })), (7, Some(&[0])));
        assert_eq!((arena.page_slots(7, 1).len(), arena.page_slots(7, 2).len()), (18, 0));
    }
}
