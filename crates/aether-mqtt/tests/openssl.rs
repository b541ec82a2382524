//! Certificates and keys made with the provisioning guide's own `openssl` commands.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::path::Path;
use std::process::Command;

use aether_mqtt::{Credentials, CredentialsError};
use support::verifier::AnyClient;
use support::{BOTH_VERSIONS, Broker};

/// Section 1 of the guide: a customer CA and a claim certificate under it, which comes out as X.509 v1.
const GUIDE: [&str; 5] = [
    "genrsa -out customer-ca.key 2048",
    "req -x509 -new -nodes -key customer-ca.key -sha256 -days 3650 -out customer-ca.pem -subj /CN=AetherCustomerCA",
    "genrsa -out claim.key 2048",
    "req -new -key claim.key -out claim.csr -subj /CN=AetherClaimCert",
    "x509 -req -in claim.csr -CA customer-ca.pem -CAkey customer-ca.key -CAcreateserial -out claim.pem -days 3650 -sha256",
];

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    let output = output.expect("openssl is installed: the guide asks for it, and `cargo xtask ci` installs it");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn read(directory: &Path, certificate: &str, key: &str) -> Result<Credentials, CredentialsError> {
    let file = |name| std::fs::read(directory.join(name)).unwrap();
    Credentials::from_pem(&file(certificate), &file(key))
}

#[tokio::test]
async fn the_claim_certificate_of_the_guide_connects_in_both_versions_of_tls() {
    let directory = tempfile::tempdir().unwrap();
    for command in GUIDE {
        openssl(directory.path(), command);
    }
    let claim = read(directory.path(), "claim.pem", "claim.key").unwrap();
    assert_eq!(claim.common_name(), Some("AetherClaimCert"));
    for version in BOTH_VERSIONS {
        let broker = Broker::with(&[version], AnyClient::accepted()).await;
        let options = broker.options_with(claim.clone());
        let (_session, peer) = broker.session(&options).await;
        let shown = peer.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        assert_eq!(shown, claim.certificate_der());
    }
    let other = read(directory.path(), "claim.pem", "customer-ca.key");
    assert!(matches!(other, Err(CredentialsError::Mismatch { .. })), "{other:?}");
}

#[test]
fn keys_are_read_in_each_of_their_formats() {
    let directory = tempfile::tempdir().unwrap();
    for command in [
        "genrsa -out rsa.pkcs8 2048",
        // The form in which AWS sends the keys it makes.
        "rsa -in rsa.pkcs8 -traditional -out rsa.pkcs1",
        "req -x509 -new -key rsa.pkcs8 -subj /CN=device -out rsa.pem",
        "ecparam -name prime256v1 -genkey -noout -out ec.sec1",
        "pkcs8 -topk8 -nocrypt -in ec.sec1 -out ec.pkcs8",
        "req -x509 -new -key ec.sec1 -subj /CN=device -out ec.pem",
        "pkcs8 -topk8 -passout pass:secret -in ec.sec1 -out ec.encrypted",
    ] {
        openssl(directory.path(), command);
    }
    for (certificate, key) in
        [("rsa.pem", "rsa.pkcs8"), ("rsa.pem", "rsa.pkcs1"), ("ec.pem", "ec.sec1"), ("ec.pem", "ec.pkcs8")]
    {
        let credentials = read(directory.path(), certificate, key);
        assert!(credentials.is_ok(), "{key}: {credentials:?}");
    }
    let encrypted = read(directory.path(), "ec.pem", "ec.encrypted");
    assert!(matches!(encrypted, Err(CredentialsError::NoKey)), "{encrypted:?}");
}
