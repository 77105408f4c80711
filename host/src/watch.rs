//! Directories whose files come and go while a worker runs: a thread that says when to look at them again. The system
//! tells when something happens there; since it tells nothing of network mounts and may lose events, they are looked at
//! now and then as well.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::limits;

/// When the directories are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Quiet after an event before the directories are looked at: files that come together are found together.
    pub quiet: Duration,
    /// The longest that events which do not end put a look off.
    pub storm_max: Duration,
    /// Time between looks without any event.
    pub rescan: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { quiet: limits::WATCH_QUIET, storm_max: limits::WATCH_STORM_MAX, rescan: limits::WATCH_RESCAN_INTERVAL }
    }
}

/// When a look should be followed by the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At the next event.
    Event,
    /// Soon, as something is still being written.
    Soon,
}

/// Directories that are watched until this is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    wake: SyncSender<()>,
}

impl Watch {
    /// Starts the thread, by this name. It calls `look` at once, for what came before the directories were watched, and
    /// whenever something may have changed in them. Errors: [`Kind::Internal`] where no thread can be started.
    pub fn start(
        name: &str,
        directories: Vec<PathBuf>,
        pace: Pace,
        look: impl FnMut() -> Next + Send + 'static,
    ) -> Result<Watch> {
        // One that waits is as good as many: they all say "look".
        let (wake, events) = mpsc::sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let watch = Watch { stop: Arc::clone(&stop), wake: wake.clone() };
        let run = move || Looker { directories, pace, look, events, eyes: Eyes::open(wake), stop }.run();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        thread.map_err(|e| Error::caused(Kind::Internal, format!("start the thread {name}"), e))?;
        Ok(watch)
    }
}

impl Drop for Watch {
    /// No look begins any more. One under way is not waited for.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Full: it wakes up anyway.
        let _ = self.wake.try_send(());
    }
}

/// The thread's own.
struct Looker<F> {
    directories: Vec<PathBuf>,
    pace: Pace,
    look: F,
    events: Receiver<()>,
    eyes: Eyes,
    stop: Arc<AtomicBool>,
}

impl<F: FnMut() -> Next> Looker<F> {
    fn run(mut self) {
        while !self.stopped() {
            self.eyes.turn_to(&self.directories);
            let next = match (self.look)() {
                Next::Event => self.pace.rescan,
                Next::Soon => self.pace.quiet,
            };
            match self.events.recv_timeout(next) {
                Ok(()) => self.wait_for_quiet(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn wait_for_quiet(&self) {
        let clock = Clock::start();
        while let Some(left) = self.pace.storm_max.checked_sub(clock.elapsed()) {
            if self.stopped() || self.events.recv_timeout(self.pace.quiet.min(left)).is_err() {
                return;
            }
        }
    }
}

/// What the system is asked to tell.
struct Eyes {
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of the directories that are watched: another one under the same name has to be watched anew.
    watched: HashMap<PathBuf, (u64, u64)>,
}

impl Eyes {
    fn open(wake: SyncSender<()>) -> Eyes {
        let told = move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, is_change) {
                // Full: a look is due already.
                let _ = wake.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(told);
        if let Err(error) = &watcher {
            let seconds = limits::WATCH_RESCAN_INTERVAL.as_secs();
            tracing::warn!("changes of directories are seen only every {seconds} s: the system tells none: {error}");
        }
        Eyes { watcher: watcher.ok(), watched: HashMap::new() }
    }

    fn turn_to(&mut self, directories: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        for directory in directories {
            let now = identity(directory);
            if now == self.watched.get(directory).copied() {
                continue;
            }
            if self.watched.remove(directory).is_some() {
                // The directory may be gone, and its watch with it.
                let _ = watcher.unwatch(directory);
            }
            let Some(identity) = now else { continue };
            match watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(directory.clone(), identity)),
                Err(error) => {
                    tracing::warn!(directory = %directory.display(), "directory is looked at only now and then: {error}");
                }
            }
        }
    }
}

fn identity(directory: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(directory).ok().map(|about| (about.dev(), about.ino()))
}

/// Whether something may have changed: files are opened and closed by weir itself, too.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
