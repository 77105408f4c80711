//! The two laws hold for a sound plugin, and each flaw is found: a law that nothing breaks proves nothing.

use weir_plugin_sdk::testkit::{Broken, law_of_cuts, law_of_restarts};

use crate::counter::{self, Counter};

const SEED: u64 = 20_261_121;

fn restarts(flaw: &str) -> Result<(), Broken> {
    law_of_restarts::<Counter>(&[("flaw", flaw)], &counter::records(300, SEED), SEED, 200)
}

#[test]
fn a_sound_plugin_keeps_both_laws() {
    let records = counter::records(300, SEED);
    law_of_cuts::<Counter>(&[], &records, SEED, 200).unwrap();
    restarts("none").unwrap();
}

#[test]
fn few_records_are_cut_as_well() {
    for count in 0..5 {
        law_of_cuts::<Counter>(&[], &counter::records(count, SEED), SEED, 20).unwrap();
        law_of_restarts::<Counter>(&[], &counter::records(count, SEED), SEED, 20).unwrap();
    }
}

#[test]
fn output_that_depends_on_the_cuts_is_found() {
    let flaw = [("flaw", "sums per batch")];
    let broken = law_of_cuts::<Counter>(&flaw, &counter::records(50, SEED), SEED, 10).unwrap_err();
    assert_eq!(broken.plan, format!("Seed {SEED}, plan 0"));
    assert!(broken.difference.starts_with("output row 1 is Some((1, Record"), "{broken}");
    assert!(broken.events.starts_with("0, 1, 2, 3"), "{broken}");
}

#[test]
fn changes_that_no_checkpoint_holds_are_found() {
    let broken = restarts("forgets changes").unwrap_err();
    assert!(broken.events.contains("begin Incremental"), "{broken}");
}

#[test]
fn a_checkpoint_that_shows_later_rows_is_found() {
    let broken = restarts("freezes late").unwrap_err();
    assert!(broken.events.contains("restore at"), "{broken}");
}

#[test]
fn a_checkpoint_with_a_key_twice_is_found() {
    let broken = restarts("repeats keys").unwrap_err();
    assert!(broken.difference.contains("more than once"), "{broken}");
}

#[test]
fn a_table_that_hands_out_nothing_is_found() {
    let broken = restarts("stalls").unwrap_err();
    assert_eq!(broken.difference, "Table 0 has more entries but hands out none. (code 65003)");
}
