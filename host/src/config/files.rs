//! Pipeline files: a directory of YAML files to pipelines, or every mistake of every file at once.

use std::fs;
use std::path::{Path, PathBuf};

use super::pipeline::{Pipeline, Transform};
use super::problem::{Problem, shown};
use super::reference::{self, Sources};
use super::{keys, validate, yaml};
use crate::error::{Error, Kind, Result};

/// Bytes of one pipeline file; a larger one is none.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Checks the settings of one transformation, which configuration cannot do without plugins. The keys of its
/// problems are settings without the `transforms.ALIAS.` prefix; an empty key means the type.
pub type SettingsCheck<'a> = dyn Fn(&Transform) -> Vec<Problem> + 'a;

/// What became of one file.
#[derive(Debug)]
pub struct CheckedFile {
    /// The file.
    pub path: PathBuf,
    /// Its pipeline; None where there is any problem.
    pub pipeline: Option<Pipeline>,
    /// What is wrong with it, by line.
    pub problems: Vec<Problem>,
    /// The pipeline's name, also where there are problems.
    name: Option<Name>,
}

/// The name that a file gives its pipeline.
#[derive(Debug)]
struct Name {
    resolved: String,
    written: String,
    line: Option<usize>,
}

impl CheckedFile {
    fn broken(path: PathBuf, problems: Vec<Problem>) -> Self {
        CheckedFile { path, pipeline: None, problems, name: None }
    }

    /// Its problems as `FILE:LINE: KEY: SENTENCE`.
    pub fn report(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|problem| located(&self.path, problem))
    }
}

/// A problem with its place: `FILE:LINE: KEY: SENTENCE`.
pub fn located(path: &Path, problem: &Problem) -> String {
    match problem.line {
        Some(line) => format!("{}:{line}: {problem}", path.display()),
        None => format!("{}: {problem}", path.display()),
    }
}

/// The files that paths name: a file itself, of a directory its `*.yaml` and `*.yml` in the order of their names
/// (hidden ones are an editor's). An error where a path does not exist or a directory cannot be listed.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let unreadable = |error| Error::caused(Kind::Config, format!("`{}` cannot be read", path.display()), error);
        if !fs::metadata(path).map_err(unreadable)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if is_pipeline(&file) {
                found.push(file);
            }
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

fn is_pipeline(file: &Path) -> bool {
    let is_hidden = file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    is_yaml && !is_hidden && file.is_file()
}

/// Reads and checks files, also against each other: no two may name the same pipeline.
pub fn load(files: &[PathBuf], sources: &dyn Sources, settings: &SettingsCheck<'_>) -> Vec<CheckedFile> {
    let mut checked: Vec<CheckedFile> = files
        .iter()
        .map(|path| match read(path) {
            Ok(text) => check(path.clone(), &text, sources, settings),
            Err(problem) => CheckedFile::broken(path.clone(), vec![problem]),
        })
        .collect();
    refuse_equal_names(&mut checked);
    checked
}

/// The pipelines of checked files, or one error with the problems of all of them, a line for each.
pub fn pipelines(files: Vec<CheckedFile>) -> Result<Vec<Pipeline>> {
    let problems: Vec<String> = files.iter().flat_map(CheckedFile::report).collect();
    if !problems.is_empty() {
        return Err(Error::new(Kind::Config, problems.join("\n")));
    }
    Ok(files.into_iter().filter_map(|file| file.pipeline).collect())
}

/// Checks the text of one file.
pub fn check(path: PathBuf, text: &str, sources: &dyn Sources, settings: &SettingsCheck<'_>) -> CheckedFile {
    let mut flat = yaml::flatten(text);
    if !flat.is_whole {
        return CheckedFile::broken(path, flat.problems);
    }
    let line = |key: &str| flat.entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.line);
    let named = flat.entries.iter().find(|entry| entry.key == keys::NAME.name);
    let name = named.and_then(|entry| {
        let resolved = reference::resolve(&entry.value, sources).ok()?.trim().to_owned();
        Some(Name { resolved, written: entry.value.clone(), line: entry.line })
    });
    let checked = validate::check(&flat.entries, sources);
    let mut problems = checked.problems;
    for transform in &checked.transforms {
        let prefix = format!("transforms.{}", transform.alias);
        let kind = format!("{prefix}.type");
        problems.extend(settings(transform).into_iter().map(|mut problem| {
            let key = if problem.key.is_empty() { kind.clone() } else { format!("{prefix}.{}", problem.key) };
            problem.line = line(&key).or_else(|| line(&kind));
            problem.key = key;
            problem
        }));
    }
    problems.append(&mut flat.problems);
    problems.sort_by_key(|problem| problem.line);
    let pipeline = checked.pipeline.filter(|_| problems.is_empty());
    CheckedFile { path, pipeline, problems, name }
}

fn read(path: &Path) -> Result<String, Problem> {
    let broken = |message: String, hint: &str| Problem::new("", message, hint);
    let unreadable =
        |error| broken(format!("the file cannot be read: {error}"), "make it readable to weir, or remove it");
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        let message = format!("the file has {length} bytes, and a pipeline has at most {FILE_BYTES_MAX}");
        return Err(broken(message, "give the file of a pipeline"));
    }
    String::from_utf8(fs::read(path).map_err(unreadable)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1;
        broken(format!("byte {at} of the file is no UTF-8"), "save the file as UTF-8").at(Some(line))
    })
}

/// Two files of one name would fight over one position; the later one is refused.
fn refuse_equal_names(files: &mut [CheckedFile]) {
    let mut owners: Vec<(String, String)> = Vec::new();
    for file in files {
        let Some(Name { resolved, written, line }) = &file.name else { continue };
        match owners.iter().find(|(other, _)| other == resolved) {
            None => owners.push((resolved.clone(), located_name(&file.path, *line))),
            Some((_, owner)) => {
                let message = format!("{} is already the name of the pipeline in {owner}", shown(written));
                let problem = Problem::new(keys::NAME.name, message, "give each pipeline a name of its own");
                file.problems.push(problem.at(*line));
                file.pipeline = None;
            }
        }
    }
}

fn located_name(path: &Path, line: Option<usize>) -> String {
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}", path.display())
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
