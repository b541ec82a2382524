//! The MQTT broker: one task for each connection, one table of clients and subscriptions.
//!
//! ```text
//!  listener ─▶ TLS (trust) ─▶ admission (CONNECT) ─▶ session ─┬─▶ router ─▶ subscribers
//!                                  │               policies   ├─▶ retained        │ mailbox
//!                              presence (events)              └─▶ provisioning    ▼
//!                                                                   own wire ◀── wire ─▶ client
//! ```
//!
//! Speaks MQTT 3.1.1 and 5 as AWS IoT Core does (reference sheet, sections 3.6 and 4). A connection
//! is a [`client::Client`] with its [`wire::Wire`]; the MQTT session, which may outlive it, is a
//! [`subscriber::Subscriber`] with its [`mailbox::Mailbox`].

mod admission;
mod answering;
mod client;
mod codec;
mod connection;
mod durable;
mod encode;
mod ending;
mod expiry_zero;
mod faulty;
mod first_packet;
mod forget;
mod handshake;
mod limits;
mod listener;
mod mailbox;
mod message;
mod pace;
mod packet;
mod presence;
mod refusal;
mod retained;
mod router;
mod session;
mod sessions;
mod subscriber;
mod tap;
mod tls;
mod topic;
mod tree;
mod wire;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aether_iot_policy::{Action, Explanation, Resource};
use bytes::Bytes;
use tokio::sync::{Notify, broadcast};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::ending::EndReason;
pub use self::limits::{InvalidLimits, Limits};
pub(crate) use self::listener::listen;
pub(crate) use self::message::{Message, Qos};
use self::pace::Paces;
use self::presence::Presence;
use self::retained::{NotRetained, Retained};
use self::router::Router;
use self::sessions::SessionStore;
use self::subscriber::Subscriber;
use self::tap::Seen;
pub(crate) use self::tap::{PublishError, SessionInfo, Tap, Tapped};
pub(crate) use self::tls::ServerTls;
pub(crate) use self::topic::is_served;
use crate::account::Account;
use crate::audit::AuditLog;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::ground::Ground;
use crate::provisioning::Provisioning;
use crate::trust::Trust;
use crate::{CertificateId, CertificateStatus, StartError};

/// How often sessions whose time is over are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// How often certificates that have ended are looked for.
const EXPIRE: Duration = Duration::from_secs(1);

/// What the parts of the broker share.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) audit: AuditLog,
    pub(crate) account: Arc<Account>,
    pub(crate) provisioning: Provisioning,
    pub(crate) trust: Arc<Trust>,
    pub(crate) tls: ServerTls,
    pub(crate) clock: Clock,
    /// Cancelled to stop everything.
    pub(crate) stop: CancellationToken,
    /// Every task that serves a client.
    pub(crate) tasks: TaskTracker,
    pub(crate) faults: Arc<Faults>,
    limits: Arc<Limits>,
    restarting: Restarting,
    router: Router,
    retained: Retained,
    presence: Presence,
    connects: Paces,
    seen: broadcast::Sender<Seen>,
    connections: AtomicU64,
    /// Held locked as long as any task may still write to the directory.
    _ground: Ground,
}

/// A restart somebody has asked for.
#[derive(Debug, Default)]
struct Restarting {
    pause: Mutex<Duration>,
    wanted: Notify,
}

/// What makes a [`Broker`].
#[derive(Debug)]
pub(crate) struct BrokerParts {
    pub(crate) audit: AuditLog,
    pub(crate) account: Arc<Account>,
    pub(crate) provisioning: Provisioning,
    pub(crate) trust: Arc<Trust>,
    pub(crate) tls: ServerTls,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) memory: Memory,
    pub(crate) faults: Arc<Faults>,
    pub(crate) ground: Ground,
}

/// What the broker has kept from the last run.
#[derive(Debug)]
pub(crate) struct Memory {
    sessions: SessionStore,
    retained: Retained,
}

impl Memory {
    /// Reads `sessions.jsonl` and `retained.jsonl` in `dir`. Blocks.
    pub(crate) fn open(dir: &Path, limits: &Limits) -> Result<Self, StartError> {
        Ok(Self {
            sessions: SessionStore::open(&dir.join("sessions.jsonl"))?,
            retained: Retained::open(&dir.join("retained.jsonl"), limits)?,
        })
    }
}

impl Broker {
    pub(crate) fn new(parts: BrokerParts) -> Self {
        let limits = Arc::new(parts.limits);
        Self {
            audit: parts.audit,
            account: parts.account,
            provisioning: parts.provisioning,
            trust: parts.trust,
            tls: parts.tls,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            router: Router::new(parts.memory.sessions, limits.kept_sessions, parts.clock.now()),
            retained: parts.memory.retained,
            presence: Presence::default(),
            connects: Paces::new(limits.connects_per_second),
            seen: broadcast::Sender::new(tap::BACKLOG),
            connections: AtomicU64::new(0),
            clock: parts.clock,
            faults: parts.faults,
            restarting: Restarting::default(),
            limits,
            _ground: parts.ground,
        }
    }

    /// Publishes a message of the service on a reserved topic: lifecycle and registry events.
    pub(crate) fn publish_system(&self, topic: &str, payload: impl Into<Bytes>) {
        let message = Message::of_service(topic, payload, Qos::AtLeastOnce, self.clock.now());
        // Only a retained message is ever refused.
        let _ = self.publish(message, None);
    }

    /// Cuts every live connection, without a word.
    pub(crate) fn cut_all(&self) {
        for client in self.router.clients() {
            client.end(EndReason::Cut);
        }
    }

    /// Cuts the connections that were made with one certificate.
    pub(crate) fn cut(&self, certificate: &CertificateId) {
        for client in self.router.clients() {
            if client.identity.certificate == *certificate {
                client.end(EndReason::Deactivated);
            }
        }
    }

    /// Ends what has ended by the sandbox's clock: certificates, the connections made with them and, when
    /// somebody moves the clock, sessions. Looks at least once a second, until the broker stops.
    pub(crate) async fn expire(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.clock.moved() => self.router.sweep(self.clock.now()),
                () = tokio::time::sleep(EXPIRE) => {}
            }
            let now = self.clock.now();
            for client in self.router.clients() {
                if client.identity.end <= now {
                    client.end(EndReason::Expired);
                }
            }
            if self.account.read().has_ended(now.into()) {
                let account = Arc::clone(&self.account);
                // Every change deletes what has ended, and has its connections cut.
                let deleted = spawn_blocking(move || account.change(|_| Ok(()))).await;
                if let Ok(Err(cause)) = deleted {
                    tracing::warn!(error = &cause as &dyn std::error::Error, "could not delete ended certificates");
                }
            }
        }
    }

    /// Revokes a certificate and cuts its connections.
    pub(crate) fn revoke(&self, certificate: &CertificateId) {
        let revoked = self.account.change(|tx| tx.set_status(certificate, CertificateStatus::Revoked));
        if let Err(error) = revoked {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not revoke a certificate");
        }
        self.cut(certificate);
    }

    /// Has the broker start again: nobody can connect for the pause, and only what is on disk stays.
    pub(crate) fn restart(&self, pause: Duration) {
        *self.restarting.pause.lock().unwrap_or_else(PoisonError::into_inner) = pause;
        self.restarting.wanted.notify_one();
    }

    /// Waits until a restart is wanted; gives its pause.
    async fn restart_wanted(&self) -> Duration {
        self.restarting.wanted.notified().await;
        *self.restarting.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is in memory and takes up what is on disk. Blocks.
    fn reload(&self) {
        self.presence.clear();
        let reloaded = self.router.reload(self.clock.now()).and_then(|()| self.retained.reopen());
        if let Err(error) = reloaded {
            tracing::error!(error = &error as &dyn std::error::Error, "could not read the broker's state again");
        }
    }

    /// Ends sessions whose time is over, until the broker stops.
    pub(crate) async fn sweep(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP) => self.router.sweep(self.clock.now()),
            }
        }
    }

    /// Keeps a message if it is to be retained, and hands it to taps and subscribers.
    /// Gives a receiver whose mailbox is crowded now.
    fn publish(&self, message: Message, client_id: Option<&str>) -> Result<Option<Arc<Subscriber>>, NotRetained> {
        if message.retain {
            self.retained.set(&message, &self.limits)?;
        }
        let message = Arc::new(message);
        self.show(&message, client_id);
        let mut crowded = None;
        // Policies are asked outside the router's lock: they cost more than the look-up.
        for (subscriber, how) in self.router.receivers(&message, self.clock.now()) {
            if faulty::deliver(self, &subscriber, &message, how) {
                crowded = Some(subscriber);
            }
        }
        Ok(crowded)
    }

    /// Lets taps see a message.
    fn show(&self, message: &Arc<Message>, client_id: Option<&str>) {
        if self.seen.receiver_count() > 0 {
            // The last tap may have gone since.
            let _ = self.seen.send(Seen { message: Arc::clone(message), client_id: client_id.map(Into::into) });
        }
    }

    /// When a message with an expiry published now is worthless (sheet, 4.8).
    fn expires(&self, seconds: Option<u32>, now: SystemTime) -> Option<SystemTime> {
        let life = Duration::from_secs(seconds?.into()).min(self.limits.message_expiry_max);
        now.checked_add(life)
    }

    /// What a connected client's policies say, and the certificate it has shown; `None` when no client
    /// of that id is connected.
    pub(crate) fn explain(
        &self,
        client_id: &str,
        action: Action,
        resource: &Resource,
    ) -> Option<(CertificateId, Explanation)> {
        let client = self.router.clients().into_iter().find(|client| client.id == client_id)?;
        Some((client.identity.certificate.clone(), client.explain(action, resource)))
    }

    /// A number for a network connection, of the broker or the control plane.
    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}
