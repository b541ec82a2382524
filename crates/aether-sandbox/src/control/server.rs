//! The listener: plain HTTP/1.1, bounded in connections, header time and idle time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Control;

/// Most connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// Longest wait for the head of a request, the pause before it included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest head of a request.
const MAX_HEAD: usize = 64 * 1024;
/// Longest wait for answers under way when the sandbox stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Pause after a failed accept: the usual cause, too many open files, does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) connection: u64,
    pub(super) address: SocketAddr,
}

/// Accepts until the sandbox stops.
pub(crate) async fn serve(control: Arc<Control>, listener: TcpListener, router: Router) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let stop = control.broker.stop.clone();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((socket, address)) => {
                let peer = Peer { connection: control.broker.next_connection(), address };
                let serving = connection(Arc::clone(&control), socket, router.clone().layer(Extension(peer)));
                control.broker.tasks.spawn(async move {
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

async fn connection(control: Arc<Control>, socket: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let serving = http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => {
            if let Err(error) = ended {
                tracing::debug!(error = &error as &dyn std::error::Error, "control connection broke off");
            }
        }
        () = control.broker.stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            // A stream without end is cut; whoever reads it knows that the sandbox has stopped.
            let _ = tokio::time::timeout(LAST_ANSWERS, serving).await;
        }
    }
}
