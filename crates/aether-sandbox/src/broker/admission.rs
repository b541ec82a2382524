//! Decides on a CONNECT: who gets in.

use std::sync::Arc;
use std::time::Duration;

use rmqtt_codec::types::MQTT_LEVEL_31;

use super::Broker;
use super::client::{Client, ClientParts, Witness};
use super::limits::{Limits, MAX_PROPERTIES};
use super::packet::{Connect, Version, Will, reason};
use super::refusal::Refusal;
use super::topic::check_topic;
use super::wire::{Capacity, Wire};
use crate::access::{Access, Action, Origin};
use crate::random;
use crate::trust::Identity;
use crate::{AuditDecision, AuditEvent, AuditRecord, CertificateStatus};

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
        return Err(Refusal::version("protocol level is that of MQTT 3.1"));
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
}
