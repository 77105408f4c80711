//! The syntax of RFC 8259, case by case in the manner of the JSONTestSuite (N. Seriot, "Parsing
//! JSON is a minefield"): what every parser must take, what none may take, and what weir decides
//! where the RFC leaves it open. In the tables `¦` stands between documents and `<E9>` for a byte.

use super::super::Json;
use crate::convert::Side;
use crate::convert::testing::pull_one;
use crate::record::Kind;

fn is_taken(document: &[u8]) -> bool {
    let fields = [("a.b", Kind::Text), ("a", Kind::Int64), ("x", Kind::Float64)];
    let whole = pull_one(&Json, Side::Value, document, &[("", Kind::Json)]);
    let skipped = pull_one(&Json, Side::Value, document, &[]);
    let pulled = pull_one(&Json, Side::Value, document, &fields);
    let key = pull_one(&Json, Side::Key, document, &[("$key", Kind::Text)]);
    let others = [skipped.is_ok(), pulled.is_ok(), key.is_ok()];
    let text = String::from_utf8_lossy(document);
    assert_eq!([whole.is_ok(); 3], others, "depends on what is pulled: {text}");
    whole.is_ok()
}

/// The bytes of a document as a table writes it.
fn bytes(written: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = written;
    while let Some(first) = rest.chars().next() {
        let code = rest.get(1..3).and_then(|code| u8::from_str_radix(code, 16).ok());
        if let (true, Some(code), Some(">")) = (first == '<', code, rest.get(3..4)) {
            bytes.push(code);
            rest = &rest[4..];
        } else {
            let (character, after) = rest.split_at(first.len_utf8());
            bytes.extend_from_slice(character.as_bytes());
            rest = after;
        }
    }
    bytes
}

/// Holds that each document of a table is taken or refused: alone, as an element, as a member that
/// is skipped, and as members that are pulled.
fn check(table: &str, taken: bool) {
    let documents = table.split(['¦', '\n']).map(str::trim).filter(|written| !written.is_empty());
    for document in documents.map(bytes) {
        check_one(&document, taken);
    }
}

fn check_one(document: &[u8], taken: bool) {
    let around: [(&str, &str); 7] = [
        ("", ""),
        ("[", "]"),
        ("[0,", " ,0]"),
        ("{\"z\":", "}"),
        ("{\"a\":", ",\"z\":0}"),
        (" { \"x\" : ", " } "),
        ("{\"a\":{\"b\":", "}}"),
    ];
    for (before, after) in around {
        let nested = [before.as_bytes(), document, after.as_bytes()].concat();
        assert_eq!(is_taken(&nested), taken, "{}", String::from_utf8_lossy(&nested));
    }
}

const VALUES: &str = r#"
    [] ¦ {} ¦ [ ] ¦ { } ¦ [<0A>] ¦ [[] ] ¦ [null] ¦ [1<0A>] ¦ <20>[1] ¦ [2]<20> ¦ [1,null,null,2]
    [[],[[]],{}] ¦ {"a":[{"b":[]}]} ¦ {"asd":"sdf","dfg":"fgh"} ¦ {"a":"b","a":"c"} ¦ {"":0}
    {"foo\u0000bar":42} ¦ {"min":-1.0e+28,"max":1.0e+28} ¦ {<0A>"a":<09>1<0D><0A>}
    true ¦ false ¦ null ¦ 0 ¦ -0 ¦ -1 ¦ 1 ¦ 123 ¦ 0e1 ¦ 0e+1 ¦ -0.0 ¦ 0.0 ¦ 1.5 ¦ 1E22 ¦ 1E-2
    1E+2 ¦ 1e5 ¦ 123.456e78 ¦ 123456789012345678901234567890 ¦ 1234567 ¦ 12345678 ¦ 123456789
    1234.567 ¦ 12345.678 ¦ 123456.7 ¦ 1234567.8 ¦ 0.1234567 ¦ 1.7976931348623157e308 ¦ 1e308
    5e-324 ¦ 1e-500 ¦ 0e500 ¦ -0e+500 ¦ 0.0e9999999999999999999999
    1234567890123456 ¦ 123456789012345 ¦ 12345678901234.5 ¦ 1.23456789012345 ¦ 12345678.12345678
    -0.0000000000000000000000000000000000000000000000000000000000000000000000000000000000001
"#;

const STRINGS: &str = r#"
    "" ¦ " " ¦ "a" ¦ "1234567" ¦ "12345678" ¦ "123456789" ¦ "a/*b*/c" ¦ "\\a" ¦ "\\\\n" ¦ "\""
    "\/" ¦ "\b\f\n\r\t" ¦ "\u0060\u012a\u12AB" ¦ "\u0012" ¦ "\u0000" ¦ "\uD801\udc37"
    "\ud83d\ude39\ud83d\udc8d" ¦ "\uDBFF\uDFFF" ¦ "\uFFFF" ¦ "€" ¦ "𝄞" ¦ "<7F>" ¦ "<F4><8F><BF><BF>"
    "<E2><80><A8>" ¦ "1234567é" ¦ "é234567\n" ¦ "\\\"" ¦ "1234567\"" ¦ "12345678\\"
"#;

#[test]
fn what_must_be_taken_is_taken() {
    check(VALUES, true);
    check(STRINGS, true);
}

const STRUCTURES_REFUSED: &str = r#"
    [ ¦ ] ¦ { ¦ } ¦ [1 ¦ [1, ¦ [1,] ¦ [,1] ¦ [1,,2] ¦ [1 2] ¦ [1} ¦ {] ¦ []] ¦ ["a" ¦ ["",] ¦ [x]
    [1:2] ¦ ["a",4<0A>,1, ¦ {"a" ¦ {"a": ¦ {"a":1 ¦ {"a":1, ¦ {"a":1,} ¦ {"a":1,,"b":2} ¦ {,"a":1}
    {"a" 1} ¦ {"a":} ¦ {"a":1 "b":2} ¦ {a:1} ¦ {'a':1} ¦ {1:1} ¦ {null:1} ¦ {"a"::1} ¦ {"a":1:2}
    {"a","b":1} ¦ {"a":1] ¦ {"a":"b"}/**/ ¦ {"a":/*x*/1} ¦ [1]x ¦ [][] ¦ {}{} ¦ {"a":1}} ¦ 1 2
    truefalse ¦ tru ¦ trux ¦ True ¦ TRUE ¦ fals ¦ falsy ¦ nul ¦ nulL ¦ nulx ¦ NaN ¦ Infinity
    -Infinity ¦ undefined ¦ * ¦ <null> ¦ <00> ¦ [1]<00> ¦ <0C>1 ¦ <C2><A0>1 ¦ <E2><81><A0>1
    {"a":true x} ¦ [tru ¦ [nu
"#;

const NUMBERS_REFUSED: &str = r"
    - ¦ +1 ¦ + ¦ --1 ¦ -+1 ¦ - 1 ¦ -a ¦ 01 ¦ -01 ¦ 00 ¦ -00 ¦ 012 ¦ 0123456789 ¦ 00.5 ¦ 1. ¦ -1. ¦ .5
    -.5 ¦ 1.e1 ¦ 0.e1 ¦ 1..2 ¦ 1.2.3 ¦ 1.2. ¦ 1e ¦ 1E ¦ 1e+ ¦ 1e- ¦ 1e1.5 ¦ 1ee1 ¦ 1e+-1 ¦ 1 000
    1,000.0. ¦ 0x1 ¦ 0x ¦ 1a ¦ 12345678a ¦ 1.5a ¦ 1.23456789a ¦ 1_000 ¦ 1f ¦ 1d ¦ <EF><BC><91> ¦ 1/2
    1: ¦ 12345678. ¦ 123456789012345678. ¦ 12345678e ¦ 1.12345678e ¦ 0e ¦ 0.0e+ ¦ 012345678901234
    01.5 ¦ 1234567.a ¦ 123456789012345. ¦ 12345678901.e5
    1e309 ¦ 1e400 ¦ -1e400 ¦ 123123e100000 ¦ 1.7976931348623159e308 ¦ 0.1e310
    1e99999999999999999999 ¦ 100000000000000000000e300 ¦ 0.00000000000000000000001e400
";

const STRINGS_REFUSED: &str = r#"
    " ¦ "a ¦ "1234567 ¦ "12345678 ¦ "\ ¦ "\" ¦ "a\ ¦ 'a' ¦ "a"" ¦ "\x00" ¦ "\a" ¦ "\0" ¦ "\U0041" ¦ "\é"
    "\ " ¦ "\u" ¦ "\u1" ¦ "\u12" ¦ "\u123" ¦ "\u00G0" ¦ "\u +12" ¦ "\u-123" ¦ "<0A>" ¦ "<09>" ¦ "<00>"
    "<1F>" ¦ "1234567<01>" ¦ "12345678<0D>"
    "\uD800" ¦ "\uDC00" ¦ "\uD800\uD800" ¦ "\uD800\n" ¦ "\uD800x" ¦ "\uDFAA\uD800" ¦ "\uD800\u"
    "\uD800\u0041" ¦ "\uD800 ¦ "<80>" ¦ "<C0><AF>" ¦ "<C3>" ¦ "<C3><28>" ¦ "<E2><82>" ¦ "<ED><A0><80>"
    "<F4><90><80><80>" ¦ "<F8><88><80><80><80>" ¦ "<FF>" ¦ "1234567<E9>" ¦ "12345678<E9>" ¦ <E9>
    "\n<E9>"
"#;

#[test]
fn what_must_be_refused_is_refused() {
    check(STRUCTURES_REFUSED, false);
    check(NUMBERS_REFUSED, false);
    check(STRINGS_REFUSED, false);
    for empty in ["", " ", "\n\t\r "] {
        assert!(!is_taken(empty.as_bytes()));
    }
}

#[test]
fn the_longest_numbers_are_taken_until_they_pass_float64() {
    let digits = |count: usize| "9".repeat(count).into_bytes();
    check_one(&digits(308), true);
    check_one(&digits(309), false);
    check_one(&digits(1_000), false);
}

#[test]
fn a_byte_order_mark_is_refused() {
    assert!(!is_taken(b"\xEF\xBB\xBF{}"));
    assert!(!is_taken(b"\xEF\xBB\xBF"));
    assert!(!is_taken(b"\xFF\xFE{\x00}\x00"));
}

#[test]
fn nesting_is_taken_to_its_limit_and_not_beyond() {
    let nested = |open: &str, close: &str, depth: usize| {
        [open.repeat(depth).as_bytes(), b"0", close.repeat(depth).as_bytes()].concat()
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"a\":{\"b\":", "}}"), ("[{\"x\":", "}]")] {
        let per_step = open.matches(['[', '{']).count();
        assert!(is_taken(&nested(open, close, 128 / per_step)), "{open}");
        assert!(!is_taken(&nested(open, close, 128 / per_step + 1)), "{open}");
        assert!(!is_taken(&nested(open, close, 100_000)), "{open}");
        assert!(!is_taken(open.repeat(100_000).as_bytes()), "{open}");
    }
}

#[test]
fn every_prefix_of_a_document_is_refused() {
    let document = br#" {"a": {"b": "x\u00e9y", "c": [1, -2.5e3, true, null]}, "x": 12345678.25, "d": "123456789"}"#;
    assert!(is_taken(document));
    for end in 0..document.len() {
        assert!(!is_taken(&document[..end]), "{}", String::from_utf8_lossy(&document[..end]));
    }
}
