//! The broker's manners: take-over, limits, quality of service, and bytes that are no MQTT.

mod support;

use std::time::Duration;

use aether_sandbox::{AuditEvent, Limits, Observer, ObserverError};
use rmqtt_codec::types::{Protocol, QoS};
use rmqtt_codec::v3::{Connect, ConnectAckReason, LastWill, Packet, SubscribeReturnCode};
use support::raw::{Raw, connect, publish, subscribe};
use support::{CREATE, audited, audited_event, provision};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn a_second_connection_with_the_same_client_id_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = provision(&sandbox, "1").await;
    let mut audit = sandbox.audit();
    let first = support::device(&sandbox, &device).await;
    let second = support::device(&sandbox, &device).await;
    support::closed(&first).await;
    second.publish("aether-1", b"mine").await.unwrap();
    let end = audited(&mut audit, |record| {
        record.event == AuditEvent::Disconnect && record.client_id.as_deref() == Some("aether-1")
    })
    .await;
    assert!(end.reason.unwrap().starts_with("DUPLICATE_CLIENTID"));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_client_without_an_id_gets_one_with_a_clean_session_and_none_without() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut audit = sandbox.audit();
    let mut raw = Raw::claim(&sandbox).await;
    raw.send(connect("").into()).await;
    let Some(Packet::ConnectAck(ack)) = raw.receive().await else { panic!("no CONNACK") };
    assert_eq!(ack.return_code, ConnectAckReason::ConnectionAccepted);
    let admitted = audited_event(&mut audit, AuditEvent::Connect).await;
    assert!(admitted.client_id.unwrap().starts_with("$GEN/"));

    let mut raw = Raw::claim(&sandbox).await;
    raw.send(Connect { clean_session: false, ..connect("") }.into()).await;
    assert_eq!(raw.receive_bytes().await, [0x20, 2, 0, 2], "identifier rejected, MQTT 3.1.1 section 3.1.3.1");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_user_name_is_tolerated_and_a_session_not_left_is_not_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    for clean_session in [true, false] {
        let mut raw = Raw::claim(&sandbox).await;
        let username = Some("?SDK=test&Platform=x".into());
        raw.send(Connect { clean_session, username, ..connect("claim") }.into()).await;
        let Some(Packet::ConnectAck(ack)) = raw.receive().await else { panic!("no CONNACK") };
        assert_eq!(ack.return_code, ConnectAckReason::ConnectionAccepted);
        assert!(!ack.session_present);
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn connects_that_aws_refuses_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let long = "x".repeat(129);
    let will = |qos, topic: &str| Some(LastWill { qos, retain: false, topic: topic.into(), message: "gone".into() });
    let cases = [
        (connect("$reserved"), Some(ConnectAckReason::IdentifierRejected)),
        (connect(&long), Some(ConnectAckReason::IdentifierRejected)),
        (Connect { password: Some("p".into()), ..connect("a") }, None),
        (Connect { last_will: will(QoS::ExactlyOnce, CREATE), ..connect("a") }, None),
        (Connect { last_will: will(QoS::AtLeastOnce, "aether-1"), ..connect("a") }, None),
        (Connect { last_will: will(QoS::AtLeastOnce, "a/#"), ..connect("a") }, None),
    ];
    for (connect, expected) in cases {
        let mut raw = Raw::claim(&sandbox).await;
        let described = format!("{connect:?}");
        raw.send(connect.into()).await;
        let answer = raw.receive().await;
        match expected {
            Some(code) => {
                let Some(Packet::ConnectAck(ack)) = answer else { panic!("{described}: {answer:?}") };
                assert_eq!(ack.return_code, code, "{described}");
                assert_eq!(raw.receive().await, None, "{described}");
            }
            None => assert_eq!(answer, None, "{described}"),
        }
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn mqtt_3_1_is_told_that_its_version_is_not_spoken() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut old = Raw::claim(&sandbox).await;
    old.send_bytes(b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a").await;
    assert_eq!(old.receive_bytes().await, [0x20, 0x02, 0x00, 0x01]);
    assert_eq!(Protocol::default().level(), 4);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn protocol_errors_and_exceeded_limits_end_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let too_long = format!("$aws/certificates/create/{}", "x".repeat(240));
    let too_big = vec![b'x'; 128 * 1024 + 1];
    let cases = [
        ("second CONNECT", connect("claim").into()),
        ("wildcard in a topic name", publish("$aws/certificates/create/+", QoS::AtLeastOnce, b"")),
        ("too long a topic", publish(&too_long, QoS::AtLeastOnce, b"")),
        ("too many slashes", publish("$aws/certificates/create/1/2/3/4/5/6", QoS::AtLeastOnce, b"")),
        ("too big a payload", publish(CREATE, QoS::AtLeastOnce, &too_big)),
        ("reserved topic", publish("$aws/certificates/create/xml", QoS::AtLeastOnce, b"")),
        ("malformed filter", subscribe(&[("$aws/certificates/create/#/x", QoS::AtLeastOnce)])),
        ("QoS 2 release", Packet::PublishRelease { packet_id: 1.try_into().unwrap() }),
        ("server packet", Packet::PingResponse),
    ];
    for (what, packet) in cases {
        let mut raw = Raw::connected(&sandbox, "claim").await;
        raw.send(packet).await;
        assert_eq!(raw.receive().await, None, "{what}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn qos_2_is_left_without_an_answer_on_an_open_connection() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut raw = Raw::connected(&sandbox, "claim").await;
    raw.send(publish(CREATE, QoS::ExactlyOnce, b"{}")).await;
    raw.send(subscribe(&[("$aws/certificates/create/json/accepted", QoS::ExactlyOnce)])).await;
    raw.send(Packet::PingRequest).await;
    assert_eq!(raw.receive().await, Some(Packet::PingResponse), "nothing came before it");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn subscription_limits_answer_with_the_failure_code() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut raw = Raw::connected(&sandbox, "claim").await;
    let filters: Vec<String> = (0..60).map(|n| format!("$aws/certificates/create/{n}")).collect();
    let mut granted = 0;
    for eight in filters.chunks(8) {
        let eight: Vec<(&str, QoS)> = eight.iter().map(|f| (f.as_str(), QoS::AtLeastOnce)).collect();
        raw.send(subscribe(&eight)).await;
        let Some(Packet::SubscribeAck { status, .. }) = raw.receive().await else { panic!("no SUBACK") };
        granted += status.iter().filter(|code| **code != SubscribeReturnCode::Failure).count();
    }
    assert_eq!(granted, 50);

    let mut raw = Raw::connected(&sandbox, "claim").await;
    let nine: Vec<(&str, QoS)> = filters[..9].iter().map(|f| (f.as_str(), QoS::AtLeastOnce)).collect();
    raw.send(subscribe(&nine)).await;
    let Some(Packet::SubscribeAck { status, .. }) = raw.receive().await else { panic!("no SUBACK") };
    assert_eq!(status, vec![SubscribeReturnCode::Failure; 9]);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn silence_beyond_one_and_a_half_keep_alives_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits::default();
    limits.keep_alive_min = Duration::from_secs(1);
    let sandbox = support::start_with(dir.path(), limits).await;
    let mut audit = sandbox.audit();
    let mut raw = Raw::claim(&sandbox).await;
    raw.send(Connect { keep_alive: 1, ..connect("claim") }.into()).await;
    assert!(matches!(raw.receive().await, Some(Packet::ConnectAck(_))));
    let begun = std::time::Instant::now();
    assert_eq!(raw.receive().await, None);
    assert!(begun.elapsed() >= Duration::from_millis(1400), "{:?}", begun.elapsed());
    let end = audited_event(&mut audit, AuditEvent::Disconnect).await;
    assert!(end.reason.unwrap().starts_with("MQTT_KEEP_ALIVE_TIMEOUT"));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_last_will_is_sent_when_the_client_goes_without_goodbye() {
    let dir = tempfile::tempdir().unwrap();
    support::start(dir.path()).await.shutdown().await;
    std::fs::write(
        dir.path().join("policies/aether-claim.json"),
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#,
    )
    .unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut watcher = support::observer(&sandbox, "will/#").await;
    let will =
        |topic: &str| LastWill { qos: QoS::AtLeastOnce, retain: false, topic: topic.into(), message: "gone".into() };
    for (topic, polite) in [("will/polite", true), ("will/rude", false)] {
        let mut raw = Raw::claim(&sandbox).await;
        raw.send(Connect { last_will: Some(will(topic)), ..connect("claim") }.into()).await;
        assert!(matches!(raw.receive().await, Some(Packet::ConnectAck(_))));
        if polite {
            raw.send(Packet::Disconnect).await;
            assert_eq!(raw.receive().await, None);
        }
    }
    assert_eq!(support::next(&mut watcher).await.topic, "will/rude");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_reader_that_acknowledges_late_gets_everything_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = provision(&sandbox, "1").await;
    let mut watcher = support::observer(&sandbox, "aether-1").await;
    let client = support::device(&sandbox, &device).await;
    // More than may be unacknowledged at once; the watcher acknowledges only as it reads below.
    for number in 0..250_u32 {
        client.publish("aether-1", number.to_string().as_bytes()).await.unwrap();
    }
    for number in 0..250_u32 {
        assert_eq!(support::next(&mut watcher).await.payload, number.to_string().as_bytes());
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn bytes_that_are_no_tls_or_no_mqtt_never_stop_it() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut audit = sandbox.audit();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 2000], &[0xff; 2000], b"\x16\x03\x01\xff\xff", b""] {
        let mut socket = TcpStream::connect(sandbox.local_addr()).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Closed or reset, with or without an alert: over in any case.
        let _ = timeout(support::PATIENCE, socket.read_to_end(&mut answer)).await.unwrap();
        audited(&mut audit, |record| record.event == AuditEvent::TlsHandshake).await;
    }
    let junk: [&[u8]; 8] = [
        b"\x00\x00",
        b"\x10\x00",
        b"\x10\xff\xff\xff\xff\xff",
        b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x04",
        b"\x30\x02\x00\x00",
        b"\xf0\x00",
        b"\x10\x0a\x00\x04MQTT\x04\x01\x00\x00",
        b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\xff\xff\xff\xff\xff",
    ];
    for bytes in junk {
        let mut raw = Raw::claim(&sandbox).await;
        raw.send_bytes(bytes).await;
        raw.send_bytes(&[0x55; 64]).await;
        assert_eq!(raw.receive_bytes().await, b"", "{bytes:?}");
    }
    for bytes in [&b"\x82\x02\x00\x01"[..], b"\x32\x03\x00\x05a", b"\x90\x00", b"\x0f\x00", b"\x30\x04\x00\x02\xff\xfe"]
    {
        let mut raw = Raw::connected(&sandbox, "claim").await;
        raw.send_bytes(bytes).await;
        assert_eq!(raw.receive().await, None, "{bytes:?}");
    }
    provision(&sandbox, "after-all-that").await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_client_without_a_certificate_or_with_a_strange_one_fails_the_handshake() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let other = support::start(elsewhere.path()).await;
    let mut audit = sandbox.audit();
    let read = |path: &std::path::Path| std::fs::read(path).unwrap();
    let mixed = aether_sandbox::Credentials::from_pem(
        &read(sandbox.files().ca()),
        &read(other.files().claim_cert()),
        &read(other.files().claim_key()),
    )
    .unwrap();
    let refused = Observer::connect(sandbox.local_addr(), &mixed, "stranger").await;
    assert!(matches!(refused, Err(ObserverError::Tls { .. })), "{refused:?}");
    let record = audited_event(&mut audit, AuditEvent::TlsHandshake).await;
    assert!(record.certificate_id.is_some());
    assert!(record.reason.unwrap().contains("no registered CA certificate signed it"));

    // The right certificate with another key: the handshake signature gives it away.
    let forged = aether_sandbox::Credentials::from_pem(
        &read(sandbox.files().ca()),
        &read(sandbox.files().claim_cert()),
        &read(other.files().claim_key()),
    )
    .unwrap();
    let refused = Observer::connect(sandbox.local_addr(), &forged, "forger").await;
    assert!(matches!(refused, Err(ObserverError::Tls { .. })), "{refused:?}");
    other.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_client_that_goes_without_a_tls_goodbye_is_recorded_in_plain_words() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut audit = sandbox.audit();
    // Dropped, these close TCP and send no close_notify.
    drop(Raw::connected(&sandbox, "claim").await);
    let end = audited_event(&mut audit, AuditEvent::Disconnect).await;
    assert_eq!(end.reason.as_deref(), Some("CONNECTION_LOST: closed by the client"));
    drop(Raw::claim(&sandbox).await);
    let end = audited_event(&mut audit, AuditEvent::Connect).await;
    assert_eq!(end.reason.as_deref(), Some("closed before CONNECT"));
    sandbox.shutdown().await;
}
