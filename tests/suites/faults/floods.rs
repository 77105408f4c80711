//! Too much of what a worker is to put up with: requests by the thousand, readers that hang, and records that are all at
//! fault. The stream goes on, within its memory.

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use weir_tests::rest;
use weir_tests::worker::Worker;

use super::{Stream, compare, expected, rows};

const MEMORY_MIB: u64 = 256;
/// Requests at once.
const AT_ONCE: usize = 16;
/// What comes of clients that begin a request and do not end it, and of those that do not read the answer.
const HANGING: [&str; 2] = ["GET /metrics HTTP/1.1\r\n", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"];
/// Of each kind so many.
const HANGING_EACH: usize = 50;

fn within_memory(worker: &Worker) -> Result<()> {
    let peak = worker.rss_peak_bytes()? >> 20;
    ensure!(peak < MEMORY_MIB, "{peak} of {MEMORY_MIB} MiB");
    Ok(())
}

/// Asks for the metrics page, `requests` times in all.
async fn scrape(address: &str, requests: usize) -> Result<()> {
    let mut scrapers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let address = address.to_owned();
        scrapers.spawn(async move {
            for _ in 0..requests / AT_ONCE {
                let page = rest::get(&address, "/metrics").await?;
                ensure!(page.status == 200 && page.body.contains("weir_records_total"), "{page:?}");
            }
            Ok(())
        });
    }
    while let Some(scraped) = scrapers.join_next().await {
        scraped??;
    }
    Ok(())
}

/// Streams while metrics are asked for all the time.
async fn scraped(requests: usize) -> Result<()> {
    let mut stream = Stream::start("scraped", 2).await?;
    let worker = stream.plan(&stream.db.url(), "")?.flag("--memory", &format!("{MEMORY_MIB}M")).start()?;
    stream.send(10)?;
    stream.arrived(&worker).await?;
    let mut hanging = Vec::new();
    for request in HANGING.iter().cycle().take(HANGING.len() * HANGING_EACH) {
        let mut client = TcpStream::connect(worker.rest()).await?;
        client.write_all(request.as_bytes()).await?;
        hanging.push(client);
    }
    let address = worker.rest().to_owned();
    let scraping = tokio::spawn(async move { scrape(&address, requests).await });
    let mut sent = 0;
    while sent == 0 || !scraping.is_finished() {
        stream.send(200)?;
        stream.arrived(&worker).await?;
        sent += 1;
    }
    scraping.await??;
    within_memory(&worker)?;
    worker.tasks_are(&stream.name, "RUNNING").await?;
    worker.stop().await?;
    drop(hanging);
    stream.check(0).await
}

/// Sends records that are no JSON, `count` to each partition and one good one behind them, twice; between the two the
/// worker is killed.
async fn at_fault(count: usize) -> Result<()> {
    let mut stream = Stream::start("poisoned", 2).await?;
    let plan = stream.plan(&stream.db.url(), "errors.tolerance: all\n")?.flag("--memory", &format!("{MEMORY_MIB}M"));
    for times in 1..=2 {
        let worker = plan.start()?;
        for number in 0..count {
            for partition in 0..2 {
                stream.send_value(
                    partition,
                    if number % 2 == 0 { "no JSON" } else { r#"{"symbol":"S1","price":1e400}"# },
                )?;
            }
        }
        stream.send(1)?;
        stream.arrived(&worker).await?;
        let decided = stream.db.count("weir.decision WHERE kind = 'rejected'").await?;
        ensure!(decided == (times * 2 * count) as i64, "{decided} records are recorded");
        ensure!(worker.logs().with("record skipped").is_empty(), "they are logged, though nobody asked for that");
        within_memory(&worker).with_context(|| format!("with {decided} decisions"))?;
        worker.tasks_are(&stream.name, "RUNNING").await?;
        worker.kill().await?;
    }
    let mut log = stream.log()?;
    log.retain(|record| {
        record.value.as_deref().is_some_and(|value| value.starts_with(b"{") && !value.ends_with(b"1e400}"))
    });
    compare(&expected(&log), &rows(&stream.db).await?, 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_by_the_thousand_and_readers_that_hang_cost_the_stream_nothing() -> Result<()> {
    scraped(1_600).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_records_at_fault_are_recorded_within_the_memory() -> Result<()> {
    at_fault(20_000).await
}

mod long {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flood_of_requests_costs_the_stream_nothing() -> Result<()> {
        scraped(160_000).await
    }
}
