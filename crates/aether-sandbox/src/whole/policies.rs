//! Policies end to end, over MQTT.

use rmqtt_codec::types::QoS;
use rmqtt_codec::v3::{LastWill, Packet};

use super::{ALLOW_ALL, Registered, attach, change, group};
use crate::account::{PolicyName, PolicyTarget};
use crate::support::raw::{self, Raw};
use crate::support::{self, audited};
use crate::{AuditDecision, AuditEvent, ObserverError, Sandbox};

/// Device policies of the seeds, with Region and account filled in.
const BLOG_DEVICE: &str = include_str!("../../../aether-iot-policy/tests/data/blog-device.json");
const CONNECT_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}}"#;
const PUBLISH_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}}"#;

fn hung_up<T: std::fmt::Debug>(outcome: Result<T, ObserverError>) {
    assert!(matches!(outcome, Err(ObserverError::HungUp)), "{outcome:?}");
}

/// What the broker answers a CONNECT with.
async fn answer(sandbox: &Sandbox, shown: &Registered, connect: rmqtt_codec::v3::Connect) -> Option<Packet> {
    let version = &rustls::version::TLS13;
    let opened = Raw::open(sandbox.local_addr(), sandbox.files().ca(), &shown.certificate, &shown.key, version);
    let mut raw = opened.await.unwrap();
    raw.send(connect.into()).await;
    raw.receive().await
}

#[tokio::test]
async fn the_device_policy_of_the_blog_lets_in_only_the_attached_thing() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = Registered::new(&sandbox, "x").with_policies(&sandbox, &[("blog", BLOG_DEVICE)]);
    hung_up(device.connect(&sandbox, "press-3").await);
    let device = device.with_thing(&sandbox, "press-3", false);
    let client = device.connect(&sandbox, "press-3").await.unwrap();
    client.subscribe("my/topic").await.unwrap();
    hung_up(client.subscribe("my/other").await);
    hung_up(device.connect(&sandbox, "press-4").await);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_exclusive_attachment_tells_the_thing_whatever_the_client_id() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}},
        {"Effect":"Allow","Action":"iot:Publish","Resource":
         "arn:aws:iot:eu-west-1:123456789012:topic/${iot:Connection.Thing.Attributes[site]}/${iot:Connection.Thing.ThingName}"}]}"#;
    let device = Registered::new(&sandbox, "x").with_policies(&sandbox, &[("own", policy)]);
    let device = device.with_thing(&sandbox, "press-3", true);
    let client = device.connect(&sandbox, "any-name").await.unwrap();
    client.publish("hall-b/press-3", b"1").await.unwrap();
    hung_up(client.publish("hall-b/press-4", b"1").await);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn policies_of_groups_and_of_the_groups_above_count_and_stop_counting() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = Registered::new(&sandbox, "x").with_policies(&sandbox, &[("connect", CONNECT_ALL)]);
    let device = device.with_thing(&sandbox, "press-3", false);
    change(&sandbox, |tx| {
        tx.create_group(group("plant"), None, None, Default::default())?;
        tx.create_group(group("hall"), Some(group("plant")), None, Default::default())?;
        tx.set_groups(&"press-3".parse()?, vec![group("hall")])?;
        attach(tx, "publish", PUBLISH_ALL, &PolicyTarget::Group(group("plant")))
    });
    let client = device.connect(&sandbox, "press-3").await.unwrap();
    client.publish("a", b"1").await.unwrap();
    // Under another client id the connection has no Thing, and so no groups.
    let other = device.connect(&sandbox, "other").await.unwrap();
    hung_up(other.publish("a", b"1").await);
    change(&sandbox, |tx| tx.set_groups(&"press-3".parse()?, Vec::new()));
    hung_up(client.publish("a", b"1").await);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn of_several_policies_an_explicit_deny_wins_and_the_log_names_statement_version_and_sid() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let no_secrets = r#"{"Version":"2012-10-17","Statement":[
        {"Sid":"Connect","Effect":"Allow","Action":"iot:Connect","Resource":"*"},
        {"Sid":"NoSecrets","Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/secret/*"}]}"#;
    let policies = [("all", ALLOW_ALL), ("no-secrets", no_secrets)];
    let device = Registered::new(&sandbox, "x").with_policies(&sandbox, &policies);
    change(&sandbox, |tx| tx.create_policy_version(&"no-secrets".parse()?, no_secrets, true));
    let mut audit = sandbox.audit();
    let client = device.connect(&sandbox, "a").await.unwrap();
    client.publish("open", b"1").await.unwrap();
    hung_up(client.publish("secret/plan", b"1").await);
    let denied = audited(&mut audit, |record| record.decision == AuditDecision::Denied).await;
    let by = denied.decided_by.clone().unwrap();
    assert_eq!((by.policy.as_str(), by.version, by.statement), ("no-secrets", Some(2), 1));
    assert_eq!(by.sid.as_deref(), Some("NoSecrets"));
    assert_eq!(denied.topic.as_deref(), Some("secret/plan"));
    for part in [r#""policy":"no-secrets""#, r#""version":2"#, r#""statement":1"#, r#""sid":"NoSecrets""#] {
        assert!(denied.to_json().contains(part), "{}", denied.to_json());
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_change_of_policy_or_attachment_counts_from_the_next_packet_on() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let policies = [("connect", CONNECT_ALL), ("all", ALLOW_ALL)];
    let device = Registered::new(&sandbox, "x").with_policies(&sandbox, &policies);
    let all: PolicyName = "all".parse().unwrap();
    let target = PolicyTarget::Certificate(device.id.clone());

    // A live subscription stops being served, without a word.
    let mut watcher = device.connect(&sandbox, "watcher").await.unwrap();
    watcher.subscribe("news/#").await.unwrap();
    let client = device.connect(&sandbox, "writer").await.unwrap();
    client.publish("news/1", b"1").await.unwrap();
    assert_eq!(support::next(&mut watcher).await.topic, "news/1");
    change(&sandbox, |tx| tx.create_policy_version(&all, PUBLISH_ALL, true));
    let mut audit = sandbox.audit();
    client.publish("news/2", b"2").await.unwrap();
    let denied = audited(&mut audit, |record| record.event == AuditEvent::Receive).await;
    assert_eq!((denied.decision, denied.topic.as_deref()), (AuditDecision::Denied, Some("news/2")));
    change(&sandbox, |tx| tx.set_default_policy_version(&all, 1));
    client.publish("news/3", b"3").await.unwrap();
    assert_eq!(support::next(&mut watcher).await.topic, "news/3");

    change(&sandbox, |tx| tx.detach_policy(&all, &target));
    hung_up(client.publish("news/4", b"4").await);
    change(&sandbox, |tx| tx.attach_policy(&all, &target));
    let client = device.connect(&sandbox, "writer").await.unwrap();
    client.publish("news/5", b"5").await.unwrap();
    sandbox.shutdown().await;
}

#[tokio::test]
async fn conditions_see_persistent_sessions_last_wills_and_the_source_address() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["iot:Connect","iot:Publish"],"Resource":"*",
         "Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}},
        {"Effect":"Deny","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/volatile",
         "Condition":{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":["PersistentConnect"]}}},
        {"Effect":"Deny","Action":"iot:Connect","Resource":"*",
         "Condition":{"ArnEquals":{"iot:LastWillTopic":"arn:aws:iot:*:*:topic/alarm"}}},
        {"Effect":"Deny","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/elsewhere",
         "Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}"#;
    let device = Registered::new(&sandbox, "x").with_policies(&sandbox, &[("conditions", policy)]);
    let accepted = |answer: Option<Packet>| matches!(answer, Some(Packet::ConnectAck(_)));
    let persistent = |id: &str| rmqtt_codec::v3::Connect { clean_session: false, ..raw::connect(id) };
    let with_will = |topic: &'static str, retain| {
        let last_will =
            LastWill { qos: QoS::AtMostOnce, retain, topic: topic.into(), message: b"gone".to_vec().into() };
        rmqtt_codec::v3::Connect { last_will: Some(last_will), ..raw::connect("willing") }
    };
    assert!(accepted(answer(&sandbox, &device, raw::connect("volatile")).await));
    assert_eq!(answer(&sandbox, &device, persistent("volatile")).await, None);
    assert!(accepted(answer(&sandbox, &device, persistent("lasting")).await));
    assert!(accepted(answer(&sandbox, &device, with_will("goodbye", false)).await));
    assert_eq!(answer(&sandbox, &device, with_will("alarm", false)).await, None);
    assert_eq!(answer(&sandbox, &device, with_will("goodbye", true)).await, None, "needs iot:RetainPublish");
    assert_eq!(answer(&sandbox, &device, raw::connect("elsewhere")).await, None);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn certificate_fields_fill_in_policies() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
        {"Effect":"Allow","Action":"iot:Publish",
         "Resource":"arn:aws:iot:eu-west-1:123456789012:topic/${iot:Certificate.Subject.CommonName}"}]}"#;
    let device = Registered::new(&sandbox, "serial-17").with_policies(&sandbox, &[("subject", policy)]);
    let client = device.connect(&sandbox, "a").await.unwrap();
    client.publish("serial-17", b"1").await.unwrap();
    hung_up(client.publish("serial-18", b"1").await);
    sandbox.shutdown().await;
}
