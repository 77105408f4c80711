//! The database sink against a real server: claims, flushes, fences, unknown outcomes, refused rows, the schema and
//! tables that it makes. The words of the contract are those of `weir::sink`.

mod checkpoints;
mod claims;
mod fences;
mod outcomes;
mod refusals;
mod schema;
mod tables;
mod writes;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
use weir::config::pipeline::Timescale;
use weir::record::origin::OwnedPayloads;
use weir::record::{Batch, Claim, Column, Decoded, Field, Flush, Kind, Lane, Origin, Path, Rows, Segment};
use weir::sink::timescale::TimescaleSink;
use weir::sink::{ClaimRequest, Claimed, Encoder, Prepared, Sink, WriteError};
use weir::state::Generation;
use weir_tests::db::Db;

/// The pipeline of most tests.
const PIPELINE: &str = "ticks-sma";

/// Settings that write a topic into the table of its name, by the URL of the database.
pub fn settings(db: &Db) -> Timescale {
    Timescale {
        url: format!("{}?sslmode=disable", db.url()),
        user: None,
        password: None,
        table_format: db.table("${topic}"),
        auto_create: false,
        fields: Vec::new(),
        fields_missing_null: false,
        time_column: None,
        chunk_interval: "1 day".to_owned(),
        coordinates: false,
        schema: db.weir_schema().to_owned(),
    }
}

/// A sink of a worker.
pub fn sink(settings: Timescale, owner: &str) -> TimescaleSink {
    TimescaleSink::new(PIPELINE, owner, settings).expect("the URL can be read")
}

/// The encoder of a topic whose table exists.
async fn encoder(sink: &mut TimescaleSink, topic: &str) -> Result<Box<dyn Encoder>> {
    match sink.prepare(topic, &[], None).await? {
        Prepared::Ready(encoder) => Ok(encoder),
        Prepared::NeedsSample => bail!("the table of {topic} is not there"),
    }
}

/// Claims one lane, from `start` when it is new.
async fn claim(sink: &mut TimescaleSink, lane: &Lane, start: i64) -> Result<Claim> {
    let request =
        ClaimRequest { lane: lane.clone(), start: Some(start), stateful: false, generation: Generation([0; 32]) };
    match sink.claim(&[request]).await?.into_iter().next().context("an answer per request")? {
        Claimed::Held(claim, _) => Ok(claim),
        Claimed::NoPosition(lane) => bail!("{lane} has no position"),
    }
}

pub fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

pub fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

pub fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

pub fn field(name: &str, kind: Kind) -> Field {
    Field { path: Path::new(name), kind }
}

/// A batch of records from offset `from` on, one row each; the columns in order of name, kind and cells.
pub fn batch(lane: &Lane, from: i64, columns: &[(&str, Kind, ArrayRef)]) -> Batch {
    let rows = columns.first().map_or(0, |(_, _, array)| array.len());
    let offsets: Vec<i64> = (from..).take(rows).collect();
    let next = from + rows as i64;
    let payloads = Arc::new(OwnedPayloads::default());
    let origin = Origin::new(lane.clone(), offsets, vec![0; rows], next, 0, payloads);
    let column =
        |(name, kind, array): &(&str, Kind, ArrayRef)| (Path::new(*name), Column::of(*kind, Arc::clone(array)));
    let decoded = Decoded { columns: columns.iter().map(column).collect(), ..Decoded::default() };
    Batch::new(Arc::new(origin), decoded, Rows::All(rows))
}

/// The segment that moves a lane from `from` over these rows.
fn segment(encoder: &mut dyn Encoder, lane: &Lane, from: i64, columns: &[(&str, Kind, ArrayRef)]) -> Result<Segment> {
    let batch = batch(lane, from, columns);
    let mut segment = Segment::new(lane.clone(), from, encoder.table());
    let errors = encoder.encode(&batch, &mut segment.data, &mut segment.lines)?;
    anyhow::ensure!(errors.is_empty(), "the encoder refuses rows: {errors:?}");
    segment.to = batch.origin.next_offset;
    segment.records = batch.len() as u64;
    segment.rows = batch.len() as u64;
    Ok(segment)
}

/// A segment without rows.
fn empty(lane: &Lane, from: i64, to: i64) -> Segment {
    Segment { to, records: (to - from) as u64, ..Segment::new(lane.clone(), from, 0) }
}

fn flush(segments: impl IntoIterator<Item = Segment>) -> Flush {
    Flush { segments: segments.into_iter().collect() }
}

/// A sink with its database, the table `ticks(symbol, price)` and one claimed lane of it.
struct Ticks {
    db: Db,
    sink: TimescaleSink,
    encoder: Box<dyn Encoder>,
    lane: Lane,
    claim: Claim,
}

impl Ticks {
    async fn start(hint: &str) -> Result<Self> {
        Self::with(hint, "symbol text, price float8").await
    }

    /// The same with other definitions of the two columns.
    async fn with(hint: &str, columns: &str) -> Result<Self> {
        let db = Db::postgres(hint).await?;
        Self::on(db, columns, settings).await
    }

    async fn on(db: Db, columns: &str, settings: impl FnOnce(&Db) -> Timescale) -> Result<Self> {
        db.batch_execute(&format!("CREATE TABLE {} ({columns})", db.table("ticks"))).await?;
        let mut sink = sink(settings(&db), "first");
        let encoder = encoder(&mut sink, "ticks").await?;
        let lane = Lane::new("ticks", 0);
        let claim = claim(&mut sink, &lane, 0).await?;
        Ok(Ticks { db, sink, encoder, lane, claim })
    }

    /// Rows of the lane from an offset on, priced 0, 1, 2, ….
    fn segment(&mut self, from: i64, symbols: &[&str]) -> Segment {
        let lane = self.lane.clone();
        self.segment_of(&lane, from, symbols)
    }

    fn segment_of(&mut self, lane: &Lane, from: i64, symbols: &[&str]) -> Segment {
        let prices: Vec<f64> = (0..symbols.len()).map(|row| row as f64).collect();
        let columns = [("symbol", Kind::Text, texts(symbols)), ("price", Kind::Float64, floats(&prices))];
        segment(self.encoder.as_mut(), lane, from, &columns).expect("rows that fit")
    }

    async fn write(&mut self, segment: Segment) -> Result<(), WriteError> {
        self.sink.write(&flush([segment]), std::slice::from_ref(&self.claim)).await
    }

    /// Where the sink stands, by the row in the database.
    async fn next_offset(&self) -> Result<i64> {
        let schema = self.db.weir_schema();
        self.db.number(&format!("SELECT next_offset FROM {schema}.position WHERE partition = 0")).await
    }

    async fn symbols(&self) -> Result<Vec<String>> {
        let table = self.db.table("ticks");
        let rows = self.db.rows(&format!("SELECT symbol FROM {table} ORDER BY symbol")).await?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }
}
