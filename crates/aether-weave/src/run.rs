//! Runs Weaves on their absolute schedule and says how they fare.

use std::{
    any::Any,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::weave::{CallbackError, Label, Weave};

/// How a Weave fares; the crate's root has the definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Not started yet.
    Pending,
    /// The last cycle ended in time.
    Running,
    /// The last cycle ended after the next release was due.
    Overrun,
    /// The last cycle returned an error or panicked.
    Failed,
    /// The set was stopped.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Overrun => "OVERRUN",
            Self::Failed => "FAILED",
            Self::Stopped => "STOPPED",
        })
    }
}

/// What is known of one Weave at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WeaveInfo {
    /// Its name.
    pub label: Label,
    /// Text for people.
    pub description: Option<Box<str>>,
    /// How it fares.
    pub status: Status,
    /// Its period.
    pub cycle_time: Duration,
    /// How long from now until its next release; zero while a cycle runs past it.
    pub next_cycle: Duration,
    /// Cycles that ended, failed ones included.
    pub cycles: u64,
    /// Cycles that returned an error or panicked.
    pub failures: u64,
    /// Releases that were skipped because a cycle was still running.
    pub skipped: u64,
}

/// Weaves that run until they are stopped. Dropping it stops them at once.
#[derive(Debug)]
pub struct RunningWeaves {
    reports: Vec<Arc<Report>>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl RunningWeaves {
    pub(crate) fn start(weaves: Vec<Weave>) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        let reports = weaves
            .into_iter()
            .map(|weave| {
                let report = Arc::new(Report::new(&weave, start));
                tasks.spawn(run(weave, Arc::clone(&report), start, stop.clone()));
                report
            })
            .collect();
        Self { reports, tasks, stop }
    }

    /// Returns what is known of every Weave, in the order of the set.
    pub fn infos(&self) -> Vec<WeaveInfo> {
        self.reports.iter().map(|report| report.info()).collect()
    }

    /// Returns what is known of the Weave with this label.
    pub fn info(&self, label: &str) -> Option<WeaveInfo> {
        self.reports.iter().find(|report| report.label.as_str() == label).map(|report| report.info())
    }

    /// Stops releasing cycles, waits up to `within` for those that run, and ends the rest.
    /// Returns the labels of the Weaves whose cycle had to be ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, what still runs is ended at once.
    pub async fn stop(mut self, within: Duration) -> Vec<Label> {
        self.stop.cancel();
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(within, all_ended).await.is_ok() {
            return Vec::new();
        }
        self.tasks.shutdown().await;
        let unfinished = self.reports.iter().filter(|report| report.lock().status != Status::Stopped);
        unfinished.map(|report| report.label.clone()).collect()
    }
}

/// What the task of a Weave writes and everybody else reads.
#[derive(Debug)]
struct Report {
    label: Label,
    description: Option<Box<str>>,
    cycle_time: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    status: Status,
    next_release: Instant,
    cycles: u64,
    failures: u64,
    skipped: u64,
}

impl Report {
    fn new(weave: &Weave, start: Instant) -> Self {
        let state = State { status: Status::Pending, next_release: start, cycles: 0, failures: 0, skipped: 0 };
        Self {
            label: weave.label.clone(),
            description: weave.description.clone(),
            cycle_time: weave.cycle_time,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain numbers: whoever panicked while writing them left nothing half done that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn info(&self) -> WeaveInfo {
        let state = self.lock();
        WeaveInfo {
            label: self.label.clone(),
            description: self.description.clone(),
            status: state.status,
            cycle_time: self.cycle_time,
            next_cycle: state.next_release.saturating_duration_since(Instant::now()),
            cycles: state.cycles,
            failures: state.failures,
            skipped: state.skipped,
        }
    }
}

async fn run(mut weave: Weave, report: Arc<Report>, start: Instant, stop: CancellationToken) {
    let mut release = start;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep_until(release) => {}
        }
        {
            let mut state = report.lock();
            state.next_release = release + weave.cycle_time;
            if state.status == Status::Pending {
                state.status = Status::Running;
            }
        }
        let outcome = one_cycle(&mut weave).await;
        let ended = Instant::now();
        let missed = missed_releases(release, ended, weave.cycle_time);
        release += weave.cycle_time * (missed + 1);
        settle(&report, outcome, missed, release);
    }
    report.lock().status = Status::Stopped;
}

/// Runs the callback once; a panic becomes an error and ends here.
async fn one_cycle(weave: &mut Weave) -> Result<(), CallbackError> {
    let started = std::panic::catch_unwind(AssertUnwindSafe(|| (weave.callback)()));
    let outcome = match started {
        Ok(cycle) => AssertUnwindSafe(cycle).catch_unwind().await,
        Err(panic) => Err(panic),
    };
    outcome.unwrap_or_else(|panic| Err(format!("panicked: {}", panic_text(&*panic)).into()))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// How many releases after `release` were due before `ended`.
fn missed_releases(release: Instant, ended: Instant, cycle_time: Duration) -> u32 {
    let late = ended.saturating_duration_since(release);
    // A cycle that ends exactly at the next release is in time.
    let missed = late.as_nanos().saturating_sub(1) / cycle_time.as_nanos();
    u32::try_from(missed).unwrap_or(u32::MAX - 1)
}

fn settle(report: &Report, outcome: Result<(), CallbackError>, missed: u32, release: Instant) {
    let mut state = report.lock();
    state.cycles += 1;
    state.skipped += u64::from(missed);
    state.next_release = release;
    let before = state.status;
    state.status = match (&outcome, missed) {
        (Err(_), _) => Status::Failed,
        (Ok(()), 0) => Status::Running,
        (Ok(()), _) => Status::Overrun,
    };
    let after = state.status;
    if let Err(cause) = outcome {
        state.failures += 1;
        // Said when it begins, then ever more seldom: a Weave may fail a thousand times a second.
        if before != Status::Failed || state.failures.is_power_of_two() {
            let failures = state.failures;
            error!(weave = %report.label, failures, error = &*cause as &dyn std::error::Error, "weave failed");
        }
    } else if after == Status::Overrun && before != Status::Overrun {
        // Said when it begins, not in every cycle.
        warn!(weave = %report.label, skipped = missed, cycle_time = ?report.cycle_time, "weave overran its cycle");
    }
}
