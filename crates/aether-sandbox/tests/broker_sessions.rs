//! What outlives a connection: sessions, retained messages, and what watchers hear of it all.

mod support;

use std::time::Duration;

use aether_sandbox::{AuditEvent, Limits, Sandbox};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::{Connect, LastWill, Packet, SubscribeReturnCode};
use serde_json::Value;
use support::raw::{Raw, connect, publish, subscribe};
use support::{CREATE, audited, start_open, start_with};

/// Connects with a session to keep; gives whether there was one.
async fn lasting(sandbox: &Sandbox, client_id: &str) -> (Raw, bool) {
    let mut raw = Raw::claim(sandbox).await;
    raw.send(Connect { clean_session: false, ..connect(client_id) }.into()).await;
    let Some(Packet::ConnectAck(ack)) = raw.receive().await else { panic!("no CONNACK") };
    (raw, ack.session_present)
}

async fn subscribed(raw: &mut Raw, filter: &str) {
    raw.send(subscribe(&[(filter, QoS::AtLeastOnce)])).await;
    let Some(Packet::SubscribeAck { status, .. }) = raw.receive().await else { panic!("no SUBACK") };
    assert_eq!(status, [SubscribeReturnCode::Success(QoS::AtLeastOnce)]);
}

async fn published(raw: &mut Raw, topic: &str, payload: &str, retain: bool) {
    let Packet::Publish(packet) = publish(topic, QoS::AtLeastOnce, payload.as_bytes()) else { unreachable!() };
    raw.send(Packet::Publish(Box::new(Publish { retain, ..*packet }))).await;
    assert!(matches!(raw.receive().await, Some(Packet::PublishAck { .. })));
}

/// The next PUBLISH, acknowledged if wanted.
async fn received(raw: &mut Raw, acknowledge: bool) -> Publish {
    let Some(Packet::Publish(found)) = raw.receive().await else { panic!("no PUBLISH") };
    if let Some(packet_id) = found.packet_id.filter(|_| acknowledge) {
        raw.send(Packet::PublishAck { packet_id }).await;
    }
    *found
}

async fn silent(raw: &mut Raw) {
    raw.send(Packet::PingRequest).await;
    assert_eq!(raw.receive().await, Some(Packet::PingResponse), "nothing came before it");
}

async fn gone(sandbox: &Sandbox, raw: Raw) {
    let mut audit = sandbox.audit();
    drop(raw);
    audited(&mut audit, |record| record.event == AuditEvent::Disconnect).await;
}

#[tokio::test]
async fn a_kept_session_has_its_subscriptions_and_messages_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let (mut device, present) = lasting(&sandbox, "device").await;
    assert!(!present);
    subscribed(&mut device, "a/+").await;
    let mut sender = Raw::connected(&sandbox, "sender").await;
    published(&mut sender, "a/1", "unacknowledged", false).await;
    let first = received(&mut device, false).await;
    gone(&sandbox, device).await;
    published(&mut sender, "a/2", "while away", false).await;
    sender.send(publish("a/2", QoS::AtMostOnce, b"lost")).await;
    silent(&mut sender).await;
    let (mut device, present) = lasting(&sandbox, "device").await;
    assert!(present);
    let again = received(&mut device, false).await;
    assert_eq!((again.packet_id, again.dup, again.payload), (first.packet_id, true, first.payload));
    assert_eq!(received(&mut device, true).await.payload, "while away");
    silent(&mut device).await;
    sandbox.shutdown().await;

    let sandbox = start_with(dir.path(), Limits::unpaced()).await;
    let (mut device, present) = lasting(&sandbox, "device").await;
    assert!(present);
    assert_eq!(received(&mut device, true).await.payload, "unacknowledged");
    silent(&mut device).await;
    let mut sender = Raw::connected(&sandbox, "sender").await;
    published(&mut sender, "a/3", "subscribed still", false).await;
    assert_eq!(received(&mut device, true).await.payload, "subscribed still");
    drop(device);
    // A clean session ends it.
    drop(Raw::connected(&sandbox, "device").await);
    let (mut device, present) = lasting(&sandbox, "device").await;
    assert!(!present);
    published(&mut sender, "a/4", "to nobody", false).await;
    silent(&mut device).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn of_too_many_sessions_without_a_client_the_one_with_the_least_time_left_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits::unpaced();
    limits.kept_sessions = 2;
    let sandbox = start_open(dir.path(), limits.clone()).await;
    for client_id in ["first", "second"] {
        let (raw, _) = lasting(&sandbox, client_id).await;
        gone(&sandbox, raw).await;
    }
    // A session with its client does not count: no third one ends here.
    let (first, present) = lasting(&sandbox, "first").await;
    let (third, _) = lasting(&sandbox, "third").await;
    assert!(present);
    gone(&sandbox, third).await;
    gone(&sandbox, first).await;
    // "second" has been away longest. Connected, they stay so: none ends another.
    let mut connected = Vec::new();
    for (client_id, kept) in [("first", true), ("second", false), ("third", true)] {
        let (raw, present) = lasting(&sandbox, client_id).await;
        assert_eq!(present, kept, "{client_id}");
        connected.push(raw);
    }
    sandbox.shutdown().await;
    limits.kept_sessions = 1;
    let sandbox = start_with(dir.path(), limits).await;
    let mut kept = Vec::new();
    for client_id in ["first", "second", "third"] {
        let (raw, present) = lasting(&sandbox, client_id).await;
        kept.extend(present.then_some(client_id));
        connected.push(raw);
    }
    assert_eq!(kept.len(), 1, "{kept:?}");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_answer_with_the_private_key_is_for_the_connection_that_asked_and_not_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let (mut device, _) = lasting(&sandbox, "device").await;
    subscribed(&mut device, &format!("{CREATE}/accepted")).await;
    published(&mut device, CREATE, "{}", false).await;
    let answer = received(&mut device, false).await;
    assert!(String::from_utf8_lossy(&answer.payload).contains("PRIVATE KEY"));
    let kept = std::fs::read_to_string(dir.path().join("sessions.jsonl")).unwrap();
    assert!(kept.contains(CREATE) && !kept.contains("queued"), "{kept}");
    gone(&sandbox, device).await;
    // Whoever comes back under the client id: the answer was not acknowledged, and is not repeated.
    let (mut other, present) = lasting(&sandbox, "device").await;
    assert!(present);
    silent(&mut other).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_session_left_while_the_clock_was_ahead_ends_an_hour_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let (device, _) = lasting(&sandbox, "device").await;
    sandbox.advance(Duration::from_secs(7200));
    gone(&sandbox, device).await;
    sandbox.shutdown().await;

    let sandbox = start_with(dir.path(), Limits::unpaced()).await;
    sandbox.advance(Duration::from_secs(3600));
    let (_device, present) = lasting(&sandbox, "device").await;
    assert!(!present);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn stored_messages_come_at_their_pace() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits::unpaced();
    limits.redeliveries_per_second = 20;
    let sandbox = start_open(dir.path(), limits).await;
    let (mut device, _) = lasting(&sandbox, "device").await;
    subscribed(&mut device, "a").await;
    gone(&sandbox, device).await;
    let mut sender = Raw::connected(&sandbox, "sender").await;
    for number in 0..6 {
        published(&mut sender, "a", &number.to_string(), false).await;
    }
    let (mut device, _) = lasting(&sandbox, "device").await;
    let begun = std::time::Instant::now();
    for number in 0..6 {
        assert_eq!(received(&mut device, true).await.payload, number.to_string());
    }
    assert!(begun.elapsed() >= Duration::from_millis(240), "{:?}", begun.elapsed());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_retained_message_is_for_exactly_its_topic_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let mut sender = Raw::connected(&sandbox, "sender").await;
    published(&mut sender, "r/1", "first", true).await;
    published(&mut sender, "r/1", "kept", true).await;
    published(&mut sender, "r/1", "not retained", false).await;
    published(&mut sender, "r/2", "removed", true).await;
    let mut watcher = Raw::connected(&sandbox, "watcher").await;
    subscribed(&mut watcher, "r/+").await;
    silent(&mut watcher).await;
    published(&mut sender, "r/2", "", true).await;
    let removal = received(&mut watcher, true).await;
    assert_eq!((removal.payload.len(), removal.retain), (0, false), "the removal is delivered like any message");
    sandbox.shutdown().await;

    let sandbox = start_with(dir.path(), Limits::unpaced()).await;
    let mut watcher = Raw::connected(&sandbox, "watcher").await;
    subscribed(&mut watcher, "r/2").await;
    silent(&mut watcher).await;
    subscribed(&mut watcher, "r/1").await;
    let found = received(&mut watcher, true).await;
    assert_eq!((found.payload, found.retain), ("kept".into(), true));
    // A last will may be retained as well.
    let will = LastWill { qos: QoS::AtLeastOnce, retain: true, topic: "r/3".into(), message: "gone".into() };
    let mut dying = Raw::claim(&sandbox).await;
    dying.send(Connect { last_will: Some(will), ..connect("dying") }.into()).await;
    assert!(matches!(dying.receive().await, Some(Packet::ConnectAck(_))));
    let mut audit = sandbox.audit();
    drop(dying);
    audited(&mut audit, |record| record.event == AuditEvent::Publish).await;
    subscribed(&mut watcher, "r/3").await;
    assert!(received(&mut watcher, true).await.retain);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn retained_messages_on_reserved_topics_or_too_often_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits::unpaced();
    limits.retained_per_second = 1;
    let sandbox = start_open(dir.path(), limits).await;
    let mut audit = sandbox.audit();
    let mut sender = Raw::connected(&sandbox, "sender").await;
    published(&mut sender, "r", "first", true).await;
    let Packet::Publish(packet) = publish("r", QoS::AtLeastOnce, b"second") else { unreachable!() };
    sender.send(Packet::Publish(Box::new(Publish { retain: true, ..*packet }))).await;
    silent(&mut sender).await;
    audited(&mut audit, |record| record.reason.as_deref().is_some_and(|words| words.contains("retained"))).await;
    let Packet::Publish(packet) = publish("$aws/rules/r/a", QoS::AtLeastOnce, b"") else { unreachable!() };
    sender.send(Packet::Publish(Box::new(Publish { retain: true, ..*packet }))).await;
    assert_eq!(sender.receive().await, None);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_shared_subscription_has_one_receiver_a_message() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let mut members = Vec::new();
    for id in ["one", "two"] {
        let mut member = Raw::connected(&sandbox, id).await;
        subscribed(&mut member, "$share/group/s/#").await;
        members.push(member);
    }
    let mut other = Raw::connected(&sandbox, "other").await;
    subscribed(&mut other, "$share/others/s/#").await;
    let mut sender = Raw::connected(&sandbox, "sender").await;
    for number in 0..40 {
        published(&mut sender, "s/a", &number.to_string(), false).await;
        assert_eq!(received(&mut other, true).await.payload, number.to_string(), "each group gets it");
    }
    let mut counts = Vec::new();
    for member in &mut members {
        let mut count = 0;
        member.send(publish("end", QoS::AtLeastOnce, b"")).await;
        while let Some(Packet::Publish(_)) = member.receive().await {
            count += 1;
        }
        counts.push(count);
    }
    // The answer to "end" overtakes at most what was published last.
    assert!(counts.iter().all(|count| *count > 0) && counts.iter().sum::<i32>() <= 40, "{counts:?}");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn basic_ingest_is_acknowledged_and_goes_to_no_client() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let mut audit = sandbox.audit();
    let mut watcher = Raw::connected(&sandbox, "watcher").await;
    subscribed(&mut watcher, "$aws/rules/#").await;
    let mut sender = Raw::connected(&sandbox, "sender").await;
    published(&mut sender, "$aws/rules/my_rule/1/2/3/4/5/6/7/8", "x", false).await;
    let ingest = audited(&mut audit, |record| record.event == AuditEvent::Publish).await;
    assert_eq!(ingest.reason.as_deref(), Some("Basic Ingest for rule my_rule"));
    silent(&mut watcher).await;
    sandbox.shutdown().await;
}

async fn event(watcher: &mut Raw, topic: &str) -> Value {
    let found = received(watcher, true).await;
    assert_eq!(&*found.topic, topic);
    serde_json::from_slice(&found.payload).expect("an event in JSON")
}

#[tokio::test]
async fn watchers_hear_who_comes_subscribes_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let mut watcher = Raw::connected(&sandbox, "watcher").await;
    for kind in ["presence/connected", "presence/disconnected", "subscriptions/+"] {
        subscribed(&mut watcher, &format!("$aws/events/{kind}/device")).await;
    }
    subscribed(&mut watcher, "$aws/events/presence/+/nobody").await;
    let mut device = Raw::connected(&sandbox, "device").await;
    let came = event(&mut watcher, "$aws/events/presence/connected/device").await;
    assert_eq!((&came["clientId"], &came["eventType"]), (&"device".into(), &"connected".into()));
    assert_eq!((&came["versionNumber"], &came["ipAddress"]), (&0.into(), &"127.0.0.1".into()));
    assert_eq!(came["principalIdentifier"].as_str().unwrap().len(), 64);
    assert!(came["timestamp"].as_u64().unwrap() > 1_600_000_000_000);
    subscribed(&mut device, "a").await;
    let subscribed_to = event(&mut watcher, "$aws/events/subscriptions/subscribed/device").await;
    assert_eq!(subscribed_to["topics"], serde_json::json!(["a"]));
    assert_eq!(subscribed_to["sessionIdentifier"], came["sessionIdentifier"]);
    device.send(Packet::Unsubscribe { packet_id: 3.try_into().unwrap(), topic_filters: vec!["a".into()] }).await;
    event(&mut watcher, "$aws/events/subscriptions/unsubscribed/device").await;
    let mut second = Raw::connected(&sandbox, "device").await;
    // The two may come in either order.
    let mut versions = Vec::new();
    for _ in 0..2 {
        let found: Value = serde_json::from_slice(&received(&mut watcher, true).await.payload).unwrap();
        versions.push((found["eventType"].as_str().unwrap().to_owned(), found["versionNumber"].clone()));
        if found["eventType"] == "disconnected" {
            assert_eq!(found["disconnectReason"], "DUPLICATE_CLIENTID");
            assert_eq!(found["clientInitiatedDisconnect"], false);
        }
    }
    versions.sort_by_key(|(kind, _)| kind.clone());
    assert_eq!(versions, [("connected".to_owned(), 1.into()), ("disconnected".to_owned(), 0.into())]);
    second.send(Packet::Disconnect).await;
    let went = event(&mut watcher, "$aws/events/presence/disconnected/device").await;
    assert_eq!((&went["clientInitiatedDisconnect"], &went["versionNumber"]), (&true.into(), &1.into()));
    let mut nobody = Raw::claim(&sandbox).await;
    nobody.send(connect("nobody").into()).await;
    assert_eq!(nobody.receive().await, None);
    let failed = event(&mut watcher, "$aws/events/presence/connect_failed/nobody").await;
    assert_eq!(failed["connectFailureReason"], "AUTHORIZATION_FAILED");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn bytes_beyond_the_allowed_rate_come_late() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits::unpaced();
    limits.bytes_per_second = 100_000;
    let sandbox = start_open(dir.path(), limits).await;
    let mut sender = Raw::connected(&sandbox, "sender").await;
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        published(&mut sender, "a", &"x".repeat(50_000), false).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    sandbox.shutdown().await;
}
