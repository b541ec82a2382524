//! The control plane: who may ask, and what every operation has in common.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use aether_sandbox::{AuditDecision, AuditEvent, Sandbox, StartError};
use serde_json::json;
use support::http::{Plane, text};

const AUTHORIZATION: &str = "authorization: AWS4-HMAC-SHA256 Credential=x";

#[tokio::test]
async fn an_address_others_can_reach_needs_consent() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Sandbox::builder().dir(dir.path().join("sandbox")).listen("127.0.0.1:0".parse().unwrap());
    let error = builder.clone().control("0.0.0.0:0".parse().unwrap()).start().await.unwrap_err();
    assert!(matches!(error, StartError::Setting { name: "`control`", .. }), "{error}");
    assert!(error.to_string().contains("control_exposed"), "{error}");
    assert!(!dir.path().join("sandbox").exists());
    let sandbox = builder.control("0.0.0.0:0".parse().unwrap()).control_exposed(true).start().await.unwrap();
    assert!(sandbox.control_url().unwrap().starts_with("http://localhost:"));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn without_being_asked_for_there_is_no_control_plane() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(&dir.path().join("sandbox")).await;
    assert_eq!(sandbox.control_url(), None);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn operations_need_a_signature_or_the_ports_own_page() {
    let plane = Plane::start().await;
    let host = plane.host();
    let request = |head: &str| format!("GET /endpoint HTTP/1.1\r\n{head}\r\nconnection: close\r\n\r\n").into_bytes();
    let unsigned = plane.send(&request(&format!("host: {host}"))).await.unwrap();
    unsigned.refused(403, "MissingAuthenticationTokenException");
    let own = plane.send(&request(&format!("host: {host}\r\norigin: http://{host}"))).await.unwrap();
    assert_eq!(own.ok()["endpointAddress"], "localhost");
    for head in [
        format!("host: evil.example\r\n{AUTHORIZATION}"),
        format!("host: {host}\r\norigin: http://evil.example\r\n{AUTHORIZATION}"),
        format!("host: {host}\r\nsec-fetch-site: cross-site\r\n{AUTHORIZATION}"),
        AUTHORIZATION.to_owned(),
    ] {
        plane.send(&request(&head)).await.unwrap().refused(403, "ForbiddenException");
    }
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let plane = Plane::start().await;
    let answer = plane.get("/nonsense").await;
    answer.refused(404, "UnknownOperationException");
    assert!(text(&answer.body, "message").contains("CreatePolicy"));
    plane.get("/things/press-3/shadow").await.refused(501, "NotImplementedException");
    plane.ask("PUT", "/transfer-certificate/abc", &[], "").await.refused(501, "NotImplementedException");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn every_endpoint_type_is_the_broker() {
    let plane = Plane::start().await;
    for kind in ["", "?endpointType=iot:Data-ATS", "?endpointType=iot%3AData", "?endpointType=iot:CredentialProvider"] {
        let body = plane.get(&format!("/endpoint{kind}")).await.ok();
        assert_eq!(body["endpointAddress"], "localhost");
    }
    plane.get("/endpoint?endpointType=iot:Nothing").await.refused(400, "InvalidRequestException");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn changes_are_in_the_decision_log_without_keys() {
    let plane = Plane::start().await;
    let mut audit = plane.sandbox.audit();
    let made = plane.post("/keys-and-certificate", json!({})).await.ok();
    let record = support::audited_event(&mut audit, AuditEvent::ControlPlane).await;
    assert_eq!(record.operation.as_deref(), Some("CreateKeysAndCertificate"));
    assert_eq!(record.decision, AuditDecision::Allowed);
    assert_eq!(record.certificate_id.unwrap().as_str(), made["certificateId"]);
    plane.delete("/policies/none").await.refused(404, "ResourceNotFoundException");
    let record = support::audited_event(&mut audit, AuditEvent::ControlPlane).await;
    assert_eq!((record.operation.as_deref(), record.decision), (Some("DeletePolicy"), AuditDecision::Denied));
    assert_eq!(record.resource.as_deref(), Some("/policies/none"));
    let log = plane.sandbox.files().audit_log().to_owned();
    plane.sandbox.shutdown().await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("CreateKeysAndCertificate") && !log.contains("PRIVATE"), "{log}");
}

#[tokio::test]
async fn hostile_bytes_never_end_it() {
    let plane = Plane::start().await;
    let long = "x".repeat(100_000);
    let big = "y".repeat(2 * 1024 * 1024);
    let host = plane.host();
    for bytes in [
        b"\x00\x01\x02\xff\xfe".to_vec(),
        b"GET".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        format!("GET /{long} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes(),
        format!("GET /policies HTTP/1.1\r\nhost: {host}\r\nx: {long}\r\n\r\n").into_bytes(),
        format!("POST /policies/p HTTP/1.1\r\nhost: {host}\r\ncontent-length: -1\r\n\r\n").into_bytes(),
        format!("GET /policies/%zz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{AUTHORIZATION}\r\n\r\n")
            .into_bytes(),
        format!("GET /policies/%ff?%=& HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{AUTHORIZATION}\r\n\r\n")
            .into_bytes(),
    ] {
        let mut bytes = bytes;
        if !bytes.ends_with(b"\r\n\r\n") {
            bytes.extend_from_slice(b"\r\n\r\n");
        }
        if let Some(answer) = plane.send_last(&bytes).await {
            assert!((400..500).contains(&answer.status), "{}", answer.text);
        }
    }
    let answer = plane.post("/policies/p", json!({ "policyDocument": big })).await;
    answer.refused(413, "RequestEntityTooLargeException");
    assert_eq!(plane.get("/endpoint").await.ok()["endpointAddress"], "localhost");
    plane.sandbox.shutdown().await;
}
