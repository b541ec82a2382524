//! The seam: what keeps the entries, on disk or in memory.

use std::{fmt, sync::Arc};

/// The number of an entry: the first is 1, each one after it is one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A payload that waits to be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its number.
    pub sequence: Sequence,
    /// What is to be sent.
    pub payload: Arc<[u8]>,
}

impl Entry {
    pub(crate) const fn new(sequence: Sequence, payload: Arc<[u8]>) -> Self {
        Self { sequence, payload }
    }
}

/// How a journal fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries that are not acknowledged.
    pub waiting: usize,
    /// Bytes of their payloads.
    pub waiting_bytes: usize,
    /// Entries taken in since the journal was opened.
    pub appended: u64,
    /// Entries acknowledged since the journal was opened.
    pub acknowledged: u64,
    /// Entries evicted unacknowledged because the journal was full.
    pub evicted: u64,
    /// Payloads that were not taken in.
    pub refused: u64,
}

/// Keeps entries until they are acknowledged.
///
/// Sequences rise by one. None of the methods may wait for a slow consumer. An entry that was
/// taken in is returned by `next_after` until it is acknowledged or evicted.
pub trait Journal: fmt::Debug + Send + Sync {
    /// Takes a payload in as the newest entry, evicting the oldest ones where there is no room.
    ///
    /// # Errors
    ///
    /// The payload can never be taken in; nothing was changed.
    fn append(&self, payload: &[u8]) -> Result<Sequence, AppendError>;

    /// Returns up to `max` unacknowledged entries in order: those after `after`, or from the
    /// oldest on.
    fn next_after(&self, after: Option<Sequence>, max: usize) -> Vec<Entry>;

    /// Removes an entry for good. Entries may be acknowledged in any order; one that is not there
    /// (any more) is passed over.
    fn acknowledge(&self, sequence: Sequence);

    /// Returns how the journal fares.
    fn stats(&self) -> Stats;
}

/// Why a payload was not taken in; final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The payload is larger than a message may be.
    #[error("a payload of {found} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The largest size allowed.
        limit: usize,
    },
}
