//! The tree keeps its rules. They are a ratchet, not a goal: a rule that turns out wrong is changed here, with the reason.

mod source;
mod walls;

use std::collections::BTreeSet;
use std::fs;

use weir::failpoint::{Point, points};
use weir_tests::environment::repository;

use self::source::{
    Function, Source, attributes, files, functions, has_extension, identifier, line, paths, sources, words,
};

/// What lies at the top; tool settings are dotfiles.
const TOP: [&str; 9] =
    ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "examples", "host", "plugins", "rust-toolchain.toml", "wit"];
const FILE_LINES_MAX: usize = 800;
const FILE_LINES_MEDIAN: usize = 200;
const FILE_LINES_P90: usize = 450;
const FUNCTION_LINES_MAX: usize = 70;
const FUNCTION_LINES_P90: usize = 40;
/// Files that are one table and may be as long as it is.
const TABLES: [&str; 2] = ["host/src/config/keys.rs", "host/src/metrics.rs"];
const BLOB_BYTES_MAX: u64 = 256 << 10;

/// Files with `unsafe`; each says in a SAFETY comment why it is sound.
const UNSAFE: [&str; 3] = ["host/src/guest/precompiled.rs", "host/src/kafka/bulk.rs", "host/src/kafka/topics.rs"];

/// Names of files that say nothing of what is inside.
const EMPTY_NAMES: [&str; 5] = ["utils", "util", "common", "helpers", "misc"];

/// What no file contains, and why. Written in two halves, so that this list does not contain it either.
const FORBIDDEN: [(&str, &str, &str); 9] = [
    ("TO", "DO", "finish it or leave it"),
    ("FIX", "ME", "finish it or leave it"),
    ("XX", "X", "finish it or leave it"),
    ("#[ig", "nore", "a test runs or does not exist"),
    ("#[should", "_panic", "assert the error itself"),
    ("thread::", "sleep", "wait for the event"),
    ("/wo", "rk/", "no paths of one machine"),
    ("/ro", "ot/", "no paths of one machine"),
    ("/ho", "me/", "no paths of one machine"),
];

fn show(wrong: &[String]) -> String {
    format!("{} places:\n{}", wrong.len(), wrong.join("\n"))
}

fn at(source: &Source, place: usize) -> String {
    format!("{}:{}", source.path, line(&source.text, place))
}

#[test]
fn the_top_level_holds_what_the_design_names() {
    let top: BTreeSet<String> = paths().iter().map(|path| path.split('/').next().unwrap().to_owned()).collect();
    let unknown: Vec<_> = top
        .into_iter()
        .filter(|name| !name.starts_with('.') && name != "tests" && !TOP.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "beside the rooms at the top: {unknown:?}");
}

#[test]
fn every_file_begins_with_what_it_is() {
    let bare = sources()
        .into_iter()
        .filter(|source| source.text.lines().next().is_none_or(|first| first.len() < 20 || !first.starts_with("//! ")));
    let bare: Vec<_> = bare.map(|source| source.path).collect();
    assert!(bare.is_empty(), "files without a module doc on line 1: {}", show(&bare));
}

#[test]
fn files_and_functions_stay_small() {
    let mut wrong = Vec::new();
    let (mut file_lines, mut function_lines) = (Vec::new(), Vec::new());
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX && !TABLES.contains(&source.path.as_str()) {
            wrong.push(format!("{}: {lines} lines, {FILE_LINES_MAX} at most", source.path));
        }
        file_lines.push(lines);
        for Function { name, line, lines } in functions(&source.code) {
            if lines > FUNCTION_LINES_MAX {
                let found = format!("{name} has {lines} lines, {FUNCTION_LINES_MAX} at most");
                wrong.push(format!("{}:{line}: {found}", source.path));
            }
            function_lines.push(lines);
        }
    }
    file_lines.sort_unstable();
    function_lines.sort_unstable();
    for (what, sorted, percent, most) in [
        ("half of the files", &file_lines, 50, FILE_LINES_MEDIAN),
        ("nine tenths of the files", &file_lines, 90, FILE_LINES_P90),
        ("nine tenths of the functions", &function_lines, 90, FUNCTION_LINES_P90),
    ] {
        let found = sorted[sorted.len() * percent / 100];
        println!("{what} have at most {found} lines, the limit is {most}");
        if found > most {
            wrong.push(format!("{what} have at most {found} lines, the limit is {most}"));
        }
    }
    assert!(wrong.is_empty(), "{}", show(&wrong));
}

#[test]
fn nothing_forbidden_is_written() {
    let mut wrong = Vec::new();
    // Clippy's settings name what they forbid; tables of cases are data.
    let is_text = |path: &str| path != ".clippy.toml" && path.rsplit('.').next() != Some("tsv");
    for file in files().into_iter().filter(|file| is_text(&file.path)) {
        for (head, tail, why) in FORBIDDEN {
            let phrase = format!("{head}{tail}");
            let found: Vec<usize> = if phrase.chars().all(char::is_alphabetic) {
                words(&file.text, &phrase).collect()
            } else {
                file.text.match_indices(&phrase).map(|(at, _)| at).collect()
            };
            let place = |at| format!("{}:{}: {phrase}: {why}", file.path, line(&file.text, at));
            wrong.extend(found.into_iter().map(place));
        }
        let stem = file.path.rsplit('/').find(|part| !part.starts_with("mod.")).unwrap_or_default();
        if EMPTY_NAMES.contains(&stem.split('.').next().unwrap_or_default()) {
            wrong.push(format!("{}: a name that says nothing", file.path));
        }
    }
    assert!(wrong.is_empty(), "{}", show(&wrong));
}

#[test]
fn tests_wait_for_what_happens_and_not_for_time() {
    let pause = concat!("time::", "sleep");
    let tests = sources().into_iter().filter(|source| source.is_test);
    let wrong: Vec<_> = tests
        .flat_map(|source| words(&source.code, pause).map(|place| at(&source, place)).collect::<Vec<_>>())
        .collect();
    assert!(wrong.is_empty(), "{}", show(&wrong));
}

#[test]
fn unsafe_code_is_where_it_is_known_and_argued() {
    let sources = sources();
    let has_unsafe = |source: &&Source| words(&source.code, "unsafe").next().is_some();
    let found: BTreeSet<&str> = sources.iter().filter(has_unsafe).map(|source| source.path.as_str()).collect();
    assert_eq!(found, BTreeSet::from(UNSAFE), "files with unsafe code");
    for source in sources.iter().filter(has_unsafe) {
        let argued = source.text.matches("SAFETY").count() + source.text.matches("# Safety").count();
        assert!(argued > 0, "{} has no SAFETY comment", source.path);
    }
}

#[test]
fn what_is_allowed_has_a_reason() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (place, attribute) in attributes(&source.code) {
            let silences = ["allow", "expect"]
                .iter()
                .any(|name| words(attribute, name).any(|at| attribute[at + name.len()..].starts_with('(')));
            if silences && words(attribute, "reason").next().is_none() {
                wrong.push(at(&source, place));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", show(&wrong));
}

#[test]
fn no_file_is_a_blob() {
    let size = |path: &String| fs::metadata(repository().join(path)).map_or(0, |metadata| metadata.len());
    let wrong: Vec<_> = paths().into_iter().filter(|path| size(path) > BLOB_BYTES_MAX).collect();
    assert!(wrong.is_empty(), "larger than {BLOB_BYTES_MAX} bytes: {}", show(&wrong));
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| has_extension(&file.path, "md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, _) in file.text.match_indices("](") {
            let target = file.text[at + 2..].split([')', '#']).next().unwrap();
            let outside = target.contains("://") || target.is_empty();
            if !outside && !repository().join(folder).join(target).exists() {
                wrong.push(format!("{}:{}: {target}", file.path, line(&file.text, at)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", show(&wrong));
}

#[test]
fn commands_of_the_readme_exist() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let commands: BTreeSet<&str> =
        readme.split_whitespace().filter_map(|word| word.trim_matches('`').strip_prefix("./")).collect();
    for command in ["examples/quickstart/run", "tests/run"] {
        assert!(commands.contains(command), "README does not name ./{command}");
    }
    for command in commands {
        assert!(repository().join(command).is_file(), "README names ./{command}, which is not there");
    }
}

/// Names of all test functions.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources() {
        for marker in ["#[test]", "#[tokio::test"] {
            for (at, _) in source.code.match_indices(marker) {
                let Some(name) = words(&source.code[at..], "fn").next() else {
                    continue;
                };
                names.insert(identifier(source.code[at + name + 2..].trim_start()).to_owned());
            }
        }
    }
    names
}

#[test]
fn each_failpoint_is_placed_once() {
    let host: Vec<Source> = sources()
        .into_iter()
        .filter(|source| source.path.starts_with("host/src/") && source.path != "host/src/failpoint.rs")
        .collect();
    let places =
        |point: &Point| host.iter().map(|source| words(&source.code, &format!("Point::{point:?}")).count()).sum();
    let wrong: Vec<(&Point, usize)> =
        points().iter().map(|point| (point, places(point))).filter(|(_, places)| *places != 1).collect();
    assert!(wrong.is_empty(), "failpoints with so many places: {wrong:?}");
}

/// Faults that are known from the field, and how many of them a test has to meet.
const FAULTS: usize = 50;
const FAULTS_TESTED_MIN: usize = 40;

#[test]
fn each_fault_names_its_tests_or_the_reason() {
    let page = fs::read_to_string(repository().join("tests/FAULTS.md")).unwrap();
    let tests = tests();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=FAULTS), "each fault has one row, in order: {numbers:?}");
    let names = |row: &&Vec<&str>| -> Vec<String> { row[2].split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let unknown: Vec<String> =
        rows.iter().flat_map(|row| names(&row)).filter(|name| !tests.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "tests that are not there: {}", show(&unknown));
    let (untested, tested): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row[2].starts_with('–'));
    let bare = |row: &&&Vec<&str>| row[2].trim_start_matches('–').trim().is_empty();
    assert!(!untested.iter().any(|row| bare(&row)), "a fault without a test needs a reason");
    assert!(!tested.iter().any(|row| names(row).is_empty()), "a fault names neither a test nor a reason");
    assert!(tested.len() >= FAULTS_TESTED_MIN, "only {} faults are tested", tested.len());
}

#[test]
fn each_invariant_names_the_test_that_holds_it() {
    let page = fs::read_to_string(repository().join("host/ARCHITECTURE.md")).unwrap();
    let tests = tests();
    let invariants: Vec<&str> = page.lines().filter(|line| line.contains("Invariant:")).collect();
    assert!(!invariants.is_empty(), "ARCHITECTURE.md names no invariants");
    let unheld = |line: &&&str| !line.split('`').any(|word| tests.contains(word.rsplit("::").next().unwrap_or(word)));
    let unheld: Vec<String> = invariants.iter().filter(unheld).map(|line| (*line).to_owned()).collect();
    assert!(unheld.is_empty(), "invariants without a test: {}", show(&unheld));
}
