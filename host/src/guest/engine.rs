//! The one wasmtime engine of a worker: what guests may use, and the clock that bounds their calls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, WasmBacktrace, WasmBacktraceDetails};

use super::imports;
use super::store::HostState;
use crate::error::{Error, Kind, Result};
use crate::limits;

/// Stack of a guest, in bytes. The threads that call guests have at least four times as much.
pub const STACK_BYTES_MAX: usize = 512 << 10;

/// Compiles and runs guests. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine {
    wasm: wasmtime::Engine,
    linker: Arc<Linker<HostState>>,
    ticks: Arc<AtomicU64>,
}

impl Engine {
    /// Starts the engine and its ticker thread, which ends with the last clone.
    pub fn new() -> Result<Engine> {
        let wasm = wasmtime::Engine::new(&config())
            .map_err(|e| Error::new(Kind::Internal, format!("start the WebAssembly engine: {}", sentence(&e))))?;
        let linker = imports::linker(&wasm)
            .map_err(|e| Error::new(Kind::Internal, format!("define what guests may import: {}", sentence(&e))))?;
        let engine = Engine { wasm, linker: Arc::new(linker), ticks: Arc::default() };
        engine.start_ticker()?;
        Ok(engine)
    }

    fn start_ticker(&self) -> Result<()> {
        let engine = self.wasm.weak();
        let ticks = Arc::clone(&self.ticks);
        let run = move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                ticks.fetch_add(1, Ordering::Relaxed);
                drop(engine);
                // Nobody unparks it; an early wake-up is one early tick.
                std::thread::park_timeout(limits::GUEST_TICK);
            }
        };
        let thread = std::thread::Builder::new().name("guest-ticker".to_owned());
        thread.spawn(run).map(drop).map_err(|e| Error::caused(Kind::Internal, "start the ticker of guest deadlines", e))
    }

    pub(super) fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    pub(super) fn linker(&self) -> &Linker<HostState> {
        &self.linker
    }

    /// The count of ticks since the start, for what needs a rough clock inside guest calls.
    pub(super) fn ticks(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.ticks)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// The ticks after which a call of at most this length is interrupted: at least one whole tick more, since
/// the first may come at once.
pub(super) fn ticks_of(duration: Duration) -> u64 {
    let ticks = duration.as_nanos().div_ceil(limits::GUEST_TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(u64::MAX - 1).saturating_add(1)
}

/// What guests may use: plain WebAssembly with SIMD, bulk memory and wide arithmetic, and nothing that
/// brings threads, garbage collection, a second memory or results that differ between machines.
fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .wasm_simd(true)
        .wasm_bulk_memory(true)
        .wasm_wide_arithmetic(true)
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false)
        .wasm_shared_everything_threads(false)
        .wasm_stack_switching(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config
}

/// wasmtime's error and its causes in one line, without the backtrace that a trap carries along.
pub(super) fn sentence(error: &wasmtime::Error) -> String {
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string);
    let causes = error.chain().map(ToString::to_string).filter(|cause| Some(cause) != backtrace.as_ref());
    causes.collect::<Vec<_>>().join(": ")
}
