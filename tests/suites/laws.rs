//! The laws on the real components: the moving average and the bars in the host's guest runtime against their Python
//! oracles and published vectors, memory, and the law of cuts, from one lane in process up to workers that are killed.

mod bars;
mod bars_table;
mod component;
mod cuts;
mod lane;
mod memory;
#[path = "../../plugins/sma/tests/suite/named.rs"]
mod named;
mod oracle;
mod restarts;

use weir_tests::sma_cases::{Class, Expected, Row};

use component::Instance;
use named::Tick;

/// The seed of a run: fixed, unless the environment sets another one.
fn seed() -> u64 {
    weir_tests::environment::seed(20_261_122).expect("a seed")
}

/// The means that the component gives to the rows of a stream.
fn average(settings: &[(&str, &str)], ticks: &[Tick<'_>]) -> Vec<Option<f64>> {
    let row = |tick: &Tick<'_>| Row {
        key: tick.key.map(str::to_owned),
        time_us: tick.second * 1_000_000,
        value: tick.value,
        class: Class::Plain,
        is_tie: false,
        is_late: false,
    };
    let rows: Vec<Row> = ticks.iter().map(row).collect();
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut guest = Instance::average(settings).unwrap();
    let mean = |answer: Expected| match answer {
        Expected::Row { mean, .. } => mean,
        Expected::Dropped => panic!("every row goes on"),
    };
    rows.chunks(1_000).flat_map(|rows| guest.averages(rows).unwrap()).map(mean).collect()
}
