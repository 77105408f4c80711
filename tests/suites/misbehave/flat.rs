//! A worker whose guests trap over and over neither grows nor holds on to files.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::eventually::eventually;
use weir_tests::kafka::Record;
use weir_tests::worker::Worker;

use super::super::errors::{Bed, pipeline};
use super::{make_table, stage};

/// Records of each partition that break their guest, however they are cut into batches: more of them in a row, and the
/// task fails.
const BAD: usize = 4;
/// Longest wait for half of the rows: each trap is a lane claimed and read again.
const ARRIVAL: Duration = Duration::from_secs(600);
/// What a worker may have grown by, in bytes: buffers of lanes that have seen more records.
const GROWTH_MAX: u64 = 48 << 20;
/// Open files beyond those of before, for all pipelines together.
const FILES_MAX: usize = 4;
/// The connection that a pipeline's checkpoints go through is opened with the first of them.
const CHECKPOINTS: &str = "checkpoint.interval.ms: 500\n";

fn open_files(worker: &Worker) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", worker.id()))?.count())
}

/// Each partition has `BAD` records that trap, between others, and each of these pipelines reads all of them. What half
/// of the partitions cost is compared with what all of them did.
async fn stays_flat(partitions: i32, pipelines: i32) -> Result<()> {
    let bed = Bed::start("flat").await?;
    let topic = bed.kafka.topic("flat", partitions).await?;
    make_table(&bed, "flat").await?;
    let mut plan = bed.plan()?.flag("--memory", "1G");
    let names: Vec<String> = (0..pipelines).map(|number| format!("flat_{number}")).collect();
    for name in &names {
        let more = format!("errors.tolerance: all\n{CHECKPOINTS}{}", stage("trap", ""));
        plan = plan.pipeline(name, &pipeline(name, &topic, &bed.db, "flat", &more))?;
    }
    let worker = plan.start()?;
    worker.ready().await?;
    let mut figures = Vec::new();
    for half in [0..partitions / 2, partitions / 2..partitions] {
        for partition in half.clone() {
            for n in 0..3 * BAD {
                let value = format!(r#"{{"n":{n},"bad":{}}}"#, n % 3 == 1);
                bed.producer.send(&topic, &Record::new(&value).partition(partition))?;
            }
            bed.producer.flush()?;
        }
        let expected = i64::from(half.end * pipelines) * 2 * BAD as i64;
        let arrived = async || {
            let rows = bed.db.count("flat").await?;
            ensure!(rows == expected, "{rows} of {expected} rows");
            let kept = bed.db.number("SELECT count(DISTINCT pipeline) FROM weir.checkpoint").await?;
            ensure!(kept == i64::from(pipelines), "{kept} of {pipelines} pipelines have a checkpoint");
            Ok(())
        };
        eventually("the rows beside the bad records, and checkpoints", ARRIVAL, arrived)
            .await
            .with_context(|| worker.logs().tail(30))?;
        figures.push((worker.rss_bytes()?, open_files(&worker)?));
    }
    let excluded = bed.db.number("SELECT count(*) FROM weir.decision WHERE kind = 'excluded'").await?;
    assert_eq!(excluded, i64::from(partitions * pipelines) * BAD as i64);
    // Each bad record traps once beside others and twice alone.
    let mut traps = 0.0;
    for name in &names {
        traps += worker.metric(&format!("weir_rebuilds_total{{pipeline=\"{name}\"}}")).await?;
        worker.tasks_are(name, "RUNNING").await?;
    }
    assert!(traps >= (excluded * 2) as f64, "{traps} traps");
    let [(half_bytes, half_files), (bytes, files)] = figures.as_slice() else { anyhow::bail!("{figures:?}") };
    let (before, after) = (half_bytes >> 20, bytes >> 20);
    println!("{traps} traps: {after} MiB and {files} files; after half of them {before} MiB and {half_files} files");
    assert!(bytes.saturating_sub(*half_bytes) < GROWTH_MAX, "from {half_bytes} to {bytes} bytes");
    assert!(files.saturating_sub(*half_files) <= FILES_MAX, "from {half_files} to {files} open files");
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn fifty_traps_leave_memory_and_files_as_they_were() -> Result<()> {
    stays_flat(3, 2).await
}

mod long {
    use super::*;

    #[tokio::test]
    async fn a_thousand_traps_leave_memory_and_files_as_they_were() -> Result<()> {
        stays_flat(14, 8).await
    }
}
