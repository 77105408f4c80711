//! Any bytes as a JSON value: weir and serde_json take the same documents and read the same cells.
//! Run from `host/`: `cargo +nightly fuzz run json`.
#![no_main]

extern crate weir;

#[path = "../oracle.rs"]
mod oracle;

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use oracle::Oracle;

thread_local! {
    /// One reader for all inputs, as a lane has one for all its records.
    static ORACLE: RefCell<Oracle> = RefCell::default();
}

fuzz_target!(|payload: &[u8]| {
    ORACLE.with_borrow_mut(|oracle| oracle.check(payload));
});
