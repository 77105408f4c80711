//! What `wit-bindgen` makes of `wit/v0`: the pointer work of the canonical ABI, written by no hand.
#![allow(
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations,
    reason = "generated code; everything around it in this crate is safe"
)]

/// Bindings of a plugin without state, and the macro that exports it.
pub mod transformer {
    wit_bindgen::generate!({
        path: "../../wit/v0",
        world: "transformer",
        ownership: Borrowing { duplicate_if_necessary: true },
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_transformer",
    });
}

/// What a plugin with state has in addition.
pub mod stateful {
    wit_bindgen::generate!({
        path: "../../wit/v0",
        inline: "package weir:sdk; world keeper { import weir:plugin/state-out@0.1.0; export weir:plugin/state@0.1.0; }",
        world: "weir:sdk/keeper",
        ownership: Borrowing { duplicate_if_necessary: true },
        pub_export_macro: true,
        export_macro_name: "export_state",
        generate_all,
        with: { "weir:plugin/types@0.1.0": super::transformer::weir::plugin::types },
    });
}
