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
use uuid::Uuid;
use weir::config::pipeline::Timescale;
use weir::guest::{Catalog, Compiler, Engine, Setup};
use weir::limits::{BATCH_ROWS_MAX, CHECKPOINT_CHUNK_BYTES, CHECKPOINT_PIECE_BYTES};
use weir::record::origin::OwnedPayloads;
use weir::record::{Batch, Column, Decoded, Kind, Lane, Origin, Path, Rows};
use weir::sink::timescale::TimescaleSink;
use weir::sink::{Keeper, Sink as _};
use weir::state::chunk::About;
use weir::state::{Chunk, ChunkId, Entries, Extent, Overlay, StageState};
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
    let catalog = Catalog::scan(&Compiler::new(Engine::new()?, None, None), &[variable(PLUGINS)?.into()]);
    let plugin = catalog.find("sma", None)?;
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
            let symbols: Vec<String> = left.by_ref().take(BATCH_ROWS_MAX).map(|key| format!("S{key:07}")).collect();
            let prices: Float64Array = symbols.iter().map(|_| Some(100.0 + round as f64 / 4.0)).collect();
            let outcome = chain.run(batch(&symbols, prices), &[]).map_err(|failure| failure.error)?;
            ensure!(outcome.rejected.is_empty(), "rows are rejected: {:?}", outcome.rejected.first());
        }
    }
    Ok(())
}

fn batch(symbols: &[String], prices: Float64Array) -> Batch {
    let (lane, rows) = (Lane::new("ticks", 0), symbols.len());
    let offsets: Vec<i64> = (0..rows as i64).collect();
    let payloads = Arc::new(OwnedPayloads::default());
    let origin = Origin::new(lane, offsets, vec![0; rows], rows as i64, 0, payloads);
    let symbols: ArrayRef = Arc::new(StringArray::from_iter_values(symbols));
    let columns = vec![
        (Path::new("symbol"), Column::of(Kind::Text, symbols)),
        (Path::new("price"), Column::of(Kind::Float64, Arc::new(prices))),
    ];
    Batch::new(Arc::new(origin), Decoded { columns }, Rows::All(rows))
}

/// A checkpoint as it was written.
struct Written {
    id: Uuid,
    stages: Vec<StageState>,
    chunks: u32,
    bytes: usize,
    took: Duration,
    /// The longest time for which the chain stood still.
    stop: Duration,
}

/// Writes a checkpoint, as the task's thread and its keeper do between them.
async fn write(chain: &mut Chain, keeper: &mut dyn Keeper, extent: Extent) -> Result<Written> {
    let (begun, lane) = (Instant::now(), Lane::new("ticks", 0));
    let stages = chain.begin_checkpoint(extent)?;
    let id = Uuid::new_v4();
    let mut written = Written { id, stages, chunks: 0, bytes: 0, took: Duration::ZERO, stop: begun.elapsed() };
    let (mut cursor, mut gathered) = (Cursor::default(), Vec::new());
    loop {
        let piece_begun = Instant::now();
        let piece = chain.next_entries(&mut cursor, CHECKPOINT_PIECE_BYTES)?;
        written.stop = written.stop.max(piece_begun.elapsed());
        let is_last = piece.is_none();
        gathered.extend(piece.into_iter().flat_map(|(_, entries)| entries));
        let is_full = gathered.iter().map(Entries::bytes).sum::<usize>() >= CHECKPOINT_CHUNK_BYTES;
        if (is_full || is_last) && !gathered.is_empty() {
            let chunk = Chunk { about: about(&written.stages)?, runs: std::mem::take(&mut gathered) };
            let bytes = chunk.encode()?;
            written.bytes += bytes.len();
            keeper.put(&lane, ChunkId { checkpoint: written.id, number: written.chunks }, bytes).await?;
            written.chunks += 1;
        }
        if is_last {
            break;
        }
    }
    chain.end_checkpoint(true)?;
    written.took = begun.elapsed();
    Ok(written)
}

fn about(stages: &[StageState]) -> Result<About> {
    let stage = stages.first().context("a stage")?;
    Ok(About {
        pipeline: "bench".to_owned(),
        topic: "ticks".to_owned(),
        partition: 0,
        offset: 0,
        stage: 0,
        header: stage.header.clone().context("a stage with state")?,
        digest: stage.digest.clone(),
        watermark: None,
    })
}

/// Reads checkpoints back, the newest first, into a fresh chain: how long it took.
async fn restore(keeper: &mut dyn Keeper, newest_first: &[&Written]) -> Result<(Duration, u64)> {
    let mut chain = chain()?;
    let (begun, lane) = (Instant::now(), Lane::new("ticks", 0));
    let newest = newest_first.first().context("a checkpoint")?;
    ensure!(chain.begin_restore(&newest.stages)? == Offer::Taken { migrates: false }, "the checkpoint is refused");
    let (mut overlay, mut given) = (Overlay::default(), 0);
    for (at, written) in newest_first.iter().enumerate() {
        for number in 0..written.chunks {
            let bytes = keeper.get(&lane, ChunkId { checkpoint: written.id, number }).await?;
            for run in Chunk::decode(&bytes)?.runs {
                let counting = overlay.take(0, &run, at + 1 == newest_first.len())?;
                given += counting.len() as u64;
                chain.put_entries("sma", &counting)?;
            }
        }
    }
    let held = chain.end_restore()?;
    ensure!(held == given, "{given} entries were given, {held} are held");
    Ok((begun.elapsed(), held))
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
    println!("{keys} keys of window {WINDOW}, {} MiB of guest memory", chain.memory_bytes() >> 20);
    println!("               full         changes of 1 % of the keys     restore of both   longest stop");
    let mut figures = serde_json::json!({ "bench": "checkpoint", "keys": keys, "window": WINDOW });
    for (name, mut keeper) in keepers(&db)? {
        let full = write(&mut chain, keeper.as_mut(), Extent::Full).await?;
        feed(&mut chain, &(0..keys).step_by(CHANGED_SHARE as usize), 3)?;
        let changes = write(&mut chain, keeper.as_mut(), Extent::Incremental).await?;
        let (restored, entries) = restore(keeper.as_mut(), &[&changes, &full]).await?;
        keeper.close().await;
        let (ms, mb) = (|took: Duration| took.as_secs_f64() * 1e3, |bytes: usize| bytes as f64 / 1e6);
        let stop = full.stop.max(changes.stop);
        println!(
            "{name:<9} {:>6.0} ms {:>5.0} MB   {:>6.0} ms {:>6.1} MB {:>18.0} ms {:>14.1} ms",
            ms(full.took),
            mb(full.bytes),
            ms(changes.took),
            mb(changes.bytes),
            ms(restored),
            ms(stop)
        );
        let per_key = full.bytes as f64 / keys as f64;
        figures[name] = serde_json::json!({
            "full_ms": ms(full.took).round(), "full_mb": mb(full.bytes).round(), "stored_bytes_per_key": per_key.round(),
            "changes_ms": ms(changes.took).round(), "changes_mb": mb(changes.bytes), "restore_ms": ms(restored).round(),
            "entries": entries, "longest_stop_ms": (ms(stop) * 10.0).round() / 10.0,
        });
    }
    figures["rss_peak_mb"] = (peak_rss_bytes()? >> 20).into();
    println!("{figures}");
    Ok(())
}
