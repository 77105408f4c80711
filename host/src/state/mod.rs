//! The pure rules of positions and of checkpoints: what an unknown outcome means, what a checkpoint consists of, how
//! its chunks look as bytes, and which of its entries count; and the words in which it is decided what may take over.

pub mod chunk;
pub mod entries;
pub mod manifest;
pub mod overlay;
pub mod ruling;
pub mod verdict;

pub use chunk::{Chunk, ChunkId};
pub use entries::{Acceptance, Entries, Extent, Header};
pub use manifest::{Generation, Layer, Manifest, StageState};
pub use overlay::Overlay;
pub use ruling::{Ruling, Says, Standing};
