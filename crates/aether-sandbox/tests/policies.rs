//! What the policies let each certificate do, and what happens when they do not.

mod support;

use aether_sandbox::{AuditDecision, AuditEvent, AuditRecord, CertificateKind, Observer, ObserverError, Sandbox};
use support::{audited, provision};

fn denied(event: AuditEvent) -> impl Fn(&AuditRecord) -> bool {
    move |record| record.event == event && record.decision == AuditDecision::Denied
}

async fn with_device(dir: &std::path::Path) -> (Sandbox, support::Device) {
    let sandbox = support::start(dir).await;
    let device = provision(&sandbox, "1").await;
    (sandbox, device)
}

#[tokio::test]
async fn a_device_may_publish_to_the_topic_of_its_client_id_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (sandbox, device) = with_device(dir.path()).await;
    let mut audit = sandbox.audit();
    for topic in ["aether-2", "aether-1/status", "$aws/things/aether-1/shadow/update"] {
        let client = support::device(&sandbox, &device).await;
        client.publish("aether-1", b"fine").await.unwrap();
        let hung_up = client.publish(topic, b"not fine").await;
        assert!(matches!(hung_up, Err(ObserverError::HungUp)), "{topic}: {hung_up:?}");
        let record = audited(&mut audit, denied(AuditEvent::Publish)).await;
        assert_eq!(record.topic.as_deref(), Some(topic));
        assert_eq!(record.client_id.as_deref(), Some("aether-1"));
        assert_eq!(record.certificate_kind, Some(CertificateKind::Device));
        assert_eq!(record.decided_by, None, "nothing allowed it, so the default decided");
        let end = audited(&mut audit, |record| {
            record.event == AuditEvent::Disconnect && record.client_id.as_deref() == Some("aether-1")
        })
        .await;
        assert!(end.reason.unwrap().starts_with("AUTH_ERROR"));
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_was_sent_before_a_violation_is_still_acknowledged() {
    use rmqtt_codec::types::QoS;
    use rmqtt_codec::v3::Packet;
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut raw = support::raw::Raw::connected(&sandbox, "claim").await;
    let good = support::raw::publish(support::CREATE, QoS::AtLeastOnce, b"{}");
    let bad = support::raw::publish("aether-1", QoS::AtLeastOnce, b"{}");
    raw.send(good).await;
    raw.send(bad).await;
    assert!(matches!(raw.receive().await, Some(Packet::PublishAck { .. })));
    assert_eq!(raw.receive().await, None, "one PUBACK, then the hang-up");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_claim_that_publishes_to_a_thing_topic_is_hung_up_on() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut audit = sandbox.audit();
    let client = support::claim(&sandbox, "claim").await;
    let hung_up = client.publish("aether-1", b"{}").await;
    assert!(matches!(hung_up, Err(ObserverError::HungUp)), "{hung_up:?}");
    let record = audited(&mut audit, denied(AuditEvent::Publish)).await;
    assert_eq!(record.certificate_kind, Some(CertificateKind::Claim));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_subscription_beyond_the_policy_ends_the_connection_without_suback() {
    let dir = tempfile::tempdir().unwrap();
    let (sandbox, device) = with_device(dir.path()).await;
    for filter in ["#", "aether-1", "aether-2/#", "$aws/#"] {
        let client = support::device(&sandbox, &device).await;
        client.subscribe("aether-1/#").await.unwrap();
        let hung_up = client.subscribe(filter).await;
        assert!(matches!(hung_up, Err(ObserverError::HungUp)), "{filter}: {hung_up:?}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_allowed_decision_names_the_statement_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (sandbox, device) = with_device(dir.path()).await;
    let mut audit = sandbox.audit();
    let client = support::device(&sandbox, &device).await;
    client.subscribe("aether-1/sigils/+/write").await.unwrap();
    client.publish("aether-1", b"{}").await.unwrap();
    for (event, statement) in [(AuditEvent::Connect, 0), (AuditEvent::Subscribe, 2), (AuditEvent::Publish, 1)] {
        let record = audited(&mut audit, |record| record.event == event).await;
        assert_eq!(record.decision, AuditDecision::Allowed);
        let by = record.decided_by.unwrap();
        assert_eq!((by.policy.as_str(), by.statement), ("aether-device", statement));
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_observer_watches_everything_and_publishes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (sandbox, device) = with_device(dir.path()).await;
    let mut watcher = support::observer(&sandbox, "#").await;
    let client = support::device(&sandbox, &device).await;
    client.publish("aether-1", b"seen").await.unwrap();
    assert_eq!(support::next(&mut watcher).await.payload, b"seen");
    let hung_up = watcher.publish("aether-1/sigils/a/write", b"1").await;
    assert!(matches!(hung_up, Err(ObserverError::HungUp)), "{hung_up:?}");
    support::closed(&watcher).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_denied_delivery_is_silent_and_the_subscription_stands() {
    let dir = tempfile::tempdir().unwrap();
    let (sandbox, device) = with_device(dir.path()).await;
    sandbox.shutdown().await;
    // The device may now subscribe to everything below its name, but receive only one branch; and
    // publish there, so that it can write to itself.
    let policy = dir.path().join("policies/aether-device.json");
    let text = std::fs::read_to_string(&policy).unwrap();
    let narrow = text
        .replace(
            "\"iot:Receive\",\n      \"Resource\": \"arn:aws:iot:eu-west-1:123456789012:topic/${iot:ClientId}/*",
            "\"iot:Receive\",\n      \"Resource\": \"arn:aws:iot:eu-west-1:123456789012:topic/${iot:ClientId}/open/*",
        )
        .replace(
            "\"iot:Publish\",\n      \"Resource\": \"arn:aws:iot:eu-west-1:123456789012:topic/${iot:ClientId}\"",
            "\"iot:Publish\",\n      \"Resource\": \"arn:aws:iot:eu-west-1:123456789012:topic/${iot:ClientId}/*\"",
        );
    std::fs::write(&policy, narrow).unwrap();

    let sandbox = support::start(dir.path()).await;
    let mut audit = sandbox.audit();
    let mut client = support::device(&sandbox, &device).await;
    client.subscribe("aether-1/#").await.unwrap();
    client.publish("aether-1/closed/a", b"1").await.unwrap();
    client.publish("aether-1/open/a", b"2").await.unwrap();
    let heard = support::next(&mut client).await;
    assert_eq!((heard.topic.as_str(), heard.payload.as_slice()), ("aether-1/open/a", &b"2"[..]));
    let record = audited(&mut audit, denied(AuditEvent::Receive)).await;
    assert_eq!(record.topic.as_deref(), Some("aether-1/closed/a"));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_explicit_deny_is_named_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (sandbox, device) = with_device(dir.path()).await;
    sandbox.shutdown().await;
    let policy = dir.path().join("policies/aether-device.json");
    std::fs::write(
        &policy,
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"iot:*","Resource":"*"},
            {"Effect":"Deny","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/aether-1"}]}"#,
    )
    .unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut audit = sandbox.audit();
    let refused = Observer::connect(sandbox.local_addr(), &device.credentials, "aether-1").await;
    assert!(matches!(refused, Err(ObserverError::HungUp)), "{refused:?}");
    let record = audited(&mut audit, denied(AuditEvent::Connect)).await;
    assert_eq!(record.decided_by.unwrap().to_string(), "statement 1 of policy aether-device");
    let other = Observer::connect(sandbox.local_addr(), &device.credentials, "another").await;
    assert!(other.is_ok());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_certificate_switched_off_is_cut_and_stays_out() {
    use aether_sandbox::CertificateStatus;
    let dir = tempfile::tempdir().unwrap();
    let (sandbox, device) = with_device(dir.path()).await;
    let id = device.certificate_id.parse().unwrap();
    for status in [CertificateStatus::Inactive, CertificateStatus::Revoked] {
        sandbox.set_certificate_status(&id, CertificateStatus::Active).await.unwrap();
        let client = support::device(&sandbox, &device).await;
        sandbox.set_certificate_status(&id, status).await.unwrap();
        support::closed(&client).await;
        let refused = Observer::connect(sandbox.local_addr(), &device.credentials, "aether-1").await;
        assert!(matches!(refused, Err(ObserverError::HungUp)), "{status}: {refused:?}");
    }
    sandbox.shutdown().await;
}
