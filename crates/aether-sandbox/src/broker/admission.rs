//! Reads CONNECT and decides who gets in.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::MQTT_LEVEL_31;
use rmqtt_codec::version::{ProtocolVersion, VersionCodec};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::codec::Decoder;

use super::Broker;
use super::client::{Client, ClientParts, Witness};
use super::codec::Codec;
use super::limits::{HANDSHAKE_TIMEOUT, Limits, MAX_PROPERTIES};
use super::packet::{Connect, Incoming, Outgoing, Version, Will, reason};
use super::topic::check_topic;
use super::wire::{Capacity, Wire};
use crate::access::{Access, Action, Origin, Verdict};
use crate::random;
use crate::trust::Identity;
use crate::{AuditDecision, AuditEvent, AuditRecord, CertificateStatus};

/// Return codes of MQTT 3.1.1 (section 3.2.2.3).
const UNACCEPTABLE_VERSION: u8 = 1;
const IDENTIFIER_REJECTED: u8 = 2;
const UNAVAILABLE: u8 = 3;
const BAD_USER_NAME: u8 = 4;
const NOT_AUTHORIZED: u8 = 5;

/// A client that was let in.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) client: Arc<Client>,
    /// Its keep-alive as the broker takes it.
    pub(super) keep_alive: Duration,
    pub(super) will: Option<Will>,
    pub(super) clean: bool,
    /// How long its session outlives the connection.
    pub(super) expiry: Duration,
    /// That, where the client asked for something else.
    pub(super) adjusted_expiry: Option<Duration>,
    /// The client brought no id of its own.
    pub(super) named: bool,
}

/// Why a connection ends before it began. Some refusals have an answer, some just close.
#[derive(Debug)]
pub(super) struct Refusal {
    reason: String,
    verdict: Option<Verdict>,
    /// Lifecycle events tell of it.
    forbidden: bool,
    /// The codes of CONNACK, for MQTT 3.1.1 and 5.
    codes: (Option<u8>, Option<u8>),
}

impl Refusal {
    fn silent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), verdict: None, forbidden: false, codes: (None, None) }
    }

    /// AWS closes on an MQTT 3.1.1 client without a CONNACK in most cases.
    fn five(code: u8, reason: impl Into<String>) -> Self {
        Self { codes: (None, Some(code)), ..Self::silent(reason) }
    }

    fn identifier(reason: &str) -> Self {
        Self { codes: (Some(IDENTIFIER_REJECTED), Some(reason::BAD_CLIENT_ID)), ..Self::silent(reason) }
    }

    /// What a fault script says, in the words of both versions.
    pub(super) fn scripted(code: u16) -> Self {
        let three = match code {
            0x85 => IDENTIFIER_REJECTED,
            0x86 => BAD_USER_NAME,
            0x87 => NOT_AUTHORIZED,
            _ => UNAVAILABLE,
        };
        let five = u8::try_from(code).unwrap_or(reason::NOT_AUTHORIZED);
        Self { codes: (Some(three), Some(five)), ..Self::silent("fault script") }
    }

    /// What no policy allows, or no certificate (sheet, 3.6).
    fn forbidden(reason: impl Into<String>, verdict: Option<Verdict>) -> Self {
        Self { verdict, forbidden: true, ..Self::five(reason::NOT_AUTHORIZED, reason) }
    }

    /// The CONNACK, if there is one.
    pub(super) fn answer(&self, version: Option<Version>) -> Option<BytesMut> {
        let version = version?;
        let code = match version {
            Version::V3 => self.codes.0,
            Version::V5 => self.codes.1,
        };
        let mut answer = BytesMut::new();
        version.encode(&Outgoing::Refuse(code?), &mut answer);
        Some(answer)
    }
}

/// Waits for CONNECT; gives it, and the codec for what follows it in `buffer`. `version` is set as
/// soon as it is known.
pub(super) async fn read_connect(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    max_packet: u32,
    version: &mut Option<Version>,
) -> Result<(Connect, Codec), Refusal> {
    let read = async {
        let mut codec: Option<Codec> = None;
        loop {
            if codec.is_none() {
                unmark_bridge(buffer);
                let found = VersionCodec.decode(buffer).map_err(|error| Refusal::silent(error.to_string()))?;
                *version = found.map(|found| match found {
                    ProtocolVersion::MQTT3 => Version::V3,
                    ProtocolVersion::MQTT5 => Version::V5,
                });
                codec = version.map(|version| Codec::new(version, max_packet));
            }
            if let Some(mut decoder) = codec.take() {
                match decoder.decode(buffer) {
                    Ok(Some(Incoming::Connect(connect))) => return Ok((*connect, decoder)),
                    Ok(Some(_)) => return Err(Refusal::silent("first packet is not CONNECT")),
                    Ok(None) => codec = Some(decoder),
                    Err(DecodeError::InvalidClientId) => {
                        return Err(Refusal::identifier("client id is empty, and no clean session is asked for"));
                    }
                    Err(error) => return Err(Refusal::silent(error.to_string())),
                }
            }
            match stream.read_buf(buffer).await {
                Ok(0) => return Err(Refusal::silent("closed before CONNECT")),
                Ok(_) => {}
                // Closed without TLS's close_notify, which is how a killed client goes.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(Refusal::silent("closed before CONNECT"));
                }
                Err(error) => return Err(Refusal::silent(error.to_string())),
            }
        }
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, read).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Refusal::silent("no CONNECT in time")),
    }
}

/// Takes the mark of a bridge off the protocol level of the CONNECT that `buffer` begins with.
///
/// Mosquitto sets the highest bit of MQTT 3.1.1's level to say that it bridges. Such bridges are
/// reported to work with AWS (eclipse-mosquitto issue 2488); here they are clients like any other.
fn unmark_bridge(buffer: &mut BytesMut) {
    const MARKED: &[u8] = b"\x00\x04MQTT\x84";
    // The fixed header: the packet type, and one to four bytes of length.
    let Some(last) = buffer.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0) else { return };
    let header = last + 2;
    if buffer.first() == Some(&0x10) && buffer.get(header..header + MARKED.len()) == Some(MARKED) {
        buffer[header + MARKED.len() - 1] &= 0x7f;
    }
}

/// Decides on a CONNECT and records the decision.
pub(super) fn admit(
    broker: &Broker,
    mut witness: Witness,
    identity: Identity,
    mut connect: Connect,
) -> Result<Admitted, Refusal> {
    witness.client_id = Some(connect.client_id.clone());
    let named = connect.client_id.is_empty();
    let formed = check_form(&connect, &broker.limits).and_then(|()| name_the_nameless(&mut connect));
    witness.client_id = Some(connect.client_id.clone());
    let admitted = formed.and_then(|()| decide(broker, &witness, identity, connect, named));
    admitted.inspect_err(|refusal| refused(broker, &witness, refusal))
}

/// Gives a client that brought no id one of its own, as a server must whose client asks for a clean
/// session (MQTT 3.1.1, section 3.1.3.1). The form is the one AWS assigns (sheet, 4.2).
fn name_the_nameless(connect: &mut Connect) -> Result<(), Refusal> {
    if connect.client_id.is_empty() {
        let id = random::hex_text::<16>().map_err(|error| Refusal::silent(error.to_string()))?;
        connect.client_id = format!("$GEN/{id}");
    }
    Ok(())
}

/// Records that a connection was refused before or at CONNECT.
pub(super) fn refused(broker: &Broker, witness: &Witness, refusal: &Refusal) {
    let decided_by = refusal.verdict.as_ref().and_then(|verdict| verdict.decided_by.clone());
    witness.denied(AuditEvent::Connect, None, decided_by, &refusal.reason);
    if refusal.forbidden {
        broker.announce_connect_failed(witness, &random::hex_text::<16>().unwrap_or_default());
    }
}

fn decide(
    broker: &Broker,
    witness: &Witness,
    identity: Identity,
    connect: Connect,
    named: bool,
) -> Result<Admitted, Refusal> {
    let limits = &broker.limits;
    let (expiry, adjusted_expiry) = expiry(&connect, limits.session_expiry);
    let origin = Origin {
        client_id: connect.client_id.clone(),
        source_ip: Some(witness.peer.ip()),
        persistent: !expiry.is_zero(),
        last_will: connect.will.as_ref().map(|will| will.topic.clone()),
    };
    let access = Access::new(Arc::clone(&broker.account), identity.certificate.clone(), &identity.facts, origin);
    let Some(standing) = access.effective() else {
        return Err(Refusal::forbidden("certificate was deleted", None));
    };
    if broker.faults.has_expired(&identity.certificate) {
        return Err(Refusal::forbidden("certificate has expired, by a fault script", None));
    }
    if standing.status != CertificateStatus::Active {
        return Err(Refusal::forbidden(format!("certificate is {}", standing.status), None));
    }
    let capacity = Capacity {
        version: connect.version,
        receive_max: connect.receive_max.map_or(u16::MAX, Into::into),
        max_packet: connect.max_packet,
    };
    let client = Client::new(ClientParts {
        id: connect.client_id,
        identity,
        witness: witness.clone(),
        wire: Wire::new(capacity, limits),
        session_identifier: random::hex_text::<16>().map_err(|error| Refusal::silent(error.to_string()))?,
        since: broker.clock.now(),
        access,
        stop: broker.stop.child_token(),
    });
    let verdict = client.may(Action::Connect, &client.id);
    if !verdict.allowed {
        return Err(Refusal::forbidden("no policy allows iot:Connect", Some(verdict)));
    }
    // Only now: nobody can keep a client out by the use of an id that is not theirs.
    if !broker.connects.take(&client.id) {
        return Err(Refusal::five(reason::QUOTA, "more CONNECTs a second than one client id may send"));
    }
    if let Some(will) = &connect.will {
        check_will(&client, will, limits)?;
    }
    let note = witness.note(AuditEvent::Connect, AuditDecision::Allowed);
    witness.log.record(AuditRecord { decided_by: verdict.decided_by, ..note });
    Ok(Admitted {
        client: Arc::new(client),
        keep_alive: keep_alive(connect.keep_alive, limits),
        will: connect.will,
        clean: connect.clean,
        expiry,
        adjusted_expiry,
        named,
    })
}

/// What the standard and AWS ask of a CONNECT, whoever sends it.
fn check_form(connect: &Connect, limits: &Limits) -> Result<(), Refusal> {
    let id = connect.client_id.as_bytes();
    if connect.level == MQTT_LEVEL_31 {
        let reason = "protocol level is that of MQTT 3.1";
        return Err(Refusal { codes: (Some(UNACCEPTABLE_VERSION), None), ..Refusal::silent(reason) });
    }
    if connect.lone_password {
        return Err(Refusal::silent("password without a user name"));
    }
    if connect.asks_auth {
        return Err(Refusal::five(reason::NOT_AUTHORIZED, "enhanced authentication is not supported"));
    }
    if id.len() > limits.client_id_bytes {
        return Err(Refusal::identifier("client id is longer than it may be"));
    }
    if id.starts_with(b"$") || id.contains(&0) {
        return Err(Refusal::identifier("client id starts with $ or holds a null character"));
    }
    // Closed without CONNACK in MQTT 3.1.1, as seen of AWS (sheet, 4.3).
    match &connect.will {
        Some(will) if will.qos.is_none() => Err(Refusal::five(reason::QOS, "last will with QoS 2")),
        Some(_) | None => Ok(()),
    }
}

/// A client must be allowed to publish its own last will (sheet, 3.5).
fn check_will(client: &Client, will: &Will, limits: &Limits) -> Result<(), Refusal> {
    let invalid = |detail: &str| Refusal::five(reason::TOPIC_INVALID, format!("last will topic: {detail}"));
    check_topic(&will.topic, limits).map_err(|fault| invalid(fault.reason()))?;
    if will.topic.starts_with('$') {
        return Err(invalid("reserved topic"));
    }
    if will.payload.len() > limits.payload_bytes || will.properties.len() > MAX_PROPERTIES {
        return Err(Refusal::five(reason::QUOTA, "last will is too long"));
    }
    let verdict = client.may(Action::Publish, &will.topic);
    if !verdict.allowed {
        return Err(Refusal::forbidden("no policy allows iot:Publish of the last will", Some(verdict)));
    }
    if will.retain {
        let verdict = client.may(Action::RetainPublish, &will.topic);
        if !verdict.allowed {
            return Err(Refusal::forbidden("no policy allows iot:RetainPublish of the last will", Some(verdict)));
        }
    }
    Ok(())
}

/// How long the session outlives the connection, and that again if the client asked for something
/// else (sheet, 4.6).
fn expiry(connect: &Connect, most: Duration) -> (Duration, Option<Duration>) {
    match connect.version {
        Version::V3 if connect.clean => (Duration::ZERO, None),
        Version::V3 => (most, None),
        Version::V5 => {
            let asked = Duration::from_secs(connect.expiry.unwrap_or(0).into());
            let given = asked.min(most);
            (given, (given != asked).then_some(given))
        }
    }
}

/// The nearest keep-alive allowed; 0 asks for the longest (sheet, 4.7).
fn keep_alive(asked: u16, limits: &Limits) -> Duration {
    match asked {
        0 => limits.keep_alive_max,
        asked => Duration::from_secs(asked.into()).clamp(limits.keep_alive_min, limits.keep_alive_max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alives_are_taken_to_the_nearest_aws_allows() {
        let limits = Limits::default();
        for (asked, given) in [(30, 30), (5, 30), (0, 1200), (600, 600), (u16::MAX, 1200)] {
            assert_eq!(keep_alive(asked, &limits), Duration::from_secs(given), "{asked}");
        }
    }

    async fn first(bytes: &[u8]) -> (Result<(Connect, Codec), Refusal>, Option<Version>) {
        let mut version = None;
        let read = read_connect(&mut &bytes[..], &mut BytesMut::new(), 1000, &mut version).await;
        (read, version)
    }

    #[tokio::test]
    async fn both_versions_are_told_apart() {
        for (bytes, version) in [
            (&b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"[..], Version::V3),
            (b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x3c\x00\x01a", Version::V3),
            (b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a", Version::V5),
        ] {
            let (read, found) = first(bytes).await;
            assert_eq!((read.unwrap().0.version, found), (version, Some(version)));
        }
    }

    #[tokio::test]
    async fn other_first_bytes_are_refused_without_an_answer() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\xc0\x00",
            b"\x10\xff\xff\xff\xff",
            b"",
            b"\x10\x0c\x00\x04MQTX\x04\x02",
            b"\x10\xff\xff\x03\x00\x04MQTT\x05\x02",
            b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x7f\x00\x01a",
        ] {
            let (read, version) = first(bytes).await;
            assert_eq!(read.unwrap_err().answer(version), None, "{bytes:?}");
        }
    }
}
