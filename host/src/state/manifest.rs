//! What a checkpoint consists of. A lane's checkpoint is its whole chain at one offset: the state of every stage, and
//! the layers of chunks that hold it, the oldest a full one, each later one what had changed since.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::entries::Header;

/// Layers that changes may add to a full one before the next checkpoint is full again.
const LAYERS_MAX: usize = 16;

/// One version of a lane's whole chain: the SHA-256 of its canonical description.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub [u8; 32]);

impl Generation {
    /// The generation that these parts describe, in their order.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            // With their lengths, so that no two lists of parts read the same.
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        Generation(digest.finalize().into())
    }

    /// All its 64 hexadecimal digits, by which operators and rulings name it.
    pub fn digits(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The first twelve digits.
impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generation({self})")
    }
}

/// A stage at the offset of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageState {
    /// Its position in the chain.
    pub stage: u16,
    /// Its alias.
    pub alias: String,
    /// Under what its entries were written; None where the stage keeps no entries.
    pub header: Option<Header>,
    /// SHA-256 of its component, as hexadecimal digits; empty for a built-in transform.
    pub digest: String,
    /// The newest event time that it has seen, in µs.
    pub watermark: Option<i64>,
}

/// The chunks that one checkpoint wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The checkpoint.
    pub checkpoint: Uuid,
    /// Its chunks are numbered from 0.
    pub chunks: u32,
    /// Their size.
    pub bytes: u64,
    /// Their entries, deletions included.
    pub entries: u64,
}

/// A checkpoint of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its own id, and that of its newest layer.
    pub id: Uuid,
    /// The offset below which every record is in the state.
    pub at: i64,
    /// The chain that wrote it.
    pub generation: Generation,
    /// Records read up to `at`, since the lane's start.
    pub records: u64,
    /// Rows that left the chain up to `at`.
    pub rows: u64,
    /// Silences that had moved the lane's watermarks: they are at no offset of their own.
    pub idles: i64,
    /// The rest, as it is stored.
    pub content: Content,
}

/// The part of a manifest that is stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The stages in order.
    pub stages: Vec<StageState>,
    /// The layers, the oldest first.
    pub layers: Vec<Layer>,
}

impl Manifest {
    /// Bytes of all its chunks.
    pub fn bytes(&self) -> u64 {
        self.content.layers.iter().map(|layer| layer.bytes).sum()
    }

    /// Whether the next checkpoint has to be a full one: the changes take as much room as what they change, or lie in
    /// too many layers.
    pub fn is_worn(&self) -> bool {
        let full = self.content.layers.first().map_or(0, |layer| layer.bytes);
        self.content.layers.len() > LAYERS_MAX || self.bytes() - full > full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(layers: &[u64]) -> Manifest {
        let layer = |bytes: &u64| Layer { checkpoint: Uuid::from_u128(7), chunks: 1, bytes: *bytes, entries: 1 };
        let content = Content { stages: Vec::new(), layers: layers.iter().map(layer).collect() };
        let generation = Generation([0; 32]);
        Manifest { id: Uuid::from_u128(7), at: 9, generation, records: 9, rows: 9, idles: 0, content }
    }

    #[test]
    fn changes_are_laid_over_until_they_outgrow_what_they_change() {
        assert!(!manifest(&[100]).is_worn());
        assert!(!manifest(&[100, 60, 40]).is_worn());
        assert!(manifest(&[100, 60, 41]).is_worn());
        assert!(!manifest(&[100; 1]).is_worn());
        let mut many = vec![1_000];
        many.extend([1; LAYERS_MAX - 1]);
        assert!(!manifest(&many).is_worn());
        many.push(1);
        assert!(manifest(&many).is_worn());
    }

    #[test]
    fn generations_tell_lists_of_parts_apart() {
        let of = |parts: &[&str]| Generation::of(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
    }
}
