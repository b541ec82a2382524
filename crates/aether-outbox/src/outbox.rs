//! A journal that many append to and one sender waits on.

use tokio::sync::Notify;

use crate::journal::{AppendError, Entry, Journal, Sequence, Stats};

/// A [`Journal`] with a bell: the sender can wait for news instead of asking again and again.
#[derive(Debug)]
pub struct Outbox {
    journal: Box<dyn Journal>,
    news: Notify,
}

impl Outbox {
    /// Puts a journal to use.
    pub fn new(journal: impl Journal + 'static) -> Self {
        Self { journal: Box::new(journal), news: Notify::new() }
    }

    /// Takes a payload in as the newest entry.
    ///
    /// # Errors
    ///
    /// The payload can never be taken in; nothing was changed.
    pub fn append(&self, payload: &[u8]) -> Result<Sequence, AppendError> {
        let sequence = self.journal.append(payload)?;
        self.news.notify_waiters();
        Ok(sequence)
    }

    /// Returns up to `max` unacknowledged entries in order: those after `after`, or from the
    /// oldest on.
    pub fn next_after(&self, after: Option<Sequence>, max: usize) -> Vec<Entry> {
        self.journal.next_after(after, max)
    }

    /// Removes an entry for good, because it arrived.
    pub fn acknowledge(&self, sequence: Sequence) {
        self.journal.acknowledge(sequence);
        self.news.notify_waiters();
    }

    /// Returns how the journal fares.
    pub fn stats(&self) -> Stats {
        self.journal.stats()
    }

    /// Waits until there is an unacknowledged entry after `after`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn wait_after(&self, after: Option<Sequence>) {
        self.wait_until(|| !self.journal.next_after(after, 1).is_empty()).await;
    }

    /// Waits until every entry is acknowledged.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn wait_empty(&self) {
        self.wait_until(|| self.journal.stats().waiting == 0).await;
    }

    /// Waits until more than `before` entries were acknowledged since the journal was opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn wait_acknowledged_beyond(&self, before: u64) {
        self.wait_until(|| self.journal.stats().acknowledged > before).await;
    }

    async fn wait_until(&self, condition: impl Fn() -> bool) {
        loop {
            // Registered before the look, so that news in between is not missed.
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if condition() {
                return;
            }
            news.await;
        }
    }
}
