//! The sandbox's time: the system's, moved forward on request.
//!
//! Lives of tokens, certificates and sessions are judged by it, so that a test of the hour after
//! which a token is worthless does not last an hour. Timeouts of the network stay with real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

/// The last second of the year 9999, since 1970: later times have no form in RFC 3339 or X.509.
const END: Duration = Duration::from_secs(253_402_300_799);

/// A clock shared by all parts of one sandbox. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// How far it is ahead of the system, in milliseconds.
    ahead: Arc<AtomicU64>,
    moved: Arc<Notify>,
}

impl Clock {
    /// The present time of the sandbox.
    pub(crate) fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        let end = SystemTime::UNIX_EPOCH + END;
        now.checked_add(self.ahead()).unwrap_or(end).min(end)
    }

    /// How far the clock is ahead of the system's.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead.load(Ordering::Relaxed))
    }

    /// Moves the clock forward, at most to the end of the year 9999. It never goes back: what has
    /// expired stays so.
    pub(crate) fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let add = |ahead: u64| Some(ahead.saturating_add(by));
        // The closure always gives a value, so this cannot fail.
        let _ = self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        self.moved.notify_one();
    }

    /// Resolves when the clock has been moved since this was last awaited. For one waiter at a time.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clone_shows_the_time_it_was_moved_to() {
        let clock = Clock::default();
        let other = clock.clone();
        let before = other.now();
        clock.advance(Duration::from_secs(3600));
        assert_eq!(other.ahead(), Duration::from_secs(3600));
        assert!(other.now() >= before + Duration::from_secs(3600));
    }

    #[test]
    fn a_move_beyond_all_time_is_no_panic() {
        let clock = Clock::default();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + END);
    }
}
