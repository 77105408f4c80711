//! Records by number, in segments: growing never moves or doubles what is there, and numbers of removed
//! records are used again.

use super::bitset::BitSet;

/// Records of a segment, as a power of two: large enough that its bookkeeping is nothing per record.
const SEGMENT_BITS: u32 = 9;
const SEGMENT: usize = 1 << SEGMENT_BITS;

/// Numbered places in segments of equal size; all segments but the last are full.
#[derive(Debug)]
pub(super) struct Segments<T> {
    segments: Vec<Vec<T>>,
}

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self { segments: Vec::new() }
    }
}

impl<T: Default> Segments<T> {
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.segments.get((number >> SEGMENT_BITS) as usize)?.get(number as usize % SEGMENT)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.segments.get_mut((number >> SEGMENT_BITS) as usize)?.get_mut(number as usize % SEGMENT)
    }

    /// The place with this number, made together with all below it that are not there yet.
    pub(super) fn get_or_make(&mut self, number: u32) -> Option<&mut T> {
        let (segment, place) = ((number >> SEGMENT_BITS) as usize, number as usize % SEGMENT);
        while self.segments.len() <= segment {
            if let Some(last) = self.segments.last_mut() {
                last.resize_with(SEGMENT, T::default);
            }
            self.segments.push(Vec::with_capacity(SEGMENT));
        }
        let segment = self.segments.get_mut(segment)?;
        if segment.len() <= place {
            segment.resize_with(place + 1, T::default);
        }
        segment.get_mut(place)
    }

    /// Bytes of memory, without what the records own elsewhere.
    pub(super) fn bytes(&self) -> usize {
        self.segments.len() * SEGMENT * size_of::<T>() + self.segments.capacity() * size_of::<Vec<T>>()
    }
}

/// Records with numbers.
#[derive(Debug)]
pub(super) struct Slab<T> {
    records: Segments<T>,
    live: BitSet,
    /// Numbers of removed records; the last one is used first.
    free: Vec<u32>,
    /// All numbers from here on were never used.
    next: u32,
    /// No number reaches this.
    end: u32,
}

impl<T: Default> Slab<T> {
    /// An empty slab for at most `capacity` records.
    pub(super) fn new(capacity: u32) -> Self {
        Self { records: Segments::default(), live: BitSet::default(), free: Vec::new(), next: 0, end: capacity }
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.records.get(number)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.records.get_mut(number)
    }

    /// Puts a record in; `None` where all numbers are taken.
    pub(super) fn insert(&mut self, record: T) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.next < self.end => {
                self.next += 1;
                self.next - 1
            }
            None => return None,
        };
        *self.records.get_or_make(number)? = record;
        self.live.insert(number);
        Some(number)
    }

    /// Takes the record out; its number will be used again.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        if !self.live.remove(number) {
            return None;
        }
        self.free.push(number);
        self.records.get_mut(number).map(std::mem::take)
    }

    /// The numbers in use.
    pub(super) fn live(&self) -> &BitSet {
        &self.live
    }

    /// The number of records.
    pub(super) fn len(&self) -> u32 {
        self.next - self.free.len() as u32
    }

    /// Bytes of memory, without what the records own elsewhere.
    pub(super) fn bytes(&self) -> usize {
        self.records.bytes() + self.live.bytes() + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::{SEGMENT, Slab};

    #[test]
    fn numbers_of_removed_records_are_used_again() {
        let mut slab = Slab::new(3);
        assert_eq!([1, 2, 3].map(|value| slab.insert(value)), [Some(0), Some(1), Some(2)]);
        assert_eq!(slab.insert(4), None, "the slab is full");
        assert_eq!((slab.remove(1), slab.remove(1)), (Some(2), None));
        assert_eq!((slab.len(), slab.insert(5)), (2, Some(1)));
        assert_eq!((slab.get(1), slab.get(7)), (Some(&5), None));
    }

    #[test]
    fn segments_fill_one_after_the_other() {
        let mut slab = Slab::new(u32::MAX);
        let count = 3 * SEGMENT as u32 + 5;
        for value in 0..count {
            assert_eq!(slab.insert(value), Some(value));
        }
        assert!((0..count).all(|number| slab.get(number) == Some(&number)));
        assert!(slab.bytes() < 5 * SEGMENT * size_of::<u32>() + 1_000);
    }
}
