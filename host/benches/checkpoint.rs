//! What a checkpoint of a large state costs: a million keys of window 50, written in full and as changes, and read back,
//! through the production path (guest, chunks, store). Each store beside the other: a directory and the database.
//!
//! Processing goes on between the pieces that a guest hands out, so the longest of them, and the freezing, are what a
//! checkpoint takes from a record's way at one go.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a bench reads the clock, and its figures are its own"
)]

mod measure;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use arrow_array::{ArrayRef, Float64Array, StringArray};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;
use weir::config::pipeline::Timescale;
use weir::guest::{Catalog, Compiler, Engine, Setup};
use weir::limits::{BATCH_ROWS_MAX, CHECKPOINT_PIECE_BYTES, CHECKPOINT_PIECES_MAX};
use weir::record::origin::{OwnedPayloads, OwnedRecord};
use weir::record::{Batch, Column, Decoded, Kind, Lane, Origin, Path, Rows};
use weir::sink::timescale::TimescaleSink;
use weir::sink::{Keeper, Sink as _};
use weir::state::{Extent, Generation, Manifest};
use weir::task::keeper::{Answer, Draft, Keeping, Piece, Request};
use weir::transform::state::{Cursor, Offer};
use weir::transform::{Chain, PluginTransform};
use weir_tests::db::Db;
use weir_tests::environment::{PLUGINS, directory, variable};

use self::measure::{Arguments, peak_rss_bytes};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const WINDOW: u64 = 50;
/// Keys that change between two checkpoints: one in a hundred, a few rows each.
const CHANGED_SHARE: u64 = 100;

/// A lane's chain of one moving average.
fn chain() -> Result<Chain> {
    let catalog = Catalog::scan(Compiler::new(Engine::new()?, None, None), &[variable(PLUGINS)?.into()]);
    let plugin = catalog.find("sma", None, &|_| true)?;
    let settings = [("key.field", "symbol"), ("value.field", "price"), ("window", "50"), ("keys.max", "2000000")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let setup = Setup { alias: "sma".to_owned(), settings, limits: plugin.limits(), meters: Arc::default() };
    Ok(Chain::new(vec![Box::new(PluginTransform::new(&plugin, &setup)?)]))
}

/// One price for each of these keys, `rounds` times.
fn feed(chain: &mut Chain, keys: &(impl Iterator<Item = u64> + Clone), rounds: u64) -> Result<()> {
    for round in 0..rounds {
        let mut left = keys.clone().peekable();
        while left.peek().is_some() {
            let batch_keys: Vec<u64> = left.by_ref().take(BATCH_ROWS_MAX).collect();
            let symbols: Vec<String> = batch_keys.iter().map(|key| format!("S{key:07}")).collect();
            let prices: Float64Array = batch_keys.iter().map(|key| Some(price(*key, round))).collect();
            let outcome = chain.run(batch(&symbols, prices), &[]).map_err(|failure| failure.error)?;
            ensure!(outcome.rejected.is_empty(), "rows are rejected: {:?}", outcome.rejected.first());
        }
    }
    Ok(())
}

/// A price in cents that nothing foretells, so that chunks are as large as those of real prices.
fn price(key: u64, round: u64) -> f64 {
    let cents = (key * (WINDOW + 1) + round).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
    (10_000 + cents) as f64 / 100.0
}

fn batch(symbols: &[String], prices: Float64Array) -> Batch {
    let (lane, rows) = (Lane::new("ticks", 0), symbols.len());
    let offsets: Vec<i64> = (0..rows as i64).collect();
    // A record without a value would go by the plugin.
    let record = OwnedRecord { value: Some(Vec::new()), ..OwnedRecord::default() };
    let payloads = Arc::new(OwnedPayloads { records: vec![record; rows] });
    let origin = Origin::new(lane, offsets, vec![0; rows], rows as i64, 0, payloads);
    let symbols: ArrayRef = Arc::new(StringArray::from_iter_values(symbols));
    let columns = vec![
        (Path::new("symbol"), Column::of(Kind::Text, symbols)),
        (Path::new("price"), Column::of(Kind::Float64, Arc::new(prices))),
    ];
    Batch::new(Arc::new(origin), Decoded { columns, ..Decoded::default() }, Rows::All(rows))
}

/// Whoever keeps checkpoints, as a task has it.
struct Store {
    requests: mpsc::Sender<Request>,
    answers: mpsc::UnboundedReceiver<Answer>,
    // Without it the other side would end.
    _abandon: watch::Sender<bool>,
}

/// A checkpoint as it was written.
struct Written {
    manifest: Manifest,
    took: Duration,
    /// The longest time for which the chain stood still.
    stop: Duration,
}

impl Written {
    /// Bytes of its own chunks.
    fn bytes(&self) -> u64 {
        self.manifest.content.layers.last().map_or(0, |layer| layer.bytes)
    }
}

impl Store {
    fn open(keeper: Box<dyn Keeper>) -> Self {
        let (requests, received) = mpsc::channel(CHECKPOINT_PIECES_MAX);
        let (told, answers) = mpsc::unbounded_channel();
        let (abandon, abandoned) = watch::channel(false);
        let answer = Box::new(move |answer| told.send(answer).unwrap_or_default());
        let keeping = Keeping { keeper, pipeline: "bench".to_owned(), answers: answer, waiting: Box::new(|_| {}) };
        tokio::spawn(keeping.run(received, abandoned));
        Store { requests, answers, _abandon: abandon }
    }

    /// Writes a checkpoint of the chain, laid over another one or in full.
    async fn write(&mut self, chain: &mut Chain, below: Option<&Written>) -> Result<Written> {
        let (begun, lane) = (Instant::now(), Lane::new("ticks", 0));
        let below = below.map(|below| below.manifest.content.layers.clone()).unwrap_or_default();
        let extent = if below.is_empty() { Extent::Full } else { Extent::Incremental };
        let stages = chain.begin_checkpoint(extent)?;
        let mut stop = begun.elapsed();
        let generation = Generation([0; 32]);
        let draft = Draft {
            id: Uuid::new_v4(),
            lane: lane.clone(),
            at: 0,
            generation,
            counts: (0, 0),
            idles: 0,
            stages,
            below,
        };
        self.requests.send(Request::Begin(Box::new(draft))).await?;
        let mut cursor = Cursor::default();
        loop {
            let piece_begun = Instant::now();
            let piece = chain.next_entries(&mut cursor, CHECKPOINT_PIECE_BYTES)?;
            stop = stop.max(piece_begun.elapsed());
            let Some((stage, entries)) = piece else { break };
            self.requests.send(Request::Put(lane.clone(), stage, entries)).await?;
        }
        self.requests.send(Request::Seal(lane)).await?;
        let manifest = loop {
            match self.answers.recv().await.context("the keeper has ended")? {
                Answer::Stored(_, manifest) => break manifest,
                Answer::Failed(_, _, error) => return Err(error.into()),
                Answer::Moved | Answer::Counted(..) => {}
            }
        };
        chain.end_checkpoint(true)?;
        Ok(Written { manifest, took: begun.elapsed(), stop })
    }

    /// Reads a checkpoint with all that it is laid over into a fresh chain: how long it took, and the entries.
    async fn restore(&self, written: &Written) -> Result<(Duration, u64)> {
        let mut chain = chain()?;
        let begun = Instant::now();
        let manifest = written.manifest.clone();
        let offer = chain.begin_restore(&manifest.content.stages)?;
        ensure!(offer == Offer::Taken { migrates: false }, "the checkpoint is refused");
        let (sender, mut pieces) = mpsc::channel(CHECKPOINT_PIECES_MAX);
        self.requests.send(Request::Load(Lane::new("ticks", 0), manifest, sender)).await?;
        let given = loop {
            match pieces.recv().await.context("the keeper has ended")? {
                Piece::Entries(alias, entries) => drop(chain.put_entries(&alias, &entries)?),
                Piece::End(given) => break given?,
            }
        };
        let held = chain.end_restore()?;
        ensure!(held == given, "{given} entries were given, {held} are held");
        Ok((begun.elapsed(), held))
    }
}

fn keepers(db: &Db) -> Result<[(&'static str, Box<dyn Keeper>); 2]> {
    let settings = Timescale {
        url: format!("{}?sslmode=disable", db.url()),
        user: None,
        password: None,
        table_format: "t".to_owned(),
        auto_create: false,
        fields: Vec::new(),
        fields_missing_null: false,
        time_column: None,
        chunk_interval: "1 day".to_owned(),
        coordinates: false,
        schema: "weir".to_owned(),
    };
    let sink = TimescaleSink::new("bench", "bench", settings)?;
    let folder = directory("checkpoints")?;
    let keeper = |folder| sink.keeper(folder)?.context("this sink keeps checkpoints");
    Ok([("directory", keeper(Some(folder.as_path()))?), ("database", keeper(None)?)])
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::of("checkpoint", 1_000_000)?;
    let (keys, db) = (arguments.records, Db::postgres("checkpoint").await?);
    let mut chain = chain()?;
    eprintln!("filling {keys} windows of {WINDOW}");
    feed(&mut chain, &(0..keys), WINDOW + 1)?;
    ensure!(chain.memory_bytes() as u64 > keys * WINDOW * 8, "the windows are not in the guest");
    println!("{keys} keys of window {WINDOW}, {} MiB of guest memory", chain.memory_bytes() >> 20);
    println!("               full         changes of 1 % of the keys     restore of both   longest stop");
    let mut figures = serde_json::json!({ "bench": "checkpoint", "keys": keys, "window": WINDOW });
    for (name, keeper) in keepers(&db)? {
        let mut store = Store::open(keeper);
        let full = store.write(&mut chain, None).await?;
        feed(&mut chain, &(0..keys).step_by(CHANGED_SHARE as usize), 3)?;
        let changes = store.write(&mut chain, Some(&full)).await?;
        let (restored, entries) = store.restore(&changes).await?;
        let (ms, mb) = (|took: Duration| took.as_secs_f64() * 1e3, |bytes: u64| bytes as f64 / 1e6);
        let stop = full.stop.max(changes.stop);
        println!(
            "{name:<9} {:>6.0} ms {:>5.0} MB   {:>6.0} ms {:>6.1} MB {:>18.0} ms {:>14.1} ms",
            ms(full.took),
            mb(full.bytes()),
            ms(changes.took),
            mb(changes.bytes()),
            ms(restored),
            ms(stop)
        );
        let per_key = full.bytes() as f64 / keys as f64;
        figures[name] = serde_json::json!({
            "full_ms": ms(full.took).round(), "full_mb": mb(full.bytes()).round(), "stored_bytes_per_key": per_key.round(),
            "changes_ms": ms(changes.took).round(), "changes_mb": mb(changes.bytes()), "restore_ms": ms(restored).round(),
            "entries": entries, "longest_stop_ms": (ms(stop) * 10.0).round() / 10.0,
        });
    }
    figures["rss_peak_mb"] = (peak_rss_bytes()? >> 20).into();
    println!("{figures}");
    Ok(())
}
