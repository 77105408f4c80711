//! Plugins of many versions without as many builds: a test writes a number over a mark in a component.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::environment::{MORE_PLUGINS, variable};

/// What stands before the three digits of the number.
const MARK: &[u8] = b"weir-test-version=";

/// What is wrong with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It breaks on the first batch.
    AtOnce,
    /// It takes no state.
    NoState,
    /// Nothing either, but its rows say that version 1 made them.
    SaysOne,
    /// It breaks on a price of 999.75.
    OnPrice,
}

/// The moving average as version `1.0.NUMBER`, which is also what its rows tell in the field `version`. Of every four in
/// a row the first two keep state of one layout, the last two of another, which each converts.
///
/// # Errors
/// When the component is not built, or has no mark.
pub fn versioned(number: u16, fault: Fault) -> Result<Vec<u8>> {
    ensure!(number < 1_000, "the mark has room for three digits");
    let layout = 1 + number / 2 % 2;
    let file = Path::new(&variable(MORE_PLUGINS)?).join(format!("versioned-{layout}/sma-1.0.0.wasm"));
    let mut bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
    let at = bytes.windows(MARK.len()).position(|window| window == MARK).context("the component has no mark")?;
    let digits = bytes.get_mut(at + MARK.len()..at + MARK.len() + 5).context("the mark has no digits")?;
    digits.copy_from_slice(format!("{number:03};{}", fault as u8).as_bytes());
    Ok(bytes)
}

/// Puts a file into a directory the way an operator should: written aside, then renamed.
///
/// # Errors
/// When it cannot be written.
pub fn drop_in(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let aside = directory.join(format!(".{name}.part"));
    fs::write(&aside, bytes)?;
    Ok(fs::rename(aside, directory.join(name))?)
}
