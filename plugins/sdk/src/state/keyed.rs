//! A table of values: per key a value, and nothing else.

use super::{Entries, Extent, Full, Stored, Table, Windows};
use crate::Failure;

/// Per key a value `V`, for any number of keys. All that [`Windows`] says about changes, forgetting and
/// memory holds here, without slots.
#[derive(Debug)]
pub struct Keyed<V> {
    records: Windows<V, 0>,
}

impl<V: Stored + Default> Default for Keyed<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Stored + Default> Keyed<V> {
    /// More keys than this no table holds: 2^24 - 1.
    pub const KEYS_MAX: u32 = Windows::<V, 0>::KEYS_MAX;

    /// An empty table.
    pub fn new() -> Self {
        Self { records: Windows::of(0) }
    }

    /// Bounds the number of keys; by default and at most [`Self::KEYS_MAX`].
    #[must_use]
    pub fn keys_max(self, keys_max: u32) -> Self {
        Self { records: self.records.keys_max(keys_max) }
    }

    /// Forgets a key that was not seen for more than `ttl` on the clock; see [`Windows::forget_after`].
    #[must_use]
    pub fn forget_after(self, ttl: u64) -> Self {
        Self { records: self.records.forget_after(ttl) }
    }

    /// Moves the clock; see [`Windows::advance`].
    #[inline]
    pub fn advance(&mut self, time: i64) {
        self.records.advance(time);
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The value of `key`, to change it; a default one where the key is new or was forgotten. `None` is a
    /// key of its own. The key counts as seen, and as changed.
    ///
    /// # Errors
    /// [`Full`] where the key is new and the limit of keys is reached.
    #[inline]
    pub fn entry(&mut self, key: Option<&[u8]>) -> Result<&mut V, Full> {
        self.records.window(key).map(super::Window::into_value)
    }

    /// The value of `key`, to read; neither seen nor changed by that.
    pub fn get(&self, key: Option<&[u8]>) -> Option<&V> {
        self.records.get(key)
    }

    /// Forgets `key`; returns whether it was there.
    pub fn remove(&mut self, key: Option<&[u8]>) -> bool {
        self.records.remove(key)
    }

    /// All keys with their values, in the order of the keys' bytes; see [`Windows::iter_sorted`].
    pub fn iter_sorted(&self) -> impl Iterator<Item = (Option<Vec<u8>>, &V)> {
        self.records.iter_sorted()
    }
}

impl<V: Stored + Default> Table for Keyed<V> {
    fn begin(&mut self, extent: Extent) {
        self.records.begin(extent);
    }

    fn next_entries(&mut self, max_bytes: usize, entries: &mut Entries) -> Result<bool, Failure> {
        self.records.next_entries(max_bytes, entries)
    }

    fn end(&mut self, committed: bool) {
        self.records.end(committed);
    }

    fn put(&mut self, entries: &Entries) -> Result<(), Failure> {
        self.records.put(entries)
    }

    fn end_restore(&mut self) -> Result<(), Failure> {
        self.records.end_restore()
    }

    fn len(&self) -> u64 {
        Table::len(&self.records)
    }

    fn keys(&self) -> u64 {
        self.records.keys()
    }

    fn bytes(&self) -> u64 {
        self.records.bytes()
    }
}
