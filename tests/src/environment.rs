//! What `tests/run` tells the suites: where the servers, the binary and the plugins are, and where to put files.

use std::env;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use weir::clock::Clock;

/// Kafka's `HOST:PORT`.
pub const BROKERS: &str = "WEIR_TEST_BROKERS";
/// PostgreSQL's URL, of a superuser.
pub const DATABASE_URL: &str = "WEIR_TEST_DATABASE_URL";
/// The folder with PostgreSQL's programs, for servers of a test's own.
pub const POSTGRES_BIN: &str = "WEIR_TEST_POSTGRES_BIN";
/// TimescaleDB's URL, of a user who may create schemas.
pub const TIMESCALE_URL: &str = "WEIR_TEST_TIMESCALE_URL";
/// The `weir` binary under test.
pub const BINARY: &str = "WEIR_BIN";
/// The folder with the plugins' components.
pub const PLUGINS: &str = "WEIR_TEST_PLUGINS";
/// The folder with components that only tests use, in a folder each.
pub const MORE_PLUGINS: &str = "WEIR_TEST_MORE_PLUGINS";
/// The folder under which each test puts its files; kept when the run fails.
pub const DIRECTORY: &str = "WEIR_TEST_DIR";

/// The value of one of the variables above.
///
/// # Errors
/// A sentence that names the variable and the way to have it set.
pub fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| {
        format!("{name} is not set: start the suites by ./tests/run, which starts the servers and builds weir")
    })
}

/// The whole number that a variable sets, or else this one.
///
/// # Errors
/// When the variable is no whole number.
pub fn number(name: &str, otherwise: u64) -> Result<u64> {
    match env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is {text}, which is no whole number")),
        Err(_) => Ok(otherwise),
    }
}

/// The seed of a run, printed: `WEIR_SEED`, or else this one.
///
/// # Errors
/// When the variable is no whole number.
pub fn seed(otherwise: u64) -> Result<u64> {
    let seed = number("WEIR_SEED", otherwise)?;
    println!("seed {seed} (set WEIR_SEED to change it)");
    Ok(seed)
}

/// A seed that differs from run to run, unless `WEIR_SEED` sets it; printed.
///
/// # Errors
/// When the variable is no whole number.
pub fn fresh_seed() -> Result<u64> {
    seed(Clock::wall_us().unsigned_abs())
}

/// The top folder of the project.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// `hint` with a suffix that no other test of any process has.
pub fn unique(hint: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{hint}_{}_{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A new empty folder for one test.
///
/// # Errors
/// When it cannot be made.
pub fn directory(hint: &str) -> Result<PathBuf> {
    let parent = env::var(DIRECTORY).map_or_else(|_| env::temp_dir(), PathBuf::from);
    let made = parent.join(unique(hint));
    std::fs::create_dir_all(&made).with_context(|| format!("make the folder {}", made.display()))?;
    Ok(made)
}
