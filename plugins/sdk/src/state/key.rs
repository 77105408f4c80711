//! Keys: compared as two words where they are short, which nearly all are, and hashed with fixed constants.

/// Keys of at most this many bytes live in the record itself.
const SHORT_MAX: usize = 16;
/// The length that stands for "no key".
const NONE: u8 = 0xff;
/// The length that stands for a long key.
const LONG: u8 = 0xfe;

/// What a record keeps of its key. Two short keys are equal when their words are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyWords {
    /// The first bytes of a short key; the hash of a long one.
    pub(super) first: u64,
    /// The last bytes of a short key; the place of a long one among the long keys.
    pub(super) last: u64,
    /// The length of a short key, [`LONG`] or [`NONE`].
    pub(super) length: u8,
}

impl KeyWords {
    /// The words of a key. Those of a long key are only its hash; [`place`](Self::at) has to follow.
    #[inline]
    pub(super) fn of(key: Option<&[u8]>) -> Self {
        let Some(bytes) = key else {
            return Self { first: 0, last: 0, length: NONE };
        };
        let length = bytes.len() as u8;
        // The first and the last bytes overlap in keys of odd sizes; with the length they tell the whole.
        if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            if bytes.len() > SHORT_MAX {
                return Self { first: hash_long(bytes), last: 0, length: LONG };
            }
            return Self { first: u64::from_le_bytes(*first), last: u64::from_le_bytes(*last), length };
        }
        if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            return Self { first: u32::from_le_bytes(*first).into(), last: u32::from_le_bytes(*last).into(), length };
        }
        let first = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self { first, last: 0, length }
    }

    /// The words of a long key that lies at `place`.
    pub(super) fn at(self, place: u32) -> Self {
        Self { last: place.into(), ..self }
    }

    /// The place of a long key.
    #[inline]
    pub(super) fn place(&self) -> Option<u32> {
        (self.length == LONG).then_some(self.last as u32)
    }

    /// The hash, the same in every run: three multiplications that spread each bit over the word (the
    /// finalizer of splitmix64, Steele et al. 2014). Without a wide product, which WebAssembly lacks.
    #[inline]
    pub(super) fn hash(&self) -> u64 {
        let last = if self.length == LONG { 0 } else { self.last };
        let seed = self.first ^ u64::from(self.length) << 56;
        let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ last;
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Appends the bytes of a short key.
    pub(super) fn write_short(&self, out: &mut Vec<u8>) {
        let length = usize::from(self.length);
        let (first, last) = (self.first.to_le_bytes(), self.last.to_le_bytes());
        // Words of 8 or of 4 bytes: the first one whole, then what of the last one lies behind it.
        let word = if length >= 8 { 8 } else { 4 };
        let head = first.get(..length.min(word)).unwrap_or_default();
        let tail = last.get((2 * word).saturating_sub(length)..word).unwrap_or_default();
        out.extend_from_slice(head);
        if length >= 4 {
            out.extend_from_slice(tail);
        }
    }

    /// Whether this is the record without a key.
    pub(super) fn is_none(&self) -> bool {
        self.length == NONE
    }
}

#[cold]
fn hash_long(bytes: &[u8]) -> u64 {
    let mut chunks = bytes.chunks(8);
    let mut hash = bytes.len() as u64;
    for chunk in &mut chunks {
        let word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    hash
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

    use super::KeyWords;
    use std::collections::HashSet;

    #[test]
    fn short_keys_come_back_from_their_words() {
        let text = b"abcdefghijklmnop";
        for length in 0..=text.len() {
            let key = &text[..length];
            let words = KeyWords::of(Some(key));
            let mut bytes = Vec::new();
            words.write_short(&mut bytes);
            assert_eq!(bytes, key);
            assert!(words.place().is_none() && !words.is_none());
        }
    }

    #[test]
    fn different_keys_have_different_words() {
        let keys = [
            &b""[..],
            b"\0",
            b"\0\0",
            b"\0\0\0",
            b"\0\0\0\0",
            b"\0\0\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\0\0",
            b"a",
            b"a\0",
            b"ab",
            b"ba",
        ];
        let mut seen = HashSet::new();
        for key in keys.into_iter().map(Some).chain([None]) {
            let words = KeyWords::of(key);
            assert!(seen.insert((words.first, words.last, words.length)), "{key:?}");
        }
    }

    #[test]
    fn hashes_of_numbered_keys_spread_over_low_and_high_bits() {
        let hashes: Vec<u64> =
            (0..4_096).map(|number| KeyWords::of(Some(format!("S{number:04}").as_bytes())).hash()).collect();
        for shift in [0, 20, 52] {
            let buckets: HashSet<u64> = hashes.iter().map(|hash| hash >> shift & 0xfff).collect();
            // Random hashing hits 1 - 1/e of the buckets: 2 589 of 4 096.
            assert!(buckets.len() > 2_400, "{} buckets at shift {shift}", buckets.len());
        }
    }
}
