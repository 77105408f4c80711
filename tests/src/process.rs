//! What the kernel tells of a process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Clock ticks of `/proc/PID/stat` per second: fixed in the kernel's interface to programs.
const TICKS_PER_S: u64 = 100;

/// CPU time that a process has used so far, without its children.
pub fn cpu(id: u32) -> Result<Duration> {
    time(id, 2)
}

/// The same, with its children that have ended.
pub fn cpu_with_ended_children(id: u32) -> Result<Duration> {
    time(id, 4)
}

/// The id of a process's parent.
pub fn parent(id: u32) -> Result<u64> {
    fields(id)?.get(1).copied().context("no parent")
}

/// Bytes of one of the lines of `/proc/PID/status`, such as `VmRSS:`.
pub fn memory(id: u32, line: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let value = status.lines().find_map(|text| text.strip_prefix(line));
    let value = value.with_context(|| format!("the kernel tells no {line}"))?;
    Ok(value.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// The first `count` of utime, stime, cutime and cstime together.
fn time(id: u32, count: usize) -> Result<Duration> {
    let ticks: u64 = fields(id)?.iter().skip(11).take(count).sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_S))
}

/// The fields of `/proc/PID/stat` after the name; the state counts as 0.
fn fields(id: u32) -> Result<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, after) = stat.rsplit_once(") ").context("a name in brackets")?;
    Ok(after.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect())
}
