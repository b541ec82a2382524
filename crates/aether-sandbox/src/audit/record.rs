//! What one decision of the sandbox looks like, in memory and as a line of JSON.

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{CertificateId, CertificateKind};

/// One decision of the sandbox: who asked for what, and which rule answered.
///
/// Never holds a payload, a key or an ownership token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditRecord {
    /// When it was decided.
    pub at: SystemTime,
    /// What was asked for.
    pub event: AuditEvent,
    /// What was decided.
    pub decision: AuditDecision,
    /// Number of the network connection, counted from 1 at each start of the sandbox.
    pub connection: u64,
    /// Address of the client.
    pub peer: Option<SocketAddr>,
    /// MQTT client id, known from CONNECT on.
    pub client_id: Option<String>,
    /// Id of the certificate the client showed, refused ones included.
    pub certificate_id: Option<CertificateId>,
    /// What the certificate is; unknown ones have none.
    pub certificate_kind: Option<CertificateKind>,
    /// Topic name or topic filter the decision is about.
    pub topic: Option<String>,
    /// The policy statement that decided, when one matched. A denial without a statement is the
    /// default: nothing allowed it.
    pub decided_by: Option<StatementRef>,
    /// Why, where no policy statement says it: a limit, a protocol rule, a provisioning error.
    pub reason: Option<String>,
    /// The operation of the control plane, by its name in AWS's API Reference.
    pub operation: Option<String>,
    /// What that operation was asked of: the path of the request.
    pub resource: Option<String>,
}

impl AuditRecord {
    /// The record as one JSON object, the form of a line in `DIR/audit.jsonl`.
    ///
    /// Keys: `at` (RFC 3339, UTC, microseconds), `event`, `decision`, `connection`, and where
    /// known `peer`, `client_id`, `certificate_id`, `certificate_kind`, `topic`, `policy`, `version` (of
    /// the policy), `statement` (index in it, from 0), `sid`, `reason`, `operation`, `resource`.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Text and numbers always have a JSON form.
        serde_json::to_string(&Line(self)).unwrap_or_default()
    }
}

/// A record as it is written. A map of values in between would cost the broker more than all else it
/// does for a message.
struct Line<'a>(&'a AuditRecord);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(record) = self;
        let by = record.decided_by.as_ref();
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("at", &DateTime::<Utc>::from(record.at).to_rfc3339_opts(SecondsFormat::Micros, true))?;
        line.serialize_entry("event", record.event.as_str())?;
        line.serialize_entry("decision", record.decision.as_str())?;
        line.serialize_entry("connection", &record.connection)?;
        put(&mut line, "peer", record.peer)?;
        put(&mut line, "client_id", record.client_id.as_deref())?;
        put(&mut line, "certificate_id", record.certificate_id.as_ref().map(CertificateId::as_str))?;
        put(&mut line, "certificate_kind", record.certificate_kind.map(CertificateKind::as_str))?;
        put(&mut line, "topic", record.topic.as_deref())?;
        put(&mut line, "policy", by.map(|by| by.policy.as_str()))?;
        put(&mut line, "version", by.and_then(|by| by.version))?;
        put(&mut line, "statement", by.map(|by| by.statement))?;
        put(&mut line, "sid", by.and_then(|by| by.sid.as_deref()))?;
        put(&mut line, "reason", record.reason.as_deref())?;
        put(&mut line, "operation", record.operation.as_deref())?;
        put(&mut line, "resource", record.resource.as_deref())?;
        line.end()
    }
}

/// Writes what is known, and nothing for what is not.
fn put<M: SerializeMap>(line: &mut M, key: &'static str, value: Option<impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| line.serialize_entry(key, &value))
}

/// What a decision was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditEvent {
    /// A TLS handshake; recorded when it is refused.
    TlsHandshake,
    /// An MQTT CONNECT.
    Connect,
    /// A PUBLISH by a client.
    Publish,
    /// One filter of a SUBSCRIBE.
    Subscribe,
    /// A delivery to a client; recorded when it is denied.
    Receive,
    /// `CreateKeysAndCertificate`, after its publish was allowed.
    CreateKeysAndCertificate,
    /// `CreateCertificateFromCsr`, after its publish was allowed.
    CreateCertificateFromCsr,
    /// `RegisterThing`, after its publish was allowed.
    RegisterThing,
    /// A certificate registered just in time, when it was first shown.
    RegisterCertificate,
    /// Just-in-time provisioning by the template of a CA.
    JustInTimeProvisioning,
    /// The end of a connection that had been accepted.
    Disconnect,
    /// An operation of the control plane that changes something.
    ControlPlane,
}

impl AuditEvent {
    /// The word used in the decision log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TlsHandshake => "tls-handshake",
            Self::Connect => "connect",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Receive => "receive",
            Self::CreateKeysAndCertificate => "create-keys-and-certificate",
            Self::CreateCertificateFromCsr => "create-certificate-from-csr",
            Self::RegisterThing => "register-thing",
            Self::RegisterCertificate => "register-certificate",
            Self::JustInTimeProvisioning => "just-in-time-provisioning",
            Self::Disconnect => "disconnect",
            Self::ControlPlane => "control-plane",
        }
    }
}

impl fmt::Display for AuditEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditDecision {
    /// It was let through.
    Allowed,
    /// It was refused.
    Denied,
}

impl AuditDecision {
    /// The word used in the decision log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
        }
    }
}

impl fmt::Display for AuditDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One statement of one policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StatementRef {
    /// Name of the policy.
    pub policy: String,
    /// Version of the policy that decided: its default version at the time.
    pub version: Option<u32>,
    /// Index of the statement in the document, from 0.
    pub statement: usize,
    /// The statement's own name, where it has one.
    pub sid: Option<String>,
}

impl fmt::Display for StatementRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.statement)?;
        if let Some(sid) = &self.sid {
            write!(f, " {sid:?}")?;
        }
        write!(f, " of policy {}", self.policy)
    }
}
