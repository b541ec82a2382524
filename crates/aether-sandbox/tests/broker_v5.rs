//! MQTT 5: what CONNACK says, reason codes, aliases, properties, and bytes that are no packets.

mod support;

use std::num::{NonZeroU16, NonZeroU32};

use aether_sandbox::{AuditEvent, Limits};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3;
use rmqtt_codec::v5::{
    Auth, AuthReasonCode, Connect, ConnectAckReason, Disconnect, DisconnectReasonCode, LastWill, Packet, PublishAck,
    PublishAckReason, PublishProperties, RetainHandling, Subscribe, SubscribeAckReason, SubscriptionOptions,
    Unsubscribe,
};
use support::raw::{Raw, connect5, publish, publish5, subscribe, subscribe5};
use support::{audited, start_open};

const QOS_1: SubscriptionOptions = SubscriptionOptions {
    qos: QoS::AtLeastOnce,
    no_local: false,
    retain_as_published: false,
    retain_handling: RetainHandling::AtSubscribe,
};

fn plain() -> PublishProperties {
    PublishProperties::default()
}

fn will(topic: &str, qos: QoS) -> Option<LastWill> {
    Some(LastWill {
        qos,
        retain: false,
        topic: topic.into(),
        message: "gone".into(),
        will_delay_interval_sec: None,
        correlation_data: None,
        message_expiry_interval: None,
        content_type: Some("text/plain".into()),
        user_properties: Vec::new(),
        is_utf8_payload: None,
        response_topic: None,
    })
}

#[track_caller]
fn changed(packet: Packet, change: impl FnOnce(Publish) -> Publish) -> Packet {
    let Packet::Publish(publish) = packet else { panic!("no PUBLISH") };
    Packet::Publish(Box::new(change(*publish)))
}

async fn subscribed(raw: &mut Raw, filters: &[(&str, SubscriptionOptions)]) -> Vec<SubscribeAckReason> {
    raw.send5(subscribe5(filters)).await;
    match raw.receive5().await {
        Some(Packet::SubscribeAck(ack)) => ack.status,
        other => panic!("{other:?}"),
    }
}

/// The next PUBLISH, acknowledged; PUBACKs before it are passed over.
async fn received(raw: &mut Raw) -> Publish {
    loop {
        match raw.receive5().await {
            Some(Packet::Publish(publish)) => {
                if let Some(packet_id) = publish.packet_id {
                    raw.send5(Packet::PublishAck(PublishAck { packet_id, ..PublishAck::default() })).await;
                }
                return *publish;
            }
            Some(Packet::PublishAck(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn published(raw: &mut Raw, packet: Packet) -> PublishAckReason {
    raw.send5(packet).await;
    match raw.receive5().await {
        Some(Packet::PublishAck(ack)) => ack.reason_code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn connack_says_what_aws_documents() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let asked = Connect { keep_alive: 5, session_expiry_interval_secs: 86_400, ..connect5("") };
    let (_raw, ack) = Raw::connected5(&sandbox, asked).await;
    assert_eq!(ack.reason_code, ConnectAckReason::Success);
    assert_eq!(
        (ack.max_qos, ack.retain_available, ack.wildcard_subscription_available),
        (QoS::AtLeastOnce, true, true)
    );
    assert!(!ack.subscription_identifiers_available && ack.shared_subscription_available);
    assert_eq!((ack.server_keepalive_sec, ack.session_expiry_interval_secs), (Some(30), Some(3600)));
    assert_eq!((ack.topic_alias_max, ack.receive_max.get()), (8, 100));
    assert!(ack.assigned_client_id.unwrap().starts_with("$GEN/"));
    let asked = Connect { session_expiry_interval_secs: 60, ..connect5("mine") };
    let (_raw, ack) = Raw::connected5(&sandbox, asked).await;
    assert_eq!((ack.session_expiry_interval_secs, ack.assigned_client_id), (None, None));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_message_expiry_of_zero_is_taken_for_one_second() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let (mut raw, _) = Raw::connected5(&sandbox, connect5("sender")).await;
    subscribed(&mut raw, &[("a", QOS_1)]).await;
    // PUBLISH, QoS 1, topic `a`, packet id 9, an expiry of 0, the payload `x`: in two parts, as a network may.
    let packet = [0x32, 12, 0, 1, b'a', 0, 9, 5, 0x02, 0, 0, 0, 0, b'x'];
    raw.send_bytes(&packet[..7]).await;
    raw.send_bytes(&packet[7..]).await;
    let message = received(&mut raw).await;
    assert_eq!(message.payload, "x");
    assert_eq!(message.properties.unwrap().message_expiry_interval.map(NonZeroU32::get), Some(1));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn refused_connects_get_their_reason() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let one = QoS::AtLeastOnce;
    let cases = [
        (connect5("nobody"), ConnectAckReason::NotAuthorized),
        (connect5("$mine"), ConnectAckReason::ClientIdentifierNotValid),
        (connect5(&"x".repeat(129)), ConnectAckReason::ClientIdentifierNotValid),
        (Connect { auth_method: Some("x".into()), ..connect5("a") }, ConnectAckReason::NotAuthorized),
        (Connect { last_will: will("a", QoS::ExactlyOnce), ..connect5("a") }, ConnectAckReason::QosNotSupported),
        (Connect { last_will: will("a/#", one), ..connect5("a") }, ConnectAckReason::TopicNameInvalid),
        (Connect { last_will: will("forbidden/a", one), ..connect5("a") }, ConnectAckReason::NotAuthorized),
    ];
    for (connect, expected) in cases {
        let described = format!("{connect:?}");
        let (mut raw, ack) = Raw::connected5(&sandbox, connect).await;
        assert_eq!(ack.reason_code, expected, "{described}");
        assert_eq!(raw.receive5().await, None, "{described}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn one_connect_a_second_is_taken_of_a_client_id() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits::default();
    let sandbox = start_open(dir.path(), limits.clone()).await;
    let (_other, ack) = Raw::connected5(&sandbox, connect5("b")).await;
    assert_eq!(ack.reason_code, ConnectAckReason::Success);
    sandbox.shutdown().await;
    // Two handshakes may last a second on a busy machine, so that no CONNECT at all is what is sure.
    limits.connects_per_second = 0;
    let sandbox = support::start_with(dir.path(), limits).await;
    let (_second, ack) = Raw::connected5(&sandbox, connect5("a")).await;
    assert_eq!(ack.reason_code, ConnectAckReason::QuotaExceeded);
    // Who may not use the id does not use up its CONNECTs either, and so keeps nobody out.
    let (_intruder, ack) = Raw::connected5(&sandbox, connect5("nobody")).await;
    assert_eq!(ack.reason_code, ConnectAckReason::NotAuthorized);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_no_policy_allows_is_answered_and_the_connection_stays() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let (mut raw, _) = Raw::connected5(&sandbox, connect5("a")).await;
    let at_1 = |topic: &str| publish5(topic, QoS::AtLeastOnce, b"x", plain());
    assert_eq!(published(&mut raw, at_1("forbidden/a")).await, PublishAckReason::NotAuthorized);
    let status = subscribed(&mut raw, &[("forbidden/a", QOS_1), ("mine/+", QOS_1), ("a/#/b", QOS_1)]).await;
    let expected =
        [SubscribeAckReason::NotAuthorized, SubscribeAckReason::GrantedQos1, SubscribeAckReason::TopicFilterInvalid];
    assert_eq!(status, expected);
    assert_eq!(published(&mut raw, at_1("a/+")).await, PublishAckReason::TopicNameInvalid);
    assert_eq!(published(&mut raw, at_1("$aws/events/presence/connected/a")).await, PublishAckReason::NotAuthorized);
    assert_eq!(published(&mut raw, at_1("mine/a")).await, PublishAckReason::Success);
    assert_eq!(received(&mut raw).await.topic, "mine/a");
    raw.send5(publish5("forbidden/a", QoS::AtMostOnce, b"", plain())).await;
    assert_eq!(raw.disconnected5().await, 0x87);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_end_of_a_connection_is_given_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let Packet::Subscribe(subscribe) = subscribe5(&[("a", QOS_1)]) else { unreachable!() };
    let with_id = Packet::Subscribe(Subscribe { id: NonZeroU32::new(1), ..subscribe });
    let auth = Auth {
        reason_code: AuthReasonCode::ReAuth,
        auth_method: Some("x".into()),
        auth_data: None,
        reason_string: None,
        user_properties: Vec::new(),
    };
    let late = Disconnect { session_expiry_interval_secs: Some(9), ..Disconnect::default() };
    let alias = |alias| PublishProperties { topic_alias: NonZeroU16::new(alias), ..plain() };
    let no_local = SubscriptionOptions { no_local: true, ..QOS_1 };
    let two = SubscriptionOptions { qos: QoS::ExactlyOnce, ..QOS_1 };
    let cases = [
        ("subscription id", with_id, 0xA1),
        ("AUTH", Packet::Auth(auth), 0x82),
        ("QoS 2", publish5("a", QoS::ExactlyOnce, b"", plain()), 0x9B),
        ("QoS 2 subscription", subscribe5(&[("a", two)]), 0x9B),
        ("second CONNECT", Packet::Connect(Box::new(connect5("a"))), 0x82),
        ("alias beyond the maximum", publish5("a", QoS::AtMostOnce, b"", alias(9)), 0x94),
        ("alias never given", publish5("", QoS::AtMostOnce, b"", alias(8)), 0x82),
        ("no topic", publish5("", QoS::AtMostOnce, b"", plain()), 0x82),
        ("shared and no-local", subscribe5(&[("$share/g/a", no_local)]), 0x82),
        ("session expiry at the end", Packet::Disconnect(late), 0x82),
        ("server packet", Packet::PingResponse, 0x82),
        ("payload", publish5("a", QoS::AtLeastOnce, &vec![0; 128 * 1024 + 1], plain()), 0x97),
        ("packet", publish5("a", QoS::AtLeastOnce, &vec![0; 200 * 1024], plain()), 0x97),
        ("wildcard topic", publish5("a/#", QoS::AtMostOnce, b"", plain()), 0x90),
    ];
    for (what, packet, code) in cases {
        let (mut raw, _) = Raw::connected5(&sandbox, connect5("a")).await;
        raw.send5(packet).await;
        assert_eq!(raw.disconnected5().await, code, "{what}");
    }
    let (mut raw, _) = Raw::connected5(&sandbox, connect5("a")).await;
    raw.send_bytes(b"\x82\x03\x00\x01\x7f").await;
    assert_eq!(raw.disconnected5().await, 0x81);
    let (mut raw, _) = Raw::connected5(&sandbox, connect5("a")).await;
    let (_newer, _) = Raw::connected5(&sandbox, connect5("a")).await;
    assert_eq!(raw.disconnected5().await, 0x8E);
    let (mut last, _) = Raw::connected5(&sandbox, connect5("b")).await;
    sandbox.shutdown().await;
    assert_eq!(last.disconnected5().await, 0x8B);
}

#[tokio::test]
async fn properties_reach_mqtt_5_and_are_left_out_for_3_1_1() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let (mut five, _) = Raw::connected5(&sandbox, connect5("five")).await;
    subscribed(&mut five, &[("a", QOS_1)]).await;
    let mut three = Raw::connected(&sandbox, "three").await;
    three.send(subscribe(&[("a", QoS::AtLeastOnce)])).await;
    assert!(matches!(three.receive().await, Some(v3::Packet::SubscribeAck { .. })));
    let properties = PublishProperties {
        topic_alias: NonZeroU16::new(3),
        correlation_data: Some("id".into()),
        message_expiry_interval: NonZeroU32::new(100),
        content_type: Some("text/plain".into()),
        user_properties: vec![("a".into(), "1".into()), ("a".into(), "2".into())],
        is_utf8_payload: true,
        response_topic: Some("answers".into()),
        subscription_ids: Vec::new(),
    };
    let (mut sender, _) = Raw::connected5(&sandbox, connect5("sender")).await;
    published(&mut sender, publish5("a", QoS::AtLeastOnce, b"x", properties.clone())).await;
    let found = received(&mut five).await;
    let seconds = found.properties.as_ref().unwrap().message_expiry_interval.unwrap().get();
    assert!((80..=100).contains(&seconds), "{seconds}");
    let expected =
        PublishProperties { topic_alias: None, message_expiry_interval: NonZeroU32::new(seconds), ..properties };
    assert_eq!((&found.payload[..], found.properties.unwrap()), (&b"x"[..], expected));
    let Some(v3::Packet::Publish(found)) = three.receive().await else { panic!("no PUBLISH") };
    assert_eq!((&*found.topic, &found.payload[..]), ("a", &b"x"[..]));
    // By its alias alone, and with none of the properties.
    let by_alias = PublishProperties { topic_alias: NonZeroU16::new(3), ..plain() };
    published(&mut sender, publish5("", QoS::AtLeastOnce, b"y", by_alias)).await;
    let found = received(&mut five).await;
    assert_eq!((&*found.topic, found.properties), ("a", Some(plain())));
    // And from 3.1.1 to 5.
    three.send(publish("a", QoS::AtMostOnce, b"z")).await;
    assert_eq!(received(&mut five).await.payload, "z");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_receiver_gets_no_more_than_it_says_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let asked = Connect { max_packet_size: NonZeroU32::new(200), ..connect5("small").receive_max(2) };
    let (mut small, _) = Raw::connected5(&sandbox, asked).await;
    subscribed(&mut small, &[("a", QOS_1)]).await;
    let (mut sender, _) = Raw::connected5(&sandbox, connect5("sender")).await;
    for payload in [&[b'1'; 1][..], &[b'x'; 300], b"2", b"3"] {
        published(&mut sender, publish5("a", QoS::AtLeastOnce, payload, plain())).await;
    }
    let mut ids = Vec::new();
    for expected in ["1", "2"] {
        let Some(Packet::Publish(found)) = small.receive5().await else { panic!("no PUBLISH") };
        assert_eq!(found.payload, expected);
        ids.extend(found.packet_id);
    }
    small.send5(Packet::PingRequest).await;
    assert_eq!(small.receive5().await, Some(Packet::PingResponse), "two are unacknowledged: no third");
    small.send5(Packet::PublishAck(PublishAck { packet_id: ids[0], ..PublishAck::default() })).await;
    let Some(Packet::Publish(found)) = small.receive5().await else { panic!("no PUBLISH") };
    assert_eq!(found.payload, "3");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn subscription_options_are_kept_to() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let (mut raw, _) = Raw::connected5(&sandbox, connect5("a")).await;
    let retained = |payload: &[u8]| {
        changed(publish5("r", QoS::AtLeastOnce, payload, plain()), |publish| Publish { retain: true, ..publish })
    };
    published(&mut raw, retained(b"old")).await;
    let never = SubscriptionOptions { retain_handling: RetainHandling::NoAtSubscribe, ..QOS_1 };
    let if_new = SubscriptionOptions { retain_handling: RetainHandling::AtSubscribeNew, ..QOS_1 };
    let as_published = SubscriptionOptions { retain_as_published: true, ..never };
    let quiet = SubscriptionOptions { no_local: true, ..never };
    subscribed(&mut raw, &[("r", never)]).await;
    subscribed(&mut raw, &[("r", if_new)]).await;
    raw.send5(Packet::PingRequest).await;
    assert_eq!(raw.receive5().await, Some(Packet::PingResponse), "none was sent");
    subscribed(&mut raw, &[("r", QOS_1)]).await;
    let found = received(&mut raw).await;
    assert_eq!((found.payload, found.retain), ("old".into(), true));
    raw.send5(retained(b"new")).await;
    assert!(!received(&mut raw).await.retain, "live messages come without the flag");
    raw.send5(Packet::PingRequest).await;
    while raw.receive5().await != Some(Packet::PingResponse) {}
    subscribed(&mut raw, &[("r", as_published)]).await;
    raw.send5(retained(b"newer")).await;
    assert!(received(&mut raw).await.retain);
    raw.send5(Packet::PingRequest).await;
    while raw.receive5().await != Some(Packet::PingResponse) {}
    subscribed(&mut raw, &[("r", quiet)]).await;
    published(&mut raw, retained(b"own")).await;
    let filters = vec!["r".into(), "x".into()];
    let gone = Unsubscribe { packet_id: NonZeroU16::MIN, user_properties: Vec::new(), topic_filters: filters };
    raw.send5(Packet::Unsubscribe(gone)).await;
    let Some(Packet::UnsubscribeAck(ack)) = raw.receive5().await else { panic!("no UNSUBACK") };
    assert_eq!(ack.status.iter().map(|code| u8::from(*code)).collect::<Vec<_>>(), [0, 0]);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_goodbye_may_ask_for_the_will_and_for_another_expiry() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let (mut watcher, _) = Raw::connected5(&sandbox, connect5("watcher")).await;
    subscribed(&mut watcher, &[("will", QOS_1)]).await;
    let lasting = Connect { session_expiry_interval_secs: 600, clean_start: false, ..connect5("a") };
    let with_will = Connect { last_will: will("will", QoS::AtLeastOnce), ..lasting.clone() };
    let (mut raw, _) = Raw::connected5(&sandbox, with_will).await;
    let reason_code = DisconnectReasonCode::DisconnectWithWillMessage;
    raw.send5(Packet::Disconnect(Disconnect { reason_code, ..Disconnect::default() })).await;
    let found = received(&mut watcher).await;
    assert_eq!(found.properties.unwrap().content_type.as_deref(), Some("text/plain"));
    let (mut raw, ack) = Raw::connected5(&sandbox, lasting.clone()).await;
    assert!(ack.session_present);
    let mut audit = sandbox.audit();
    raw.send5(Packet::Disconnect(Disconnect { session_expiry_interval_secs: Some(0), ..Disconnect::default() })).await;
    audited(&mut audit, |record| record.event == AuditEvent::Disconnect).await;
    let (_raw, ack) = Raw::connected5(&sandbox, lasting).await;
    assert!(!ack.session_present, "the session ended with its connection");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_message_too_fast_gets_no_puback_and_too_many_of_them_end_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits::unpaced();
    limits.publishes_per_second = 1;
    limits.in_flight = 3;
    let sandbox = start_open(dir.path(), limits).await;
    let mut audit = sandbox.audit();
    let (mut raw, ack) = Raw::connected5(&sandbox, connect5("a")).await;
    assert_eq!(ack.receive_max.get(), 3);
    for id in 1..=20 {
        let packet_id = NonZeroU16::new(id);
        let packet = publish5("a", QoS::AtLeastOnce, b"", plain());
        raw.send5(changed(packet, |publish| Publish { packet_id, ..publish })).await;
    }
    let mut acknowledged = 0;
    let code = loop {
        match raw.receive5().await {
            Some(Packet::PublishAck(_)) => acknowledged += 1,
            Some(Packet::Disconnect(goodbye)) => break u8::from(goodbye.reason_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 0x93);
    assert!((1..=5).contains(&acknowledged), "{acknowledged}");
    let words = |reason: &Option<String>| reason.as_deref().is_some_and(|reason| reason.starts_with("discarded"));
    audited(&mut audit, |record| record.event == AuditEvent::Publish && words(&record.reason)).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn hostile_bytes_never_stop_it() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    // One honest session, changed, cut and repeated in many ways.
    let honest: &[&[u8]] = &[
        b"\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x05\x11\x00\x00\x00\x09\x00\x01h",
        b"\x82\x09\x00\x01\x00\x00\x03h/+\x01",
        b"\x32\x11\x00\x03h/a\x00\x07\x07\x23\x00\x01\x03\x00\x01tXY",
        b"\x40\x02\x00\x01",
        b"\xa2\x08\x00\x02\x00\x00\x03h/+",
        b"\xe0\x07\x04\x05\x11\x00\x00\x00\x05",
    ];
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let change = (0..honest.len(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>(), 0..3_usize);
    for round in 0..150 {
        let (at, index, byte, cut, repeated) = change.new_tree(&mut runner).unwrap().current();
        let mut raw = Raw::claim(&sandbox).await;
        for (number, packet) in honest.iter().enumerate() {
            let mut packet = packet.to_vec();
            if number == at {
                let place = index.index(packet.len());
                packet[place] = byte;
                packet.truncate(if cut { place + 1 } else { packet.len() });
                for _ in 0..repeated {
                    raw.send_bytes(&packet).await;
                }
            }
            raw.send_bytes(&packet).await;
        }
        drop(raw);
        if round % 25 == 0 {
            let (mut other, ack) = Raw::connected5(&sandbox, connect5("honest")).await;
            assert_eq!(ack.reason_code, ConnectAckReason::Success);
            other.send5(Packet::PingRequest).await;
            assert_eq!(other.receive5().await, Some(Packet::PingResponse));
        }
    }
    Raw::connected(&sandbox, "three").await;
    sandbox.shutdown().await;
}
