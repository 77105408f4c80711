//! Directories of plugins: what is found, in which version, and what is said about the rest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::super::copies::Copies;
use super::super::fixture::{Scratch, Spec, compiler, description};
use super::*;

/// A plugin's bytes; `variant` tells those of one version apart.
fn component(id: &str, version: &str, variant: u32) -> Vec<u8> {
    Spec { description: description(id, version), pages: 4 + variant, ..Spec::default() }.component()
}

fn place(directory: &Path, file: &str, id: &str, version: &str) {
    fs::write(directory.join(file), component(id, version, 0)).unwrap();
}

/// Puts a file in place as a careful copier does: whole, by its name.
fn rename_into(directory: &Path, file: &str, bytes: &[u8]) {
    let aside = directory.join("aside.part");
    fs::write(&aside, bytes).unwrap();
    fs::rename(aside, directory.join(file)).unwrap();
}

/// Says that a file was last written so many seconds into a fixed day.
fn written_at(file: &Path, second: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second);
    File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

fn scan(directories: &[&Path]) -> Catalog {
    let directories: Vec<PathBuf> = directories.iter().map(|directory| directory.to_path_buf()).collect();
    Catalog::scan(compiler().clone(), &directories)
}

/// Id, version and digest of plugins.
fn names(plugins: &[Arc<Plugin>]) -> Vec<(String, String, Digest)> {
    let name = |p: &Arc<Plugin>| (p.manifest().id.clone(), p.manifest().version.to_string(), p.digest());
    plugins.iter().map(name).collect()
}

fn reasons(refused: &[Refused]) -> Vec<String> {
    refused.iter().map(|refused| refused.error.to_string()).collect()
}

#[test]
fn the_newest_version_within_the_range_is_taken() {
    let scratch = Scratch::new("catalog");
    for version in ["1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1"] {
        place(scratch.path(), &format!("avg-{version}.wasm"), "avg", version);
    }
    place(scratch.path(), "other.wasm", "other", "7.0.0");
    let catalog = scan(&[scratch.path()]);
    assert_eq!((catalog.plugins().len(), catalog.refused().len()), (5, 0));
    let version = |range: Option<&str>| catalog.find("avg", range, &|_| true).unwrap().manifest().version.to_string();
    assert_eq!(version(None), "2.0.0-rc.1");
    assert_eq!(version(Some("[1.0,2.0-alpha)")), "1.10.0");
    assert_eq!(version(Some("1.9.0")), "1.9.0");
    let error = catalog.find("avg", Some("[3,)"), &|_| true).unwrap_err();
    assert_eq!(error.kind(), Kind::PluginMissing);
    assert_eq!(error.to_string(), "plugin avg has no version within [3,); found: 1.0.0, 1.10.0, 1.9.0, 2.0.0-rc.1");
    assert_eq!(catalog.find("avg", Some("[1"), &|_| true).unwrap_err().kind(), Kind::Config);
}

#[test]
fn a_bad_file_is_kept_with_its_reason_and_hides_no_good_one() {
    let scratch = Scratch::new("catalog");
    place(scratch.path(), "b.wasm", "avg", "1.0.0");
    std::fs::write(scratch.path().join("a.wasm"), b"not wasm").unwrap();
    std::fs::write(scratch.path().join("c.wasm.part"), b"half a file").unwrap();
    std::fs::write(scratch.path().join(".d.wasm"), b"an editor's file").unwrap();
    let traps = Spec { on_describe: "(unreachable)".to_owned(), ..Spec::default() };
    std::fs::write(scratch.path().join("z.wasm"), traps.component()).unwrap();
    let catalog = scan(&[scratch.path()]);
    assert_eq!(catalog.plugins().len(), 1);
    let reasons = reasons(&catalog.refused());
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("a.wasm is not WebAssembly"), "{reasons:?}");
    assert!(reasons[1].contains("plugin file z.wasm trapped in describe"), "{reasons:?}");
}

#[test]
fn a_missing_plugin_names_the_directories_and_what_they_hold() {
    let (first, second) = (Scratch::new("catalog"), Scratch::new("catalog"));
    place(first.path(), "avg.wasm", "avg", "1.0.0");
    place(second.path(), "max.wasm", "max", "1.0.0");
    std::fs::write(second.path().join("min.wasm"), b"").unwrap();
    let error = scan(&[first.path(), second.path()]).find("sma", None, &|_| true).unwrap_err();
    let (first, second) = (first.path().display(), second.path().display());
    assert_eq!(
        error.to_string(),
        format!(
            "transform type sma is neither built in nor in {first}, {second}, which hold only avg, max \
             (refused: {second}/min.wasm is empty: copy the whole file)"
        )
    );
    let error = scan(&[]).find("sma", None, &|_| true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "transform type sma is neither built in nor a plugin, as no plugin directory is given"
    );
}

#[test]
fn a_refused_file_of_the_plugins_name_is_the_reason() {
    let scratch = Scratch::new("catalog");
    for file in ["sma-1.0.0.wasm", "sma-like-2.0.0.wasm", "max.wasm"] {
        std::fs::write(scratch.path().join(file), b"").unwrap();
    }
    let catalog = scan(&[scratch.path()]);
    for (id, file) in [("sma", "sma-1.0.0.wasm"), ("sma-like", "sma-like-2.0.0.wasm"), ("max", "max.wasm")] {
        let error = catalog.find(id, None, &|_| true).unwrap_err();
        assert_eq!(error.kind(), Kind::PluginInvalid);
        let expected = format!("{} is empty: copy the whole file", scratch.path().join(file).display());
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(catalog.find("sm", None, &|_| true).unwrap_err().kind(), Kind::PluginMissing);
}

#[test]
fn of_two_contents_of_one_version_the_one_written_last_counts() {
    let (first, second) = (Scratch::new("catalog"), Scratch::new("catalog"));
    let files = [first.path().join("avg.wasm"), second.path().join("copy.wasm"), second.path().join("other.wasm")];
    let contents = [component("avg", "1.0.0", 0), component("avg", "1.0.0", 0), component("avg", "1.0.0", 5)];
    for (seconds, last) in [([1, 2, 3], 2), ([3, 1, 2], 0), ([1, 3, 2], 1)] {
        for ((file, content), second) in files.iter().zip(&contents).zip(seconds) {
            fs::write(file, content).unwrap();
            written_at(file, second);
        }
        let catalog = scan(&[first.path(), second.path()]);
        assert_eq!((catalog.plugins().len(), catalog.refused().len()), (2, 0), "an equal copy is the same plugin");
        assert_eq!(catalog.find("avg", None, &|_| true).unwrap().digest(), Digest::of(&contents[last]), "{seconds:?}");
    }
}

#[test]
fn a_replacement_of_the_same_version_counts_as_newer_and_so_does_the_old_one_put_back() {
    let scratch = Scratch::new("catalog");
    let (old, new) = (component("avg", "1.0.0", 0), component("avg", "1.0.0", 7));
    rename_into(scratch.path(), "avg.wasm", &old);
    let catalog = scan(&[scratch.path()]);
    let speaking = catalog.find("avg", None, &|_| true).unwrap();
    rename_into(scratch.path(), "avg.wasm", &new);
    let change = catalog.rescan();
    assert_eq!(names(&change.found), [("avg".to_owned(), "1.0.0".to_owned(), Digest::of(&new))]);
    assert!(change.gone.is_empty() && change.refused.is_empty());
    assert_eq!(catalog.find("avg", None, &|_| true).unwrap().digest(), Digest::of(&new));
    // Written long before, and yet it came later.
    rename_into(scratch.path(), "earlier.wasm", &old);
    written_at(&scratch.path().join("earlier.wasm"), 0);
    let change = catalog.rescan();
    assert_eq!(names(&change.found), [("avg".to_owned(), "1.0.0".to_owned(), Digest::of(&old))]);
    let again = catalog.find("avg", None, &|_| true).unwrap();
    assert!(Arc::ptr_eq(&again, &speaking), "bytes that are known are not compiled again");
    assert_eq!(catalog.plugins().len(), 2);
}

#[test]
fn a_rescan_without_changes_says_nothing() {
    let scratch = Scratch::new("catalog");
    place(scratch.path(), "a.wasm", "avg", "1.0.0");
    fs::write(scratch.path().join("b.wasm"), b"not wasm").unwrap();
    let catalog = scan(&[scratch.path()]);
    for _ in 0..2 {
        let change = catalog.rescan();
        assert!(change.is_empty() && change.unsettled.is_empty(), "{change:?}");
    }
    assert_eq!((catalog.plugins().len(), catalog.refused().len()), (1, 1));
}

#[test]
fn names_and_rights_mean_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("catalog");
    let (old, new) = (scratch.path().join("old.wasm"), scratch.path().join("new.wasm"));
    fs::write(&old, component("avg", "1.0.0", 0)).unwrap();
    fs::write(&new, component("avg", "1.0.0", 1)).unwrap();
    written_at(&old, 1);
    written_at(&new, 2);
    let catalog = scan(&[scratch.path()]);
    let newest = catalog.find("avg", None, &|_| true).unwrap();
    fs::rename(&old, scratch.path().join("renamed.wasm")).unwrap();
    let change = catalog.rescan();
    assert!(change.found.is_empty(), "a name says nothing of what came last: {change:?}");
    assert_eq!(change.gone, [old]);
    fs::set_permissions(scratch.path().join("renamed.wasm"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(catalog.rescan().is_empty());
    assert!(Arc::ptr_eq(&catalog.find("avg", None, &|_| true).unwrap(), &newest));
}

#[test]
fn a_deleted_file_counts_no_more_and_what_runs_goes_on() {
    let scratch = Scratch::new("catalog");
    place(scratch.path(), "avg-1.wasm", "avg", "1.0.0");
    place(scratch.path(), "avg-2.wasm", "avg", "2.0.0");
    let catalog = scan(&[scratch.path()]);
    let running = catalog.find("avg", None, &|_| true).unwrap();
    assert_eq!(running.manifest().version.as_str(), "2.0.0");
    fs::remove_file(scratch.path().join("avg-2.wasm")).unwrap();
    assert_eq!(catalog.rescan().gone, [scratch.path().join("avg-2.wasm")]);
    assert_eq!(catalog.find("avg", None, &|_| true).unwrap().manifest().version.as_str(), "1.0.0");
}

#[test]
fn a_kept_copy_outlives_its_file_until_it_is_forgotten() {
    let (scratch, state) = (Scratch::new("catalog"), Scratch::new("state"));
    place(scratch.path(), "a.wasm", "avg", "1.0.0");
    place(scratch.path(), "b.wasm", "avg", "2.0.0");
    let copies = state.path().join("plugins");
    let catalog = scan(&[scratch.path()]).keeping(copies.clone());
    let find = |catalog: &Catalog, range| catalog.find("avg", range, &|_| true);
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| find(&catalog, Some(version)).unwrap());
    catalog.keep(&[Arc::clone(&old), Arc::clone(&new)]).unwrap();
    catalog.keep(&[Arc::clone(&new)]).unwrap();
    let copy = copies.join(format!("{}.wasm", new.digest()));
    let about = fs::metadata(&copy).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o7777, 0o600);
    for file in ["a.wasm", "b.wasm"] {
        fs::remove_file(scratch.path().join(file)).unwrap();
    }
    assert_eq!(catalog.rescan().gone.len(), 2);
    assert_eq!(find(&catalog, None).unwrap().digest(), new.digest());
    assert!(catalog.plugins().is_empty(), "a copy is no file of the directory");
    // Another process finds them as well.
    let later = scan(&[scratch.path()]).keeping(copies.clone());
    assert_eq!(find(&later, Some("1.0.0")).unwrap().digest(), old.digest());
    let left = copies.join(format!(".{}.wasm-1", new.digest()));
    fs::write(&left, b"half").unwrap();
    fs::write(copies.join("notes.txt"), b"an operator's").unwrap();
    later.forget(&[Arc::clone(&new)]).unwrap();
    assert!(!left.exists() && copies.join("notes.txt").exists());
    assert_eq!(find(&later, Some("1.0.0")).unwrap_err().kind(), Kind::PluginMissing);
    assert_eq!(find(&later, None).unwrap().digest(), new.digest());
    // One that is damaged is told and not used, and what lies in the directory is.
    fs::write(&copy, component("avg", "3.0.0", 0)).unwrap();
    let error = Copies::new(copies.clone()).read(new.digest()).unwrap_err().to_string();
    assert!(error.contains("is damaged: its content is "), "{error}");
    place(scratch.path(), "a.wasm", "avg", "1.0.0");
    let later = scan(&[scratch.path()]).keeping(copies.clone());
    assert_eq!(find(&later, None).unwrap().manifest().version.as_str(), "1.0.0");
}

#[test]
fn a_refused_file_is_looked_at_again_when_it_changes() {
    let scratch = Scratch::new("catalog");
    let file = scratch.path().join("avg.wasm");
    let whole = component("avg", "1.0.0", 0);
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let catalog = scan(&[scratch.path()]);
    let half = format!("{} ends in the middle, after {} bytes: copy the whole file", file.display(), whole.len() / 2);
    assert_eq!(reasons(&catalog.refused()), [half]);
    fs::write(&file, &whole).unwrap();
    let change = catalog.rescan();
    assert_eq!((change.found.len(), change.refused.len()), (1, 0));
    assert!(catalog.refused().is_empty());
    assert_eq!(catalog.find("avg", None, &|_| true).unwrap().digest(), Digest::of(&whole));
}

#[test]
fn a_plugin_that_is_overwritten_by_what_is_none_still_counts() {
    let scratch = Scratch::new("catalog");
    let file = scratch.path().join("avg.wasm");
    place(scratch.path(), "avg.wasm", "avg", "1.0.0");
    let catalog = scan(&[scratch.path()]);
    let before = catalog.find("avg", None, &|_| true).unwrap();
    for (round, bytes) in [&b"not wasm"[..], b"", b"\0as"].into_iter().enumerate() {
        fs::write(&file, bytes).unwrap();
        let change = catalog.rescan();
        assert_eq!((change.found.len(), change.refused.len(), change.gone.len()), (0, 1, 0), "round {round}");
        assert!(Arc::ptr_eq(&catalog.find("avg", None, &|_| true).unwrap(), &before));
        assert_eq!(catalog.refused().len(), 1);
    }
    fs::write(&file, component("avg", "1.1.0", 0)).unwrap();
    assert_eq!(catalog.rescan().found.len(), 1);
    assert_eq!(catalog.plugins().len(), 1);
    fs::remove_file(&file).unwrap();
    assert_eq!(catalog.rescan().gone, [file]);
    assert!(catalog.plugins().is_empty());
}

#[test]
fn what_was_refused_is_not_compiled_again() {
    let scratch = Scratch::new("catalog");
    let traps = Spec { on_describe: "(unreachable)".to_owned(), ..Spec::default() }.component();
    fs::write(scratch.path().join("a.wasm"), &traps).unwrap();
    let catalog = scan(&[scratch.path()]);
    let first = reasons(&catalog.refused());
    written_at(&scratch.path().join("a.wasm"), 1);
    assert!(catalog.rescan().is_empty(), "the same bytes are refused for the same reason, which is told once");
    fs::write(scratch.path().join("b.wasm"), &traps).unwrap();
    let copied = reasons(&catalog.rescan().refused);
    let [a, b] = ["a.wasm", "b.wasm"].map(|file| scratch.path().join(file).display().to_string());
    assert_eq!(copied, [format!("{b} is a copy of {a}: {}", first[0])]);
}

#[test]
fn a_file_that_is_being_written_is_left_until_it_has_settled() {
    let scratch = Scratch::new("catalog");
    let file = scratch.path().join("avg.wasm");
    let whole = component("avg", "1.0.0", 0);
    let catalog = scan(&[scratch.path()]);
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let writer = {
        let (file, whole) = (file.clone(), whole.clone());
        // Slow, and never long still.
        std::thread::spawn(move || {
            let mut part = 0;
            while ended.try_recv().is_err() {
                part = (part + 1) % whole.len();
                fs::write(&file, &whole[..part]).unwrap();
                std::thread::park_timeout(Duration::from_millis(5));
            }
            fs::write(&file, &whole).unwrap();
        })
    };
    while !file.exists() {
        std::thread::yield_now();
    }
    let change = catalog.rescan();
    assert_eq!((change.unsettled, change.found.len(), change.refused.len()), (vec![file], 0, 0));
    end.send(()).unwrap();
    writer.join().unwrap();
    assert_eq!(catalog.rescan().found.len(), 1);
}

#[test]
fn a_directory_that_vanishes_takes_no_plugin_with_it() {
    let scratch = Scratch::new("catalog");
    let (directory, away) = (scratch.path().join("plugins"), scratch.path().join("away"));
    fs::create_dir(&directory).unwrap();
    place(&directory, "avg.wasm", "avg", "1.0.0");
    let catalog = scan(&[&directory]);
    fs::rename(&directory, &away).unwrap();
    let change = catalog.rescan();
    assert_eq!((change.refused.len(), change.gone.len()), (1, 0));
    assert!(reasons(&change.refused)[0].contains("plugins cannot be read"), "{change:?}");
    assert!(catalog.rescan().is_empty(), "the alarm is given once");
    assert!(catalog.find("avg", None, &|_| true).is_ok());
    fs::rename(&away, &directory).unwrap();
    let change = catalog.rescan();
    assert!(change.is_empty(), "{change:?}");
    assert!(catalog.refused().is_empty());
}

#[test]
fn a_directory_that_cannot_be_read_is_said() {
    let scratch = Scratch::new("catalog");
    let catalog = scan(&[&scratch.path().join("missing")]);
    let refused = &catalog.refused()[0].error;
    assert!(refused.to_string().contains("missing cannot be read"), "{refused}");
}
