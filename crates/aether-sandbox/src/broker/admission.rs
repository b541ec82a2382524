//! Reads CONNECT and decides who gets in.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::{MQTT_LEVEL_311, QoS};
use rmqtt_codec::v3::{Codec, Connect, ConnectAckReason, LastWill, Packet};
use rmqtt_codec::version::{ProtocolVersion, VersionCodec};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::codec::Decoder;

use super::Broker;
use super::client::{Client, Witness};
use super::limits::{HANDSHAKE_TIMEOUT, MAX_CLIENT_ID, MAX_KEEP_ALIVE, MAX_PAYLOAD};
use super::topic::check_topic;
use crate::access::Access;
use crate::policy::{Action, Verdict};
use crate::random;
use crate::trust::Identity;
use crate::{AuditDecision, AuditEvent, AuditRecord, CertificateStatus};

/// CONNACK of MQTT 5 with reason 0x84, unsupported protocol version (MQTT 5, section 3.2).
const UNSUPPORTED_VERSION_V5: &[u8] = &[0x20, 0x03, 0x00, 0x84, 0x00];

/// A client that was let in.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) client: Arc<Client>,
    /// Longest silence before the connection is closed.
    pub(super) silence: Duration,
    pub(super) will: Option<LastWill>,
}

/// Why a connection ends before it began. Some refusals have an answer, some just close.
#[derive(Debug)]
pub(super) struct Refusal {
    reason: String,
    verdict: Option<Verdict>,
    pub(super) answer: Option<Vec<u8>>,
}

impl Refusal {
    fn silent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), verdict: None, answer: None }
    }

    fn connack(code: ConnectAckReason, reason: &str) -> Self {
        let answer = vec![0x20, 0x02, 0x00, u8::from(code)];
        Self { answer: Some(answer), ..Self::silent(reason) }
    }

    /// AWS closes the connection of an MQTT 3.1.1 client whose CONNECT no policy allows, without a
    /// CONNACK (sheet, 3.6).
    fn policy(reason: &str, verdict: Verdict) -> Self {
        Self { verdict: Some(verdict), ..Self::silent(reason) }
    }
}

/// Waits for CONNECT. What follows it in `buffer` stays there.
pub(super) async fn read_connect(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    codec: &mut Codec,
) -> Result<Connect, Refusal> {
    let read = async {
        let mut version = None;
        loop {
            if version.is_none() {
                version = VersionCodec.decode(buffer).map_err(|error| Refusal::silent(error.to_string()))?;
            }
            match version {
                Some(ProtocolVersion::MQTT5) => {
                    let answer = Some(UNSUPPORTED_VERSION_V5.to_vec());
                    return Err(Refusal { answer, ..Refusal::silent("MQTT 5 is not supported yet") });
                }
                Some(ProtocolVersion::MQTT3) => match codec.decode(buffer) {
                    Ok(Some((Packet::Connect(connect), _))) => return Ok(*connect),
                    Ok(Some(_)) => return Err(Refusal::silent("first packet is not CONNECT")),
                    Ok(None) => {}
                    Err(DecodeError::InvalidClientId) => {
                        return Err(identifier_rejected("client id is empty, and no clean session is asked for"));
                    }
                    Err(error) => return Err(Refusal::silent(error.to_string())),
                },
                None => {}
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

/// Decides on a CONNECT and records the decision.
pub(super) fn admit(
    broker: &Broker,
    mut witness: Witness,
    identity: Identity,
    mut connect: Connect,
) -> Result<Admitted, Refusal> {
    witness.client_id = Some(connect.client_id.to_string());
    let formed = check_form(&connect).and_then(|()| name_the_nameless(&mut connect));
    witness.client_id = Some(connect.client_id.to_string());
    let admitted = formed.and_then(|()| decide(broker, &witness, identity, connect));
    admitted.inspect_err(|refusal| refused(&witness, refusal))
}

/// Gives a client that brought no id one of its own, as a server must whose client asks for a clean
/// session (MQTT 3.1.1, section 3.1.3.1). The form is the one AWS assigns (sheet, 4.2).
fn name_the_nameless(connect: &mut Connect) -> Result<(), Refusal> {
    if connect.client_id.is_empty() {
        let id = random::hex_text::<16>().map_err(|error| Refusal::silent(error.to_string()))?;
        connect.client_id = format!("$GEN/{id}").into();
    }
    Ok(())
}

/// Records that a connection was refused before or at CONNECT.
pub(super) fn refused(witness: &Witness, refusal: &Refusal) {
    let decided_by = refusal.verdict.as_ref().and_then(|verdict| verdict.decided_by.clone());
    witness.denied(AuditEvent::Connect, None, decided_by, &refusal.reason);
}

fn decide(broker: &Broker, witness: &Witness, identity: Identity, connect: Connect) -> Result<Admitted, Refusal> {
    let id = connect.client_id.to_string();
    let access = Access::new(Arc::clone(&broker.account), identity.certificate.clone(), id.clone());
    let Some(standing) = access.effective() else {
        return Err(Refusal::silent("certificate was deleted"));
    };
    if standing.status != CertificateStatus::Active {
        return Err(Refusal::silent(format!("certificate is {}", standing.status)));
    }
    let client = Client::new(id, identity, witness.clone(), access, broker.stop.child_token());
    let verdict = client.may(Action::Connect, &client.id);
    if !verdict.allowed {
        return Err(Refusal::policy("no policy allows iot:Connect", verdict));
    }
    if let Some(will) = &connect.last_will {
        check_will(&client, will)?;
    }
    let note = witness.note(AuditEvent::Connect, AuditDecision::Allowed);
    witness.log.record(AuditRecord { decided_by: verdict.decided_by, ..note });
    Ok(Admitted { client: Arc::new(client), silence: silence(connect.keep_alive), will: connect.last_will })
}

/// What the standard and AWS ask of a CONNECT, whoever sends it.
fn check_form(connect: &Connect) -> Result<(), Refusal> {
    let id = connect.client_id.as_bytes();
    if connect.protocol.level() != MQTT_LEVEL_311 {
        let code = ConnectAckReason::UnacceptableProtocolVersion;
        return Err(Refusal::connack(code, "protocol level is not that of MQTT 3.1.1"));
    }
    if connect.password.is_some() && connect.username.is_none() {
        return Err(Refusal::silent("password without a user name"));
    }
    if id.len() > MAX_CLIENT_ID {
        return Err(identifier_rejected("client id is longer than 128 bytes"));
    }
    if id.starts_with(b"$") || id.contains(&0) {
        return Err(identifier_rejected("client id starts with $ or holds a null character"));
    }
    // Closed without CONNACK, as seen of AWS (sheet, 4.3).
    match &connect.last_will {
        Some(will) if will.qos == QoS::ExactlyOnce => Err(Refusal::silent("last will with QoS 2")),
        Some(_) | None => Ok(()),
    }
}

/// A client must be allowed to publish its own last will (sheet, 3.5).
fn check_will(client: &Client, will: &LastWill) -> Result<(), Refusal> {
    check_topic(&will.topic).map_err(|fault| Refusal::silent(format!("last will topic: {}", fault.reason())))?;
    if will.message.len() > MAX_PAYLOAD || will.topic.starts_with('$') {
        return Err(Refusal::silent("last will is too long or on a reserved topic"));
    }
    let verdict = client.may(Action::Publish, &will.topic);
    if !verdict.allowed {
        return Err(Refusal::policy("no policy allows iot:Publish of the last will", verdict));
    }
    if will.retain {
        let verdict = client.may(Action::RetainPublish, &will.topic);
        if !verdict.allowed {
            return Err(Refusal::policy("no policy allows iot:RetainPublish of the last will", verdict));
        }
    }
    Ok(())
}

fn identifier_rejected(reason: &str) -> Refusal {
    Refusal::connack(ConnectAckReason::IdentifierRejected, reason)
}

/// One and a half times the keep-alive; 0 asks for the longest (sheet, 4.7).
fn silence(keep_alive: u16) -> Duration {
    let asked = Duration::from_secs(u64::from(keep_alive));
    let keep_alive = if asked.is_zero() { MAX_KEEP_ALIVE } else { asked.min(MAX_KEEP_ALIVE) };
    keep_alive * 3 / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_one_and_a_half_keep_alives_within_aws_bounds() {
        assert_eq!(silence(30), Duration::from_secs(45));
        assert_eq!(silence(5), Duration::from_millis(7500));
        assert_eq!(silence(0), Duration::from_secs(1800));
        assert_eq!(silence(u16::MAX), Duration::from_secs(1800));
    }

    async fn first(bytes: &[u8]) -> Result<Connect, Refusal> {
        read_connect(&mut &bytes[..], &mut BytesMut::new(), &mut Codec::new(1000)).await
    }

    #[tokio::test]
    async fn an_mqtt_5_connect_is_told_the_version_is_not_supported() {
        let connect = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a";
        assert_eq!(first(connect).await.unwrap_err().answer.unwrap(), UNSUPPORTED_VERSION_V5);
    }

    #[tokio::test]
    async fn other_first_bytes_are_refused_without_an_answer() {
        for bytes in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\xc0\x00", b"\x10\xff\xff\xff\xff", b"", b"\x10\x0c\x00\x04MQTX\x04\x02"]
        {
            assert!(first(bytes).await.unwrap_err().answer.is_none(), "{bytes:?}");
        }
    }
}
