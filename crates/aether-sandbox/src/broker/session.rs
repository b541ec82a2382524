//! What a connected client may do: each packet checked against the rules, then carried out.

mod publish;
mod subscribe;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::client::Client;
use super::ending::{EndReason, Fault};
use super::limits::{CROWD_PAUSE, MAX_REQUESTS};
use super::packet::{Incoming, Outgoing, Publish, Version, reason};
use super::subscriber::Subscriber;
use super::{Broker, faulty};
use crate::access::Action;
use crate::faults::Step;
use crate::{AuditEvent, StatementRef};

/// One connection's part in a session.
#[derive(Debug)]
pub(super) struct Session {
    broker: Arc<Broker>,
    client: Arc<Client>,
    subscriber: Arc<Subscriber>,
    requests: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Topics the client has given an alias.
    aliases: HashMap<NonZeroU16, String>,
    /// QoS 1 messages that were discarded, so that the client still waits for their PUBACK.
    unacknowledged: HashSet<NonZeroU16>,
    /// What the client's goodbye changed the session's expiry to.
    goodbye_expiry: Option<Duration>,
    /// A receiver of what the client has sent, which is behind.
    crowded: Option<Arc<Subscriber>>,
}

/// Why a PUBLISH is not carried out.
enum Refused {
    /// The connection ends.
    Fault(Fault),
    /// AWS answers with this code in MQTT 5; an MQTT 3.1.1 client is hung up on (sheet, 3.6).
    Code { code: u8, reason: EndReason, detail: Cow<'static, str> },
    /// Nobody hears of it.
    Discarded,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Session {
    pub(super) fn new(broker: Arc<Broker>, client: Arc<Client>, subscriber: Arc<Subscriber>) -> Self {
        let requests = Arc::new(Semaphore::new(MAX_REQUESTS));
        Self { broker, client, subscriber, requests, state: Mutex::default() }
    }

    pub(super) fn broker(&self) -> &Broker {
        &self.broker
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits a moment for a receiver of what the client has sent, if there is one behind. Not for the
    /// client itself: what it acknowledges has to be read.
    pub(super) async fn wait_for_room(&self) {
        let crowded = self.state().crowded.take();
        if let Some(receiver) = crowded.filter(|receiver| !Arc::ptr_eq(receiver, &self.subscriber)) {
            // Whether there is room or not, the client is heard again.
            let _ = timeout(CROWD_PAUSE, receiver.mailbox.room(&self.broker.limits)).await;
        }
    }

    /// What the client's goodbye changed the session's expiry to.
    pub(super) fn goodbye_expiry(&self) -> Option<Duration> {
        self.state().goodbye_expiry
    }

    /// Handles one packet. An error ends the connection.
    pub(super) fn handle(&self, packet: Incoming) -> Result<(), Fault> {
        match packet {
            Incoming::Publish(publish) => self.publish(publish),
            Incoming::PublishAck { packet_id } => {
                self.subscriber.acknowledge(packet_id);
                Ok(())
            }
            Incoming::Subscribe { has_id: true, .. } => {
                Err(Fault::client(reason::SUBSCRIPTION_IDS, "subscription identifiers are not supported"))
            }
            Incoming::Subscribe { packet_id, filters, .. } => self.subscribe(packet_id, filters),
            Incoming::Unsubscribe { packet_id, filters } => self.unsubscribe(packet_id, &filters),
            Incoming::Ping => self.send(Step::Pingresp, &[], Outgoing::Pong),
            Incoming::Disconnect { with_will, expiry } => Err(self.goodbye(with_will, expiry)),
            Incoming::Auth => Err(Fault::client(reason::PROTOCOL, "AUTH is not supported")),
            Incoming::Connect(_) => Err(Fault::client(reason::PROTOCOL, "second CONNECT")),
            Incoming::QosTwo => Err(Fault::client(reason::QOS, "QoS 2 is not supported")),
            Incoming::OfServer => Err(Fault::client(reason::PROTOCOL, "packet that only a server sends")),
        }
    }

    fn send(&self, step: Step, topics: &[&str], packet: Outgoing) -> Result<(), Fault> {
        faulty::send(&self.broker, &self.client, step, topics, packet)
    }

    /// Refuses a packet as a policy would, with a code of the fault script.
    pub(super) fn refuse(&self, code: u8, packet: &Incoming) -> Result<(), Fault> {
        let v5 = self.client.version() == Version::V5;
        let answer = match packet {
            Incoming::Publish(Publish { packet_id: Some(packet_id), .. }) if v5 => {
                Outgoing::PublishAck { packet_id: *packet_id, code }
            }
            Incoming::Subscribe { packet_id, filters, .. } => {
                Outgoing::SubscribeAck { packet_id: *packet_id, codes: vec![code; filters.len()] }
            }
            Incoming::Publish(_)
            | Incoming::PublishAck { .. }
            | Incoming::Unsubscribe { .. }
            | Incoming::Ping
            | Incoming::Disconnect { .. }
            | Incoming::Auth
            | Incoming::Connect(_)
            | Incoming::QosTwo
            | Incoming::OfServer => {
                return Err(Fault { code: Some(code), ..Fault::new(EndReason::AuthError, "fault script") });
            }
        };
        Ok(self.client.wire.send(&answer)?)
    }

    /// A session that was not to outlive the connection cannot be made to at its end (MQTT 5,
    /// section 3.14.2.2.2).
    fn goodbye(&self, with_will: bool, expiry: Option<u32>) -> Fault {
        if let Some(seconds) = expiry {
            if seconds > 0 && self.subscriber.expiry().is_zero() {
                return Fault::client(reason::PROTOCOL, "session expiry at the end of a session without one");
            }
            let asked = Duration::from_secs(seconds.into());
            self.state().goodbye_expiry = Some(asked.min(self.broker.limits.session_expiry));
        }
        Fault { with_will, ..Fault::new(EndReason::ClientInitiated, "") }
    }

    /// Asks the policies; a denial is recorded.
    fn ask(&self, event: AuditEvent, action: Action, target: &str) -> Result<Option<StatementRef>, Refused> {
        let verdict = self.client.may(action, target);
        if verdict.allowed {
            return Ok(verdict.decided_by);
        }
        let detail = format!("no policy allows {action}");
        self.client.witness.denied(event, Some(target), verdict.decided_by, &detail);
        Err(Refused::Code { code: reason::NOT_AUTHORIZED, reason: EndReason::AuthError, detail: detail.into() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
