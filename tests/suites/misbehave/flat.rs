//! A worker whose guests trap over and over neither grows nor holds on to files.

use std::fs;

use anyhow::{Result, ensure};
use weir_tests::kafka::Record;
use weir_tests::worker::Worker;

use super::super::errors::Bed;
use super::{make_table, plan, stage};

/// Records of each partition that break their guest: fewer than one batch may hold.
const BAD: usize = 10;
/// What a worker may have grown by, in bytes: buffers of lanes that have seen more records.
const GROWTH_MAX: u64 = 48 << 20;
/// Open files beyond those of before: sockets that the client keeps for a while.
const FILES_MAX: usize = 4;

fn open_files(worker: &Worker) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", worker.id()))?.count())
}

/// Each partition has `BAD` records that trap, each at least twice, between others. What half of them cost is compared
/// with what all of them did.
async fn stays_flat(partitions: i32) -> Result<()> {
    let bed = Bed::start("flat").await?;
    let topic = bed.kafka.topic("flat", partitions).await?;
    make_table(&bed, "flat").await?;
    let more = format!("errors.tolerance: all\n{}", stage("trap", ""));
    let worker = plan(&bed, "flat", &topic, &more)?.start()?;
    worker.ready().await?;
    let mut figures = Vec::new();
    for half in [0..partitions / 2, partitions / 2..partitions] {
        for partition in half.clone() {
            for n in 0..3 * BAD {
                let value = format!(r#"{{"n":{n},"bad":{}}}"#, n % 3 == 1);
                bed.producer.send(&topic, &Record::new(&value).partition(partition))?;
            }
            // One partition after the other, so that a lane's breakages are its own.
            bed.producer.flush()?;
        }
        let expected = i64::from(half.end) * 2 * BAD as i64;
        let arrived = async || {
            let rows = bed.db.count("flat").await?;
            ensure!(rows == expected, "{rows} of {expected} rows");
            Ok(())
        };
        // Every worker's wait is bounded; many lanes take several of them.
        let mut waited = worker.until("the rows beside the bad records", arrived).await;
        for _ in 0..partitions / 8 {
            if waited.is_ok() {
                break;
            }
            waited = worker.until("the rows beside the bad records", arrived).await;
        }
        waited?;
        figures.push((worker.rss_bytes()?, open_files(&worker)?));
    }
    let excluded = bed.db.number("SELECT count(*) FROM weir.decision WHERE kind = 'excluded'").await?;
    assert_eq!(excluded, i64::from(partitions) * BAD as i64);
    let [(half_bytes, half_files), (bytes, files)] = figures.as_slice() else { anyhow::bail!("{figures:?}") };
    println!(
        "after {} traps: {} MiB and {files} files; after half of them {} MiB and {half_files} files",
        excluded * 2,
        bytes >> 20,
        half_bytes >> 20
    );
    assert!(bytes.saturating_sub(*half_bytes) < GROWTH_MAX, "from {half_bytes} to {bytes} bytes");
    assert!(files.saturating_sub(*half_files) <= FILES_MAX, "from {half_files} to {files} open files");
    worker.tasks_are("flat", "RUNNING").await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn fifty_records_that_trap_leave_memory_and_files_as_they_were() -> Result<()> {
    stays_flat(6).await
}

mod long {
    use super::*;

    #[tokio::test]
    async fn a_thousand_records_that_trap_leave_memory_and_files_as_they_were() -> Result<()> {
        stays_flat(100).await
    }
}
