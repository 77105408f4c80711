//! Where the slots of a window lie: from positions in its ring to blocks of the arena.

use super::arena::{Arena, PAGE_SLOTS, Place};
use super::slab::Slab;
use std::collections::VecDeque;

/// No block and no chain.
pub(super) const NONE: u32 = u32::MAX;
/// Page numbers of a window that grows wrap with its positions.
const PAGE_NUMBERS: u32 = u32::MAX / PAGE_SLOTS;

/// One window's slots: a run of `len` positions from `start`, oldest first. In a window of fixed capacity
/// positions wrap there; in one that grows they wrap at 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    pub(super) start: u32,
    pub(super) len: u32,
    /// Its only block, or the number of its chain of blocks.
    pub(super) blocks: u32,
}

impl Default for Ring {
    fn default() -> Self {
        Self { start: 0, len: 0, blocks: NONE }
    }
}

/// The slots of all windows of a table.
#[derive(Debug)]
pub(super) struct Slots<const W: usize> {
    pub(super) arena: Arena<W>,
    /// The blocks of windows that have several, from the one with the lowest position on.
    chains: Slab<VecDeque<u32>>,
    /// The slots of a window; `None` = windows that grow.
    pub(super) capacity: Option<u32>,
    /// Whether a window is never more than one block.
    single: bool,
}

impl<const W: usize> Slots<W> {
    pub(super) fn new(capacity: Option<u32>) -> Self {
        let arena = Arena::new(capacity);
        let single = capacity.is_some_and(|slots| slots <= arena.block_slots());
        Self { arena, chains: Slab::new(NONE), capacity, single }
    }

    /// The position of slot `index`, counted from the oldest.
    #[inline(always)]
    pub(super) fn position(&self, ring: &Ring, index: u32) -> u32 {
        let position = ring.start.wrapping_add(index);
        match self.capacity {
            Some(capacity) if position >= capacity => position.wrapping_sub(capacity),
            _ => position,
        }
    }

    /// The number of the block that holds the position, counted from the first of the chain.
    fn link(&self, ring: &Ring, position: u32) -> u32 {
        self.link_of(ring, self.arena.split(position).0)
    }

    /// The place in the chain of the block with this number.
    pub(super) fn link_of(&self, ring: &Ring, block_number: u32) -> u32 {
        match self.capacity {
            Some(_) => block_number,
            None => block_number.wrapping_sub(ring.start / PAGE_SLOTS) & PAGE_NUMBERS,
        }
    }

    /// Whether a window is never more than one block.
    pub(super) fn is_single(&self) -> bool {
        self.single
    }

    /// Whether any page of the block was ever written.
    pub(super) fn is_block_live(&self, block: u32) -> bool {
        let first = Page { number: 0, block, in_block: 0 }.item(&self.arena);
        (0..self.arena.block_pages()).any(|page| self.arena.live.contains(first + page))
    }

    /// Where the position lies, if there is a block.
    #[inline(always)]
    pub(super) fn place(&self, ring: &Ring, position: u32) -> Option<Place> {
        if self.single {
            return (ring.blocks != NONE).then_some(Place { block: ring.blocks, offset: position });
        }
        let link = self.link(ring, position);
        let block = *self.chains.get(ring.blocks)?.get(link as usize)?;
        Some(Place { block, offset: self.arena.split(position).1 })
    }

    /// Where the position lies; makes the block when it is the next one.
    #[inline(always)]
    pub(super) fn place_or_make(&mut self, ring: &mut Ring, position: u32) -> Option<Place> {
        match self.place(ring, position) {
            Some(place) => Some(place),
            None => self.make(ring, position),
        }
    }

    #[cold]
    #[inline(never)]
    fn make(&mut self, ring: &mut Ring, position: u32) -> Option<Place> {
        let block = self.arena.allocate();
        self.append(ring, block)?;
        self.place(ring, position)
    }

    /// Gives a window its next block.
    pub(super) fn append(&mut self, ring: &mut Ring, block: u32) -> Option<()> {
        if self.single {
            ring.blocks = block;
            return Some(());
        }
        if ring.blocks == NONE {
            ring.blocks = self.chains.insert(VecDeque::new())?;
        }
        self.chains.get_mut(ring.blocks)?.push_back(block);
        Some(())
    }

    /// Takes the first block out of the chain of a window that grows.
    pub(super) fn pop_first(&mut self, ring: &Ring) -> Option<u32> {
        self.chains.get_mut(ring.blocks)?.pop_front()
    }

    /// The blocks of a window, each with the number of its first page.
    pub(super) fn blocks(&self, ring: &Ring) -> impl Iterator<Item = (u32, u32)> + '_ {
        let single = self.single.then_some(ring.blocks).filter(|block| *block != NONE);
        let chain = if self.single { None } else { self.chains.get(ring.blocks) };
        let first = if self.capacity.is_some() { 0 } else { ring.start / PAGE_SLOTS };
        let numbers = (0..).map(move |link: u32| first.wrapping_add(link * self.arena.block_pages()) & PAGE_NUMBERS);
        numbers.zip(single.into_iter().chain(chain.into_iter().flatten().copied()))
    }

    /// The pages of a window that were ever written: number, block, and page in the block.
    pub(super) fn pages(&self, ring: &Ring) -> impl Iterator<Item = Page> + '_ {
        self.blocks(ring).flat_map(move |(first, block)| {
            let pages = 0..self.arena.block_pages();
            pages.map(move |in_block| Page { number: first.wrapping_add(in_block), block, in_block })
        })
    }

    /// The page that holds `position`, of which the place is known.
    pub(super) fn page_at(&self, position: u32, place: Place) -> Page {
        let (block_number, _) = self.arena.split(position);
        let in_block = place.offset / PAGE_SLOTS;
        Page {
            number: block_number.wrapping_mul(self.arena.block_pages()).wrapping_add(in_block),
            block: place.block,
            in_block,
        }
    }

    /// Gives back the chain of a window; its blocks must have been released.
    pub(super) fn release(&mut self, ring: &Ring) {
        if !self.single {
            self.chains.remove(ring.blocks);
        }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let chains = self.chains.live().iter().filter_map(|chain| self.chains.get(chain));
        self.arena.bytes()
            + self.chains.bytes()
            + chains.map(|chain| chain.capacity() * size_of::<u32>()).sum::<usize>()
    }
}

/// A page of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The number within the window: what its entry is called.
    pub(super) number: u32,
    pub(super) block: u32,
    pub(super) in_block: u32,
}

impl Page {
    /// Its number among all pages of the arena.
    pub(super) fn item<const W: usize>(&self, arena: &Arena<W>) -> u32 {
        arena.page(Place { block: self.block, offset: self.in_block * PAGE_SLOTS })
    }
}
