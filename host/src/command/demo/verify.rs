//! The check of the demo's table, sharing no code with the plugin: each mean is computed anew over its whole
//! window, from the written decimals, in whole numbers.

use std::collections::{BTreeMap, VecDeque};

use super::ticks::Ticks;

/// What the table holds for one tick: price and one mean per window (None = NULL).
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The price's bits.
    pub price: u64,
    /// The means' bits, in the order of the windows.
    pub means: Vec<Option<u64>>,
}

/// What is wrong with the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Rows in the table.
    pub rows: u64,
    /// Ticks without a row.
    pub missing: u64,
    /// Rows beyond the first of a tick.
    pub duplicated: u64,
    /// Rows whose values are not those expected, or that belong to no tick.
    pub wrong: u64,
}

impl Verdict {
    /// Whether every tick has its one row with the right values.
    pub fn is_good(&self) -> bool {
        self.missing == 0 && self.duplicated == 0 && self.wrong == 0
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Verdict { rows, missing, duplicated, wrong } = self;
        write!(f, "verified: {rows} rows, {missing} missing, {duplicated} duplicated, {wrong} wrong")
    }
}

/// Expects one row for each tick.
#[derive(Debug)]
pub struct Check {
    expected: BTreeMap<(String, i64), (Row, bool)>,
    verdict: Verdict,
}

impl Check {
    /// Computes what the table must hold. `windows` in rows.
    pub fn new(ticks: &Ticks, windows: &[usize]) -> Check {
        let longest = windows.iter().copied().max().unwrap_or(1);
        let mut prices: BTreeMap<String, VecDeque<f64>> = BTreeMap::new();
        let mut expected = BTreeMap::new();
        for tick in ticks.iter() {
            let price: f64 = tick.price.parse().unwrap_or(f64::NAN);
            let seen = prices.entry(tick.symbol.clone()).or_default();
            seen.push_back(price);
            if seen.len() > longest {
                seen.pop_front();
            }
            let means = windows.iter().map(|&window| mean(seen, window).map(f64::to_bits)).collect();
            expected.insert((tick.symbol, tick.ts_ms), (Row { price: price.to_bits(), means }, false));
        }
        Check { expected, verdict: Verdict::default() }
    }

    /// Takes a row of the table.
    pub fn row(&mut self, symbol: &str, ts_ms: i64, row: &Row) {
        self.verdict.rows += 1;
        match self.expected.get_mut(&(symbol.to_owned(), ts_ms)) {
            None => self.verdict.wrong += 1,
            Some((_, true)) => self.verdict.duplicated += 1,
            Some((expected, seen)) => {
                *seen = true;
                self.verdict.wrong += u64::from(expected != row);
            }
        }
    }

    /// The verdict, after the last row.
    pub fn finish(self) -> Verdict {
        let missing = self.expected.values().filter(|(_, seen)| !seen).count() as u64;
        Verdict { missing, ..self.verdict }
    }
}

/// The mean of the last `window` prices, rounded once; None before there are as many.
fn mean(prices: &VecDeque<f64>, window: usize) -> Option<f64> {
    let skipped = prices.len().checked_sub(window)?;
    let parts: Vec<(i128, i32)> = prices.iter().skip(skipped).map(|&price| parts(price)).collect();
    let exponent = parts.iter().map(|(_, exponent)| *exponent).min()?;
    let sum: i128 = parts.iter().map(|(mantissa, e)| mantissa << (e - exponent)).sum();
    Some(divide(sum, window as i128, exponent))
}

/// A finite double as mantissa · 2^exponent.
fn parts(value: f64) -> (i128, i32) {
    let bits = value.to_bits();
    let biased = ((bits >> 52) & 0x7ff) as i32;
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let mantissa = if biased == 0 { fraction } else { fraction | (1 << 52) };
    let sign = if value.is_sign_negative() { -1 } else { 1 };
    (sign * mantissa, biased.max(1) - 1_075)
}

/// sum · 2^exponent / count to the nearest double, ties to even; for prices, far from the ends of the range.
fn divide(sum: i128, count: i128, exponent: i32) -> f64 {
    let mut shift = 0;
    let mut dividend = sum.abs();
    // Enough bits that the quotient has more than 53, and the remainder only matters as "some".
    while dividend != 0 && dividend.leading_zeros() > 2 {
        dividend <<= 1;
        shift += 1;
    }
    let (quotient, remainder) = (dividend / count, dividend % count);
    let rounded = (quotient | i128::from(remainder != 0)) as f64;
    let value = rounded * 2f64.powi(exponent - shift);
    if sum < 0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
    use super::*;

    fn deque(values: &[f64]) -> VecDeque<f64> {
        values.iter().copied().collect()
    }

    #[test]
    fn means_are_rounded_once() {
        assert_eq!(mean(&deque(&[1.0, 2.0]), 3), None);
        assert_eq!(mean(&deque(&[1.0, 2.0, 4.0]), 2), Some(3.0));
        // Python: float(sum(map(Fraction, [0.1, 0.2, 0.3])) / 3) and the like.
        assert_eq!(mean(&deque(&[0.1, 0.2, 0.3]), 3), Some(0.2));
        assert_eq!(mean(&deque(&[0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3]), 9), Some(0.2));
        assert_eq!(mean(&deque(&[1e16, 1.0]), 2), Some(5_000_000_000_000_000.5_f64));
        assert_eq!(mean(&deque(&[-0.1, -0.2]), 2), Some(-0.150_000_000_000_000_02));
    }

    #[test]
    fn each_fault_is_counted() {
        let ticks = Ticks::MadeUp { records: 4, symbols: 1 };
        let row = |price: &str| Row { price: price.parse::<f64>().unwrap().to_bits(), means: vec![None] };
        let all: Vec<_> = ticks.iter().collect();
        let mut check = Check::new(&ticks, &[50]);
        for tick in all.iter().take(3) {
            check.row(&tick.symbol, tick.ts_ms, &row(&tick.price));
        }
        check.row(&all[0].symbol, all[0].ts_ms, &row(&all[0].price));
        check.row("S0000", 0, &row("1"));
        let verdict = check.finish();
        assert_eq!(verdict.to_string(), "verified: 5 rows, 1 missing, 1 duplicated, 1 wrong");
        assert!(!verdict.is_good());
    }
}
