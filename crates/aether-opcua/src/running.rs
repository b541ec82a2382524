//! A server at work on a thread of its own, and how it ends.

use std::{io, net::TcpListener, panic, pin::pin, sync::Arc, thread, time::Duration};

use opcua::{
    server::{Server, ServerHandle},
    types::LocalizedText,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{oneshot, watch},
    time,
};
use tracing::error;

use crate::{
    clients::{ClientStore, TIDY_EVERY},
    error::{ServeError, StartError},
    nodes::Watch,
};

/// Longest time in which clients can see that the server is about to stop.
const NOTICE: Duration = Duration::from_millis(100);
/// What the thread may take beyond the time given to stop, to drop connections.
const MARGIN: Duration = Duration::from_secs(1);

/// A server at work. Dropped, it ends at once and tells nobody.
#[derive(Debug)]
pub struct RunningServer {
    go: Option<oneshot::Sender<()>>,
    stop: Option<oneshot::Sender<Duration>>,
    ended: watch::Receiver<Option<Result<(), ServeError>>>,
}

impl RunningServer {
    pub(crate) fn go(&mut self) {
        if let Some(go) = self.go.take() {
            // Nobody listens if the thread has panicked, which `ended` tells.
            let _ = go.send(());
        }
    }

    /// Tells clients, lets them go, and after `within` drops those who are left, at the latest.
    /// Returns when the port is free.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the server ends all the same, `within` after the call at the latest.
    pub async fn stop(mut self, within: Duration) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(within);
        }
        let _ = time::timeout(within.saturating_add(MARGIN), self.ended()).await;
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    ///
    /// It ended by itself: final, a new server has to be made with new Sigils.
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

/// What the thread works on.
pub(crate) struct Service {
    pub(crate) server: Server,
    pub(crate) handle: ServerHandle,
    pub(crate) listener: TcpListener,
    pub(crate) watch: Arc<Watch>,
    pub(crate) clients: Option<ClientStore>,
}

/// Makes the thread; it waits until [`RunningServer::go`] is called.
pub(crate) fn spawn(service: Service) -> Result<RunningServer, StartError> {
    // One thread is the fastest for one client and no slower for many, and what runs on it needs no
    // locks against itself: see `Watch::add`.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let (go, wait) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let (end, ended) = watch::channel(None);
    let work = move || {
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| run(service, runtime, wait, stopped)));
        let result = result.unwrap_or(Err(ServeError::Panicked));
        if let Err(error) = &result {
            error!(error = error as &dyn std::error::Error, "the OPC UA server ended by itself");
        }
        // Nobody listens any more if the handle was dropped.
        let _ = end.send(Some(result));
    };
    thread::Builder::new().name("aether-opcua".to_owned()).spawn(work).map_err(StartError::Thread)?;
    Ok(RunningServer { go: Some(go), stop: Some(stop), ended })
}

fn run(
    service: Service,
    runtime: Runtime,
    go: oneshot::Receiver<()>,
    stop: oneshot::Receiver<Duration>,
) -> Result<(), ServeError> {
    // The runtime is dropped at the end, and with it every connection that is left.
    runtime.block_on(async {
        match go.await {
            Ok(()) => serve(service, stop).await,
            Err(_) => Ok(()),
        }
    })
}

async fn serve(service: Service, stop: oneshot::Receiver<Duration>) -> Result<(), ServeError> {
    let Service { server, handle, listener, watch, clients } = service;
    let failed = |e: io::Error| ServeError::Failed { reason: e.to_string() };
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    let mut serving = pin!(server.run_with(listener));
    let mut beside = pin!(async { tokio::join!(deliver(&watch, &handle), tidy(clients.as_ref())) });
    let within = tokio::select! {
        end = &mut serving => {
            return Err(ServeError::Failed { reason: end.err().unwrap_or_else(|| "it ended without a reason".to_owned()) });
        }
        _ = &mut beside => return Ok(()),
        within = stop => match within {
            Ok(within) => within,
            Err(_) => return Ok(()),
        },
    };
    handle.shutdown_after(NOTICE.min(within / 4), LocalizedText::from("Aether stops"));
    tokio::select! {
        // Past the time a client that does not read its socket would hold the library for ever.
        _ = time::timeout(within, &mut serving) => {}
        _ = &mut beside => {}
    }
    Ok(())
}

/// Passes changes of Sigils on to subscribers.
async fn deliver(watch: &Watch, handle: &ServerHandle) {
    loop {
        watch.arrived().await;
        watch.deliver(handle.subscriptions());
    }
}

/// Keeps the directories of clients' certificates small.
async fn tidy(clients: Option<&ClientStore>) {
    let Some(clients) = clients else { return };
    let mut every = time::interval(TIDY_EVERY);
    every.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        clients.tidy();
    }
}
