//! Waits for the signals that ask the program to end.

use std::io;

/// Resolves at SIGINT (Ctrl-C) or SIGTERM.
#[cfg(unix)]
pub(crate) async fn end_asked() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn end_asked() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
