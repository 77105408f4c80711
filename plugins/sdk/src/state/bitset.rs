//! Sets of small numbers as bits: what has changed, what is alive, what a checkpoint still has to hand out.

/// A set of numbers, one bit each; grows with the largest.
#[derive(Clone, Debug, Default)]
pub(super) struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    #[inline]
    pub(super) fn contains(&self, number: u32) -> bool {
        self.words.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Adds the number; returns whether it was there already.
    #[inline]
    pub(super) fn insert(&mut self, number: u32) -> bool {
        let (index, bit) = ((number / 64) as usize, 1_u64 << (number % 64));
        if let Some(word) = self.words.get_mut(index) {
            let was = *word & bit != 0;
            *word |= bit;
            return was;
        }
        self.grow(index, bit);
        false
    }

    #[cold]
    fn grow(&mut self, index: usize, bit: u64) {
        self.words.resize(index + 1, 0);
        if let Some(word) = self.words.get_mut(index) {
            *word |= bit;
        }
    }

    /// Takes the number out; returns whether it was there.
    #[inline]
    pub(super) fn remove(&mut self, number: u32) -> bool {
        let bit = 1_u64 << (number % 64);
        self.words.get_mut((number / 64) as usize).is_some_and(|word| {
            let was = *word & bit != 0;
            *word &= !bit;
            was
        })
    }

    /// Takes all numbers out and keeps the buffer.
    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    /// The smallest number that is at least `from`.
    pub(super) fn next_from(&self, from: u32) -> Option<u32> {
        let first = (from / 64) as usize;
        let mut mask = u64::MAX << (from % 64);
        for (index, word) in self.words.iter().enumerate().skip(first) {
            let left = word & mask;
            if left != 0 {
                return Some(index as u32 * 64 + left.trailing_zeros());
            }
            mask = u64::MAX;
        }
        None
    }

    /// The numbers, rising.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut from = Some(0);
        std::iter::from_fn(move || {
            let number = self.next_from(from?)?;
            from = number.checked_add(1);
            Some(number)
        })
    }

    /// How many numbers there are.
    pub(super) fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::BitSet;

    #[test]
    fn numbers_come_back_in_order_and_leave() {
        let mut set = BitSet::default();
        let numbers = [3, 64, 63, 127, 128, 1_000];
        assert!(numbers.iter().all(|number| !set.insert(*number)));
        assert!(set.insert(64));
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 63, 64, 127, 128, 1_000]);
        assert!(set.remove(127) && !set.remove(127) && !set.remove(5_000));
        assert_eq!((set.next_from(65), set.next_from(1_001), set.len()), (Some(128), None, 5));
    }

    #[test]
    fn an_emptied_set_holds_nothing() {
        let mut set = BitSet::default();
        set.insert(200);
        set.clear();
        assert!(!set.contains(200) && set.len() == 0 && set.next_from(0).is_none());
    }
}
