//! A server at work, and how it ends.

use std::time::Duration;

use crate::error::ServeError;

/// A server at work on a thread of its own. Dropped, it ends at once and tells nobody.
#[derive(Debug)]
pub struct RunningServer {
    ended: tokio::sync::watch::Receiver<Option<Result<(), ServeError>>>,
}

impl RunningServer {
    /// Tells clients, lets them go, and after `within` drops who is left. Returns when the port is free.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the server ends at once.
    pub async fn stop(self, within: Duration) {
        let _ = tokio::time::timeout(within, self.ended()).await;
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    ///
    /// It ended by itself.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped and called again.
    pub async fn ended(&self) -> Result<(), ServeError> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(Ok(())),
            Err(_) => Err(ServeError::Panicked),
        }
    }

    /// Whether the server has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.borrow().is_some() || self.ended.has_changed().is_err()
    }
}
