//! Lifecycle events: who connects, disconnects and subscribes, as AWS publishes it (sheet, 4.9).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::Broker;
use super::client::{Client, Witness};
use super::ending::EndReason;
use super::message::to_ms;

/// How long a client may be away before its versions begin anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// How many clients are remembered before those away for long are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// The version numbers of clients' connections.
#[derive(Debug, Default)]
pub(super) struct Presence {
    seen: Mutex<HashMap<String, Seen>>,
}

#[derive(Debug)]
struct Seen {
    version: u64,
    /// When it last came or went.
    at: SystemTime,
    connections: u32,
}

impl Presence {
    /// The version of a connection that begins: one more than the last one's, or 0 after an hour.
    pub(super) fn enter(&self, client_id: &str, now: SystemTime) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten =
            |seen: &Seen| seen.connections == 0 && now.duration_since(seen.at).unwrap_or_default() >= FORGOTTEN_AFTER;
        if seen.len() >= MAX_REMEMBERED {
            seen.retain(|_, seen| !forgotten(seen));
        }
        match seen.get_mut(client_id).filter(|seen| !forgotten(seen)) {
            Some(seen) => {
                *seen = Seen { version: seen.version + 1, at: now, connections: seen.connections + 1 };
                seen.version
            }
            None => {
                seen.insert(client_id.to_owned(), Seen { version: 0, at: now, connections: 1 });
                0
            }
        }
    }

    /// Forgets all clients.
    pub(super) fn clear(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn leave(&self, client_id: &str, now: SystemTime) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen.get_mut(client_id) {
            seen.connections = seen.connections.saturating_sub(1);
            seen.at = now;
        }
    }
}

impl Broker {
    pub(super) fn announce_connected(&self, client: &Client, version: u64) {
        let mut event = self.event("connected", client);
        event.insert("ipAddress".into(), json!(client.witness.peer.ip().to_string()));
        event.insert("versionNumber".into(), json!(version));
        self.announce("presence/connected", &client.id, event);
    }

    pub(super) fn announce_disconnected(&self, client: &Client, reason: EndReason, version: u64) {
        let mut event = self.event("disconnected", client);
        let by_client = reason == EndReason::ClientInitiated;
        event.insert("clientInitiatedDisconnect".into(), json!(by_client));
        event.insert("disconnectReason".into(), json!(reason.as_str()));
        event.insert("versionNumber".into(), json!(version));
        self.announce("presence/disconnected", &client.id, event);
    }

    pub(super) fn announce_connect_failed(&self, witness: &Witness, session_identifier: &str) {
        let Some(client_id) = &witness.client_id else { return };
        let principal = witness.identity.as_ref().map(|identity| identity.certificate.as_str());
        let event = json!({
            "clientId": client_id,
            "timestamp": to_ms(self.clock.now()),
            "eventType": "connect_failed",
            "connectFailureReason": "AUTHORIZATION_FAILED",
            "sessionIdentifier": session_identifier,
            "principalIdentifier": principal,
            "ipAddress": witness.peer.ip().to_string(),
        });
        if let Value::Object(event) = event {
            self.announce("presence/connect_failed", client_id, event);
        }
    }

    /// `kind` is `subscribed` or `unsubscribed`.
    pub(super) fn announce_subscriptions(&self, kind: &str, client: &Client, topics: &[String]) {
        let mut event = self.event(kind, client);
        event.insert("topics".into(), json!(topics));
        self.announce(&format!("subscriptions/{kind}"), &client.id, event);
    }

    fn event(&self, kind: &str, client: &Client) -> Map<String, Value> {
        let mut event = Map::new();
        event.insert("clientId".into(), json!(client.id));
        event.insert("timestamp".into(), json!(to_ms(self.clock.now())));
        event.insert("eventType".into(), json!(kind));
        event.insert("sessionIdentifier".into(), json!(client.session_identifier));
        event.insert("principalIdentifier".into(), json!(client.identity.certificate.as_str()));
        event
    }

    /// A client id with a wildcard in it would name many topics, so AWS has no events for it.
    fn announce(&self, kind: &str, client_id: &str, event: Map<String, Value>) {
        if !client_id.contains(['+', '#']) {
            self.publish_system(&format!("$aws/events/{kind}/{client_id}"), Value::Object(event).to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_and_begin_anew_after_an_hour_away() {
        let presence = Presence::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(presence.enter("a", at(0)), 0);
        presence.leave("a", at(10));
        assert_eq!(presence.enter("a", at(20)), 1);
        // Taken over: the older connection leaves after the newer one has come.
        assert_eq!(presence.enter("a", at(30)), 2);
        presence.leave("a", at(31));
        assert_eq!(presence.enter("a", at(9000)), 3, "connected all the time");
        presence.leave("a", at(9001));
        presence.leave("a", at(9001));
        assert_eq!(presence.enter("a", at(9001 + 3600)), 0);
        assert_eq!(presence.enter("b", at(0)), 0);
    }
}
