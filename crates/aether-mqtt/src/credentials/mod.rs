//! A client certificate with its private key, checked to belong together.

mod error;
mod key;
mod signer;
mod tls;

pub use error::CredentialsError;
pub use key::PrivateKey;
pub use signer::{KeyAlgorithm, SignError, SignatureScheme, Signer};
pub(crate) use tls::HandshakeFailure;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::pem::PemFault;

/// A client certificate chain and its private key.
///
/// A value of this type is the proof that the certificate and the key can be read and belong together. X.509 v1
/// certificates are accepted, which is what `openssl x509 -req` makes without an extension file. Cheap to clone;
/// `Debug` shows nothing of the key.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    chain: Chain,
    key: PrivateKey,
}

/// A certificate chain, and what of its first certificate is of interest.
struct Chain {
    pem: Vec<u8>,
    certificates: Vec<CertificateDer<'static>>,
    public_key_der: Vec<u8>,
    common_name: Option<String>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Credentials {
    /// Puts a certificate chain in PEM (the client's own certificate first) and its private key together.
    ///
    /// The chain's signatures and dates are not checked: that is the broker's part.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`]: the chain is missing or unreadable, or the key is not the certificate's.
    pub fn new(certificate_chain_pem: &[u8], key: PrivateKey) -> Result<Self, CredentialsError> {
        Self::of(Chain::from_pem(certificate_chain_pem)?, key)
    }

    /// Reads a certificate chain (the client's own certificate first) and its private key, both in PEM.
    ///
    /// The key may be PKCS#8, PKCS#1 or SEC1, not encrypted.
    ///
    /// # Errors
    ///
    /// As of [`new`](Self::new) and [`PrivateKey::from_pem`]. What is wrong with the certificate is said first.
    pub fn from_pem(certificate_chain_pem: &[u8], private_key_pem: &[u8]) -> Result<Self, CredentialsError> {
        Self::of(Chain::from_pem(certificate_chain_pem)?, PrivateKey::from_pem(private_key_pem)?)
    }

    fn of(chain: Chain, key: PrivateKey) -> Result<Self, CredentialsError> {
        // rustls would parse the certificate with webpki for this check, which refuses X.509 v1; the raw
        // SubjectPublicKeyInfo of both sides says the same.
        if chain.public_key_der != key.public_key_der() {
            return Err(CredentialsError::Mismatch { common_name: chain.common_name });
        }
        Ok(Self(Arc::new(Inner { chain, key })))
    }

    /// The certificate chain as it was given, in PEM, without anything else that stood in that text.
    #[must_use]
    pub fn certificate_pem(&self) -> &[u8] {
        &self.0.chain.pem
    }

    /// The client's own certificate in DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        self.0.chain.certificates.first().map_or(&[], AsRef::as_ref)
    }

    /// The private key.
    #[must_use]
    pub fn private_key(&self) -> &PrivateKey {
        &self.0.key
    }

    /// SHA-256 of the client's own certificate in DER, in lower-case hexadecimal: 64 characters.
    ///
    /// What stands in for AWS IoT Core offline uses the same as certificate id; to AWS that id is opaque.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = ring::digest::digest(&ring::digest::SHA256, self.certificate_der());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Common name of the certificate's subject, if it has one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.0.chain.common_name.as_deref()
    }

    /// When the certificate starts to be valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.0.chain.not_before
    }

    /// When the certificate ends to be valid.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.0.chain.not_after
    }

    pub(crate) fn certified_key(&self) -> CertifiedKey {
        CertifiedKey::new(self.0.chain.certificates.clone(), self.0.key.tls())
    }
}

impl Chain {
    fn from_pem(pem: &[u8]) -> Result<Self, CredentialsError> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| CredentialsError::Certificate(Box::new(PemFault::from(e))))?;
        let first = certificates.first().cloned().ok_or(CredentialsError::NoCertificate)?;
        let (_, leaf) = X509Certificate::from_der(&first).map_err(|e| CredentialsError::Certificate(Box::new(e)))?;
        Ok(Self {
            pem: certificates_alone(pem),
            certificates,
            public_key_der: leaf.public_key().raw.to_vec(),
            common_name: leaf.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok()).map(String::from),
            not_before: system_time(leaf.validity().not_before),
            not_after: system_time(leaf.validity().not_after),
        })
    }
}

/// The certificate blocks of a PEM text. A file may hold a private key besides, which must not go where certificates go.
fn certificates_alone(pem: &[u8]) -> Vec<u8> {
    let (mut kept, mut inside) = (Vec::with_capacity(pem.len()), false);
    for line in pem.split_inclusive(|byte| *byte == b'\n') {
        inside |= line.starts_with(b"-----BEGIN CERTIFICATE-----");
        if inside {
            kept.extend_from_slice(line);
        }
        inside &= !line.starts_with(b"-----END CERTIFICATE-----");
    }
    kept
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("common_name", &self.0.chain.common_name)
            .field("not_before", &self.0.chain.not_before)
            .field("not_after", &self.0.chain.not_after)
            .finish_non_exhaustive()
    }
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moved = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    moved.unwrap_or(SystemTime::UNIX_EPOCH)
}
