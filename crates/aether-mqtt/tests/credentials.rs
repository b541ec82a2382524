//! Certificates, keys and roots as they come in files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::{Duration, SystemTime};

use aether_mqtt::{Credentials, CredentialsError, RootsError, ServerRoots};
use rcgen::{CertificateParams, KeyPair, SerialNumber};
use support::certificates::{self, Authority};

fn pair(common_name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from(7));
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn read(certificate: &str, key: &str) -> Result<Credentials, CredentialsError> {
    Credentials::from_pem(certificate.as_bytes(), key.as_bytes())
}

#[test]
fn a_certificate_and_its_key_are_credentials() {
    let (certificate, key) = pair("line7-press3");
    let credentials = read(&certificate, &key).unwrap();
    assert_eq!(credentials.common_name(), Some("line7-press3"));
    assert_eq!(credentials.certificate_pem(), certificate.as_bytes());
    assert_eq!(credentials.private_key().pem(), Some(key.as_bytes()));
    // The dates that rcgen gives by default.
    assert_eq!(credentials.not_before(), SystemTime::UNIX_EPOCH + Duration::from_secs(157_766_400));
    assert!(credentials.not_after() > SystemTime::now());
}

#[test]
fn an_x509_v1_certificate_is_accepted() {
    let (certificate, key) = certificates::v1_pair("AetherClaimCert");
    assert_eq!(read(&certificate, &key).unwrap().common_name(), Some("AetherClaimCert"));
}

#[test]
fn the_key_of_another_certificate_is_refused_by_name() {
    let ((certificate, _), (_, other_key)) = (pair("line7-press3"), pair("line7-press4"));
    let error = read(&certificate, &other_key).unwrap_err();
    assert_eq!(error.to_string(), "the private key does not belong to the certificate of \"CN=line7-press3\"");
}

#[test]
fn what_is_missing_or_unreadable_is_said() {
    let (certificate, key) = pair("x");
    assert!(matches!(read("", &key), Err(CredentialsError::NoCertificate)));
    assert!(matches!(read(&key, &key), Err(CredentialsError::NoCertificate)));
    assert!(matches!(read(&certificate, ""), Err(CredentialsError::NoKey)));
    assert!(matches!(read(&certificate, &certificate), Err(CredentialsError::NoKey)));
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(read(garbled, &key), Err(CredentialsError::Certificate(_))));
    let garbled = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(read(&certificate, garbled), Err(CredentialsError::Key(_))));
}

#[test]
fn a_key_pasted_into_one_line_is_not_repeated_by_the_error() {
    let (certificate, _) = pair("x");
    let error = read(&certificate, "-----BEGIN PRIVATE KEY-----SECRETSECRET\n").unwrap_err();
    let shown = format!("{error:?} {error} {}", std::error::Error::source(&error).unwrap());
    assert!(shown.contains("BEGIN line is malformed"), "{shown}");
    // Neither as text nor as a list of bytes.
    assert!(!shown.contains("SECRET") && !shown.contains("83, 69"), "{shown}");
}

#[test]
fn debug_output_shows_nothing_of_the_key() {
    let (certificate, key) = pair("x");
    let shown = format!("{:?}", read(&certificate, &key).unwrap());
    let secret = key.lines().nth(1).unwrap();
    assert!(shown.contains("common_name") && !shown.contains(&secret[..16]) && !shown.contains("key"), "{shown}");
}

#[test]
fn roots_need_at_least_one_certificate_and_take_v1() {
    assert!(ServerRoots::from_pem(Authority::new().pem().as_bytes()).is_ok());
    let (v1, _) = certificates::v1_pair("Old Root");
    assert!(ServerRoots::from_pem(v1.as_bytes()).is_ok());
    assert!(matches!(ServerRoots::from_pem(b"nothing"), Err(RootsError::Empty)));
    let garbled = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(ServerRoots::from_pem(garbled), Err(RootsError::Certificate { index: 1, .. })));
}

#[test]
fn a_private_key_in_the_certificate_file_goes_nowhere_with_the_certificate() {
    let (certificate, key) = pair("device");
    let both = format!("Bag Attributes\n{key}{certificate}{key}");
    let credentials = Credentials::from_pem(both.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(credentials.certificate_pem(), certificate.as_bytes());
}
