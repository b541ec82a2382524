//! Hears of SIGINT and SIGTERM.

use std::{io, sync::Arc};

use tokio::sync::watch;

/// Counts the signals that asked this process to stop.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    count: watch::Receiver<u32>,
    _listener: Arc<Listener>,
}

/// Ends the task that listens when the last [`Signals`] is gone.
#[derive(Debug)]
struct Listener(tokio::task::JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Signals {
    /// Starts to listen; from now on the signals no longer end the process by themselves.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (count, seen) = watch::channel(0);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { count: seen, _listener: Arc::new(Listener(task)) })
    }

    /// Starts to listen; from now on Ctrl-C no longer ends the process by itself.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> io::Result<Self> {
        let (count, seen) = watch::channel(0);
        let task = tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { count: seen, _listener: Arc::new(Listener(task)) })
    }

    /// Resolves once one signal came.
    pub(crate) async fn first(&self) {
        self.at_least(1).await;
    }

    /// Resolves once two signals came.
    pub(crate) async fn second(&self) {
        self.at_least(2).await;
    }

    async fn at_least(&self, signals: u32) {
        if self.count.clone().wait_for(|count| *count >= signals).await.is_err() {
            std::future::pending().await
        }
    }
}
