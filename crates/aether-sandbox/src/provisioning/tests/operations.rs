//! The three operations, tokens and their hour, claims for trusted users.

use std::time::Duration;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData as _};
use serde_json::{Value, json};

use super::{CREATE, CREATE_FROM_CSR, LINE, Service, refused, registration, said, signing_request};
use crate::pki::Certificate;
use crate::{CertificateId, CertificateStatus};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn id(created: &Value) -> CertificateId {
    created["certificateId"].as_str().unwrap().parse().unwrap()
}

fn certificate(created: &Value) -> Certificate {
    Certificate::parse_pem(created["certificatePem"].as_str().unwrap().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_signing_request_gets_a_certificate_for_its_own_key_and_subject() {
    let service = Service::start();
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let request = json!({ "certificateSigningRequest": signing_request(&key, Some("P3-00017")) });
        let created = service.ask(CREATE_FROM_CSR, &request).await.unwrap();
        let members: Vec<&String> = created.as_object().unwrap().keys().collect();
        assert_eq!(members, ["certificateId", "certificateOwnershipToken", "certificatePem"]);
        let issued = certificate(&created);
        assert_eq!(issued.subject(), "CN=P3-00017");
        assert_eq!(issued.key().spki, key.subject_public_key_info());
        let root = std::fs::read(service.dir.path().join("ca.pem")).unwrap();
        assert_eq!(issued.check_signature(&Certificate::parse_pem(&root).unwrap()), Ok(()));
        assert_eq!(CertificateId::of_der(issued.der()), id(&created));

        // The same request again gives another certificate (sheet, 1.5).
        let again = service.ask(CREATE_FROM_CSR, &request).await.unwrap();
        assert_ne!(id(&again), id(&created));
        let registered = service.register(LINE, &again, "17").await.unwrap();
        assert_eq!(registered["thingName"], "press-17");
    }
}

#[tokio::test]
async fn a_signing_request_without_a_subject_gets_the_generic_one() {
    let service = Service::start();
    let request = json!({ "certificateSigningRequest": signing_request(&KeyPair::generate().unwrap(), None) });
    let created = service.ask(CREATE_FROM_CSR, &request).await.unwrap();
    assert_eq!(certificate(&created).subject(), "CN=AWS IoT Certificate");
}

#[tokio::test]
async fn a_bad_signing_request_is_rejected_and_leaves_nothing() {
    let service = Service::start();
    for csr in ["nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"] {
        let outcome = service.ask(CREATE_FROM_CSR, &json!({ "certificateSigningRequest": csr })).await;
        assert_eq!(refused(outcome), said(400, "InvalidCsr"));
    }
    assert_eq!(service.account.read().certificates.size(), 0);
}

#[tokio::test]
async fn the_whole_exchange_works_in_cbor_and_is_answered_in_cbor() {
    let service = Service::start();
    let cbor = |document: &Value| {
        let mut bytes = Vec::new();
        ciborium::into_writer(document, &mut bytes).unwrap();
        bytes
    };
    let read = |bytes: Vec<u8>| -> Value { ciborium::from_reader(bytes.as_slice()).unwrap() };
    let created = read(service.answer("$aws/certificates/create/cbor", b"").await.payload());
    assert!(created["privateKey"].as_str().unwrap().starts_with("-----BEGIN"));
    let provision = "$aws/provisioning-templates/line/provision/cbor";
    let rejected = service.answer(provision, b"\xa0").await;
    assert!(!rejected.accepted());
    assert_eq!(read(rejected.payload())["errorCode"], "InvalidCertificateOwnershipToken");
    let request = cbor(&registration(&created, &json!({ "SerialNumber": "17" })));
    let registered = service.answer(provision, &request).await;
    assert_eq!(read(registered.payload()), json!({ "deviceConfiguration": {}, "thingName": "press-17" }));

    let csr = signing_request(&KeyPair::generate().unwrap(), Some("x"));
    let request = cbor(&json!({ "certificateSigningRequest": csr }));
    let signed = service.answer("$aws/certificates/create-from-csr/cbor", &request).await;
    assert!(signed.accepted() && read(signed.payload())["certificatePem"].is_string());
}

#[tokio::test]
async fn a_token_works_once_and_a_rejected_registration_does_not_use_it_up() {
    let service = Service::start();
    let created = service.create().await;
    let bad_name = service.register(LINE, &created, "not a name").await;
    assert_eq!(refused(bad_name), said(400, "InvalidParameters"));
    let missing = service.ask(LINE, &registration(&created, &json!({}))).await.unwrap_err();
    assert_eq!(missing["errorMessage"], "parameter \"SerialNumber\" has no value and no default.");
    assert_eq!(service.account.read().things.size(), 0, "a rejected request changes nothing");
    service.register(LINE, &created, "17").await.unwrap();
    let row = service.account.read().certificate(&id(&created)).unwrap().clone();
    assert_eq!(row.status, CertificateStatus::Active);
    let used = service.register(LINE, &created, "17").await;
    assert_eq!(refused(used), said(400, "InvalidCertificateOwnershipToken"));
}

#[tokio::test]
async fn after_its_hour_a_token_is_worthless_and_the_pending_certificate_gone() {
    let service = Service::start();
    let (early, late) = (service.create().await, service.create().await);
    service.account.clock().advance(HOUR - Duration::from_secs(30));
    service.register(LINE, &early, "1").await.unwrap();
    service.account.clock().advance(Duration::from_secs(30));
    let expired = service.register(LINE, &late, "2").await;
    assert_eq!(refused(expired), said(400, "InvalidCertificateOwnershipToken"));
    service.create().await;
    let tables = service.account.read();
    assert!(tables.certificate(&id(&late)).is_err(), "deleted with its hour");
    assert!(tables.certificate(&id(&early)).is_ok());
}

#[tokio::test]
async fn two_registrations_with_one_token_cannot_both_win() {
    let service = Service::start();
    let created = service.create().await;
    let (one, other) = tokio::join!(service.register(LINE, &created, "1"), service.register(LINE, &created, "2"));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
    assert_eq!(service.account.read().things.size(), 1);
}

#[tokio::test]
async fn hostile_payloads_are_rejected_on_every_topic() {
    let service = Service::start();
    for topic in [CREATE, CREATE_FROM_CSR, LINE] {
        for payload in [&b"["[..], b"\xff\xfe", b"{\"certificateOwnershipToken\":7}", b"null", b"{\"parameters\":[]}"] {
            let answer = service.answer(topic, payload).await;
            assert_eq!(answer.outcome.unwrap_err().status, 400, "{topic} {payload:?}");
        }
    }
}

#[tokio::test]
async fn a_trusted_users_claim_lives_five_minutes_and_is_for_its_template() {
    let service = Service::start();
    let claim = service.provisioning.create_claim("line").unwrap();
    assert!(claim.public_key_pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert!(claim.private_key_pem.contains("PRIVATE KEY"));
    assert!(!format!("{claim:?}").contains("PRIVATE KEY"), "no secret in Debug");
    {
        let tables = service.account.read();
        let row = tables.certificate(&claim.certificate_id).unwrap();
        assert_eq!((row.status, row.is_listed()), (CertificateStatus::Active, false));
        let policy = tables.policy(&row.policies[0]).unwrap();
        assert!(policy.default_document().contains("create-from-csr") && policy.default_document().contains("/line/"));
    }
    service.provisioning.create_claim("line").unwrap();
    service.account.clock().advance(Duration::from_secs(5 * 60));
    service.create().await;
    assert!(service.account.read().certificate(&claim.certificate_id).is_err());
    assert_eq!(
        service.provisioning.create_claim("none").unwrap_err().to_string(),
        "provisioning template \"none\" does not exist"
    );
    service.edit_line(|row| row.enabled = false);
    assert!(service.provisioning.create_claim("line").unwrap_err().to_string().contains("disabled"));
}
