//! Keys made on the device and the requests for their certificates, as OpenSSL sees them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use aether_mqtt::{Credentials, KeyAlgorithm, PrivateKey, SignError, SignatureScheme, Signer};
use aether_provisioning::{InvalidRequest, KeyError, KeyKind, KeySource, SigningRequest, SoftwareKeys};

/// Runs `openssl` in a directory and gives what it said, on both of its outputs.
#[track_caller]
fn openssl(directory: &Path, arguments: &str) -> String {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    let output = output.expect("openssl is installed: `cargo xtask ci` installs it");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "openssl {arguments}: {said}");
    said
}

/// A request made by openssl: `newkey` as in `req -newkey`.
fn made_by_openssl(newkey: &str, more: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let more = if more.is_empty() { String::new() } else { format!(" {more}") };
    openssl(directory.path(), &format!("req -new -newkey {newkey} -nodes -keyout k -out csr -subj /CN=P3-00017{more}"));
    std::fs::read(directory.path().join("csr")).unwrap()
}

fn chain(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

#[test]
fn openssl_reads_and_verifies_the_request_for_each_kind_of_key() {
    let kinds = [
        (KeyKind::EcP256, "prime256v1", "ecdsa-with-SHA256"),
        (KeyKind::EcP384, "secp384r1", "ecdsa-with-SHA384"),
        (KeyKind::Rsa2048, "2048 bit", "sha256WithRSAEncryption"),
    ];
    for (kind, key_in_words, signature_in_words) in kinds {
        let directory = tempfile::tempdir().unwrap();
        let key = SoftwareKeys::new(kind).make().unwrap();
        assert_eq!(key.algorithm(), kind.algorithm());
        let request = SigningRequest::make(&key, "P3-00017").unwrap();
        assert!(request.is_for(&key));
        assert_eq!(request.common_name(), Some("P3-00017"));
        std::fs::write(directory.path().join("csr"), request.as_pem()).unwrap();
        let said = openssl(directory.path(), "req -in csr -noout -verify -text");
        assert!(said.contains("verify OK") && said.contains("CN = P3-00017"), "{said}");
        assert!(said.contains(key_in_words) && said.contains(signature_in_words), "{said}");
        assert!(said.contains("Version: 1"), "{said}");
    }
}

#[test]
fn openssl_takes_the_keys_and_a_certificate_for_one_makes_credentials() {
    let directory = tempfile::tempdir().unwrap();
    for kind in [KeyKind::EcP256, KeyKind::EcP384, KeyKind::Rsa2048] {
        let key = SoftwareKeys::new(kind).make().unwrap();
        let pem = key.pem().expect("the key is held in memory");
        assert!(pem.starts_with(b"-----BEGIN PRIVATE KEY-----"));
        std::fs::write(directory.path().join("key"), pem).unwrap();
        std::fs::write(directory.path().join("csr"), SigningRequest::make(&key, "device").unwrap().as_pem()).unwrap();
        openssl(directory.path(), "pkey -in key -check -noout");
        openssl(directory.path(), "x509 -req -in csr -signkey key -out pem -days 1");
        let certificate = std::fs::read(directory.path().join("pem")).unwrap();
        let credentials = Credentials::new(&certificate, key).unwrap();
        assert_eq!(credentials.common_name(), Some("device"));
    }
}

#[test]
fn every_key_is_another() {
    let keys = SoftwareKeys::default();
    assert_ne!(keys.make().unwrap().public_key_der(), keys.make().unwrap().public_key_der());
}

#[test]
fn software_keys_are_kept_by_nobody() {
    let error = SoftwareKeys::default().open("pkcs11:token=plant").unwrap_err();
    assert!(matches!(&error, KeyError::NotKept { locator } if locator == "pkcs11:token=plant"));
    assert!(!error.is_retryable());
}

#[test]
fn requests_made_by_openssl_are_read_with_what_stands_around_them() {
    let plain = made_by_openssl("rsa:2048", "");
    let request = SigningRequest::from_pem(&plain).unwrap();
    assert_eq!(request.as_pem().as_bytes(), plain);
    for newkey in ["ec -pkeyopt ec_paramgen_curve:P-256", "ec -pkeyopt ec_paramgen_curve:P-384"] {
        let with_text = made_by_openssl(newkey, "-text -addext subjectAltName=DNS:press.example");
        assert!(with_text.starts_with(b"Certificate Request:"));
        let request = SigningRequest::from_pem(&with_text).unwrap();
        assert!(request.as_pem().starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
        assert_eq!(request.as_pem().parse::<SigningRequest>().unwrap(), request);
    }
    let text = String::from_utf8(plain).unwrap();
    let from_windows = text.replace('\n', "\r\n").replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
    assert_eq!(from_windows.parse::<SigningRequest>().unwrap(), request);
}

#[test]
fn a_key_that_aws_does_not_sign_for_is_refused_by_kind() {
    for (newkey, found) in [
        ("rsa:1024", "RSA of 1024 bits"),
        ("ec -pkeyopt ec_paramgen_curve:secp521r1", "ECDSA on the curve 1.3.132.0.35"),
        ("ec -pkeyopt ec_paramgen_curve:secp256k1", "ECDSA on the curve 1.3.132.0.10"),
        ("ed25519", "a key of kind 1.3.101.112"),
    ] {
        let error = SigningRequest::from_pem(&made_by_openssl(newkey, "")).unwrap_err();
        assert!(matches!(error, InvalidRequest::Key { .. }), "{newkey}: {error:?}");
        assert!(error.to_string().contains(found), "{newkey}: {error}");
    }
}

#[test]
fn a_request_that_was_changed_is_refused() {
    let key = SoftwareKeys::default().make().unwrap();
    let other = SoftwareKeys::default().make().unwrap();
    let request = SigningRequest::make(&key, "P3-00017").unwrap();
    assert!(!request.is_for(&other));
    // One letter of the common name, in the first line of the Base64.
    let changed = request.as_pem().replacen("UDMtMDAwMTc", "UDMtMDAwMTg", 1);
    let changed = if changed == request.as_pem() { flip(request.as_pem()) } else { changed };
    let error = changed.parse::<SigningRequest>().unwrap_err();
    assert!(matches!(error, InvalidRequest::Signature(_)), "{error:?}");
}

/// Changes the last character but a few of the Base64: a byte of the signature.
fn flip(pem: &str) -> String {
    let at = pem.rfind("\n-----END").unwrap() - 12;
    let other = if pem.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &pem[..at], &pem[at + 1..])
}

#[test]
fn what_is_no_request_is_said() {
    let request = SigningRequest::make(&SoftwareKeys::default().make().unwrap(), "x").unwrap();
    let pem = request.as_pem();
    let read = |text: &str| SigningRequest::from_pem(text.as_bytes()).unwrap_err();
    assert!(matches!(read(""), InvalidRequest::Missing));
    assert!(matches!(read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), InvalidRequest::Missing));
    assert!(matches!(read(&pem.repeat(2)), InvalidRequest::Several { found: 2 }));
    assert!(chain(&read(&pem.replace("END", "FIN"))).contains("has no END line"));
    let lines: Vec<&str> = pem.lines().collect();
    assert!(matches!(read(&format!("{}\n{}\n", lines[0], lines[lines.len() - 1])), InvalidRequest::Unreadable(_)));
    assert!(matches!(read(&pem.replace(lines[1], "????")), InvalidRequest::Unreadable(_)));
    assert!(matches!(read(&pem.replace(lines[1], "")), InvalidRequest::Unreadable(_)));
    assert!(matches!(SigningRequest::from_pem(&[0xff; 20]), Err(InvalidRequest::Unreadable(_))));
}

#[test]
fn a_request_with_any_byte_changed_is_refused_or_the_same() {
    let request = SigningRequest::make(&SoftwareKeys::default().make().unwrap(), "P3-00017").unwrap();
    let pem = request.as_pem().as_bytes();
    for at in 0..pem.len() {
        for other in [b'A', b'/', b'=', b'-', b'\n', 0, 0xff] {
            let mut changed = pem.to_vec();
            changed[at] = other;
            if let Ok(read) = SigningRequest::from_pem(&changed) {
                // A line end more or less, or a bit of the last letter that carries nothing.
                assert_eq!(read.public_key_der(), request.public_key_der(), "byte {at} as {other}");
                assert_eq!(read.common_name(), request.common_name(), "byte {at} as {other}");
            }
        }
    }
}

#[test]
fn a_request_longer_than_aws_takes_is_refused_with_its_length() {
    let names: Vec<String> =
        (0..60).map(|n| format!("DNS:a-rather-long-name-for-one-press-{n}.plant.example")).collect();
    let long = made_by_openssl("rsa:2048", &format!("-addext subjectAltName={}", names.join(",")));
    let error = SigningRequest::from_pem(&long).unwrap_err();
    let InvalidRequest::TooLong { found, limit: 4096 } = error else { panic!("{error:?}") };
    assert_eq!(found, long.trim_ascii_end().len());
}

#[test]
fn a_common_name_of_wrong_length_is_refused() {
    let key = SoftwareKeys::default().make().unwrap();
    assert!(SigningRequest::make(&key, &"é".repeat(64)).is_ok());
    for name in [String::new(), "x".repeat(65), "two\nlines".to_owned()] {
        let error = SigningRequest::make(&key, &name).unwrap_err();
        assert!(matches!(&error, InvalidRequest::CommonName { found, limit: 64 } if *found == name), "{error:?}");
    }
}

/// A key that stays elsewhere, played by one in memory.
#[derive(Debug)]
struct Token {
    key: PrivateKey,
    /// The key it says it has.
    shown: PrivateKey,
    away: bool,
}

impl Signer for Token {
    fn algorithm(&self) -> KeyAlgorithm {
        self.shown.algorithm()
    }

    fn public_key_der(&self) -> &[u8] {
        self.shown.public_key_der()
    }

    fn locator(&self) -> &str {
        "pkcs11:token=plant;object=device"
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.away {
            return Err(SignError::Unavailable { locator: self.locator().into(), source: "no token in slot 1".into() });
        }
        self.key.sign(scheme, message)
    }
}

#[test]
fn a_key_that_stays_elsewhere_signs_its_request_and_says_why_it_cannot() {
    let make = || SoftwareKeys::default().make().unwrap();
    let (key, other) = (make(), make());
    let token = |shown: &PrivateKey, away| {
        PrivateKey::from_signer(Arc::new(Token { key: key.clone(), shown: shown.clone(), away }))
    };
    let there = token(&key, false);
    assert!(SigningRequest::make(&there, "x").unwrap().is_for(&key));
    assert_eq!((there.pem(), there.locator()), (None, Some("pkcs11:token=plant;object=device")));

    let error = SigningRequest::make(&token(&key, true), "x").unwrap_err();
    assert!(chain(&error).ends_with("is not available: no token in slot 1"), "{}", chain(&error));
    let error = SigningRequest::make(&token(&other, false), "x").unwrap_err();
    assert!(matches!(error, InvalidRequest::Signature(_)), "{error:?}");
}
