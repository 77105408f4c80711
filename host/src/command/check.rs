//! `weir check FILE…`: says of each pipeline file that it is right, or everything that is wrong with it.

use std::cell::{Cell, OnceCell};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::{env, process};

use crate::app::plugins;
use crate::config::Problem;
use crate::config::files::{self, CheckedFile, SettingsCheck};
use crate::config::keys::worker::PLUGIN_PATH;
use crate::config::pipeline::Transform;
use crate::config::reference::{Sources, Surroundings};
use crate::error::{Error, Kind, Result};
use crate::guest::{Catalog, Compiler, Engine};

/// The command's arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct CheckArgs {
    /// Pipeline files, or directories of them
    #[arg(required = true, value_name = "FILE|DIR")]
    pub paths: Vec<PathBuf>,

    /// Directories of plugins (.wasm), separated by commas, against which the plugins' settings are checked [default: plugins]
    #[arg(long, value_name = "DIR,…", env = "WEIR_PLUGINS", value_delimiter = ',')]
    pub plugins: Vec<PathBuf>,
}

/// How the program ends where a file is wrong.
pub const EXIT_BAD_CONFIGURATION: u8 = 64;
/// How it ends where there is nothing to check.
pub const EXIT_USAGE: u8 = 2;

/// What is printed, and how the program ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One line for each problem, or `FILE: ok`.
    pub text: String,
    /// 0, or [`EXIT_BAD_CONFIGURATION`].
    pub exit_code: u8,
}

/// Checks the files that the paths name and prints the report.
pub fn run(args: &CheckArgs) -> process::ExitCode {
    let colour = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    print(args, colour, &mut io::stdout(), &mut io::stderr()).into()
}

/// Prints the report to `out`, and to `errors` why there is none or what was left out; returns how the program ends.
fn print(args: &CheckArgs, colour: bool, out: &mut dyn Write, errors: &mut dyn Write) -> u8 {
    let plugins = Plugins::of(args);
    let (written, exit_code) = match check(&args.paths, &Surroundings, &|transform| plugins.check(transform)) {
        Ok(files) => {
            let report = report(&files, colour);
            (out.write_all(report.text.as_bytes()), report.exit_code)
        }
        Err(error) => (writeln!(errors, "weir check: {error}"), EXIT_USAGE),
    };
    let noted = plugins.note().map(|note| writeln!(errors, "weir check: {note}"));
    // A reader that has gone away has read enough.
    drop((written, noted));
    exit_code
}

/// The plugins against which settings are checked. They are compiled when the first is named: most of the command's
/// time goes there.
struct Plugins {
    directories: Vec<PathBuf>,
    catalog: OnceCell<Result<Catalog>>,
    /// Whether a plugin was named and there was no directory to look into.
    unchecked: Cell<bool>,
}

impl Plugins {
    fn of(args: &CheckArgs) -> Self {
        let default = [PathBuf::from(PLUGIN_PATH.default_text())];
        let given = if args.plugins.is_empty() { default.as_slice() } else { &args.plugins };
        Plugins { directories: plugins::directories(given), catalog: OnceCell::new(), unchecked: Cell::new(false) }
    }

    fn check(&self, transform: &Transform) -> Vec<Problem> {
        if self.directories.is_empty() && !plugins::is_built_in(transform) {
            self.unchecked.set(true);
            return Vec::new();
        }
        let scan =
            || Ok(Catalog::scan(Compiler::new(Engine::new()?, env::current_exe().ok(), None), &self.directories));
        match self.catalog.get_or_init(scan) {
            Ok(catalog) => plugins::check_transform(catalog, transform),
            Err(error) => vec![Problem::new("", error.to_string(), "")],
        }
    }

    /// What the report cannot tell.
    fn note(&self) -> Option<String> {
        let default = PLUGIN_PATH.default_text();
        self.unchecked.get().then(|| {
            format!("plugins and their settings were not checked, as there is no directory `{default}`: name theirs by --plugins")
        })
    }
}

/// Checks the files that the paths name. An error where a path cannot be read or there is no file at all.
pub fn check(paths: &[PathBuf], sources: &dyn Sources, settings: &SettingsCheck<'_>) -> Result<Vec<CheckedFile>> {
    let found = files::find(paths)?;
    if found.is_empty() {
        let paths: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        let message = format!("no pipeline file (*.yaml, *.yml) in {}", paths.join(", "));
        return Err(Error::new(Kind::Config, message));
    }
    Ok(files::load(&found, sources, settings))
}

/// The report on checked files: per file its problems as `FILE:LINE: KEY: SENTENCE`, or `FILE: ok`.
pub fn report(files: &[CheckedFile], colour: bool) -> Report {
    let (red, green, plain) = if colour { ("\x1b[31m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
    let mut text = String::new();
    for file in files {
        for line in file.report() {
            // The place stays plain, so that terminals recognise it as a link.
            let place = line.find(": ").unwrap_or_default();
            let (place, sentence) = line.split_at(place);
            let _ = writeln!(text, "{place}{red}{sentence}{plain}");
        }
        if file.problems.is_empty() {
            let _ = writeln!(text, "{}: {green}ok{plain}", file.path.display());
        }
    }
    let is_right = files.iter().all(|file| file.problems.is_empty());
    Report { text, exit_code: if is_right { 0 } else { EXIT_BAD_CONFIGURATION } }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
