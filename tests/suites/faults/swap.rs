//! Plugins are replaced while records flow: every record becomes its row once, by one version or the other, and the state
//! goes over.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::versions::{drop_in, versioned};
use weir_tests::worker::{Plan, Worker};

use super::{Stream, compare, expected, rows};

const OFTEN: &str = "checkpoint.interval.records: 500\n";

/// A stream under a worker whose plugins come and go.
struct Swapped {
    stream: Stream,
    plan: Plan,
    plugins: PathBuf,
}

impl Swapped {
    /// With version 1 in place, and these lines in the pipeline's file.
    async fn start(hint: &str, more: &str) -> Result<(Self, Worker)> {
        let stream = Stream::start(hint, 2).await?;
        stream.db.batch_execute("ALTER TABLE averages ADD COLUMN version int8").await?;
        let plan = stream.plan(&stream.db.url(), &format!("{OFTEN}{more}"))?;
        let plugins = plan.folder().join("plugins");
        std::fs::create_dir(&plugins)?;
        let plan = plan.flag("--plugins", &plugins.display().to_string());
        let mut swapped = Swapped { stream, plan, plugins };
        swapped.put(1)?;
        let worker = swapped.plan.start()?;
        swapped.stream.send(300)?;
        swapped.stream.arrived(&worker).await?;
        Ok((swapped, worker))
    }

    /// Puts a version into the directory.
    fn put(&self, number: u16) -> Result<()> {
        drop_in(&self.plugins, &format!("sma-{number}.wasm"), &versioned(number)?)
    }

    /// What became of the newest candidate, when it has come to a stage.
    async fn came_to(&mut self, worker: &Worker, version: u16, stage: &str) -> Result<Value> {
        let name = format!("sma 1.0.{version}");
        let (stream, mut found) = (&mut self.stream, Value::Null);
        let look = async || {
            // Records flow all the while.
            stream.send(20)?;
            let status = worker.status(&stream.name).await?;
            let swaps = status["swaps"].as_array().context("the status has swaps")?.clone();
            let life = swaps.into_iter().find(|life| life["plugins"] == name.as_str() && life["state"] == stage);
            found = life.with_context(|| format!("{status:#}"))?;
            Ok(())
        };
        worker.until(&format!("{name} {stage}"), look).await?;
        Ok(found)
    }

    /// Every record has its row once, with the mean of the whole stream; versions only rise, up to these in each partition.
    async fn check(&mut self, worker: &Worker, versions: &[i64]) -> Result<()> {
        self.stream.send(50)?;
        self.stream.arrived(worker).await?;
        compare(&expected(&self.stream.log()?), &rows(&self.stream.db).await?, 0)?;
        for partition in 0..self.stream.partitions {
            let sql = format!("SELECT version FROM averages WHERE kafka_partition = {partition} ORDER BY kafka_offset");
            let spoke = self.stream.db.query(&sql, &[]).await?;
            let mut spoke: Vec<i64> = spoke.iter().map(|row| row.get(0)).collect();
            spoke.dedup();
            ensure!(spoke == versions, "in partition {partition} {spoke:?} spoke");
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_newer_version_takes_over_with_its_state_while_records_flow() -> Result<()> {
    for more in ["", "checkpoint.store: directory\n"] {
        let (mut swapped, worker) = Swapped::start("swapped", more).await?;
        // The second keeps state of another layout, and so does the fourth.
        for version in 2..=4 {
            swapped.put(version)?;
            let life = swapped.came_to(&worker, version, "probation").await?;
            let detail = life["detail"].as_str().context("a detail")?;
            ensure!(detail.starts_with("pause ") && detail.contains("rows differ"), "{detail}");
        }
        swapped.check(&worker, &[1, 2, 3, 4]).await?;
        let cutovers = swapped.stream.db.count("weir.decision WHERE kind = 'cutover'").await?;
        ensure!(cutovers == 6, "{cutovers} cutovers are recorded");
        worker.stop().await?;
        let worker = swapped.plan.start()?;
        swapped.check(&worker, &[1, 2, 3, 4]).await?;
        worker.stop().await?;
    }
    Ok(())
}
