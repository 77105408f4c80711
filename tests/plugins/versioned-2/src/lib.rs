//! The moving average under a version that a test chooses, with state of layout 2.

#[path = "../../versioned.rs"]
mod versioned;

use versioned::Versioned;

const STATE_VERSION: u32 = 2;

weir_plugin_sdk::export!(Versioned with state);
