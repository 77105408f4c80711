//! What tests of configuration share: surroundings in a table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::reference::Sources;

/// Variables and files in memory.
#[derive(Debug, Default)]
pub struct Table {
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
}

impl Table {
    /// Variables as (name, value), files as (path, text).
    pub fn new(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
        Table {
            variables: variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            files: files.iter().map(|&(path, text)| (path.into(), text.to_owned())).collect(),
        }
    }
}

impl Sources for Table {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
