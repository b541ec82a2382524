//! Just-in-time registration, by the commands of AWS's blog.

use std::path::Path;

use rmqtt_codec::v3::Packet;
use serde_json::Value;
use tokio::process::Command;

use super::{ALLOW_ALL, attach, change};
use crate::account::{CaStatus, CertificateMode, NewCa, PolicyTarget, RegistrationConfig, TemplateKind, TemplateRow};
use crate::pki::{Certificate, check_ca, check_verification};
use crate::support::raw::{Raw, connect};
use crate::support::{self, audited};
use crate::{AuditDecision, AuditEvent, AuditRecord, CaId, CertificateId, CertificateStatus, Observer, Sandbox};

/// The blog's commands, its prompts answered with `-subj`.
const CA: [&str; 2] = [
    "openssl genrsa -out sampleCACertificate.key 2048",
    "openssl req -x509 -new -nodes -key sampleCACertificate.key -sha256 -days 365 -out sampleCACertificate.pem -subj /CN=sample",
];
const VERIFICATION: [&str; 3] = [
    "openssl genrsa -out privateKeyVerification.key 2048",
    "openssl req -new -key privateKeyVerification.key -out privateKeyVerification.csr -subj /CN=$CODE",
    "openssl x509 -req -in privateKeyVerification.csr -CA sampleCACertificate.pem -CAkey sampleCACertificate.key -CAcreateserial -out privateKeyVerification.crt -days 365 -sha256",
];
const DEVICE: [&str; 4] = [
    "openssl genrsa -out deviceCert.key 2048",
    "openssl req -new -key deviceCert.key -out deviceCert.csr -subj '/C=DE/O=Press Works/CN=press-3/serialNumber=P3-00017'",
    "openssl x509 -req -in deviceCert.csr -CA sampleCACertificate.pem -CAkey sampleCACertificate.key -CAcreateserial -out deviceCert.crt -days 365 -sha256",
    "cat deviceCert.crt sampleCACertificate.pem > deviceCertAndCACert.crt",
];
const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Runs a command; gives whether it succeeded, and what it said.
async fn run(dir: &Path, command: &str) -> (bool, String) {
    let output = Command::new("sh").arg("-c").arg(command).current_dir(dir).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

async fn run_all(dir: &Path, commands: &[&str]) {
    for command in commands {
        let (done, said) = run(dir, command).await;
        assert!(done, "{command}: {said}");
    }
}

fn read(path: &Path) -> Certificate {
    Certificate::parse_pem(&std::fs::read(path).unwrap()).unwrap()
}

/// Makes the blog's CA and device certificate, and registers the CA.
async fn registered_ca(sandbox: &Sandbox, made: &Path, mode: CertificateMode) -> (CaId, CertificateId) {
    run_all(made, &CA).await;
    run_all(made, &DEVICE).await;
    let ca = read(&made.join("sampleCACertificate.pem"));
    check_ca(&ca).unwrap();
    let id = CaId::of_der(ca.der());
    let new = NewCa {
        id: id.clone(),
        pem: std::fs::read_to_string(made.join("sampleCACertificate.pem")).unwrap(),
        subject: ca.subject().to_owned(),
        status: CaStatus::Active,
        mode,
        auto_registration: true,
        registration: None,
        signs_claims: false,
        tags: Default::default(),
    };
    change(sandbox, |tx| tx.register_ca(new));
    (id, CertificateId::of_der(read(&made.join("deviceCert.crt")).der()))
}

/// Whether the sandbox answers a CONNECT with the blog's certificate file.
async fn gets_in(
    sandbox: &Sandbox,
    made: &Path,
    version: &'static rustls::SupportedProtocolVersion,
    name: &str,
) -> bool {
    let (cert, key) = (made.join("deviceCertAndCACert.crt"), made.join("deviceCert.key"));
    let opened = Raw::open_as(sandbox.local_addr(), sandbox.files().ca(), &cert, &key, version, name, &[]);
    let Ok(mut raw) = opened.await else { return false };
    raw.send(connect("press-3").into()).await;
    matches!(raw.receive().await, Some(Packet::ConnectAck(_)))
}

/// An observer that hears of everything registered.
async fn watcher(sandbox: &Sandbox) -> Observer {
    support::observer(sandbox, "$aws/events/certificates/registered/+").await
}

async fn event(watcher: &mut Observer) -> (String, Value) {
    let message = support::next(watcher).await;
    (message.topic, serde_json::from_slice(&message.payload).unwrap())
}

fn of(event: AuditEvent, decision: AuditDecision) -> impl Fn(&AuditRecord) -> bool {
    move |record| record.event == event && record.decision == decision
}

#[tokio::test]
async fn the_verification_certificate_of_the_blog_proves_the_ca_key() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    let code = change(&sandbox, |tx| tx.registration_code());
    run_all(made.path(), &CA).await;
    let commands = VERIFICATION.map(|command| command.replace("$CODE", &code));
    run_all(made.path(), &commands.each_ref().map(String::as_str)).await;
    let read = |file: &str| read(&made.path().join(file));
    let (ca, verification) = (read("sampleCACertificate.pem"), read("privateKeyVerification.crt"));
    check_verification(&ca, &verification, &code).unwrap();
    assert!(check_verification(&ca, &verification, "another code").is_err());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_first_sight_of_a_certificate_registers_and_announces_it_and_activation_lets_it_in() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    let (ca, id) = registered_ca(&sandbox, made.path(), CertificateMode::Default).await;
    let mut watcher = watcher(&sandbox).await;
    let mut audit = sandbox.audit();
    for (version, new) in VERSIONS.into_iter().zip([true, false]) {
        assert!(!gets_in(&sandbox, made.path(), version, "localhost").await);
        let denied = audited(&mut audit, of(AuditEvent::TlsHandshake, AuditDecision::Denied)).await;
        assert_eq!(denied.reason.as_deref(), Some("certificate is PENDING_ACTIVATION"), "{version:?}");
        assert_eq!(denied.certificate_id.as_ref(), Some(&id));
        if new {
            let registered = audited(&mut audit, |record| record.event == AuditEvent::RegisterCertificate).await;
            assert_eq!((registered.decision, registered.certificate_id.as_ref()), (AuditDecision::Allowed, Some(&id)));
        }
        // Announced again while it is pending.
        let (topic, event) = event(&mut watcher).await;
        assert_eq!(topic, format!("$aws/events/certificates/registered/{ca}"));
        assert_eq!(event["certificateId"], id.as_str());
        assert_eq!(event["caCertificateId"], ca.as_str());
        assert_eq!(event["certificateStatus"], "PENDING_ACTIVATION");
        assert_eq!(event["awsAccountId"], "123456789012");
        assert!(event["timestamp"].is_u64() && event["certificateRegistrationTimestamp"].is_string());
    }
    change(&sandbox, |tx| {
        attach(tx, "all", ALLOW_ALL, &PolicyTarget::Certificate(id.clone()))?;
        tx.set_status(&id, CertificateStatus::Active)
    });
    for version in VERSIONS {
        assert!(gets_in(&sandbox, made.path(), version, "localhost").await, "{version:?}");
    }
    sandbox.shutdown().await;

    // It is known after a restart, also when its CA has been deactivated.
    let sandbox = support::start(dir.path()).await;
    change(&sandbox, |tx| tx.update_ca(&ca, Some(CaStatus::Inactive), None, None));
    assert!(gets_in(&sandbox, made.path(), VERSIONS[1], "localhost").await);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn mosquitto_pub_sees_a_failure_until_the_certificate_is_active() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    let (_, id) = registered_ca(&sandbox, made.path(), CertificateMode::Default).await;
    let publish = |version: &str| {
        format!(
            "mosquitto_pub --cafile {} --cert deviceCertAndCACert.crt --key deviceCert.key -h localhost -p {} -q 1 -t foo/bar -i anyclientID --tls-version {version} -m Hello -d",
            sandbox.files().ca().display(),
            sandbox.local_addr().port(),
        )
    };
    let mut audit = sandbox.audit();
    for version in ["tlsv1.2", "tlsv1.3"] {
        let (sent, said) = run(made.path(), &publish(version)).await;
        assert!(!sent, "{version}: {said}");
        audited(&mut audit, of(AuditEvent::TlsHandshake, AuditDecision::Denied)).await;
        if version == "tlsv1.2" {
            // Registered after the handshake it was refused in.
            audited(&mut audit, of(AuditEvent::RegisterCertificate, AuditDecision::Allowed)).await;
        }
    }
    change(&sandbox, |tx| {
        attach(tx, "all", ALLOW_ALL, &PolicyTarget::Certificate(id.clone()))?;
        tx.set_status(&id, CertificateStatus::Active)
    });
    for version in ["tlsv1.2", "tlsv1.3"] {
        let (sent, said) = run(made.path(), &publish(version)).await;
        assert!(sent && said.contains("PUBACK"), "{version}: {said}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_ca_that_is_inactive_or_registers_nothing_lets_nothing_be_registered() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    let (ca, id) = registered_ca(&sandbox, made.path(), CertificateMode::Default).await;
    let mut audit = sandbox.audit();
    for (status, auto, expected) in
        [(CaStatus::Inactive, true, "is INACTIVE"), (CaStatus::Active, false, "automatic registration")]
    {
        change(&sandbox, |tx| tx.update_ca(&ca, Some(status), Some(auto), None));
        assert!(!gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
        let denied = audited(&mut audit, of(AuditEvent::TlsHandshake, AuditDecision::Denied)).await;
        assert!(denied.reason.as_ref().unwrap().contains(expected), "{denied:?}");
        assert!(sandbox.account.read().certificate(&id).is_err());
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn certificates_of_a_ca_without_proof_need_sni() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    let (_, id) = registered_ca(&sandbox, made.path(), CertificateMode::SniOnly).await;
    let mut watcher = watcher(&sandbox).await;
    let mut audit = sandbox.audit();
    assert!(!gets_in(&sandbox, made.path(), VERSIONS[0], "127.0.0.1").await);
    let denied = audited(&mut audit, of(AuditEvent::TlsHandshake, AuditDecision::Denied)).await;
    assert_eq!(denied.reason.as_deref(), Some("certificate of the mode SNI_ONLY shown without SNI"));
    assert!(sandbox.account.read().certificate(&id).is_err());
    assert!(!gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
    event(&mut watcher).await;
    change(&sandbox, |tx| {
        attach(tx, "all", ALLOW_ALL, &PolicyTarget::Certificate(id.clone()))?;
        tx.set_status(&id, CertificateStatus::Active)
    });
    assert!(!gets_in(&sandbox, made.path(), VERSIONS[1], "127.0.0.1").await, "an active one as well");
    assert!(gets_in(&sandbox, made.path(), VERSIONS[1], "localhost").await);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_certificate_shown_without_its_key_is_not_registered() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    let (_, id) = registered_ca(&sandbox, made.path(), CertificateMode::Default).await;
    run_all(made.path(), &["openssl genrsa -out deviceCert.key 2048"]).await;
    let mut audit = sandbox.audit();
    for version in VERSIONS {
        assert!(!gets_in(&sandbox, made.path(), version, "localhost").await);
        audited(&mut audit, of(AuditEvent::TlsHandshake, AuditDecision::Denied)).await;
    }
    assert!(sandbox.account.read().certificate(&id).is_err());
    sandbox.shutdown().await;
}

/// The template of the sheet for just-in-time provisioning, with the parts of the subject it names.
const TEMPLATE: &str = r#"{
    "Parameters": {
        "AWS::IoT::Certificate::CommonName": { "Type": "String" },
        "AWS::IoT::Certificate::SerialNumber": { "Type": "String" },
        "AWS::IoT::Certificate::Country": { "Type": "String" },
        "AWS::IoT::Certificate::Id": { "Type": "String" }
    },
    "Resources": {
        "thing": { "Type": "AWS::IoT::Thing", "Properties": {
            "ThingName": { "Ref": "AWS::IoT::Certificate::CommonName" },
            "AttributePayload": { "serial": { "Ref": "AWS::IoT::Certificate::SerialNumber" },
                                  "country": { "Ref": "AWS::IoT::Certificate::Country" } } } },
        "certificate": { "Type": "AWS::IoT::Certificate", "Properties": {
            "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "ACTIVE" } },
        "policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyDocument":
            "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iot:*\",\"Resource\":\"*\"}}" } }
    }
}"#;

fn with_body(body: &str) -> Option<Option<RegistrationConfig>> {
    Some(Some(RegistrationConfig { template_body: Some(body.to_owned()), template_name: None, role_arn: None }))
}

#[tokio::test]
async fn the_template_of_the_ca_provisions_what_is_shown_and_the_device_gets_in_the_next_time() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    let (ca, id) = registered_ca(&sandbox, made.path(), CertificateMode::Default).await;
    change(&sandbox, |tx| tx.update_ca(&ca, None, None, with_body(TEMPLATE)));
    let mut audit = sandbox.audit();
    assert!(!gets_in(&sandbox, made.path(), VERSIONS[1], "localhost").await);
    let done = audited(&mut audit, |record| record.event == AuditEvent::JustInTimeProvisioning).await;
    assert_eq!((done.decision, done.reason.as_deref()), (AuditDecision::Allowed, Some("Thing press-3")));
    let tables = sandbox.account.read();
    let row = tables.certificate(&id).unwrap();
    assert_eq!((row.status, row.policies.len(), row.things.len()), (CertificateStatus::Active, 1, 1));
    let thing = tables.thing(&"press-3".parse().unwrap()).unwrap();
    assert_eq!(thing.attributes["serial"], "P3-00017");
    assert_eq!(thing.attributes["country"], "DE");
    for version in VERSIONS {
        assert!(gets_in(&sandbox, made.path(), version, "localhost").await, "{version:?}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_pending_certificate_is_neither_provisioned_nor_announced_once_its_ca_is_off_or_gone() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    let (ca, id) = registered_ca(&sandbox, made.path(), CertificateMode::Default).await;
    let mut watcher = watcher(&sandbox).await;
    assert!(!gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
    event(&mut watcher).await;
    change(&sandbox, |tx| tx.update_ca(&ca, Some(CaStatus::Inactive), None, with_body(TEMPLATE)));
    assert!(!gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
    change(&sandbox, |tx| tx.update_ca(&ca, Some(CaStatus::Active), Some(false), None));
    assert!(!gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
    change(&sandbox, |tx| {
        tx.update_ca(&ca, Some(CaStatus::Inactive), None, None)?;
        tx.delete_ca(&ca)
    });
    assert!(!gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
    let tables = sandbox.account.read();
    assert_eq!(tables.certificate(&id).unwrap().status, CertificateStatus::PendingActivation);
    assert_eq!(tables.things.size(), 0);
    // The next thing the watcher hears is not of that certificate.
    sandbox.drop_connections();
    assert_eq!(watcher.next().await, None);
    // What was active before stays so: the CA is not asked about it.
    change(&sandbox, |tx| {
        attach(tx, "all", ALLOW_ALL, &PolicyTarget::Certificate(id.clone()))?;
        tx.set_status(&id, CertificateStatus::Active)
    });
    assert!(gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn provisioning_that_fails_leaves_nothing_but_the_pending_certificate_and_is_tried_again() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    let (ca, id) = registered_ca(&sandbox, made.path(), CertificateMode::Default).await;
    let mut audit = sandbox.audit();
    let by_policy = {
        let start = TEMPLATE.find("{ \"PolicyDocument\"").unwrap();
        let end = start + TEMPLATE[start..].find("\" }").unwrap() + 3;
        TEMPLATE.replace(&TEMPLATE[start..end], "{ \"PolicyName\": \"none\" }")
    };
    let missing = TEMPLATE.replace("Certificate::Country", "Certificate::StateName");
    for (body, expected) in [
        ("{}", "template cannot be read"),
        (missing.as_str(), "StateName"),
        (by_policy.as_str(), "policy none does not exist"),
    ] {
        change(&sandbox, |tx| tx.update_ca(&ca, None, None, with_body(body)));
        assert!(!gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
        let failed = audited(&mut audit, |record| record.event == AuditEvent::JustInTimeProvisioning).await;
        assert_eq!(failed.decision, AuditDecision::Denied);
        assert!(failed.reason.as_ref().unwrap().contains(expected), "{failed:?}");
        let tables = sandbox.account.read();
        assert_eq!(tables.certificate(&id).unwrap().status, CertificateStatus::PendingActivation);
        assert_eq!(tables.things.size(), 0);
    }
    // By name: a template of another type does not do, one for just-in-time provisioning does.
    let named = |name: &str| {
        let template_name = Some(name.parse().unwrap());
        Some(Some(RegistrationConfig { template_body: None, template_name, role_arn: None }))
    };
    for (kind, name, allowed) in [(TemplateKind::Fleet, "fleet", false), (TemplateKind::Jitp, "jitp", true)] {
        change(&sandbox, |tx| {
            let row = TemplateRow::new(name.parse()?, TEMPLATE.to_owned(), "arn:aws:iam::1:role/r".to_owned(), tx.now);
            tx.create_template(TemplateRow { kind, ..row })?;
            tx.update_ca(&ca, None, None, named(name))
        });
        assert!(!gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
        let tried = audited(&mut audit, |record| record.event == AuditEvent::JustInTimeProvisioning).await;
        assert_eq!(tried.decision == AuditDecision::Allowed, allowed, "{tried:?}");
    }
    assert!(gets_in(&sandbox, made.path(), VERSIONS[0], "localhost").await);
    sandbox.shutdown().await;
}
