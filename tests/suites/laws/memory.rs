//! What a key of the moving average takes, as linear memory of the real component: slots, sums, keys and hash table.

use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Float64Array, StringArray};
use weir::guest::Guest;
use weir::limits::BATCH_ROWS_MAX;
use weir::record::{Column, Kind};

use super::component::{plugin, setup};

/// Rows of a window.
const WINDOW: usize = 50;

/// Linear memory per key of a guest with this many keys, each of which has seen `rows` rows. Keys come in turn, so that
/// windows fill side by side.
fn bytes_per_key(keys: usize, rows: usize) -> Result<usize> {
    let plugin = plugin("sma")?;
    let settings = [("value.field", "price"), ("window", "50"), ("keys.max", "1000000")];
    let setup = setup(&plugin, settings.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let mut guest = Guest::new(&plugin, &setup)?;
    for turn in 0..rows {
        for first in (0..keys).step_by(BATCH_ROWS_MAX) {
            let numbers = first..keys.min(first + BATCH_ROWS_MAX);
            let price = |key: usize| (10_000 + (key * 7_919 + turn * 31) % 90_000) as f64 / 100.0;
            let columns: [ArrayRef; 2] = [
                Arc::new(Float64Array::from_iter_values(numbers.clone().map(price))),
                Arc::new(StringArray::from_iter_values(numbers.clone().map(|key| format!("S{key:07}")))),
            ];
            let [prices, symbols] = columns;
            let columns = [Column::of(Kind::Float64, prices), Column::of(Kind::Text, symbols)];
            guest.process(numbers.len(), &columns)?;
        }
    }
    let held = guest.memory_bytes().div_ceil(keys);
    println!("{held} bytes per key: {keys} keys with {rows} rows each, windows of {WINDOW}");
    Ok(held)
}

#[test]
fn a_key_takes_its_slots_and_a_hundred_bytes() {
    let held = bytes_per_key(100_000, 5).unwrap();
    assert!(held <= 8 * WINDOW + 100, "{held} bytes per key");
}

/// Beyond what CI runs.
mod long {
    use super::{WINDOW, bytes_per_key};

    #[test]
    fn a_million_keys_take_their_slots_and_a_hundred_bytes_each() {
        let held = bytes_per_key(1_000_000, WINDOW + 1).unwrap();
        assert!(held <= 8 * WINDOW + 100, "{held} bytes per key");
    }
}
