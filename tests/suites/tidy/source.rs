//! Files of the tree, and as much of Rust's syntax as the rules need: what is code, what is a comment or a string,
//! where a function begins and ends, which files only tests see.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use weir_tests::environment::repository;

/// A text file of the project.
#[derive(Debug)]
pub struct File {
    /// Path from the top folder, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A Rust file.
#[derive(Debug)]
pub struct Source {
    /// Path from the top folder, with `/`.
    pub path: String,
    /// As written.
    pub text: String,
    /// The same with comments and the insides of strings and characters made blank; bytes keep their places.
    pub code: String,
    /// Seen by tests only.
    pub is_test: bool,
}

/// A function's body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// Paths of all files that are, or would be, committed.
pub fn paths() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository())
        .output()
        .expect("git lists the project's files");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut paths: Vec<String> = listed.split_terminator('\0').map(str::to_owned).collect();
    paths.retain(|path| repository().join(path).is_file());
    assert!(!paths.is_empty(), "git lists no files");
    paths
}

/// All files that are text.
pub fn files() -> Vec<File> {
    let read = |path: String| {
        let text = String::from_utf8(fs::read(repository().join(&path)).ok()?).ok()?;
        Some(File { path, text })
    };
    paths().into_iter().filter_map(read).collect()
}

/// Whether a path ends with this extension.
pub fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// All Rust files.
pub fn sources() -> Vec<Source> {
    let files: Vec<File> = files().into_iter().filter(|file| has_extension(&file.path, "rs")).collect();
    let mut sources: Vec<Source> =
        files.into_iter().map(|File { path, text }| Source { code: code(&text), is_test: false, path, text }).collect();
    let declared: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let by_place = ["tests/", "/tests/", "/benches/"];
        source.is_test = source.path.starts_with("tests/")
            || by_place.iter().any(|place| source.path.contains(place))
            || declared.iter().any(|declared| source.path.starts_with(declared));
    }
    sources
}

/// What `#[cfg(test)] mod name;` declares in this file, as paths from the top folder: files, and folders with a `/`.
fn test_modules(source: &Source) -> Vec<String> {
    let folder = module_folder(&source.path);
    let beside = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (at, _) in source.code.match_indices("#[cfg(test)]") {
        let Some(end) = source.code[at..].find([';', '{']) else {
            continue;
        };
        let mut declaration = source.code[at..at + end].split_whitespace();
        let Some(name) = declaration.by_ref().find(|word| *word == "mod").and(declaration.next()) else {
            continue;
        };
        let written = &source.text[at..at + end];
        if let Some((_, path)) = written.split_once("#[path = \"") {
            found.push(format!("{beside}/{}", path.split('"').next().unwrap()));
        } else {
            found.extend([format!("{folder}/{name}.rs"), format!("{folder}/{name}/")]);
        }
    }
    found
}

/// The folder in which the modules lie that this file declares.
fn module_folder(path: &str) -> &str {
    ["/mod.rs", "/lib.rs", "/main.rs", ".rs"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path)
}

/// The text with comments and the insides of strings and characters made blank.
pub fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (start, end) = opaque(bytes, at);
        for byte in &mut out[start..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("blanks replace whole characters")
}

/// What is blanked at `at`: the range of a comment, or of a string's inside; empty at plain code.
fn opaque(bytes: &[u8], at: usize) -> (usize, usize) {
    let rest = &bytes[at..];
    let until = |from: usize, end: &[u8]| {
        let found = bytes[from..].windows(end.len()).position(|window| window == end);
        found.map_or(bytes.len(), |found| from + found)
    };
    let previous_is_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return (at, until(at, b"\n"));
    }
    if rest.starts_with(b"/*") {
        return (at, block_comment_end(bytes, at));
    }
    if rest[0] == b'"' {
        return (at, string_end(bytes, at + 1));
    }
    let raw = rest.strip_prefix(b"b").unwrap_or(rest);
    if raw.starts_with(b"r") && !previous_is_word {
        let hashes = raw[1..].iter().take_while(|byte| **byte == b'#').count();
        if raw.get(1 + hashes) == Some(&b'"') {
            let mut end = vec![b'"'];
            end.extend(vec![b'#'; hashes]);
            let inside = at + (rest.len() - raw.len()) + 2 + hashes;
            return (at, (until(inside, &end) + end.len()).min(bytes.len()));
        }
    }
    if rest[0] == b'\'' {
        return (at, character_end(bytes, at));
    }
    (at, at)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The end of a string, the closing quote included.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a character; a lifetime is no character and stays.
fn character_end(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at + 1) == Some(&b'\\') {
        let from = at + 3;
        return bytes[from..].iter().position(|byte| *byte == b'\'').map_or(at, |found| from + found + 1);
    }
    // One character takes at most four bytes; a quote after it tells it from a lifetime.
    let width = match bytes.get(at + 1) {
        Some(0..=0x7f) => 1,
        Some(0x80..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        _ => 4,
    };
    if bytes.get(at + 1 + width) == Some(&b'\'') { at + 2 + width } else { at }
}

/// Places of a whole word in code.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let bytes = code.as_bytes();
        !is_word(at.checked_sub(1).and_then(|before| bytes.get(before))) && !is_word(bytes.get(at + word.len()))
    })
}

/// The line of a place, from 1.
pub fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The identifier at the beginning of `code`.
pub fn identifier(code: &str) -> &str {
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
    &code[..end]
}

/// The place after the bracket that closes the one at `open`.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// All attributes, `#[…]` and `#![…]`: where the bracket opens, and what is inside.
pub fn attributes(code: &str) -> Vec<(usize, &str)> {
    let starts = code.match_indices('#').filter_map(|(at, _)| {
        let open = at + 1 + usize::from(code[at + 1..].starts_with('!'));
        code[open..].starts_with('[').then_some(open)
    });
    starts.map(|open| (open, &code[open..closing(code, open)])).collect()
}

/// All functions that have a body.
pub fn functions(code: &str) -> Vec<Function> {
    words(code, "fn")
        .filter_map(|at| {
            let name = identifier(code[at + 2..].trim_start());
            let body = body(code, at)?;
            let end = closing(code, body);
            let first = line(code, at);
            (!name.is_empty()).then(|| Function {
                name: name.to_owned(),
                line: first,
                lines: line(code, end) - first + 1,
            })
        })
        .collect()
}

/// Where the body of the function at `at` opens; none for a declaration or a function type.
fn body(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (place, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(place),
            b';' | b',' if depth == 0 => return None,
            _ if depth < 0 => return None,
            _ => {}
        }
    }
    None
}

/// The code outside `#[cfg(test)] mod … { … }`.
pub fn production(source: &Source) -> String {
    let mut code = source.code.clone();
    while let Some(at) = code.find("#[cfg(test)]") {
        let rest = &code[at..];
        let end = match rest.find(['{', ';']) {
            Some(open) if rest.as_bytes()[open] == b'{' => closing(&code, at + open),
            Some(semicolon) => at + semicolon + 1,
            None => code.len(),
        };
        let blank: String = code[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(at..end, &blank);
    }
    code
}

#[test]
fn comments_strings_and_characters_are_blank_and_code_is_not() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("x\"y") g"#, "f(      ) g"),
        (r##"r#"a"b"# z"##, "         z"),
        ("'a' 'b: &'static '\\n' '\\'' 'é'", "    'b: &'static                "),
    ];
    for (text, expected) in cases {
        assert_eq!(code(text).trim_end(), expected.trim_end(), "{text}");
    }
}

#[test]
fn functions_are_measured_from_their_name_to_their_brace() {
    let text = "trait T { fn declared(&self) -> u8; }\nfn long<F: Fn(u8) -> u8>(\n  f: F,\n) -> [u8; 3] {\n  { 1 }\n}\nfn g() {}";
    let found: Vec<_> = functions(text).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(found, [("long".to_owned(), 2, 5), ("g".to_owned(), 7, 1)]);
}
