//! The control plane: signing requests, claims for trusted users, `RegisterThing`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use aether_sandbox::{Credentials, Observer};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use support::http::{Plane, text};

fn csr() -> String {
    CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

/// A template for `RegisterThing`, with the certificate given as `properties` say.
fn template(properties: Value) -> String {
    json!({
        "Parameters": { "SerialNumber": { "Type": "String" }, "Certificate": { "Type": "String" } },
        "Resources": {
            "thing": { "Type": "AWS::IoT::Thing", "Properties": {
                "ThingName": { "Ref": "SerialNumber" }, "AttributePayload": { "hall": "b" } } },
            "certificate": { "Type": "AWS::IoT::Certificate", "Properties": properties },
            "policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "aether-device" } },
        },
    })
    .to_string()
}

#[tokio::test]
async fn a_signing_request_is_answered_with_a_certificate() {
    let plane = Plane::start().await;
    let body = json!({ "certificateSigningRequest": csr() });
    let made = plane.post("/certificates?setAsActive=true", body).await.ok();
    let found = plane.get(&format!("/certificates/{}", text(&made, "certificateId"))).await.ok();
    assert_eq!(found["certificateDescription"]["status"], "ACTIVE");
    for bad in [json!({ "certificateSigningRequest": "x" }), json!({})] {
        plane.post("/certificates", bad).await.refused(400, "InvalidRequestException");
    }
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_claim_for_a_trusted_user_provisions_for_five_minutes_and_is_not_listed() {
    let plane = Plane::start().await;
    let claim = plane.ask("POST", "/provisioning-templates/Aether/provisioning-claim", &[], "").await.ok();
    let ca = std::fs::read(plane.sandbox.files().ca()).unwrap();
    let (pem, key) = (text(&claim, "certificatePem"), text(&claim["keyPair"], "PrivateKey"));
    let credentials = Credentials::from_pem(&ca, pem.as_bytes(), key.as_bytes()).unwrap();
    let mut client = Observer::connect(plane.sandbox.local_addr(), &credentials, "trusted").await.unwrap();
    support::listen_for_answers(&client).await;
    assert!(support::ask(&mut client, support::CREATE, b"{}").await.is_ok());
    let listed = plane.get("/certificates?pageSize=250").await.ok();
    assert!(!listed.to_string().contains(&text(&claim, "certificateId")));
    plane.sandbox.advance(Duration::from_secs(301));
    assert!(Observer::connect(plane.sandbox.local_addr(), &credentials, "late").await.is_err());
    let none = plane.ask("POST", "/provisioning-templates/None/provisioning-claim", &[], "").await;
    none.refused(404, "ResourceNotFoundException");
    plane.patch("/provisioning-templates/Aether", json!({ "enabled": false })).await.ok();
    let disabled = plane.ask("POST", "/provisioning-templates/Aether/provisioning-claim", &[], "").await;
    disabled.refused(400, "InvalidRequestException");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_thing_is_registered_for_a_request_an_id_or_a_certificate() {
    let plane = Plane::start().await;
    let register = async |serial: &str, properties: Value, certificate: &str| {
        let parameters = json!({ "SerialNumber": serial, "Certificate": certificate });
        plane.post("/things", json!({ "templateBody": template(properties), "parameters": parameters })).await
    };
    let given = json!({ "Ref": "Certificate" });
    let made = register("s1", json!({ "CertificateSigningRequest": given, "Status": "ACTIVE" }), &csr()).await.ok();
    assert_eq!(made["resourceArns"]["thing"], "arn:aws:iot:eu-west-1:123456789012:thing/s1");
    let arn = text(&made["resourceArns"], "certificate");
    assert_eq!(plane.get("/things/s1/principals").await.ok()["principals"], json!([arn]));
    assert_eq!(plane.get("/things/s1").await.ok()["attributes"], json!({ "hall": "b" }));

    let id = arn.rsplit('/').next().unwrap();
    register("s2", json!({ "CertificateId": given }), id).await.ok();
    let header = [("x-amzn-principal", arn.as_str())];
    assert_eq!(plane.ask("GET", "/principals/things", &header, "").await.ok()["things"], json!(["s1", "s2"]));
    let pem = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let made = register("s3", json!({ "CertificatePem": given, "Status": "INACTIVE" }), &pem).await.ok();
    let path = format!("/certificates/{}", text(&made["resourceArns"], "certificate").rsplit('/').next().unwrap());
    assert_eq!(plane.get(&path).await.ok()["certificateDescription"]["status"], "INACTIVE");

    let unknown = "0".repeat(64);
    let refused = register("s4", json!({ "CertificateId": given }), &unknown).await;
    refused.refused(400, "ResourceRegistrationFailureException");
    plane.get("/things/s4").await.refused(404, "ResourceNotFoundException");
    plane.put(&format!("/certificates/{id}?newStatus=REVOKED"), json!({})).await.ok();
    let revoked = register("s5", json!({ "CertificateId": given }), id).await;
    revoked.refused(400, "ResourceRegistrationFailureException");
    plane.post("/things", json!({ "templateBody": "{}" })).await.refused(400, "InvalidRequestException");
    let missing = json!({ "templateBody": template(json!({ "CertificateId": given })) });
    plane.post("/things", missing).await.refused(400, "InvalidRequestException");
    plane.sandbox.shutdown().await;
}
