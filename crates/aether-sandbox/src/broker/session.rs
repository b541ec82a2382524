//! What a connected client may do: each packet checked against the rules, then carried out.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answering::{answer, faulty_answer};
use super::client::Client;
use super::ending::{EndReason, Fault};
use super::limits::{CROWD_PAUSE, MAX_PROPERTIES, MAX_REQUESTS};
use super::message::{Message, Qos};
use super::packet::{Filter, Incoming, Outgoing, Publish, SendRetained, Version, reason};
use super::sessions::Options;
use super::subscriber::{How, Subscriber};
use super::topic::{self, TopicFault, check_filter, check_topic};
use super::{Broker, faulty};
use crate::access::Action;
use crate::faults::Step;
use crate::provisioning::{Answer, Caller, Rejection, RequestTopic};
use crate::{AuditDecision, AuditEvent, AuditRecord, StatementRef};

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

    fn publish(&self, publish: Publish) -> Result<(), Fault> {
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
            if request.is_none() && rule.is_none() {
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

    fn subscribe(&self, packet_id: NonZeroU16, filters: Vec<Filter>) -> Result<(), Fault> {
        let note = |filter: &str, detail| {
            self.client.witness.denied(AuditEvent::Subscribe, Some(filter), None, detail);
        };
        if let Some(two) = filters.iter().find(|filter| filter.qos.is_none()) {
            note(&two.text, "QoS 2 is not supported");
            return match self.client.version() {
                // AWS leaves it without an answer and the connection open (sheet, 4.3).
                Version::V3 => Ok(()),
                Version::V5 => Err(Fault::client(reason::QOS, "QoS 2 is not supported")),
            };
        }
        let too_many = filters.len() > self.broker.limits.filters_per_subscribe;
        let mut codes = Vec::with_capacity(filters.len());
        let mut granted: Vec<(Filter, Options)> = Vec::new();
        for filter in filters {
            let text = &filter.text;
            if filter.no_local && topic::shared(text).is_some() {
                return Err(Fault::client(reason::PROTOCOL, "shared subscription with no-local"));
            }
            let code = match check_filter(text, &self.broker.limits) {
                Err(TopicFault::Syntax(detail)) => {
                    note(text, detail);
                    if self.client.version() == Version::V3 {
                        return Err(Fault::client(reason::FILTER_INVALID, detail));
                    }
                    codes.push(reason::FILTER_INVALID);
                    continue;
                }
                Err(TopicFault::Limit(detail)) => Some((reason::FILTER_INVALID, detail)),
                Ok(()) if too_many => Some((reason::QUOTA, "more filters in one SUBSCRIBE than it may have")),
                Ok(()) if self.is_full(&granted, text) => {
                    Some((reason::QUOTA, "more subscriptions than a connection may have"))
                }
                Ok(()) => None,
            };
            let decided_by = match self.ask(AuditEvent::Subscribe, Action::Subscribe, text) {
                Ok(decided_by) => decided_by,
                Err(Refused::Code { code, .. }) if self.client.version() == Version::V5 => {
                    codes.push(code);
                    continue;
                }
                Err(Refused::Code { reason, detail, .. }) => return Err(Fault::new(reason, detail)),
                Err(Refused::Fault(fault)) => return Err(fault),
                Err(Refused::Discarded) => return Ok(()),
            };
            match code {
                Some((code, detail)) => {
                    note(text, detail);
                    codes.push(code);
                }
                None => {
                    self.client.witness.allowed(AuditEvent::Subscribe, text, decided_by);
                    let qos = filter.qos.unwrap_or(Qos::AtMostOnce);
                    codes.push(qos.as_u8());
                    let Filter { no_local, retain_as_published, .. } = filter;
                    granted.push((filter, Options { qos, no_local, retain_as_published }));
                }
            }
        }
        self.grant(packet_id, codes, &granted)
    }

    /// Carries out subscriptions once all of a SUBSCRIBE were looked at: a violation may have ended
    /// the connection before.
    fn grant(&self, packet_id: NonZeroU16, codes: Vec<u8>, granted: &[(Filter, Options)]) -> Result<(), Fault> {
        let mut fresh = Vec::with_capacity(granted.len());
        for (filter, options) in granted {
            fresh.push(self.broker.router.subscribe(&self.subscriber, &filter.text, *options));
        }
        let topics: Vec<String> = granted.iter().map(|(filter, _)| filter.text.clone()).collect();
        let named: Vec<&str> = topics.iter().map(String::as_str).collect();
        self.send(Step::Suback, &named, Outgoing::SubscribeAck { packet_id, codes })?;
        let now = self.broker.clock.now();
        for ((filter, options), fresh) in granted.iter().zip(fresh) {
            let wanted = match filter.retained {
                SendRetained::Always => true,
                SendRetained::IfNew => fresh,
                SendRetained::Never => false,
            };
            // Only under its exact name: a filter with wildcards is no topic (sheet, 4.6). Shared
            // subscriptions get none (MQTT 5, section 4.8.2).
            if wanted && let Some(message) = self.broker.retained.get(&filter.text, now) {
                let how = How { qos: options.qos, retain: true, only: None };
                faulty::deliver(&self.broker, &self.subscriber, &message, how);
            }
        }
        if !granted.is_empty() {
            self.broker.announce_subscriptions("subscribed", &self.client, &topics);
        }
        Ok(())
    }

    fn unsubscribe(&self, packet_id: NonZeroU16, filters: &[String]) -> Result<(), Fault> {
        let gone = |filter: &&String| self.broker.router.unsubscribe(&self.subscriber, filter);
        let topics: Vec<String> = filters.iter().filter(gone).cloned().collect();
        self.client.wire.send(&Outgoing::UnsubscribeAck { packet_id, filters: filters.len() })?;
        if !topics.is_empty() {
            self.broker.announce_subscriptions("unsubscribed", &self.client, &topics);
        }
        Ok(())
    }

    fn is_full(&self, granted: &[(Filter, Options)], filter: &str) -> bool {
        let held = self.subscriber.subscriptions();
        let fresh = |filter: &str| !held.contains_key(filter);
        let more = granted.iter().filter(|(granted, _)| fresh(&granted.text)).count();
        fresh(filter) && held.len() + more >= self.broker.limits.subscriptions_per_connection
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
