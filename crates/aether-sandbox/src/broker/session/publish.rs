//! PUBLISH of a client: checked, asked for, and carried out.

use std::num::NonZeroU16;
use std::sync::Arc;

use super::{Refused, Session};
use crate::access::Action;
use crate::broker::answering::{answer, faulty_answer};
use crate::broker::ending::{EndReason, Fault};
use crate::broker::limits::MAX_PROPERTIES;
use crate::broker::message::Message;
use crate::broker::packet::{Outgoing, Publish, Version, reason};
use crate::broker::topic::{self, check_topic};
use crate::faults::Step;
use crate::provisioning::{Answer, Caller, Rejection, RequestTopic};
use crate::{AuditDecision, AuditEvent, AuditRecord};

impl Session {
    pub(super) fn publish(&self, publish: Publish) -> Result<(), Fault> {
        let (packet_id, topic) = (publish.packet_id, publish.topic.clone());
        let code = match self.carry_out(publish) {
            Ok(()) => reason::SUCCESS,
            Err(Refused::Discarded) => return self.leave_unanswered(packet_id),
            Err(Refused::Fault(fault)) => return Err(fault),
            Err(Refused::Code { code, reason, detail }) => {
                tracing::debug!(topic, %detail, "publish refused");
                if self.client.version() == Version::V3 || packet_id.is_none() {
                    return Err(Fault { code: Some(code), ..Fault::new(reason, detail) });
                }
                code
            }
        };
        match packet_id {
            Some(packet_id) => {
                self.state().unacknowledged.remove(&packet_id);
                self.send(Step::Puback, &[&topic], Outgoing::PublishAck { packet_id, code })
            }
            None => Ok(()),
        }
    }

    /// A discarded message keeps its place among those the client may have unacknowledged.
    fn leave_unanswered(&self, packet_id: Option<NonZeroU16>) -> Result<(), Fault> {
        let Some(packet_id) = packet_id.filter(|_| self.client.version() == Version::V5) else { return Ok(()) };
        let mut state = self.state();
        state.unacknowledged.insert(packet_id);
        match state.unacknowledged.len() > usize::from(self.broker.limits.in_flight) {
            true => Err(Fault::client(reason::RECEIVE_MAXIMUM, "more unacknowledged messages than it may have")),
            false => Ok(()),
        }
    }

    fn carry_out(&self, mut publish: Publish) -> Result<(), Refused> {
        let limits = &self.broker.limits;
        self.resolve_alias(&mut publish)?;
        let topic = std::mem::take(&mut publish.topic);
        let note = |detail: &'static str| self.client.witness.denied(AuditEvent::Publish, Some(&topic), None, detail);
        let refuse = |code: u8, detail: &'static str| {
            note(detail);
            Refused::Code { code, reason: EndReason::ClientError, detail: detail.into() }
        };
        let Some(qos) = publish.qos else {
            note("QoS 2 is not supported");
            return Err(match self.client.version() {
                // AWS leaves it without an answer and the connection open (sheet, 4.3).
                Version::V3 => Refused::Discarded,
                Version::V5 => Fault::client(reason::QOS, "QoS 2 is not supported").into(),
            });
        };
        if publish.has_ids {
            return Err(Fault::client(reason::PROTOCOL, "subscription identifier of a client").into());
        }
        check_topic(&topic, limits).map_err(|fault| refuse(reason::TOPIC_INVALID, fault.reason()))?;
        if publish.payload.len() > limits.payload_bytes || publish.properties.len() > MAX_PROPERTIES {
            note("payload or properties are longer than they may be");
            return Err(Fault::client(reason::QUOTA, "payload or properties are longer than they may be").into());
        }
        if !self.client.wire.pace.take() {
            note("discarded: more messages a second than a connection may have");
            return Err(Refused::Discarded);
        }
        let decided_by = self.ask(AuditEvent::Publish, Action::Publish, &topic)?;
        if publish.retain {
            self.ask(AuditEvent::Publish, Action::RetainPublish, &topic)?;
        }
        let request = RequestTopic::parse(&topic);
        let rule = topic::basic_ingest(&topic).map(|(rule, _)| rule);
        if topic.starts_with('$') {
            if publish.retain {
                return Err(refuse(reason::NOT_AUTHORIZED, "retained message on a reserved topic"));
            }
            if !topic::is_served(&topic) {
                return Err(refuse(reason::NOT_AUTHORIZED, "reserved topic that is not served"));
            }
        }
        let now = self.broker.clock.now();
        let message = Message {
            topic: topic.as_str().into(),
            payload: publish.payload,
            qos,
            retain: publish.retain,
            properties: publish.properties,
            expires: self.broker.expires(publish.expiry.map(Into::into), now),
            at: now,
            connection: self.client.connection(),
        };
        let allowed = |reason: Option<String>, decided_by| {
            let note = self.client.witness.note(AuditEvent::Publish, AuditDecision::Allowed);
            self.client.witness.log.record(AuditRecord { topic: Some(topic.clone()), decided_by, reason, ..note });
        };
        match (request, rule) {
            (Some(request), _) => {
                allowed(None, decided_by);
                self.request(request, message.payload.to_vec());
            }
            // It goes to the rule alone (sheet, 6.3), and the sandbox has no rules to carry out.
            (None, Some(rule)) => {
                allowed(Some(format!("Basic Ingest for rule {rule}")), decided_by);
                self.broker.show(&Arc::new(message), Some(&self.client.id));
            }
            (None, None) => {
                match self.broker.publish(message, Some(&self.client.id)) {
                    Ok(None) => {}
                    Ok(crowded) => self.state().crowded = crowded,
                    Err(refused) => {
                        note(refused.reason());
                        return Err(Refused::Discarded);
                    }
                }
                allowed(None, decided_by);
            }
        }
        Ok(())
    }

    /// Puts the topic in place of its alias (MQTT 5, section 3.3.2.3.4).
    fn resolve_alias(&self, publish: &mut Publish) -> Result<(), Fault> {
        let Some(alias) = publish.alias else {
            return match publish.topic.is_empty() {
                true => Err(Fault::client(reason::PROTOCOL, "neither topic nor alias")),
                false => Ok(()),
            };
        };
        if alias.get() > self.broker.limits.topic_aliases {
            return Err(Fault::client(reason::ALIAS_INVALID, "topic alias beyond the maximum"));
        }
        let mut state = self.state();
        if publish.topic.is_empty() {
            let known = state.aliases.get(&alias);
            publish.topic =
                known.cloned().ok_or_else(|| Fault::client(reason::PROTOCOL, "topic alias that was not given"))?;
        } else if check_topic(&publish.topic, &self.broker.limits).is_ok() {
            state.aliases.insert(alias, publish.topic.clone());
        }
        Ok(())
    }

    /// Has a provisioning request carried out, and answers this client alone.
    fn request(&self, topic: RequestTopic, payload: Vec<u8>) {
        let Ok(slot) = Arc::clone(&self.requests).try_acquire_owned() else {
            let throttled = Answer::rejected(&topic, Rejection::throttled());
            answer(&self.broker, &self.client, &self.subscriber, &topic, &throttled, None);
            return;
        };
        let (broker, client) = (Arc::clone(&self.broker), Arc::clone(&self.client));
        let subscriber = Arc::clone(&self.subscriber);
        self.broker.tasks.spawn(async move {
            let caller = Caller { certificate: client.identity.certificate.clone(), client_id: client.id.clone() };
            let done = broker.provisioning.handle(&topic, &caller, payload).await;
            faulty_answer(&broker, &client, &subscriber, &topic, done).await;
            drop(slot);
        });
    }
}
