//! Directories of plugins: what is found, in which version, and what is said about the rest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use super::super::fixture::{Scratch, Spec, compiler, description};
use super::*;

fn place(directory: &Path, file: &str, id: &str, version: &str) {
    let spec = Spec { description: description(id, version), ..Spec::default() };
    std::fs::write(directory.join(file), spec.component()).unwrap();
}

fn scan(directories: &[&Path]) -> Catalog {
    let directories: Vec<PathBuf> = directories.iter().map(|directory| directory.to_path_buf()).collect();
    Catalog::scan(compiler(), &directories)
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
    let reasons: Vec<String> = catalog.refused().iter().map(|refused| refused.error.to_string()).collect();
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
    let error = Catalog::default().find("sma", None, &|_| true).unwrap_err();
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
fn of_two_contents_under_one_version_the_first_counts() {
    let (first, second) = (Scratch::new("catalog"), Scratch::new("catalog"));
    place(first.path(), "avg.wasm", "avg", "1.0.0");
    place(second.path(), "copy.wasm", "avg", "1.0.0");
    let other = Spec { description: description("avg", "1.0.0"), pages: 9, ..Spec::default() };
    std::fs::write(second.path().join("other.wasm"), other.component()).unwrap();
    let catalog = scan(&[first.path(), second.path()]);
    assert_eq!(catalog.plugins().len(), 1, "an equal copy is the same plugin");
    assert_eq!(catalog.find("avg", None, &|_| true).unwrap().file(), first.path().join("avg.wasm"));
    let reasons: Vec<String> = catalog.refused().iter().map(|refused| refused.error.to_string()).collect();
    assert!(
        matches!(reasons.as_slice(), [one] if one.contains("with other content: give one of them another version")),
        "{reasons:?}"
    );
}

#[test]
fn a_directory_that_cannot_be_read_is_said() {
    let scratch = Scratch::new("catalog");
    let catalog = scan(&[&scratch.path().join("missing")]);
    let refused = &catalog.refused()[0].error;
    assert!(refused.to_string().contains("missing cannot be read"), "{refused}");
}
