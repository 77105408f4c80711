//! Pipeline files: a directory of YAML files to pipelines, or every mistake of every file at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::pipeline::{Pipeline, Transform};
use super::problem::{self, Problem, shown};
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
    /// Its keys as written, as far as it could be read.
    pub raw: BTreeMap<String, String>,
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
        CheckedFile { path, pipeline: None, problems, raw: BTreeMap::new(), name: None }
    }

    /// The pipeline's name; where it cannot be told, the file's.
    pub fn name(&self) -> String {
        let named = self.name.as_ref().map(|name| name.resolved.clone()).filter(|name| !name.is_empty());
        named.unwrap_or_else(|| self.path.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// Its problems as one error, a line for each.
    pub fn error(&self) -> Error {
        let kind = problem::kind(&self.problems);
        Error::new(kind, self.report().collect::<Vec<_>>().join("\n"))
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

/// The pipelines of checked files, and the files that are refused.
pub fn part(files: Vec<CheckedFile>) -> (Vec<Pipeline>, Vec<CheckedFile>) {
    let (mut pipelines, mut refused) = (Vec::new(), Vec::new());
    for mut file in files {
        match file.pipeline.take_if(|_| file.problems.is_empty()) {
            Some(pipeline) => pipelines.push(pipeline),
            None => refused.push(file),
        }
    }
    (pipelines, refused)
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
    let raw = flat.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    CheckedFile { path, pipeline, problems, raw, name }
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

/// Two files of one name would fight over one position, and which is meant only the operator knows: a copy may write
/// into another table. All of that name are refused.
fn refuse_equal_names(files: &mut [CheckedFile]) {
    let places: Vec<(String, String)> = files
        .iter()
        .filter_map(|file| {
            let name = file.name.as_ref()?;
            Some((name.resolved.clone(), located_name(&file.path, name.line)))
        })
        .collect();
    for file in files {
        let Some(Name { resolved, written, line }) = &file.name else { continue };
        let here = located_name(&file.path, *line);
        if let Some((_, other)) = places.iter().find(|(name, place)| name == resolved && *place != here) {
            let message = format!("{} is also the name of the pipeline in {other}", shown(written));
            let problem = Problem::new(keys::NAME.name, message, "give each pipeline a name of its own");
            file.problems.push(problem.at(*line));
            file.problems.sort_by_key(|problem| problem.line);
            file.pipeline = None;
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
