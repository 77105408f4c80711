//! What the benches measure with: CPU clocks, what the kernel tells of processes, medians.
#![allow(dead_code, reason = "each bench takes what it needs")]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use weir_tests::process;

/// What every bench is told.
pub struct Arguments {
    /// Records of one round.
    pub records: u64,
    /// Rounds; figures are their medians.
    pub rounds: usize,
    /// A database other than the test bed's.
    pub database_url: Option<String>,
}

impl Arguments {
    /// Reads `--records N`, `--rounds N` and `--database-url URL`.
    pub fn of(bench: &str, records: u64) -> Result<Arguments> {
        let mut arguments = Arguments { records, rounds: 5, database_url: None };
        let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(name) = given.next() {
            let value = given.next().with_context(|| format!("{name} has no value"))?;
            match name.as_str() {
                "--records" => arguments.records = value.replace('_', "").parse()?,
                "--rounds" => arguments.rounds = value.parse()?,
                "--database-url" => arguments.database_url = Some(value),
                _ => bail!("{bench} has no flag {name}: it takes --records, --rounds and --database-url"),
            }
        }
        Ok(arguments)
    }
}

/// Waits until so much time has passed since `begun`: what a load at an even pace is made of.
#[allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
pub fn wait_until(begun: Instant, due: Duration) {
    while let Some(left) = due.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// The middle of the values; the mean of the two middle ones where they are even.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// A quantile of rising values.
pub fn quantile(rising: &[f64], q: f64) -> f64 {
    let at = (rising.len().saturating_sub(1) as f64 * q).round() as usize;
    rising.get(at).copied().unwrap_or(f64::NAN)
}

/// What the machine's processors have done since it started, in clock ticks.
pub struct Processors {
    stolen: u64,
    all: u64,
}

impl Processors {
    /// As of now, from the first line of `/proc/stat`.
    pub fn now() -> Result<Processors> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("an empty /proc/stat")?;
        // User, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in the first two.
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
        let &[.., stolen] = ticks.as_slice() else { bail!("no times in {line}") };
        Ok(Processors { stolen, all: ticks.iter().sum() })
    }

    /// The share of the time since then that the hypervisor gave to other machines, from 0 to 1: figures taken while
    /// it is high tell little of what was measured.
    pub fn stolen_since(&self) -> Result<f64> {
        let now = Processors::now()?;
        Ok((now.stolen - self.stolen) as f64 / (now.all - self.all).max(1) as f64)
    }
}

/// CPU time of this thread so far, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    cpu_time::ThreadTime::now().as_duration().as_nanos() as u64
}

/// Most resident memory of this process so far, in bytes.
pub fn peak_rss_bytes() -> Result<u64> {
    Process::named("this process", std::process::id()).peak_rss_bytes()
}

/// A process as the kernel sees it.
#[derive(Debug, Clone)]
pub struct Process {
    /// What it is called in the table.
    pub name: &'static str,
    id: u32,
}

impl Process {
    /// The process of an id.
    pub fn named(name: &'static str, id: u32) -> Process {
        Process { name, id }
    }

    /// The oldest process whose command line holds all the words.
    pub fn find(name: &'static str, words: &[&str]) -> Result<Process> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // It may have ended meanwhile.
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if words.iter().all(|word| line.contains(word)) {
                found.push(id);
            }
        }
        let id = found.into_iter().min().with_context(|| format!("no process of {name} is running"))?;
        Ok(Process { name, id })
    }

    /// CPU time of it and of its children that have ended, and of those that run.
    pub fn cpu(&self) -> Result<Duration> {
        let mut time = process::cpu_with_ended_children(self.id)?;
        for entry in fs::read_dir("/proc")? {
            let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // It may have ended meanwhile.
            if process::parent(id).is_ok_and(|parent| parent == u64::from(self.id)) {
                time += process::cpu(id).unwrap_or_default();
            }
        }
        Ok(time)
    }

    /// Most resident memory so far, in bytes.
    pub fn peak_rss_bytes(&self) -> Result<u64> {
        process::memory(self.id, "VmHWM:")
    }
}
