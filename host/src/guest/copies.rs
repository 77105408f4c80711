//! The host's own copies of plugins, by digest: what a checkpoint or a replay needs outlives the file that an operator
//! takes away.

use std::fs;
use std::path::{Path, PathBuf};

use super::load::{Digest, Source};
use super::whole;
use crate::error::{Error, Kind, Result};

const EXTENSION: &str = ".wasm";

/// A directory of `DIGEST.wasm`.
#[derive(Debug)]
pub(super) struct Copies {
    directory: PathBuf,
}

impl Copies {
    /// Copies in this directory, which is made with the first of them.
    pub(super) fn new(directory: PathBuf) -> Copies {
        Copies { directory }
    }

    fn file(&self, digest: Digest) -> PathBuf {
        self.directory.join(name(digest))
    }

    /// Keeps the bytes of a plugin. One that is kept already is not written again.
    pub(super) fn keep(&self, plugin: &Source) -> Result<()> {
        if self.read(plugin.digest).is_ok() {
            return Ok(());
        }
        let kept = whole::make_directory(&self.directory)
            .and_then(|()| whole::write(&self.directory, &name(plugin.digest), &[&plugin.bytes]));
        kept.map_err(|e| self.failed(&format!("no copy of plugin file {} can be kept", plugin.file.display()), e))
    }

    /// The kept bytes, if they are what their name says.
    pub(super) fn read(&self, digest: Digest) -> Result<Source> {
        let source = Source::open(&self.file(digest))?;
        if source.digest == digest {
            return Ok(source);
        }
        let message = format!("{} is damaged: its content is {}", source.file.display(), source.digest);
        Err(Error::new(Kind::PluginInvalid, message))
    }

    /// What is kept.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.filter_map(|entry| Digest::parse(entry.file_name().to_str()?.strip_suffix(EXTENSION)?)).collect()
    }

    /// Removes every copy but these, and what an interrupted writer has left.
    pub(super) fn forget(&self, except: &[Digest]) -> Result<()> {
        let failed = |e| self.failed("copies of plugins cannot be removed", e);
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let file = entry.map_err(failed)?.path();
            if is_ours(&file) && !except.iter().any(|digest| file == self.file(*digest)) {
                fs::remove_file(&file).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        Error::caused(Kind::StorageFailed, format!("{what} in {}", self.directory.display()), error)
    }
}

fn name(digest: Digest) -> String {
    format!("{digest}{EXTENSION}")
}

/// Whether a file is a copy, or one that was being written (`.DIGEST.wasm-PROCESS`).
fn is_ours(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_prefix('.').unwrap_or(&name);
    name.split_once(EXTENSION).is_some_and(|(digest, _)| Digest::parse(digest).is_some())
}
