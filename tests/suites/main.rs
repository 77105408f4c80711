//! One test binary for all suites. `./tests/run` starts the servers they need and passes where they are; the suites of
//! `long` run only in `./tests/run all` or by their own word.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect must fail at once"
)]
#![allow(clippy::disallowed_methods, reason = "tests live in real time")]

mod absent;
mod crash;
mod errors;
mod examples;
mod faults;
mod laws;
mod misbehave;
mod plugin_metrics;
mod rig;
mod roundtrip;
mod sink_contract;
mod tidy;
