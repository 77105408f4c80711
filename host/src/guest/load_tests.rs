//! Files that are no plugins: each is told apart in one sentence that names the file and the way out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use super::super::fixture::{Scratch, Spec};
use super::*;

fn inspect(bytes: &[u8]) -> Result<Inspection> {
    Source::new(Path::new("plugins/x.wasm"), bytes.to_vec()).inspect()
}

#[track_caller]
fn refused(bytes: &[u8], expected: &str) {
    let error = inspect(bytes).unwrap_err();
    assert_eq!(error.kind(), Kind::PluginInvalid);
    assert_eq!(error.to_string(), format!("plugins/x.wasm {expected}"));
}

fn text_component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn the_interface_version_is_that_of_the_wit() {
    let (major, minor, patch) = INTERFACE_VERSION;
    let wit = include_str!("../../../wit/v0/plugin.wit");
    assert!(wit.contains(&format!("package weir:plugin@{major}.{minor}.{patch};")));
}

#[test]
fn a_component_tells_its_imports_and_exports() {
    let stateless = inspect(&Spec::default().component()).unwrap();
    assert_eq!((stateless.interface.as_str(), stateless.has_state), ("0.1.0", false));
    assert!(stateless.exports.contains(&"weir:plugin/transform@0.1.0".to_owned()), "{:?}", stateless.exports);
    assert!(stateless.imports.contains(&"weir:plugin/output@0.1.0".to_owned()), "{:?}", stateless.imports);
    assert!(inspect(&Spec { state: true, ..Spec::default() }.component()).unwrap().has_state);
}

#[test]
fn what_is_no_webassembly_is_told_by_its_first_bytes() {
    refused(b"", "is empty: copy the whole file");
    refused(
        b"(module)\n;; text",
        "is not WebAssembly: it begins with \"(module)\\n;; text\"; build it with `weir plugin build`",
    );
    refused(b"\x7fELF", "is not WebAssembly: it begins with \"\\u{7f}ELF\"; build it with `weir plugin build`");
    refused(b"\0as", "ends in the middle, after 3 bytes: copy the whole file");
    refused(b"\0asm\x0d\0", "ends in the middle, after 6 bytes: copy the whole file");
    refused(
        b"\0asm\x07\0\0\0rest",
        "is WebAssembly of a layout that weir does not know ([07, 00, 00, 00]): build it with `weir plugin build`",
    );
}

#[test]
fn a_core_module_is_no_component() {
    let module = wat::parse_str("(module)").unwrap();
    refused(&module, "is a core WebAssembly module, not a component: build it with `weir plugin build`");
}

#[test]
fn a_file_cut_anywhere_is_refused_and_never_panics() {
    let whole = Spec::default().component();
    let mut in_the_middle = 0;
    for cut in (8..whole.len()).step_by(7) {
        let error = inspect(&whole[..cut]).unwrap_err().to_string();
        in_the_middle +=
            usize::from(error.contains(&format!("ends in the middle, after {cut} bytes: copy the whole file")));
    }
    assert!(in_the_middle * 10 > whole.len() / 7 * 9, "{in_the_middle} of {} cuts are told as such", whole.len() / 7);
}

#[test]
fn a_damaged_file_names_the_byte() {
    let mut damaged = Spec::default().component();
    let at = damaged.len() / 2;
    damaged[at..at + 8].fill(0xff);
    let error = inspect(&damaged).unwrap_err().to_string();
    assert!(error.contains("is damaged or uses what weir has switched off") && error.contains(" at byte "), "{error}");
}

#[test]
fn imports_outside_of_the_interface_are_listed_with_the_build_that_removes_them() {
    let wasi = text_component(
        r#"(component
            (import "wasi:cli/environment@0.2.6" (instance))
            (import "weir:plugin/output@0.1.0" (instance))
            (import "wasi:clocks/wall-clock@0.2.6" (instance)))"#,
    );
    refused(
        &wasi,
        "imports wasi:cli/environment@0.2.6, wasi:clocks/wall-clock@0.2.6, which plugins do not get: build it for \
         wasm32-unknown-unknown with `weir plugin build`, without WASI (componentize-py: --stub-wasi; \
         componentize-js: disable all features)",
    );
}

#[test]
fn other_versions_of_the_interface_say_who_has_to_change() {
    let of =
        |version: &str| text_component(&format!(r#"(component (import "weir:plugin/output@{version}" (instance)))"#));
    for other in ["0.2.0", "1.0.0", "0.1.0-rc.1"] {
        refused(
            &of(other),
            &format!(
                "was built for weir:plugin {other}, but this weir runs 0.1: build it again with the SDK of this weir"
            ),
        );
    }
    refused(&of("0.1.3"), "needs weir:plugin 0.1.3, but this weir offers 0.1.0: use a newer weir");
    refused(&of("0.1.0"), "exports no weir:plugin/transform@0.1.0, which every plugin must");
}

#[test]
fn what_the_engine_has_switched_off_is_refused_before_it_compiles() {
    for (inside, what) in [
        ("(memory 1 1 shared)", "threads"),
        ("(memory i64 1)", "memory64"),
        ("(memory 1) (memory 1)", "multiple memories"),
        ("(func return_call 0)", "tail call"),
    ] {
        let bytes = text_component(&format!("(component (core module {inside}))"));
        let error = inspect(&bytes).unwrap_err().to_string();
        assert!(error.contains("switched off") && error.contains(what), "{inside}: {error}");
    }
}

#[test]
fn files_are_regular_and_bounded() {
    let dir = Scratch::new("load");
    let real = dir.path().join("real.wasm");
    std::fs::write(&real, Spec::default().component()).unwrap();
    let source = Source::open(&real).unwrap();
    assert_eq!((source.digest, source.name()), (Digest::of(&source.bytes), "real.wasm".to_owned()));
    let link = dir.path().join("link.wasm");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert!(Source::open(&link).unwrap_err().to_string().contains("is a symbolic link"));
    assert!(Source::open(dir.path()).unwrap_err().to_string().contains("is no regular file"));
    assert!(Source::open(&dir.path().join("none.wasm")).unwrap_err().to_string().contains("cannot be opened"));
    let large = dir.path().join("large.wasm");
    File::create(&large).unwrap().set_len(limits::COMPONENT_BYTES_MAX as u64 + 1).unwrap();
    assert!(Source::open(&large).unwrap_err().to_string().contains("is larger than 64 MiB"));
}
