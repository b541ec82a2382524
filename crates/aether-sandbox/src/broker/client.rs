//! One connected MQTT client, as the rest of the broker sees it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use aether_iot_policy::{Explanation, Resource};
use tokio_util::sync::CancellationToken;

use super::ending::EndReason;
use super::packet::Version;
use super::wire::Wire;
use crate::access::{Access, Action, Verdict};
use crate::audit::AuditLog;
use crate::trust::Identity;
use crate::{AuditDecision, AuditEvent, AuditRecord, CertificateStatus, StatementRef};

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
            operation: None,
            resource: None,
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
    pub(super) wire: Arc<Wire>,
    /// Names this connection in lifecycle events.
    pub(super) session_identifier: String,
    /// When it connected.
    pub(super) since: SystemTime,
    access: Access,
    ended: OnceLock<EndReason>,
    stop: CancellationToken,
}

/// What makes a [`Client`].
pub(super) struct ClientParts {
    pub(super) id: String,
    pub(super) identity: Identity,
    pub(super) witness: Witness,
    pub(super) wire: Wire,
    pub(super) session_identifier: String,
    pub(super) since: SystemTime,
    pub(super) access: Access,
    pub(super) stop: CancellationToken,
}

impl Client {
    pub(super) fn new(parts: ClientParts) -> Self {
        Self {
            id: parts.id,
            identity: parts.identity,
            witness: parts.witness,
            wire: Arc::new(parts.wire),
            session_identifier: parts.session_identifier,
            since: parts.since,
            access: parts.access,
            ended: OnceLock::new(),
            stop: parts.stop,
        }
    }

    pub(super) fn connection(&self) -> u64 {
        self.witness.connection
    }

    pub(super) fn version(&self) -> Version {
        self.wire.capacity.version
    }

    /// What the account says of this client's certificate now.
    pub(super) fn status(&self) -> Option<CertificateStatus> {
        self.access.effective().map(|effective| effective.status)
    }

    /// Tells how every statement of this client's policies comes out.
    pub(super) fn explain(&self, action: Action, resource: &Resource) -> Explanation {
        self.access.explain(action, resource)
    }

    /// Asks this client's policies.
    pub(super) fn may(&self, action: Action, target: &str) -> Verdict {
        self.access.decide(action, target)
    }

    /// Whether the client's policies let it receive from a topic. If not, the message is silently
    /// left out (sheet, 3.6), and only the audit log hears of it.
    pub(super) fn may_receive(&self, topic: &str) -> bool {
        let verdict = self.may(Action::Receive, topic);
        if !verdict.allowed {
            let reason = "no policy allows iot:Receive";
            self.witness.denied(AuditEvent::Receive, Some(topic), verdict.decided_by, reason);
        }
        verdict.allowed
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

    /// Whether [`end`](Self::end) was called or the sandbox stops.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves once [`end`](Self::end) was called or the sandbox stops.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}
