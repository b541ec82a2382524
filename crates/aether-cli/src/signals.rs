//! Waits for the signals that ask the program to end.

use std::io;

/// Starts to listen at once; the future resolves at SIGINT (Ctrl-C) or SIGTERM.
#[cfg(unix)]
pub(crate) fn end_asked() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The future resolves at Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn end_asked() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
