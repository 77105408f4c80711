//! The pipelines' files while a worker runs: a file that comes, changes or goes creates, changes or removes its pipeline and
//! touches no other one.
//!
//! A file that cannot be used is refused whole and what runs goes on. Directories that vanish or are emptied at once look
//! like a mount that went away, not like a wish: they are an alarm, and every pipeline goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use crate::app::plugins;
use crate::config::files::{self, CheckedFile};
use crate::config::reference::Surroundings;
use crate::error::Result;
use crate::guest::{self, Catalog};
use crate::watch::{Next, Pace, Watch};
use crate::worker::{Files, Notice, Refused};

/// What was seen of the files when they were last looked at.
struct Seen {
    paths: Vec<PathBuf>,
    catalog: Arc<Catalog>,
    /// The pipeline of each file.
    names: BTreeMap<PathBuf, String>,
    /// What was last wrong with the paths themselves.
    alarm: Option<String>,
}

/// Watches the directories of pipelines and of plugins; what is different there is told to the worker. A pipeline that was
/// refused for want of a plugin begins when it comes.
pub fn watch(paths: &[PathBuf], catalog: Arc<Catalog>, notices: &Sender<Notice>) -> Result<Vec<Watch>> {
    let seen = Seen { paths: paths.to_vec(), catalog: Arc::clone(&catalog), names: BTreeMap::new(), alarm: None };
    let (seen, told) = (Arc::new(Mutex::new(seen)), notices.clone());
    let look = move || {
        let files = seen.lock().unwrap_or_else(PoisonError::into_inner).look();
        // Where nobody listens any more the worker is at its end.
        if let Some(files) = files {
            let _ = told.send(Notice::Files(files));
        }
    };
    let (look_again, notices) = (look.clone(), notices.clone());
    let plugins = guest::watch(catalog, Pace::default(), move |_| {
        let _ = notices.send(Notice::Plugins);
        look_again();
    })?;
    // A file that is given by itself is watched through its directory: editors replace files.
    let folder = |path: &PathBuf| if path.is_dir() { Some(path.clone()) } else { path.parent().map(PathBuf::from) };
    let mut folders: Vec<PathBuf> = paths.iter().filter_map(folder).collect();
    folders.iter_mut().filter(|folder| folder.as_os_str().is_empty()).for_each(|folder| folder.push("."));
    folders.dedup();
    let pipelines = Watch::start("pipeline-watch", folders, Pace::default(), move || {
        look();
        Next::Event
    })?;
    Ok(vec![plugins, pipelines])
}

impl Seen {
    /// Everything that the files say now; None where they are better not believed.
    fn look(&mut self) -> Option<Files> {
        let found = match files::find(&self.paths) {
            Ok(found) => found,
            Err(error) => return self.distrust(error.to_string()),
        };
        if found.is_empty() && self.names.len() > 1 {
            return self.distrust(format!("all {} pipeline files are gone at once", self.names.len()));
        }
        self.alarm = None;
        let check = |transform: &_| plugins::check_transform(&self.catalog, transform);
        let loaded = files::load(&found, &Surroundings, &check);
        let before = std::mem::take(&mut self.names);
        // A file whose name cannot be read any more is still that of the pipeline that it was.
        let name = |file: &CheckedFile| {
            let unnamed = !file.raw.contains_key("name");
            before.get(&file.path).filter(|_| unnamed).cloned().unwrap_or_else(|| file.name())
        };
        self.names = loaded.iter().map(|file| (file.path.clone(), name(file))).collect();
        let gone = before.values().filter(|name| !self.names.values().any(|left| left == *name)).cloned().collect();
        let (pipelines, refused) = files::part(loaded);
        let refused = refused.into_iter().map(|file| {
            let name = self.names.get(&file.path).cloned().unwrap_or_else(|| file.name());
            Refused { name, error: file.error(), raw: file.raw }
        });
        Some(Files { pipelines, refused: refused.collect(), gone })
    }

    fn distrust(&mut self, what: String) -> Option<Files> {
        if self.alarm.as_ref() != Some(&what) {
            tracing::error!("what runs goes on as it is: {what}; to remove pipelines, remove their files one by one");
        }
        self.alarm = Some(what);
        None
    }
}
