//! `weir plugin build DIR`: cargo makes a core module for wasm32-unknown-unknown, which becomes a component
//! here, is loaded once to learn its id and version, and is put down whole.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::command::display::size;
use crate::guest::{self, Compiler, Engine, Plugin, Source};

const TARGET: &str = "wasm32-unknown-unknown";
/// Where nested builds go, below the workspace's target directory: a directory of their own, because the
/// cargo that may have started this program holds the lock of the other.
const BUILD_DIRECTORY: &str = "plugins-build";
/// Where finished plugins go, below the workspace's target directory.
const PLUGIN_DIRECTORY: &str = "plugins";
/// The profile of plugins, for crates whose workspace has none: small, and a panic is a trap.
const PROFILE: [&str; 4] = [
    "profile.plugin.inherits='release'",
    "profile.plugin.panic='abort'",
    "profile.plugin.lto=true",
    "profile.plugin.strip='debuginfo'",
];

pub(super) fn run(dir: &Path, out: Option<&Path>, report: &mut dyn Write) -> Result<()> {
    build(dir, out, report).map(drop)
}

/// Builds the crate in `dir` and reports the file that was made, in `out` or the workspace's `target/plugins`.
pub(super) fn build(dir: &Path, out: Option<&Path>, report: &mut dyn Write) -> Result<PathBuf> {
    ensure!(
        dir.join("Cargo.toml").is_file(),
        "{} holds no Cargo.toml: give the directory of a plugin's crate",
        dir.display()
    );
    check_target(dir)?;
    let target = target_directory(dir)?;
    let module = cargo_build(dir, &target.join(BUILD_DIRECTORY))?;
    let bytes = std::fs::read(&module).with_context(|| format!("read {}", module.display()))?;
    let component = guest::componentize(&bytes, &module.display().to_string())?;
    let source = Source::new(&module, component);
    let plugin = Plugin::load(&Compiler::new(Engine::new()?, None, None), &source)?;
    let directory = out.map_or_else(|| target.join(PLUGIN_DIRECTORY), Path::to_owned);
    let about = plugin.manifest();
    let file = directory.join(format!("{}-{}.wasm", about.id, about.version));
    put(&file, &source.bytes)?;
    writeln!(report, "plugin     {} {}", about.id, about.version)?;
    writeln!(report, "file       {}, {}", file.display(), size(plugin.size()))?;
    writeln!(report, "sha256     {}", plugin.digest())?;
    writeln!(report, "imports    {}", plugin.inspection().imports.join(", "))?;
    Ok(file)
}

/// Writes the file aside and gives it its name, so that whoever watches the directory never sees half of it.
fn put(file: &Path, bytes: &[u8]) -> Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let writing = || format!("write {}", file.display());
    std::fs::create_dir_all(directory).with_context(writing)?;
    let aside = file.with_extension(format!("part-{}", std::process::id()));
    std::fs::write(&aside, bytes).with_context(writing)?;
    std::fs::rename(&aside, file).with_context(writing)
}

/// The crate's toolchain must have the target; cargo's own message about it is long and misses the point.
fn check_target(dir: &Path) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).current_dir(dir).output();
    let asked = asked.context("rustc cannot be started: install Rust from https://rustup.rs")?;
    let library = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim().to_owned());
    let installed = asked.status.success() && library.is_dir();
    ensure!(installed, "the Rust of {} cannot build for {TARGET}: run `rustup target add {TARGET}`", dir.display());
    Ok(())
}

fn cargo(dir: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(dir).stdin(Stdio::null());
    command
}

#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
}

/// The target directory of the crate's workspace.
fn target_directory(dir: &Path) -> Result<PathBuf> {
    let asked = cargo(dir).args(["metadata", "--no-deps", "--format-version", "1"]).stderr(Stdio::inherit()).output();
    let asked = asked.context("cargo cannot be started: install Rust from https://rustup.rs")?;
    ensure!(asked.status.success(), "cargo cannot read {}", dir.join("Cargo.toml").display());
    let metadata: Metadata = serde_json::from_slice(&asked.stdout).context("read what cargo says of the crate")?;
    Ok(metadata.target_directory)
}

/// One line of cargo's JSON messages.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Builds the crate's core module; cargo's progress and errors go to standard error.
fn cargo_build(dir: &Path, target: &Path) -> Result<PathBuf> {
    let mut command = cargo(dir);
    command.args(["build", "--lib", "--profile", "plugin", "--target", TARGET, "--target-dir"]).arg(target);
    command.args(["--message-format", "json-render-diagnostics"]);
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().context("start cargo")?;
    let manifest = dir.join("Cargo.toml").canonicalize().context("find the crate")?;
    let mut module = None;
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let Ok(message) = serde_json::from_str::<Message>(&line.context("read cargo's messages")?) else { continue };
        if message.reason == "compiler-artifact" && message.manifest_path == manifest {
            let wasm = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "wasm");
            module = message.filenames.into_iter().find(wasm).or(module);
        }
    }
    if !child.wait().context("wait for cargo")?.success() {
        bail!("{} does not build: see cargo's errors above", dir.display());
    }
    module.with_context(|| {
        format!("{} gives no WebAssembly: its Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`", dir.display())
    })
}
