//! What a worker's session in the database was at when the worker was killed, and how often each.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use anyhow::{Context, Result};
use tokio_postgres::Statement;
use weir_tests::db::{Db, Session};

/// Width of the histogram's bars.
const BAR: usize = 40;

/// Where in a flush a session is, as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// There is none.
    Absent,
    /// The last transaction is committed, the next one not begun.
    Between,
    /// Begun, and waiting for the next statement.
    Begun,
    /// COPY waits for rows.
    CopyWaits,
    /// COPY writes rows.
    CopyWrites,
    /// The position is being moved.
    Advancing,
    /// COMMIT is being carried out.
    Committing,
    /// Any other statement.
    Other,
}

impl Phase {
    /// From the columns of `pg_stat_activity`.
    fn of(state: &str, query: &str, wait: &str) -> Self {
        match (state, query) {
            ("idle", _) => Self::Between,
            ("idle in transaction", _) => Self::Begun,
            (_, query) if query.starts_with("BEGIN") => Self::Begun,
            (_, query) if query.starts_with("COPY") && wait == "ClientRead" => Self::CopyWaits,
            (_, query) if query.starts_with("COPY") => Self::CopyWrites,
            (_, query) if query.contains(".advance_") => Self::Advancing,
            (_, query) if query.starts_with("COMMIT") => Self::Committing,
            _ => Self::Other,
        }
    }

    /// Whether a transaction is open.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Absent | Self::Between)
    }
}

impl Display for Phase {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Absent => "no session",
            Self::Between => "between transactions",
            Self::Begun => "begun",
            Self::CopyWaits => "COPY, waiting for rows",
            Self::CopyWrites => "COPY, writing rows",
            Self::Advancing => "moving positions",
            Self::Committing => "COMMIT",
            Self::Other => "another statement",
        })
    }
}

/// A session that looks at the others.
#[derive(Debug)]
pub struct Watch {
    session: Session,
    look: Statement,
}

impl Watch {
    /// On the database that a worker writes to.
    pub async fn new(db: &Db) -> Result<Self> {
        let session = db.address().connect().await?;
        // The youngest: the server may not have noticed yet that the worker before is dead.
        let look = session
            .prepare(
                "SELECT coalesce(state, ''), ltrim(query), coalesce(wait_event, '') FROM pg_stat_activity
                 WHERE application_name LIKE 'weir/%' AND datname = current_database()
                 ORDER BY backend_start DESC LIMIT 1",
            )
            .await?;
        Ok(Self { session, look })
    }

    /// The phase of the youngest session now.
    pub async fn look(&self) -> Result<Phase> {
        let row = self.session.query_opt(&self.look, &[]).await?;
        Ok(row.map_or(Phase::Absent, |row| Phase::of(row.get(0), row.get(1), row.get(2))))
    }

    /// Sessions of workers, dead ones that the server still serves among them.
    pub async fn sessions(&self) -> Result<i64> {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE application_name LIKE 'weir/%' AND datname = current_database()";
        self.session.number(sql).await.context("count the workers' sessions")
    }
}

/// How often each phase was hit.
#[derive(Debug, Default)]
pub struct Histogram(BTreeMap<Phase, usize>);

impl Histogram {
    /// Adds a kill.
    pub fn add(&mut self, phase: Phase) {
        *self.0.entry(phase).or_default() += 1;
    }

    /// Kills.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Kills while a transaction was open.
    pub fn open(&self) -> usize {
        self.0.iter().filter(|(phase, _)| phase.is_open()).map(|(_, count)| count).sum()
    }
}

impl Display for Histogram {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let total = self.total().max(1);
        for (phase, count) in &self.0 {
            let bar = "#".repeat((count * BAR).div_ceil(total));
            writeln!(out, "  {phase:<24} {count:>5} {:>4} %  {bar}", count * 100 / total)?;
        }
        write!(out, "  in an open transaction   {:>5} {:>4} %", self.open(), self.open() * 100 / total)
    }
}

#[test]
fn phases_are_told_apart_and_counted() {
    let cases = [
        ("idle", "COMMIT", "ClientRead", Phase::Between),
        ("idle in transaction", "BEGIN ISOLATION LEVEL READ COMMITTED", "ClientRead", Phase::Begun),
        ("active", "COPY \"public\".\"averages\" (…) FROM STDIN BINARY", "ClientRead", Phase::CopyWaits),
        ("active", "COPY \"public\".\"averages\" (…) FROM STDIN BINARY", "", Phase::CopyWrites),
        ("active", "SELECT \"weir\".advance_3($1, $2)", "", Phase::Advancing),
        ("active", "COMMIT", "WALSync", Phase::Committing),
        ("active", "SELECT 1", "", Phase::Other),
    ];
    let mut histogram = Histogram::default();
    for (state, query, wait, phase) in cases {
        assert_eq!(Phase::of(state, query, wait), phase, "{query}");
        histogram.add(phase);
    }
    assert_eq!((histogram.total(), histogram.open()), (7, 6));
    assert!(histogram.to_string().ends_with("in an open transaction       6   85 %"), "{histogram}");
}
