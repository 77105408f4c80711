//! The ticks that all benches send: about 70 bytes of JSON, symbols in turn, prices with two decimals.
#![allow(dead_code, reason = "each bench takes what it needs")]

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use weir::limits::BATCH_ROWS_MAX;
use weir::record::origin::Header;
use weir::record::{Lane, Origin, Payloads};

/// 2026-09-21T14:13:20Z.
const OPENING_MS: u64 = 1_790_000_000_000;

/// Tick `number` of this many symbols: its symbol and its JSON.
pub fn tick(number: u64, symbols: u64) -> (String, String) {
    let symbol = format!("S{:04}", number * 7 % symbols);
    let (ts, cents, volume) = (OPENING_MS + number, 10_000 + number * 7_919 % 9_973, number % 100);
    let price = format!("{}.{:02}", cents / 100, cents % 100);
    let json = format!(r#"{{"symbol":"{symbol}","ts":{ts},"price":{price},"volume":{volume}}}"#);
    (symbol, json)
}

/// Payloads one after another in memory, as in the client library's fetch buffers.
#[derive(Debug, Default)]
struct Packed {
    bytes: Vec<u8>,
    /// Of each record, its key and its value.
    places: Vec<(Range<usize>, Range<usize>)>,
}

impl Packed {
    fn push(&mut self, key: &str, value: &str) {
        let key_from = self.bytes.len();
        self.bytes.extend_from_slice(key.as_bytes());
        let value_from = self.bytes.len();
        self.bytes.extend_from_slice(value.as_bytes());
        self.places.push((key_from..value_from, value_from..self.bytes.len()));
    }
}

impl Payloads for Packed {
    fn key(&self, row: usize) -> Option<&[u8]> {
        self.bytes.get(self.places.get(row)?.0.clone())
    }

    fn value(&self, row: usize) -> Option<&[u8]> {
        self.bytes.get(self.places.get(row)?.1.clone())
    }

    fn headers(&self, _row: usize) -> Vec<Header<'_>> {
        Vec::new()
    }

    fn may_have_tombstones(&self) -> bool {
        false
    }
}

/// `records` ticks as batches of several lanes in turn; a symbol stays in its lane.
pub fn batches(records: u64, symbols: u64, lanes: usize) -> Vec<Arc<Origin>> {
    let mut open: Vec<(Packed, i64)> = (0..lanes).map(|_| (Packed::default(), 0)).collect();
    let mut batches = Vec::new();
    for number in 0..records {
        let (symbol, json) = tick(number, symbols);
        let lane = (number * 7 % symbols) as usize % lanes;
        let Some((packed, next)) = open.get_mut(lane) else { continue };
        packed.push(&symbol, &json);
        if packed.places.len() == BATCH_ROWS_MAX {
            batches.push(batch(lane, std::mem::take(packed), next));
        }
    }
    batches.extend(open.into_iter().enumerate().map(|(lane, (packed, mut next))| batch(lane, packed, &mut next)));
    batches.retain(|batch| !batch.is_empty());
    batches
}

fn batch(lane: usize, packed: Packed, next: &mut i64) -> Arc<Origin> {
    let (from, rows, bytes) = (*next, packed.places.len(), packed.bytes.len());
    *next += rows as i64;
    let offsets: Vec<i64> = (from..*next).collect();
    let times = vec![OPENING_MS as i64 * 1_000; rows];
    Arc::new(Origin::new(Lane::new("ticks", lane as i32), offsets, times, *next, bytes, Arc::new(packed)))
}
