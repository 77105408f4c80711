//! Files and directories of them: what is found, what is said of each, and of files together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use tempfile::TempDir;

use super::super::testing::Table;
use super::*;

fn text(name: &str) -> String {
    format!("name: {name}\ntopics: t\nconnector.class: ConsoleSink\nvalue.converter: string\n")
}

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

fn no_settings(_: &Transform) -> Vec<Problem> {
    Vec::new()
}

/// Loads a directory; what is said, with the directory's own path cut off.
fn told(directory: &TempDir) -> Vec<String> {
    let found = find(&[directory.path().to_owned()]).unwrap();
    let files = load(&found, &Table::default(), &no_settings);
    let prefix = format!("{}/", directory.path().display());
    files.iter().flat_map(CheckedFile::report).map(|line| line.replace(&prefix, "")).collect()
}

#[test]
fn finds_yaml_files_in_order_and_passes_over_others() {
    let directory = directory(&[
        ("b.yml", b""),
        ("a.yaml", b""),
        (".hidden.yaml", b""),
        ("notes.txt", b""),
        ("a.yaml~", b""),
        ("yaml", b""),
    ]);
    fs::create_dir(directory.path().join("c.yaml")).unwrap();
    let names: Vec<_> =
        find(&[directory.path().to_owned()]).unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["a.yaml", "b.yml"]);
    let explicit = directory.path().join("notes.txt");
    assert_eq!(find(std::slice::from_ref(&explicit)).unwrap(), [explicit]);
}

#[test]
fn a_path_that_is_not_there_is_an_error() {
    let error = find(&[PathBuf::from("/nowhere/at/all")]).unwrap_err();
    assert_eq!(error.to_string(), "`/nowhere/at/all` cannot be read: No such file or directory (os error 2)");
}

#[test]
fn loads_every_pipeline_of_a_directory() {
    let directory = directory(&[("a.yaml", text("a").as_bytes()), ("b.yaml", text("b").as_bytes())]);
    let found = find(&[directory.path().to_owned()]).unwrap();
    let (pipelines, refused) = part(load(&found, &Table::default(), &no_settings));
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn reports_all_mistakes_of_all_files_at_once() {
    let directory = directory(&[
        ("a.yaml", b"name: a\ntopics: t\nconnector.class: ConsoleSink\nvalue.converter: string\ntasks.max: x\n"),
        ("b.yaml", b"name: b\ntopics: [\n"),
        ("c.yaml", b"name: c\n\xff"),
        ("d.yaml", text("d").as_bytes()),
    ]);
    let expected = [
        "a.yaml:5: tasks.max: takes a whole number from 1 to 1024, not `x`; for example `tasks.max: 2`",
        "b.yaml:2: is no YAML: unclosed bracket '['; correct the line, or put the value in quotes",
        "c.yaml:2: byte 8 of the file is no UTF-8; save the file as UTF-8",
    ];
    assert_eq!(told(&directory), expected);
    let found = find(&[directory.path().to_owned()]).unwrap();
    let (pipelines, refused) = part(load(&found, &Table::default(), &no_settings));
    assert_eq!(pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect::<Vec<_>>(), ["d"], "the others run");
    let names: Vec<String> = refused.iter().map(CheckedFile::name).collect();
    assert_eq!(names, ["a", "b.yaml", "c.yaml"], "a pipeline whose name cannot be read goes by its file");
    let error = refused[0].error();
    assert_eq!(error.kind(), Kind::Config);
    assert_eq!(error.to_string().replace(&format!("{}/", directory.path().display()), ""), expected[0]);
    assert_eq!(refused[0].raw["tasks.max"], "x");
}

#[test]
fn files_of_one_name_are_all_refused_each_naming_another() {
    let directory = directory(&[
        ("a.yaml", text("same").as_bytes()),
        ("b.yaml", format!("# b\n{}tasks.max: x\n", text("same")).as_bytes()),
        ("c.yaml", text("same").as_bytes()),
    ]);
    let expected = [
        "a.yaml:1: name: `same` is also the name of the pipeline in b.yaml:2; give each pipeline a name of its own",
        "b.yaml:2: name: `same` is also the name of the pipeline in a.yaml:1; give each pipeline a name of its own",
        "b.yaml:6: tasks.max: takes a whole number from 1 to 1024, not `x`; for example `tasks.max: 2`",
        "c.yaml:1: name: `same` is also the name of the pipeline in a.yaml:1; give each pipeline a name of its own",
    ];
    assert_eq!(told(&directory), expected);
    let found = find(&[directory.path().to_owned()]).unwrap();
    let (pipelines, refused) = part(load(&found, &Table::default(), &no_settings));
    assert_eq!((pipelines.len(), refused.len()), (0, 3), "which one is meant nobody can tell");
}

#[test]
fn a_file_too_large_is_not_read() {
    let directory = directory(&[("a.yaml", &vec![b'#'; FILE_BYTES_MAX as usize + 1])]);
    assert_eq!(
        told(&directory),
        ["a.yaml: the file has 1048577 bytes, and a pipeline has at most 1048576; give the file of a pipeline"]
    );
}

#[test]
fn settings_are_checked_beside_other_mistakes_and_placed_at_their_lines() {
    let text = format!(
        "{}tasks.max: x\ntransforms:\n- name: sma\n  type: sma\n  window: 0\n- name: no\n  type: nope\n",
        text("a")
    );
    let settings = |transform: &Transform| match transform.class.as_str() {
        "sma" => vec![
            Problem::new("window", "takes 1 to 100000 rows, not `0`", "for example `window: 50`"),
            Problem::new("value.field", "is missing", "name the field"),
        ],
        _ => vec![Problem::new("", "names no plugin", "put it into the plugin directory")],
    };
    let file = check(PathBuf::from("a.yaml"), &text, &Table::default(), &settings);
    assert!(file.pipeline.is_none());
    assert_eq!(
        file.report().collect::<Vec<_>>(),
        [
            "a.yaml:5: tasks.max: takes a whole number from 1 to 1024, not `x`; for example `tasks.max: 2`",
            "a.yaml:8: transforms.sma.value.field: is missing; name the field",
            "a.yaml:9: transforms.sma.window: takes 1 to 100000 rows, not `0`; for example `window: 50`",
            "a.yaml:11: transforms.no.type: names no plugin; put it into the plugin directory",
        ]
    );
}
