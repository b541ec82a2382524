//! The specification's own openssl commands, run as printed, over TLS 1.2 and 1.3.

mod support;

use std::path::Path;

use aether_sandbox::{Credentials, Observer, ObserverError, RegisterCaError, register_ca};
use rmqtt_codec::v3::Packet;
use support::raw::{Raw, connect};
use tokio::process::Command;

/// Section 1 of the specification, line by line.
const COMMANDS: [&str; 5] = [
    "openssl genrsa -out customer-ca.key 2048",
    r#"openssl req -x509 -new -nodes -key customer-ca.key -sha256 -days 3650 -out customer-ca.pem -subj "/CN=AetherCustomerCA""#,
    "openssl genrsa -out claim.key 2048",
    r#"openssl req -new -key claim.key -out claim.csr -subj "/CN=AetherClaimCert""#,
    "openssl x509 -req -in claim.csr -CA customer-ca.pem -CAkey customer-ca.key -CAcreateserial -out claim.pem -days 3650 -sha256",
];

async fn shell(dir: &Path, command: &str) -> String {
    let output = Command::new("sh").arg("-c").arg(command).current_dir(dir).output().await.expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} (is openssl installed?): {said}");
    String::from_utf8(output.stdout).expect("text")
}

async fn make_claim(dir: &Path) {
    for command in COMMANDS {
        shell(dir, command).await;
    }
}

fn claim_credentials(ca: &Path, made: &Path) -> Credentials {
    Credentials::read(ca, &made.join("claim.pem"), &made.join("claim.key")).expect("claim files")
}

#[tokio::test]
async fn the_openssl_claim_works_once_its_ca_is_registered_with_the_running_sandbox() {
    let made = tempfile::tempdir().unwrap();
    make_claim(made.path()).await;
    let text = shell(made.path(), "openssl x509 -in claim.pem -noout -text").await;
    assert!(text.contains("Version: 1 (0x0)"), "the commands make a version 1 certificate: {text}");

    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let credentials = claim_credentials(sandbox.files().ca(), made.path());
    let before = Observer::connect(sandbox.local_addr(), &credentials, "claim").await;
    assert!(matches!(before, Err(ObserverError::Tls { .. })), "{before:?}");

    let ca = std::fs::read(made.path().join("customer-ca.pem")).unwrap();
    register_ca(dir.path(), &ca).unwrap();
    let mut client = Observer::connect(sandbox.local_addr(), &credentials, "claim").await.unwrap();
    support::listen_for_answers(&client).await;
    let created = support::ask(&mut client, support::CREATE, b"{}").await.unwrap();
    assert!(created["certificatePem"].is_string());
    let hung_up = client.publish("aether-1", b"{}").await;
    assert!(matches!(hung_up, Err(ObserverError::HungUp)), "a claim it is, and no more: {hung_up:?}");
    sandbox.shutdown().await;

    let sandbox = support::start(dir.path()).await;
    assert!(Observer::connect(sandbox.local_addr(), &credentials, "claim").await.is_ok());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_openssl_claim_works_over_tls_1_2_and_1_3() {
    let made = tempfile::tempdir().unwrap();
    make_claim(made.path()).await;
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    register_ca(dir.path(), &std::fs::read(made.path().join("customer-ca.pem")).unwrap()).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (cert, key) = (made.path().join("claim.pem"), made.path().join("claim.key"));
        let (address, ca) = (sandbox.local_addr(), sandbox.files().ca());
        let mut raw = Raw::open(address, ca, &cert, &key, version).await.unwrap();
        raw.send(connect("claim").into()).await;
        let answer = raw.receive().await;
        assert!(matches!(answer, Some(Packet::ConnectAck(_))), "{version:?}: {answer:?}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_wrong_key_or_a_wrong_ca_fails_the_handshake_over_both_versions() {
    let made = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    make_claim(made.path()).await;
    // Another CA with the same name: only the signature can tell.
    make_claim(other.path()).await;
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    register_ca(dir.path(), &std::fs::read(made.path().join("customer-ca.pem")).unwrap()).unwrap();
    let cases = [(other.path(), other.path()), (made.path(), other.path())];
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (cert, key) in cases {
            let (cert, key) = (cert.join("claim.pem"), key.join("claim.key"));
            let address = sandbox.local_addr();
            let opened = Raw::open(address, sandbox.files().ca(), &cert, &key, version).await;
            // TLS 1.3 tells only after the handshake.
            if let Ok(mut raw) = opened {
                raw.send(connect("claim").into()).await;
                assert_eq!(raw.receive().await, None, "{version:?}");
            }
        }
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_expired_claim_and_one_signed_with_sha_1_are_refused() {
    let made = tempfile::tempdir().unwrap();
    make_claim(made.path()).await;
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    register_ca(dir.path(), &std::fs::read(made.path().join("customer-ca.pem")).unwrap()).unwrap();
    let sign =
        "openssl x509 -req -in claim.csr -CA customer-ca.pem -CAkey customer-ca.key -CAcreateserial -out claim.pem";
    for rest in ["-days -1 -sha256", "-days 3650 -sha1"] {
        shell(made.path(), &format!("{sign} {rest}")).await;
        let credentials = claim_credentials(sandbox.files().ca(), made.path());
        let refused = Observer::connect(sandbox.local_addr(), &credentials, "claim").await;
        assert!(matches!(refused, Err(ObserverError::Tls { .. })), "{rest}: {refused:?}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn only_a_certificate_that_can_serve_as_a_ca_is_registered() {
    let made = tempfile::tempdir().unwrap();
    make_claim(made.path()).await;
    let dir = tempfile::tempdir().unwrap();
    support::start(dir.path()).await.shutdown().await;
    let register = |file: &str| register_ca(dir.path(), &std::fs::read(made.path().join(file)).unwrap());

    let leaf = register("claim.pem").unwrap_err();
    assert!(matches!(leaf, RegisterCaError::NotSelfSigned { .. }), "{leaf}");
    assert!(leaf.to_string().contains("CN=AetherClaimCert is issued by CN=AetherCustomerCA"), "{leaf}");

    // Its name is that of its issuer, but another key signed it.
    shell(
        made.path(),
        r#"openssl req -new -key claim.key -out same.csr -subj "/CN=AetherCustomerCA" &&
        openssl x509 -req -in same.csr -CA customer-ca.pem -CAkey customer-ca.key -CAcreateserial -out same.pem"#,
    )
    .await;
    let same = register("same.pem").unwrap_err();
    assert!(matches!(same, RegisterCaError::NotSelfSigned { .. }), "{same}");

    let new = r#"openssl req -x509 -nodes -days 3650 -subj "/CN=x" -keyout x.key"#;
    for (rest, expected) in [
        ("-newkey rsa:1024 -sha256 -out short.pem", "RSA of 1024 bits"),
        ("-newkey ec -pkeyopt ec_paramgen_curve:secp521r1 -out curve.pem", "on secp521r1"),
        ("-newkey ed25519 -out edwards.pem", "d25519"),
    ] {
        shell(made.path(), &format!("{new} {rest}")).await;
        let error = register(rest.rsplit(' ').next().unwrap()).unwrap_err();
        assert!(matches!(error, RegisterCaError::UnusableKey { .. }), "{rest}: {error}");
        assert!(error.to_string().contains(expected), "{rest}: {error}");
    }
    shell(made.path(), &format!("{new} -newkey rsa:2048 -sha1 -out sha1.pem")).await;
    let sha1 = register("sha1.pem").unwrap_err();
    assert!(matches!(sha1, RegisterCaError::UnusableSignature { .. }), "{sha1}");
    assert!(sha1.to_string().contains("sha1WithRSAEncryption"), "{sha1}");

    // Version 1 and signed by itself: a CA as older tools make it.
    shell(made.path(), "openssl x509 -req -in claim.csr -signkey claim.key -out v1.pem -days 3650 -sha256").await;
    let text = shell(made.path(), "openssl x509 -in v1.pem -noout -text").await;
    assert!(text.contains("Version: 1 (0x0)"), "{text}");
    register("v1.pem").unwrap();
    register("customer-ca.pem").unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("customer-cas")).unwrap().count(), 2);
}

#[tokio::test]
async fn a_ca_removed_from_its_folder_admits_nobody_any_more() {
    let made = tempfile::tempdir().unwrap();
    make_claim(made.path()).await;
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let id = register_ca(dir.path(), &std::fs::read(made.path().join("customer-ca.pem")).unwrap()).unwrap();
    let credentials = claim_credentials(sandbox.files().ca(), made.path());
    assert!(Observer::connect(sandbox.local_addr(), &credentials, "claim").await.is_ok());
    std::fs::remove_file(dir.path().join(format!("customer-cas/{id}.pem"))).unwrap();
    // The claim was registered when it was first shown, and has become inactive with its CA.
    let refused = Observer::connect(sandbox.local_addr(), &credentials, "claim").await;
    assert!(matches!(refused, Err(ObserverError::HungUp)), "{refused:?}");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn openssl_itself_completes_the_handshake_and_trusts_the_server_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let command = format!(
            "openssl s_client -connect {} -servername localhost -verify_hostname localhost -verify_return_error {version} -CAfile ca.pem -cert claim.pem -key claim.key -x509_strict </dev/null",
            sandbox.local_addr()
        );
        let said = shell(dir.path(), &command).await;
        assert!(said.contains("Verify return code: 0 (ok)"), "{version}: {said}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn requests_made_by_openssl_are_signed_if_aws_would_take_their_key() {
    let dir = tempfile::tempdir().unwrap();
    support::start(dir.path()).await.shutdown().await;
    // The specification's claim policy leaves the CSR topics out, as AWS's samples do.
    let policy = dir.path().join("policies/aether-claim.json");
    let wider = std::fs::read_to_string(&policy).unwrap().replace("/certificates/create/*", "/certificates/create*");
    std::fs::write(&policy, wider).unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut client = support::claim(&sandbox, "claim").await;
    let topic = "$aws/certificates/create-from-csr/json";
    support::listen_for_answers(&client).await;
    for verdict in ["accepted", "rejected"] {
        client.subscribe(&format!("{topic}/{verdict}")).await.unwrap();
    }
    let made = tempfile::tempdir().unwrap();
    for (key, taken) in [
        ("rsa:2048", true),
        ("rsa:3072 -sha512", true),
        ("ec -pkeyopt ec_paramgen_curve:P-256", true),
        ("ec -pkeyopt ec_paramgen_curve:P-384 -sha384", true),
        ("rsa:1024", false),
        ("rsa:2048 -sha1", false),
        ("ec -pkeyopt ec_paramgen_curve:secp521r1", false),
        ("ed25519", false),
    ] {
        let subject = "/C=CH/O=Aether/CN=P3-00017/serialNumber=17";
        let command =
            format!("openssl req -new -nodes -newkey {key} -keyout device.key -out device.csr -subj {subject}");
        shell(made.path(), &command).await;
        let csr = std::fs::read_to_string(made.path().join("device.csr")).unwrap();
        let request = serde_json::json!({ "certificateSigningRequest": csr }).to_string();
        let answer = support::ask(&mut client, topic, request.as_bytes()).await;
        assert_eq!(answer.is_ok(), taken, "{key}: {answer:?}");
        let Ok(created) = answer else {
            assert_eq!(answer.unwrap_err()["errorCode"], "InvalidCsr");
            continue;
        };
        std::fs::write(made.path().join("device.pem"), created["certificatePem"].as_str().unwrap()).unwrap();
        let told = shell(made.path(), "openssl x509 -in device.pem -noout -subject -nameopt RFC2253").await;
        assert_eq!(told.trim(), "subject=serialNumber=17,CN=P3-00017,O=Aether,C=CH", "{key}");
        let request = serde_json::json!({
            "certificateOwnershipToken": created["certificateOwnershipToken"],
            "parameters": { "SerialNumber": "17" },
        });
        support::ask(&mut client, support::PROVISION, request.to_string().as_bytes()).await.unwrap();
        let path = |name: &str| made.path().join(name);
        let device = Credentials::read(sandbox.files().ca(), &path("device.pem"), &path("device.key")).unwrap();
        Observer::connect(sandbox.local_addr(), &device, "aether-17").await.unwrap().disconnect().await;
        // One CONNECT a second for each client id.
        sandbox.advance(std::time::Duration::from_secs(2));
    }
    sandbox.shutdown().await;
}
