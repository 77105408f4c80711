//! `weir plugin`: building plugins and looking at them.

mod build;
mod inspect;
mod swaps;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::guest;

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

/// `weir compile-component`: compiles a component from standard input to machine code on standard output, for
/// the worker that starts it. Wire it hidden, and before anything that reads configuration.
#[derive(Debug, Args)]
pub struct CompileArgs {}

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
        }
    }
}

impl CompileArgs {
    /// Compiles.
    pub fn run(self) -> Result<()> {
        guest::compile_stdin().map_err(Into::into)
    }
}

/// Builds the plugin in `dir` as `weir plugin build` does, for callers inside weir; returns the file.
pub fn build(dir: &std::path::Path, out: Option<&std::path::Path>, report: &mut dyn Write) -> Result<PathBuf> {
    build::build(dir, out, report)
}

#[cfg(test)]
#[path = "plugin_tests.rs"]
mod tests;
