//! The control plane: client certificates, CA certificates, policies and what they are attached to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use aether_sandbox::{CertificateStatus, Credentials, Observer};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use support::http::{Plane, text};

const ALLOW_ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// A CA and the means to sign in its name.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn leaf(&self, name: &str) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().pem()
    }
}

async fn new_certificate(plane: &Plane) -> Value {
    plane.post("/keys-and-certificate?setAsActive=true", json!({})).await.ok()
}

#[tokio::test]
async fn a_certificate_made_here_connects_once_its_policy_is_attached() {
    let plane = Plane::start().await;
    let made = new_certificate(&plane).await;
    assert!(text(&made["keyPair"], "PublicKey").starts_with("-----BEGIN PUBLIC KEY-----"));
    plane.post("/policies/bridge", json!({ "policyDocument": ALLOW_ALL })).await.ok();
    let attach = [("x-amzn-iot-principal", made["certificateArn"].as_str().unwrap())];
    plane.ask("PUT", "/principal-policies/bridge", &attach, "").await.ok();
    let ca = std::fs::read(plane.sandbox.files().ca()).unwrap();
    let (pem, key) = (text(&made, "certificatePem"), text(&made["keyPair"], "PrivateKey"));
    let credentials = Credentials::from_pem(&ca, pem.as_bytes(), key.as_bytes()).unwrap();
    let client = Observer::connect(plane.sandbox.local_addr(), &credentials, "bridge").await.unwrap();
    client.publish("anything", b"1").await.unwrap();

    let id = text(&made, "certificateId");
    plane.put(&format!("/certificates/{id}?newStatus=INACTIVE"), json!({})).await.ok();
    support::closed(&client).await;
    let described = plane.get(&format!("/certificates/{id}")).await.ok()["certificateDescription"].clone();
    assert_eq!((&described["status"], &described["customerVersion"]), (&json!("INACTIVE"), &json!(2)));
    assert_eq!(described["validity"]["notAfter"], 2_524_607_999_i64);
    assert!(!described.to_string().contains("PRIVATE"));
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_certificate_is_deleted_when_it_is_inactive_and_attached_to_nothing() {
    let plane = Plane::start().await;
    let made = new_certificate(&plane).await;
    let path = format!("/certificates/{}", text(&made, "certificateId"));
    plane.delete(&path).await.refused(406, "CertificateStateException");
    plane.post("/policies/p", json!({ "policyDocument": ALLOW_ALL })).await.ok();
    plane.put("/target-policies/p", json!({ "target": made["certificateArn"] })).await.ok();
    plane.put(&format!("{path}?newStatus=REVOKED"), json!({})).await.ok();
    plane.delete(&path).await.refused(409, "DeleteConflictException");
    plane.delete(&format!("{path}?forceDelete=true")).await.ok();
    plane.get(&path).await.refused(404, "ResourceNotFoundException");
    plane.put(&format!("{path}?newStatus=ACTIVE"), json!({})).await.refused(404, "ResourceNotFoundException");
    plane.get("/certificates/abc").await.refused(400, "InvalidRequestException");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn only_aws_sets_the_states_of_its_own() {
    let plane = Plane::start().await;
    let path = format!("/certificates/{}", text(&new_certificate(&plane).await, "certificateId"));
    for status in ["PENDING_ACTIVATION", "PENDING_TRANSFER", "REGISTER_INACTIVE", "nonsense", ""] {
        let answer = plane.put(&format!("{path}?newStatus={status}"), json!({})).await;
        answer.refused(400, "InvalidRequestException");
    }
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn long_lists_come_in_pages_in_the_order_asked_for() {
    let plane = Plane::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(text(&new_certificate(&plane).await, "certificateId"));
    }
    for (order, ascending) in [("true", true), ("false", false)] {
        let mut found = Vec::new();
        let mut marker = String::new();
        loop {
            let target = format!("/certificates?pageSize=2&isAscendingOrder={order}&marker={marker}");
            let page = plane.get(&target).await.ok();
            assert!(page["certificates"].as_array().unwrap().len() <= 2);
            found.extend(page["certificates"].as_array().unwrap().iter().map(|row| text(row, "certificateId")));
            match page["nextMarker"].as_str() {
                Some(next) => next.clone_into(&mut marker),
                None => break,
            }
        }
        // The sandbox's own two come first or last: they are older.
        assert_eq!(found.len(), 7);
        let times: Vec<_> = plane.get(&format!("/certificates?isAscendingOrder={order}")).await.ok()["certificates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["creationDate"].as_f64().unwrap())
            .collect();
        assert_eq!(times.is_sorted(), ascending);
        assert!(made.iter().all(|id| found.contains(id)));
    }
    for bad in ["pageSize=0", "pageSize=251", "pageSize=x", "marker=%21"] {
        plane.get(&format!("/certificates?{bad}")).await.refused(400, "InvalidRequestException");
    }
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn policies_have_versions_of_which_one_counts() {
    let plane = Plane::start().await;
    let made = plane.post("/policies/p", json!({ "policyDocument": ALLOW_ALL })).await.ok();
    assert_eq!(made["policyArn"], "arn:aws:iot:eu-west-1:123456789012:policy/p");
    let again = plane.post("/policies/p", json!({ "policyDocument": ALLOW_ALL })).await;
    again.refused(409, "ResourceAlreadyExistsException");
    assert_eq!(again.body["resourceArn"], made["policyArn"]);
    let bad = plane.post("/policies/q", json!({ "policyDocument": "{}" })).await;
    bad.refused(400, "MalformedPolicyException");
    plane.post("/policies/q", json!({})).await.refused(400, "InvalidRequestException");
    plane.post("/policies/a%20b", json!({ "policyDocument": ALLOW_ALL })).await.refused(400, "InvalidRequestException");
    for number in 2..=5 {
        let target = format!("/policies/p/version?setAsDefault={}", number == 3);
        let version = plane.post(&target, json!({ "policyDocument": ALLOW_ALL })).await.ok();
        assert_eq!(version["policyVersionId"], number.to_string());
    }
    let sixth = plane.post("/policies/p/version", json!({ "policyDocument": ALLOW_ALL })).await;
    sixth.refused(409, "VersionsLimitExceededException");
    assert_eq!(plane.get("/policies/p").await.ok()["defaultVersionId"], "3");
    plane.delete("/policies/p/version/3").await.refused(409, "DeleteConflictException");
    plane.ask("PATCH", "/policies/p/version/2", &[], "").await.ok();
    let versions = plane.get("/policies/p/version").await.ok()["policyVersions"].clone();
    let defaults: Vec<_> = versions.as_array().unwrap().iter().filter(|row| row["isDefaultVersion"] == true).collect();
    assert_eq!((defaults.len(), &defaults[0]["versionId"]), (1, &json!("2")));
    plane.delete("/policies/p").await.refused(409, "DeleteConflictException");
    for version in [1, 3, 4, 5] {
        plane.delete(&format!("/policies/p/version/{version}")).await.ok();
    }
    plane.get("/policies/p/version/1").await.refused(404, "ResourceNotFoundException");
    plane.get("/policies/p/version/x").await.refused(400, "InvalidRequestException");
    plane.delete("/policies/p").await.ok();
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn attachments_are_listed_from_both_ends() {
    let plane = Plane::start().await;
    let arn = text(&new_certificate(&plane).await, "certificateArn");
    plane.post("/policies/p", json!({ "policyDocument": ALLOW_ALL })).await.ok();
    plane.post("/thing-groups/g", json!({})).await.ok();
    let group = "arn:aws:iot:eu-west-1:123456789012:thinggroup/g";
    for target in [arn.as_str(), group] {
        plane.put("/target-policies/p", json!({ "target": target })).await.ok();
    }
    let targets = plane.ask("POST", "/policy-targets/p", &[], "").await.ok();
    assert_eq!(targets["targets"], json!([arn, group]));
    let principals = plane.ask("GET", "/policy-principals", &[("x-amzn-iot-policy", "p")], "").await.ok();
    assert_eq!(principals["principals"], json!([arn]));
    let escaped = arn.replace(':', "%3A").replace('/', "%2F");
    let attached = plane.ask("POST", &format!("/attached-policies/{escaped}"), &[], "").await.ok();
    assert_eq!(attached["policies"][0]["policyName"], "p");
    let attached = plane.ask("GET", "/principal-policies", &[("x-amzn-iot-principal", &arn)], "").await.ok();
    assert_eq!(attached["policies"][0]["policyName"], "p");
    plane.delete("/policies/p").await.refused(409, "DeleteConflictException");
    plane.post("/target-policies/p", json!({ "target": group })).await.ok();
    plane.ask("DELETE", "/principal-policies/p", &[("x-amzn-iot-principal", &arn)], "").await.ok();
    plane.delete("/policies/p").await.ok();
    for target in ["nonsense", "arn:aws:iot:us-east-1:123456789012:cert/x", "arn:aws:iot:eu-west-1:123456789012:cert/x"]
    {
        let answer = plane.put("/target-policies/p", json!({ "target": target })).await;
        answer.refused(400, "InvalidRequestException");
    }
    plane.put("/principal-policies/p", json!({})).await.refused(400, "InvalidRequestException");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_ca_is_registered_with_a_proof_or_for_sni_alone() {
    let plane = Plane::start().await;
    let (ca, other) = (Ca::new("Line 7"), Ca::new("Line 8"));
    let request =
        |verification: Option<String>| json!({ "caCertificate": ca.pem, "verificationCertificate": verification });
    plane.post("/cacertificate", request(None)).await.refused(400, "InvalidRequestException");
    let early = plane.post("/cacertificate", request(Some(ca.leaf("code")))).await;
    early.refused(400, "RegistrationCodeValidationException");
    let code = text(&plane.get("/registrationcode").await.ok(), "registrationCode");
    assert_eq!(text(&plane.get("/registrationcode").await.ok(), "registrationCode"), code);
    let wrong = plane.post("/cacertificate", request(Some(ca.leaf("wrong")))).await;
    wrong.refused(400, "RegistrationCodeValidationException");
    let forged = plane.post("/cacertificate", request(Some(other.leaf(&code)))).await;
    forged.refused(400, "CertificateValidationException");
    let registered = plane.post("/cacertificate", request(Some(ca.leaf(&code)))).await.ok();
    let again = plane.post("/cacertificate", request(Some(ca.leaf(&code)))).await;
    again.refused(409, "ResourceAlreadyExistsException");
    let id = text(&registered, "certificateId");
    let described = plane.get(&format!("/cacertificate/{id}")).await.ok()["certificateDescription"].clone();
    assert_eq!((&described["status"], &described["certificateMode"]), (&json!("INACTIVE"), &json!("DEFAULT")));
    assert_eq!(described["autoRegistrationStatus"], "DISABLE");

    let sni_only = json!({ "caCertificate": other.pem, "certificateMode": "SNI_ONLY" });
    plane.post("/cacertificate?setAsActive=true&allowAutoRegistration=true", sni_only).await.ok();
    assert_eq!(plane.get("/cacertificates").await.ok()["certificates"].as_array().unwrap().len(), 2);
    let junk = plane.post("/cacertificate", json!({ "caCertificate": "x", "certificateMode": "SNI_ONLY" })).await;
    junk.refused(400, "CertificateValidationException");
    let leaf = json!({ "caCertificate": ca.leaf("a"), "certificateMode": "SNI_ONLY" });
    plane.post("/cacertificate", leaf).await.refused(400, "CertificateValidationException");
    plane.delete("/registrationcode").await.ok();
    plane.delete("/registrationcode").await.refused(404, "ResourceNotFoundException");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_ca_is_changed_and_deleted_when_inactive() {
    let plane = Plane::start().await;
    let ca = Ca::new("Line 7");
    let request = json!({ "caCertificate": ca.pem, "certificateMode": "SNI_ONLY" });
    let id = text(&plane.post("/cacertificate", request).await.ok(), "certificateId");
    let path = format!("/cacertificate/{id}");
    plane.put(&format!("{path}?newStatus=ACTIVE&newAutoRegistrationStatus=ENABLE"), json!({})).await.ok();
    let described = plane.get(&path).await.ok()["certificateDescription"].clone();
    assert_eq!((&described["status"], &described["autoRegistrationStatus"]), (&json!("ACTIVE"), &json!("ENABLE")));
    let template = json!({ "registrationConfig": { "templateName": "none" } });
    plane.put(&path, template).await.refused(404, "ResourceNotFoundException");
    let template = json!({ "registrationConfig": { "templateBody": "{}" } });
    plane.put(&path, template).await.refused(400, "InvalidRequestException");
    plane.put(&format!("{path}?newStatus=REVOKED"), json!({})).await.refused(400, "InvalidRequestException");
    plane.delete(&path).await.refused(406, "CertificateStateException");
    plane.put(&format!("{path}?newStatus=INACTIVE"), json!({})).await.ok();
    plane.delete(&path).await.ok();
    plane.get(&path).await.refused(404, "ResourceNotFoundException");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn certificates_made_elsewhere_are_registered_with_their_ca_or_without() {
    let plane = Plane::start().await;
    let ca = Ca::new("Line 7");
    let leaf = ca.leaf("press-3");
    let register = json!({ "certificatePem": leaf });
    plane.post("/certificate/register", register.clone()).await.refused(400, "CertificateValidationException");
    let request = json!({ "caCertificate": ca.pem, "certificateMode": "SNI_ONLY" });
    let ca_id = text(&plane.post("/cacertificate", request).await.ok(), "certificateId");
    plane.post("/certificate/register", register.clone()).await.refused(406, "CertificateStateException");
    plane.put(&format!("/cacertificate/{ca_id}?newStatus=ACTIVE"), json!({})).await.ok();
    let made = plane.post("/certificate/register?setAsActive=true", register.clone()).await.ok();
    plane.post("/certificate/register", register).await.refused(409, "ResourceAlreadyExistsException");
    let listed = plane.get(&format!("/certificates-by-ca/{ca_id}")).await.ok();
    assert_eq!(listed["certificates"][0]["certificateId"], made["certificateId"]);
    assert_eq!(listed["certificates"][0]["status"], "ACTIVE");
    let described = plane.get(&format!("/certificates/{}", text(&made, "certificateId"))).await.ok();
    assert_eq!(described["certificateDescription"]["caCertificateId"], ca_id);

    let alone = json!({ "certificatePem": Ca::new("none").leaf("press-4"), "status": "ACTIVE" });
    let made = plane.post("/certificate/register-no-ca", alone).await.ok();
    let id = text(&made, "certificateId");
    let known = plane.sandbox.certificates().into_iter().find(|row| row.id.as_str() == id).unwrap();
    assert_eq!(known.status, CertificateStatus::Active);
    let unknown = json!({ "certificatePem": Ca::new("none").leaf("a"), "caCertificatePem": Ca::new("none").pem });
    plane.post("/certificate/register", unknown).await.refused(400, "CertificateValidationException");
    let pending = json!({ "certificatePem": Ca::new("none").leaf("a"), "status": "PENDING_ACTIVATION" });
    plane.post("/certificate/register-no-ca", pending).await.refused(400, "InvalidRequestException");
    plane.sandbox.shutdown().await;
}
