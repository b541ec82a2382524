//! The MQTT broker: one task for each connection, one table of clients and subscriptions.
//!
//! ```text
//!  listener ─▶ TLS (trust) ─▶ admission (CONNECT) ─▶ session ─┬─▶ router ─▶ outbound of others
//!                                                  policies   └─▶ provisioning ─▶ own outbound
//! ```
//!
//! Speaks MQTT 3.1.1 as AWS IoT Core does (reference sheet, sections 3.6 and 4). Kept for later:
//! MQTT 5, persistent sessions, retained messages, rate limits.

mod admission;
mod client;
mod connection;
mod limits;
mod listener;
mod outbound;
mod router;
mod session;
mod tls;
mod topic;
mod tree;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::client::EndReason;
pub(crate) use self::listener::listen;
use self::router::Router;
pub(crate) use self::tls::ServerTls;
use crate::CertificateId;
use crate::account::Account;
use crate::audit::AuditLog;
use crate::provisioning::Provisioning;
use crate::trust::Trust;

/// What the parts of the broker share.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) audit: AuditLog,
    pub(crate) account: Arc<Account>,
    pub(crate) provisioning: Provisioning,
    pub(crate) trust: Arc<Trust>,
    pub(crate) tls: ServerTls,
    /// Cancelled to stop everything.
    pub(crate) stop: CancellationToken,
    /// Every task that serves a client.
    pub(crate) tasks: TaskTracker,
    router: Router,
    connections: AtomicU64,
    /// Held locked as long as any task may still write to the directory.
    _lock: File,
}

impl Broker {
    pub(crate) fn new(
        audit: AuditLog,
        account: Arc<Account>,
        provisioning: Provisioning,
        trust: Arc<Trust>,
        tls: ServerTls,
        lock: File,
    ) -> Self {
        Self {
            audit,
            account,
            provisioning,
            trust,
            tls,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            router: Router::default(),
            connections: AtomicU64::new(0),
            _lock: lock,
        }
    }

    /// Cuts every live connection.
    pub(crate) fn cut_all(&self) {
        for client in self.router.clients() {
            client.end(EndReason::ServerInitiated);
        }
    }

    /// Cuts the connections that were made with one certificate.
    pub(crate) fn cut(&self, certificate: &CertificateId) {
        for client in self.router.clients() {
            if client.identity.certificate == *certificate {
                client.end(EndReason::ServerInitiated);
            }
        }
    }

    fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}
