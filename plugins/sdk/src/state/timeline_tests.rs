//! The table in the order of time against a map, through checkpoints that run while it changes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use super::super::{Entries, Extent, Full, Table};
use super::{Timeline, read_name, write_name};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Key = Option<Vec<u8>>;
type Model = BTreeMap<(i64, Key), u64>;
type Store = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Add(i64, u8, u64),
    Take(i64),
    Begin(bool),
    Next(usize),
    End(bool),
}

/// No key, an empty one, short and long ones.
fn key(number: u8) -> Key {
    match number % 12 {
        0 => None,
        number => Some((1..number * 2 - 1).map(|index| index.wrapping_mul(number)).collect()),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let time = prop_oneof![8 => -20..20_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let step = prop_oneof![
        20 => (time.clone(), 0..12_u8, 1..9_u64).prop_map(|(time, key, value)| Step::Add(time, key, value)),
        4 => time.prop_map(Step::Take),
        2 => any::<bool>().prop_map(Step::Begin),
        4 => (1..300_usize).prop_map(Step::Next),
        2 => any::<bool>().prop_map(Step::End),
    ];
    prop::collection::vec(step, 1..300)
}

fn take(table: &mut Timeline<u64>, until: i64) -> Vec<((i64, Key), u64)> {
    let mut taken = Vec::new();
    table.take_until(until, |time, key, value| taken.push(((time, key.map(<[u8]>::to_vec)), value)));
    taken
}

fn apply(store: &mut Store, entries: &Entries) {
    for (key, value) in entries.iter() {
        match value {
            Some(value) => store.insert(key.to_vec(), value.to_vec()),
            None => store.remove(key),
        };
    }
}

fn restored(store: &Store) -> Timeline<u64> {
    let mut table = Timeline::new();
    // In falling order, in parts.
    let entries: Vec<_> = store.iter().rev().collect();
    for part in entries.chunks(3) {
        let mut entries = Entries::new();
        for (key, value) in part {
            entries.put(key, value);
        }
        table.put(&entries).unwrap();
    }
    table.end_restore().unwrap();
    table
}

/// A running checkpoint: what it is to show, and what it has handed out so far on top of the last committed one.
struct Running {
    shows: Model,
    store: Store,
}

fn finish(table: &mut Timeline<u64>, running: &mut Running) {
    let mut more = true;
    while more {
        let mut entries = Entries::new();
        more = table.next_entries(100, &mut entries).unwrap();
        apply(&mut running.store, &entries);
    }
    let everything: Vec<_> = running.shows.clone().into_iter().collect();
    assert_eq!(
        take(&mut restored(&running.store), i64::MAX),
        everything,
        "the checkpoint shows the moment of its beginning"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_timeline_is_a_map_by_time_and_key(steps in steps()) {
        let (mut table, mut model) = (Timeline::<u64>::new(), Model::new());
        let (mut committed, mut running) = (None::<Store>, None::<Running>);
        for step in steps {
            match step {
                Step::Add(time, number, value) => {
                    *table.entry(time, key(number).as_deref()).unwrap() += value;
                    *model.entry((time, key(number))).or_default() += value;
                }
                Step::Take(until) => {
                    let expected: Vec<_> = model.extract_if(.., |(time, _), _| *time <= until).collect();
                    prop_assert_eq!(take(&mut table, until), expected);
                }
                Step::Begin(full) if running.is_none() => {
                    let base = committed.clone().filter(|_| !full);
                    table.begin(if base.is_some() { Extent::Incremental } else { Extent::Full });
                    running = Some(Running { shows: model.clone(), store: base.unwrap_or_default() });
                }
                Step::Next(bytes) => {
                    if let Some(running) = &mut running {
                        let mut entries = Entries::new();
                        table.next_entries(bytes, &mut entries).unwrap();
                        apply(&mut running.store, &entries);
                    }
                }
                Step::End(commit) => {
                    if let Some(mut running) = running.take() {
                        finish(&mut table, &mut running);
                        table.end(commit);
                        committed = if commit { Some(running.store) } else { committed };
                    }
                }
                Step::Begin(_) => {}
            }
            prop_assert_eq!(table.first(), model.first_key_value().map(|((time, _), _)| *time));
            prop_assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
            for ((time, key), value) in &model {
                prop_assert_eq!(table.get(*time, key.as_deref()), Some(value));
            }
        }
    }
}

#[test]
fn names_sort_as_times_and_keys_do() {
    let times = [i64::MIN, -1, 0, 1, 1_790_000_000_000_000, i64::MAX];
    let keys = [None, Some(&b""[..]), Some(b"\0"), Some(b"a"), Some(b"aa"), Some(b"b")];
    let mut names = Vec::new();
    for (time, key) in times.into_iter().flat_map(|time| keys.map(|key| (time, key))) {
        let mut name = Vec::new();
        write_name(time, key, &mut name);
        assert_eq!(read_name(&name), Some((time, key)));
        names.push(name);
    }
    assert!(names.is_sorted_by(|one, other| one < other));
    assert!(
        [&b""[..], b"1234567", b"12345678", b"12345678\x02", b"12345678\0x"]
            .into_iter()
            .all(|name| read_name(name).is_none())
    );
}

#[test]
fn the_limit_is_one_of_entries_and_room_comes_back() {
    let mut table = Timeline::<u64>::new().entries_max(2);
    for (time, key) in [(10, b"a"), (20, b"a"), (10, b"a")] {
        *table.entry(time, Some(key)).unwrap() += 1;
    }
    assert_eq!(table.entry(10, Some(b"b")).unwrap_err(), Full { keys_max: 2 });
    assert!(table.is_due(10) && !table.is_due(9));
    assert_eq!(take(&mut table, 19), [((10, Some(b"a".to_vec())), 2)]);
    assert!(table.entry(10, Some(b"b")).is_ok(), "a time that has passed is the caller's business");
}

#[test]
fn what_comes_and_goes_between_checkpoints_is_in_none() {
    let mut table = Timeline::<u64>::new();
    let checkpoint = |table: &mut Timeline<u64>, extent| {
        let mut entries = Entries::new();
        table.begin(extent);
        while table.next_entries(1_000, &mut entries).unwrap() {}
        table.end(true);
        entries.len()
    };
    table.entry(1, None).unwrap();
    assert_eq!(checkpoint(&mut table, Extent::Full), 1);
    table.entry(2, None).unwrap();
    take(&mut table, 5);
    assert_eq!(checkpoint(&mut table, Extent::Incremental), 1, "the first one is gone, the second never was");
    assert_eq!(checkpoint(&mut table, Extent::Incremental), 0);
}

#[test]
fn an_entry_without_a_time_is_refused_with_a_way_out() {
    let mut entries = Entries::new();
    // A record of the table below, under the key `x`: no flags, then the value.
    entries.put(&[1, b'x', 0], &[0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let mut table = Timeline::<u64>::new();
    table.put(&entries).unwrap();
    let failure = table.end_restore().unwrap_err();
    assert_eq!(
        failure.message,
        "The checkpoint is broken at entry \"x\": its key has no time; restore an older checkpoint or start empty."
    );
}

#[test]
fn an_entry_takes_its_value_and_about_fifty_bytes() {
    let mut table = Timeline::<[u64; 4]>::new();
    let count = 100_000_u32;
    for number in 0..count {
        table.entry(i64::from(number / 50_000), Some(&number.to_be_bytes())).unwrap();
    }
    let held = Table::bytes(&table) / u64::from(count);
    assert!(held <= 32 + 70, "{held} bytes per entry");
}
