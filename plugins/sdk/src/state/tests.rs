//! Tables against a plain model, through checkpoints that run while rows are processed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use super::{Entries, Extent, Full, Keyed, Table, Windows};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

type Store = BTreeMap<Vec<u8>, Vec<u8>>;
type Key = Option<Vec<u8>>;
/// What a user of a table can see of it: value and slots of each key.
type Seen = BTreeMap<Key, (u64, Vec<[u64; 2]>)>;

/// A table as plain as it can be, with the same rules.
#[derive(Clone, Debug, Default)]
struct Model {
    capacity: Option<usize>,
    ttl: Option<u64>,
    keys_max: usize,
    now: Option<i64>,
    held: BTreeMap<Key, (u64, VecDeque<[u64; 2]>, i64)>,
}

impl Model {
    fn advance(&mut self, time: i64) {
        if self.now.is_none() {
            self.held.values_mut().for_each(|(.., seen)| *seen = time);
        }
        self.now = Some(self.now.map_or(time, |now| now.max(time)));
        if let (Some(ttl), Some(now)) = (self.ttl, self.now) {
            self.held.retain(|_, (.., seen)| now.abs_diff(*seen) <= ttl);
        }
    }

    fn seen(&self) -> Seen {
        self.held
            .iter()
            .map(|(key, (value, slots, _))| (key.clone(), (*value, slots.iter().copied().collect())))
            .collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u8),
    Push(u8, u64),
    Pop(u8),
    Insert(u8, u8, u64),
    Remove(u8),
    Begin(bool),
    Take(u16),
    End(bool),
}

/// Keys of all lengths, none among them.
fn key(number: u8) -> Key {
    match number % 24 {
        0 => None,
        number => Some((0..number).map(|index| index.wrapping_mul(number)).collect()),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..24_u8;
    let step = prop_oneof![
        3 => (0..20_u8).prop_map(Step::Advance),
        20 => (key.clone(), 0..9_u64).prop_map(|(key, word)| Step::Push(key, word)),
        6 => key.clone().prop_map(Step::Pop),
        3 => (key.clone(), any::<u8>(), 1..9_u64).prop_map(|(key, at, word)| Step::Insert(key, at, word)),
        1 => key.prop_map(Step::Remove),
        2 => any::<bool>().prop_map(Step::Begin),
        4 => (1..600_u16).prop_map(Step::Take),
        2 => any::<bool>().prop_map(Step::End),
    ];
    prop::collection::vec(step, 1..400)
}

fn table(model: &Model) -> Windows<u64, 2> {
    let table = match model.capacity {
        Some(capacity) => Windows::of(capacity as u32),
        None => Windows::growing(),
    };
    let table = table.keys_max(model.keys_max as u32);
    match model.ttl {
        Some(ttl) => table.forget_after(ttl),
        None => table,
    }
}

fn seen(table: &mut Windows<u64, 2>) -> Seen {
    let keys: Vec<Key> = table.iter_sorted().map(|(key, _)| key).collect();
    let read = |key: Key| {
        let window = table.window(key.as_deref()).unwrap();
        let slots = (0..window.len()).map(|index| window.get(index).unwrap()).collect();
        (key, (*window.value(), slots))
    };
    keys.into_iter().map(read).collect()
}

fn apply(store: &mut Store, entries: &Entries) {
    for (key, value) in entries.iter() {
        match value {
            Some(value) => store.insert(key.to_vec(), value.to_vec()),
            None => store.remove(key),
        };
    }
}

/// The entries of a checkpoint taken at once; no key may occur twice.
fn checkpoint(table: &mut Windows<u64, 2>, extent: Extent) -> Entries {
    let mut entries = Entries::new();
    table.begin(extent);
    while table.next_entries(100, &mut entries).unwrap() {}
    table.end(true);
    let keys: std::collections::BTreeSet<_> = entries.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), entries.len());
    entries
}

fn restored(store: &Store, model: &Model) -> Windows<u64, 2> {
    let mut table = table(model);
    // Any order will do: backwards, in pieces.
    for (key, value) in store.iter().rev() {
        let mut entries = Entries::new();
        entries.put(key, value);
        table.put(&entries).unwrap();
    }
    table.end_restore().unwrap();
    assert_eq!(Table::len(&table), store.len() as u64);
    table
}

/// A table, its model, and what a host has stored of it.
struct Run {
    model: Model,
    table: Windows<u64, 2>,
    store: Store,
    /// The running checkpoint: the model at its beginning, its entries so far, whether it is complete.
    running: Option<(Model, Entries, bool, bool)>,
    /// Whether the store holds a full checkpoint.
    based: bool,
}

impl Run {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Advance(by) => {
                let time = self.model.now.unwrap_or(-50) + i64::from(*by) - 3;
                self.model.advance(time);
                self.table.advance(time);
            }
            Step::Push(number, word) => self.push(&key(*number), *word),
            Step::Pop(number) => self.pop(&key(*number)),
            Step::Insert(number, at, word) => self.insert(&key(*number), *at, *word),
            Step::Remove(number) => {
                let key = key(*number);
                assert_eq!(self.table.remove(key.as_deref()), self.model.held.remove(&key).is_some());
            }
            Step::Begin(full) => {
                // Begun while another runs, that one counts as not committed.
                let full = *full || !self.based;
                self.table.begin(if full { Extent::Full } else { Extent::Incremental });
                self.running = Some((self.model.clone(), Entries::new(), false, full));
            }
            Step::Take(bytes) => {
                if let Some((_, entries, complete, _)) = &mut self.running {
                    *complete = !self.table.next_entries(usize::from(*bytes), entries).unwrap();
                }
            }
            Step::End(committed) => self.end(*committed),
        }
    }

    fn admits(&mut self, key: &Key) -> bool {
        let admits = self.model.held.contains_key(key) || self.model.held.len() < self.model.keys_max;
        if !admits {
            let keys_max = self.model.keys_max as u32;
            assert_eq!(self.table.window(key.as_deref()).unwrap_err(), Full { keys_max });
        }
        admits
    }

    fn touched(&mut self, key: &Key) -> &mut (u64, VecDeque<[u64; 2]>, i64) {
        let now = self.model.now.unwrap_or(i64::MIN);
        let held = self.model.held.entry(key.clone()).or_default();
        held.2 = now;
        held
    }

    fn push(&mut self, key: &Key, word: u64) {
        if self.admits(key) {
            let capacity = self.model.capacity;
            let (value, slots, _) = self.touched(key);
            *value += word;
            slots.push_back([word, 1]);
            let expected =
                if capacity.is_some_and(|capacity| slots.len() > capacity) { slots.pop_front() } else { None };
            let mut window = self.table.window(key.as_deref()).unwrap();
            *window.value_mut() += word;
            assert_eq!(window.push([word, 1]), expected);
        }
    }

    fn pop(&mut self, key: &Key) {
        if self.admits(key) {
            let expected = self.touched(key).1.pop_front();
            assert_eq!(self.table.window(key.as_deref()).unwrap().pop_oldest(), expected);
        }
    }

    fn insert(&mut self, key: &Key, at: u8, word: u64) {
        if self.admits(key) {
            let capacity = self.model.capacity;
            let slots = &mut self.touched(key).1;
            let fits = capacity.is_none_or(|capacity| slots.len() < capacity);
            let at = usize::from(at) % (slots.len() + 1);
            if fits {
                slots.insert(at, [word, 2]);
            }
            assert_eq!(self.table.window(key.as_deref()).unwrap().insert(at as u32, [word, 2]), fits);
        }
    }

    fn end(&mut self, committed: bool) {
        let Some((model, entries, complete, full)) = self.running.take() else {
            return;
        };
        let committed = committed && complete;
        self.table.end(committed);
        if committed {
            if full {
                self.store.clear();
                self.based = true;
            }
            apply(&mut self.store, &entries);
            let mut copy = restored(&self.store, &model);
            assert_eq!(seen(&mut copy), model.seen(), "the checkpoint shows the moment of its beginning");
        }
    }

    fn finish(mut self) {
        self.end(true);
        let extent = if self.based { Extent::Incremental } else { Extent::Full };
        apply(&mut self.store, &checkpoint(&mut self.table, extent));
        let mut full = Store::new();
        apply(&mut full, &checkpoint(&mut self.table, Extent::Full));
        assert_eq!(self.store, full, "a chain of increments is what a full checkpoint is");
        let mut copy = restored(&full, &self.model);
        let mut again = Store::new();
        apply(&mut again, &checkpoint(&mut copy, Extent::Full));
        assert_eq!(again, full, "a restored table has the same bytes");
        assert!(checkpoint(&mut copy, Extent::Incremental).is_empty(), "nothing has changed since");
        assert_eq!(seen(&mut self.table), self.model.seen());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_its_model_through_all_checkpoints(
        steps in steps(),
        capacity in prop_oneof![Just(None), Just(Some(1)), Just(Some(5)), Just(Some(70)), Just(Some(1_100))],
        ttl in prop_oneof![Just(None), Just(Some(0)), Just(Some(30)), Just(Some(1_000))],
        keys_max in prop_oneof![Just(3_usize), Just(1_000)],
    ) {
        let model = Model { capacity, ttl, keys_max, ..Model::default() };
        let mut run = Run { table: table(&model), model, store: Store::new(), running: None, based: false };
        for step in &steps {
            run.step(step);
        }
        run.finish();
    }

    /// Windows of many blocks, moving far enough for blocks to come and go.
    #[test]
    fn long_windows_keep_their_slots(
        pushes in prop::collection::vec((1..900_usize, 0..900_usize), 1..8),
        capacity in prop_oneof![Just(None), Just(Some(600)), Just(Some(1_537))],
    ) {
        let model = Model { capacity, keys_max: 10, ..Model::default() };
        let mut run = Run { table: table(&model), model, store: Store::new(), running: None, based: false };
        let mut word = 0;
        for (comes, goes) in pushes {
            for _ in 0..comes {
                word += 1;
                run.push(&None, word);
            }
            run.step(&Step::Begin(false));
            (0..goes).for_each(|_| run.pop(&None));
            while run.running.as_ref().is_some_and(|(_, _, complete, _)| !complete) {
                run.step(&Step::Take(300));
            }
            run.end(true);
        }
        run.finish();
    }
}

#[test]
fn an_increment_holds_the_pages_that_changed_and_no_others() {
    let mut table = Windows::<u64, 2>::of(96);
    for key in 0..10_u8 {
        (0..96).for_each(|word| _ = table.window(Some(&[key])).unwrap().push([word, 0]));
    }
    assert_eq!(checkpoint(&mut table, Extent::Full).len(), 10 * (1 + 3));
    assert!(checkpoint(&mut table, Extent::Incremental).is_empty());
    (0..33).for_each(|word| _ = table.window(Some(&[7])).unwrap().push([word, 0]));
    let keys: Vec<Vec<u8>> = checkpoint(&mut table, Extent::Incremental).iter().map(|(key, _)| key.to_vec()).collect();
    assert_eq!(
        keys,
        [vec![1, 7, 0], vec![1, 7, 0, 0, 0, 0, 1], vec![1, 7, 0, 0, 0, 1, 1]],
        "the record, pages 0 and 1"
    );
}

#[test]
fn keys_are_forgotten_exactly_and_swept_in_time() {
    let mut table = Keyed::<u64>::new().forget_after(640).keys_max(2);
    table.advance(1_000);
    *table.entry(Some(b"a")).unwrap() = 1;
    table.advance(1_005);
    *table.entry(Some(b"b")).unwrap() = 2;
    table.advance(1_640);
    assert_eq!((table.get(Some(b"a")), table.len()), (Some(&1), 2), "640 is not longer than 640");
    table.advance(1_641);
    assert_eq!((table.get(Some(b"a")), table.get(Some(b"b"))), (None, Some(&2)));
    assert_eq!(table.entry(Some(b"c")).copied(), Ok(0), "a key past its time makes room");
    table.advance(900);
    assert_eq!(table.get(Some(b"b")), Some(&2), "the clock does not go back");
    table.advance(2_000);
    assert_eq!((table.get(Some(b"b")), table.len()), (None, 1), "swept a bucket of 10 later");
}

#[test]
fn a_time_to_live_set_anew_begins_with_the_restore() {
    let mut plain = Windows::<u64, 2>::of(3);
    plain.window(None).unwrap().push([1, 2]);
    let mut store = Store::new();
    apply(&mut store, &checkpoint(&mut plain, Extent::Full));
    let model = Model { capacity: Some(3), ttl: Some(10), keys_max: 9, ..Model::default() };
    let mut table = restored(&store, &model);
    table.advance(5_000);
    assert!(table.get(None).is_some(), "seen when the clock began");
    table.advance(5_011);
    assert!(table.get(None).is_none());
    // And taken away again: the clock's entry stays, so that counts agree, but says nothing any more.
    table.window(None).unwrap().push([3, 4]);
    store.clear();
    apply(&mut store, &checkpoint(&mut table, Extent::Full));
    let mut forgetless = restored(&store, &Model { ttl: None, ..model.clone() });
    apply(&mut store, &checkpoint(&mut forgetless, Extent::Incremental));
    let mut table = restored(&store, &model);
    table.advance(1_000_000);
    assert!(table.get(None).is_some());
}

#[test]
fn broken_checkpoints_are_refused_with_the_entry() {
    let mut table = Windows::<u64, 2>::of(96);
    (0..96).for_each(|word| _ = table.window(Some(b"k")).unwrap().push([word, 1]));
    let mut store = Store::new();
    apply(&mut store, &checkpoint(&mut table, Extent::Full));
    let model = Model { capacity: Some(96), keys_max: 9, ..Model::default() };
    let attempt = |store: &Store| {
        let mut table = self::table(&model);
        let mut entries = Entries::new();
        for (key, value) in store {
            entries.put(key, value);
        }
        table.put(&entries).and_then(|()| table.end_restore()).map_err(|failure| failure.message)
    };
    assert_eq!(attempt(&store), Ok(()));
    for key in store.keys() {
        let mut cut = store.clone();
        cut.remove(key);
        assert!(attempt(&cut).unwrap_err().contains("is missing"), "without {key:?}");
        cut.insert(key.clone(), vec![0; 1_000]);
        assert!(attempt(&cut).unwrap_err().contains("does not fit"), "with {key:?} too long");
    }
    store.insert(vec![9], Vec::new());
    assert!(attempt(&store).unwrap_err().contains("none of this table"));
}

#[test]
fn an_incremental_chain_with_deletions_restores_in_order() {
    let mut table = Windows::<u64, 2>::growing();
    let mut chain = Vec::new();
    for round in 0..5_u64 {
        for key in 0..4_u8 {
            let mut window = table.window(Some(&[key])).unwrap();
            (0..40).for_each(|word| _ = window.push([round * 100 + word, 0]));
            (0..35 * round).for_each(|_| _ = window.pop_oldest());
        }
        table.remove(Some(&[round as u8]));
        chain.push(checkpoint(&mut table, if round == 0 { Extent::Full } else { Extent::Incremental }));
    }
    let mut copy = Windows::<u64, 2>::growing();
    for entries in &chain {
        copy.put(entries).unwrap();
    }
    copy.end_restore().unwrap();
    assert_eq!(seen(&mut copy), seen(&mut table));
}

/// The bound of the SMA plugin: 8 bytes per slot and 100 beside them, with a value as large as its.
#[test]
fn a_million_keys_take_less_than_their_slots_and_a_hundred_bytes() {
    let keys = 1_000_000_u32;
    for (mut table, bound) in [(Windows::<[u64; 4], 1>::of(50), 100), (Windows::of(50).forget_after(1_000), 116)] {
        for number in 0..keys {
            let mut window = table.window(Some(&u64::from(number).to_be_bytes())).unwrap();
            (0..50).for_each(|word| _ = window.push([word]));
        }
        let per_key = Table::bytes(&table) / u64::from(keys);
        assert!(per_key <= 8 * 50 + bound, "{per_key} bytes per key");
    }
}
