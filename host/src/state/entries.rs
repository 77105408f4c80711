//! Entries of a plugin's keyed state on their way between a guest and a checkpoint.

use arrow_array::{Array, BinaryArray, BooleanArray};
use arrow_buffer::BooleanBuffer;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

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

    /// The entries whose bit is set.
    pub fn filter(&self, kept: BooleanBuffer) -> Result<Entries> {
        let kept = BooleanArray::new(kept, None);
        let failed = |e| Error::caused(Kind::Internal, "choose entries of a checkpoint", e);
        let binaries = |column: &BinaryArray| -> Result<BinaryArray> {
            let chosen = arrow_select::filter::filter(column, &kept).map_err(failed)?;
            Ok(BinaryArray::from(chosen.to_data()))
        };
        let deleted = BooleanArray::new(self.deleted.clone(), None);
        let deleted = arrow_select::filter::filter(&deleted, &kept).map_err(failed)?;
        let deleted = BooleanArray::from(deleted.to_data()).values().clone();
        Ok(Entries { space: self.space, keys: binaries(&self.keys)?, values: binaries(&self.values)?, deleted })
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
