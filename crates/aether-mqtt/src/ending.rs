//! The end of a session, said once and heard by everyone who asks.

use tokio::sync::watch;

use crate::{EndReason, SessionEnded};

/// Holds the reason a session ended; the first one given stays.
#[derive(Debug)]
pub(crate) struct Ending(watch::Sender<Option<SessionEnded>>);

impl Ending {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Ends the session for `reason`, unless it has ended already.
    pub(crate) fn end(&self, reason: SessionEnded) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason);
            }
            first
        });
    }

    /// Why the session ended, if it has.
    pub(crate) fn get(&self) -> Option<SessionEnded> {
        self.0.borrow().clone()
    }

    /// Waits for the end.
    pub(crate) async fn wait(&self) -> SessionEnded {
        let mut receiver = self.0.subscribe();
        let ended = receiver.wait_for(Option::is_some).await;
        // The sender lives in `self`, so waiting cannot fail.
        ended.ok().and_then(|reason| reason.clone()).unwrap_or_else(|| SessionEnded::new(EndReason::Disconnected))
    }
}
