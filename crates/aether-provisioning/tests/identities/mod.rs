//! Identities for the store's tests, and what they look like in a store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aether_mqtt::{Credentials, KeyAlgorithm, PrivateKey, SignError, SignatureScheme, Signer, testing};
use aether_provisioning::{
    Contents, DirectoryStore, Identity, IdentityStore, IssuedCertificate, KeyError, KeySource, OwnershipToken, Staged,
};

pub(crate) const TOKEN: &str = "ownership-token-0123456789";

/// A certificate as if it had been issued `age` ago.
pub(crate) fn issued(certificate_id: &str, age: Duration) -> IssuedCertificate {
    issued_with(certificate_id, age, testing::credentials("AWS IoT Certificate"))
}

pub(crate) fn issued_with(certificate_id: &str, age: Duration, credentials: Credentials) -> IssuedCertificate {
    let issued_at = SystemTime::now().checked_sub(age).unwrap();
    IssuedCertificate::new(certificate_id.parse().unwrap(), credentials, OwnershipToken::new(TOKEN), issued_at)
}

pub(crate) fn registered(issued: &IssuedCertificate) -> Identity {
    let configuration = BTreeMap::from([("site".to_owned(), "hall-b".to_owned())]);
    issued.clone().registered("line7-press3".parse().unwrap(), configuration)
}

pub(crate) fn identity(certificate_id: &str) -> Identity {
    registered(&issued(certificate_id, Duration::ZERO))
}

/// A fresh key in memory.
pub(crate) fn key() -> PrivateKey {
    PrivateKey::from_pem(testing::self_signed("unused").1.as_bytes()).unwrap()
}

/// Credentials of a certificate that is over at `not_after`.
pub(crate) fn credentials_until(not_after: SystemTime) -> Credentials {
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.not_after = not_after.into();
    let certificate = params.self_signed(&pair).unwrap();
    Credentials::from_pem(certificate.pem().as_bytes(), pair.serialize_pem().as_bytes()).unwrap()
}

/// A token with one key in it, and the certificate to that key.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    key: PrivateKey,
    certificate: String,
}

pub(crate) const LOCATOR: &str = "pkcs11:token=aether;object=device";

impl Token {
    pub(crate) fn new() -> Self {
        let (certificate, key) = testing::self_signed("AWS IoT Certificate");
        Self { key: PrivateKey::from_pem(key.as_bytes()).unwrap(), certificate }
    }

    pub(crate) fn key(&self) -> PrivateKey {
        PrivateKey::from_signer(Arc::new(self.clone()))
    }

    pub(crate) fn issued(&self, certificate_id: &str) -> IssuedCertificate {
        let credentials = Credentials::new(self.certificate.as_bytes(), self.key()).unwrap();
        issued_with(certificate_id, Duration::ZERO, credentials)
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
        LOCATOR
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(scheme, message)
    }
}

impl KeySource for Token {
    fn make(&self) -> Result<PrivateKey, KeyError> {
        Ok(self.key())
    }

    fn open(&self, locator: &str) -> Result<PrivateKey, KeyError> {
        if locator == LOCATOR { Ok(self.key()) } else { Err(KeyError::NotFound { locator: locator.to_owned() }) }
    }
}

/// Every file below a directory with what is in it, to see that nothing changed.
pub(crate) fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap_or_default());
        }
    }
    found
}

pub(crate) fn load(store: &DirectoryStore) -> Contents {
    store.load(SystemTime::now()).unwrap()
}

pub(crate) fn ids(contents: &Contents) -> [Option<&str>; 2] {
    [&contents.active, &contents.previous].map(|one| one.as_ref().map(|one| one.certificate_id().as_str()))
}

/// What a store holds, in a line.
pub(crate) fn state(store: &dyn IdentityStore) -> String {
    describe(&store.load(SystemTime::now()).unwrap())
}

pub(crate) fn describe(contents: &Contents) -> String {
    let named = |identity: &Identity| {
        let id = identity.certificate_id();
        assert_eq!(identity.thing_name().as_str(), "line7-press3");
        assert_eq!(identity.device_configuration()["site"], "hall-b");
        format!("{id}={}", mark(identity.credentials().private_key()))
    };
    let one = |identity: &Option<Identity>| identity.as_ref().map_or("none".to_owned(), named);
    let staged = match &contents.staged {
        Staged::Nothing => "nothing".to_owned(),
        Staged::Key(key) => format!("key {}", mark(key)),
        Staged::Issued(issued) => {
            assert_eq!(issued.token().reveal(), TOKEN);
            format!("issued {}={}", issued.certificate_id(), mark(issued.credentials().private_key()))
        }
        Staged::Registered(identity) => format!("registered {}", named(identity)),
    };
    let unconfirmed = if contents.unconfirmed { " unconfirmed" } else { "" };
    let findings: String = contents.findings.iter().map(|finding| format!("; {finding}")).collect();
    let (active, previous) = (one(&contents.active), one(&contents.previous));
    format!("active {active}{unconfirmed}, previous {previous}, staged {staged}{findings}")
}

/// Tells keys apart.
fn mark(key: &PrivateKey) -> String {
    let (_, last) = key.public_key_der().split_last_chunk::<4>().unwrap();
    let place = if key.locator().is_some() { "@" } else { "" };
    format!("{place}{:08x}", u32::from_be_bytes(*last))
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
