//! Tests of the JSON converter: tables of documents and cells, the syntax suite, numbers and times against
//! oracles, laws.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cells;
mod documents;
mod laws;
mod numbers;
mod oracle;
mod sentences;
mod syntax;
mod times;
