//! The hash table from keys to record numbers: open addressing with linear probing, 4 bytes per slot.
//!
//! A slot holds 8 bits of the hash and 24 bits of the record's number + 1, so that a look-up reads a record
//! only where the key is most probably the right one. Removing shifts back, so there are no tombstones.

/// No record has this number or a higher one: 24 bits, one of which stands for "empty".
pub(super) const RECORDS_MAX: u32 = (1 << 24) - 1;

const TAG_SHIFT: u32 = 24;
const NUMBER: u32 = (1 << TAG_SHIFT) - 1;
const SLOTS_MIN: usize = 16;

/// Record numbers by hash.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// A power of two of them, or none; 0 = empty.
    slots: Vec<u32>,
    len: usize,
}

impl Index {
    /// The record with this hash for which `is_it` holds.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut place = self.home(hash);
        loop {
            let slot = self.slots.get(place).copied().filter(|slot| *slot != 0)?;
            if slot >> TAG_SHIFT == tag(hash) && is_it((slot & NUMBER).wrapping_sub(1)) {
                return Some((slot & NUMBER).wrapping_sub(1));
            }
            place = self.after(place);
        }
    }

    /// Puts in a record that is not there; `hash_of` tells the hashes of those that are.
    pub(super) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow(hash_of);
        }
        self.len += 1;
        self.place(tag(hash) << TAG_SHIFT | (number + 1) & NUMBER, hash);
    }

    fn place(&mut self, entry: u32, hash: u64) {
        let mut place = self.home(hash);
        while self.slots.get(place).is_some_and(|slot| *slot != 0) {
            place = self.after(place);
        }
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = entry;
        }
    }

    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let doubled = (self.slots.len() * 2).max(SLOTS_MIN);
        let former = std::mem::replace(&mut self.slots, vec![0; doubled]);
        for entry in former.into_iter().filter(|entry| *entry != 0) {
            self.place(entry, hash_of((entry & NUMBER).wrapping_sub(1)));
        }
    }

    /// Takes out a record that is there.
    pub(super) fn remove(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        let entry = tag(hash) << TAG_SHIFT | (number + 1) & NUMBER;
        let mut hole = self.home(hash);
        loop {
            match self.slots.get(hole) {
                Some(slot) if *slot == entry => break,
                Some(slot) if *slot != 0 => hole = self.after(hole),
                _ => return,
            }
        }
        self.len -= 1;
        // Whatever would not be found any more once the hole is empty moves into it (Knuth 6.4, algorithm R).
        let mut place = hole;
        loop {
            place = self.after(place);
            let entry = self.slots.get(place).copied().unwrap_or(0);
            if entry == 0 {
                break;
            }
            let home = self.home(hash_of((entry & NUMBER).wrapping_sub(1)));
            if self.distance(home, place) >= self.distance(hole, place) {
                self.set(hole, entry);
                hole = place;
            }
        }
        self.set(hole, 0);
    }

    fn set(&mut self, place: usize, entry: u32) {
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = entry;
        }
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    #[inline(always)]
    fn after(&self, place: usize) -> usize {
        (place + 1) & self.slots.len().wrapping_sub(1)
    }

    /// Steps from one place to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.slots.len().wrapping_sub(1)
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 56) as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

    use super::Index;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// Few distinct hashes make long runs with wrap-around.
        #[test]
        fn what_is_in_is_found_and_nothing_else(steps in prop::collection::vec((any::<bool>(), 0..64_u32), 0..300), spread in 1..40_u64) {
            let hash_of = |number: u32| (u64::from(number) % spread).wrapping_mul(0x0101_0000_0000_0007);
            let (mut index, mut model) = (Index::default(), BTreeSet::new());
            for (comes, number) in steps {
                if comes && model.insert(number) {
                    index.insert(hash_of(number), number, hash_of);
                } else if !comes && model.remove(&number) {
                    index.remove(hash_of(number), number, hash_of);
                }
                for number in 0..64 {
                    prop_assert_eq!(index.find(hash_of(number), |found| found == number).is_some(), model.contains(&number));
                }
            }
        }
    }
}
