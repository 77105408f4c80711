//! `weir plugin`: building plugins and looking at them.

mod build;
mod diff;
mod inspect;
mod ls;
mod swaps;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::config::keys::worker::PLUGIN_PATH;
use crate::guest::{self, CompileBounds, Compiler, Engine};

/// `weir plugin …`
#[derive(Debug, Args)]
pub struct PluginArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build a plugin from its Rust crate into one .wasm file that weir can load.
    Build(BuildArgs),
    /// Show who a plugin is, what it needs and offers, and which settings it takes.
    Inspect(InspectArgs),
    /// Show which plugin versions were to take over in a pipeline, and what became of them
    Swaps(swaps::OfPipeline),
    /// Let a version speak that waits for it, or that was refused
    Approve(swaps::ChosenArgs),
    /// Let the version before speak again
    Rollback(swaps::ChosenArgs),
    /// Hold a stage to a version range, whatever is put into the directory
    Pin(swaps::PinArgs),
    /// List what the plugin directories hold: the plugins, and the files that are refused with the reason.
    Ls(LsArgs),
    /// Show what changes where one plugin takes the place of another, and whether it takes over its state.
    Diff(DiffArgs),
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// The plugin's crate: a directory with a Cargo.toml whose library is a cdylib.
    dir: PathBuf,
    /// Where the file goes, as ID-VERSION.wasm [default: target/plugins of the crate's workspace]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// The plugin's .wasm file.
    file: PathBuf,
}

#[derive(Debug, Args)]
struct LsArgs {
    /// Directories of plugins (.wasm), separated by commas [default: plugins]
    #[arg(long, value_name = "DIR,…", env = "WEIR_PLUGINS", value_delimiter = ',')]
    plugins: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct DiffArgs {
    /// The .wasm file of the plugin that is there.
    old: PathBuf,
    /// The .wasm file of the one that would take its place.
    new: PathBuf,
}

/// `weir compile-component`: compiles a component from standard input to machine code on standard output, for
/// the worker that starts it. Wire it hidden, and before anything that reads configuration.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// Time that it may take, in milliseconds.
    #[arg(long)]
    time_ms: u64,
    /// Address space that it may take, in bytes.
    #[arg(long)]
    memory_bytes: u64,
}

impl PluginArgs {
    /// Carries out the verb; what it found goes to standard output.
    pub fn run(self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match self.verb {
            Verb::Build(args) => build::run(&args.dir, args.out.as_deref(), &mut out),
            Verb::Inspect(args) => inspect::run(&args.file, &mut out),
            Verb::Swaps(args) => swaps::swaps(args, &mut out),
            Verb::Approve(args) => swaps::approve(args, &mut out),
            Verb::Rollback(args) => swaps::rollback(args, &mut out),
            Verb::Pin(args) => swaps::pin(args, &mut out),
            Verb::Ls(args) => ls::run(&args.directories(), compiler()?, &mut out),
            Verb::Diff(args) => diff::run(&args.old, &args.new, &compiler()?, &mut out),
        }
    }
}

/// Compiles in a child process, as a worker does: what is looked at need not be trusted.
fn compiler() -> Result<Compiler> {
    Ok(Compiler::new(Engine::new()?, std::env::current_exe().ok(), None))
}

impl LsArgs {
    fn directories(self) -> Vec<PathBuf> {
        if self.plugins.is_empty() { vec![PLUGIN_PATH.default_text().into()] } else { self.plugins }
    }
}

impl CompileArgs {
    /// Compiles.
    pub fn run(self) -> Result<()> {
        let (time_max, memory_bytes_max) = (Duration::from_millis(self.time_ms), self.memory_bytes);
        guest::compile_stdin(&CompileBounds { time_max, memory_bytes_max }).map_err(Into::into)
    }
}

/// Builds the plugin in `dir` as `weir plugin build` does, for callers inside weir; returns the file.
pub fn build(dir: &std::path::Path, out: Option<&std::path::Path>, report: &mut dyn Write) -> Result<PathBuf> {
    build::build(dir, out, report)
}

#[cfg(test)]
#[path = "plugin_tests.rs"]
mod tests;
