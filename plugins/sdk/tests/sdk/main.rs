//! What the SDK promises to plugin authors, tried through its public items alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod checkpoints;
mod columns;
mod counter;
mod describe;
mod guest;
mod kit;
mod laws;
mod notional;
mod output;
mod settings;
