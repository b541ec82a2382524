//! One connected MQTT client, as the rest of the broker sees it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use rmqtt_codec::types::QoS;
use tokio_util::sync::CancellationToken;

use super::outbound::{Delivery, Outbound};
use super::topic;
use crate::access::Access;
use crate::audit::AuditLog;
use crate::policy::{Action, Verdict};
use crate::trust::Identity;
use crate::{AuditDecision, AuditEvent, AuditRecord, CertificateStatus, StatementRef};

/// Why a connection ended, in the words of AWS's lifecycle events (sheet, 4.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndReason {
    /// The client said goodbye.
    ClientInitiated,
    /// The client broke the protocol or a limit.
    ClientError,
    /// The client did something no policy allows.
    AuthError,
    /// The network connection broke.
    ConnectionLost,
    /// Another connection took over the client id.
    DuplicateClientId,
    /// Nothing was heard for one and a half keep-alives.
    KeepAliveTimeout,
    /// The sandbox cut it: shut-down, a certificate switched off, or on request.
    ServerInitiated,
}

impl EndReason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ClientInitiated => "CLIENT_INITIATED_DISCONNECT",
            Self::ClientError => "CLIENT_ERROR",
            Self::AuthError => "AUTH_ERROR",
            Self::ConnectionLost => "CONNECTION_LOST",
            Self::DuplicateClientId => "DUPLICATE_CLIENTID",
            Self::KeepAliveTimeout => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::ServerInitiated => "SERVER_INITIATED_DISCONNECT",
        }
    }
}

/// What every audit record of one connection has in common.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub(super) log: AuditLog,
    pub(super) connection: u64,
    pub(super) peer: SocketAddr,
    pub(super) identity: Option<Identity>,
    pub(super) client_id: Option<String>,
}

impl Witness {
    /// A record of this connection with nothing but the event and the decision in it.
    pub(super) fn note(&self, event: AuditEvent, decision: AuditDecision) -> AuditRecord {
        AuditRecord {
            at: SystemTime::now(),
            event,
            decision,
            connection: self.connection,
            peer: Some(self.peer),
            client_id: self.client_id.clone(),
            certificate_id: self.identity.as_ref().map(|identity| identity.certificate.clone()),
            certificate_kind: self.identity.as_ref().map(|identity| identity.kind),
            topic: None,
            decided_by: None,
            reason: None,
        }
    }

    pub(super) fn allowed(&self, event: AuditEvent, topic: &str, decided_by: Option<StatementRef>) {
        let note = self.note(event, AuditDecision::Allowed);
        self.log.record(AuditRecord { topic: Some(topic.to_owned()), decided_by, ..note });
    }

    pub(super) fn denied(
        &self,
        event: AuditEvent,
        topic: Option<&str>,
        decided_by: Option<StatementRef>,
        reason: &str,
    ) {
        let note = self.note(event, AuditDecision::Denied);
        self.log.record(AuditRecord {
            topic: topic.map(str::to_owned),
            decided_by,
            reason: Some(reason.to_owned()),
            ..note
        });
    }
}

/// A client past its CONNECT.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) identity: Identity,
    pub(super) witness: Witness,
    pub(super) outbound: Outbound,
    access: Access,
    subscriptions: Mutex<HashMap<String, QoS>>,
    ended: OnceLock<EndReason>,
    stop: CancellationToken,
}

impl Client {
    pub(super) fn new(
        id: String,
        identity: Identity,
        witness: Witness,
        access: Access,
        stop: CancellationToken,
    ) -> Self {
        Self {
            id,
            identity,
            witness,
            outbound: Outbound::default(),
            access,
            subscriptions: Mutex::default(),
            ended: OnceLock::new(),
            stop,
        }
    }

    pub(super) fn connection(&self) -> u64 {
        self.witness.connection
    }

    /// What the account says of this client's certificate now.
    pub(super) fn status(&self) -> Option<CertificateStatus> {
        self.access.effective().map(|effective| effective.status)
    }

    /// Asks this client's policies.
    pub(super) fn may(&self, action: Action, target: &str) -> Verdict {
        self.access.decide(action, target)
    }

    /// Delivers a message if the client's policies let it receive from the topic; silently not,
    /// otherwise (sheet, 3.6). Only the audit log hears of it.
    pub(super) fn deliver(&self, delivery: Delivery) {
        let verdict = self.may(Action::Receive, &delivery.topic);
        match verdict.allowed {
            true => self.outbound.deliver(delivery),
            false => self.witness.denied(
                AuditEvent::Receive,
                Some(&delivery.topic),
                verdict.decided_by,
                "no policy allows iot:Receive",
            ),
        }
    }

    /// The best quality of service this client has subscribed to `topic` with.
    pub(super) fn subscribed_to(&self, topic: &str) -> Option<QoS> {
        let subscriptions = self.subscriptions();
        let matching = subscriptions.iter().filter(|(filter, _)| topic::matches(filter, topic));
        matching.map(|(_, qos)| *qos).max()
    }

    pub(super) fn subscriptions(&self) -> MutexGuard<'_, HashMap<String, QoS>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection. The first reason given is the one that counts.
    pub(super) fn end(&self, reason: EndReason) {
        // A later reason is only a consequence of the first.
        let _ = self.ended.set(reason);
        self.stop.cancel();
    }

    pub(super) fn ended(&self) -> Option<EndReason> {
        self.ended.get().copied()
    }

    /// Resolves once [`end`](Self::end) was called or the sandbox stops.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}
