//! Takes decisions from the connections and hands them on without making them wait.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::file::{LogFile, MAX_BYTES};
use super::stream::BACKLOG;
use super::{AuditDecision, AuditRecord, AuditStream};

/// Most bytes that wait for a slow disk before records are left out of the file.
const MAX_WAITING: usize = 8 * 1024 * 1024;

/// Time for decisions to gather before they are written together.
const GATHER: Duration = Duration::from_millis(20);

/// Where connections put their decisions.
#[derive(Clone, Debug)]
pub(crate) struct AuditLog {
    streams: broadcast::Sender<AuditRecord>,
    waiting: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Mutex<Lines>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    left_out: u64,
}

impl Waiting {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditLog {
    /// Opens the log file; the second value has to be run to fill it.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, AuditWriter)> {
        let file = LogFile::open(path, MAX_BYTES)?;
        let log = Self { streams: broadcast::Sender::new(BACKLOG), waiting: Arc::default() };
        let writer = AuditWriter { file, waiting: Arc::clone(&log.waiting) };
        Ok((log, writer))
    }

    /// Records one decision. Never waits.
    pub(crate) fn record(&self, record: AuditRecord) {
        trace(&record);
        let line = record.to_json();
        {
            let mut lines = self.waiting.lines();
            if lines.bytes.len() + line.len() < MAX_WAITING {
                lines.bytes.extend_from_slice(line.as_bytes());
                lines.bytes.push(b'\n');
            } else {
                lines.left_out = lines.left_out.saturating_add(1);
            }
        }
        self.waiting.wake.notify_one();
        // Nobody listening is the usual case, not an error.
        let _ = self.streams.send(record);
    }

    pub(crate) fn stream(&self) -> AuditStream {
        AuditStream::new(self.streams.subscribe())
    }
}

fn trace(record: &AuditRecord) {
    let client_id = record.client_id.as_deref().unwrap_or_default();
    let certificate = record.certificate_id.as_ref().map(tracing::field::display);
    let topic = record.topic.as_deref().unwrap_or_default();
    let policy = record.decided_by.as_ref().map(|by| by.policy.as_str());
    let statement = record.decided_by.as_ref().map(|by| by.statement);
    let sid = record.decided_by.as_ref().and_then(|by| by.sid.as_deref());
    let reason = record.reason.as_deref();
    let connection = record.connection;
    let event = record.event.as_str();
    let operation = record.operation.as_deref();
    let resource = record.resource.as_deref();
    // A macro, because a level is part of the code at its place.
    macro_rules! tell {
        ($level:ident, $said:literal) => {
            tracing::$level!(
                event,
                connection,
                client_id,
                certificate,
                topic,
                policy,
                statement,
                sid,
                reason,
                operation,
                resource,
                $said
            )
        };
    }
    match record.decision {
        AuditDecision::Denied => tell!(warn, "denied"),
        AuditDecision::Allowed => tell!(debug, "allowed"),
    }
}

/// Writes what waits to the file, until it is told to stop.
#[derive(Debug)]
pub(crate) struct AuditWriter {
    file: LogFile,
    waiting: Arc<Waiting>,
}

impl AuditWriter {
    /// Runs until `stop`, and then writes what is left.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let gathered = async {
                self.waiting.wake.notified().await;
                tokio::time::sleep(GATHER).await;
            };
            let stopping = tokio::select! {
                () = gathered => false,
                () = stop.cancelled() => true,
            };
            self = match spawn_blocking(move || self.drain()).await {
                Ok(writer) => writer,
                Err(failed) => {
                    tracing::error!(error = &failed as &dyn std::error::Error, "decision log broke off");
                    return;
                }
            };
            if stopping {
                return;
            }
        }
    }

    fn drain(mut self) -> Self {
        let Lines { bytes, left_out } = std::mem::take(&mut *self.waiting.lines());
        if left_out > 0 {
            tracing::warn!(left_out, "decisions missing from the log file");
        }
        if !bytes.is_empty()
            && let Err(error) = self.file.append(&bytes)
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not write the decision log");
        }
        self
    }
}
