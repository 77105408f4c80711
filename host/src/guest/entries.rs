//! Entries of a guest's keyed state on their way between a guest and a checkpoint.

use arrow_array::BinaryArray;
use arrow_buffer::BooleanBuffer;

use super::lift::{self, Fault};
use super::v0::bindings::weir::plugin::types as wit;

/// A number of changes to one state table of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries {
    /// The plugin's number of the table.
    pub space: u16,
    /// n keys, none null.
    pub keys: BinaryArray,
    /// n values, none null; empty where the entry is deleted.
    pub values: BinaryArray,
    /// n bits: set = the key is gone.
    pub deleted: BooleanBuffer,
}

impl Entries {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.deleted.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.deleted.is_empty()
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.keys.value_data().len() + self.values.value_data().len()
    }

    /// Entries that a guest handed over, checked.
    pub(super) fn lift(entries: wit::EntriesResult) -> Result<Entries, Fault> {
        let wit::EntriesResult { space, keys, values, ops } = entries;
        let named = |what: &'static str| {
            move |fault| match fault {
                Fault::Contract(why) => Fault::Contract(format!("handed over entries whose {what} {why}")),
                limit @ Fault::Limit(_) => limit,
            }
        };
        let keys = lift::binaries(keys, ops.len()).map_err(named("list of keys"))?;
        let values = lift::binaries(values, ops.len()).map_err(named("list of values"))?;
        if let Some(op) = ops.iter().find(|op| **op > 1) {
            return Err(Fault::Contract(format!("handed over an entry with operation {op}, which is neither 0 nor 1")));
        }
        let deleted: BooleanBuffer = ops.iter().map(|op| *op == 1).collect();
        if deleted.set_indices().any(|row| values.value_length(row) != 0) {
            return Err(Fault::Contract("handed over a deleted entry with a value".to_owned()));
        }
        Ok(Entries { space, keys, values, deleted })
    }

    /// The operations as bytes: 0 = set, 1 = deleted.
    pub(super) fn ops(&self) -> Vec<u8> {
        self.deleted.iter().map(u8::from).collect()
    }
}

/// How much a checkpoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every entry.
    Full,
    /// What changed since the last checkpoint that ended as committed.
    Incremental,
}

/// Under what a checkpoint's entries were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// The number of the state's layout.
    pub state_version: u32,
    /// The settings in force, sorted by key, passwords left out.
    pub settings: Vec<(String, String)>,
}

/// A guest's answer to a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// The entries are read as they are.
    Accept,
    /// They are of this older layout and are converted while they are read; their number may change, and the
    /// next checkpoint has to be a full one.
    Migrate(u32),
    /// They cannot be used, and why.
    Reject(String),
}
