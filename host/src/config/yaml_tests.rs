//! Flattening: what each shape becomes, the exact sentence for each mistake, and properties over random trees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// The flat keys of a text as `LINE KEY=VALUE`, which must have no problems.
fn flat(text: &str) -> Vec<String> {
    let flat = flatten(text);
    assert_eq!(flat.problems, [], "{text}");
    assert!(flat.is_whole);
    flat.entries.iter().map(|e| format!("{} {}={}", e.line.unwrap(), e.key, e.value)).collect()
}

/// The problems of a text as `LINE: KEY: SENTENCE`.
fn problems(text: &str) -> Vec<String> {
    flatten(text).problems.iter().map(|p| format!("{}: {p}", p.line.unwrap())).collect()
}

#[test]
fn flattens_the_documented_example() {
    let text = "\
name: ticks-sma
topics: ticks
tasks.max: 2
value.converter: json            # short names for the usual classes
value.converter.schemas.enable: false
transforms:
  - name: sma
    type: sma                    # plugins/sma-*.wasm
    plugin.version: \"[1.0,2.0)\"
    window: 50                   # rows; or 5m
  - type: TimestampConverter
    name: ts
connection:
  url: postgres://weir@localhost/metrics
  password: ${file:/run/secrets/db:password}
";
    assert_eq!(
        flat(text),
        [
            "1 name=ticks-sma",
            "2 topics=ticks",
            "3 tasks.max=2",
            "4 value.converter=json",
            "5 value.converter.schemas.enable=false",
            "6 transforms=sma,ts",
            "8 transforms.sma.type=sma",
            "9 transforms.sma.plugin.version=[1.0,2.0)",
            "10 transforms.sma.window=50",
            "11 transforms.ts.type=TimestampConverter",
            "14 connection.url=postgres://weir@localhost/metrics",
            "15 connection.password=${file:/run/secrets/db:password}",
        ]
    );
}

#[test]
fn scalars_keep_their_source_text() {
    for text in ["1.10", "no", "Yes", "5m", "0x1F", "1e3", "~", "null", "1_000", "2024-01-01", "a: b", "12:30:00"] {
        let line = if text.contains(": ") { format!("k: '{text}'") } else { format!("k: {text}") };
        assert_eq!(flat(&line), [format!("1 k={text}")]);
    }
}

#[test]
fn flattens_every_shape() {
    let cases: &[(&str, &[&str])] = &[
        ("a: {b: {c: 1, d.e: 2}}", &["1 a.b.c=1", "1 a.b.d.e=2"]),
        ("a:\n  b: 1\na.c: 2", &["2 a.b=1", "3 a.c=2"]),
        ("a: [x, y, 'z z']", &["1 a=x,y,z z"]),
        ("a:\n- x\n- 1.10", &["1 a=x,1.10"]),
        ("a: []\nb: ''\nc: \"\"", &["1 a=", "2 b=", "3 c="]),
        ("transforms: [a, b]\ntransforms.a.type: x", &["1 transforms=a,b", "2 transforms.a.type=x"]),
        ("transforms: []", &["1 transforms="]),
        ("predicates:\n- {name: p, type: T}", &["1 predicates=p", "2 predicates.p.type=T"]),
        ("a: |\n  one\n  two\n", &["1 a=one\ntwo\n"]),
        ("a: \"\\u00e9\\t\"", &["1 a=é\t"]),
        ("---\na: 1\n...\n", &["2 a=1"]),
        ("\u{feff}a: 1", &["1 a=1"]),
        ("'a b': 1", &["1 a b=1"]),
        ("a: {}", &[]),
        ("{\"name\": \"x\", \"topics\": \"t\"}", &["1 name=x", "1 topics=t"]),
    ];
    for (text, expected) in cases {
        assert_eq!(flat(text), *expected, "{text}");
    }
}

#[test]
fn tells_every_mistake() {
    let cases: &[(&str, &[&str])] = &[
        ("a: 1\nb: 2\na: 3", &["3: a: stands twice, on line 1 and on line 3; remove one of them"]),
        ("a:\n  b: 1\na.b: 2", &["3: a.b: stands twice, on line 2 and on line 3; remove one of them"]),
        ("topics:", &["1: topics: has no value; write one, or remove the line"]),
        ("a: 1\ntopics:\nb: 2", &["2: topics: has no value; write one, or remove the line"]),
        ("a: [x, [y]]", &["1: a: an item of the list is itself a list or a map; write a single value for each item"]),
        ("a:\n- x\n-", &["3: a: an item of the list is empty; write it, or remove it"]),
        (
            "a:\n- 'x,y'",
            &["2: a: the item `x,y` holds a comma, which separates items; write the parts as items of their own"],
        ),
        ("transforms:\n- type: x", &["2: transforms: an item has no `name`; give each item a `name` of its own"]),
        (
            "transforms:\n- name: a\n- b",
            &["3: transforms: holds a map beside something else; write every item as a map with `name`"],
        ),
        (
            "transforms:\n- name: a\n  type: x\n- name: a\n  type: y",
            &["4: transforms: names `a` twice, on line 2 and on line 4; give each item a `name` of its own"],
        ),
        (
            "a: &x 1\nb: *x",
            &[
                "1: anchors and aliases are not read; write the value out where it is used",
                "2: anchors and aliases are not read; write the value out where it is used",
            ],
        ),
        ("a: !!int 1", &["1: the tag `!!int` is not read, since every value keeps its text; remove the tag"]),
        ("a:\n  <<: {b: 1}", &["2: <<: merge keys are not read; write the keys out"]),
        ("? [a]\n: 1", &["1: a key must be a text; put the key of an option before the colon"]),
        ("'': 1", &["1: a key must be a text; put the key of an option before the colon"]),
        ("", &["1: the file is empty; write `key: value`, one a line"]),
        ("# nothing\n", &["1: the file is empty; write `key: value`, one a line"]),
        ("- a\n- b", &["1: the file must hold keys with values; write `key: value`, one a line"]),
        (
            "a: 1\n---\nb: 2",
            &["3: a second document begins here, and a file holds one; put each into a file of its own"],
        ),
        (
            "a: 1\nb: [x\nc: 2",
            &["3: is no YAML: illegal placement of ':' indicator; correct the line, or put the value in quotes"],
        ),
        (
            "a: b: c",
            &[
                "1: is no YAML: mapping values are not allowed in this context; correct the line, or put the value in quotes",
            ],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), *expected, "{text}");
    }
}

#[test]
fn reports_every_mistake_of_a_text_at_once() {
    assert_eq!(problems("a:\nb: 1\nb: 2\nc: &x 1\nd: [[1]]").len(), 4);
}

#[test]
fn nothing_is_missing_from_a_text_that_cannot_be_read_to_its_end() {
    assert!(!flatten("a: 1\nb: [").is_whole);
    assert!(!flatten("a: 1\n---\nb: 2").is_whole);
    assert!(flatten("a: 1\na: 2").is_whole);
}

#[test]
fn deep_nesting_is_a_problem_and_no_crash() {
    let told = problems(&format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000)));
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("1: is no YAML: "), "{}", told[0]);
}

/// A tree as an operator might write it.
#[derive(Debug, Clone)]
enum Tree {
    Scalar(String),
    List(Vec<String>),
    Map(Vec<(String, Tree)>),
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

impl Tree {
    /// As block YAML under a key, every value a line of its own; scalars double-quoted.
    fn block(&self, key: &str, depth: usize, lines: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        match self {
            Tree::Scalar(text) => lines.push(format!("{indent}{key}: {}", quoted(text))),
            Tree::List(items) if items.is_empty() => lines.push(format!("{indent}{key}: []")),
            Tree::List(items) => {
                lines.push(format!("{indent}{key}:"));
                lines.extend(items.iter().map(|item| format!("{indent}- {}", quoted(item))));
            }
            Tree::Map(pairs) => {
                lines.push(format!("{indent}{key}:"));
                for (key, tree) in pairs {
                    tree.block(key, depth + 1, lines);
                }
            }
        }
    }

    /// As flow YAML.
    fn flow(&self) -> String {
        match self {
            Tree::Scalar(text) => quoted(text),
            Tree::List(items) => format!("[{}]", items.iter().map(|i| quoted(i)).collect::<Vec<_>>().join(", ")),
            Tree::Map(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(key, tree)| format!("{key}: {}", tree.flow())).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }

    /// The flat keys that it must become.
    fn expected(&self, key: &str, flat: &mut Vec<(String, String)>) {
        match self {
            Tree::Scalar(text) => flat.push((key.to_owned(), text.clone())),
            Tree::List(items) => flat.push((key.to_owned(), items.join(","))),
            Tree::Map(pairs) => pairs.iter().for_each(|(name, tree)| tree.expected(&format!("{key}.{name}"), flat)),
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    // What YAML takes inside quotes without an escape; items hold no comma, which would separate them.
    let text = "[^\u{0}-\u{8}\u{b}-\u{1f}\u{7f}-\u{9f}\u{feff}\u{fffe}\u{ffff}]{0,16}";
    let item = "[^,\u{0}-\u{8}\u{b}-\u{1f}\u{7f}-\u{9f}\u{feff}\u{fffe}\u{ffff}]{0,12}";
    let leaf = prop_oneof![text.prop_map(Tree::Scalar), prop::collection::vec(item, 0..4).prop_map(Tree::List),];
    leaf.prop_recursive(4, 24, 4, |inner| prop::collection::vec(inner, 1..4).prop_map(numbered))
}

/// A map with keys of its own, some of them dotted.
fn numbered(trees: Vec<Tree>) -> Tree {
    let key = |at: usize| if at.is_multiple_of(2) { format!("k{at}") } else { format!("k{at}.x-{at}") };
    Tree::Map(trees.into_iter().enumerate().map(|(at, tree)| (key(at), tree)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn block_and_flow_flatten_to_the_same_keys_in_order(tree in tree()) {
        let mut expected = Vec::new();
        tree.expected("root", &mut expected);
        let mut lines = Vec::new();
        tree.block("root", 0, &mut lines);
        for text in [lines.join("\n"), format!("root: {}", tree.flow())] {
            let flat = flatten(&text);
            prop_assert_eq!(&flat.problems, &[], "{}", text);
            let got: Vec<_> = flat.entries.into_iter().map(|e| (e.key, e.value)).collect();
            prop_assert_eq!(&got, &expected, "{}", text);
        }
    }

    #[test]
    fn every_entry_names_the_line_of_its_key(values in prop::collection::vec("[a-z0-9.]{1,8}", 1..20)) {
        let lines: Vec<String> = values.iter().enumerate().map(|(at, value)| format!("\nkey{at}: {value}\n")).collect();
        for (at, entry) in flatten(&lines.concat()).entries.iter().enumerate() {
            prop_assert_eq!(entry.line, Some(2 * at + 2));
            prop_assert_eq!(&entry.value, &values[at]);
        }
    }

    #[test]
    fn no_text_crashes_it_and_every_problem_has_a_line(text in "[ a-c:\\[\\]{}&*!,'\"#\n\t|>?%-]{0,60}") {
        let flat = flatten(&text);
        prop_assert!(flat.problems.iter().all(|problem| problem.line.is_some_and(|line| line >= 1)));
        prop_assert!(flat.is_whole || !flat.problems.is_empty());
    }
}
