//! The law of cuts for the converter: a cell depends on its own record alone, whatever stood before it in the run,
//! however the run is cut, and whether the reader has read anything else.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::Json;
use crate::convert::testing::{cell, values, wants};
use crate::convert::{Converter, Reader, Side};
use crate::record::{Kind, Origin, Path};

fn fields() -> Vec<(Path, Kind)> {
    wants(&[
        ("symbol", Kind::Text),
        ("price", Kind::Float64),
        ("n", Kind::Int64),
        ("n", Kind::Json),
        ("at.lat", Kind::Float64),
        ("at.tag", Kind::Text),
        ("", Kind::Json),
    ])
}

fn reader() -> Box<dyn Reader> {
    Json.reader(Side::Value, &fields()).unwrap()
}

/// Every cell of every record, and the malformed records' sentences.
fn read(reader: &mut dyn Reader, origin: &Origin) -> Vec<(Vec<String>, Option<String>)> {
    let pulled = reader.read(origin).unwrap();
    let row = |row: usize| {
        let cells = pulled.columns.iter().map(|column| cell(column, row)).collect();
        let sentence = pulled.malformed.iter().find(|(malformed, _)| *malformed as usize == row);
        (cells, sentence.map(|(_, sentence)| sentence.clone()))
    };
    (0..origin.len()).map(row).collect()
}

/// Records whose members come and go and change places, kinds and spelling; some malformed.
fn payload() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        "\"symbol\":\"S[0-9]{1,3}\"",
        "\"symbol\": \"[a-zé]{0,12}\\\\n\"",
        "\"price\":[1-9][0-9]{0,9}\\.[0-9]{1,9}",
        "\"n\":(0|[1-9][0-9]{0,18})",
        "\"n\":(null|true|\"x\"|\\[1,2\\])",
        "\"at\":\\{\"lat\":[0-9]\\.5,\"tag\":\"[a-z]{0,9}\"\\}",
        "\"at\":\\{\"tag\":\"[a-z]{0,9}\"\\}",
        "\"at\":(null|5|\\{\\})",
        "\"[a-z]{1,20}\":[0-9]",
        "\"\\\\u006e\":[1-9]",
    ];
    let separator = prop_oneof![Just(","), Just(", "), Just(",\n  ")];
    let end = prop_oneof![12 => Just("}"), 1 => Just(""), 1 => Just("} x")];
    (vec(member, 0..7), separator, end)
        .prop_map(|(members, separator, end)| format!("{{{}{end}", members.join(separator)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_cell_depends_on_its_own_record_alone(payloads in vec(payload(), 1..40), cuts in vec(0..40_usize, 0..6)) {
        let run = values(&payloads);
        let alone: Vec<_> = payloads.iter().flat_map(|p| read(&mut *reader(), &values(&[p]))).collect();

        prop_assert_eq!(&read(&mut *reader(), &run), &alone, "in one run");

        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < run.len()).chain([0, run.len()]).collect();
        cuts.sort_unstable();
        let mut used = reader();
        let parts = cuts.windows(2).map(|cut| run.slice(cut[0]..cut[1])).filter(|part| !part.is_empty());
        let cut: Vec<_> = parts.flat_map(|part| read(&mut *used, &part)).collect();
        prop_assert_eq!(&cut, &alone, "cut into runs");

        prop_assert_eq!(&read(&mut *used, &run), &alone, "by a reader that knows the names");
    }
}
