//! The code cache and the compiling child: what is trusted, what is compiled again, what a broken child costs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail by panic")]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::super::fixture::{Scratch, Spec, compiler};
use super::*;

fn source() -> Source {
    Source::new(Path::new("x.wasm"), Spec::default().component())
}

fn engine() -> Engine {
    compiler().engine().clone()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A cache directory that holds the code of [`source`].
fn warm(scratch: &Scratch) -> (Compiler, PathBuf) {
    let directory = scratch.path().join("cache");
    let compiler = Compiler::new(engine(), None, Some(&directory));
    compiler.component(&source()).unwrap();
    let files = files(&directory);
    assert_eq!(files.len(), 1, "one file, nothing left aside: {files:?}");
    (compiler, files[0].clone())
}

/// A program that does this with a component on its standard input.
fn program(scratch: &Scratch, script: &str) -> PathBuf {
    let path = scratch.path().join("compiler");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn code_is_kept_privately_and_used_again() {
    let scratch = Scratch::new("cache");
    let (compiler, file) = warm(&scratch);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert!(file.file_name().unwrap().to_string_lossy().starts_with(&source().digest.to_string()));
    // With a program that always fails, only the cache can have given the component.
    let only_cached = Compiler { program: Some(program(&scratch, "exit 1")), ..compiler };
    only_cached.component(&source()).unwrap();
    let other = Source::new(Path::new("y.wasm"), Spec { pages: 9, ..Spec::default() }.component());
    assert!(only_cached.component(&other).is_err());
}

#[test]
fn damaged_code_is_compiled_again_and_mended() {
    let scratch = Scratch::new("cache");
    let (compiler, file) = warm(&scratch);
    let good = fs::read(&file).unwrap();
    for damage in [good[..good.len() / 2].to_vec(), Vec::new(), flipped(&good), b"something else".to_vec()] {
        fs::write(&file, &damage).unwrap();
        compiler.component(&source()).unwrap();
        assert!(whole(&fs::read(&file).unwrap()).is_some(), "the file is whole again");
    }
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    flipped
}

#[test]
fn code_that_others_could_have_written_is_not_trusted() {
    let scratch = Scratch::new("cache");
    let (compiler, file) = warm(&scratch);
    let cache = compiler.cache.as_ref().unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(cache.read(source().digest).is_none());
    let moved = scratch.path().join("elsewhere");
    fs::rename(&file, &moved).unwrap();
    fs::set_permissions(&moved, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&moved, &file).unwrap();
    assert!(cache.read(source().digest).is_none(), "a link is not followed");
    let directory = file.parent().unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let error = Cache::open(directory, &engine()).unwrap_err();
    assert!(error.to_string().contains("others may use it (mode 755); set it to 700"), "{error}");
}

#[test]
fn code_of_other_engines_and_builds_is_left_alone_until_replaced() {
    let scratch = Scratch::new("cache");
    let (compiler, file) = warm(&scratch);
    let old = file.with_file_name(format!("{}-0000000000000000-00.code", source().digest));
    let foreign = file.with_file_name("0000-other-component.code");
    fs::write(&old, b"old").unwrap();
    fs::write(&foreign, b"foreign").unwrap();
    fs::remove_file(&file).unwrap();
    compiler.component(&source()).unwrap();
    let mut left = vec![file.clone(), foreign];
    left.sort();
    assert_eq!(files(file.parent().unwrap()), left);
}

#[test]
fn without_a_usable_directory_everything_is_compiled() {
    let scratch = Scratch::new("cache");
    let blocked = scratch.path().join("a file");
    fs::write(&blocked, b"").unwrap();
    for directory in [None, Some(blocked.as_path())] {
        let compiler = Compiler::new(engine(), None, directory);
        assert!(compiler.cache.is_none());
        compiler.component(&source()).unwrap();
    }
}

#[test]
fn a_child_hands_over_the_code() {
    let scratch = Scratch::new("child");
    let code = precompiled::compile(&engine(), &source().bytes).unwrap();
    fs::write(scratch.path().join("code"), code.bytes()).unwrap();
    let script =
        format!("[ \"$1\" = compile-component ] && cat >/dev/null && cat {}", scratch.path().join("code").display());
    let compiler = Compiler::new(engine(), Some(program(&scratch, &script)), None);
    compiler.component(&source()).unwrap();
}

#[test]
fn a_child_that_cannot_be_started_is_done_without() {
    let compiler = Compiler::new(engine(), Some(PathBuf::from("/nonexistent/weir")), None);
    compiler.component(&source()).unwrap();
}

#[test]
fn a_child_that_fails_tells_why() {
    let scratch = Scratch::new("child");
    for (script, kind, expected) in [
        (
            "echo first >&2; echo 'bad section' >&2; exit 1",
            Kind::PluginInvalid,
            "x.wasm cannot be compiled: bad section",
        ),
        ("cat >/dev/null", Kind::PluginInvalid, "x.wasm cannot be compiled: it gave no reason"),
        (
            "kill -ABRT $$",
            Kind::PluginLimit,
            "x.wasm cannot be compiled within 120 s of processor time and 4096 MiB of memory (plugin.compile.ms, \
             plugin.compile.memory): it gave no reason",
        ),
    ] {
        let compiler = Compiler::new(engine(), Some(program(&scratch, script)), None);
        let Err(error) = compiler.component(&source()) else { panic!("{script} compiled something") };
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, expected), "{script}");
    }
}

#[test]
fn a_child_that_does_not_end_is_killed() {
    let scratch = Scratch::new("child");
    let endless = program(&scratch, "exec tail -f /dev/null");
    let bounds = CompileBounds { time_max: Duration::from_millis(50), ..CompileBounds::default() };
    let killed = compile::in_child(&endless, b"component", &bounds);
    assert!(
        matches!(killed, Err(ChildError::Failed(Kind::PluginLimit, what)) if what == "could not be compiled within 50ms (plugin.compile.ms)")
    );
}
