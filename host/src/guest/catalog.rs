//! The plugins that lie in the plugin directories, found by id and version range. Plugins come and go while a worker
//! runs: a [`Catalog`] is shared, read at any time, and brought up to date by [`Catalog::rescan`].
//!
//! A plugin is its id, version and digest; the name of its file means nothing. Several versions lie side by side, and
//! of several contents of one version the one that came last counts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use super::cache::Compiler;
use super::copies::Copies;
use super::load::{Digest, Source};
use super::plugin::Plugin;
use super::scan::{Change, Files, Refused};
use super::version::Range;
use crate::error::{Error, Kind, Result};
use crate::limits::PLUGIN_SCANS_MAX;

/// What the plugin directories hold. A bad file is kept with its reason and hides no good one.
#[derive(Debug)]
pub struct Catalog {
    compiler: Compiler,
    directories: Vec<PathBuf>,
    /// The host's own copies, and the plugins that they hold.
    kept: Option<(Copies, Mutex<Vec<Arc<Plugin>>>)>,
    held: RwLock<Arc<Held>>,
    /// Locked for as long as a scan takes.
    files: Mutex<Files>,
    /// Every plugin that something still holds, found in the directories or not.
    loaded: Mutex<HashMap<Digest, Weak<Plugin>>>,
}

#[derive(Debug, Default)]
struct Held {
    /// In the order in which they came.
    plugins: Vec<Arc<Plugin>>,
    refused: Vec<Refused>,
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
    /// Reads every `*.wasm` of the directories. Of several files with the same id and version but different content the
    /// one written last counts.
    pub fn scan(compiler: Compiler, directories: &[PathBuf]) -> Catalog {
        let mut distinct: Vec<PathBuf> = Vec::new();
        for directory in directories {
            if !distinct.contains(directory) {
                distinct.push(directory.clone());
            }
        }
        let catalog = Catalog {
            compiler,
            directories: distinct,
            kept: None,
            held: RwLock::default(),
            files: Mutex::default(),
            loaded: Mutex::default(),
        };
        for _ in 0..PLUGIN_SCANS_MAX {
            // A file that is being written is waited for, but not for ever.
            if catalog.look().unsettled.is_empty() {
                break;
            }
        }
        catalog
    }

    /// Keeps copies of plugins in this directory when told to: see [`Catalog::keep`]. Those that are there are found as
    /// if they were files of an operator's that came before all others. One that cannot be used is told.
    #[must_use]
    pub fn keeping(self, directory: PathBuf) -> Catalog {
        let copies = Copies::new(directory);
        let load = |digest| copies.read(digest).and_then(|source| self.load(&source));
        let told = |error: &Error| tracing::warn!(hint = error.hint(), "a kept copy of a plugin is not used: {error}");
        let held = copies.digests().into_iter().filter_map(|digest| load(digest).inspect_err(told).ok()).collect();
        Catalog { kept: Some((copies, Mutex::new(held))), ..self }
    }

    /// Looks at the directories again, tells the log what is otherwise, and returns it. New files are read, checked and
    /// compiled before any of them is found; bytes that are known are not compiled again. Takes as long as that takes;
    /// who calls [`Catalog::find`] meanwhile gets what was there before.
    pub fn rescan(&self) -> Change {
        let change = self.look();
        change.tell();
        change
    }

    fn look(&self) -> Change {
        let mut files = lock(&self.files);
        let before = self.held();
        let newest =
            |plugin: &Plugin| before.plugins.iter().rfind(|held| held.is_version_of(plugin)).map(|p| p.digest());
        let change = files.look(&self.directories, &|source| self.load(source), &newest);
        let held = Held { plugins: files.plugins(), refused: files.refused() };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(held);
        lock(&self.loaded).retain(|_, plugin| plugin.strong_count() > 0);
        change
    }

    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn loaded(&self, digest: Digest) -> Option<Arc<Plugin>> {
        lock(&self.loaded).get(&digest).and_then(Weak::upgrade)
    }

    fn load(&self, source: &Source) -> Result<Arc<Plugin>> {
        if let Some(plugin) = self.loaded(source.digest) {
            return Ok(plugin);
        }
        let plugin = Arc::new(Plugin::load(&self.compiler, source)?);
        lock(&self.loaded).insert(source.digest, Arc::downgrade(&plugin));
        Ok(plugin)
    }

    /// The directories.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// The plugins, in the order in which they came.
    pub fn plugins(&self) -> Vec<Arc<Plugin>> {
        self.held().plugins.clone()
    }

    /// The files that are no usable plugins, and the directories that cannot be read.
    pub fn refused(&self) -> Vec<Refused> {
        self.held().refused.clone()
    }

    /// The newest plugin of that id within a version range, None = any version, of those that `admits` admits: in the
    /// directories, or kept. Errors: [`Kind::Config`] for a range that cannot be read, [`Kind::PluginInvalid`] where a
    /// file of that name was refused, [`Kind::PluginMissing`] with what was found instead.
    pub fn find(&self, id: &str, range: Option<&str>, admits: &dyn Fn(&Plugin) -> bool) -> Result<Arc<Plugin>> {
        let held = self.held();
        let text = range.unwrap_or("latest");
        let range = Range::parse(text).map_err(|what| Error::new(Kind::Config, what))?;
        let kept = self.kept.as_ref().map(|(_, kept)| lock(kept).clone()).unwrap_or_default();
        let of_id = || kept.iter().chain(&held.plugins).filter(|plugin| plugin.manifest().id == id);
        let fitting = of_id().filter(|plugin| range.contains(&plugin.manifest().version) && admits(plugin));
        // Of equal ones the last.
        let newest = fitting.max_by(|a, b| a.manifest().version.cmp(&b.manifest().version));
        newest.cloned().ok_or_else(|| {
            let of_id = held.plugins.iter().filter(|plugin| plugin.manifest().id == id);
            let versions: Vec<&str> = of_id.map(|plugin| plugin.manifest().version.as_str()).collect();
            self.missing(&held, id, text, &versions)
        })
    }

    /// Keeps copies of plugins, as long as [`Catalog::forget`] is not told otherwise: their files may then be taken away.
    /// Without a state directory nothing is kept. Errors: [`Kind::StorageFailed`] where one cannot be written.
    pub fn keep(&self, plugins: &[Arc<Plugin>]) -> Result<()> {
        let Some((copies, held)) = &self.kept else { return Ok(()) };
        let mut held = lock(held);
        for plugin in plugins {
            if !held.iter().any(|known| known.digest() == plugin.digest()) {
                copies.keep(plugin.source())?;
                held.push(Arc::clone(plugin));
            }
        }
        Ok(())
    }

    /// Removes every kept copy but those of these plugins. Errors: [`Kind::StorageFailed`].
    pub fn forget(&self, except: &[Arc<Plugin>]) -> Result<()> {
        let Some((copies, held)) = &self.kept else { return Ok(()) };
        let stays: Vec<Digest> = except.iter().map(|plugin| plugin.digest()).collect();
        lock(held).retain(|plugin| stays.contains(&plugin.digest()));
        copies.forget(&stays)
    }

    fn missing(&self, held: &Held, id: &str, range: &str, versions: &[&str]) -> Error {
        if !versions.is_empty() {
            let message = format!("plugin {id} has no version within {range}; found: {}", versions.join(", "));
            return Error::new(Kind::PluginMissing, message);
        }
        if let Some(refused) = held.refused.iter().find(|refused| refused.is_named(id)) {
            return refused.error.clone();
        }
        let what = format!("transform type {id} is neither built in nor {}", self.found(held));
        let refused: Vec<String> = held.refused.iter().map(|refused| refused.error.to_string()).collect();
        let message = if refused.is_empty() { what } else { format!("{what} (refused: {})", refused.join("; ")) };
        Error::new(Kind::PluginMissing, message)
    }

    fn found(&self, held: &Held) -> String {
        if self.directories.is_empty() {
            return "a plugin, as no plugin directory is given".to_owned();
        }
        let directories: Vec<String> = self.directories.iter().map(|dir| dir.display().to_string()).collect();
        let mut ids: Vec<&str> = held.plugins.iter().map(|plugin| plugin.manifest().id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let only = if ids.is_empty() { "no plugin".to_owned() } else { format!("only {}", ids.join(", ")) };
        let hold = if directories.len() == 1 { "holds" } else { "hold" };
        format!("in {}, which {hold} {only}", directories.join(", "))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
