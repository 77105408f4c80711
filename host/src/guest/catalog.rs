//! The plugins that lie in the plugin directories: found by id and version range.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::Compiler;
use super::load::Source;
use super::plugin::Plugin;
use super::version::Range;
use crate::error::{Error, Kind, Result};

/// What the plugin directories held when they were scanned. A bad file is kept with its reason and hides
/// no good one.
#[derive(Debug, Default)]
pub struct Catalog {
    directories: Vec<PathBuf>,
    plugins: Vec<Arc<Plugin>>,
    refused: Vec<Refused>,
}

/// A file that is no usable plugin.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The file, or the directory that cannot be read.
    pub file: PathBuf,
    /// Why.
    pub error: Error,
}

impl Refused {
    /// Whether the file bears a plugin's name as `weir plugin build` writes it: `ID-VERSION.wasm`, or `ID.wasm`.
    fn is_named(&self, id: &str) -> bool {
        let stem = self.file.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
        stem.strip_prefix(id).is_some_and(|rest| {
            let version = rest.strip_prefix('-');
            rest.is_empty() || version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        })
    }
}

impl Catalog {
    /// Reads every `*.wasm` of the directories, in the order given and by name within each. Of two files with
    /// the same id and version but different content the first counts and the second is refused.
    pub fn scan(compiler: &Compiler, directories: &[PathBuf]) -> Catalog {
        let mut catalog = Catalog { directories: directories.to_vec(), ..Catalog::default() };
        for directory in directories {
            match components(directory) {
                Ok(files) => files.iter().for_each(|file| catalog.add(compiler, file)),
                Err(error) => {
                    let what = format!("plugin directory {} cannot be read", directory.display());
                    catalog.refuse(directory, Error::caused(Kind::PluginMissing, what, error));
                }
            }
        }
        catalog
    }

    fn add(&mut self, compiler: &Compiler, file: &Path) {
        let source = match Source::open(file) {
            Ok(source) => source,
            Err(error) => return self.refuse(file, error),
        };
        if self.plugins.iter().any(|plugin| plugin.digest() == source.digest) {
            return;
        }
        let plugin = match Plugin::load(compiler, &source) {
            Ok(plugin) => plugin,
            Err(error) => return self.refuse(file, error),
        };
        let about = plugin.manifest();
        let same = |held: &&Arc<Plugin>| held.manifest().id == about.id && held.manifest().version == about.version;
        match self.plugins.iter().find(same) {
            None => self.plugins.push(Arc::new(plugin)),
            Some(held) => {
                let what = format!(
                    "{} is plugin {} {} like {}, with other content: give one of them another version",
                    file.display(),
                    about.id,
                    about.version,
                    held.file().display()
                );
                self.refuse(file, Error::new(Kind::PluginInvalid, what));
            }
        }
    }

    fn refuse(&mut self, file: &Path, error: Error) {
        self.refused.push(Refused { file: file.to_owned(), error });
    }

    /// The plugins, in the order found.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// The files that are no usable plugins.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The newest plugin of that id within a version range, None = any version, of those that `admits` admits. Errors: [`Kind::Config`] for
    /// a range that cannot be read, [`Kind::PluginInvalid`] where a file of that name was refused,
    /// [`Kind::PluginMissing`] with what was found instead.
    pub fn find(&self, id: &str, range: Option<&str>, admits: &dyn Fn(&Plugin) -> bool) -> Result<Arc<Plugin>> {
        let text = range.unwrap_or("latest");
        let range = Range::parse(text).map_err(|what| Error::new(Kind::Config, what))?;
        let of_id = || self.plugins.iter().filter(|plugin| plugin.manifest().id == id);
        let fitting = of_id().filter(|plugin| range.contains(&plugin.manifest().version) && admits(plugin));
        let newest = fitting.max_by(|a, b| a.manifest().version.cmp(&b.manifest().version));
        newest
            .cloned()
            .ok_or_else(|| self.missing(id, text, &of_id().map(|p| p.manifest().version.as_str()).collect::<Vec<_>>()))
    }

    fn missing(&self, id: &str, range: &str, versions: &[&str]) -> Error {
        if !versions.is_empty() {
            let message = format!("plugin {id} has no version within {range}; found: {}", versions.join(", "));
            return Error::new(Kind::PluginMissing, message);
        }
        if let Some(refused) = self.refused.iter().find(|refused| refused.is_named(id)) {
            return refused.error.clone();
        }
        let what = format!("transform type {id} is neither built in nor {}", self.found());
        let refused: Vec<String> = self.refused.iter().map(|refused| refused.error.to_string()).collect();
        let message = if refused.is_empty() { what } else { format!("{what} (refused: {})", refused.join("; ")) };
        Error::new(Kind::PluginMissing, message)
    }

    fn found(&self) -> String {
        if self.directories.is_empty() {
            return "a plugin, as no plugin directory is given".to_owned();
        }
        let directories: Vec<String> = self.directories.iter().map(|dir| dir.display().to_string()).collect();
        let mut ids: Vec<&str> = self.plugins.iter().map(|plugin| plugin.manifest().id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let held = if ids.is_empty() { "no plugin".to_owned() } else { format!("only {}", ids.join(", ")) };
        let hold = if directories.len() == 1 { "holds" } else { "hold" };
        format!("in {}, which {hold} {held}", directories.join(", "))
    }
}

/// The `*.wasm` of a directory, by name.
fn components(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let file = entry?.path();
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if file.extension().is_some_and(|extension| extension == "wasm") && !hidden {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
