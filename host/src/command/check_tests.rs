//! `weir check`: what is printed and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;

use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::config::testing::Table;

const RIGHT: &str = "name: a\ntopics: t\nconnector.class: ConsoleSink\nvalue.converter: string\n";

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

/// The report on a directory, its path cut off.
fn reported(directory: &TempDir, colour: bool) -> Report {
    let files = check(&[directory.path().to_owned()], &Table::default(), &|_| Vec::new()).unwrap();
    let mut report = report(&files, colour);
    report.text = report.text.replace(&format!("{}/", directory.path().display()), "");
    report
}

#[test]
fn says_ok_of_each_file_that_is_right() {
    let directory = directory(&[("a.yaml", RIGHT), ("b.yml", &RIGHT.replace("name: a", "name: b"))]);
    assert_eq!(reported(&directory, false), Report { text: "a.yaml: ok\nb.yml: ok\n".into(), exit_code: 0 });
    assert_eq!(reported(&directory, true).text, "a.yaml: \x1b[32mok\x1b[0m\nb.yml: \x1b[32mok\x1b[0m\n");
}

#[test]
fn says_everything_that_is_wrong_and_ends_with_64() {
    let directory = directory(&[("a.yaml", RIGHT), ("b.yaml", "name: b\ntopcis: t\n")]);
    let text = "\
a.yaml: ok
b.yaml:1: connector.class: is missing; for example `connector.class: TimescaleSink`
b.yaml:1: topics: is missing; for example `topics: ticks`
b.yaml:1: value.converter: is missing; for example `value.converter: json`
b.yaml:2: topcis: is no option; did you mean `topics`?
";
    assert_eq!(reported(&directory, false), Report { text: text.into(), exit_code: 64 });
    let coloured = reported(&directory, true).text;
    assert!(
        coloured.ends_with("b.yaml:2\x1b[31m: topcis: is no option; did you mean `topics`?\x1b[0m\n"),
        "{coloured}"
    );
}

#[test]
fn nothing_to_check_is_wrong_usage() {
    let directory = directory(&[("notes.txt", "")]);
    let path = directory.path().to_owned();
    let error = check(std::slice::from_ref(&path), &Table::default(), &|_| Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), format!("no pipeline file (*.yaml, *.yml) in `{}`", path.display()));
    let told = format!("weir check: {error}\n");
    assert_eq!(printed(path), (String::new(), told, EXIT_USAGE));
}

/// What is printed to standard output and standard error for a path, and how it ends.
fn printed(path: PathBuf) -> (String, String, u8) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let args = CheckArgs { paths: vec![path], plugins: Vec::new() };
    let exit_code = print(&args, false, &mut out, &mut errors);
    (String::from_utf8(out).unwrap(), String::from_utf8(errors).unwrap(), exit_code)
}

#[test]
fn prints_the_report_and_ends_as_it_says() {
    let right = directory(&[("a.yaml", RIGHT)]);
    let wrong = directory(&[("a.yaml", &format!("{RIGHT}tasks: 1\n"))]);
    let place = |directory: &TempDir| directory.path().join("a.yaml").display().to_string();
    let ok = format!("{}: ok\n", place(&right));
    assert_eq!(printed(right.path().to_owned()), (ok, String::new(), 0));
    let told = format!("{}:5: tasks: is no option; remove it\n", place(&wrong));
    assert_eq!(printed(wrong.path().to_owned()), (told, String::new(), EXIT_BAD_CONFIGURATION));
}

#[test]
fn reads_its_arguments() {
    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        check: CheckArgs,
    }
    let cli = Cli::try_parse_from(["weir", "a.yaml", "dir", "--plugins=p,q"]).unwrap();
    let expected = CheckArgs { paths: vec!["a.yaml".into(), "dir".into()], plugins: vec!["p".into(), "q".into()] };
    assert_eq!(cli.check, expected);
    assert!(Cli::try_parse_from(["weir"]).is_err());
}
