//! The sandbox's own API under `/_sandbox/v1`, and the web page that uses it.
//!
//! ```text
//!  browser ── GET / ─────────────▶ page (no secret in it, no token needed)
//!  page, `aether sandbox …` ─────▶ /_sandbox/v1/…  ── token ─▶ listings, changes, event streams
//!                                   token ◀── DIR/control.json (mode 0600, while the sandbox runs)
//! ```
//!
//! The token keeps other users of the machine out: they can reach the port, but not read the file.
//! It travels in the `Authorization` header and never in a cookie, so nothing a browser adds by itself
//! is enough, and no page of another origin can act through the user's browser. The control plane
//! checks `Host` and `Origin` before anything comes here.

mod change;
mod control_file;
mod decisions;
mod error;
mod explain;
mod faults;
mod listing;
mod messages;
mod page;
mod query;
mod routes;
mod stream;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use control_file::{ControlFile, url};
use decisions::DecisionRing;
pub(crate) use routes::router;
pub(crate) use token::AdminToken;

use crate::Files;
use crate::broker::Broker;

/// What the API's operations work on.
#[derive(Debug)]
pub(crate) struct Admin {
    broker: Arc<Broker>,
    files: Files,
    token: AdminToken,
    mqtt: SocketAddr,
    http: SocketAddr,
    started: Instant,
    decisions: Arc<DecisionRing>,
}

impl Admin {
    /// Begins to keep the latest decisions, in a task that ends with the broker.
    pub(crate) fn new(
        broker: Arc<Broker>,
        files: Files,
        token: AdminToken,
        mqtt: SocketAddr,
        http: SocketAddr,
    ) -> Arc<Self> {
        let decisions = Arc::new(DecisionRing::default());
        let follow = Arc::clone(&decisions).follow(broker.audit.stream(), broker.stop.clone());
        broker.tasks.spawn(follow);
        Arc::new(Self { broker, files, token, mqtt, http, started: Instant::now(), decisions })
    }
}
