//! Compiling in a child process: both ends of it. A compiler that panics, blows up or never ends on a
//! hostile component takes the child with it and nothing else. The component goes in through standard
//! input, the machine code comes out of standard output, and the reason of a failure out of standard error.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::engine::Engine;
use super::precompiled::{self, Precompiled};
use crate::error::{Error, Kind, Result};
use crate::limits;

/// The hidden verb under which the program compiles what it reads.
pub const COMPILE_VERB: &str = "compile-component";

/// Bytes of machine code that a child may send.
const CODE_BYTES_MAX: u64 = 1 << 30;
/// Bytes that are read of what a child says about its failure.
const REASON_BYTES_MAX: u64 = 4 << 10;

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileBounds {
    /// Processor time, and time at all.
    pub time_max: Duration,
    /// Address space of the child, in bytes.
    pub memory_bytes_max: u64,
}

impl Default for CompileBounds {
    fn default() -> Self {
        CompileBounds { time_max: limits::COMPILE_MAX, memory_bytes_max: limits::COMPILE_MEMORY_BYTES_MAX }
    }
}

impl CompileBounds {
    /// Processor time in whole seconds, which is what the system counts in.
    fn cpu_s(&self) -> u64 {
        self.time_max.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
    }
}

/// Why a child did not compile.
#[derive(Debug)]
pub(super) enum ChildError {
    /// The program could not be started.
    NotStarted(std::io::Error),
    /// It ran and failed: the kind and the end of a sentence that begins with the file.
    Failed(Kind, String),
}

/// The child's side: bounds itself, then compiles standard input to standard output.
pub fn compile_stdin(bounds: &CompileBounds) -> Result<()> {
    let failed = |what: &'static str| move |e: std::io::Error| Error::caused(Kind::PluginInvalid, what, e);
    precompiled::bound_process(bounds.memory_bytes_max, bounds.cpu_s()).map_err(failed("bound the compiler"))?;
    let mut component = Vec::new();
    let input = std::io::stdin().lock().take(limits::COMPONENT_BYTES_MAX as u64);
    { input }.read_to_end(&mut component).map_err(failed("read the component"))?;
    let code = precompiled::compile(&Engine::new()?, &component).map_err(|e| Error::new(Kind::PluginInvalid, e))?;
    let mut output = std::io::stdout().lock();
    output.write_all(code.bytes()).and_then(|()| output.flush()).map_err(failed("hand over the machine code"))
}

/// The parent's side: `program` is a weir.
pub(super) fn in_child(program: &Path, component: &[u8], bounds: &CompileBounds) -> Result<Precompiled, ChildError> {
    let time_max = bounds.time_max;
    // Without the environment: a compiler needs no secrets.
    let child = Command::new(program)
        .arg(COMPILE_VERB)
        .args(["--time-ms", &time_max.as_millis().to_string()])
        .args(["--memory-bytes", &bounds.memory_bytes_max.to_string()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ChildError::NotStarted)?;
    let spoken = converse(child, component, time_max).map_err(|e| {
        ChildError::Failed(Kind::PluginInvalid, format!("cannot be compiled: the compiler was lost: {e}"))
    })?;
    match spoken {
        None => {
            let what = format!("could not be compiled within {time_max:?} (plugin.compile.ms)");
            Err(ChildError::Failed(Kind::PluginLimit, what))
        }
        Some((status, code, _)) if status.success() && !code.is_empty() => Ok(Precompiled::trusted(code)),
        Some((status, _, reason)) => Err(why(status, &reason, bounds)),
    }
}

fn why(status: ExitStatus, reason: &str, bounds: &CompileBounds) -> ChildError {
    let reason = reason.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    match status.signal() {
        Some(libc::SIGXCPU | libc::SIGKILL | libc::SIGABRT | libc::SIGSEGV) => ChildError::Failed(
            Kind::PluginLimit,
            format!(
                "cannot be compiled within {} s of processor time and {} MiB of memory (plugin.compile.ms, \
                 plugin.compile.memory): {reason}",
                bounds.cpu_s(),
                bounds.memory_bytes_max >> 20
            ),
        ),
        _ => ChildError::Failed(Kind::PluginInvalid, format!("cannot be compiled: {reason}")),
    }
}

/// Feeds the child and reads it to its end; None where it took too long and was killed.
fn converse(
    mut child: Child,
    component: &[u8],
    time_max: Duration,
) -> std::io::Result<Option<(ExitStatus, Vec<u8>, String)>> {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (done, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A child that stops reading says why by its status.
            let _ = input.map(|mut input| input.write_all(component));
        });
        let reason = scope.spawn(move || read(errors, REASON_BYTES_MAX));
        let code = scope.spawn(move || {
            let code = read(output, CODE_BYTES_MAX);
            let _ = done.send(());
            code
        });
        let in_time = ended.recv_timeout(time_max).is_ok();
        if !in_time {
            child.kill()?;
        }
        let status = child.wait()?;
        let reason = String::from_utf8_lossy(&reason.join().unwrap_or_default()).into_owned();
        let code = code.join().unwrap_or_default();
        Ok(in_time.then_some((status, code, reason)))
    })
}

fn read(pipe: Option<impl Read>, bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before a broken pipe is all there is; the status tells the rest.
    let _ = pipe.map(|pipe| pipe.take(bytes_max).read_to_end(&mut bytes));
    bytes
}
