//! A published message on its way through the broker, and as it is kept on disk.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The qualities of service AWS has; there is no QoS 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Qos {
    #[serde(rename = "0")]
    AtMostOnce,
    #[serde(rename = "1")]
    AtLeastOnce,
}

impl Qos {
    pub(crate) fn as_u8(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
        }
    }
}

/// A message as it was published. Never changed: deliveries share it.
///
/// `Debug` shows no payload: a provisioning answer has a private key in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: Box<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    /// Whether it was published with RETAIN.
    pub(crate) retain: bool,
    /// MQTT 5 properties that are passed on to receivers, encoded.
    pub(crate) properties: Bytes,
    /// When it is worthless.
    pub(crate) expires: Option<SystemTime>,
    /// When it was published.
    pub(crate) at: SystemTime,
    /// The connection it came from; 0 for the service.
    pub(crate) connection: u64,
}

impl Message {
    /// A message of the service itself.
    pub(crate) fn of_service(topic: &str, payload: impl Into<Bytes>, qos: Qos, at: SystemTime) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos,
            retain: false,
            properties: Bytes::new(),
            expires: None,
            at,
            connection: 0,
        }
    }

    /// Bytes it takes in memory, near enough for bounds.
    pub(crate) fn size(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }

    pub(crate) fn expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whole seconds it has left, at least 1; `None` without an expiry.
    pub(crate) fn seconds_left(&self, now: SystemTime) -> Option<u32> {
        let left = self.expires?.duration_since(now).unwrap_or_default();
        Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, bytes) = (&self.topic, self.payload.len());
        f.debug_struct("Message").field("topic", topic).field("payload_bytes", &bytes).finish_non_exhaustive()
    }
}

/// The properties of a PUBLISH that concern its receivers (MQTT 5, section 3.3.2.3).
#[derive(Debug, Default)]
pub(super) struct Passed<'a> {
    pub(super) utf8: bool,
    pub(super) content_type: Option<&'a str>,
    pub(super) response_topic: Option<&'a str>,
    pub(super) correlation_data: Option<&'a [u8]>,
    pub(super) user: Vec<(&'a str, &'a str)>,
}

impl Passed<'_> {
    /// Encodes them once, for all receivers. Each text came from a packet, so it is no longer than
    /// its two length bytes can say.
    pub(super) fn encode(&self) -> Bytes {
        let mut to = BytesMut::new();
        if self.utf8 {
            to.put_slice(&[0x01, 1]);
        }
        for (id, text) in [(0x03, self.content_type), (0x08, self.response_topic)] {
            if let Some(text) = text {
                to.put_u8(id);
                put_binary(&mut to, text.as_bytes());
            }
        }
        if let Some(data) = self.correlation_data {
            to.put_u8(0x09);
            put_binary(&mut to, data);
        }
        for (name, value) in &self.user {
            to.put_u8(0x26);
            put_binary(&mut to, name.as_bytes());
            put_binary(&mut to, value.as_bytes());
        }
        to.freeze()
    }
}

/// Binary data with its length before it, cut at what the length can say.
pub(super) fn put_binary(to: &mut BytesMut, data: &[u8]) {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    to.put_u16(length);
    to.put_slice(&data[..usize::from(length)]);
}

/// A message as a member of a line of a journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    topic: String,
    payload: String,
    qos: Qos,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retain: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    properties: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
    at_ms: u64,
}

impl Kept {
    pub(super) fn of(message: &Message) -> Self {
        Self {
            topic: message.topic.to_string(),
            payload: hex(&message.payload),
            qos: message.qos,
            retain: message.retain,
            properties: hex(&message.properties),
            expires_ms: message.expires.map(to_ms),
            at_ms: to_ms(message.at),
        }
    }

    pub(super) fn message(&self) -> Result<Arc<Message>, String> {
        Ok(Arc::new(Message {
            topic: self.topic.as_str().into(),
            payload: unhex(&self.payload)?,
            qos: self.qos,
            retain: self.retain,
            properties: unhex(&self.properties)?,
            expires: self.expires_ms.map(from_ms),
            at: from_ms(self.at_ms),
            connection: 0,
        }))
    }
}

/// Milliseconds since 1970.
pub(super) fn to_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The reverse of [`to_ms`]; a time beyond what the system can tell is 1970.
pub(super) fn from_ms(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn hex(bytes: &[u8]) -> String {
    crate::id::hex(bytes)
}

fn unhex(text: &str) -> Result<Bytes, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().map(Bytes::from).ok_or_else(|| "payload or properties are not hex".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_message_is_the_same_again() {
        let at = from_ms(1_700_000_000_123);
        let message = Message {
            payload: Bytes::from_static(b"\x00\xff text"),
            retain: true,
            properties: Passed { content_type: Some("a/b"), user: vec![("k", "v")], ..Passed::default() }.encode(),
            expires: Some(from_ms(1_700_000_009_000)),
            ..Message::of_service("a/b", "", Qos::AtLeastOnce, at)
        };
        let line = serde_json::to_string(&Kept::of(&message)).unwrap();
        let read: Kept = serde_json::from_str(&line).unwrap();
        assert_eq!(*read.message().unwrap(), message);
    }

    #[test]
    fn damaged_hex_is_an_error() {
        for text in ["0", "0g", "é"] {
            assert!(unhex(text).is_err(), "{text}");
        }
        assert_eq!(unhex("00fF").unwrap(), [0, 255][..]);
    }

    #[test]
    fn a_message_counts_its_seconds_down_to_one() {
        let at = from_ms(1000);
        let message = Message { expires: Some(from_ms(5500)), ..Message::of_service("a", "", Qos::AtMostOnce, at) };
        assert_eq!(message.seconds_left(at), Some(4));
        assert_eq!(message.seconds_left(from_ms(5400)), Some(1));
        assert!(!message.expired(from_ms(5499)) && message.expired(from_ms(5500)));
    }
}
