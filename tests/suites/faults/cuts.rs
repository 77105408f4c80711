//! COMMIT is cut at every flush, before or after the server acts, and the worker finds out which.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio::time::timeout;
use weir_tests::environment::fresh_seed;
use weir_tests::proxy::{Fault, Proxy};

use super::{Stream, drawn};

/// Longest wait for one more flush.
const FLUSH_WAIT: Duration = Duration::from_secs(20);

/// Cuts every COMMIT of rows on a side chosen by seed, until this many flushes have been committed so.
async fn cut_every_commit(flushes: usize) -> Result<()> {
    let seed = fresh_seed()?;
    let mut stream = Stream::start("cuts", 3).await?;
    let (committed, mut commits) = mpsc::unbounded_channel();
    let proxy = Proxy::start(&stream.db.address().authority(), move |commit| {
        let Some(number) = commit.copy_number else { return Fault::Pass };
        if drawn(seed, number).is_multiple_of(2) {
            return Fault::CutBefore;
        }
        // The test may have seen enough.
        committed.send(()).unwrap_or_default();
        Fault::CutAfter
    })
    .await?;
    let url = stream.db.address().through(proxy.authority())?.url();
    let worker = stream.plan(&url, "")?.start()?;
    let begun = Instant::now();
    // One burst ahead, so that a flush is always being filled while another is written.
    stream.send(2)?;
    for flush in 0..flushes {
        stream.send(1 + drawn(!seed, flush as u64) as usize % 4)?;
        let committed = timeout(FLUSH_WAIT, commits.recv()).await;
        committed
            .ok()
            .flatten()
            .with_context(|| format!("seed {seed}: no commit after {flush}: {}", worker.logs().tail(20)))?;
    }
    let took = begun.elapsed();
    stream.arrived(&worker).await?;
    let counts = proxy.counts();
    println!("{flushes} flushes, {} cuts in {took:?}", counts.faults);
    assert!(counts.faults >= flushes as u64 && counts.faults == counts.copy_commits, "every COMMIT is cut: {counts:?}");
    let sample = format!("weir_commit_unknown_total{{pipeline=\"{}\"}}", stream.name);
    assert!(worker.metric(&sample).await? >= flushes as f64, "every outcome had to be read back");
    worker.tasks_are(&stream.name, "RUNNING").await?;
    worker.stop().await?;
    stream.check(seed).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_every_commit_is_cut() -> Result<()> {
    cut_every_commit(100).await
}

mod long {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_lost_or_doubled_in_a_thousand_cut_flushes() -> Result<()> {
        cut_every_commit(1_000).await
    }
}
