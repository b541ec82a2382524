//! A runtime that runs, asked and steered from another process of the same user.
//!
//! ```text
//!   aether rotate ──▶ <state_dir>/control.sock ──▶ NexusHandle
//!                 ◀── {"stage": …}, then {"ok": …} or {"error": …}
//! ```
//!
//! A Unix domain socket of mode 0600 that exists while the runtime holds the lock of its state directory. One request a
//! connection, as a line of JSON; nothing secret is asked for or answered. On other systems there is none.

mod client;
mod protocol;
#[cfg(unix)]
mod server;

pub use self::client::{ControlClient, ControlError};
pub use self::protocol::Refusal;
#[cfg(unix)]
pub(crate) use self::server::ControlServer;

/// The name of the socket in the state directory.
const SOCKET: &str = "control.sock";

/// The server of systems without such sockets: none.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct ControlServer;

#[cfg(not(unix))]
impl ControlServer {
    pub(crate) fn start(
        _state_dir: &std::path::Path,
        _handle: crate::nexus::NexusHandle,
        _told: tokio::sync::broadcast::Sender<crate::stage::Stage>,
    ) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests;
