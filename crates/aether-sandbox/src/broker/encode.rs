//! Writes the packets to a client, in both MQTT versions.

use std::num::NonZeroU32;

use bytes::{BufMut, BytesMut};

use super::message::{Message, put_binary};
use super::packet::{Accept, Delivered, Outgoing, Version, reason};

impl Version {
    pub(super) fn encode(self, packet: &Outgoing, to: &mut BytesMut) {
        let v5 = self == Self::V5;
        match packet {
            Outgoing::Refuse(code) if v5 => to.put_slice(&[0x20, 3, 0, *code, 0]),
            Outgoing::Refuse(code) => to.put_slice(&[0x20, 2, 0, *code]),
            Outgoing::Accept(accept) if v5 => accept.encode(to),
            Outgoing::Accept(accept) => to.put_slice(&[0x20, 2, u8::from(accept.session_present), 0]),
            Outgoing::PublishAck { packet_id, code } => {
                let [high, low] = packet_id.get().to_be_bytes();
                match (v5, *code) {
                    // Without a code it is a success (MQTT 5, section 3.4.2.1).
                    (false, _) | (true, reason::SUCCESS) => to.put_slice(&[0x40, 2, high, low]),
                    (true, code) => to.put_slice(&[0x40, 3, high, low, code]),
                }
            }
            Outgoing::SubscribeAck { packet_id, codes } => {
                put_head(to, 0x90, 2 + usize::from(v5) + codes.len());
                to.put_u16(packet_id.get());
                if v5 {
                    to.put_u8(0);
                }
                let code = |code: &u8| if !v5 && *code >= 0x80 { 0x80 } else { *code };
                codes.iter().for_each(|found| to.put_u8(code(found)));
            }
            Outgoing::UnsubscribeAck { packet_id, filters } => {
                let codes = if v5 { 1 + filters } else { 0 };
                put_head(to, 0xB0, 2 + codes);
                to.put_u16(packet_id.get());
                // AWS documents no code for a subscription that did not exist (sheet, 4.8).
                to.put_bytes(reason::SUCCESS, codes);
            }
            Outgoing::Pong => to.put_slice(&[0xD0, 0]),
            Outgoing::Disconnect(code) if v5 => to.put_slice(&[0xE0, 1, *code]),
            Outgoing::Disconnect(_) => {}
        }
    }

    /// Encodes a PUBLISH to a client. `false` if it is longer than `max_packet`, which the receiver
    /// then never learns of (MQTT 5, section 3.1.2.11.4).
    pub(super) fn encode_delivery(
        self,
        message: &Message,
        how: Delivered,
        max_packet: Option<NonZeroU32>,
        to: &mut BytesMut,
    ) -> bool {
        let id_length = if how.packet_id.is_some() { 2 } else { 0 };
        let mut length = 2 + message.topic.len() + id_length + message.payload.len();
        let properties = message.properties.len() + if how.expiry.is_some() { 5 } else { 0 };
        if self == Self::V5 {
            length += length_of_length(properties) + properties;
        }
        let whole = 1 + length_of_length(length) + length;
        if max_packet.is_some_and(|max| whole > usize::try_from(max.get()).unwrap_or(usize::MAX)) {
            return false;
        }
        let flags = u8::from(how.dup) << 3 | u8::from(how.packet_id.is_some()) << 1 | u8::from(how.retain);
        to.reserve(whole);
        put_head(to, 0x30 | flags, length);
        put_binary(to, message.topic.as_bytes());
        if let Some(packet_id) = how.packet_id {
            to.put_u16(packet_id.get());
        }
        if self == Self::V5 {
            put_length(to, properties);
            if let Some(seconds) = how.expiry {
                to.put_u8(0x02);
                to.put_u32(seconds);
            }
            to.put_slice(&message.properties);
        }
        to.put_slice(&message.payload);
        true
    }
}

impl Accept {
    fn encode(&self, to: &mut BytesMut) {
        let mut properties = BytesMut::new();
        if let Some(seconds) = self.expiry {
            properties.put_u8(0x11);
            properties.put_u32(seconds);
        }
        if let Some(id) = &self.assigned_client_id {
            properties.put_u8(0x12);
            put_binary(&mut properties, id.as_bytes());
        }
        properties.put_u8(0x13);
        properties.put_u16(self.keep_alive);
        properties.put_u8(0x21);
        properties.put_u16(self.receive_max);
        properties.put_u8(0x22);
        properties.put_u16(self.aliases);
        // Maximum QoS 1, retain available, wildcards available, no subscription identifiers, shared
        // subscriptions available (sheet, 4.8).
        properties.put_slice(&[0x24, 1, 0x25, 1, 0x28, 1, 0x29, 0, 0x2A, 1]);
        properties.put_u8(0x27);
        properties.put_u32(self.max_packet);
        put_head(to, 0x20, 2 + length_of_length(properties.len()) + properties.len());
        to.put_slice(&[u8::from(self.session_present), reason::SUCCESS]);
        put_length(to, properties.len());
        to.put_slice(&properties);
    }
}

fn put_head(to: &mut BytesMut, first: u8, length: usize) {
    to.put_u8(first);
    put_length(to, length);
}

/// A variable byte integer (MQTT 5, section 1.5.5).
fn put_length(to: &mut BytesMut, mut length: usize) {
    loop {
        let low = (length & 0x7F) as u8;
        length >>= 7;
        if length == 0 {
            to.put_u8(low);
            return;
        }
        to.put_u8(low | 0x80);
    }
}

fn length_of_length(length: usize) -> usize {
    match length {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::time::SystemTime;

    use proptest::prelude::*;
    use rmqtt_codec::types::QoS as WireQos;
    use rmqtt_codec::{v3, v5};
    use tokio_util::codec::Decoder;

    use super::*;
    use crate::broker::message::{Passed, Qos};

    #[test]
    fn an_accepting_connack_carries_what_aws_documents() {
        let accept = Accept {
            session_present: true,
            expiry: Some(3600),
            assigned_client_id: Some("$GEN/1".into()),
            receive_max: 100,
            aliases: 8,
            keep_alive: 1200,
            max_packet: 149_000,
        };
        let mut bytes = BytesMut::new();
        Version::V5.encode(&Outgoing::Accept(accept), &mut bytes);
        let Some((v5::Packet::ConnectAck(ack), _)) = v5::Codec::new(0, 0).decode(&mut bytes).unwrap() else {
            panic!("no CONNACK")
        };
        let expected = v5::ConnectAck {
            session_present: true,
            session_expiry_interval_secs: Some(3600),
            assigned_client_id: Some("$GEN/1".into()),
            receive_max: NonZeroU16::new(100).unwrap(),
            max_qos: WireQos::AtLeastOnce,
            max_packet_size: Some(149_000),
            topic_alias_max: 8,
            subscription_identifiers_available: false,
            server_keepalive_sec: Some(1200),
            ..v5::ConnectAck::default()
        };
        assert_eq!(*ack, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn a_foreign_codec_reads_every_delivery(
            topic in "[a-z/]{1,40}",
            length in prop_oneof![0..200_usize, 16_200..16_500_usize, Just(131_072)],
            user in prop::collection::vec(("[a-z]{0,9}", "[a-z]{0,99}"), 0..4),
            id in prop::option::of(1..=u16::MAX),
            expiry in prop::option::of(1..=u32::MAX),
            (dup, retain) in any::<(bool, bool)>(),
        ) {
            let passed = Passed {
                content_type: Some("text/plain"),
                response_topic: Some("answer"),
                correlation_data: Some(b"\x00\x01"),
                utf8: true,
                user: user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            };
            let message = Message {
                properties: passed.encode(),
                ..Message::of_service(&topic, vec![7; length], Qos::AtLeastOnce, SystemTime::UNIX_EPOCH)
            };
            let packet_id = id.and_then(NonZeroU16::new);
            let how = Delivered { packet_id, dup, retain, expiry };
            let mut bytes = BytesMut::new();
            prop_assert!(Version::V5.encode_delivery(&message, how, None, &mut bytes));
            let whole = u32::try_from(bytes.len()).unwrap();
            let Some((v5::Packet::Publish(five), _)) = v5::Codec::new(0, 0).decode(&mut bytes).unwrap() else {
                panic!("no PUBLISH")
            };
            prop_assert!(bytes.is_empty());
            prop_assert_eq!((&*five.topic, five.dup, five.retain), (topic.as_str(), dup, retain));
            prop_assert_eq!((five.packet_id, five.payload.len()), (packet_id, length));
            let properties = five.properties.unwrap();
            prop_assert_eq!(properties.message_expiry_interval.map(NonZeroU32::get), expiry);
            prop_assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
            prop_assert_eq!(properties.response_topic.as_deref(), Some("answer"));
            prop_assert!(properties.is_utf8_payload);
            prop_assert_eq!(properties.user_properties.len(), user.len());
            let smaller = NonZeroU32::new(whole - 1);
            prop_assert!(!Version::V5.encode_delivery(&message, how, smaller, &mut bytes) && bytes.is_empty());

            Version::V3.encode_delivery(&message, how, None, &mut bytes);
            let Some((v3::Packet::Publish(three), _)) = v3::Codec::new(0).decode(&mut bytes).unwrap() else {
                panic!("no PUBLISH")
            };
            prop_assert_eq!((&*three.topic, three.packet_id, three.payload.len()), (topic.as_str(), packet_id, length));
        }
    }
}
