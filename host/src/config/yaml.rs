//! YAML text to Connect's flat keys: nested maps flatten with dots, lists join with commas, `transforms` and
//! `predicates` may be lists of maps with `name`. Values keep their source text (`1.10`, `no`, `5m`): what a
//! key takes is decided by the option table, not by YAML's guesses, so the tree is built from parser events.

mod tree;

use self::tree::{Node, Pair};
use super::problem::{Entry, Problem, shown};

/// What a text says.
#[derive(Debug, Default)]
pub struct Flat {
    /// The keys in order, none twice.
    pub entries: Vec<Entry>,
    /// What is wrong with the text.
    pub problems: Vec<Problem>,
    /// Whether the text could be read to its end, so that a key that is not there is really missing.
    pub is_whole: bool,
}

/// Flattens the one document of a text.
pub fn flatten(text: &str) -> Flat {
    let mut problems = Vec::new();
    let node = tree::read(text, &mut problems);
    let mut flat = Flat { entries: Vec::new(), problems, is_whole: matches!(node, Some(Node::Map(_))) };
    match node {
        Some(Node::Map(pairs)) => flat.map("", pairs),
        Some(Node::Refused) | None => {}
        Some(_) => flat.problem(1, "", "the file must hold keys with values", "write `key: value`, one a line"),
    }
    flat
}

impl Flat {
    fn map(&mut self, prefix: &str, pairs: Vec<Pair>) {
        for Pair { key, line, node } in pairs {
            let whole = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            self.node(whole, line, node);
        }
    }

    fn node(&mut self, key: String, line: usize, node: Node) {
        match node {
            Node::Scalar(value) => self.entry(key, value, line),
            Node::Empty => self.problem(line, &key, "has no value", "write one, or remove the line"),
            Node::Map(pairs) => self.map(&key, pairs),
            Node::List(items) if is_named(&key, &items) => self.named(&key, line, items),
            Node::List(items) => self.list(key, line, items),
            Node::Refused => {}
        }
    }

    fn entry(&mut self, key: String, value: String, line: usize) {
        match self.entries.iter().find(|entry| entry.key == key).and_then(|entry| entry.line) {
            Some(first) => {
                let sentence = format!("stands twice, on line {first} and on line {line}");
                self.problem(line, &key, &sentence, "remove one of them");
            }
            None => self.entries.push(Entry { key, value, line: Some(line) }),
        }
    }

    /// A list of scalars: their texts with commas between them.
    fn list(&mut self, key: String, line: usize, items: Vec<(usize, Node)>) {
        let mut texts = Vec::new();
        for (line, item) in items {
            match item {
                Node::Scalar(text) if text.contains(',') => {
                    let sentence = format!("the item {} holds a comma, which separates items", shown(&text));
                    self.problem(line, &key, &sentence, "write the parts as items of their own");
                }
                Node::Scalar(text) => texts.push(text),
                Node::Refused => {}
                Node::Empty => self.problem(line, &key, "an item of the list is empty", "write it, or remove it"),
                Node::Map(_) | Node::List(_) => {
                    let sentence = "an item of the list is itself a list or a map";
                    self.problem(line, &key, sentence, "write a single value for each item");
                }
            }
        }
        self.entry(key, texts.join(","), line);
    }

    /// A list of maps with `name`: the names as the list's value, the maps under `KEY.NAME.`.
    fn named(&mut self, key: &str, line: usize, items: Vec<(usize, Node)>) {
        let mut names: Vec<(String, usize)> = Vec::new();
        let mut maps = Vec::new();
        for (line, item) in items {
            let Node::Map(mut pairs) = item else {
                let sentence = "holds a map beside something else";
                self.problem(line, key, sentence, "write every item as a map with `name`");
                continue;
            };
            let at = pairs.iter().position(|pair| pair.key == "name");
            let name = match at.map(|at| pairs.remove(at).node) {
                Some(Node::Scalar(name)) if !name.is_empty() => name,
                _ => {
                    self.problem(line, key, "an item has no `name`", "give each item a `name` of its own");
                    continue;
                }
            };
            if let Some((_, first)) = names.iter().find(|(other, _)| *other == name) {
                let sentence = format!("names {} twice, on line {first} and on line {line}", shown(&name));
                self.problem(line, key, &sentence, "give each item a `name` of its own");
                continue;
            }
            maps.push((format!("{key}.{name}"), pairs));
            names.push((name, line));
        }
        let names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
        self.entry(key.to_owned(), names.join(","), line);
        for (prefix, pairs) in maps {
            self.map(&prefix, pairs);
        }
    }

    fn problem(&mut self, line: usize, key: &str, message: &str, hint: &str) {
        self.problems.push(Problem::new(key, message, hint).at(Some(line)));
    }
}

/// Whether a list is one of maps with names.
fn is_named(key: &str, items: &[(usize, Node)]) -> bool {
    matches!(key, "transforms" | "predicates") && items.iter().any(|(_, item)| matches!(item, Node::Map(_)))
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
