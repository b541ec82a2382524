//! Explanations, for clients that are connected and for those that are not.

use proptest::collection::vec;
use proptest::sample::select;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{ALLOW_ALL, Registered, change};
use crate::{Action, CertificateStatus, ExplainError, Question, Sandbox, support};

const OWN_TOPIC: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.1"}}},
    {"Sid":"Own","Effect":"Allow","Action":"iot:Publish",
     "Resource":"arn:aws:iot:eu-west-1:123456789012:topic/${iot:Connection.Thing.ThingName}"}]}"#;

#[tokio::test]
async fn a_client_that_is_not_connected_is_explained_by_the_certificate_of_its_thing() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = Registered::new(&sandbox, "x").with_policies(&sandbox, &[("own", OWN_TOPIC)]);
    let device = device.with_thing(&sandbox, "press-3", false);
    let asked = |question: &Question| sandbox.explain(question).unwrap();

    let publish = asked(&Question::new("press-3", Action::Publish, "press-3"));
    assert_eq!((&publish.certificate, publish.connected), (&device.id, false));
    assert_eq!(publish.thing.as_deref(), Some("press-3"));
    assert_eq!(publish.policies, [("own".to_owned(), 1)]);
    assert_eq!(publish.explanation.decision.as_str(), "ALLOWED");
    let json: Value = serde_json::from_str(&publish.to_json()).unwrap();
    assert_eq!(json["decidedBy"]["sid"], "Own");
    assert_eq!(json["certificateId"], device.id.as_str());
    assert_eq!(json["certificateStatus"], "ACTIVE");
    assert_eq!(json["policies"][0]["version"], 1);
    assert_eq!(json["statements"].as_array().unwrap().len(), 2);
    let text = publish.to_string();
    assert!(text.contains("speaks for Thing press-3") && text.contains("own version 1"), "{text}");

    let arn = "arn:aws:iot:eu-west-1:123456789012:topic/press-4";
    let other = asked(&Question::new("press-3", Action::Publish, arn));
    assert_eq!(other.explanation.decision.as_str(), "IMPLICIT_DENY");

    let here = Question::new("press-3", Action::Connect, "press-3");
    assert_eq!(asked(&here.clone()).explanation.decision.as_str(), "IMPLICIT_DENY", "no address is known");
    let here = here.source_ip([127, 0, 0, 1].into());
    assert_eq!(asked(&here).explanation.decision.as_str(), "ALLOWED");

    let stranger = Question::new("stranger", Action::Publish, "press-3").certificate(device.id.clone());
    let stranger = asked(&stranger);
    assert_eq!(stranger.explanation.decision.as_str(), "IMPLICIT_DENY");
    assert!(
        stranger.explanation.to_string().contains("not the name of the attached Thing"),
        "{}",
        stranger.explanation
    );

    change(&sandbox, |tx| tx.set_status(&device.id, CertificateStatus::Inactive));
    assert_eq!(asked(&Question::new("press-3", Action::Publish, "press-3")).status, CertificateStatus::Inactive);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_publish_that_no_policy_can_help_is_said_not_to_be_served() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = Registered::new(&sandbox, "x").with_policies(&sandbox, &[("all", ALLOW_ALL)]);
    let asked = |action: Action, resource: &str| {
        sandbox.explain(&Question::new("x", action, resource).certificate(device.id.clone())).unwrap()
    };
    let shadow = "$aws/things/x/shadow/update";
    for resource in [shadow.to_owned(), format!("arn:aws:iot:eu-west-1:123456789012:topic/{shadow}")] {
        let answer = asked(Action::Publish, &resource);
        assert!(answer.unserved && answer.explanation.decision.as_str() == "ALLOWED", "{resource}");
        assert!(answer.to_string().contains("not served"), "{answer}");
        assert!(answer.to_json().contains("\"unserved\":true"), "{}", answer.to_json());
    }
    for (action, resource) in [
        (Action::Publish, "$aws/certificates/create/json"),
        (Action::Publish, "$aws/rules/r/a"),
        (Action::Publish, "press-3"),
        (Action::Subscribe, shadow),
    ] {
        let answer = asked(action, resource);
        assert!(!answer.unserved && !answer.to_string().contains("not served"), "{answer}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_connected_client_is_explained_by_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = Registered::new(&sandbox, "x").with_policies(&sandbox, &[("own", OWN_TOPIC)]);
    let client = device.connect(&sandbox, "anything").await.unwrap();
    let connect = sandbox.explain(&Question::new("anything", Action::Connect, "anything")).unwrap();
    assert!(connect.connected && connect.certificate == device.id);
    assert_eq!(connect.explanation.decision.as_str(), "ALLOWED", "its address is known");
    // Asked about another certificate, the connection does not matter.
    let other = Registered::new(&sandbox, "y").with_policies(&sandbox, &[("all", ALLOW_ALL)]);
    let question = Question::new("anything", Action::Publish, "a").certificate(other.id.clone());
    let answer = sandbox.explain(&question).unwrap();
    assert!(!answer.connected && answer.explanation.decision.as_str() == "ALLOWED");
    client.disconnect().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_explained_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let nobody = sandbox.explain(&Question::new("nobody", Action::Publish, "a"));
    assert!(matches!(nobody, Err(ExplainError::NoCertificate { .. })), "{nobody:?}");
    let unknown = "00".repeat(32).parse().unwrap();
    let unknown = sandbox.explain(&Question::new("nobody", Action::Publish, "a").certificate(unknown));
    assert!(matches!(unknown, Err(ExplainError::UnknownCertificate { .. })), "{unknown:?}");
    let resource = sandbox.explain(&Question::new("nobody", Action::Publish, "arn:aws:iot"));
    assert!(matches!(resource, Err(ExplainError::Resource { .. })), "{resource:?}");
    sandbox.shutdown().await;
}

/// Few clients, topics and filters, so that statements often meet what is asked.
const CLIENTS: [&str; 2] = ["press-3", "press-4"];
const TOPICS: [&str; 3] = ["press-3", "a/b", "a/c"];
const FILTERS: [&str; 4] = ["a/+", "a/b", "press-3/#", "$share/g/a/b"];

fn statement() -> impl Strategy<Value = Value> {
    let effect = select(&["Allow", "Allow", "Allow", "Deny"][..]);
    let action = select(
        &[
            "iot:*",
            "iot:Connect",
            "iot:Connect",
            "iot:Connect",
            "iot:Publish",
            "iot:Subscribe",
            "iot:P*",
            "iot:?ubscribe",
        ][..],
    );
    let resource = select(
        &[
            "*",
            "client/press-3",
            "client/press-?",
            "client/${iot:Connection.Thing.ThingName}",
            "topic/${iot:ClientId}",
            "topic/a/*",
            "topic/a/?",
            "topicfilter/a/+",
            "topicfilter/a/*",
            "topicfilter/${iot:ClientId}/#",
            "t*",
        ][..],
    );
    let condition = select(
        [
            json!({}),
            json!({}),
            json!({ "Bool": { "iot:Connection.Thing.IsAttached": "true" } }),
            json!({ "Bool": { "iot:Connection.Thing.IsAttached": "false" } }),
            json!({ "IpAddress": { "aws:SourceIp": "127.0.0.0/8" } }),
            json!({ "NotIpAddress": { "aws:SourceIp": "127.0.0.1" } }),
            json!({ "StringEquals": { "iot:ClientId": "press-3" } }),
            json!({ "StringNotLike": { "iot:Connection.Thing.ThingName": "press-*" } }),
        ]
        .to_vec(),
    );
    (effect, action, resource, condition).prop_map(|(effect, action, resource, condition)| {
        let resource = match resource {
            "*" => resource.to_owned(),
            other => format!("arn:aws:iot:eu-west-1:123456789012:{other}"),
        };
        let mut statement = json!({ "Effect": effect, "Action": action, "Resource": resource });
        if condition != json!({}) {
            statement["Condition"] = condition;
        }
        statement
    })
}

/// Whether the explanation allows.
fn allowed(sandbox: &Sandbox, question: &Question) -> bool {
    sandbox.explain(question).unwrap().explanation.decision.as_str() == "ALLOWED"
}

#[tokio::test]
async fn explanations_agree_with_what_the_broker_does_whatever_the_policies_say() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut runner = TestRunner::deterministic();
    let cases = (vec(vec(statement(), 1..5), 1..3), select(&[None, Some(false), Some(true)][..]));
    let (mut let_in, mut denied) = (0, 0);
    for case in 0..80 {
        let (policies, thing) = cases.new_tree(&mut runner).unwrap().current();
        let policies: Vec<_> = policies
            .into_iter()
            .enumerate()
            .map(|(at, statements)| {
                (format!("p{case}-{at}"), json!({ "Version": "2012-10-17", "Statement": statements }).to_string())
            })
            .collect();
        let named: Vec<_> = policies.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let mut device = Registered::new(&sandbox, "x").with_policies(&sandbox, &named);
        if let Some(exclusive) = thing {
            let name = if exclusive { format!("press-{case}-own") } else { "press-3".to_owned() };
            device = device.with_thing(&sandbox, &name, exclusive);
        }
        for id in CLIENTS {
            let told = format!("{id} with Thing {thing:?} and {policies:?}");
            let ask = |action, target: &str| {
                let asked = Question::new(id, action, target).certificate(device.id.clone());
                allowed(&sandbox, &asked.source_ip([127, 0, 0, 1].into()))
            };
            let expected = ask(Action::Connect, id);
            let offline: Vec<_> = TOPICS.iter().map(|topic| ask(Action::Publish, topic)).collect();
            let mut client = device.connect(&sandbox, id).await.ok();
            assert_eq!(client.is_some(), expected, "connect as {told}");
            denied += u32::from(client.is_none());
            let asked = TOPICS.iter().map(|topic| (Action::Publish, topic));
            for (at, (action, target)) in asked.chain(FILTERS.iter().map(|f| (Action::Subscribe, f))).enumerate() {
                let Some(connected) = &client else { break };
                let expected = ask(action, target);
                assert!(offline.get(at).is_none_or(|before| *before == expected), "connected or not, {told}");
                let done = match action == Action::Publish {
                    true => connected.publish(target, b"1").await,
                    false => connected.subscribe(target).await,
                };
                assert_eq!(done.is_ok(), expected, "{action} on {target} as {told}");
                let_in += u32::from(expected);
                denied += u32::from(!expected);
                if !expected {
                    client = device.connect(&sandbox, id).await.ok();
                    assert!(client.is_some(), "{told}");
                }
            }
            if let Some(client) = client {
                client.disconnect().await;
            }
        }
    }
    assert!(let_in > 30 && denied > 30, "{let_in} allowed, {denied} denied");
    sandbox.shutdown().await;
}
