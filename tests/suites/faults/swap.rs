//! Plugins are replaced while records flow: every record becomes its row once, by one version or the other, and the state
//! goes over.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::eventually::eventually;
use weir_tests::versions::{Fault, drop_in, versioned};
use weir_tests::worker::{Plan, WAIT, Worker};

use super::{Stream, compare, expected, rows};

/// Longest wait until every file of a storm is compiled.
const STORM_MAX: Duration = Duration::from_secs(300);
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
        self.put_faulty(number, Fault::None)
    }

    /// The same with something wrong.
    fn put_faulty(&self, number: u16, fault: Fault) -> Result<()> {
        drop_in(&self.plugins, &format!("sma-{number}.wasm"), &versioned(number, fault)?)
    }

    /// A verb of `weir plugin` about the pipeline; what it printed.
    async fn verb(&self, verb: &str, more: &[&str]) -> Result<String> {
        let line: Vec<&str> = ["plugin", verb, self.stream.name.as_str()].iter().chain(more).copied().collect();
        let ended = self.plan.instead(&line).finish(WAIT).await?;
        ensure!(ended.status.success(), "weir plugin {verb} {more:?}: {}", ended.logs.tail(20));
        Ok(ended.output.tail(100))
    }

    /// Waits until what all workers and operators read tells this of a version, as its own worker does already.
    async fn is_shown(&self, worker: &Worker, version: u16, stage: &str) -> Result<()> {
        let look = async || {
            let shown = self.verb("swaps", &[]).await?;
            let tells = |line: &str| line.contains(&format!("sma 1.0.{version} ")) && line.contains(stage);
            ensure!(shown.lines().any(tells), "{shown}");
            Ok(())
        };
        worker.until(&format!("sma 1.0.{version} {stage} in the books"), look).await
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

/// Prices that a version with [`Fault::OnPrice`] breaks on.
const POISON: f64 = 999.75;

#[tokio::test]
async fn a_version_that_breaks_at_once_or_takes_no_state_never_speaks() -> Result<()> {
    let (mut swapped, worker) = Swapped::start("unfit", "").await?;
    for (version, fault, reason) in
        [(2, Fault::AtOnce, "breaks as it was told to"), (3, Fault::NoState, "takes no state")]
    {
        swapped.put_faulty(version, fault)?;
        let life = swapped.came_to(&worker, version, "refused").await?;
        ensure!(life["detail"].as_str().is_some_and(|detail| detail.contains(reason)), "{life}");
    }
    swapped.check(&worker, &[1]).await?;
    let refusals = swapped.stream.db.count("weir.ruling WHERE says = 'refused'").await?;
    ensure!(refusals == 2, "{refusals} refusals are written");
    // They stay out when the worker starts again, and a good one gets in.
    worker.stop().await?;
    let worker = swapped.plan.start()?;
    swapped.check(&worker, &[1]).await?;
    swapped.put(4)?;
    swapped.came_to(&worker, 4, "probation").await?;
    swapped.check(&worker, &[1, 4]).await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn rows_that_differ_keep_a_version_out_and_equal_ones_let_it_in() -> Result<()> {
    let (mut swapped, worker) = Swapped::start("canary", "plugin.swap.policy: canary-equal\n").await?;
    swapped.put(2)?;
    let life = swapped.came_to(&worker, 2, "refused").await?;
    ensure!(life["detail"].as_str().is_some_and(|detail| detail.contains("version: 1 became 2")), "{life}");
    swapped.put_faulty(3, Fault::SaysOne)?;
    swapped.came_to(&worker, 3, "probation").await?;
    swapped.check(&worker, &[1]).await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_version_that_breaks_on_probation_is_taken_back_and_stays_out() -> Result<()> {
    let (mut swapped, worker) = Swapped::start("probation", "").await?;
    swapped.put_faulty(2, Fault::OnPrice)?;
    swapped.came_to(&worker, 2, "probation").await?;
    swapped.stream.send(50)?;
    swapped.stream.send_priced(1, |_| POISON)?;
    swapped.came_to(&worker, 2, "rolled back").await?;
    swapped.check(&worker, &[1, 2, 1]).await?;
    let epochs = swapped.stream.db.number("SELECT max(epoch) FROM weir.position").await?;
    ensure!(epochs == 1, "no lane was claimed anew, but there is epoch {epochs}");
    worker.stop().await?;
    let worker = swapped.plan.start()?;
    swapped.check(&worker, &[1, 2, 1]).await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn operators_approve_take_back_and_pin() -> Result<()> {
    let (mut swapped, worker) = Swapped::start("by_hand", "plugin.swap.policy: manual\n").await?;
    swapped.put(2)?;
    swapped.came_to(&worker, 2, "waiting for approval").await?;
    swapped.is_shown(&worker, 2, "waiting for approval").await?;
    swapped.verb("approve", &[]).await?;
    swapped.came_to(&worker, 2, "probation").await?;
    swapped.is_shown(&worker, 2, "probation").await?;
    swapped.stream.send(50)?;
    swapped.verb("rollback", &["--reason", "too new"]).await?;
    let life = swapped.came_to(&worker, 2, "rolled back").await?;
    ensure!(life["detail"] == "taken back: too new", "{life}");
    swapped.check(&worker, &[1, 2, 1]).await?;
    // A pin is an operator's word as well, but not about what it lets in.
    swapped.put(4)?;
    swapped.put(3)?;
    swapped.verb("pin", &["sma", "1.0.3"]).await?;
    swapped.came_to(&worker, 3, "waiting for approval").await?;
    swapped.is_shown(&worker, 3, "waiting for approval").await?;
    swapped.verb("approve", &["--chain", "sma 1.0.3"]).await?;
    swapped.came_to(&worker, 3, "probation").await?;
    swapped.check(&worker, &[1, 2, 1, 3]).await?;
    worker.stop().await?;
    Ok(())
}

/// So many files in less than a second: the newest takes over, in one swap.
async fn storm(files: u16) -> Result<()> {
    let (mut swapped, worker) = Swapped::start("storm", "").await?;
    let begun = Instant::now();
    for version in 2..=files + 1 {
        swapped.put(version)?;
    }
    ensure!(begun.elapsed() < Duration::from_secs(1), "the storm took {:?}", begun.elapsed());
    // All of them are compiled before any is found.
    let found = async || {
        let last = format!("\"version\":\"1.0.{}\"", files + 1);
        ensure!(worker.logs().with("plugin found").iter().any(|line| line.text.contains(&last)), "it is not found yet");
        Ok(())
    };
    eventually("the newest file", STORM_MAX, found).await?;
    swapped.came_to(&worker, files + 1, "probation").await?;
    swapped.check(&worker, &[1, i64::from(files) + 1]).await?;
    let name = &swapped.stream.name;
    let swaps = worker.metric(&format!("weir_swaps_total{{outcome=\"done\",pipeline=\"{name}\"}}")).await?;
    ensure!(swaps as u64 == 1, "{swaps} swaps");
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_storm_of_files_ends_on_the_newest_with_one_swap() -> Result<()> {
    storm(20).await
}

mod long {
    #[tokio::test]
    async fn a_storm_of_a_hundred_files_ends_on_the_newest_with_one_swap() -> anyhow::Result<()> {
        super::storm(100).await
    }
}

#[tokio::test]
async fn files_that_are_no_usable_plugins_replace_nothing() -> Result<()> {
    let (mut swapped, worker) = Swapped::start("unusable", "").await?;
    let whole = versioned(2, Fault::None)?;
    drop_in(&swapped.plugins, "half.wasm", whole.get(..whole.len() / 2).context("half")?)?;
    drop_in(&swapped.plugins, "text.wasm", b"no plugin at all")?;
    drop_in(&swapped.plugins, "module.wasm", b"\0asm\x01\0\0\0")?;
    for (file, reason) in [
        ("half.wasm", "ends in the middle"),
        ("text.wasm", "is not WebAssembly"),
        ("module.wasm", "is a core WebAssembly module"),
    ] {
        let look = async || {
            let told = worker.logs().with("plugin refused");
            ensure!(told.iter().any(|line| line.text.contains(file) && line.text.contains(reason)), "{file}");
            Ok(())
        };
        worker.until(&format!("{file} in the log"), look).await?;
    }
    // Then the copy of the first is finished.
    drop_in(&swapped.plugins, "half.wasm", &whole)?;
    swapped.came_to(&worker, 2, "probation").await?;
    swapped.check(&worker, &[1, 2]).await?;
    // What runs goes on without its file.
    std::fs::remove_file(swapped.plugins.join("half.wasm"))?;
    worker
        .until("the loss in the log", async || {
            ensure!(!worker.logs().with("half.wasm").is_empty(), "nothing is told");
            Ok(())
        })
        .await?;
    swapped.check(&worker, &[1, 2]).await?;
    // And so does what starts again: from the worker's own copy.
    worker.stop().await?;
    let worker = swapped.plan.start()?;
    swapped.check(&worker, &[1, 2]).await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_worker_killed_at_any_step_of_a_swap_goes_on_with_one_version() -> Result<()> {
    let (mut swapped, mut worker) = Swapped::start("killed", "").await?;
    let seed = weir_tests::environment::seed(7)?;
    let points = ["before-chunk", "after-chunk", "before-manifest", "after-manifest", "before-commit", "after-commit"];
    for round in 0..12 {
        worker.stop().await?;
        let point = points[round % points.len()];
        let crash = format!("{point}=crash@{}", 1 + super::drawn(seed, round as u64) % 6);
        let mut doomed = swapped.plan.armed("WEIR_FAILPOINTS", &crash).start()?;
        swapped.put(2 + round as u16)?;
        let look = async || {
            swapped.stream.send(20)?;
            ensure!(doomed.has_ended()?, "it still runs");
            Ok(())
        };
        eventually(&format!("the end by {crash}"), weir_tests::worker::WAIT, look).await?;
        worker = swapped.plan.start()?;
        swapped.stream.send(20)?;
        swapped.stream.arrived(&worker).await?;
    }
    swapped.stream.send(50)?;
    swapped.stream.arrived(&worker).await?;
    compare(&expected(&swapped.stream.log()?), &rows(&swapped.stream.db).await?, seed)?;
    let rising =
        "SELECT count(*) FROM (SELECT version - lag(version) OVER (PARTITION BY kafka_partition ORDER BY kafka_offset)
        AS step FROM averages) steps WHERE step < 0";
    let fallen = swapped.stream.db.number(rising).await?;
    ensure!(fallen == 0, "seed {seed}: {fallen} rows were made by an older version than the row before");
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn files_of_pipelines_come_change_break_and_go_under_load() -> Result<()> {
    let (mut swapped, worker) = Swapped::start("edited", "swap.probation.ms: 100\n").await?;
    let file = swapped.plan.pipeline_file(&swapped.stream.name);
    let yaml = std::fs::read_to_string(&file)?;
    // Another pipeline beside it comes and goes.
    let other = swapped.plan.pipeline_file("other");
    let other_name = format!("{}-other", swapped.stream.name);
    std::fs::write(
        &other,
        yaml.replace(&format!("name: {}\n", swapped.stream.name), &format!("name: {other_name}\n"))
            .replace("table.name.format: averages", "table.name.format: others"),
    )?;
    swapped.stream.db.batch_execute("CREATE TABLE others (LIKE averages)").await?;
    worker.tasks_are(&other_name, "RUNNING").await?;
    // A broken edit is refused whole, and told.
    std::fs::write(&file, format!("{yaml}no.such.key: 1\n"))?;
    let refused = async || {
        let status = worker.status(&swapped.stream.name).await?;
        ensure!(
            status["connector"]["edit_refused"].as_str().is_some_and(|why| why.contains("no.such.key")),
            "{status}"
        );
        ensure!(status["connector"]["state"] == "RUNNING", "{status}");
        Ok(())
    };
    worker.until("the refused edit in status", refused).await?;
    ensure!(worker.metric("weir_pipeline_files_refused").await? as u64 == 1, "one file is refused");
    // Mended with another setting, its chain is swapped and the state goes over.
    std::fs::write(&file, yaml.replace("    window: 5\n", "    window: 5\n    min.periods: 5\n"))?;
    let mine = format!("\"pipeline\":\"{}\"", swapped.stream.name);
    let claims = || worker.logs().with("lane claimed").iter().filter(|line| line.text.contains(&mine)).count();
    let before = claims();
    let mended = async || {
        swapped.stream.send(5)?;
        let status = worker.status(&swapped.stream.name).await?;
        let swaps = status["swaps"].as_array().context("swaps")?;
        ensure!(swaps.last().is_some_and(|life| life["state"] == "active"), "{status}");
        ensure!(status["connector"].get("edit_refused").is_none(), "{status}");
        Ok(())
    };
    worker.until("the mended chain", mended).await?;
    ensure!(claims() == before, "a changed setting claims no lane anew");
    ensure!(worker.metric("weir_pipeline_files_refused").await? as u64 == 0, "no file is refused");
    // The other one goes with its file; what it has written stays.
    std::fs::remove_file(&other)?;
    let gone = async || {
        ensure!(worker.get(&format!("/connectors/{other_name}/status")).await?.status == 404, "it is still there");
        Ok(())
    };
    worker.until("the end of the other pipeline", gone).await?;
    let kept = swapped.stream.db.count(&format!("weir.position WHERE pipeline = '{other_name}'")).await?;
    ensure!(kept == 2, "its positions stay");
    swapped.check(&worker, &[1]).await?;
    worker.stop().await?;
    Ok(())
}
