//! The verbs of the command line, one file each.

pub mod accept_gap;
pub mod check;
pub mod demo;
mod display;
pub mod named;
pub mod plugin;
pub mod replay;
pub mod run;
pub mod savepoint;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::worker::WorkerArgs;
use crate::error::{Error, Kind, Result};
use crate::guest;
use crate::logging::{self, LogArgs};

/// A sink runtime between Kafka and TimescaleDB: WebAssembly transforms with state, exactly once
#[derive(Debug, Parser)]
#[command(name = "weir", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the pipelines of a directory until SIGTERM or SIGINT
    Run(WorkerArgs),
    /// Check pipeline files and name every error with its line
    Check(check::CheckArgs),
    /// Go on without records that are gone from a topic, as the failed task asks
    AcceptGap(accept_gap::AcceptGapArgs),
    /// Stream ticks through Kafka, the SMA plugin and PostgreSQL, and check every row
    Demo(demo::DemoArgs),
    /// Process history again: into a new table, or over the rows that are there
    Replay(replay::ReplayArgs),
    /// Keep the state of a pipeline under a name, and restore it
    Savepoint(savepoint::SavepointArgs),
    /// Build and inspect plugins
    Plugin(plugin::PluginArgs),
    /// Compile a component from standard input (used by weir itself)
    #[command(name = guest::COMPILE_VERB, hide = true)]
    CompileComponent(plugin::CompileArgs),
}

/// Runs what the command line says. Exit codes: 0 done, 1 failed while running, 2 usage, 64 bad configuration.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = logging::init(&cli.log) {
        return failed("weir", &error);
    }
    match cli.verb {
        Verb::Run(args) => told("weir run", run::run(args)),
        Verb::Check(args) => check::run(&args),
        Verb::AcceptGap(args) => told("weir accept-gap", accept_gap::run(args)),
        Verb::Demo(args) => demo::run(&args),
        Verb::Replay(args) => told("weir replay", replay::run(args)),
        Verb::Savepoint(args) => told("weir savepoint", savepoint::run(args)),
        Verb::Plugin(args) => ended("weir plugin", args.run()),
        Verb::CompileComponent(args) => ended("weir compile-component", args.run()),
    }
}

/// The exit code of a verb that ends with an error of weir's own or with none.
fn told(verb: &str, outcome: Result<()>) -> ExitCode {
    outcome.map_or_else(|error| failed(verb, &error), |()| ExitCode::SUCCESS)
}

/// The exit code of a verb that says no more than why it failed.
fn ended(verb: &str, outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    match error.downcast_ref::<Error>() {
        Some(error) => failed(verb, error),
        None => {
            eprintln!("{verb}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says why a verb failed, in one sentence with its hint, and with which exit code.
fn failed(verb: &str, error: &Error) -> ExitCode {
    eprintln!("{verb}: {error}\nhint: {}", error.hint());
    if error.kind() == Kind::Config { ExitCode::from(check::EXIT_BAD_CONFIGURATION) } else { ExitCode::FAILURE }
}
