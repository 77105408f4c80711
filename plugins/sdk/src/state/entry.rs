//! The entries of a table in a checkpoint: their keys, and the bytes of records and pages.
//!
//! | entry | key | value |
//! |---|---|---|
//! | record | name, `0` | flags, stamp (flag 1), start and length of the window (where slots are), the plugin's value |
//! | page | name, number (4 bytes, high first), `1` | the words of its slots, without zeros at the end |
//! | clock | `2` | the clock, or nothing before the first event time |
//!
//! The name is `0` for the record without a key, or `1` and the key. Numbers in values are little endian.

use super::Reader;
use super::arena::Slot;
use super::key::KeyWords;
use super::slab::Slab;

const RECORD: u8 = 0;
const PAGE: u8 = 1;
const CLOCK: u8 = 2;
const NAME_NONE: u8 = 0;
const NAME_KEY: u8 = 1;

/// The key of the clock's entry.
pub(super) const CLOCK_KEY: [u8; 1] = [CLOCK];

/// What an entry's key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKey<'a> {
    Record(Name<'a>),
    Page(Name<'a>, u32),
    Clock,
}

impl<'a> EntryKey<'a> {
    pub(super) fn parse(key: &'a [u8]) -> Option<Self> {
        match key.split_last()? {
            (&CLOCK, []) => Some(Self::Clock),
            (&RECORD, name) => parse_name(name).map(Self::Record),
            (&PAGE, rest) => {
                let (name, number) = rest.split_last_chunk::<4>()?;
                Some(Self::Page(parse_name(name)?, u32::from_be_bytes(*number)))
            }
            _ => None,
        }
    }
}

/// A record's name: no key, or a key.
type Name<'a> = Option<&'a [u8]>;

fn parse_name(name: &[u8]) -> Option<Name<'_>> {
    match name.split_first()? {
        (&NAME_NONE, []) => Some(None),
        (&NAME_KEY, key) => Some(Some(key)),
        _ => None,
    }
}

/// The long keys of a table, by place.
pub(super) type LongKeys = Slab<Box<[u8]>>;

fn write_name(key: KeyWords, long_keys: &LongKeys, out: &mut Vec<u8>) {
    if key.is_none() {
        out.push(NAME_NONE);
        return;
    }
    out.push(NAME_KEY);
    match key.place() {
        None => key.write_short(out),
        Some(place) => {
            out.extend_from_slice(long_keys.get(place).map(|key| &**key).unwrap_or_default());
        }
    }
}

/// The key of a record's entry.
pub(super) fn record_key(key: KeyWords, long_keys: &LongKeys) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    write_name(key, long_keys, &mut out);
    out.push(RECORD);
    out
}

/// The key of a page's entry.
pub(super) fn page_key(key: KeyWords, long_keys: &LongKeys, number: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    write_name(key, long_keys, &mut out);
    out.extend_from_slice(&number.to_be_bytes());
    out.push(PAGE);
    out
}

/// The value of a page's entry.
pub(super) fn page_value<const W: usize>(slots: &[Slot<W>]) -> Vec<u8> {
    let words = slots.as_flattened();
    let used = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
    words.iter().take(used).flat_map(|word| word.to_le_bytes()).collect()
}

/// Fills a page from the value of its entry; `None` where the value does not fit.
pub(super) fn fill_page<const W: usize>(slots: &mut [Slot<W>], value: &[u8]) -> Option<()> {
    let words = slots.as_flattened_mut();
    let (given, rest) = value.as_chunks::<8>();
    if !rest.is_empty() || given.len() > words.len() {
        return None;
    }
    words.fill(0);
    for (word, bytes) in words.iter_mut().zip(given) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(())
}

/// The value of the clock's entry.
pub(super) fn clock_value(now: Option<i64>) -> Vec<u8> {
    now.map(|now| now.to_le_bytes().to_vec()).unwrap_or_default()
}

/// Reads it into `now`; `None` where the value is not that of a clock.
pub(super) fn read_clock(value: &[u8], now: &mut Option<i64>) -> Option<()> {
    *now = None;
    if !value.is_empty() {
        let mut reader = Reader::new(value);
        *now = Some(reader.i64()?);
        reader.is_empty().then_some(())?;
    }
    Some(())
}

/// What a record's value begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Preamble {
    /// When the record was last seen; `None` in a table that does not forget.
    pub(super) stamp: Option<i64>,
    pub(super) start: u32,
    pub(super) len: u32,
}

const FLAG_STAMP: u8 = 1;

impl Preamble {
    pub(super) fn write(&self, has_slots: bool, out: &mut Vec<u8>) {
        out.push(u8::from(self.stamp.is_some()) * FLAG_STAMP);
        if let Some(stamp) = self.stamp {
            out.extend_from_slice(&stamp.to_le_bytes());
        }
        if has_slots {
            out.extend_from_slice(&self.start.to_le_bytes());
            out.extend_from_slice(&self.len.to_le_bytes());
        }
    }

    pub(super) fn read(has_slots: bool, reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.u8()?;
        if flags & !FLAG_STAMP != 0 {
            return None;
        }
        let stamp = if flags & FLAG_STAMP == 0 { None } else { Some(reader.i64()?) };
        let (start, len) = if has_slots { (reader.u32()?, reader.u32()?) } else { (0, 0) };
        Some(Self { stamp, start, len })
    }
}
