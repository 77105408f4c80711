//! A table in the order of time: values by time and key, taken out from the front.
//!
//! What is stored is a [`Windows`] without slots whose keys begin with the time; the order of times lies
//! beside it and is made anew by a restore. A value that comes and goes between two checkpoints is in none.

use super::key::KeyWords;
use super::{Entries, Extent, Full, Stored, Table, Windows};
use crate::{CODE_STATE, Failure};
use std::collections::BTreeMap;

/// Bytes of the time that a name begins with.
const TIME_BYTES: usize = size_of::<u64>();
/// What follows the time: no key, or a key.
const NO_KEY: u8 = 0;
const KEY: u8 = 1;

/// Per time and key a value `V`: timers, open windows, whatever is due at some time.
///
/// Values are looked up and changed in any order, and taken out in the order of their times, those of one time
/// in the order of their keys' bytes, `None` first. Whether anything is due is one comparison.
///
/// An entry takes its value, 44 bytes and 4 to 11 bytes of hash table; names of more than 16 bytes, which are
/// those of keys longer than 7, take their own bytes and 20 more.
#[derive(Debug)]
pub struct Timeline<V> {
    values: Windows<V, 0>,
    /// The numbers of the records of each time, in no order.
    order: BTreeMap<i64, Vec<u32>>,
    /// The first time in `order`; the last of all where there is none.
    first: i64,
    /// The name that is looked up; kept for its buffer.
    name: Vec<u8>,
}

impl<V: Stored + Default> Default for Timeline<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Stored + Default> Timeline<V> {
    /// More entries than this no table holds: 2^24 - 1.
    pub const ENTRIES_MAX: u32 = Windows::<V, 0>::KEYS_MAX;

    /// An empty table.
    pub fn new() -> Self {
        Self { values: Windows::of(0), order: BTreeMap::new(), first: i64::MAX, name: Vec::new() }
    }

    /// Bounds the number of entries; by default and at most [`Self::ENTRIES_MAX`].
    #[must_use]
    pub fn entries_max(self, entries_max: u32) -> Self {
        Self { values: self.values.keys_max(entries_max), ..self }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The first time that has an entry.
    pub fn first(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.first)
    }

    /// Whether there may be an entry at or before `time`: one comparison.
    #[inline(always)]
    pub fn is_due(&self, time: i64) -> bool {
        self.first <= time
    }

    /// The value at this time and key, to change it; a default one where there was none. `None` is a key of
    /// its own. It counts as changed.
    ///
    /// # Errors
    /// [`Full`] where the entry is new and the limit of entries is reached.
    #[inline]
    pub fn entry(&mut self, time: i64, key: Option<&[u8]>) -> Result<&mut V, Full> {
        write_name(time, key, &mut self.name);
        let words = KeyWords::of(Some(&self.name));
        let number = match self.values.find(words, Some(&self.name)) {
            Some(number) => {
                if self.values.dirt.touch(number) {
                    self.values.put_record_aside(number);
                }
                number
            }
            None => self.create(time, words)?,
        };
        let missing = Full { keys_max: Self::ENTRIES_MAX };
        self.values.records.get_mut(number).map(|record| &mut record.value).ok_or(missing)
    }

    #[cold]
    #[inline(never)]
    fn create(&mut self, time: i64, words: KeyWords) -> Result<u32, Full> {
        let number = self.values.renew(None, words, Some(&self.name))?;
        self.order.entry(time).or_default().push(number);
        self.first = self.first.min(time);
        Ok(number)
    }

    /// The value at this time and key, to read.
    pub fn get(&self, time: i64, key: Option<&[u8]>) -> Option<&V> {
        let mut name = Vec::new();
        write_name(time, key, &mut name);
        self.values.get(Some(&name))
    }

    /// Takes out all entries at or before `time`, in the order of times and then of keys.
    pub fn take_until(&mut self, time: i64, mut take: impl FnMut(i64, Option<&[u8]>, V)) {
        while let Some(first) = self.order.first_entry().filter(|first| *first.key() <= time) {
            let (at, numbers) = first.remove_entry();
            let mut due: Vec<(Vec<u8>, u32)> =
                numbers.into_iter().map(|number| (self.values.key_bytes(number), number)).collect();
            due.sort_unstable();
            for (name, number) in due {
                if let Some(value) = self.values.take(number) {
                    take(at, read_name(&name).and_then(|(_, key)| key), value);
                }
            }
        }
        self.first = self.order.first_key_value().map_or(i64::MAX, |(first, _)| *first);
    }

    /// Finds the order of what a restore has brought.
    fn index(&mut self) -> Result<(), Failure> {
        self.order.clear();
        for number in self.values.records.live().iter() {
            let name = self.values.key_bytes(number);
            let (time, _) = read_name(&name).ok_or_else(|| {
                Failure::new(
                    CODE_STATE,
                    format!(
                        "The checkpoint is broken at entry {:?}: its key has no time; restore an older checkpoint or start empty.",
                        String::from_utf8_lossy(&name)
                    ),
                )
            })?;
            self.order.entry(time).or_default().push(number);
        }
        self.first = self.order.first_key_value().map_or(i64::MAX, |(first, _)| *first);
        Ok(())
    }
}

/// The name of an entry: names sort as (time, key) do.
#[inline]
fn write_name(time: i64, key: Option<&[u8]>, name: &mut Vec<u8>) {
    name.clear();
    name.extend_from_slice(&(time as u64 ^ 1 << 63).to_be_bytes());
    name.push(if key.is_some() { KEY } else { NO_KEY });
    name.extend_from_slice(key.unwrap_or_default());
}

/// Time and key of a name, if it is one.
fn read_name(name: &[u8]) -> Option<(i64, Option<&[u8]>)> {
    let (time, rest) = name.split_first_chunk::<TIME_BYTES>()?;
    let time = (u64::from_be_bytes(*time) ^ 1 << 63) as i64;
    match rest.split_first()? {
        (&NO_KEY, []) => Some((time, None)),
        (&KEY, key) => Some((time, Some(key))),
        _ => None,
    }
}

impl<V: Stored + Default> Table for Timeline<V> {
    fn begin(&mut self, extent: Extent) {
        self.values.begin(extent);
    }

    fn next_entries(&mut self, max_bytes: usize, entries: &mut Entries) -> Result<bool, Failure> {
        self.values.next_entries(max_bytes, entries)
    }

    fn end(&mut self, committed: bool) {
        self.values.end(committed);
    }

    fn put(&mut self, entries: &Entries) -> Result<(), Failure> {
        self.values.put(entries)
    }

    fn end_restore(&mut self) -> Result<(), Failure> {
        self.values.end_restore()?;
        self.index()
    }

    fn len(&self) -> u64 {
        Table::len(&self.values)
    }

    fn bytes(&self) -> u64 {
        let order: usize = self.order.values().map(|numbers| numbers.capacity() * size_of::<u32>() + 40).sum();
        self.values.bytes() + (order + self.name.capacity()) as u64
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
