//! The pure rules of positions, decisions and checkpoints.

pub mod verdict;
