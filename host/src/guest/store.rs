//! The walls around one guest: its store, the bounds of every call into it, and what a failed call means.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{ResourceLimiter, Store, Trap, WasmBacktrace};

use super::engine::{self, Engine, STACK_BYTES_MAX};
use super::lift::{Budget, Fault};
use super::log::GuestLog;
use super::manifest::LimitsAsked;
use super::name::GuestName;
use super::output::Output;
use crate::config::pipeline::PluginLimits;
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::metrics::{Meter, Meters};
use crate::state::Entries;

/// The bounds of one guest. README.md has them as a table, with the options that set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest that one call may take.
    pub call_max: Duration,
    /// Linear memory, in bytes; also of the state that is handed out for one checkpoint.
    pub memory_bytes_max: usize,
    /// Elements of a table.
    pub table_elements_max: usize,
    /// Rows that one call may emit.
    pub output_rows_max: usize,
    /// Bytes that one call may hand over.
    pub output_bytes_max: usize,
    /// Rows that may be rejected one after the other.
    pub rejected_rows_max: u64,
    /// Log lines in one second.
    pub log_lines_max: u32,
    /// Bytes of one log line.
    pub log_line_bytes_max: usize,
    /// Metrics.
    pub metrics_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            call_max: limits::GUEST_CALL_MAX,
            memory_bytes_max: limits::GUEST_MEMORY_BYTES_MAX,
            table_elements_max: limits::GUEST_TABLE_ELEMENTS_MAX,
            output_rows_max: limits::GUEST_OUTPUT_ROWS_MAX,
            output_bytes_max: limits::GUEST_OUTPUT_BYTES_MAX,
            rejected_rows_max: limits::GUEST_REJECTED_ROWS_MAX,
            log_lines_max: limits::GUEST_LOG_LINES_PER_SECOND,
            log_line_bytes_max: limits::GUEST_MESSAGE_BYTES_MAX,
            metrics_max: limits::GUEST_METRICS_MAX,
        }
    }
}

impl Limits {
    /// What holds for a plugin: what its pipeline says, else the host's bound, or less where the plugin asks for less.
    pub fn of(written: &PluginLimits, asked: LimitsAsked) -> Limits {
        let host = Limits::default();
        let number = |written: Option<u64>, or: usize| {
            written.map_or(or, |written| usize::try_from(written).unwrap_or(usize::MAX))
        };
        let memory = number(asked.memory_bytes, usize::MAX).min(host.memory_bytes_max);
        let call = asked.call_ms.map_or(Duration::MAX, Duration::from_millis).min(host.call_max);
        Limits {
            call_max: written.call_ms.map_or(call, Duration::from_millis),
            memory_bytes_max: number(written.memory_bytes, memory),
            table_elements_max: number(written.table_elements, host.table_elements_max),
            output_rows_max: number(written.output_rows, host.output_rows_max),
            output_bytes_max: number(written.output_bytes, host.output_bytes_max),
            rejected_rows_max: written.rejected_rows.unwrap_or(host.rejected_rows_max),
            log_lines_max: written
                .log_lines
                .map_or(host.log_lines_max, |lines| u32::try_from(lines).unwrap_or(u32::MAX)),
            log_line_bytes_max: number(written.log_line_bytes, host.log_line_bytes_max),
            metrics_max: number(written.metrics, host.metrics_max),
        }
    }
}

/// A call into a guest, in the words of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Start,
    Describe,
    Configure,
    Process,
    Advance,
    BeginCheckpoint,
    NextEntries,
    EndCheckpoint,
    BeginRestore,
    PutEntries,
    EndRestore,
    Stats,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Start => "start",
            Call::Describe => "describe",
            Call::Configure => "configure",
            Call::Process => "process",
            Call::Advance => "advance",
            Call::BeginCheckpoint => "begin-checkpoint",
            Call::NextEntries => "next-entries",
            Call::EndCheckpoint => "end-checkpoint",
            Call::BeginRestore => "begin-restore",
            Call::PutEntries => "put-entries",
            Call::EndRestore => "end-restore",
            Call::Stats => "stats",
        })
    }
}

/// What the host knows about a guest while it runs.
pub(super) struct HostState {
    /// The running call.
    pub(super) call: Call,
    /// Where emitted rows go; None where none may come.
    pub(super) output: Option<Output>,
    /// Where checkpoint entries go, and what they may still take.
    pub(super) entries: Option<(Vec<Entries>, Budget)>,
    pub(super) log: GuestLog,
    pub(super) meters: Arc<Meters>,
    /// The guest's metrics by id.
    pub(super) declared: Vec<Arc<Meter>>,
    pub(super) muted: bool,
    limiter: Limiter,
}

/// One guest's store.
pub(super) struct Sandbox {
    store: Store<HostState>,
    name: GuestName,
    limits: Limits,
}

impl Sandbox {
    /// An empty store.
    pub(super) fn new(engine: &Engine, name: GuestName, limits: Limits, meters: Arc<Meters>) -> Self {
        let state = HostState {
            call: Call::Start,
            output: None,
            entries: None,
            log: GuestLog::new(name.clone(), engine.ticks(), limits.log_lines_max, limits.log_line_bytes_max),
            meters,
            declared: Vec::new(),
            muted: false,
            limiter: Limiter { limits, memory_bytes: 0, asked_bytes: 0 },
        };
        let mut store = Store::new(engine.wasm(), state);
        store.limiter(|state| &mut state.limiter);
        Sandbox { store, name, limits }
    }

    /// Makes one call under all bounds. After an error the store must be dropped: its instance is locked.
    pub(super) fn call<R>(
        &mut self,
        call: Call,
        make: impl FnOnce(&mut Store<HostState>) -> wasmtime::Result<R>,
    ) -> Result<R> {
        self.store.set_epoch_deadline(engine::ticks_of(self.limits.call_max));
        self.store.set_hostcall_fuel(self.limits.output_bytes_max);
        let state = self.store.data_mut();
        state.call = call;
        state.log.begin_call();
        make(&mut self.store).map_err(|error| self.failed(call, &error))
    }

    pub(super) fn state(&mut self) -> &mut HostState {
        self.store.data_mut()
    }

    /// The bounds of its calls.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn name(&self) -> &GuestName {
        &self.name
    }

    /// Linear memory of the guest, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes
    }

    /// A fault in what the guest has returned or handed over during a call.
    pub(super) fn fault(&self, call: Call, fault: &Fault) -> Error {
        fault_error(&self.name, call, fault)
    }

    fn failed(&mut self, call: Call, error: &wasmtime::Error) -> Error {
        let name = &self.name;
        if let Some(fault) = error.downcast_ref::<Violation>() {
            return fault_error(name, call, &fault.0);
        }
        if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
            let message = format!(
                "{name} did not return from {call} within its time limit of {:?} (plugin.limits.call.ms)",
                self.limits.call_max
            );
            return Error::new(Kind::PluginDeadline, message);
        }
        let sentence = engine::sentence(error);
        if sentence.contains("fuel allocated for hostcalls has been exhausted") {
            let kib = self.limits.output_bytes_max >> 10;
            let message =
                format!("{name} handed over more than {kib} KiB in one call of {call} (plugin.limits.output.bytes)");
            return Error::new(Kind::PluginLimit, message);
        }
        let panic = self.store.data_mut().log.take_last_error();
        if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
            tracing::error!(target: "guest", plugin = %name, alias = name.alias(), %call, %backtrace, "trap");
        }
        let cause = match (error.downcast_ref::<Trap>(), panic) {
            (Some(Trap::StackOverflow), _) => format!("its stack passed the limit of {} KiB", STACK_BYTES_MAX >> 10),
            (Some(Trap::UnreachableCodeReached), Some(panic)) => panic,
            (Some(trap), Some(panic)) => format!("{} ({panic})", trap_text(*trap)),
            (Some(trap), None) => trap_text(*trap),
            (None, _) => sentence,
        };
        Error::new(Kind::PluginTrap, format!("{name} trapped in {call}: {cause}"))
    }
}

impl HostState {
    pub(super) fn limits(&self) -> &Limits {
        &self.limiter.limits
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("name", &self.name).field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn trap_text(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
}

fn fault_error(name: &GuestName, call: Call, fault: &Fault) -> Error {
    match fault {
        Fault::Contract(what) => {
            Error::new(Kind::PluginTrap, format!("{name} broke the interface in {call}: it {what}"))
        }
        Fault::Limit(what) => Error::new(Kind::PluginLimit, format!("{name} passed a limit in {call}: it {what}")),
    }
}

/// A [`Fault`] on its way through the guest, out of a function that the guest called.
#[derive(Debug)]
pub(super) struct Violation(pub(super) Fault);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Contract(what) | Fault::Limit(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Violation {}

/// Bounds what a guest holds. Growth beyond the bound is an error that names it, not a failed
/// `memory.grow`, of which a guest would only tell that it is out of memory.
struct Limiter {
    limits: Limits,
    memory_bytes: usize,
    /// The growth that was granted last, taken back where the system refuses it.
    asked_bytes: usize,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.memory_bytes.saturating_add(growth);
        let max = self.limits.memory_bytes_max;
        if total > max {
            let message =
                format!("wants {} KiB of memory; its limit is {} KiB (plugin.limits.memory)", total >> 10, max >> 10);
            return Err(Violation(Fault::Limit(message)).into());
        }
        (self.memory_bytes, self.asked_bytes) = (total, growth);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_bytes = self.memory_bytes.saturating_sub(std::mem::take(&mut self.asked_bytes));
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let max = self.limits.table_elements_max;
        if desired > max {
            let message =
                format!("wants a table of {desired} elements; its limit is {max} (plugin.limits.table.elements)");
            return Err(Violation(Fault::Limit(message)).into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        INSTANCES_MAX
    }
}

/// Core instances, tables and memories of one component: an SDK's component has a handful.
const INSTANCES_MAX: usize = 100;
