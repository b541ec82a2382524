//! The limits of AWS IoT Core the broker keeps to (reference sheet, section 4), and our own bounds.

use std::time::Duration;

use serde::Deserialize;

/// What a client, a connection and the account may ask of the broker.
///
/// The default is what AWS grants a new account; where AWS publishes no value the field says that
/// it is ours. Change single fields:
///
/// ```
/// let mut limits = aether_sandbox::Limits::default();
/// limits.publishes_per_second = 1000;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Messages a connection may send and receive in a second, both counted together. What goes
    /// beyond is discarded without PUBACK. Default: 100.
    pub publishes_per_second: u32,
    /// Bytes a connection may send and receive in a second; more are delayed. Default: 512 KiB.
    pub bytes_per_second: u32,
    /// Longest payload in bytes. Default: 128 KiB. Range: up to 1 MiB.
    pub payload_bytes: usize,
    /// Most filters in one SUBSCRIBE. Default: 8.
    pub filters_per_subscribe: usize,
    /// Most subscriptions of a connection. Default: 50.
    pub subscriptions_per_connection: usize,
    /// Most unacknowledged QoS 1 messages each way. Default: 100. Range: 1 to 65535.
    pub in_flight: u16,
    /// Longest client id in bytes. Default: 128.
    pub client_id_bytes: usize,
    /// Longest topic or filter in bytes, the prefixes `$aws/rules/<rule>/` and `$share/<name>/` not
    /// counted. Default: 256.
    pub topic_bytes: usize,
    /// Most slashes in a topic or filter, those of the prefixes not counted. Default: 7.
    pub topic_slashes: usize,
    /// Shortest keep-alive; a shorter one is taken for this. Default: 30 s. Whether AWS has 30 s or
    /// 5 s is not certain.
    #[serde(with = "seconds")]
    pub keep_alive_min: Duration,
    /// Longest keep-alive, and that of a client that asks for none. Default: 1200 s.
    #[serde(with = "seconds")]
    pub keep_alive_max: Duration,
    /// CONNECTs of one client id in a second. Default: 1.
    pub connects_per_second: u32,
    /// Connections of the account; more wait to be accepted. Default: 500 000.
    pub connections: usize,
    /// Longest life of a session without a connection. Default: 1 h. Range: up to 7 days.
    #[serde(with = "seconds")]
    pub session_expiry: Duration,
    /// Sessions kept for clients that are away; beyond it the one that has the least time left ends.
    /// Those of connected clients do not count, `connections` bounds them. Default, ours: 100 000.
    pub kept_sessions: usize,
    /// Stored messages sent in a second to a client that has come back. Default: 10.
    pub redeliveries_per_second: u32,
    /// Silence after which an unacknowledged delivery is sent again on the same connection; MQTT
    /// 3.1.1 only, MQTT 5 forbids it. Default, ours: 30 s.
    #[serde(with = "seconds")]
    pub redelivery_after: Duration,
    /// How long an unacknowledged delivery is tried. Default: 1 h.
    #[serde(with = "seconds")]
    pub redelivery_for: Duration,
    /// Messages that wait for one client beyond those in flight; more are dropped and counted.
    /// Default, ours: 1000.
    pub queued_messages: usize,
    /// Bytes that wait for one client likewise. Default, ours: 8 MiB.
    pub queued_bytes: usize,
    /// Retained messages a topic takes in a second. Default: 1, which is not certain of AWS.
    pub retained_per_second: u32,
    /// Retained messages of the account. Default, ours: 100 000.
    pub retained_messages: usize,
    /// Bytes of all retained messages together. Default, ours: 256 MiB.
    pub retained_bytes: usize,
    /// Topic aliases of an MQTT 5 connection, towards the broker. Default: 8.
    pub topic_aliases: u16,
    /// Longest life of a message with an expiry; the shortest is 1 s, and 0 is taken for it. Default: 604 800 s.
    #[serde(with = "seconds")]
    pub message_expiry_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            publishes_per_second: 100,
            bytes_per_second: 512 * 1024,
            payload_bytes: 128 * 1024,
            filters_per_subscribe: 8,
            subscriptions_per_connection: 50,
            in_flight: 100,
            client_id_bytes: 128,
            topic_bytes: 256,
            topic_slashes: 7,
            keep_alive_min: Duration::from_secs(30),
            keep_alive_max: Duration::from_secs(1200),
            connects_per_second: 1,
            connections: 500_000,
            session_expiry: Duration::from_secs(3600),
            kept_sessions: 100_000,
            redeliveries_per_second: 10,
            redelivery_after: Duration::from_secs(30),
            redelivery_for: Duration::from_secs(3600),
            queued_messages: 1000,
            queued_bytes: 8 * 1024 * 1024,
            retained_per_second: 1,
            retained_messages: 100_000,
            retained_bytes: 256 * 1024 * 1024,
            topic_aliases: 8,
            message_expiry_max: Duration::from_secs(604_800),
        }
    }
}

impl Limits {
    /// AWS's limits without those that count per second: for tests that hurry and for measurements.
    #[must_use]
    pub fn unpaced() -> Self {
        Self {
            publishes_per_second: u32::MAX,
            bytes_per_second: u32::MAX,
            connects_per_second: u32::MAX,
            redeliveries_per_second: u32::MAX,
            retained_per_second: u32::MAX,
            ..Self::default()
        }
    }

    /// Reads a JSON object that names the fields to change; durations are seconds, decimals allowed.
    ///
    /// # Errors
    ///
    /// [`InvalidLimits`] names the field or the place.
    pub fn from_json(text: &str) -> Result<Self, InvalidLimits> {
        let read: Self = serde_json::from_str(text).map_err(|cause| InvalidLimits { reason: cause.to_string() })?;
        read.check()?;
        Ok(read)
    }

    /// Checks the ranges the fields name.
    pub(crate) fn check(&self) -> Result<(), InvalidLimits> {
        const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
        let rules = [
            ("payload_bytes", self.payload_bytes <= 1024 * 1024, "at most 1048576"),
            ("in_flight", self.in_flight > 0, "1 to 65535"),
            ("topic_bytes", (1..=60_000).contains(&self.topic_bytes), "1 to 60000"),
            ("keep_alive_max", !self.keep_alive_max.is_zero(), "more than 0 s"),
            ("keep_alive_max", self.keep_alive_max.as_secs() <= u64::from(u16::MAX), "at most 65535 s"),
            ("keep_alive_min", self.keep_alive_min <= self.keep_alive_max, "at most keep_alive_max"),
            ("session_expiry", self.session_expiry <= WEEK, "at most 604800 s"),
            ("redelivery_after", !self.redelivery_after.is_zero(), "more than 0 s"),
            ("message_expiry_max", !self.message_expiry_max.is_zero(), "more than 0 s"),
            ("message_expiry_max", self.message_expiry_max <= WEEK, "at most 604800 s"),
            ("connections", self.connections > 0, "more than 0"),
        ];
        match rules.iter().find(|(_, kept, _)| !kept) {
            Some((name, _, expected)) => {
                Err(InvalidLimits { reason: format!("limit `{name}` is out of range, expected {expected}") })
            }
            None => Ok(()),
        }
    }
}

/// Why [`Limits`] cannot be used. Final until somebody changes the value.
#[derive(Debug, thiserror::Error)]
#[error("limits cannot be used: {reason}")]
#[non_exhaustive]
pub struct InvalidLimits {
    reason: String,
}

/// Room in a packet beside the payload: topic, properties, a CONNECT's fields.
pub(super) const PACKET_ROOM: usize = 16 * 1024;
/// Longest properties of one message that are passed on, in bytes (our own bound).
pub(super) const MAX_PROPERTIES: usize = 8 * 1024;
/// Longest name of a shared subscription, in bytes (sheet, 4.4).
pub(super) const MAX_SHARE_NAME: usize = 128;
/// Bytes that wait for a client to read them; more close its connection.
pub(super) const MAX_UNSENT: usize = 1024 * 1024;
/// Provisioning requests of one connection that may be under way at once.
pub(super) const MAX_REQUESTS: usize = 4;
/// Time for the TLS handshake, and again for CONNECT.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes read at once from a client that sent much the last time: a TLS record.
pub(super) const BUSY_READ: usize = 16 * 1024;
/// Bytes read at once from any other; as many at once are much.
pub(super) const IDLE_READ: usize = 1024;
/// Longest pause of a sender whose messages meet a crowded mailbox: no longer than one between two
/// messages at AWS's pace.
pub(super) const CROWD_PAUSE: Duration = Duration::from_millis(10);
/// Time without a message for a client after which its senders do not wait for it.
pub(super) const STALLED: Duration = Duration::from_secs(1);
/// Time for one write to a client.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for what is already decided to reach a client that is being closed.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Durations as seconds.
mod seconds {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_object_changes_the_fields_it_names() {
        let read = Limits::from_json(r#"{"publishes_per_second": 5, "keep_alive_min": 0.5}"#).unwrap();
        assert_eq!(read.publishes_per_second, 5);
        assert_eq!(read.keep_alive_min, Duration::from_millis(500));
        assert_eq!(read.topic_bytes, 256);
    }

    #[test]
    fn unknown_fields_and_values_out_of_range_are_named() {
        for (text, named) in [
            (r#"{"publishes": 5}"#, "publishes"),
            (r#"{"session_expiry": 604801}"#, "session_expiry"),
            (r#"{"in_flight": 0}"#, "in_flight"),
            (r#"{"keep_alive_max": -1}"#, "negative"),
        ] {
            let error = Limits::from_json(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
