//! Decisions as they are made, for the program that runs the sandbox.

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::AuditRecord;

/// How many records a reader may fall behind before it misses some.
pub(super) const BACKLOG: usize = 4096;

/// The decisions of a sandbox from the moment the stream was asked for.
///
/// A reader that falls 4096 records behind misses the oldest; [`missed`](Self::missed) counts them.
/// The decision log on disk has them all.
#[derive(Debug)]
pub struct AuditStream {
    records: broadcast::Receiver<AuditRecord>,
    missed: u64,
}

impl AuditStream {
    pub(super) fn new(records: broadcast::Receiver<AuditRecord>) -> Self {
        Self { records, missed: 0 }
    }

    /// Waits for the next decision; `None` once the sandbox is gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call loses no record.
    pub async fn next(&mut self) -> Option<AuditRecord> {
        loop {
            match self.records.recv().await {
                Ok(record) => return Some(record),
                Err(RecvError::Lagged(count)) => self.missed = self.missed.saturating_add(count),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many records this reader has missed by being too slow.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
