//! Configuration: from YAML text to checked settings. Pure but for reading the files that references name.
//!
//! The way of a file: [`yaml`] flattens it to entries, [`validate`] checks them against the option table
//! ([`keys`]) and makes a [`Pipeline`] or lists every [`problem::Problem`].

pub mod files;
pub mod keys;
pub mod pipeline;
pub mod problem;
pub mod quantity;
pub mod raw;
pub mod reference;
pub mod secret;
pub mod validate;
pub mod worker;
pub mod yaml;

mod consumer;
mod limits;
mod properties;
mod timescale;
mod transforms;
mod url;

#[cfg(test)]
pub mod testing;

pub use pipeline::Pipeline;
pub use problem::{Entry, Problem};
pub use secret::Secret;
