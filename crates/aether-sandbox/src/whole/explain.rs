//! Explanations, for clients that are connected and for those that are not.

use super::{ALLOW_ALL, Registered, change};
use crate::{Action, CertificateStatus, ExplainError, Question, support};

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
    let json: serde_json::Value = serde_json::from_str(&publish.to_json()).unwrap();
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
