//! The `unsafe` of this room, in one file: loading machine code that weir has compiled itself, and bounding
//! the process that compiles it.
#![allow(unsafe_code, reason = "each block argues why it is sound")]

use wasmtime::component::Component;

use super::engine::{Engine, sentence};

/// Machine code that came out of [`compile`]: in this process, in a child process that runs this same
/// program, or out of the private cache that checked its digest. Nothing else makes one.
pub(super) struct Precompiled(Vec<u8>);

impl Precompiled {
    /// Takes code that only a compiler of weir can have written.
    ///
    /// The callers are [`compile`] and `cache`, whose sources are (1) the standard output of a child that
    /// weir has started from a path its operator gave, and (2) a file in a directory that belongs to this
    /// user, that nobody else may write to, whose content has the digest recorded with it.
    pub(super) fn trusted(code: Vec<u8>) -> Precompiled {
        Precompiled(code)
    }

    /// The code, to be sent or stored.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Compiles a component.
pub(super) fn compile(engine: &Engine, component: &[u8]) -> Result<Precompiled, String> {
    engine.wasm().precompile_component(component).map(Precompiled).map_err(|e| sentence(&e))
}

/// Makes code runnable. The error says why it does not fit this engine; compiling anew helps.
pub(super) fn load(engine: &Engine, code: &Precompiled) -> Result<Component, String> {
    // SAFETY: `deserialize` asks for bytes that `Engine::precompile_component` has made and nobody has
    // changed. A `Precompiled` holds such bytes alone (see `Precompiled::trusted`), they are in memory that
    // nobody else can write to, and wasmtime itself checks that its version, target and settings agree.
    unsafe { Component::deserialize(engine.wasm(), &code.0) }.map_err(|e| sentence(&e))
}

/// Bounds this process for good: address space in bytes and processor time in seconds; and lets every other process go
/// before it, since a stream may be running beside it. Only called by a process that does nothing but compile.
pub(super) fn bound_process(memory_bytes: u64, cpu_s: u64) -> Result<(), std::io::Error> {
    // SAFETY: setpriority takes numbers alone, and 0 means this process; a refusal leaves everything as it was.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
    set_limit(libc::RLIMIT_AS, memory_bytes)?;
    set_limit(libc::RLIMIT_CPU, cpu_s)?;
    set_limit(libc::RLIMIT_CORE, 0)
}

/// How far a compiler stands behind other processes, of 19 at most.
const NICENESS: libc::c_int = 10;

/// The effective user of this process.
pub(super) fn user() -> u32 {
    // SAFETY: geteuid takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}

/// The type that glibc gives resource names; musl uses a plain integer.
#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

fn set_limit(resource: Resource, max: u64) -> Result<(), std::io::Error> {
    let limit = libc::rlimit { rlim_cur: max as libc::rlim_t, rlim_max: max as libc::rlim_t };
    // SAFETY: `limit` is a valid rlimit that lives across the call, and setrlimit only reads it.
    match unsafe { libc::setrlimit(resource, &raw const limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
