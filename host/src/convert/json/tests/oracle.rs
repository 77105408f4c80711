//! serde_json as oracle: over the fuzz corpus, over generated documents, and over their mutations.

use proptest::collection::vec;
use proptest::prelude::*;

use crate as weir;

#[path = "../../../../fuzz/oracle.rs"]
mod shared;

use shared::Oracle;

#[test]
fn the_corpus_of_the_fuzz_target_passes() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/json");
    let mut oracle = Oracle::default();
    let (mut taken, mut refused) = (0, 0);
    for entry in std::fs::read_dir(corpus).unwrap() {
        let payload = std::fs::read(entry.unwrap().path()).unwrap();
        if oracle.check(&payload) { taken += 1 } else { refused += 1 }
    }
    assert!(taken >= 10 && refused >= 8, "{taken} taken, {refused} refused");
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 1 => Just(" ".to_owned()), 1 => "[ \t\r\n]{1,9}"]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z0-9 ]{0,10}",
        1 => "[ -!#-\\[\\]-~]{0,20}",
        1 => "[¡-\u{d7ff}\u{e000}-\u{10ffff}]{1,6}",
        1 => prop_oneof![Just(r#"\""#), Just(r"\\"), Just(r"\/"), Just(r"\b"), Just(r"\f"), Just(r"\n"), Just(r"\t")].prop_map(str::to_owned),
        1 => any::<char>().prop_map(|c| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()),
        1 => Just("2026-11-22T05:00:00Z".to_owned()),
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<i64>().prop_map(|n| n.to_string()),
        3 => (-10_000..10_000_i64).prop_map(|n| n.to_string()),
        3 => any::<f64>().prop_filter("JSON has no others", |f| f.is_finite()).prop_map(|f| format!("{f:?}")),
        3 => r"-?(0|[1-9][0-9]{0,8})\.[0-9]{1,8}",
        1 => r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
    ]
}

/// Names that repeat, that are wanted, and that only look so.
fn name() -> impl Strategy<Value = String> {
    let known = [r#""a""#, r#""b""#, r#""a.b""#, r#""""#, r#""\u0061""#, r#""ab""#, r#""A""#, r#""$key""#, r#""a ""#];
    prop_oneof![6 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => string()]
}

fn document() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        proptest::sample::select(vec!["true", "false", "null"]).prop_map(str::to_owned),
        number(),
        string()
    ];
    let value = scalar.prop_recursive(5, 40, 6, |inner| {
        let spaced =
            (space(), inner, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}")).boxed();
        let member = (space(), name(), space(), spaced.clone());
        let member = member.prop_map(|(before, name, after, value)| format!("{before}{name}{after}:{value}"));
        prop_oneof![
            1 => (vec(spaced, 0..5), space()).prop_map(|(list, space)| format!("[{space}{}]", list.join(","))),
            4 => (vec(member, 0..6), space()).prop_map(|(list, space)| format!("{{{space}{}}}", list.join(","))),
        ]
    });
    (space(), value, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}"))
}

/// A change to a document: where (as a share of its length), what is put there, how many bytes are taken away.
fn mutation() -> impl Strategy<Value = (f64, Vec<u8>, usize)> {
    let piece = prop_oneof![
        3 => vec(any::<u8>(), 0..3),
        3 => proptest::sample::select(br#"{}[],:"\0123456789.-+eE tfn"#.to_vec()).prop_map(|byte| vec![byte]),
        1 => proptest::sample::select(vec!["\\u", "\\uD800", "null", "1e400", "\u{feff}", "\0", "\\"]).prop_map(|s| s.as_bytes().to_vec()),
    ];
    (0.0..1.0, piece, 0..3_usize)
}

fn mutate(document: &str, mutations: &[(f64, Vec<u8>, usize)]) -> Vec<u8> {
    let mut bytes = document.as_bytes().to_vec();
    for (place, piece, removed) in mutations {
        let at = (*place * bytes.len() as f64) as usize;
        let end = bytes.len().min(at + removed);
        bytes.splice(at..end, piece.iter().copied());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn generated_documents_are_taken_and_read_alike(documents in vec(document(), 1..4)) {
        let mut oracle = Oracle::default();
        for document in documents {
            let overflows = serde_json::from_str::<serde_json::Value>(&document).is_err();
            prop_assert_eq!(oracle.check(document.as_bytes()), !overflows, "{}", document);
        }
    }

    #[test]
    fn mutated_documents_are_taken_or_refused_alike(
        documents in vec((document(), vec(mutation(), 1..3)), 1..4)
    ) {
        let mut oracle = Oracle::default();
        for (document, mutations) in documents {
            oracle.check(&mutate(&document, &mutations));
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused_alike(payload in vec(any::<u8>(), 0..40)) {
        Oracle::default().check(&payload);
    }
}
