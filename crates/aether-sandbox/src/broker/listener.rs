//! Accepts connections, each into a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{Broker, connection};

/// Pause after a failed accept: the usual cause, too many open files, does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the broker stops.
pub(crate) async fn listen(broker: Arc<Broker>, mut listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(broker.limits.connections.min(Semaphore::MAX_PERMITS)));
    let stop = broker.stop.clone();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            pause = broker.restart_wanted() => {
                match restart(&broker, listener, pause).await {
                    Some(reopened) => listener = reopened,
                    None => return,
                }
                continue;
            }
            next = next => next,
        };
        match accepted {
            Ok((socket, peer)) => {
                let serving = connection::serve(Arc::clone(&broker), socket, peer);
                broker.tasks.spawn(async move {
                    serving.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Closes the port, cuts all connections, reads the state again and opens the port after a pause.
/// `None` if the broker stops meanwhile.
async fn restart(broker: &Arc<Broker>, listener: TcpListener, pause: Duration) -> Option<TcpListener> {
    let address = match listener.local_addr() {
        Ok(address) => address,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "could not restart");
            return Some(listener);
        }
    };
    drop(listener);
    broker.cut_all();
    let reloading = Arc::clone(broker);
    if let Err(failed) = tokio::task::spawn_blocking(move || reloading.reload()).await {
        tracing::error!(error = &failed as &dyn std::error::Error, "could not read the state again");
    }
    let mut wait = pause;
    loop {
        tokio::select! {
            () = broker.stop.cancelled() => return None,
            () = tokio::time::sleep(wait) => {}
        }
        match TcpListener::bind(address).await {
            Ok(reopened) => return Some(reopened),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, %address, "could not open the port again");
                wait = ACCEPT_PAUSE;
            }
        }
    }
}
