//! A table of windows: per key a value and a ring of slots.

use super::arena::Place;
use super::dirt::Dirt;
use super::entry::{LongKeys, Preamble, page_key, page_value, record_key};
use super::expiry::Expiry;
use super::index::{Index, RECORDS_MAX};
use super::key::KeyWords;
use super::outbox::Outbox;
use super::slab::Slab;
use super::slots::{Page, Ring, Slots};
use super::table::Checkpoint;
use super::{Stored, Window};
use std::fmt;

/// Per key a value `V` and a ring of slots of `W` words, for any number of keys.
///
/// The table tracks by itself what has changed: a checkpoint writes the records and the pages of 32 slots
/// that were touched since the last one. It may forget keys by event time
/// ([`forget_after`](Self::forget_after)) and bounds their number ([`keys_max`](Self::keys_max)).
///
/// A record takes its value, 40 bytes, 4 to 11 bytes of hash table and about 2 bytes of dirt, with
/// forgetting 16 more; slots take their words. Keys of up to 16 bytes are part of that.
#[derive(Debug)]
pub struct Windows<V, const W: usize> {
    pub(super) index: Index,
    pub(super) records: Slab<Record<V>>,
    pub(super) long_keys: LongKeys,
    /// The dirt of the records.
    pub(super) dirt: Dirt,
    pub(super) slots: Slots<W>,
    pub(super) expiry: Option<Expiry>,
    pub(super) outbox: Outbox,
    pub(super) checkpoint: Checkpoint,
    keys_max: u32,
}

/// One key's part of a table.
#[derive(Debug, Default)]
pub(super) struct Record<V> {
    /// The words of the key. Apart from its length, so that nothing is lost to alignment.
    words: [u64; 2],
    pub(super) ring: Ring,
    pub(super) value: V,
    key_length: u8,
}

impl<V> Record<V> {
    #[inline]
    pub(super) fn key(&self) -> KeyWords {
        let [first, last] = self.words;
        KeyWords { first, last, length: self.key_length }
    }

    /// Whether this is the record of a short key. One branch for all three.
    #[inline(always)]
    fn is_at(&self, key: KeyWords) -> bool {
        let [first, last] = self.words;
        (first ^ key.first) | (last ^ key.last) | u64::from(self.key_length ^ key.length) == 0
    }
}

/// A new key came to a table that holds as many as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// How many keys the table may hold.
    pub keys_max: u32,
}

impl fmt::Display for Full {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the table holds {} keys, which is its limit", self.keys_max)
    }
}

impl std::error::Error for Full {}

impl<V: Stored + Default, const W: usize> Windows<V, W> {
    /// Windows of at most `capacity` slots.
    pub fn of(capacity: u32) -> Self {
        Self::new(Some(capacity))
    }

    /// Windows that grow and shrink with what is put in and taken out.
    pub fn growing() -> Self {
        Self::new(None)
    }

    fn new(capacity: Option<u32>) -> Self {
        Self {
            index: Index::default(),
            records: Slab::new(RECORDS_MAX),
            long_keys: Slab::new(u32::MAX),
            dirt: Dirt::default(),
            slots: Slots::new(capacity),
            expiry: None,
            outbox: Outbox::default(),
            checkpoint: Checkpoint::default(),
            keys_max: RECORDS_MAX,
        }
    }

    /// Bounds the number of keys; by default and at most [`Self::KEYS_MAX`].
    #[must_use]
    pub fn keys_max(self, keys_max: u32) -> Self {
        Self { keys_max: keys_max.min(Self::KEYS_MAX), ..self }
    }

    /// More keys than this no table holds: 2^24 - 1.
    pub const KEYS_MAX: u32 = RECORDS_MAX;

    /// Forgets a key that was not seen for more than `ttl` on the clock that [`advance`](Self::advance)
    /// moves, in its unit. Exact, and decided by the sequence of calls alone.
    #[must_use]
    pub fn forget_after(self, ttl: u64) -> Self {
        Self { expiry: Some(Expiry::new(ttl)), ..self }
    }

    /// Moves the clock of a table that forgets up to `time`; an earlier time does nothing. Tell the time
    /// of each row before its key is looked up.
    #[inline]
    pub fn advance(&mut self, time: i64) {
        if self.expiry.as_ref().is_some_and(|expiry| expiry.now().is_none()) {
            self.touch_all();
        }
        if let Some(expiry) = &mut self.expiry
            && expiry.advance(time)
        {
            self.checkpoint.clock_changed = true;
            if expiry.is_due() {
                self.sweep();
            }
        }
    }

    /// The clock's first time stamps the records that came before it, which changes each of them.
    #[cold]
    #[inline(never)]
    fn touch_all(&mut self) {
        let mut from = 0;
        while let Some(number) = self.records.live().next_from(from) {
            if self.dirt.touch(number) {
                self.put_record_aside(number);
            }
            from = number + 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn sweep(&mut self) {
        while let Some(number) = self.expiry.as_mut().and_then(Expiry::due) {
            self.forget(number);
        }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.records.len() as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The window of `key`, to read and to change; an empty one with a default value where the key is new or
    /// was forgotten. `None` is a key of its own. The key counts as seen, and as changed.
    ///
    /// # Errors
    /// [`Full`] where the key is new and the limit of keys is reached.
    #[inline(always)]
    pub fn window(&mut self, key: Option<&[u8]>) -> Result<Window<'_, V, W>, Full> {
        let words = KeyWords::of(key);
        let number = match self.find(words, key) {
            Some(number) if !self.is_expired(number) => {
                if self.dirt.touch(number) {
                    self.put_record_aside(number);
                }
                if let Some(expiry) = &mut self.expiry {
                    expiry.touch(number);
                }
                number
            }
            found => self.renew(found, words, key)?,
        };
        let full = Full { keys_max: self.keys_max };
        let record = self.records.get_mut(number).ok_or(full)?;
        Ok(Window { record, slots: &mut self.slots, outbox: &mut self.outbox, long_keys: &self.long_keys })
    }

    /// The value of `key`, to read; neither seen nor changed by that.
    pub fn get(&self, key: Option<&[u8]>) -> Option<&V> {
        let number = self.find(KeyWords::of(key), key).filter(|number| !self.is_expired(*number))?;
        self.records.get(number).map(|record| &record.value)
    }

    /// Forgets `key`; returns whether it was there.
    pub fn remove(&mut self, key: Option<&[u8]>) -> bool {
        let found = self.find(KeyWords::of(key), key);
        let was = found.is_some_and(|number| !self.is_expired(number));
        if let Some(number) = found {
            self.forget(number);
        }
        was
    }

    /// All keys with their values, in the order of the keys' bytes, the record without a key first: an
    /// order that depends on nothing but the keys. Sorts, so it is nothing to do per row.
    pub fn iter_sorted(&self) -> impl Iterator<Item = (Option<Vec<u8>>, &V)> {
        let live = self.records.live().iter().filter(|number| !self.is_expired(*number));
        let mut all: Vec<_> = live
            .filter_map(|number| self.records.get(number))
            .map(|record| (record_key(record.key(), &self.long_keys), &record.value))
            .collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.into_iter().map(|(key, value)| match super::entry::EntryKey::parse(&key) {
            Some(super::entry::EntryKey::Record(name)) => (name.map(<[u8]>::to_vec), value),
            _ => (None, value),
        })
    }

    #[inline(always)]
    fn is_expired(&self, number: u32) -> bool {
        self.expiry.as_ref().is_some_and(|expiry| expiry.is_expired(number))
    }

    #[inline(always)]
    pub(super) fn find(&self, words: KeyWords, key: Option<&[u8]>) -> Option<u32> {
        if words.place().is_some() {
            return self.find_long(words, key);
        }
        let held = |number| self.records.get(number);
        self.index.find(words.hash(), |number| held(number).is_some_and(|record| record.is_at(words)))
    }

    #[cold]
    #[inline(never)]
    fn find_long(&self, words: KeyWords, key: Option<&[u8]>) -> Option<u32> {
        let held = |number| {
            let record = self.records.get(number)?.key();
            (record.first == words.first).then_some(record.place()?)
        };
        let long = |place| self.long_keys.get(place).map(|long| &**long);
        self.index.find(words.hash(), |number| held(number).is_some_and(|place| long(place) == key))
    }

    /// Makes the record of a key that is new (`found` is none) or past its time.
    #[cold]
    #[inline(never)]
    pub(super) fn renew(&mut self, found: Option<u32>, words: KeyWords, key: Option<&[u8]>) -> Result<u32, Full> {
        if let Some(number) = found {
            self.forget(number);
        }
        if self.records.len() >= self.keys_max {
            let early = self.expiry.as_ref().map(Expiry::early).unwrap_or_default();
            for number in early {
                self.forget(number);
            }
        }
        if self.records.len() >= self.keys_max {
            return Err(Full { keys_max: self.keys_max });
        }
        let number = self.create(words, key).ok_or(Full { keys_max: self.keys_max })?;
        let key = self.records.get(number).map(Record::key).unwrap_or_default();
        let known = self.outbox.has_gone() && self.outbox.recall(&record_key(key, &self.long_keys));
        self.dirt.create(number, known);
        if let Some(expiry) = &mut self.expiry {
            expiry.insert(number);
        }
        Ok(number)
    }

    /// Puts a record in, without dirt and stamp.
    pub(super) fn create(&mut self, words: KeyWords, key: Option<&[u8]>) -> Option<u32> {
        let words = match key {
            Some(key) if words.place().is_some() => words.at(self.long_keys.insert(key.into())?),
            _ => words,
        };
        let record = Record { words: [words.first, words.last], key_length: words.length, ..Record::default() };
        let number = self.records.insert(record)?;
        let records = &self.records;
        self.index.insert(words.hash(), number, |number| records.get(number).map_or(0, |record| record.key().hash()));
        Some(number)
    }

    /// Takes a record out like [`forget`](Self::forget) and hands its value over.
    pub(super) fn take(&mut self, number: u32) -> Option<V> {
        if self.dirt.take_pending(number) {
            self.put_record_aside(number);
        }
        let value = self.records.get_mut(number).map(|record| std::mem::take(&mut record.value));
        self.forget(number);
        value
    }

    /// The bytes of a record's key; none for the record without a key.
    pub(super) fn key_bytes(&self, number: u32) -> Vec<u8> {
        let key = self.records.get(number).map(Record::key).unwrap_or_default();
        match key.place() {
            Some(place) => self.long_keys.get(place).map(|key| key.to_vec()).unwrap_or_default(),
            None if key.is_none() => Vec::new(),
            None => {
                let mut bytes = Vec::with_capacity(16);
                key.write_short(&mut bytes);
                bytes
            }
        }
    }

    /// Takes a record out, with its slots, and tells checkpoints.
    pub(super) fn forget(&mut self, number: u32) {
        if self.dirt.take_pending(number) {
            self.put_record_aside(number);
        }
        let Some(record) = self.records.get(number) else {
            return;
        };
        let (key, ring) = (record.key(), record.ring);
        let pages: Vec<Page> = self.slots.pages(&ring).collect();
        for page in &pages {
            leave(&mut self.slots, &mut self.outbox, &self.long_keys, key, *page);
        }
        if self.dirt.remove(number) {
            self.outbox.note_gone(record_key(key, &self.long_keys));
        }
        if let Some(expiry) = &mut self.expiry {
            expiry.remove(number);
        }
        self.take_out(number, &ring);
    }

    /// Takes a record out with its blocks; dirt, live pages and stamp are the caller's.
    pub(super) fn take_out(&mut self, number: u32, ring: &Ring) {
        let blocks: Vec<u32> = self.slots.blocks(ring).map(|(_, block)| block).collect();
        for block in blocks {
            self.slots.arena.release(block);
        }
        self.slots.release(ring);
        let Some(key) = self.records.get(number).map(Record::key) else {
            return;
        };
        let records = &self.records;
        self.index.remove(key.hash(), number, |number| records.get(number).map_or(0, |record| record.key().hash()));
        self.records.remove(number);
        if let Some(place) = key.place() {
            self.long_keys.remove(place);
        }
    }

    /// Writes a record aside for the running checkpoint.
    #[cold]
    #[inline(never)]
    pub(super) fn put_record_aside(&mut self, number: u32) {
        if let Some((key, value)) = self.record_entry(number) {
            self.outbox.put_aside(&key, &value);
        }
    }

    /// Key and value of a record's entry.
    pub(super) fn record_entry(&self, number: u32) -> Option<(Vec<u8>, Vec<u8>)> {
        let record = self.records.get(number)?;
        let stamp = self.expiry.as_ref().map(|expiry| expiry.seen_at(number));
        let mut value = Vec::with_capacity(64);
        Preamble { stamp, start: record.ring.start, len: record.ring.len }.write(Self::HAS_SLOTS, &mut value);
        record.value.encode(&mut value);
        Some((record_key(record.key(), &self.long_keys), value))
    }

    /// Whether records have slots at all.
    pub(super) const HAS_SLOTS: bool = W > 0;
}

/// Lets a page go: writes it aside if the running checkpoint still needs it, and tells later ones.
pub(super) fn leave<const W: usize>(
    slots: &mut Slots<W>,
    outbox: &mut Outbox,
    long_keys: &LongKeys,
    key: KeyWords,
    page: Page,
) {
    let item = page.item(&slots.arena);
    if slots.arena.dirt.take_pending(item) {
        outbox.put_aside(
            &page_key(key, long_keys, page.number),
            &page_value(slots.arena.page_slots(page.block, page.in_block)),
        );
    }
    if slots.arena.live.remove(item) && slots.arena.dirt.remove(item) {
        outbox.note_gone(page_key(key, long_keys, page.number));
    }
}

/// Prepares a page for a change that is its first since a checkpoint began.
#[cold]
#[inline(never)]
pub(super) fn change<const W: usize>(
    slots: &mut Slots<W>,
    outbox: &mut Outbox,
    long_keys: &LongKeys,
    key: KeyWords,
    (position, place): (u32, Place),
    is_pending: bool,
) {
    let page = slots.page_at(position, place);
    if is_pending {
        outbox.put_aside(
            &page_key(key, long_keys, page.number),
            &page_value(slots.arena.page_slots(page.block, page.in_block)),
        );
    }
    let item = page.item(&slots.arena);
    if !slots.arena.live.insert(item) {
        let known = outbox.has_gone() && outbox.recall(&page_key(key, long_keys, page.number));
        slots.arena.dirt.create(item, known);
    }
}
