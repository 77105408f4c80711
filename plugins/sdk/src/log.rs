//! A plugin's own log lines: to the host inside a component, to [`taken`] in native tests.

use std::fmt::Display;

/// The usual levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// For the curious operator.
    Info,
    /// Something the operator should look at.
    Warn,
    /// Something the operator must look at.
    Error,
}

/// Writes a line for the plugin's author.
pub fn debug(message: impl Display) {
    write(Level::Debug, message);
}

/// Writes a line for the curious operator.
pub fn info(message: impl Display) {
    write(Level::Info, message);
}

/// Writes a line that the operator should see.
pub fn warn(message: impl Display) {
    write(Level::Warn, message);
}

/// Writes a line that the operator must see.
pub fn error(message: impl Display) {
    write(Level::Error, message);
}

/// Writes one line. The host limits lines and bytes, and mutes them while it replays.
pub fn write(level: Level, message: impl Display) {
    channel::write(level, &message.to_string());
}

#[cfg(not(target_arch = "wasm32"))]
pub use channel::taken;

#[cfg(target_arch = "wasm32")]
use crate::glue::log as channel;

/// Natively, lines wait in the thread for whoever tests the plugin.
#[cfg(not(target_arch = "wasm32"))]
mod channel {
    use super::Level;
    use std::cell::RefCell;

    thread_local! {
        static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn write(level: Level, message: &str) {
        LINES.with_borrow_mut(|lines| lines.push((level, message.to_owned())));
    }

    /// Takes the lines that this thread has written since the last call (native builds only).
    pub fn taken() -> Vec<(Level, String)> {
        LINES.take()
    }
}
