//! Who gets through the handshake: keys, chains, dates, protocols and names.

mod support;

use std::path::Path;
use std::time::Duration;

use aether_sandbox::{
    AlpnRule, AuditEvent, CertificateStatus, Credentials, KeyKind, Observer, Sandbox, SniRule, register_ca,
};
use rmqtt_codec::v3::Packet;
use support::raw::{Raw, connect};
use support::{audited, audited_event};
use tokio::process::Command;

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

async fn shell(dir: &Path, command: &str) {
    let output = Command::new("sh").arg("-c").arg(command).current_dir(dir).output().await.expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} (is openssl installed?): {said}");
}

/// A registered CA (`ca.pem`, `ca.key`) whose certificates are claims.
async fn registered_ca(dir: &Path, made: &Path) {
    shell(
        made,
        r#"openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -sha256 -days 365 -out ca.pem -subj "/CN=Press CA""#,
    )
    .await;
    register_ca(dir, &std::fs::read(made.join("ca.pem")).expect("the CA just made")).expect("a usable CA");
}

/// A leaf `NAME.pem` with its key, signed by `ca`.
async fn leaf(made: &Path, name: &str, newkey: &str, ca: &str, rest: &str) {
    shell(
        made,
        &format!(
            r#"openssl req -newkey {newkey} -nodes -keyout {name}.key -out {name}.csr -subj "/CN={name}" &&
            openssl x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -out {name}.pem -sha256 {rest}"#
        ),
    )
    .await;
}

/// Whether the sandbox answers a CONNECT with this certificate over this version of TLS.
async fn gets_in(
    sandbox: &Sandbox,
    made: &Path,
    name: &str,
    version: &'static rustls::SupportedProtocolVersion,
) -> bool {
    let (cert, key) = (made.join(format!("{name}.pem")), made.join(format!("{name}.key")));
    let opened = Raw::open(sandbox.local_addr(), sandbox.files().ca(), &cert, &key, version).await;
    // With TLS 1.3 a client hears of the refusal only after its own end of the handshake.
    let Ok(mut raw) = opened else { return false };
    raw.send(connect(name).into()).await;
    matches!(raw.receive().await, Some(Packet::ConnectAck(_)))
}

/// What openssl's own client, which minds the strength of nothing, is refused with.
async fn refusal_of_openssl(sandbox: &Sandbox, made: &Path, name: &str, rest: &str) -> String {
    let mut audit = sandbox.audit();
    let command = format!(
        "openssl s_client -connect {} -CAfile {} -cert {name}.pem -key {name}.key -cipher DEFAULT@SECLEVEL=0 {rest} </dev/null; true",
        sandbox.local_addr(),
        sandbox.files().ca().display()
    );
    shell(made, &command).await;
    audited_event(&mut audit, AuditEvent::TlsHandshake).await.reason.expect("a reason")
}

#[tokio::test]
async fn keys_of_every_kind_get_in_and_those_that_cannot_be_checked_are_named() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    registered_ca(dir.path(), made.path()).await;
    let made = made.path();
    for (name, newkey) in [
        ("rsa2048", "rsa:2048"),
        ("rsa3072", "rsa:3072"),
        ("p256", "ec -pkeyopt ec_paramgen_curve:prime256v1"),
        ("p384", "ec -pkeyopt ec_paramgen_curve:secp384r1"),
    ] {
        leaf(made, name, newkey, "ca", "-days 10").await;
        for version in VERSIONS {
            assert!(gets_in(&sandbox, made, name, version).await, "{name} {version:?}");
        }
    }
    for (name, newkey, version, expected) in [
        ("rsa1024", "rsa:1024", "-tls1_2", "RSA of 1024 bits"),
        ("rsa1024", "rsa:1024", "-tls1_3", "RSA of 1024 bits"),
        ("p521", "ec -pkeyopt ec_paramgen_curve:secp521r1", "-tls1_2", "on secp521r1"),
        ("p521", "ec -pkeyopt ec_paramgen_curve:secp521r1", "-tls1_3", "client sent no certificate, or has none with"),
    ] {
        leaf(made, name, newkey, "ca", "-days 10").await;
        let reason = refusal_of_openssl(&sandbox, made, name, version).await;
        assert!(reason.contains(expected), "{name} {version}: {reason}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn versions_1_and_3_chains_and_whatever_follows_the_leaf_get_in() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    registered_ca(dir.path(), made.path()).await;
    let made = made.path();
    leaf(made, "v1", "rsa:2048", "ca", "-days 10").await;
    std::fs::write(made.join("v3.cnf"), "basicConstraints=CA:FALSE\nsubjectAltName=DNS:press-3\n").unwrap();
    leaf(made, "v3", "rsa:2048", "ca", "-days 10 -extfile v3.cnf").await;
    for (name, version) in [("v1", "Version: 1 (0x0)"), ("v3", "Version: 3 (0x2)")] {
        shell(made, &format!("openssl x509 -in {name}.pem -noout -text | grep -qF '{version}'")).await;
    }
    // The blog on just-in-time registration has the device send leaf and CA in one file.
    shell(made, "cat v1.pem ca.pem > chain.pem; cp v1.key chain.key").await;
    shell(made, "cat v1.pem v3.pem v1.pem > odd.pem; cp v1.key odd.key").await;
    for name in ["v1", "v3", "chain", "odd"] {
        for version in VERSIONS {
            assert!(gets_in(&sandbox, made, name, version).await, "{name} {version:?}");
        }
    }
    // A CA between leaf and registered CA: only the direct signer counts.
    std::fs::write(made.join("ca.cnf"), "basicConstraints=CA:TRUE\n").unwrap();
    leaf(made, "between", "rsa:2048", "ca", "-days 10 -extfile ca.cnf").await;
    leaf(made, "far", "rsa:2048", "between", "-days 10").await;
    shell(made, "mv far.pem one.pem; cat one.pem between.pem ca.pem > far.pem").await;
    let mut audit = sandbox.audit();
    assert!(!gets_in(&sandbox, made, "far", VERSIONS[0]).await);
    let reason = audited_event(&mut audit, AuditEvent::TlsHandshake).await.reason.unwrap();
    assert!(reason.contains("no registered CA certificate signed it"), "{reason}");
    register_ca(dir.path(), &std::fs::read(made.join("between.pem")).unwrap()).unwrap();
    assert!(gets_in(&sandbox, made, "far", VERSIONS[0]).await, "now its signer is registered");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn dates_are_judged_by_the_sandbox_clock_and_an_expiry_cuts_the_connection() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    registered_ca(dir.path(), made.path()).await;
    let made = made.path();
    leaf(made, "short", "rsa:2048", "ca", "-days 2").await;
    leaf(made, "long", "rsa:2048", "ca", "-days 10").await;
    let read = |name: &str| {
        let (cert, key) = (made.join(format!("{name}.pem")), made.join(format!("{name}.key")));
        Credentials::read(sandbox.files().ca(), &cert, &key).unwrap()
    };
    let short = Observer::connect(sandbox.local_addr(), &read("short"), "short").await.unwrap();
    let long = Observer::connect(sandbox.local_addr(), &read("long"), "long").await.unwrap();
    let mut audit = sandbox.audit();
    sandbox.advance(Duration::from_secs(3 * 24 * 60 * 60));
    support::closed(&short).await;
    let end = audited(&mut audit, |record| record.event == AuditEvent::Disconnect).await;
    assert_eq!(end.client_id.as_deref(), Some("short"));
    assert!(end.reason.unwrap().contains("certificate has expired"));
    assert!(!gets_in(&sandbox, made, "short", VERSIONS[1]).await);
    let reason = audited_event(&mut audit, AuditEvent::TlsHandshake).await.reason.unwrap();
    assert!(reason.contains("expired"), "{reason}");
    assert!(gets_in(&sandbox, made, "long", VERSIONS[1]).await);
    long.disconnect().await;

    // The CA is valid for a year: what it signed is not registered any more afterwards, but what is
    // registered stays.
    leaf(made, "late", "rsa:2048", "ca", "-days 4000").await;
    leaf(made, "early", "rsa:2048", "ca", "-days 4000").await;
    assert!(gets_in(&sandbox, made, "early", VERSIONS[1]).await);
    sandbox.advance(Duration::from_secs(400 * 24 * 60 * 60));
    assert!(gets_in(&sandbox, made, "early", VERSIONS[1]).await);
    assert!(!gets_in(&sandbox, made, "late", VERSIONS[1]).await);
    let reason = audited(&mut audit, |record| record.event == AuditEvent::TlsHandshake).await.reason.unwrap();
    assert!(reason.contains("CA certificate") && reason.contains("expired"), "{reason}");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn only_active_certificates_are_let_in_at_connect() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = support::provision(&sandbox, "1").await;
    let id = device.certificate_id.parse().unwrap();
    let mut audit = sandbox.audit();
    for status in [
        CertificateStatus::Inactive,
        CertificateStatus::Revoked,
        CertificateStatus::PendingTransfer,
        CertificateStatus::RegisterInactive,
        CertificateStatus::PendingActivation,
    ] {
        sandbox.set_certificate_status(&id, CertificateStatus::Active).await.unwrap();
        let client = support::device(&sandbox, &device).await;
        sandbox.set_certificate_status(&id, status).await.unwrap();
        support::closed(&client).await;
        let refused = Observer::connect(sandbox.local_addr(), &device.credentials, &device.thing).await;
        assert!(refused.is_err(), "{status}");
        let denied = audited(&mut audit, |record| record.decision == aether_sandbox::AuditDecision::Denied).await;
        let pending = status == CertificateStatus::PendingActivation;
        let event = if pending { AuditEvent::TlsHandshake } else { AuditEvent::Connect };
        assert_eq!(denied.event, event, "{status}");
        assert!(denied.reason.unwrap().contains(status.as_str()), "{status}");
    }
    sandbox.shutdown().await;
}

/// Opens a TLS connection with the claim certificate; gives the protocol the server chose.
async fn open(
    sandbox: &Sandbox,
    version: &'static rustls::SupportedProtocolVersion,
    name: &str,
    alpn: &[&str],
) -> Result<Option<String>, String> {
    let files = sandbox.files();
    let (cert, key) = (files.claim_cert(), files.claim_key());
    let opened = Raw::open_as(sandbox.local_addr(), files.ca(), cert, key, version, name, alpn).await;
    let mut raw = opened.map_err(|error| error.to_string())?;
    raw.send(connect("claim").into()).await;
    assert!(matches!(raw.receive().await, Some(Packet::ConnectAck(_))));
    Ok(raw.alpn().map(|chosen| String::from_utf8_lossy(chosen).into_owned()))
}

#[tokio::test]
async fn alpn_is_that_of_mqtt_with_a_certificate_or_refused_with_the_alert_and_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut audit = sandbox.audit();
    for version in VERSIONS {
        assert_eq!(open(&sandbox, version, "localhost", &[]).await, Ok(None));
        for offered in [&["x-amzn-mqtt-ca"][..], &["mqtt", "x-amzn-mqtt-ca"]] {
            let chosen = open(&sandbox, version, "localhost", offered).await;
            assert_eq!(chosen, Ok(Some("x-amzn-mqtt-ca".to_owned())));
        }
        for other in ["mqtt", "x-amzn-http-ca", "h2"] {
            let refused = open(&sandbox, version, "localhost", &[other]).await.unwrap_err();
            assert!(refused.contains("NoApplicationProtocol"), "{refused}");
            let reason = audited_event(&mut audit, AuditEvent::TlsHandshake).await.reason.unwrap();
            assert_eq!(reason, format!("ALPN offers {other:?}, expected x-amzn-mqtt-ca among it"));
        }
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn sni_is_a_name_of_the_server_certificate_or_refused_and_addresses_send_none() {
    const ENDPOINT: &str = "abc-ats.iot.eu-west-1.amazonaws.com";
    let dir = tempfile::tempdir().unwrap();
    let builder =
        Sandbox::builder().dir(dir.path()).listen("127.0.0.1:0".parse().unwrap()).device_keys(KeyKind::EcP256);
    let builder = builder.limits(aether_sandbox::Limits::unpaced()).endpoint_name(ENDPOINT);
    let sandbox = builder.clone().start().await.unwrap();
    assert_eq!(sandbox.server_names(), ["localhost", ENDPOINT]);
    let mut audit = sandbox.audit();
    for version in VERSIONS {
        for name in ["localhost", ENDPOINT, "127.0.0.1"] {
            assert_eq!(open(&sandbox, version, name, &[]).await, Ok(None), "{name}");
        }
        let refused = open(&sandbox, version, "other.example", &[]).await.unwrap_err();
        assert!(refused.contains("UnrecognisedName") || refused.contains("UnrecognizedName"), "{refused}");
        let reason = audited_event(&mut audit, AuditEvent::TlsHandshake).await.reason.unwrap();
        assert!(reason.contains("SNI is \"other.example\"") && reason.contains(ENDPOINT), "{reason}");
    }
    sandbox.shutdown().await;

    let strict = builder.sni(SniRule::Required).alpn(AlpnRule::Required).start().await.unwrap();
    let mut audit = strict.audit();
    assert!(open(&strict, VERSIONS[1], ENDPOINT, &["x-amzn-mqtt-ca"]).await.is_ok());
    for (name, alpn, expected) in [("127.0.0.1", &["x-amzn-mqtt-ca"][..], "no SNI"), ("localhost", &[], "no ALPN")] {
        assert!(open(&strict, VERSIONS[1], name, alpn).await.is_err());
        let reason = audited_event(&mut audit, AuditEvent::TlsHandshake).await.reason.unwrap();
        assert!(reason.contains(expected), "{reason}");
    }
    strict.shutdown().await;

    let unnamed = Sandbox::builder().dir(dir.path()).endpoint_name("not a name").start().await.unwrap_err();
    assert!(unnamed.to_string().contains("`endpoint_name`"), "{unnamed}");
}

#[tokio::test]
async fn versions_of_tls_before_1_2_are_refused() {
    let (dir, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sandbox = support::start(dir.path()).await;
    registered_ca(dir.path(), made.path()).await;
    leaf(made.path(), "old", "rsa:2048", "ca", "-days 10").await;
    for version in ["-tls1", "-tls1_1"] {
        let reason = refusal_of_openssl(&sandbox, made.path(), "old", version).await;
        assert!(!reason.is_empty());
    }
    sandbox.shutdown().await;
}
