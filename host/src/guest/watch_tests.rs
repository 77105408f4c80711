//! Files that come one by one, at once, half, and without end, as a worker that watches them sees them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::super::fixture::{Scratch, Spec, compiler, description};
use super::*;

/// Long enough for any machine.
const WAIT: Duration = Duration::from_secs(60);

fn component(version: &str) -> Vec<u8> {
    Spec { description: description("avg", version), ..Spec::default() }.component()
}

/// A watched catalogue, and its changes.
fn watched(directories: &[PathBuf], pace: Pace) -> (Arc<Catalog>, Watch, Receiver<Change>) {
    let catalog = Arc::new(Catalog::scan(compiler().clone(), directories));
    let (told, changes) = mpsc::channel();
    let watch = watch(Arc::clone(&catalog), pace, move |change| told.send(change.clone()).unwrap_or_default());
    (catalog, watch.unwrap(), changes)
}

fn newest(catalog: &Catalog) -> String {
    catalog.find("avg", None, &|_| true).unwrap().manifest().version.to_string()
}

/// A pace at which nothing is found but by events.
fn by_events() -> Pace {
    Pace { rescan: Duration::from_secs(3_600), ..Pace::default() }
}

#[test]
fn a_storm_of_files_is_one_change() {
    let scratch = Scratch::new("watch");
    // A machine may stand still for longer than the quiet that is waited for otherwise.
    let pace = Pace { quiet: Duration::from_secs(1), storm_max: Duration::from_secs(50), ..by_events() };
    let (catalog, _watch, changes) = watched(&[scratch.path().to_owned()], pace);
    fs::write(scratch.path().join("a.wasm"), component("0.1.0")).unwrap();
    assert_eq!(changes.recv_timeout(WAIT).unwrap().found.len(), 1, "from here on it is watched");
    for number in 0..100 {
        let version = format!("1.0.{number}");
        let aside = scratch.path().join("part");
        fs::write(&aside, component(&version)).unwrap();
        fs::rename(&aside, scratch.path().join(format!("avg-{version}.wasm"))).unwrap();
    }
    let change = changes.recv_timeout(WAIT).unwrap();
    assert_eq!(change.found.len(), 100);
    assert_eq!(newest(&catalog), "1.0.99");
    // The next change is about what comes next, so nothing came between.
    fs::write(scratch.path().join("b.wasm"), component("2.0.0")).unwrap();
    let change = changes.recv_timeout(WAIT).unwrap();
    assert_eq!(change.found.len(), 1);
    assert_eq!(newest(&catalog), "2.0.0");
}

#[test]
fn a_storm_without_end_hides_no_plugin() {
    let scratch = Scratch::new("watch");
    let (catalog, _watch, changes) = watched(&[scratch.path().to_owned()], by_events());
    let (end, ended) = mpsc::channel::<()>();
    let busy = scratch.path().join("busy.wasm");
    let writer = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        while ended.try_recv().is_err() {
            bytes.push(0);
            fs::write(&busy, &bytes).unwrap();
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    fs::write(scratch.path().join("avg.wasm"), component("1.0.0")).unwrap();
    let change = changes.recv_timeout(WAIT).unwrap();
    assert_eq!((change.found.len(), newest(&catalog).as_str()), (1, "1.0.0"));
    end.send(()).unwrap();
    writer.join().unwrap();
    let change = changes.recv_timeout(WAIT).unwrap();
    assert!(change.refused[0].file.ends_with("busy.wasm"), "{change:?}");
}

#[test]
fn a_file_written_in_two_halves_is_found_whole() {
    use std::io::Write as _;
    let scratch = Scratch::new("watch");
    let (catalog, _watch, changes) = watched(&[scratch.path().to_owned()], by_events());
    let whole = component("1.0.0");
    let mut file = fs::File::create(scratch.path().join("avg.wasm")).unwrap();
    file.write_all(&whole[..whole.len() / 2]).unwrap();
    // Whoever copies it may pause for longer than a file has to be still.
    let change = changes.recv_timeout(WAIT).unwrap();
    assert!(change.refused[0].error.to_string().contains("ends in the middle"), "{change:?}");
    file.write_all(&whole[whole.len() / 2..]).unwrap();
    drop(file);
    let change = changes.recv_timeout(WAIT).unwrap();
    assert_eq!((change.found.len(), newest(&catalog).as_str()), (1, "1.0.0"));
}

#[test]
fn what_comes_goes_and_is_replaced_is_told() {
    let scratch = Scratch::new("watch");
    let file = scratch.path().join("avg.wasm");
    fs::write(&file, component("1.0.0")).unwrap();
    let (catalog, _watch, changes) = watched(&[scratch.path().to_owned()], by_events());
    fs::write(&file, component("1.1.0")).unwrap();
    assert_eq!(changes.recv_timeout(WAIT).unwrap().found.len(), 1);
    assert_eq!(newest(&catalog), "1.1.0");
    fs::remove_file(&file).unwrap();
    assert_eq!(changes.recv_timeout(WAIT).unwrap().gone, [file]);
    assert!(catalog.find("avg", None, &|_| true).is_err());
}

#[test]
fn directories_that_no_event_tells_of_are_looked_at_all_the_same() {
    let scratch = Scratch::new("watch");
    let later = scratch.path().join("later");
    let pace = Pace { rescan: Duration::from_millis(50), ..Pace::default() };
    let (catalog, _watch, changes) = watched(std::slice::from_ref(&later), pace);
    let place = |directory: &Path, version: &str| {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("avg.wasm"), component(version)).unwrap();
    };
    place(&later, "1.0.0");
    assert_eq!(changes.recv_timeout(WAIT).unwrap().found.len(), 1);
    // Another directory under the same name.
    fs::rename(&later, scratch.path().join("old")).unwrap();
    place(&later, "1.1.0");
    while newest(&catalog) != "1.1.0" {
        changes.recv_timeout(WAIT).unwrap();
    }
}

#[test]
fn the_thread_ends_with_its_watch() {
    let scratch = Scratch::new("watch");
    let (_catalog, watch, changes) = watched(&[scratch.path().to_owned()], by_events());
    drop(watch);
    // The other end of the channel is the thread's.
    assert_eq!(changes.recv_timeout(WAIT).unwrap_err(), mpsc::RecvTimeoutError::Disconnected);
}
