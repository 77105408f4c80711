//! Plugins that are replaced while the demo streams.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::guest::Source;
use crate::worker::swap::{Life, Stage};

/// Ticks per second, so that a swap can be watched.
const RATE: u64 = 50_000;

/// Files that wait to be put into the worker's directory, which is this demo's own.
#[derive(Debug)]
pub(super) struct Swaps {
    directory: PathBuf,
    files: VecDeque<PathBuf>,
    /// Ticks between two files.
    every: u64,
    /// Of the files, those that are plugins.
    plugins: usize,
}

impl Drop for Swaps {
    fn drop(&mut self) {
        // What is left behind lies among temporary files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Swaps {
    /// Copies the plugins to a directory of the demo's own; None where there is nothing to swap.
    pub(super) fn prepare(plugins: &Path, files: &[PathBuf], ticks: u64) -> Result<Option<Self>> {
        if files.is_empty() {
            return Ok(None);
        }
        let directory = std::env::temp_dir().join(format!("weir-demo-{}", Uuid::new_v4().simple()));
        let failed = |error| Error::caused(Kind::StorageFailed, format!("fill {}", directory.display()), error);
        fs::create_dir_all(&directory).map_err(failed)?;
        for entry in fs::read_dir(plugins).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if let Some(name) = file.file_name().filter(|_| file.extension().is_some_and(|end| end == "wasm")) {
                fs::copy(&file, directory.join(name)).map_err(failed)?;
            }
        }
        let every = (ticks / (files.len() as u64 + 1)).max(1);
        let is_plugin = |file: &&PathBuf| Source::open(file).and_then(|source| source.inspect()).is_ok();
        let plugins = files.iter().filter(is_plugin).count();
        Ok(Some(Swaps { directory, files: files.iter().cloned().collect(), every, plugins }))
    }

    /// The directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the tick of this number would come too early.
    pub(super) fn is_early(sent: u64, elapsed: Duration) -> bool {
        sent.is_multiple_of(1_000) && sent as f64 > elapsed.as_secs_f64() * RATE as f64
    }

    /// Whether it is known of every plugin what becomes of it.
    pub(super) fn are_over(&self, lives: &[Life]) -> bool {
        let is_over = |life: &Life| !matches!(life.stage, Stage::Canary | Stage::CuttingOver);
        lives.iter().filter(|life| is_over(life)).count() >= self.plugins
    }

    /// Puts the next file in when its time has come.
    pub(super) fn put(&mut self, sent: u64, progress: &ProgressBar) -> Result<()> {
        if sent == 0 || !sent.is_multiple_of(self.every) {
            return Ok(());
        }
        let Some(file) = self.files.pop_front() else { return Ok(()) };
        let failed = |error| Error::caused(Kind::StorageFailed, format!("copy {}", file.display()), error);
        let name = file.file_name().unwrap_or(file.as_os_str());
        // Aside first: whoever watches the directory never sees half a file.
        let aside = self.directory.join(".next");
        fs::copy(&file, &aside).and_then(|_| fs::rename(&aside, self.directory.join(name))).map_err(failed)?;
        progress.suspend(|| println!("# after {sent} ticks {} is put into the directory", name.display()));
        Ok(())
    }
}

/// What became of the files.
pub(super) fn tell(lives: &[Life]) {
    for Life { name, stage, detail, .. } in lives {
        println!("{name}: {}{}{detail}", stage.name(), if detail.is_empty() { "" } else { ": " });
    }
}
