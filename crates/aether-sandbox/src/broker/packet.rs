//! One packet model for MQTT 3.1.1 and 5, so that nothing behind the codec is written twice.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use rmqtt_codec::types::QoS as WireQos;

use super::message::Qos;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V3,
    V5,
}

/// Reason codes of MQTT 5 as AWS documents them (sheet, 4.8).
pub(super) mod reason {
    pub(in crate::broker) const SUCCESS: u8 = 0x00;
    pub(in crate::broker) const MALFORMED: u8 = 0x81;
    pub(in crate::broker) const PROTOCOL: u8 = 0x82;
    pub(in crate::broker) const BAD_CLIENT_ID: u8 = 0x85;
    pub(in crate::broker) const NOT_AUTHORIZED: u8 = 0x87;
    pub(in crate::broker) const SHUTTING_DOWN: u8 = 0x8B;
    pub(in crate::broker) const KEEP_ALIVE: u8 = 0x8D;
    pub(in crate::broker) const TAKEN_OVER: u8 = 0x8E;
    pub(in crate::broker) const FILTER_INVALID: u8 = 0x8F;
    pub(in crate::broker) const TOPIC_INVALID: u8 = 0x90;
    pub(in crate::broker) const RECEIVE_MAXIMUM: u8 = 0x93;
    pub(in crate::broker) const ALIAS_INVALID: u8 = 0x94;
    pub(in crate::broker) const QUOTA: u8 = 0x97;
    pub(in crate::broker) const ADMINISTRATIVE: u8 = 0x98;
    pub(in crate::broker) const QOS: u8 = 0x9B;
    pub(in crate::broker) const SUBSCRIPTION_IDS: u8 = 0xA1;
}

/// A packet of a client, past its CONNECT.
#[derive(Debug)]
pub(super) enum Incoming {
    Publish(Publish),
    PublishAck {
        packet_id: NonZeroU16,
    },
    Subscribe {
        packet_id: NonZeroU16,
        has_id: bool,
        filters: Vec<Filter>,
    },
    Unsubscribe {
        packet_id: NonZeroU16,
        filters: Vec<String>,
    },
    Ping,
    Disconnect {
        with_will: bool,
        expiry: Option<u32>,
    },
    Auth,
    Connect(Box<Connect>),
    /// A packet of the QoS 2 exchange.
    QosTwo,
    /// A packet that only a server sends.
    OfServer,
}

/// A PUBLISH of a client.
#[derive(Clone, Debug)]
pub(super) struct Publish {
    /// Empty when only an alias names it.
    pub(super) topic: String,
    pub(super) alias: Option<NonZeroU16>,
    /// `None` for QoS 2.
    pub(super) qos: Option<Qos>,
    pub(super) retain: bool,
    pub(super) packet_id: Option<NonZeroU16>,
    pub(super) payload: Bytes,
    pub(super) properties: Bytes,
    pub(super) expiry: Option<NonZeroU32>,
    /// It has subscription identifiers, which only a server may send.
    pub(super) has_ids: bool,
}

/// One filter of a SUBSCRIBE with its options.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) text: String,
    /// `None` for QoS 2.
    pub(super) qos: Option<Qos>,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) retained: SendRetained,
}

/// When a subscription is answered with the retained message (MQTT 5, section 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendRetained {
    Always,
    IfNew,
    Never,
}

/// A CONNECT.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) version: Version,
    /// Protocol level: 3 is MQTT 3.1, which AWS does not speak.
    pub(super) level: u8,
    pub(super) clean: bool,
    /// Seconds.
    pub(super) keep_alive: u16,
    pub(super) client_id: String,
    pub(super) will: Option<Will>,
    /// MQTT 3.1.1 forbids a password without a user name.
    pub(super) lone_password: bool,
    /// Asked for in MQTT 5, seconds; without it the session ends with the connection.
    pub(super) expiry: Option<u32>,
    pub(super) receive_max: Option<NonZeroU16>,
    pub(super) max_packet: Option<NonZeroU32>,
    pub(super) asks_auth: bool,
}

/// The last will of a CONNECT.
#[derive(Clone, Debug)]
pub(super) struct Will {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    /// `None` for QoS 2.
    pub(super) qos: Option<Qos>,
    pub(super) retain: bool,
    pub(super) properties: Bytes,
    pub(super) expiry: Option<NonZeroU32>,
}

/// A packet to a client. Deliveries are not here: see [`Version::encode_delivery`].
#[derive(Clone, Debug)]
pub(super) enum Outgoing {
    /// Refused with a return code of MQTT 3.1.1 or a reason code of MQTT 5.
    Refuse(u8),
    Accept(Accept),
    PublishAck {
        packet_id: NonZeroU16,
        code: u8,
    },
    /// Codes of MQTT 5; all failures are one code in 3.1.1.
    SubscribeAck {
        packet_id: NonZeroU16,
        codes: Vec<u8>,
    },
    UnsubscribeAck {
        packet_id: NonZeroU16,
        filters: usize,
    },
    Pong,
    /// MQTT 5 only; nothing in 3.1.1.
    Disconnect(u8),
}

/// What an accepting CONNACK says.
#[derive(Clone, Debug)]
pub(super) struct Accept {
    pub(super) session_present: bool,
    /// Given when it is not what the client asked for.
    pub(super) expiry: Option<u32>,
    pub(super) assigned_client_id: Option<String>,
    pub(super) receive_max: u16,
    pub(super) aliases: u16,
    /// Seconds.
    pub(super) keep_alive: u16,
    pub(super) max_packet: u32,
}

/// How one delivery differs from its message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    /// With one it is QoS 1.
    pub(super) packet_id: Option<NonZeroU16>,
    pub(super) dup: bool,
    pub(super) retain: bool,
    /// Seconds left.
    pub(super) expiry: Option<u32>,
}

pub(super) fn qos(wire: WireQos) -> Option<Qos> {
    match wire {
        WireQos::AtMostOnce => Some(Qos::AtMostOnce),
        WireQos::AtLeastOnce => Some(Qos::AtLeastOnce),
        WireQos::ExactlyOnce => None,
    }
}
