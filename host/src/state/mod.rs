//! The pure rules of positions, decisions and checkpoints.
