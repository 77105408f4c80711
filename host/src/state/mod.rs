//! The pure rules of positions and of checkpoints: what an unknown outcome means, what a checkpoint consists of, how
//! its chunks look as bytes, and which of its entries count.

pub mod chunk;
pub mod entries;
pub mod manifest;
pub mod overlay;
pub mod verdict;

pub use chunk::{Chunk, ChunkId};
pub use entries::{Acceptance, Entries, Extent, Header};
pub use manifest::{Generation, Layer, Manifest, StageState};
pub use overlay::Overlay;
