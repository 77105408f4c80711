//! Guests: WebAssembly components that transform rows, held behind walls.
//!
//! A file becomes a [`Source`] (bytes and digest), is inspected and compiled to a [`Plugin`], found through the
//! [`Catalog`], and runs as a [`Guest`]: one store per instance, every call bounded in time, memory and data,
//! everything that comes out of it checked. The only user of wasmtime in weir.

mod cache;
mod catalog;
mod compile;
mod componentize;
mod copies;
mod engine;
mod entries;
#[cfg(test)]
pub(crate) mod fixture;
mod imports;
mod lift;
mod load;
mod log;
mod lower;
mod manifest;
mod name;
mod output;
mod plan;
mod plugin;
mod precompiled;
mod scan;
mod store;
mod v0;
pub mod version;
mod watch;
mod whole;

pub use cache::Compiler;
pub use catalog::Catalog;
pub use compile::{COMPILE_VERB, CompileBounds, compile_stdin};
pub use componentize::componentize;
pub use engine::Engine;
pub(crate) use lift::{concat as concat_columns, empty as empty_column};
pub use load::{Digest, INTERFACE_VERSION, Inspection, Source};
pub(crate) use lower::bytes as lowered_bytes;
pub use manifest::{LimitsAsked, Manifest, Setting, StateVersions};
pub use name::GuestName;
pub use output::{GuestRowError, Processed, RowOrigin};
pub use plan::{EventTime, Plan, WATERMARK};
pub use plugin::Plugin;
pub use scan::{Change, Refused};
pub use store::Limits;
pub use v0::{Guest, Setup};
pub use watch::watch;
