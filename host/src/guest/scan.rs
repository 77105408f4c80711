//! What lies in the plugin directories, look by look: which files are new, which are still being written, and in what
//! order they came.
//!
//! A file counts once two looks, before and after it was read and at least [`PLUGIN_SETTLE`] apart, see the same. Nothing
//! is remembered of one that is still changing, so the next look begins with it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::load::{Digest, Source};
use super::plugin::Plugin;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::limits::PLUGIN_SETTLE;

/// A file that is no usable plugin.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The file, or the directory that cannot be read.
    pub file: PathBuf,
    /// Why.
    pub error: Error,
}

/// What a look at the directories found to be otherwise than the look before.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Plugins that came, in the order in which they came, and are now the newest of their id and version.
    pub found: Vec<Arc<Plugin>>,
    /// Files that are no usable plugins, and directories that cannot be read any more.
    pub refused: Vec<Refused>,
    /// Files of plugins that are gone. What runs of them goes on.
    pub gone: Vec<PathBuf>,
    /// Files that are still being written: they are to be looked at again soon.
    pub unsettled: Vec<PathBuf>,
}

impl Change {
    /// Whether nothing is otherwise than before.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.refused.is_empty() && self.gone.is_empty()
    }

    /// Tells the log, a line for each.
    pub fn tell(&self) {
        for plugin in &self.found {
            let manifest = plugin.manifest();
            tracing::info!(plugin = manifest.id, version = %manifest.version, digest = plugin.digest().short(), file = %plugin.file().display(), "plugin found");
        }
        for Refused { file, error } in &self.refused {
            tracing::warn!(file = %file.display(), hint = error.hint(), "plugin refused: {error}");
        }
        for file in &self.gone {
            tracing::info!(file = %file.display(), "plugin file gone: what runs goes on");
        }
    }
}

/// A file as the system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last writing.
    written: (i64, i64),
    /// The same of the last change of anything, rights and name included.
    changed: (i64, i64),
}

impl Look {
    fn at(file: &Path) -> io::Result<Look> {
        let about = fs::symlink_metadata(file)?;
        Ok(Look {
            device: about.dev(),
            inode: about.ino(),
            size: about.len(),
            written: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }

    /// Whether it is the file of another look, not written to since, whatever its name and rights are now.
    fn is_unwritten(&self, other: &Look) -> bool {
        Look { changed: other.changed, ..*self } == *other
    }
}

/// A file that was read.
#[derive(Debug, Clone)]
struct Known {
    look: Look,
    /// None where it could not be read.
    digest: Option<Digest>,
    /// Its place in the order in which files came.
    came: u64,
    /// What it holds; where it was overwritten by what is no plugin, what it held before.
    plugin: Option<Arc<Plugin>>,
    refused: Option<Error>,
}

/// All that is known of the directories.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: BTreeMap<PathBuf, Known>,
    /// Directories that could not be read at the last look.
    unreadable: BTreeMap<PathBuf, Error>,
    came: u64,
}

impl Files {
    /// Looks at the directories, in this order. `load` makes the plugin of a file that was read. `newest` tells the
    /// plugin that counted so far for the id and version of another one.
    pub(super) fn look(
        &mut self,
        directories: &[PathBuf],
        load: &dyn Fn(&Source) -> Result<Arc<Plugin>>,
        newest: &dyn Fn(&Plugin) -> Option<Digest>,
    ) -> Change {
        let mut change = Change::default();
        let seen = self.seen(directories, &mut change);
        let departed = self.depart(&seen, directories, &mut change);
        let known = |file: &Path, look: &Look| self.known.get(file).is_some_and(|known| known.look == *look);
        let mut fresh: Vec<(PathBuf, Look)> = seen.into_iter().filter(|(file, look)| !known(file, look)).collect();
        if fresh.is_empty() {
            return change;
        }
        wait(PLUGIN_SETTLE);
        fresh.sort_by_key(|(_, look)| look.written);
        let first = self.came;
        for (file, look) in fresh {
            let source = Source::open(&file);
            if Look::at(&file).ok() == Some(look) {
                self.take(&file, look, source, &departed, load, &mut change.refused);
            } else {
                change.unsettled.push(file);
            }
        }
        let arrived = self.in_order().into_iter().filter(|known| known.came > first);
        let plugins = arrived.filter_map(|known| known.plugin.clone());
        change.found = plugins.filter(|plugin| newest(plugin) != Some(plugin.digest())).collect();
        change
    }

    /// The files there are. What lies in a directory that cannot be read counts as it was.
    fn seen(&mut self, directories: &[PathBuf], change: &mut Change) -> Vec<(PathBuf, Look)> {
        let mut seen = Vec::new();
        for directory in directories {
            match components(directory) {
                Ok(files) => {
                    seen.extend(files);
                    if self.unreadable.remove(directory).is_some() {
                        tracing::info!(directory = %directory.display(), "plugin directory can be read again");
                    }
                }
                Err(error) => {
                    let what = format!("plugin directory {} cannot be read", directory.display());
                    let error = Error::caused(Kind::PluginMissing, what, error);
                    if self.unreadable.insert(directory.clone(), error.clone()).is_none() {
                        change.refused.push(Refused { file: directory.clone(), error });
                    }
                }
            }
        }
        seen
    }

    /// Forgets the files that are gone, and returns what was known of them: one may have been renamed.
    fn depart(&mut self, seen: &[(PathBuf, Look)], directories: &[PathBuf], change: &mut Change) -> Vec<Known> {
        let there: BTreeSet<&Path> = seen.iter().map(|(file, _)| file.as_path()).collect();
        let readable = |file: &Path| {
            let of = directories.iter().find(|directory| file.parent() == Some(directory.as_path()));
            of.is_none_or(|directory| !self.unreadable.contains_key(directory))
        };
        let gone: Vec<PathBuf> =
            self.known.keys().filter(|file| !there.contains(file.as_path()) && readable(file)).cloned().collect();
        let mut departed = Vec::new();
        for file in gone {
            let Some(known) = self.known.remove(&file) else { continue };
            if known.plugin.is_some() {
                change.gone.push(file);
            }
            departed.push(known);
        }
        departed
    }

    /// Takes a file that has settled.
    fn take(
        &mut self,
        file: &Path,
        look: Look,
        source: Result<Source>,
        departed: &[Known],
        load: &dyn Fn(&Source) -> Result<Arc<Plugin>>,
        refused: &mut Vec<Refused>,
    ) {
        let digest = source.as_ref().ok().map(|source| source.digest);
        let before = self.known.get(file);
        let same = |known: &&Known| known.look.is_unwritten(&look) && known.digest == digest;
        let came = before.filter(same).or_else(|| departed.iter().find(same)).map(|known| known.came);
        let loaded = source.and_then(|source| match self.refusal(file, &source) {
            Some(error) => Err(error),
            None => load(&source),
        });
        let held = before.and_then(|known| known.plugin.clone());
        let told = before.and_then(|known| known.refused.as_ref()).map(Error::to_string);
        let (plugin, error) = match loaded {
            Ok(plugin) => (Some(plugin), None),
            Err(error) => (held, Some(error)),
        };
        if let Some(error) = error.as_ref().filter(|error| told != Some(error.to_string())) {
            refused.push(Refused { file: file.to_owned(), error: error.clone() });
        }
        let came = match (came, before, &error) {
            (Some(came), ..) => came,
            // What it held before has not come again.
            (None, Some(before), Some(_)) => before.came,
            _ => {
                self.came += 1;
                self.came
            }
        };
        self.known.insert(file.to_owned(), Known { look, digest, came, plugin, refused: error });
    }

    /// Why a file of these bytes was refused before: it is not compiled and tried again.
    fn refusal(&self, file: &Path, source: &Source) -> Option<Error> {
        let refused = |known: &Known| known.refused.clone().filter(|_| known.digest == Some(source.digest));
        if let Some(error) = self.known.get(file).and_then(refused) {
            return Some(error);
        }
        let (other, error) = self.known.iter().find_map(|(other, known)| Some((other, refused(known)?)))?;
        // What is refused before it is compiled costs nothing, and says so by its own name.
        source.inspect().ok()?;
        Some(error.during(format!("{} is a copy of {}", file.display(), other.display())))
    }

    fn in_order(&self) -> Vec<&Known> {
        let mut known: Vec<&Known> = self.known.values().collect();
        known.sort_by_key(|known| known.came);
        known
    }

    /// The plugins that lie there, each once, in the order in which they came: the last of several that have the same
    /// id and version counts.
    pub(super) fn plugins(&self) -> Vec<Arc<Plugin>> {
        let mut plugins: Vec<Arc<Plugin>> = Vec::new();
        for plugin in self.in_order().into_iter().filter_map(|known| known.plugin.as_ref()) {
            plugins.retain(|other| other.digest() != plugin.digest());
            plugins.push(Arc::clone(plugin));
        }
        plugins
    }

    /// The directories and files that cannot be used, by name.
    pub(super) fn refused(&self) -> Vec<Refused> {
        let directories = self.unreadable.iter().map(|(file, error)| (file, Some(error)));
        let files = self.known.iter().map(|(file, known)| (file, known.refused.as_ref()));
        let refused = |(file, error): (&PathBuf, Option<&Error>)| {
            error.cloned().map(|error| Refused { file: file.clone(), error })
        };
        directories.chain(files).filter_map(refused).collect()
    }
}

/// The `*.wasm` of a directory, by name. One that is gone before it can be looked at is not there.
fn components(directory: &Path) -> io::Result<Vec<(PathBuf, Look)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let file = entry?.path();
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if file.extension().is_some_and(|extension| extension == "wasm") && !hidden {
            files.extend(Look::at(&file).ok().map(|look| (file, look)));
        }
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(files)
}

fn wait(time: Duration) {
    let clock = Clock::start();
    while let Some(left) = time.checked_sub(clock.elapsed()) {
        std::thread::park_timeout(left);
    }
}
