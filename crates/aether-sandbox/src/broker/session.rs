//! What a connected client may do: each packet checked against the rules, then carried out.

use std::borrow::Cow;
use std::num::NonZeroU16;
use std::sync::Arc;

use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::{Packet, SubscribeReturnCode};
use tokio::sync::Semaphore;

use super::Broker;
use super::client::{Client, EndReason};
use super::limits::{MAX_FILTERS, MAX_PAYLOAD, MAX_REQUESTS, MAX_SUBSCRIPTIONS};
use super::outbound::{Delivery, Overrun};
use super::topic::{TopicFault, check_filter, check_topic};
use crate::policy::Action;
use crate::provisioning::{Answer, Operation, Rejection, RequestTopic};
use crate::{AuditDecision, AuditEvent, AuditRecord};

/// Why a session ends.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) reason: EndReason,
    pub(super) detail: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(reason: EndReason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into() }
    }

    fn client(detail: &'static str) -> Self {
        Self::new(EndReason::ClientError, detail)
    }
}

impl From<Overrun> for Fault {
    fn from(_: Overrun) -> Self {
        Self::client("does not read what it is sent")
    }
}

/// One client's session.
#[derive(Debug)]
pub(super) struct Session {
    broker: Arc<Broker>,
    client: Arc<Client>,
    requests: Arc<Semaphore>,
}

impl Session {
    pub(super) fn new(broker: Arc<Broker>, client: Arc<Client>) -> Self {
        Self { broker, client, requests: Arc::new(Semaphore::new(MAX_REQUESTS)) }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn send(&self, packet: Packet) -> Result<(), Fault> {
        Ok(self.client.outbound.send(packet)?)
    }

    /// Handles one packet. An error ends the connection; on a policy violation that is AWS's only
    /// answer to an MQTT 3.1.1 client (sheet, 3.6).
    pub(super) fn handle(&self, packet: Packet) -> Result<(), Fault> {
        match packet {
            Packet::Publish(publish) => self.publish(*publish),
            Packet::PublishAck { packet_id } => {
                self.client.outbound.acknowledge(packet_id);
                Ok(())
            }
            Packet::Subscribe { packet_id, topic_filters } => {
                let filters = topic_filters.into_iter().map(|(filter, qos)| (filter.to_string(), qos));
                self.subscribe(packet_id, filters.collect())
            }
            Packet::Unsubscribe { packet_id, topic_filters } => {
                for filter in topic_filters {
                    self.broker.router.unsubscribe(&self.client, &filter);
                }
                self.send(Packet::UnsubscribeAck { packet_id })
            }
            Packet::PingRequest => self.send(Packet::PingResponse),
            Packet::Disconnect => Err(Fault::new(EndReason::ClientInitiated, "")),
            Packet::Connect(_) => Err(Fault::client("second CONNECT")),
            Packet::PublishReceived { .. } | Packet::PublishRelease { .. } | Packet::PublishComplete { .. } => {
                Err(Fault::client("QoS 2 is not supported"))
            }
            Packet::ConnectAck(_)
            | Packet::SubscribeAck { .. }
            | Packet::UnsubscribeAck { .. }
            | Packet::PingResponse => Err(Fault::client("packet that only a server sends")),
        }
    }

    fn publish(&self, publish: Publish) -> Result<(), Fault> {
        let topic = publish.topic.to_string();
        let refuse = |detail: &'static str| {
            self.client.witness.denied(AuditEvent::Publish, Some(&topic), None, detail);
            Fault::client(detail)
        };
        if publish.qos == QoS::ExactlyOnce {
            // AWS leaves it without an answer and the connection open (sheet, 4.3).
            refuse("QoS 2 is not supported");
            return Ok(());
        }
        check_topic(&topic).map_err(|fault| refuse(fault.reason()))?;
        if publish.payload.len() > MAX_PAYLOAD {
            return Err(refuse("payload is longer than 128 KB"));
        }
        let decided_by = self.require(AuditEvent::Publish, Action::Publish, &topic)?;
        if publish.retain {
            self.require(AuditEvent::Publish, Action::RetainPublish, &topic)?;
        }
        let request = match RequestTopic::parse(&topic) {
            Some(_) if publish.retain => return Err(refuse("retained message on a reserved topic")),
            None if topic.starts_with('$') => return Err(refuse("reserved topic that is not served")),
            request => request,
        };
        self.client.witness.allowed(AuditEvent::Publish, &topic, decided_by);
        match request {
            Some(request) => self.request(request, publish.payload.to_vec()),
            None => {
                let delivery = Delivery { topic, payload: publish.payload, qos: publish.qos };
                self.broker.router.publish(&delivery);
            }
        }
        match publish.packet_id {
            Some(packet_id) => self.send(Packet::PublishAck { packet_id }),
            None => Ok(()),
        }
    }

    /// Has a provisioning request carried out, and answers this client alone.
    fn request(&self, topic: RequestTopic, payload: Vec<u8>) {
        let client = Arc::clone(&self.client);
        let Ok(slot) = Arc::clone(&self.requests).try_acquire_owned() else {
            answer(&client, &topic, &Answer { outcome: Err(Rejection::throttled()) });
            return;
        };
        let broker = Arc::clone(&self.broker);
        self.broker.tasks.spawn(async move {
            let done = broker.provisioning.handle(topic.operation().clone(), payload).await;
            answer(&client, &topic, &done);
            drop(slot);
        });
    }

    fn subscribe(&self, packet_id: NonZeroU16, filters: Vec<(String, QoS)>) -> Result<(), Fault> {
        let note = |filter: &str, detail| {
            self.client.witness.denied(AuditEvent::Subscribe, Some(filter), None, detail);
        };
        if let Some((filter, _)) = filters.iter().find(|(_, qos)| *qos == QoS::ExactlyOnce) {
            // AWS leaves it without an answer and the connection open (sheet, 4.3).
            note(filter, "QoS 2 is not supported");
            return Ok(());
        }
        let too_many = filters.len() > MAX_FILTERS;
        let mut status = Vec::with_capacity(filters.len());
        let mut granted = Vec::new();
        for (filter, qos) in filters {
            let limit = match check_filter(&filter) {
                Err(fault @ TopicFault::Syntax(detail)) => {
                    note(&filter, fault.reason());
                    return Err(Fault::client(detail));
                }
                Err(TopicFault::Limit(detail)) => Some(detail),
                Ok(()) if too_many => Some("more than 8 filters in one SUBSCRIBE"),
                Ok(()) if self.is_full(&granted, &filter) => Some("more than 50 subscriptions on one connection"),
                Ok(()) => None,
            };
            let decided_by = self.require(AuditEvent::Subscribe, Action::Subscribe, &filter)?;
            match limit {
                Some(detail) => {
                    note(&filter, detail);
                    status.push(SubscribeReturnCode::Failure);
                }
                None => {
                    self.client.witness.allowed(AuditEvent::Subscribe, &filter, decided_by);
                    status.push(SubscribeReturnCode::Success(qos));
                    granted.push((filter, qos));
                }
            }
        }
        // Nothing is granted before all of it was allowed: a violation ends the connection.
        for (filter, qos) in granted {
            self.broker.router.subscribe(&self.client, &filter, qos);
        }
        self.send(Packet::SubscribeAck { packet_id, status })
    }

    fn is_full(&self, granted: &[(String, QoS)], filter: &str) -> bool {
        let held = self.client.subscriptions();
        let fresh = |filter: &str| !held.contains_key(filter);
        let more = granted.iter().filter(|(granted, _)| fresh(granted)).count();
        fresh(filter) && held.len() + more >= MAX_SUBSCRIPTIONS
    }

    /// Asks the policies; a denial is recorded and ends the connection.
    fn require(&self, event: AuditEvent, action: Action, target: &str) -> Result<Option<crate::StatementRef>, Fault> {
        let verdict = self.client.may(action, target);
        if verdict.allowed {
            return Ok(verdict.decided_by);
        }
        let detail = match action {
            Action::Connect => "no policy allows iot:Connect",
            Action::Publish => "no policy allows iot:Publish",
            Action::RetainPublish => "no policy allows iot:RetainPublish",
            Action::Subscribe => "no policy allows iot:Subscribe",
            Action::Receive => "no policy allows iot:Receive",
        };
        self.client.witness.denied(event, Some(target), verdict.decided_by, detail);
        Err(Fault::new(EndReason::AuthError, detail))
    }
}

/// Sends a provisioning answer to the asking client, if it has subscribed to it (sheet, 1.1).
fn answer(client: &Client, request: &RequestTopic, answer: &Answer) {
    let event = match request.operation() {
        Operation::CreateKeysAndCertificate => AuditEvent::CreateKeysAndCertificate,
        Operation::RegisterThing { .. } => AuditEvent::RegisterThing,
    };
    let topic = request.answer_topic(answer.accepted());
    let subscribed = client.subscribed_to(&topic);
    let (decision, mut reason) = match &answer.outcome {
        Ok(_) => (AuditDecision::Allowed, None),
        Err(rejection) => {
            let words = format!("{} {}: {}", rejection.status, rejection.code, rejection.message);
            (AuditDecision::Denied, Some(words))
        }
    };
    if subscribed.is_none() {
        let words = reason.map(|words| format!("{words}; ")).unwrap_or_default();
        reason = Some(format!("{words}nobody hears the answer: {topic} is not subscribed to"));
    }
    let note = client.witness.note(event, decision);
    client.witness.log.record(AuditRecord { topic: Some(topic.clone()), reason, ..note });
    if let Some(qos) = subscribed {
        client.deliver(Delivery { topic, payload: answer.payload().into(), qos });
    }
}
