//! What the demo sends: ticks made up from a number, or the rows of a CSV file. Both can be walked through again,
//! so that the check needs nothing but its own arithmetic.

use std::fs;
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// One price of one symbol.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// The symbol, also the record's key.
    pub symbol: String,
    /// Milliseconds since the epoch; grows with each tick of a symbol.
    pub ts_ms: i64,
    /// The price as it is written into the JSON.
    pub price: String,
    /// The volume, where there is one.
    pub volume: Option<i64>,
}

impl Tick {
    /// The record's value.
    pub fn json(&self) -> String {
        let Tick { symbol, ts_ms, price, volume } = self;
        match volume {
            Some(volume) => format!(r#"{{"symbol":"{symbol}","ts":{ts_ms},"price":{price},"volume":{volume}}}"#),
            None => format!(r#"{{"symbol":"{symbol}","ts":{ts_ms},"price":{price}}}"#),
        }
    }
}

/// Where ticks come from.
#[derive(Debug, Clone)]
pub enum Ticks {
    /// This many, of this many symbols.
    MadeUp {
        /// Ticks.
        records: u64,
        /// Symbols.
        symbols: u64,
    },
    /// Those of a file.
    Read(Vec<Tick>),
}

/// 2026-09-21T14:13:20Z, when the made-up market opens.
const OPENING_MS: i64 = 1_790_000_000_000;

impl Ticks {
    /// Reads a CSV file with a header row. Columns: `symbol`, `ts` (epoch milliseconds) or `date` (YYYY-MM-DD),
    /// `price`, and `volume` where there is one; others are left out. Rows are in the order of time.
    pub fn read(path: &Path) -> Result<Ticks> {
        let bad = |what: String| Error::new(Kind::Config, format!("{}: {what}", path.display()));
        let text = fs::read_to_string(path).map_err(|e| bad(format!("cannot be read: {e}")))?;
        let mut lines = text.lines().enumerate();
        let header = lines.next().map(|(_, line)| line).unwrap_or_default();
        let columns = Columns::of(header).map_err(&bad)?;
        let ticks = lines
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| columns.tick(line).map_err(|what| bad(format!("line {}: {what}", at + 1))));
        Ok(Ticks::Read(ticks.collect::<Result<_>>()?))
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        match self {
            Ticks::MadeUp { records, .. } => *records,
            Ticks::Read(ticks) => ticks.len() as u64,
        }
    }

    /// Whether ticks have a volume.
    pub fn have_volume(&self) -> bool {
        match self {
            Ticks::MadeUp { .. } => true,
            Ticks::Read(ticks) => ticks.iter().all(|tick| tick.volume.is_some()),
        }
    }

    /// The ticks, in order.
    pub fn iter(&self) -> Box<dyn Iterator<Item = Tick> + '_> {
        match self {
            Ticks::MadeUp { records, symbols } => Box::new((0..*records).map(|number| made_up(number, *symbols))),
            Ticks::Read(ticks) => Box::new(ticks.iter().cloned()),
        }
    }
}

/// A tick that depends on its number alone.
fn made_up(number: u64, symbols: u64) -> Tick {
    let noise = scatter(number);
    let symbol = noise % symbols.max(1);
    let cents = 5_000 + symbol * 10 + (noise >> 32) % 2_000;
    Tick {
        symbol: format!("S{symbol:04}"),
        ts_ms: OPENING_MS + number as i64,
        price: format!("{}.{:02}", cents / 100, cents % 100),
        volume: Some(1 + ((noise >> 48) % 500) as i64),
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbouring numbers become unrelated ones.
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Which column holds what.
struct Columns {
    symbol: usize,
    time: usize,
    is_date: bool,
    price: usize,
    volume: Option<usize>,
}

impl Columns {
    fn of(header: &str) -> Result<Columns, String> {
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let find = |name: &str| names.iter().position(|n| n.eq_ignore_ascii_case(name));
        let need = |name: &str| find(name).ok_or_else(|| format!("the header `{header}` has no column `{name}`"));
        let (time, is_date) = match (find("ts"), find("date")) {
            (Some(ts), _) => (ts, false),
            (None, Some(date)) => (date, true),
            (None, None) => return Err(format!("the header `{header}` has neither a column `ts` nor `date`")),
        };
        Ok(Columns { symbol: need("symbol")?, time, is_date, price: need("price")?, volume: find("volume") })
    }

    fn tick(&self, line: &str) -> Result<Tick, String> {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |at: usize| cells.get(at).copied().ok_or_else(|| format!("`{line}` has too few columns"));
        let number = |text: &str| text.parse::<i64>().map_err(|_| format!("`{text}` is no whole number"));
        let time = cell(self.time)?;
        let price = cell(self.price)?;
        price.parse::<f64>().map_err(|_| format!("`{price}` is no number"))?;
        Ok(Tick {
            symbol: cell(self.symbol)?.to_owned(),
            ts_ms: if self.is_date { date_ms(time)? } else { number(time)? },
            price: price.to_owned(),
            volume: self.volume.map(|at| cell(at).and_then(number)).transpose()?,
        })
    }
}

/// Midnight UTC of a date `YYYY-MM-DD`, in milliseconds since the epoch.
fn date_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no date (YYYY-MM-DD)");
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().map_err(|_| wrong()));
    let mut next = || parts.next().unwrap_or_else(|| Err(wrong()));
    let (year, month, day) = (next()?, next()?, next()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(wrong());
    }
    Ok(days_from_civil(year, month, day) * 86_400_000)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Hinnant, "chrono-compatible date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;

    #[test]
    fn dates_are_midnights_in_utc() {
        assert_eq!(date_ms("1970-01-01"), Ok(0));
        assert_eq!(date_ms("2000-02-29"), Ok(951_782_400_000));
        assert_eq!(date_ms("1969-12-31"), Ok(-86_400_000));
        assert!(date_ms("2000-13-01").is_err());
        assert!(date_ms("soon").is_err());
    }

    #[test]
    fn made_up_ticks_are_the_same_each_time() {
        let ticks = Ticks::MadeUp { records: 1_000, symbols: 10 };
        assert!(ticks.iter().eq(ticks.iter()));
        let first = ticks.iter().next().unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&first.json()).is_ok());
        assert_eq!(first.ts_ms, OPENING_MS);
    }

    #[test]
    fn a_csv_row_is_found_by_its_header() {
        let columns = Columns::of("symbol,date,price").unwrap();
        let tick = columns.tick("SP500,2000-01-03,1455.219971").unwrap();
        assert_eq!(tick.json(), r#"{"symbol":"SP500","ts":946857600000,"price":1455.219971}"#);
        assert_eq!(Columns::of("a,b").err().unwrap(), "the header `a,b` has neither a column `ts` nor `date`");
        assert_eq!(columns.tick("SP500,2000-01-03,x").unwrap_err(), "`x` is no number");
    }
}
