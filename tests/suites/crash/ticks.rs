//! The load: ticks that are a function of their place in the topic, the thread that sends them ahead of the worker, and
//! what their moving averages must be.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, ensure};
use weir_tests::kafka::{Kafka, Producer, Record};

use super::super::faults::drawn;

/// Rows of the moving average.
pub const WINDOW: usize = 50;
/// Symbols of each partition.
const SYMBOLS: usize = 250;
const SYMBOLS_FEW: usize = 5;
/// Records that lie ahead of the worker when it may go on: more than it takes until it is killed.
const LEAD: i64 = 400_000;
/// Prices lie in [64, 128), where doubles are whole multiples of this.
const ULP: f64 = 1.0 / (1_u64 << 46) as f64;
const CENTS: std::ops::Range<u64> = 6_400..12_800;

/// The ticks of a run.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    seed: u64,
    symbols: usize,
}

/// One tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Number of its symbol in its partition.
    pub symbol: usize,
    cents: u64,
}

impl Ticks {
    /// The ticks of this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, symbols: SYMBOLS }
    }

    /// The same with so many symbols in each partition.
    pub fn of_keys(seed: u64, symbols: usize) -> Self {
        Self { seed, symbols }
    }

    /// The same with fewer symbols, whose windows are full sooner.
    pub fn of_few_symbols(self) -> Self {
        Self { symbols: SYMBOLS_FEW, ..self }
    }

    /// The tick at a place of the topic.
    pub fn at(self, partition: i32, offset: i64) -> Tick {
        let number = drawn(self.seed, (u64::from(partition.unsigned_abs()) << 40) + offset.unsigned_abs());
        let symbol = (number >> 32) as usize % self.symbols;
        Tick { symbol, cents: CENTS.start + (number & 0xffff_ffff) % (CENTS.end - CENTS.start) }
    }
}

impl Tick {
    /// Its symbol, by which the topic is keyed.
    pub fn name(self, partition: i32) -> String {
        format!("S{partition}-{:03}", self.symbol)
    }

    /// The double that its price is: both numbers are exact, and their quotient is rounded once.
    pub fn price(self) -> f64 {
        self.cents as f64 / 100.0
    }

    fn json(self, name: &str) -> String {
        format!(r#"{{"symbol":"{name}","price":{}.{:02}}}"#, self.cents / 100, self.cents % 100)
    }
}

/// The means of one partition by definition, in whole numbers: prices and their means lie in [64, 128), so each is a
/// whole number of units in the last place, and the mean is the rounded quotient of two whole numbers.
#[derive(Debug)]
pub struct Means {
    /// By symbol: the prices of its window, the oldest at the place that comes next.
    windows: Vec<([u64; WINDOW], usize)>,
}

impl Means {
    /// Before the first tick of a partition.
    pub fn of(ticks: Ticks) -> Self {
        Self { windows: vec![([0; WINDOW], 0); ticks.symbols] }
    }

    /// Takes the next tick; the mean of its symbol's last [`WINDOW`] prices, none before there are so many.
    pub fn next(&mut self, tick: Tick) -> Option<f64> {
        let (prices, seen) = &mut self.windows[tick.symbol];
        prices[*seen % WINDOW] = (tick.price() / ULP) as u64;
        *seen += 1;
        let (sum, rows) = (prices.iter().sum::<u64>(), WINDOW as u64);
        let (floor, twice_rest) = (sum / rows, sum % rows * 2);
        // To the nearest, ties to even.
        let up = twice_rest > rows || (twice_rest == rows && floor % 2 == 1);
        (*seen >= WINDOW).then(|| (floor + u64::from(up)) as f64 * ULP)
    }
}

/// Sends ticks to all partitions in turn, on a thread of its own, as far ahead of the worker as it is told.
#[derive(Debug)]
pub struct Feed {
    goals: Sender<i64>,
    thread: JoinHandle<Result<i64>>,
}

impl Feed {
    /// Sends to a topic that is empty.
    pub fn start(kafka: &Kafka, topic: &str, partitions: i32, ticks: Ticks) -> Result<Self> {
        // Idempotence: what is sent again after a lost answer must not come twice, or no offset were what is expected.
        let settings = [("enable.idempotence", "true"), ("compression.type", "lz4")];
        let (producer, topic) = (kafka.producer_with(&settings)?, topic.to_owned());
        let (goals, received) = channel();
        let thread = thread::spawn(move || send(&producer, &topic, partitions, ticks, &received));
        Ok(Self { goals, thread })
    }

    /// Lets it run ahead of so many records in all partitions together.
    pub fn lead(&self, passed: i64) -> Result<()> {
        self.reach(passed + LEAD)
    }

    /// Lets it go on until so many records are sent to all partitions together.
    pub fn reach(&self, goal: i64) -> Result<()> {
        self.goals.send(goal).context("the producer has ended")
    }

    /// Where it is told as [`Feed::reach`] tells it, by others.
    pub fn goals(&self) -> Sender<i64> {
        self.goals.clone()
    }

    /// Ends it, where nobody else tells it any more: the number of records that are stored.
    pub fn finish(self) -> Result<i64> {
        drop(self.goals);
        self.thread.join().ok().context("the producer panicked")?
    }
}

fn send(producer: &Producer, topic: &str, partitions: i32, ticks: Ticks, goals: &Receiver<i64>) -> Result<i64> {
    let mut sent = 0;
    for goal in goals {
        while sent < goal {
            let (partition, offset) = ((sent % i64::from(partitions)) as i32, sent / i64::from(partitions));
            let tick = ticks.at(partition, offset);
            let name = tick.name(partition);
            producer.send(topic, &Record::new(&tick.json(&name)).key(&name).partition(partition))?;
            sent += 1;
        }
    }
    producer.flush()?;
    Ok(sent)
}

/// The next offset of each partition after so many records.
pub fn ends(sent: i64, partitions: i32) -> Vec<i64> {
    let partitions = i64::from(partitions);
    (0..partitions).map(|partition| (sent - partition + partitions - 1) / partitions).collect()
}

#[test]
fn records_go_round_the_partitions() {
    assert_eq!(ends(0, 4), [0, 0, 0, 0]);
    assert_eq!(ends(5, 4), [2, 1, 1, 1]);
    assert_eq!(ends(8, 4), [2, 2, 2, 2]);
}

#[test]
fn the_means_are_what_fractions_say() -> Result<()> {
    use weir_tests::environment::{fresh_seed, repository};
    use weir_tests::sma_cases::{Case, Class, Expected, Row, ask};

    const TICKS: i64 = 40_000;
    let ticks = Ticks::new(fresh_seed()?);
    let row = |offset| {
        let tick = ticks.at(1, offset);
        let (key, value) = (Some(tick.name(1).replace('-', "")), Some(tick.price()));
        Row { key, time_us: offset, value, class: Class::Plain, is_tie: false, is_late: false }
    };
    let settings = vec![("window".to_owned(), WINDOW.to_string())];
    let case = Case { settings, rows: (0..TICKS).map(row).collect() };
    let answers = ask(&repository().join("plugins/sma/oracle/oracle.py"), &[case])?;
    let (mut means, mut full) = (Means::of(ticks), 0);
    for (offset, answer) in (0..TICKS).zip(&answers[0]) {
        let found = means.next(ticks.at(1, offset));
        let Expected::Row { mean, .. } = answer else { anyhow::bail!("every tick has a row") };
        ensure!(found.map(f64::to_bits) == mean.map(f64::to_bits), "offset {offset}: {found:?} and not {mean:?}");
        full += i64::from(found.is_some());
    }
    ensure!(full > TICKS / 2, "only {full} windows are full");
    Ok(())
}
