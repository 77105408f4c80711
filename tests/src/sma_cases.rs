//! Streams and settings for the moving average, generated from a seed, and what the Python oracle says to
//! them. Nothing here knows the plugin or the rig: the same cases go through the native plugin, the
//! component, and the whole path.

use std::io::{Error, ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// What is special about the observation of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A price with two decimals, or a small whole number.
    Plain,
    /// Of any magnitude from 1e-300 to 1e300, next to others of any.
    MixedMagnitude,
    /// Subnormal.
    Subnormal,
    /// The negative of one before, or nearly so.
    Cancellation,
    /// Not a number.
    Nan,
    /// An infinity of either sign.
    Infinity,
    /// No observation.
    Null,
}

/// All classes beside the plain one.
const SPECIAL: [Class; 6] =
    [Class::MixedMagnitude, Class::Subnormal, Class::Cancellation, Class::Nan, Class::Infinity, Class::Null];

/// One record of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The key; ASCII letters and digits.
    pub key: Option<String>,
    /// The event time in µs since the epoch.
    pub time_us: i64,
    /// The observation.
    pub value: Option<f64>,
    /// What is special about it.
    pub class: Class,
    /// Whether the key has a row of the same event time before.
    pub is_tie: bool,
    /// Whether the key has a row of a later event time before.
    pub is_late: bool,
}

/// One stream under one pipeline's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The plugin's settings but for its fields: `value.field`, `key.field` and `time.field` are the caller's.
    pub settings: Vec<(String, String)>,
    /// The records in the order of their offsets.
    pub rows: Vec<Row>,
}

/// What the oracle says to one record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// No row goes on.
    Dropped,
    /// A row goes on with these.
    Row {
        /// The mean; null where the window is not ready, or where the row is too late for one.
        mean: Option<f64>,
        /// The number of observations.
        count: Option<i64>,
        /// The sum, rounded once.
        sum: Option<f64>,
    },
}

/// Whether two results are the same double: equal bits, or both NaN.
pub fn is_same(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan()),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Pseudo-random numbers from a seed: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From `low` to `high`, both included.
    fn range(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1).unsigned_abs()) as i64
    }

    fn percent(&mut self, percent: i64) -> bool {
        self.range(1, 100) <= percent
    }

    fn pick<T: Copy>(&mut self, items: &[T], otherwise: T) -> T {
        let index = self.next() % items.len().max(1) as u64;
        items.get(index as usize).copied().unwrap_or(otherwise)
    }
}

/// `count` cases; the same for the same seed.
pub fn generate(seed: u64, count: usize) -> Vec<Case> {
    let mut chance = Chance(seed);
    (0..count).map(|number| case(&mut chance, number)).collect()
}

fn case(chance: &mut Chance, number: usize) -> Case {
    // Windows of time are more, since ties and late rows count only there.
    let timed = number % 8 >= 3;
    let special = SPECIAL.get(number % SPECIAL.len()).copied().unwrap_or(Class::Plain);
    let mut settings = Vec::new();
    let mut set = |key: &str, value: String| settings.push((key.to_owned(), value));
    // Now and then a window of several blocks of memory, and a stream that fills it.
    let is_long = number % 331 == 5;
    let rows = if is_long { 1_500 } else { chance.range(70, 145) };
    let (mut width_ms, mut lateness_ms) = (0, 0);
    if timed {
        width_ms = if is_long { 100_000 } else { chance.pick(&[1, 5, 40, 250, 1_000], 40) };
        lateness_ms = chance.pick(&[0, 1, width_ms / 2, width_ms, 3 * width_ms], 0);
        set("window", format!("{width_ms}ms"));
        set("lateness", if lateness_ms == 0 { "0".to_owned() } else { format!("{lateness_ms}ms") });
        if chance.percent(30) {
            set("min.periods", chance.range(1, 5).to_string());
        }
    } else {
        let window = if is_long { chance.range(600, 1_400) } else { chance.pick(&[1, 2, 3, 5, 20, 32, 33, 50, 64], 5) };
        set("window", window.to_string());
        if chance.percent(70) {
            set("min.periods", chance.range(1, window).to_string());
        }
    }
    if chance.percent(20) {
        set("key.ttl", format!("{}ms", chance.pick(&[1, 20, 500], 20)));
    }
    if chance.percent(25) {
        set("emit", "ready".to_owned());
    }
    let mut stream = Stream {
        chance,
        special,
        keys: if is_long { vec![None] } else { Vec::new() },
        newest: Vec::new(),
        now_us: 1_790_000_000_000_000,
        width_us: if timed { width_ms * 1_000 } else { 20_000 },
        lateness_us: lateness_ms * 1_000,
        values: Vec::new(),
    };
    stream.open_keys();
    let rows = (0..rows).map(|_| stream.row()).collect();
    Case { settings, rows }
}

/// The state of a stream in the making.
struct Stream<'a> {
    chance: &'a mut Chance,
    special: Class,
    keys: Vec<Option<String>>,
    /// By key: its newest time, and all its times.
    newest: Vec<Vec<i64>>,
    now_us: i64,
    width_us: i64,
    lateness_us: i64,
    /// Finite observations so far, for those that cancel them.
    values: Vec<f64>,
}

impl Stream<'_> {
    fn open_keys(&mut self) {
        if self.keys.is_empty() {
            let count = self.chance.range(1, 4);
            self.keys.extend((1..count).map(|number| Some(format!("K{number}"))));
            self.keys.push(if self.chance.percent(50) {
                None
            } else {
                Some("a key of more than 16 bytes".replace(' ', ""))
            });
        }
        self.newest = vec![Vec::new(); self.keys.len()];
    }

    fn row(&mut self) -> Row {
        let index = self.chance.range(0, self.keys.len() as i64 - 1) as usize;
        let time_us = self.time(index);
        let times = self.newest.get_mut(index).map(std::mem::take).unwrap_or_default();
        let is_tie = times.contains(&time_us);
        let is_late = times.iter().any(|earlier| *earlier > time_us);
        if let Some(slot) = self.newest.get_mut(index) {
            *slot = times;
            slot.push(time_us);
        }
        // NaN and infinities spoil every window that they are in: just enough of them.
        let often = match self.special {
            Class::Nan | Class::Infinity => 36,
            _ => 55,
        };
        let class = if self.chance.percent(often) { self.special } else { Class::Plain };
        let value = self.value(class);
        let key = self.keys.get(index).cloned().flatten();
        Row { key, time_us, value, class, is_tie, is_late }
    }

    /// Mostly forward in steps of whole and broken milliseconds, so that rows fall on the edges of windows;
    /// often the same time again, or an earlier one within the lateness, on its edge, or beyond.
    fn time(&mut self, key: usize) -> i64 {
        let newest = self.newest.get(key).and_then(|times| times.iter().max().copied());
        let Some(newest) = newest else {
            return self.now_us;
        };
        match self.chance.range(1, 100) {
            ..=14 => newest,
            15..=24 if self.lateness_us > 0 => newest - self.chance.range(1, self.lateness_us),
            25..=27 => newest - self.lateness_us,
            28..=30 => newest - self.lateness_us - self.chance.pick(&[1, 1_000], 1),
            31..=33 => newest - self.chance.range(0, 2 * self.width_us),
            34..=35 => {
                self.now_us += self.chance.range(1, 3) * self.width_us;
                self.now_us
            }
            _ => {
                self.now_us +=
                    self.chance.pick(&[0, 1, 500, 1_000, 1_000, self.width_us / 7 + 1, self.width_us / 3], 1);
                self.now_us
            }
        }
    }

    fn value(&mut self, class: Class) -> Option<f64> {
        let value = match class {
            Class::Null => return None,
            Class::Nan => f64::NAN,
            Class::Infinity => self.chance.pick(&[f64::INFINITY, f64::NEG_INFINITY], 0.0),
            Class::Plain => self.plain(),
            Class::MixedMagnitude => self.mixed(),
            Class::Subnormal => {
                let bits = self.chance.next() >> self.chance.range(12, 63);
                self.signed(f64::from_bits(bits))
            }
            Class::Cancellation => self.cancelling(),
        };
        if value.is_finite() {
            self.values.push(value);
        }
        Some(value)
    }

    fn signed(&mut self, value: f64) -> f64 {
        if self.chance.percent(50) { -value } else { value }
    }

    fn plain(&mut self) -> f64 {
        match self.chance.range(1, 10) {
            1..=7 => self.chance.range(1, 10_000_000) as f64 / 100.0,
            8 => self.chance.pick(&[0.0, -0.0, 1.0, 0.1, -0.1], 0.0),
            _ => self.chance.range(-50, 50) as f64,
        }
    }

    fn mixed(&mut self) -> f64 {
        let value = match self.chance.range(1, 10) {
            1 => self.chance.pick(&[f64::MAX, f64::MIN_POSITIVE, f64::MAX / 2.0], 1.0),
            2..=4 => 10_f64.powi(self.chance.range(-300, 300) as i32) * self.chance.range(1, 9_999) as f64,
            _ => 10_f64.powi(self.chance.range(-8, 12) as i32) * self.chance.range(1, 1 << 53) as f64 / 1e15,
        };
        self.signed(value)
    }

    fn cancelling(&mut self) -> f64 {
        let back = self.chance.range(1, 4) as usize;
        let former = self.values.len().checked_sub(back).and_then(|index| self.values.get(index).copied());
        match (self.chance.range(1, 10), former) {
            (1..=6, Some(former)) => -former,
            (7, Some(former)) => -former.next_up(),
            (8, _) => self.chance.pick(&[1e16, -1e16, 1e90, -1e90], 1e16),
            _ => self.plain(),
        }
    }
}

/// The share of rows with a property, in percent.
pub fn share(cases: &[Case], has: impl Fn(&Case, &Row) -> bool) -> f64 {
    let rows = || cases.iter().flat_map(|case| case.rows.iter().map(move |row| (case, row)));
    100.0 * rows().filter(|(case, row)| has(case, row)).count() as f64 / rows().count().max(1) as f64
}

/// The shares of everything special, by name: classes of observations among all rows; ties and late rows
/// only where they count, in windows of time.
pub fn shares(cases: &[Case]) -> Vec<(String, f64)> {
    let of_class = |class| share(cases, move |_, row| row.class == class);
    let mut shares: Vec<_> = SPECIAL.iter().map(|class| (format!("{class:?}"), of_class(*class))).collect();
    shares.push(("tie".to_owned(), share(cases, |case, row| case.is_timed() && row.is_tie)));
    shares.push(("late".to_owned(), share(cases, |case, row| case.is_timed() && row.is_late)));
    shares
}

impl Case {
    /// Whether the window is a duration.
    pub fn is_timed(&self) -> bool {
        self.settings.iter().any(|(key, value)| key == "window" && value.ends_with('s'))
    }

    /// The case in the words of the oracle.
    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        write!(out, "case")?;
        for (key, value) in &self.settings {
            write!(out, ",{key}={value}")?;
        }
        writeln!(out)?;
        for row in &self.rows {
            match &row.key {
                Some(key) => write!(out, "row,={key},{},", row.time_us)?,
                None => write!(out, "row,-,{},", row.time_us)?,
            }
            match row.value {
                Some(value) => writeln!(out, "{:016x}", value.to_bits())?,
                None => writeln!(out, "-")?,
            }
        }
        Ok(())
    }
}

/// Asks the oracle (the path of `oracle.py`) about all cases at once; needs `python3`.
///
/// # Errors
/// Python is missing, the oracle fails, or its answer has another shape.
pub fn ask(oracle: &Path, cases: &[Case]) -> std::io::Result<Vec<Vec<Expected>>> {
    let mut python = Command::new("python3").arg(oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = Vec::new();
    cases.iter().try_for_each(|case| case.write(&mut input))?;
    let stdin = python.stdin.take();
    let feeder = std::thread::spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&input)));
    let output = python.wait_with_output()?;
    feeder.join().map_err(|_| Error::other("the thread that feeds the oracle panicked"))??;
    if !output.status.success() {
        return Err(Error::other(format!("the oracle ended with {}", output.status)));
    }
    let text = String::from_utf8(output.stdout).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    let mut lines = text.lines();
    let mut answers = Vec::new();
    for case in cases {
        let rows = lines.by_ref().take(case.rows.len());
        let rows = rows.map(|line| parse(line).ok_or_else(|| Error::new(ErrorKind::InvalidData, line.to_owned())));
        answers.push(rows.collect::<Result<_, _>>()?);
    }
    Ok(answers)
}

fn parse(line: &str) -> Option<Expected> {
    if line == "drop" {
        return Some(Expected::Dropped);
    }
    let mut words = line.split(',');
    let (mean, count, sum) = (double(words.next()?)?, words.next()?, double(words.next()?)?);
    let count = if count == "-" { None } else { Some(count.parse().ok()?) };
    Some(Expected::Row { mean, count, sum })
}

/// A result: null, or a double.
type Cell = Option<f64>;

/// The result that a word stands for, if it stands for one.
fn double(word: &str) -> Option<Cell> {
    match word {
        "-" => Some(None),
        "nan" => Some(Some(f64::NAN)),
        bits => u64::from_str_radix(bits, 16).ok().map(|bits| Some(f64::from_bits(bits))),
    }
}
