//! Keyed state: the seam between a plugin's tables and the checkpoints that the SDK drives.
//!
//! A table tracks by itself what has changed; neither the plugin nor the SDK keeps books about it.

mod arena;
mod bitset;
mod dirt;
mod entry;
mod expiry;
mod index;
mod key;
mod keyed;
mod outbox;
mod restore;
mod slab;
mod slots;
mod stored;
mod table;
mod timeline;
mod window;
mod windows;

#[cfg(test)]
mod tests;

pub use keyed::Keyed;
pub use stored::{Reader, Stored};
pub use timeline::Timeline;
pub use window::Window;
pub use windows::{Full, Windows};

use crate::Failure;

/// How much a checkpoint holds (WIT `extent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every entry.
    Full,
    /// What changed since the last checkpoint that ended with `committed`.
    Incremental,
}

/// Under what the entries of a checkpoint were written (WIT `header`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The plugin's id.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The number of the state's layout.
    pub state_version: u32,
    /// The settings that were in force, as the operator wrote them, sorted by key.
    pub settings: Vec<(String, String)>,
}

impl Header {
    /// The text that the operator had written for `key`; `None` where the default was in force.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// The plugin's answer to a [`Header`] (WIT `acceptance`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The entries are read as they are.
    Accept,
    /// The entries are of this older layout and are converted while they are read.
    Migrate(u32),
    /// They cannot be used; one sentence why, for the operator.
    Reject(String),
}

impl Acceptance {
    /// Accepts `current`, migrates what is in `convertible`, rejects the rest with the reason.
    pub fn by_version(header: &Header, current: u32, convertible: &[u32]) -> Self {
        let found = header.state_version;
        if found == current {
            Self::Accept
        } else if convertible.contains(&found) {
            Self::Migrate(found)
        } else {
            let readable: Vec<String> = std::iter::once(&current).chain(convertible).map(u32::to_string).collect();
            Self::Reject(format!(
                "State version {found} was written by {} {}, but this version reads {}; keep the former plugin or start empty.",
                header.plugin,
                header.version,
                readable.join(" and "),
            ))
        }
    }
}

/// A number of changes to one table: keys and what they now hold (WIT `entries`). Byte strings lie end
/// to end, so an entry costs no allocation of its own, and a cleared value keeps its buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    pub(crate) keys: Arena,
    pub(crate) values: Arena,
    /// 0 = the key has this value, 1 = the key is gone.
    pub(crate) ops: Vec<u8>,
}

impl Entries {
    /// No entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: `key` now has `value`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.keys.push(key);
        self.values.push(value);
        self.ops.push(0);
    }

    /// Adds: `key` is gone.
    pub fn delete(&mut self, key: &[u8]) {
        self.keys.push(key);
        self.values.push(&[]);
        self.ops.push(1);
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.keys.bytes.len() + self.values.bytes.len()
    }

    /// Forgets the entries and keeps the buffers.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
        self.ops.clear();
    }

    /// Key and value of each entry, in order; no value = the key is gone.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let pairs = self.keys.iter().zip(self.values.iter()).zip(&self.ops);
        pairs.map(|((key, value), op)| (key, (*op == 0).then_some(value)))
    }
}

/// Byte strings end to end (WIT `texts`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arena {
    /// All bytes.
    pub(crate) bytes: Vec<u8>,
    /// Where each string begins, and at last where the last one ends.
    pub(crate) offsets: Vec<u32>,
}

impl Default for Arena {
    fn default() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0] }
    }
}

impl Arena {
    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.offsets.push(self.bytes.len() as u32);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.offsets.truncate(1);
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.offsets.iter().skip(1);
        self.offsets
            .iter()
            .zip(ends)
            .map(|(start, end)| self.bytes.get(*start as usize..*end as usize).unwrap_or_default())
    }
}

/// One table of keyed state, driven by the SDK through checkpoints and restores.
///
/// A checkpoint shows the table as it was at [`begin`](Table::begin), although rows are processed
/// between that and [`end`](Table::end). A restore goes into an empty table.
pub trait Table {
    /// Freezes what the checkpoint holds. Quick: copies nothing. A checkpoint that had begun before and
    /// did not end counts as not committed.
    fn begin(&mut self, extent: Extent);

    /// Appends the next entries of the checkpoint, about `max_bytes` of keys and values (at least one
    /// entry, so that an entry above the limit still goes). Returns false when there are no more.
    /// A key occurs at most once in a checkpoint.
    fn next_entries(&mut self, max_bytes: usize, entries: &mut Entries) -> Result<bool, Failure>;

    /// Ends the checkpoint. Not `committed`: what it held counts as changed again.
    fn end(&mut self, committed: bool);

    /// Takes entries of a checkpoint, in any number of calls and any order. What they set does not count
    /// as changed.
    fn put(&mut self, entries: &Entries) -> Result<(), Failure>;

    /// Checks after the last `put` that what came fits together.
    fn end_restore(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// The number of entries that a full checkpoint would hold now.
    fn len(&self) -> u64;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of keys as the author sees them; fewer than entries where a key spans several.
    fn keys(&self) -> u64 {
        self.len()
    }

    /// Bytes of memory held, as far as known.
    fn bytes(&self) -> u64 {
        0
    }
}
