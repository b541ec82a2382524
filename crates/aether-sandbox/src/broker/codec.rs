//! Reads the packets of both MQTT versions into the one packet model.

use bytes::{Bytes, BytesMut};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::{MQTT_LEVEL_5, Publish as WirePublish};
use rmqtt_codec::v5::{DisconnectReasonCode, RetainHandling};
use rmqtt_codec::{v3, v5};
use tokio_util::codec::Decoder;

use super::expiry_zero;
use super::message::Passed;
use super::packet::{Connect, Filter, Incoming, Publish, SendRetained, Version, Will, qos, reason};

/// The decoder of one connection.
#[derive(Debug)]
pub(super) enum Codec {
    V3(v3::Codec),
    V5(v5::Codec),
}

impl Codec {
    /// `max` is the longest packet taken, its fixed header not counted; no more than that is ever
    /// buffered for one packet.
    pub(super) fn new(version: Version, max: u32) -> Self {
        match version {
            Version::V3 => Self::V3(v3::Codec::new(max)),
            // Nothing is encoded with it, so there is no limit for sending.
            Version::V5 => Self::V5(v5::Codec::new(max, 0)),
        }
    }

    /// The next whole packet of `buffer`.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Incoming>, DecodeError> {
        Ok(match self {
            Self::V3(codec) => codec.decode(buffer)?.map(|(packet, _)| from_v3(packet)),
            Self::V5(codec) => {
                if !expiry_zero::correct(buffer, codec.max_inbound_size()) {
                    return Ok(None);
                }
                codec.decode(buffer)?.map(|(packet, _)| from_v5(packet))
            }
        })
    }
}

/// The reason code an MQTT 5 client is told for bytes that are no packet.
pub(super) fn reason_of(error: &DecodeError) -> u8 {
    match error {
        DecodeError::MaxSizeExceeded { .. } => reason::QUOTA,
        DecodeError::InvalidTopicName => reason::TOPIC_INVALID,
        DecodeError::InvalidTopicFilter | DecodeError::UnsupportedPacketType => reason::PROTOCOL,
        DecodeError::InvalidProtocol
        | DecodeError::InvalidLength
        | DecodeError::MalformedPacket
        | DecodeError::UnsupportedProtocolLevel
        | DecodeError::ConnectReservedFlagSet
        | DecodeError::InvalidConnectFlags
        | DecodeError::ConnAckReservedFlagSet
        | DecodeError::InvalidClientId
        | DecodeError::PacketIdRequired
        | DecodeError::Utf8Error
        | DecodeError::Io(_) => reason::MALFORMED,
    }
}

fn from_v3(packet: v3::Packet) -> Incoming {
    match packet {
        v3::Packet::Publish(publish) => Incoming::Publish(read_publish(*publish)),
        v3::Packet::PublishAck { packet_id } => Incoming::PublishAck { packet_id },
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let filter = |(text, wire): (_, _)| Filter {
                text: String::from(AsRef::<str>::as_ref(&text)),
                qos: qos(wire),
                no_local: false,
                retain_as_published: false,
                retained: SendRetained::Always,
            };
            Incoming::Subscribe { packet_id, has_id: false, filters: topic_filters.into_iter().map(filter).collect() }
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            Incoming::Unsubscribe { packet_id, filters: topic_filters.iter().map(ToString::to_string).collect() }
        }
        v3::Packet::PingRequest => Incoming::Ping,
        v3::Packet::Disconnect => Incoming::Disconnect { with_will: false, expiry: None },
        v3::Packet::Connect(connect) => Incoming::Connect(Box::new(connect_v3(*connect))),
        v3::Packet::PublishReceived { .. } | v3::Packet::PublishRelease { .. } | v3::Packet::PublishComplete { .. } => {
            Incoming::QosTwo
        }
        v3::Packet::ConnectAck(_)
        | v3::Packet::SubscribeAck { .. }
        | v3::Packet::UnsubscribeAck { .. }
        | v3::Packet::PingResponse => Incoming::OfServer,
    }
}

fn from_v5(packet: v5::Packet) -> Incoming {
    match packet {
        v5::Packet::Publish(publish) => Incoming::Publish(read_publish(*publish)),
        v5::Packet::PublishAck(ack) => Incoming::PublishAck { packet_id: ack.packet_id },
        v5::Packet::Subscribe(subscribe) => {
            let filters = subscribe.topic_filters.iter().map(|(text, options)| Filter {
                text: text.to_string(),
                qos: qos(options.qos),
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                retained: match options.retain_handling {
                    RetainHandling::AtSubscribe => SendRetained::Always,
                    RetainHandling::AtSubscribeNew => SendRetained::IfNew,
                    RetainHandling::NoAtSubscribe => SendRetained::Never,
                },
            });
            Incoming::Subscribe {
                packet_id: subscribe.packet_id,
                has_id: subscribe.id.is_some(),
                filters: filters.collect(),
            }
        }
        v5::Packet::Unsubscribe(unsubscribe) => Incoming::Unsubscribe {
            packet_id: unsubscribe.packet_id,
            filters: unsubscribe.topic_filters.iter().map(ToString::to_string).collect(),
        },
        v5::Packet::PingRequest => Incoming::Ping,
        v5::Packet::Disconnect(goodbye) => Incoming::Disconnect {
            with_will: goodbye.reason_code != DisconnectReasonCode::NormalDisconnection,
            expiry: goodbye.session_expiry_interval_secs,
        },
        v5::Packet::Auth(_) => Incoming::Auth,
        v5::Packet::Connect(connect) => Incoming::Connect(Box::new(connect_v5(*connect))),
        v5::Packet::PublishReceived(_) | v5::Packet::PublishRelease(_) | v5::Packet::PublishComplete(_) => {
            Incoming::QosTwo
        }
        v5::Packet::ConnectAck(_)
        | v5::Packet::SubscribeAck(_)
        | v5::Packet::UnsubscribeAck(_)
        | v5::Packet::PingResponse => Incoming::OfServer,
    }
}

fn read_publish(publish: WirePublish) -> Publish {
    let found = publish.properties.as_ref();
    let passed = found.map(|found| Passed {
        utf8: found.is_utf8_payload,
        content_type: found.content_type.as_deref(),
        response_topic: found.response_topic.as_deref(),
        correlation_data: found.correlation_data.as_deref(),
        user: found.user_properties.iter().map(|(name, value)| (&**name, &**value)).collect(),
    });
    Publish {
        topic: publish.topic.to_string(),
        alias: found.and_then(|found| found.topic_alias),
        qos: qos(publish.qos),
        retain: publish.retain,
        packet_id: publish.packet_id,
        // Copied: a message that is kept must not keep the read buffer it came in.
        payload: Bytes::copy_from_slice(&publish.payload),
        properties: passed.map(|passed| passed.encode()).unwrap_or_default(),
        expiry: found.and_then(|found| found.message_expiry_interval),
        has_ids: found.is_some_and(|found| !found.subscription_ids.is_empty()),
    }
}

fn connect_v3(connect: v3::Connect) -> Connect {
    Connect {
        version: Version::V3,
        level: connect.protocol.level(),
        clean: connect.clean_session,
        keep_alive: connect.keep_alive,
        client_id: connect.client_id.to_string(),
        will: connect.last_will.map(|will| Will {
            topic: will.topic.to_string(),
            payload: Bytes::copy_from_slice(&will.message),
            qos: qos(will.qos),
            retain: will.retain,
            properties: Bytes::new(),
            expiry: None,
        }),
        lone_password: connect.password.is_some() && connect.username.is_none(),
        expiry: None,
        receive_max: None,
        max_packet: None,
        asks_auth: false,
    }
}

fn connect_v5(connect: v5::Connect) -> Connect {
    Connect {
        version: Version::V5,
        level: MQTT_LEVEL_5,
        clean: connect.clean_start,
        keep_alive: connect.keep_alive,
        client_id: connect.client_id.to_string(),
        will: connect.last_will.map(|will| Will {
            topic: will.topic.to_string(),
            payload: Bytes::copy_from_slice(&will.message),
            qos: qos(will.qos),
            retain: will.retain,
            properties: Passed {
                utf8: will.is_utf8_payload.unwrap_or(false),
                content_type: will.content_type.as_deref(),
                response_topic: will.response_topic.as_deref(),
                correlation_data: will.correlation_data.as_deref(),
                user: will.user_properties.iter().map(|(name, value)| (&**name, &**value)).collect(),
            }
            .encode(),
            expiry: will.message_expiry_interval,
        }),
        lone_password: false,
        expiry: Some(connect.session_expiry_interval_secs),
        receive_max: connect.receive_max,
        max_packet: connect.max_packet_size,
        asks_auth: connect.auth_method.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: u32 = 144 * 1024;

    fn feed(codec: &mut Codec, bytes: &[u8]) {
        let mut buffer = BytesMut::from(bytes);
        while let Ok(Some(_)) = codec.decode(&mut buffer) {}
        assert!(buffer.capacity() <= 2 * MAX as usize + bytes.len(), "{}", buffer.capacity());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

        #[test]
        fn random_bytes_never_panic_and_never_reserve_more_than_a_packet(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            first in prop::sample::select(vec![0x10_u8, 0x30, 0x32, 0x3d, 0x40, 0x62, 0x82, 0xa2, 0xc0, 0xe0, 0xf0]),
        ) {
            for version in [Version::V3, Version::V5] {
                feed(&mut Codec::new(version, MAX), &bytes);
                // The same bytes as the body of a packet with an honest length.
                let mut packet = vec![first];
                match u8::try_from(bytes.len()) {
                    Ok(short @ ..0x80) => packet.push(short),
                    _ => packet.extend([(bytes.len() & 0x7f) as u8 | 0x80, (bytes.len() >> 7) as u8]),
                }
                packet.extend(&bytes);
                feed(&mut Codec::new(version, MAX), &packet);
            }
        }
    }
}
