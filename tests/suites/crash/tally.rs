//! The last word: every row against what the ticks say, by its coordinates.

use std::fmt::{self, Display, Formatter};

use anyhow::Result;
use tokio_postgres::Row;
use weir_tests::db::Session;

use super::ticks::{Means, Tick, Ticks};

/// Offsets that are read at once.
const PAGE: i64 = 100_000;
/// Places that are named.
const NAMED_MAX: usize = 5;

/// A row of the table, beside its coordinates.
#[derive(Debug, Clone, PartialEq)]
struct Cells {
    symbol: Option<String>,
    price: Option<f64>,
    sma: Option<f64>,
}

impl Cells {
    fn expected(tick: Tick, partition: i32, mean: Option<f64>) -> Self {
        Self { symbol: Some(tick.name(partition)), price: Some(tick.price()), sma: mean }
    }

    fn found(row: &Row) -> (i64, Self) {
        (row.get(0), Self { symbol: row.get(1), price: row.get(2), sma: row.get(3) })
    }

    /// Equal to the bit.
    fn is(&self, other: &Self) -> bool {
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        self.symbol == other.symbol && bits(self.price) == bits(other.price) && bits(self.sma) == bits(other.sma)
    }
}

/// How many rows are not as they must be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that are right.
    pub right: u64,
    /// Records below the position that have no row.
    pub lost: u64,
    /// Rows beyond the first of a record.
    pub doubled: u64,
    /// Rows with another symbol, price or mean than due, and rows where no record is or the position has not been.
    pub wrong: u64,
    /// The first of them.
    pub named: Vec<String>,
}

impl Display for Tally {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{} lost, {} doubled, {} wrong", self.lost, self.doubled, self.wrong)
    }
}

impl Tally {
    /// Compares all rows of table `averages` with the ticks below these offsets, one per partition.
    pub async fn of(session: &Session, ticks: Ticks, ends: &[i64]) -> Result<Self> {
        let mut tally = Self::default();
        let sql = session
            .prepare(
                "SELECT kafka_offset, symbol, price, sma FROM averages
                 WHERE kafka_partition = $1 AND kafka_offset >= $2 AND kafka_offset < $3 ORDER BY kafka_offset",
            )
            .await?;
        for (partition, &end) in (0..).zip(ends) {
            let mut means = Means::of(ticks);
            for from in (0..end).step_by(PAGE as usize) {
                let to = end.min(from + PAGE);
                let rows = session.query(&sql, &[&partition, &from, &to]).await?;
                let due = (from..to).map(|offset| {
                    let tick = ticks.at(partition, offset);
                    (offset, Cells::expected(tick, partition, means.next(tick)))
                });
                tally.add(partition, due, rows.iter().map(Cells::found));
            }
        }
        let elsewhere = session.count("averages").await?.unsigned_abs().saturating_sub(tally.seen());
        if elsewhere > 0 {
            tally.wrong += elsewhere;
            tally.name(|| format!("{elsewhere} rows where no record is"));
        }
        Ok(tally)
    }

    /// Whether every row is as it must be.
    pub fn is_clean(&self) -> bool {
        (self.lost, self.doubled, self.wrong) == (0, 0, 0)
    }

    fn seen(&self) -> u64 {
        self.right + self.doubled + self.wrong
    }

    /// Adds a run of offsets of a partition; both in order, and no row outside the run.
    fn add(
        &mut self,
        partition: i32,
        due: impl Iterator<Item = (i64, Cells)>,
        found: impl Iterator<Item = (i64, Cells)>,
    ) {
        let mut found = found.peekable();
        for (offset, wanted) in due {
            let mut rows = 0;
            while let Some((_, row)) = found.next_if(|(at, _)| *at == offset) {
                rows += 1;
                let count = match (rows, row.is(&wanted)) {
                    (1, true) => &mut self.right,
                    (_, true) => &mut self.doubled,
                    (_, false) => &mut self.wrong,
                };
                *count += 1;
                if rows > 1 || !row.is(&wanted) {
                    self.name(|| format!("row {rows} of {partition}/{offset} is {row:?}, due is {wanted:?}"));
                }
            }
            if rows == 0 {
                self.lost += 1;
                self.name(|| format!("{partition}/{offset} has no row"));
            }
        }
    }

    fn name(&mut self, what: impl FnOnce() -> String) {
        if self.named.len() < NAMED_MAX {
            self.named.push(what());
        }
    }
}

#[test]
fn the_tally_counts_what_is_lost_doubled_and_wrong() {
    let row = |offset, price| (offset, Cells { symbol: Some("S".to_owned()), price: Some(price), sma: None });
    let counted = |found: &[(i64, Cells)]| {
        let mut tally = Tally::default();
        tally.add(3, [row(0, 1.0), row(1, 2.0), row(2, 3.0)].into_iter(), found.iter().cloned());
        (tally.right, tally.to_string(), tally.named.len())
    };
    let clean = (3, "0 lost, 0 doubled, 0 wrong".to_owned(), 0);
    assert_eq!(counted(&[row(0, 1.0), row(1, 2.0), row(2, 3.0)]), clean);
    let lost = (2, "1 lost, 0 doubled, 0 wrong".to_owned(), 1);
    assert_eq!(counted(&[row(0, 1.0), row(2, 3.0)]), lost);
    let doubled = (3, "0 lost, 1 doubled, 0 wrong".to_owned(), 1);
    assert_eq!(counted(&[row(0, 1.0), row(1, 2.0), row(1, 2.0), row(2, 3.0)]), doubled);
    let wrong = (2, "0 lost, 0 doubled, 1 wrong".to_owned(), 1);
    assert_eq!(counted(&[row(0, 1.0), row(1, 2.0_f64.next_up()), row(2, 3.0)]), wrong);
}
