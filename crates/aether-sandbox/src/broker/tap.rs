//! The service's own ends of the broker: every message seen, messages published, sessions listed.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::Broker;
use super::ending::EndReason;
use super::message::{Message, Qos};
use super::retained::NotRetained;
use super::topic::{TopicFault, check_filter, check_topic, matches};
use crate::CertificateId;

/// How many messages a tap may fall behind before it misses some.
pub(super) const BACKLOG: usize = 1024;

/// What a tap sees of one published message.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) message: Arc<Message>,
    pub(super) client_id: Option<Arc<str>>,
}

/// A message as a tap hands it out.
#[derive(Clone, Debug)]
pub(crate) struct Tapped {
    pub(crate) message: Arc<Message>,
    /// Who published it; `None` for the service.
    pub(crate) client_id: Option<Arc<str>>,
}

/// Messages as they are published, from the moment the tap was opened.
///
/// A reader that falls 1024 messages behind misses the oldest; [`missed`](Self::missed) counts them.
#[derive(Debug)]
pub(crate) struct Tap {
    filter: String,
    seen: broadcast::Receiver<Seen>,
    missed: u64,
}

impl Tap {
    /// Waits for the next message on a topic of the filter; `None` once the broker is gone. `#` is
    /// everything but `$` topics.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call loses no message.
    pub(crate) async fn next(&mut self) -> Option<Tapped> {
        loop {
            match self.seen.recv().await {
                Ok(Seen { message, client_id }) if matches(&self.filter, &message.topic) => {
                    return Some(Tapped { message, client_id });
                }
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => self.missed = self.missed.saturating_add(count),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many messages this reader has missed by being too slow, on whatever topic.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }
}

/// One MQTT session, for lists.
#[derive(Clone, Debug)]
pub(crate) struct SessionInfo {
    pub(crate) client_id: String,
    pub(crate) connected: bool,
    /// Of the connection, while there is one.
    pub(crate) certificate: Option<CertificateId>,
    /// Filters, in order.
    pub(crate) subscriptions: Vec<String>,
    /// Messages that wait or are unacknowledged.
    pub(crate) queue_depth: usize,
    /// Messages dropped for want of room or acknowledgement.
    pub(crate) dropped: u64,
    /// When it connected, or disconnected.
    pub(crate) since: SystemTime,
}

/// Why the service's own publish is refused, as a client's would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("topic is not valid: {0}")]
    Topic(&'static str),
    #[error("payload is longer than it may be")]
    Payload,
    #[error("retained message on a reserved topic")]
    ReservedTopic,
    #[error("retained message discarded: one a second for each topic, and so many in all")]
    NotRetained,
}

impl Broker {
    /// Opens a tap. `None` if the filter is not valid.
    pub(crate) fn tap(&self, filter: &str) -> Option<Tap> {
        check_filter(filter, &self.limits).ok()?;
        Some(Tap { filter: filter.to_owned(), seen: self.seen.subscribe(), missed: 0 })
    }

    /// Publishes for the service, as `iot-data` Publish does: no policy, no pace.
    pub(crate) fn publish_as_service(
        &self,
        topic: &str,
        payload: Bytes,
        qos: Qos,
        retain: bool,
    ) -> Result<(), PublishError> {
        check_topic(topic, &self.limits).map_err(|fault: TopicFault| PublishError::Topic(fault.reason()))?;
        if payload.len() > self.limits.payload_bytes {
            return Err(PublishError::Payload);
        }
        if retain && topic.starts_with('$') {
            return Err(PublishError::ReservedTopic);
        }
        let message = Message { retain, ..Message::of_service(topic, payload, qos, self.clock.now()) };
        self.publish(message, None).map(drop).map_err(|_: NotRetained| PublishError::NotRetained)
    }

    /// Ends the connection of a client, as AWS's API does. `false` if it has none.
    pub(crate) fn disconnect(&self, client_id: &str) -> bool {
        let clients = self.router.clients();
        let found = clients.iter().find(|client| client.id == client_id);
        found.inspect(|client| client.end(EndReason::ApiInitiated)).is_some()
    }

    /// Retained messages, by topic.
    pub(crate) fn retained(&self) -> Vec<Arc<Message>> {
        self.retained.all(self.clock.now())
    }

    /// The message retained for exactly this topic.
    pub(crate) fn retained_message(&self, topic: &str) -> Option<Arc<Message>> {
        self.retained.get(topic, self.clock.now())
    }

    /// The sessions there are, by client id.
    pub(crate) fn sessions(&self) -> Vec<SessionInfo> {
        let mut sessions: Vec<SessionInfo> = self
            .router
            .sessions(self.clock.now())
            .iter()
            .map(|found| {
                let client = found.client();
                let mut subscriptions: Vec<String> = found.subscriptions().keys().cloned().collect();
                subscriptions.sort_unstable();
                SessionInfo {
                    client_id: found.client_id.clone(),
                    connected: client.is_some(),
                    certificate: client.map(|client| client.identity.certificate.clone()),
                    subscriptions,
                    queue_depth: found.mailbox.depth(),
                    dropped: found.mailbox.dropped(),
                    since: found.since(),
                }
            })
            .collect();
        sessions.sort_unstable_by(|one, other| one.client_id.cmp(&other.client_id));
        sessions
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{KeyKind, Limits, Observer, Sandbox};

    async fn start(dir: &std::path::Path) -> Sandbox {
        let builder = Sandbox::builder().dir(dir).listen("127.0.0.1:0".parse().unwrap()).limits(Limits::unpaced());
        builder.device_keys(KeyKind::EcP256).start().await.unwrap()
    }

    async fn next(tap: &mut Tap) -> Tapped {
        tokio::time::timeout(Duration::from_secs(20), tap.next()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn the_service_publishes_and_taps_without_a_client() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = start(dir.path()).await;
        let broker = &sandbox.broker;
        assert!(broker.tap("a/#/b").is_none());
        let mut tap = broker.tap("a/+").unwrap();
        let publish = |topic: &str, text: &'static str, retain| {
            broker.publish_as_service(topic, Bytes::from_static(text.as_bytes()), Qos::AtLeastOnce, retain)
        };
        publish("b", "elsewhere", false).unwrap();
        publish("a/1", "kept", true).unwrap();
        let seen = next(&mut tap).await;
        assert_eq!((&*seen.message.topic, &seen.message.payload[..]), ("a/1", &b"kept"[..]));
        assert!(seen.client_id.is_none() && seen.message.retain);
        assert_eq!(broker.retained().len(), 1);
        assert_eq!(broker.retained_message("a/1").unwrap().payload, "kept");
        assert!(broker.retained_message("a/2").is_none());
        assert!(matches!(publish("a/+", "", false), Err(PublishError::Topic(_))));
        assert_eq!(publish("$aws/x", "", true), Err(PublishError::ReservedTopic));
        for _ in 0..BACKLOG + 10 {
            publish("a/2", "fast", false).unwrap();
        }
        next(&mut tap).await;
        assert_eq!(tap.missed(), 10);
        sandbox.shutdown().await;
    }

    #[tokio::test]
    async fn sessions_are_listed_and_can_be_ended() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = start(dir.path()).await;
        let credentials = sandbox.files().observer_credentials().unwrap();
        let observer = Observer::connect(sandbox.local_addr(), &credentials, "watcher").await.unwrap();
        observer.subscribe("a/#").await.unwrap();
        let sessions = sandbox.broker.sessions();
        let [session] = &sessions[..] else { panic!("{sessions:?}") };
        assert_eq!((session.client_id.as_str(), session.connected), ("watcher", true));
        assert_eq!((&session.subscriptions[..], session.queue_depth), (&["a/#".to_owned()][..], 0));
        assert!(session.certificate.is_some());
        assert!(!sandbox.broker.disconnect("nobody") && sandbox.broker.disconnect("watcher"));
        tokio::time::timeout(Duration::from_secs(20), observer.closed()).await.unwrap();
        sandbox.shutdown().await;
    }
}
