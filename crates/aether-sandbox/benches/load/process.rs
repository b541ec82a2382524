//! What a process costs, read from `/proc`, and what this one may open.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

/// Ticks in a second of processor time: fixed in Linux's interface.
const TICKS: u64 = 100;

/// Memory of a process now and at its highest, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    pub(crate) highest: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("could not read its status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
            kib.map(|kib| kib * 1024).with_context(|| format!("no {name} in its status"))
        };
        Ok(Self { now: field("VmRSS:")?, highest: field("VmHWM:")? })
    }
}

/// A moment of a process, to measure what it spends from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    pid: u32,
    begun: Instant,
    spent: Duration,
    machine: (u64, u64),
}

/// What a process spent between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    /// Processor time of all its threads.
    pub(crate) processor: Duration,
    /// Share of the machine's processors that was idle, 0 to 1.
    pub(crate) idle: f64,
}

impl Stopwatch {
    pub(crate) fn start(pid: u32) -> anyhow::Result<Self> {
        Ok(Self { pid, begun: Instant::now(), spent: processor_time(pid)?, machine: machine_time()? })
    }

    pub(crate) fn read(&self) -> anyhow::Result<Spent> {
        let (idle, all) = machine_time()?;
        let whole = all.saturating_sub(self.machine.1).max(1);
        Ok(Spent {
            wall: self.begun.elapsed(),
            processor: processor_time(self.pid)?.saturating_sub(self.spent),
            idle: idle.saturating_sub(self.machine.0) as f64 / whole as f64,
        })
    }
}

/// Time in user and system mode so far: fields 14 and 15 of proc(5).
fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the broker is gone")?;
    // The name in parentheses may hold anything, so the fields are counted from its end.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// Idle and whole time of the machine, in ticks.
fn machine_time() -> anyhow::Result<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat").context("could not read /proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    Ok((ticks.get(3).copied().unwrap_or_default(), ticks.iter().sum()))
}

/// Fails, with the cure, when this process may not open `files` at once. Both sides of a connection
/// are bound by the same limit, for the broker inherits it.
pub(crate) fn check_open_files(files: usize) -> anyhow::Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits").context("could not read /proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|rest| rest.split_whitespace().next()).unwrap_or("unlimited");
    let enough = soft.parse::<usize>().map_or(true, |soft| soft >= files);
    ensure!(enough, "the limit of open files is {soft}, this run needs {files}: run `ulimit -n {files}` first");
    Ok(())
}
