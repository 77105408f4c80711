//! What `wit-bindgen` makes of `wit/v0`: the pointer work of the canonical ABI, written by no hand.
#![allow(unsafe_code, clippy::all, clippy::pedantic, missing_debug_implementations, reason = "generated code")]

use crate::component::Misbehave;

wit_bindgen::generate!({
    path: "../../wit/v0",
    world: "stateful",
    generate_unused_types: true,
});

export!(Misbehave);
