//! The component's side of the interface: every export drives a [`Guest`], every import takes what one
//! gives. Only built for WebAssembly. Lists cross the boundary as whole blocks; nothing here is per row.

pub mod bindings;
mod keeper;
mod lower;

use crate::guest::Guest;
use crate::{Output, Plugin, StateVersions, log as plugin_log};
use bindings::transformer::exports::weir::plugin::transform;
use bindings::transformer::weir::plugin::output::emit;
use bindings::transformer::weir::plugin::types;

/// A component: one plugin and its only instance. Implemented by [`export!`](crate::export).
pub trait Component {
    /// The plugin that it exports.
    type Plugin: Plugin;

    /// The layouts of state, where it exports them.
    fn state_versions() -> Option<StateVersions>;

    /// Runs `call` on the instance.
    fn with<R>(call: impl FnOnce(&mut Guest<Self::Plugin>) -> R) -> R;
}

impl<C: Component> transform::Guest for C {
    fn describe() -> String {
        hook_panics();
        C::Plugin::describe().to_json(C::state_versions())
    }

    fn configure(settings: Vec<(String, String)>) -> Result<transform::Plan, types::Failure> {
        hook_panics();
        C::with(|guest| guest.configure(settings).map(lower::plan)).map_err(lower::failure)
    }

    fn process(batch: transform::Batch) -> Result<Vec<types::RowError>, types::Failure> {
        let rows = batch.rows as usize;
        let columns = lower::columns(&batch.columns).map_err(lower::failure)?;
        C::with(|guest| guest.process(rows, &columns).map(hand_over)).map_err(lower::failure)
    }

    fn advance(watermark: i64) -> Result<(), types::Failure> {
        C::with(|guest| guest.advance(watermark).map(hand_over)).map_err(lower::failure)?;
        Ok(())
    }
}

/// Emits what a call has written and returns the rows that it rejected.
fn hand_over(output: &mut Output) -> Vec<types::RowError> {
    let emitted = output.emitted();
    if emitted.rows > 0 {
        let columns: Vec<_> = emitted.columns.iter().zip(0..).map(lower::column).collect();
        emit(lower::origin(emitted.origin), &columns);
    }
    output.take_rejected().into_iter().map(lower::row_error).collect()
}

/// Sends the text of a panic to the host's log; the trap that follows says only `unreachable`.
fn hook_panics() {
    std::panic::set_hook(Box::new(|panic| plugin_log::error(panic)));
}

/// Where the plugin's log lines go.
pub(crate) mod log {
    use super::bindings::transformer::weir::plugin::log as host;
    use crate::log::Level;

    pub(crate) fn write(level: Level, message: &str) {
        let level = match level {
            Level::Debug => host::Level::Debug,
            Level::Info => host::Level::Info,
            Level::Warn => host::Level::Warn,
            Level::Error => host::Level::Error,
        };
        host::write(level, message);
    }
}

/// Where the plugin's figures go.
pub(crate) mod metric {
    use super::bindings::transformer::weir::plugin::metric as host;
    use crate::metric::Combine;

    pub(crate) fn declare(name: &str, combine: Combine, help: &str) -> u32 {
        let kind = match combine {
            Combine::Add => host::Kind::Counter,
            Combine::Set => host::Kind::Gauge,
        };
        host::declare(name, kind, help)
    }

    pub(crate) fn record(id: u32, amount: f64) {
        host::update(id, amount);
    }
}
