//! Checkpoints and restores as a host drives them: headers, portions, conversions, and calls out of order.

use weir_plugin_sdk::guest::Guest;
use weir_plugin_sdk::state::{Acceptance, Entries, Extent, Header};
use weir_plugin_sdk::testkit::Kit;
use weir_plugin_sdk::{CODE_ORDER, CODE_STATE, Failure};

use crate::counter::{self, Counter};

type Entry = (u16, Vec<u8>, Option<Vec<u8>>);

fn filled() -> Kit<Counter> {
    let mut kit = Kit::new(&[]).unwrap();
    kit.process(&counter::records(200, 3)).unwrap();
    kit
}

fn fresh() -> Guest<Counter> {
    let mut guest = Guest::new();
    guest.configure([]).unwrap();
    guest
}

fn header(state_version: u32) -> Header {
    Header { plugin: "counter".to_owned(), version: "2.1.0".to_owned(), state_version, settings: Vec::new() }
}

/// All entries of a checkpoint taken in portions of `max_bytes`, and the number of portions.
fn entries(guest: &mut Guest<Counter>, extent: Extent, max_bytes: usize) -> (Vec<Entry>, usize) {
    guest.begin_checkpoint(extent).unwrap();
    let (mut all, mut portions) = (Vec::new(), 0);
    loop {
        let more = guest.next_entries(max_bytes, |space, entries| {
            all.extend(entries.iter().map(|(key, value)| (space, key.to_vec(), value.map(<[u8]>::to_vec))));
        });
        portions += 1;
        if !more.unwrap() {
            return (all, portions);
        }
    }
}

#[test]
fn the_header_names_plugin_versions_and_settings() {
    let mut guest = Guest::<Counter>::new();
    guest.configure([("flaw".to_owned(), "none".to_owned())]).unwrap();
    let settings = vec![("flaw".to_owned(), "none".to_owned())];
    assert_eq!(guest.begin_checkpoint(Extent::Full).unwrap(), Header { settings, ..header(2) });
}

#[test]
fn the_size_of_portions_changes_nothing_but_their_number() {
    let mut kit = filled();
    let (whole, one) = entries(kit.guest(), Extent::Full, 1 << 20);
    assert_eq!((one, whole.len()), (1, 18));
    for max_bytes in [0, 1, 10, 11, 60, 1_000] {
        let (mut found, portions) = entries(kit.guest(), Extent::Full, max_bytes);
        found.sort();
        let mut expected = whole.clone();
        expected.sort();
        assert_eq!(found, expected, "{max_bytes} bytes");
        // Each of the 18 entries has 10 bytes; a portion may end with one that begins below its limit.
        assert!(portions * (max_bytes + 10) >= 18 * 10, "{portions} portions of {max_bytes} bytes");
    }
    let (_, portions) = entries(kit.guest(), Extent::Full, 1);
    assert!((18..=19).contains(&portions), "{portions} portions of one entry");
}

#[test]
fn an_incremental_checkpoint_holds_what_changed_since_the_last_committed_one() {
    let mut kit = filled();
    entries(kit.guest(), Extent::Full, 64);
    kit.guest().end_checkpoint(true);
    assert_eq!(entries(kit.guest(), Extent::Incremental, 64).0, []);
    kit.guest().end_checkpoint(true);
    kit.process(&[weir_plugin_sdk::record! { "key": "new", "amount": 5 }]).unwrap();
    let changed = |table: u16, number: i64| (table, b"new".to_vec(), Some(number.to_le_bytes().to_vec()));
    for committed in [false, true] {
        assert_eq!(entries(kit.guest(), Extent::Incremental, 64).0, [changed(0, 1), changed(1, 5)]);
        kit.guest().end_checkpoint(committed);
    }
    assert_eq!(entries(kit.guest(), Extent::Incremental, 64).0, []);
}

#[test]
fn figures_are_those_of_all_tables_and_the_plugins_own() {
    let named: Vec<(String, u64)> = filled().guest().stats();
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["keys", "entries", "bytes", "largest"]);
    assert_eq!((named[0].1, named[1].1), (18, 18));
    assert_eq!(Guest::<Counter>::new().stats(), [("keys".to_owned(), 0)]);
}

#[test]
fn an_older_layout_is_converted() {
    let mut guest = fresh();
    assert_eq!(guest.begin_restore(&header(1)).unwrap(), Acceptance::Migrate(1));
    let mut old = Entries::new();
    old.put(b"a", b"41");
    old.put(b"b", b"");
    guest.put_entries(0, &old).unwrap();
    assert_eq!(guest.end_restore().unwrap(), 1);
    let (found, _) = entries(&mut guest, Extent::Full, 64);
    assert_eq!(found, [(0, b"a".to_vec(), Some(41_i64.to_le_bytes().to_vec()))]);
}

#[test]
fn an_entry_that_cannot_be_converted_fails_the_restore() {
    let mut guest = fresh();
    guest.begin_restore(&header(1)).unwrap();
    let mut old = Entries::new();
    old.put(b"a", b"many");
    assert_eq!(guest.put_entries(1, &old), Err(Failure::new(8, "Table 1 holds `many`, which is no number.")));
}

#[test]
fn foreign_state_is_rejected_with_the_reason() {
    let reject = |header: &Header| match fresh().begin_restore(header).unwrap() {
        Acceptance::Reject(reason) => reason,
        other => panic!("{other:?}"),
    };
    let newer = "State version 3 was written by counter 2.1.0, but this version reads 2 and 1; keep the former plugin or start empty.";
    assert_eq!(reject(&header(3)), newer);
    let foreign = Header { plugin: "sma".to_owned(), ..header(2) };
    assert_eq!(reject(&foreign), "The state belongs to plugin sma, not to counter; start empty.");
    let settings = vec![("flaw".to_owned(), "freezes late".to_owned())];
    assert_eq!(reject(&Header { settings, ..header(2) }), "The flaw differs.");
}

#[test]
fn a_restore_that_does_not_fit_together_fails_at_its_end() {
    let mut guest = fresh();
    guest.begin_restore(&header(2)).unwrap();
    let mut given = Entries::new();
    given.put(b"a", &(-1_i64).to_le_bytes());
    guest.put_entries(0, &given).unwrap();
    assert_eq!(guest.end_restore(), Err(Failure::new(9, "A number is below zero.")));
}

#[test]
fn calls_out_of_order_are_named() {
    let mut guest = fresh();
    let order = |message: &str| Failure::new(CODE_ORDER, message);
    let outside = order("Entries were asked for outside a checkpoint.");
    assert_eq!(guest.next_entries(1, |_, _| {}), Err(outside.clone()));
    assert_eq!(guest.put_entries(0, &Entries::new()), Err(order("Entries came outside a restore.")));
    assert_eq!(guest.end_restore(), Err(order("A restore was ended that had not begun.")));
    guest.begin_checkpoint(Extent::Full).unwrap();
    guest.end_checkpoint(false);
    assert_eq!(guest.next_entries(1, |_, _| {}), Err(outside));

    guest.begin_restore(&header(2)).unwrap();
    assert_eq!(guest.advance(0).unwrap_err(), order("Rows came before the restore had ended."));
    let beyond = Failure::new(CODE_STATE, "Entries came for table 2, but the plugin has 2 tables.");
    assert_eq!(guest.put_entries(2, &Entries::new()), Err(beyond));
    let once = order("State can only be restored once and before the first row: use a new instance.");
    assert_eq!(guest.begin_restore(&header(2)), Err(once.clone()));
    guest.end_restore().unwrap();
    assert_eq!(guest.begin_restore(&header(2)), Err(once.clone()));
    assert_eq!(filled().guest().begin_restore(&header(2)), Err(once));
}

#[test]
fn entries_keep_their_order_and_their_buffers() {
    let mut entries = Entries::new();
    entries.put(b"a", b"");
    entries.delete(b"");
    entries.put(b"bc", b"def");
    let found: Vec<_> = entries.iter().collect();
    assert_eq!(found, [(&b"a"[..], Some(&b""[..])), (b"", None), (b"bc", Some(b"def"))]);
    assert_eq!((entries.len(), entries.bytes(), entries.is_empty()), (3, 6, false));
    entries.clear();
    assert_eq!((entries.len(), entries.bytes(), entries.is_empty()), (0, 0, true));
    assert_eq!(entries, Entries::new());
}
