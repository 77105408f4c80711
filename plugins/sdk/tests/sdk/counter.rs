//! A plugin with state for the tests: counts and sums per key, in two tables, with flaws on request.

use std::collections::{BTreeMap, BTreeSet};

use weir_plugin_sdk::state::{Acceptance, Entries, Extent, Header, Table};
use weir_plugin_sdk::testkit::{Chance, Record};
use weir_plugin_sdk::{
    Batch, Check, Description, Failure, Kind, Output, Plan, Plugin, Setting, Settings, Stateful, record,
};

/// The ways in which the counter can break a law.
const FLAWS: [&str; 6] = ["none", "sums per batch", "forgets changes", "freezes late", "repeats keys", "stalls"];

/// Numbers by key. Freezing copies everything: this is a test's table.
#[derive(Debug, Default)]
pub struct Numbers {
    held: BTreeMap<Vec<u8>, i64>,
    changed: BTreeSet<Vec<u8>>,
    frozen: Vec<(Vec<u8>, Option<i64>)>,
    /// What had changed when the checkpoint began: changed again if it fails.
    underway: BTreeSet<Vec<u8>>,
    flaw: String,
}

impl Numbers {
    fn add(&mut self, key: &[u8], amount: i64) -> i64 {
        let number = self.held.entry(key.to_vec()).or_default();
        *number += amount;
        if self.flaw != "forgets changes" {
            self.changed.insert(key.to_vec());
        }
        *number
    }

    fn forget(&mut self, key: &[u8]) {
        self.held.remove(key);
        self.changed.insert(key.to_vec());
    }
}

impl Table for Numbers {
    fn begin(&mut self, extent: Extent) {
        self.end(false);
        let all: BTreeSet<Vec<u8>> = self.held.keys().cloned().collect();
        self.underway = std::mem::take(&mut self.changed);
        let keys = if extent == Extent::Full { all } else { self.underway.clone() };
        self.frozen = keys.into_iter().map(|key| (key.clone(), self.held.get(&key).copied())).collect();
    }

    fn next_entries(&mut self, max_bytes: usize, entries: &mut Entries) -> Result<bool, Failure> {
        if self.flaw == "stalls" {
            return Ok(true);
        }
        while let Some((key, mut value)) = self.frozen.pop() {
            if self.flaw == "freezes late" {
                value = self.held.get(&key).copied();
            }
            for _ in 0..if self.flaw == "repeats keys" { 2 } else { 1 } {
                match value {
                    Some(value) => entries.put(&key, &value.to_le_bytes()),
                    None => entries.delete(&key),
                }
            }
            if entries.bytes() >= max_bytes {
                return Ok(!self.frozen.is_empty());
            }
        }
        Ok(false)
    }

    fn end(&mut self, committed: bool) {
        self.frozen.clear();
        let underway = std::mem::take(&mut self.underway);
        if !committed {
            self.changed.extend(underway);
        }
    }

    fn put(&mut self, entries: &Entries) -> Result<(), Failure> {
        for (key, value) in entries.iter() {
            match value {
                Some(value) => self.held.insert(key.to_vec(), i64::from_le_bytes(value.try_into().unwrap())),
                None => self.held.remove(key),
            };
        }
        Ok(())
    }

    fn end_restore(&mut self) -> Result<(), Failure> {
        if self.held.values().any(|number| *number < 0) {
            return Err(Failure::new(9, "A number is below zero."));
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.held.len() as u64
    }
}

/// Counts records and sums their `amount` per key; a record with `reset` forgets its key.
#[derive(Debug)]
pub struct Counter {
    counts: Numbers,
    sums: Numbers,
    flaw: String,
}

impl Plugin for Counter {
    fn describe() -> Description {
        let flaw = Setting::string("flaw").default_value("none").check(Check::one_of(FLAWS));
        Description::new("counter", "2.1.0", "Counts and sums per key.").setting(flaw)
    }

    fn configure(settings: &Settings) -> Result<(Self, Plan), Failure> {
        let flaw = settings.text("flaw")?.to_owned();
        let table = || Numbers { flaw: flaw.clone(), ..Numbers::default() };
        let plan = Plan::new()
            .input("key", Kind::Text)
            .required()
            .input("amount", Kind::Int64)
            .input("reset", Kind::Boolean)
            .output("count", Kind::Int64)
            .output("sum", Kind::Int64);
        Ok((Self { counts: table(), sums: table(), flaw }, plan))
    }

    fn process(&mut self, batch: &Batch<'_>, output: &mut Output) -> Result<(), Failure> {
        let mut batch_sum = 0;
        for row in batch.rows() {
            let key = row.text("key")?.value().unwrap_or_default().as_bytes();
            let amount = row.int64("amount")?.value().unwrap_or(0);
            if amount < 0 {
                output.reject(row.index(), 1, format!("Field `amount` is negative: {amount}."));
                continue;
            }
            if row.boolean("reset")?.value() == Some(true) {
                self.counts.forget(key);
                self.sums.forget(key);
                continue;
            }
            batch_sum += amount;
            let (count, sum) = (self.counts.add(key, 1), self.sums.add(key, amount));
            let sum = if self.flaw == "sums per batch" { batch_sum } else { sum };
            output.row(row.index()).set("count", count)?.set("sum", sum)?;
        }
        Ok(())
    }
}

impl Stateful for Counter {
    const STATE_VERSION: u32 = 2;
    const CONVERTS: &'static [u32] = &[1];

    fn tables(&mut self) -> Vec<&mut dyn Table> {
        vec![&mut self.counts, &mut self.sums]
    }

    fn accept(&self, header: &Header) -> Acceptance {
        if header.setting("flaw") == Some("freezes late") && self.flaw != "freezes late" {
            return Acceptance::Reject("The flaw differs.".to_owned());
        }
        Acceptance::by_version(header, Self::STATE_VERSION, Self::CONVERTS)
    }

    /// Layout 1 held text; an empty number meant none.
    fn convert(_version: u32, space: u16, key: &[u8], value: Option<&[u8]>, into: &mut Entries) -> Result<(), Failure> {
        let text = std::str::from_utf8(value.unwrap_or_default()).unwrap_or_default();
        match text.parse::<i64>() {
            Ok(number) => into.put(key, &number.to_le_bytes()),
            Err(_) if text.is_empty() => {}
            Err(_) => {
                return Err(Failure::new(8, format!("Table {space} holds `{text}`, which is no number.")));
            }
        }
        Ok(())
    }

    fn stats(&self) -> Vec<(String, u64)> {
        vec![("largest".to_owned(), self.sums.held.values().copied().max().unwrap_or(0) as u64)]
    }
}

weir_plugin_sdk::export!(Counter with state);

/// `count` records of few keys, with rejections and resets among them.
pub fn records(count: usize, seed: u64) -> Vec<Record> {
    let mut chance = Chance::new(seed);
    let mut any = |_| {
        let record = record! { "key": format!("k{}", chance.below(9)), "amount": chance.below(100) as i64 - 5 };
        if chance.one_in(12) { record.with("reset", true) } else { record }
    };
    (0..count).map(&mut any).collect()
}
