//! A journal in memory: survives the loss of the connection, not of the process.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::warn;

use crate::journal::{AppendError, Entry, Journal, Sequence, Stats};

/// The bounds of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    entries: usize,
    bytes: usize,
    payload: usize,
}

impl Limits {
    /// Most entries kept. Default: 100,000; at least 1.
    pub const fn entries(mut self, entries: usize) -> Self {
        self.entries = if entries == 0 { 1 } else { entries };
        self
    }

    /// Most payload bytes kept. Default: 32 MiB. The newest entry is kept whatever its size.
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Largest payload taken in, in bytes. Default: 131,072, the most that AWS IoT Core accepts
    /// (AWS General Reference, "AWS IoT Core endpoints and quotas", message broker limits).
    pub const fn payload(mut self, bytes: usize) -> Self {
        self.payload = bytes;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 100_000, bytes: 32 * 1024 * 1024, payload: 128 * 1024 }
    }
}

/// A bounded [`Journal`] in memory that evicts its oldest entry when it is full.
#[derive(Debug)]
pub struct MemoryJournal {
    limits: Limits,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// Entries by sequence without holes: the one at index `i` has sequence `first + i`. `None`
    /// was acknowledged before an older one was.
    slots: VecDeque<Option<Arc<[u8]>>>,
    first: u64,
    stats: Stats,
}

impl MemoryJournal {
    /// Makes an empty journal.
    pub fn new(limits: Limits) -> Self {
        let queue = Queue { slots: VecDeque::new(), first: 1, stats: Stats::default() };
        Self { limits, queue: Mutex::new(queue) }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that can panic runs between the changes of two fields.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn append(&self, payload: &[u8]) -> Result<Sequence, AppendError> {
        let mut queue = self.lock();
        if payload.len() > self.limits.payload {
            queue.stats.refused += 1;
            return Err(AppendError::TooLarge { found: payload.len(), limit: self.limits.payload });
        }
        while queue.stats.waiting > 0
            && (queue.stats.waiting >= self.limits.entries
                || queue.stats.waiting_bytes + payload.len() > self.limits.bytes)
        {
            queue.evict_oldest();
        }
        let sequence = Sequence::new(queue.first + queue.slots.len() as u64);
        queue.slots.push_back(Some(payload.into()));
        queue.stats.waiting += 1;
        queue.stats.waiting_bytes += payload.len();
        queue.stats.appended += 1;
        Ok(sequence)
    }

    fn next_after(&self, after: Option<Sequence>, max: usize) -> Vec<Entry> {
        let queue = self.lock();
        let skip = after.map_or(0, |sequence| (sequence.get() + 1).saturating_sub(queue.first));
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(queue.slots.len());
        let slots = queue.slots.range(skip..).zip(queue.first + skip as u64..);
        let entries = slots.filter_map(|(slot, number)| Some(Entry::new(Sequence::new(number), slot.clone()?)));
        entries.take(max).collect()
    }

    fn acknowledge(&self, sequence: Sequence) {
        let mut queue = self.lock();
        let index = sequence.get().checked_sub(queue.first).and_then(|i| usize::try_from(i).ok());
        let slot = index.and_then(|i| queue.slots.get_mut(i));
        if let Some(payload) = slot.and_then(Option::take) {
            queue.stats.waiting -= 1;
            queue.stats.waiting_bytes -= payload.len();
            queue.stats.acknowledged += 1;
            queue.drop_acknowledged();
        }
    }

    fn stats(&self) -> Stats {
        self.lock().stats
    }
}

impl Queue {
    /// Takes the oldest unacknowledged entry out; the caller made sure that there is one.
    fn evict_oldest(&mut self) {
        self.drop_acknowledged();
        if let Some(Some(payload)) = self.slots.pop_front() {
            self.first += 1;
            self.stats.waiting -= 1;
            self.stats.waiting_bytes -= payload.len();
            self.stats.evicted += 1;
            // Said for the first and then ever more seldom, so that a full journal does not flood the log.
            if self.stats.evicted.is_power_of_two() {
                warn!(evicted = self.stats.evicted, "outbox is full; the oldest entries are lost");
            }
        }
    }

    fn drop_acknowledged(&mut self) {
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
    }
}
