//! Streams and settings for open, high, low, close and volume, generated from a seed, and what the Python oracle says
//! to them. Nothing here knows the plugin or the rig: the same cases go through the native plugin, the component, and
//! the whole path.

use std::io::{Error, ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use weir_plugin_sdk::testkit::Chance;

/// The volume of a row or of a window.
#[derive(Clone, Copy, Debug)]
pub enum Volume {
    /// Under `volume.type` int64.
    Whole(i64),
    /// Under `volume.type` float64.
    Double(f64),
}

impl PartialEq for Volume {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Volume::Whole(one), Volume::Whole(other)) => one == other,
            (Volume::Double(one), Volume::Double(other)) => {
                one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan())
            }
            _ => false,
        }
    }
}

/// One record of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The key; letters and digits, possibly none of them.
    pub key: Option<String>,
    /// The event time in µs since the epoch.
    pub time_us: i64,
    /// The price.
    pub price: Option<f64>,
    /// The volume, of the type that the case sums.
    pub volume: Option<Volume>,
}

/// One stream under one pipeline's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The plugin's settings but for its fields: `price.field`, `volume.field`, `key.field` and `time.field` are the
    /// caller's.
    pub settings: Vec<(String, String)>,
    /// The records in the order of their offsets.
    pub rows: Vec<Row>,
}

/// A window that fires.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its beginning in µs since the epoch.
    pub start_us: i64,
    /// Its key.
    pub key: Option<String>,
    /// First, highest, lowest and last price; never NaN, never -0.0.
    pub prices: [f64; 4],
    /// The sum of volumes.
    pub volume: Option<Volume>,
    /// The number of prices.
    pub count: i64,
}

/// What the oracle says to one record.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// The record is an error: too far ahead, or a volume that does not fit.
    Rejected,
    /// These windows fire, in this order.
    Fired(Vec<Bar>),
}

/// What the oracle says to a case: per record, and at last what the end of the stream fires.
pub type Answers = Vec<Expected>;

/// `count` cases; the same for the same seed.
pub fn generate(seed: u64, count: usize) -> Vec<Case> {
    let mut chance = Chance::new(seed);
    (0..count).map(|number| case(&mut chance, number)).collect()
}

fn case(chance: &mut Chance, number: usize) -> Case {
    let interval_ms = pick(chance, &[1, 5, 40, 250, 1_000, 60_000]);
    let lateness_ms = pick(chance, &[0, 0, 1, interval_ms / 2, interval_ms, 3 * interval_ms]);
    let is_whole = number.is_multiple_of(2);
    let future_ms = chance.one_in(3).then(|| 20 * interval_ms + lateness_ms);
    let mut settings = vec![("interval", format!("{interval_ms}ms"))];
    settings.push(("lateness", if lateness_ms == 0 { "0".to_owned() } else { format!("{lateness_ms}ms") }));
    settings.push(("volume.type", if is_whole { "int64" } else { "float64" }.to_owned()));
    if let Some(future_ms) = future_ms {
        settings.push(("future.max", format!("{future_ms}ms")));
    }
    let mut keys: Vec<_> = (1..=1 + chance.below(4)).map(|number| Some(format!("K{number}"))).collect();
    keys.push(pick(chance, &[None, Some(""), Some("akeyofmorethan16bytes")]).map(str::to_owned));
    let mut stream = Stream {
        chance,
        keys,
        is_whole,
        interval_us: interval_ms * 1_000,
        lateness_us: lateness_ms * 1_000,
        future_us: future_ms.map(|future_ms| future_ms * 1_000),
        // Before the epoch, at it, and now.
        newest_us: [-3_600_000_000, 0, 1_790_000_000_000_000].get(number % 3).copied().unwrap_or(0),
    };
    let rows = 60 + stream.chance.below(90);
    let rows = (0..rows).map(|_| stream.row()).collect();
    Case { settings: settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(), rows }
}

fn pick<T: Copy + Default>(chance: &mut Chance, items: &[T]) -> T {
    items.get(chance.below(items.len())).copied().unwrap_or_default()
}

/// A number from `low` to `high`, both included.
fn range(chance: &mut Chance, low: i64, high: i64) -> i64 {
    low + chance.below((high - low + 1) as usize) as i64
}

/// The state of a stream in the making.
struct Stream<'a> {
    chance: &'a mut Chance,
    keys: Vec<Option<String>>,
    is_whole: bool,
    interval_us: i64,
    lateness_us: i64,
    future_us: Option<i64>,
    newest_us: i64,
}

impl Stream<'_> {
    fn row(&mut self) -> Row {
        let key = self.keys.get(self.chance.below(self.keys.len())).cloned().flatten();
        let time_us = self.time();
        if self.future_us.is_none_or(|future_us| time_us - self.newest_us <= future_us) {
            self.newest_us = self.newest_us.max(time_us);
        }
        let (price, volume) = (self.price(), self.volume());
        Row { key, time_us, price, volume }
    }

    /// Mostly forward by a part of an interval; often the same time again, one on the edge of a window, an earlier one
    /// within the lateness, on its edge or beyond, a leap over windows, and now and then one far ahead.
    fn time(&mut self) -> i64 {
        let (newest, interval, lateness) = (self.newest_us, self.interval_us, self.lateness_us);
        match self.chance.below(100) {
            0..14 => newest,
            14..22 => newest - newest.rem_euclid(interval) + interval,
            22..24 => newest - newest.rem_euclid(interval) + interval - 1,
            24..36 => newest - range(self.chance, 0, lateness),
            36..42 => newest - lateness - range(self.chance, 0, 2 * interval),
            42..45 => newest - lateness - newest.rem_euclid(interval),
            45..50 => newest + range(self.chance, 1, 5) * interval,
            50..53 => match self.future_us {
                Some(future) => newest + future + range(self.chance, -1, 2),
                None => newest + 1,
            },
            53 if self.future_us.is_some() => newest + 300_000_000_000_000,
            _ => newest + range(self.chance, 0, interval / 3 + 1),
        }
    }

    fn price(&mut self) -> Option<f64> {
        Some(match self.chance.below(20) {
            0 => return None,
            1 => f64::NAN,
            2 => pick(self.chance, &[0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324]),
            // Few enough to be equal now and then.
            3..10 => 100.0 + range(self.chance, -4, 4) as f64 / 4.0,
            _ => range(self.chance, -1_000, 10_000_000) as f64 / 100.0,
        })
    }

    fn volume(&mut self) -> Option<Volume> {
        if self.chance.one_in(8) {
            return None;
        }
        let small = range(self.chance, -20, 1_000);
        Some(if self.is_whole {
            Volume::Whole(match self.chance.below(12) {
                0 => pick(self.chance, &[i64::MAX, i64::MIN, i64::MAX - 500, 1 << 62, -(1 << 62)]),
                1 => (1 << 53) + 1,
                _ => small,
            })
        } else {
            Volume::Double(match self.chance.below(24) {
                0 => pick(self.chance, &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX]),
                1..4 => pick(self.chance, &[1e16, -1e16, 1e-300, 5e-324, 1e90, -1e90]),
                4..10 => small as f64,
                _ => small as f64 / 10.0,
            })
        })
    }
}

impl Case {
    /// The case in the words of the oracle.
    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let settings: Vec<String> = self.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        writeln!(out, "case,{}", settings.join(","))?;
        for row in &self.rows {
            let key = row.key.as_ref().map_or_else(|| "-".to_owned(), |key| format!("={key}"));
            let bits = |value: f64| format!("{:016x}", value.to_bits());
            let price = row.price.map_or_else(|| "-".to_owned(), bits);
            let volume = match row.volume {
                None => "-".to_owned(),
                Some(Volume::Whole(volume)) => volume.to_string(),
                Some(Volume::Double(volume)) => bits(volume),
            };
            writeln!(out, "row,{key},{},{price},{volume}", row.time_us)?;
        }
        writeln!(out, "end")
    }

    /// Whether volumes are whole numbers.
    pub fn is_whole(&self) -> bool {
        self.settings.iter().any(|(key, value)| key == "volume.type" && value == "int64")
    }
}

/// Asks the oracle (the path of `oracle.py`) about all cases at once; needs `python3`.
///
/// # Errors
/// Python is missing, the oracle fails, or its answer has another shape.
pub fn ask(oracle: &Path, cases: &[Case]) -> std::io::Result<Vec<Answers>> {
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
        let lines = lines.by_ref().take(case.rows.len() + 1);
        let parsed = lines.map(|line| {
            parse(line, case.is_whole()).ok_or_else(|| Error::new(ErrorKind::InvalidData, line.to_owned()))
        });
        answers.push(parsed.collect::<Result<_, _>>()?);
    }
    Ok(answers)
}

fn parse(line: &str, is_whole: bool) -> Option<Expected> {
    match line {
        "reject" => Some(Expected::Rejected),
        "-" => Some(Expected::Fired(Vec::new())),
        bars => bars.split(' ').map(|bar| parse_bar(bar, is_whole)).collect::<Option<_>>().map(Expected::Fired),
    }
}

fn parse_bar(text: &str, is_whole: bool) -> Option<Bar> {
    let words: Vec<&str> = text.split(',').collect();
    let [start, key, open, high, low, close, volume, count] = words.as_slice() else { return None };
    let volume = match *volume {
        "-" => None,
        whole if is_whole => Some(Volume::Whole(whole.parse().ok()?)),
        bits => Some(Volume::Double(double(bits)?)),
    };
    Some(Bar {
        start_us: start.parse().ok()?,
        key: key.strip_prefix('=').map(str::to_owned),
        prices: [double(open)?, double(high)?, double(low)?, double(close)?],
        volume,
        count: count.parse().ok()?,
    })
}

fn double(word: &str) -> Option<f64> {
    match word {
        "nan" => Some(f64::NAN),
        bits => u64::from_str_radix(bits, 16).ok().map(f64::from_bits),
    }
}
