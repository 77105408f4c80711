//! Configuration: from YAML text to checked settings. Pure but for reading the files that references name.

pub mod pipeline;
pub mod secret;

pub use pipeline::Pipeline;
pub use secret::Secret;
