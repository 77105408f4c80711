//! What a row costs in the plugin alone, compiled natively: batches of 8 192 rows through the same calls that
//! a component makes. Prints nanoseconds per row: the median over batches, and the best batch. A batch is
//! shorter than a time slice, so that other work on the machine hardly shows in the median.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench fails by panicking and reads the clock"
)]

use sma::Sma;
use std::hint::black_box;
use std::time::Instant;
use weir_plugin_sdk::guest::Guest;
use weir_plugin_sdk::{Column, Slices, Values};

const ROWS: usize = 8_192;
const BATCHES: usize = 250;
const ROUNDS: usize = 5;

/// The columns of one batch.
struct Ticks {
    prices: Vec<f64>,
    keys: Vec<u8>,
    offsets: Vec<u32>,
    times: Vec<i64>,
}

impl Ticks {
    /// Ticks of `symbols` symbols in turn, prices with two decimals, 1 ms apart.
    fn new(symbols: usize, batch: usize) -> Self {
        let mut ticks = Self { prices: Vec::new(), keys: Vec::new(), offsets: vec![0], times: Vec::new() };
        for row in 0..ROWS {
            let number = batch * ROWS + row;
            ticks.keys.extend_from_slice(format!("S{:04}", number * 7 % symbols).as_bytes());
            ticks.offsets.push(ticks.keys.len() as u32);
            ticks.prices.push((10_000 + number * 7_919 % 9_973) as f64 / 100.0);
            ticks.times.push(1_790_000_000_000_000 + number as i64 * 1_000);
        }
        ticks
    }
}

fn measure(name: &str, symbols: usize, settings: &[(&str, &str)]) {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let mut guest = Guest::<Sma>::new();
    guest.configure(settings.iter().map(owned)).unwrap();
    let inputs = guest.plan().unwrap().inputs().len();
    let mut ticks: Vec<Ticks> = (0..BATCHES).map(|batch| Ticks::new(symbols, batch)).collect();
    let mut spent = Vec::new();
    for _ in 0..ROUNDS {
        for ticks in &mut ticks {
            let keys = Slices { bytes: &ticks.keys, offsets: &ticks.offsets };
            let columns = [
                Column::of(Values::Float64s(&ticks.prices)),
                Column::of(Values::Texts(keys)),
                Column::of(Values::Int64s(&ticks.times)),
            ];
            let start = Instant::now();
            black_box(guest.process(ROWS, &columns[..inputs]).unwrap());
            spent.push(start.elapsed().as_nanos() as f64 / ROWS as f64);
            let round_us = (BATCHES * ROWS) as i64 * 1_000;
            ticks.times.iter_mut().for_each(|time| *time += round_us);
        }
    }
    spent.sort_by(f64::total_cmp);
    let (median, best) = (spent[spent.len() / 2], spent[0]);
    println!("{name:<36} {median:>7.1} ns/row, best {best:>6.1}");
}

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let measure = |name: &str, symbols, settings: &[(&str, &str)]| {
        if only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
            measure(name, symbols, settings);
        }
    };
    let window = |window| [("value.field", "price"), ("window", window)];
    measure("1000 keys, 50 rows", 1_000, &window("50"));
    measure("1 key, 50 rows", 1, &window("50"));
    measure("100000 keys, 50 rows", 100_000, &window("50"));
    measure("1000 keys, 1000 rows", 1_000, &window("1000"));
    measure("10 keys, 100000 rows", 10, &window("100000"));
    let fields = [("value.field", "price"), ("window", "50"), ("count.field", "n"), ("sum.field", "s")];
    measure("1000 keys, 50 rows, count and sum", 1_000, &fields);
    let forgetting = [("value.field", "price"), ("window", "50"), ("key.ttl", "1h")];
    measure("1000 keys, 50 rows, key.ttl", 1_000, &forgetting);
    measure("1000 keys, 50 s", 1_000, &window("50s"));
}
