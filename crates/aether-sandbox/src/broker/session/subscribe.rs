//! SUBSCRIBE and UNSUBSCRIBE of a client.

use std::num::NonZeroU16;

use super::{Refused, Session};
use crate::AuditEvent;
use crate::access::Action;
use crate::broker::ending::Fault;
use crate::broker::faulty;
use crate::broker::message::Qos;
use crate::broker::packet::{Filter, Outgoing, SendRetained, Version, reason};
use crate::broker::sessions::Options;
use crate::broker::subscriber::How;
use crate::broker::topic::{self, TopicFault, check_filter};
use crate::faults::Step;

impl Session {
    pub(super) fn subscribe(&self, packet_id: NonZeroU16, filters: Vec<Filter>) -> Result<(), Fault> {
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

    pub(super) fn unsubscribe(&self, packet_id: NonZeroU16, filters: &[String]) -> Result<(), Fault> {
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
}
