//! A private key that stays elsewhere, in TLS and by itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::error::Error;
use std::sync::{Arc, Mutex};

use aether_mqtt::{
    ConnectError, Connector, Credentials, CredentialsError, KeyAlgorithm, PrivateKey, RumqttConnector, SignError,
    SignatureScheme, Signer,
};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use support::verifier::AnyClient;
use support::{BOTH_VERSIONS, Broker, certificates, soon};

/// A token, played by a key in memory, that notes what it was asked.
#[derive(Debug)]
struct Token {
    key: PrivateKey,
    schemes: &'static [SignatureScheme],
    asked: Mutex<Vec<SignatureScheme>>,
    away: bool,
}

impl Token {
    fn with(key: PrivateKey) -> Self {
        let schemes = key.algorithm().schemes();
        Self { key, schemes, asked: Mutex::default(), away: false }
    }
}

impl Signer for Token {
    fn algorithm(&self) -> KeyAlgorithm {
        self.key.algorithm()
    }

    fn public_key_der(&self) -> &[u8] {
        self.key.public_key_der()
    }

    fn locator(&self) -> &str {
        "pkcs11:token=plant;object=device"
    }

    fn schemes(&self) -> &[SignatureScheme] {
        self.schemes
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.asked.lock().unwrap().push(scheme);
        if self.away {
            let source = "no token in slot 1".into();
            return Err(SignError::Unavailable { locator: self.locator().to_owned(), source });
        }
        self.key.sign(scheme, message)
    }
}

fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, PrivateKey) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
    (certificate, PrivateKey::from_pem(key.serialize_pem().as_bytes()).unwrap())
}

/// A certificate and an RSA key: openssl makes them, as the library of the other tests cannot.
fn rsa_pair() -> (String, PrivateKey) {
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("openssl")
        .args("req -x509 -newkey rsa:2048 -nodes -keyout key -out pem -subj /CN=device".split(' '))
        .current_dir(directory.path())
        .output()
        .expect("openssl is installed: `cargo xtask ci` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    (String::from_utf8(read("pem")).unwrap(), PrivateKey::from_pem(&read("key")).unwrap())
}

fn elsewhere(certificate: &str, token: &Arc<Token>) -> Credentials {
    let key = PrivateKey::from_signer(Arc::clone(token) as Arc<dyn Signer>);
    Credentials::new(certificate.as_bytes(), key).unwrap()
}

#[tokio::test]
async fn a_key_that_stays_elsewhere_proves_itself_in_both_versions_of_tls() {
    for (certificate, key) in [pair(&PKCS_ECDSA_P256_SHA256), pair(&PKCS_ECDSA_P384_SHA384), rsa_pair()] {
        for version in BOTH_VERSIONS {
            let token = Arc::new(Token::with(key.clone()));
            let broker = Broker::with(&[version], AnyClient::accepted()).await;
            let options = broker.options_with(elsewhere(&certificate, &token));
            let (_session, peer) = broker.session(&options).await;
            let shown = peer.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
            assert_eq!(shown, options.credentials().certificate_der());
            assert_eq!(*token.asked.lock().unwrap(), [key.algorithm().schemes()[0]]);
        }
    }
}

#[tokio::test]
async fn a_token_without_pss_signs_in_tls_12_and_finds_no_common_ground_in_tls_13() {
    let (certificate, key) = rsa_pair();
    let token = || {
        let schemes = &[SignatureScheme::RsaPkcs1Sha256];
        Arc::new(Token { schemes, ..Token::with(key.clone()) })
    };
    let [tls12, tls13] = BOTH_VERSIONS;
    let broker = Broker::with(&[tls12], AnyClient::accepted()).await;
    let (_session, _peer) = broker.session(&broker.options_with(elsewhere(&certificate, &token()))).await;

    let broker = Broker::with(&[tls13], AnyClient::accepted()).await;
    let options = broker.options_with(elsewhere(&certificate, &token()));
    let connector = RumqttConnector::default();
    let (outcome, refused) = soon(async { tokio::join!(connector.connect(&options), broker.accept()) }).await;
    assert!(outcome.is_err() && refused.is_err());
}

#[tokio::test]
async fn a_token_that_is_away_fails_the_connect_and_says_so() {
    let (certificate, key) = pair(&PKCS_ECDSA_P256_SHA256);
    let token = Arc::new(Token { away: true, ..Token::with(key) });
    for version in BOTH_VERSIONS {
        let broker = Broker::with(&[version], AnyClient::accepted()).await;
        let options = broker.options_with(elsewhere(&certificate, &token));
        let connector = RumqttConnector::default();
        let (outcome, _) = soon(async { tokio::join!(connector.connect(&options), broker.accept()) }).await;
        let error = outcome.err().expect("no connection");
        assert!(matches!(error, ConnectError::Sign { .. }) && error.is_retryable(), "{error:?}");
        let mut chain = vec![error.to_string()];
        let mut source = error.source();
        while let Some(inner) = source {
            chain.push(inner.to_string());
            source = inner.source();
        }
        assert!(chain.iter().any(|said| said.contains("no token in slot 1")), "{chain:?}");
    }
}

#[test]
fn a_key_that_stays_elsewhere_has_a_place_and_no_text() {
    let (certificate, key) = pair(&PKCS_ECDSA_P256_SHA256);
    let credentials = elsewhere(&certificate, &Arc::new(Token::with(key.clone())));
    let kept = credentials.private_key();
    assert_eq!((kept.pem(), kept.locator()), (None, Some("pkcs11:token=plant;object=device")));
    assert_eq!(kept.public_key_der(), key.public_key_der());
    assert_eq!((key.pem().is_some(), key.locator()), (true, None));
    let shown = format!("{kept:?}");
    assert!(shown.contains("EcdsaP256") && shown.contains("object=device"), "{shown}");
}

#[test]
fn the_key_of_another_certificate_is_refused_wherever_it_is() {
    let (certificate, _) = pair(&PKCS_ECDSA_P256_SHA256);
    let (_, other) = pair(&PKCS_ECDSA_P256_SHA256);
    let other = PrivateKey::from_signer(Arc::new(Token::with(other)));
    let error = Credentials::new(certificate.as_bytes(), other).unwrap_err();
    assert!(matches!(error, CredentialsError::Mismatch { .. }), "{error:?}");
}

#[test]
fn keys_sign_with_the_schemes_of_their_kind_and_no_other() {
    let keys = [
        (pair(&PKCS_ECDSA_P256_SHA256).1, KeyAlgorithm::EcdsaP256),
        (pair(&PKCS_ECDSA_P384_SHA384).1, KeyAlgorithm::EcdsaP384),
        (pair(&PKCS_ED25519).1, KeyAlgorithm::Ed25519),
        (rsa_pair().1, KeyAlgorithm::Rsa),
    ];
    for (key, algorithm) in &keys {
        assert_eq!(key.algorithm(), *algorithm);
        for (_, other) in &keys {
            for &scheme in other.schemes() {
                let outcome = key.sign(scheme, b"message");
                let told = format!("{algorithm} with {scheme}");
                match outcome {
                    Ok(signature) => assert!(other == algorithm && !signature.is_empty(), "{told}"),
                    Err(error) => assert!(matches!(error, SignError::Scheme { .. }) && other != algorithm, "{told}"),
                }
            }
        }
    }
}

#[test]
fn the_fingerprint_is_the_hash_of_the_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let credentials = certificates::client("device");
    std::fs::write(directory.path().join("pem"), credentials.certificate_pem()).unwrap();
    let output = std::process::Command::new("openssl")
        .args("x509 -in pem -noout -fingerprint -sha256".split(' '))
        .current_dir(directory.path())
        .output()
        .expect("openssl is installed: `cargo xtask ci` installs it");
    let said = String::from_utf8(output.stdout).unwrap();
    let (_, expected) = said.trim().split_once('=').unwrap();
    assert_eq!(credentials.fingerprint(), expected.replace(':', "").to_lowercase());
}
