//! A client certificate with its private key, checked to belong together.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
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
    certificate_pem: Vec<u8>,
    private_key_pem: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
    common_name: Option<String>,
    not_before: SystemTime,
    not_after: SystemTime,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a certificate and a key make no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The certificate text holds no certificate.
    #[error("no certificate found, expected a \"BEGIN CERTIFICATE\" block")]
    NoCertificate,
    /// The certificate text is not PEM, or holds something that is no X.509 certificate.
    #[error("the certificate cannot be read")]
    Certificate(#[source] Source),
    /// The key text holds no private key.
    #[error(
        "no private key found, expected a \"BEGIN PRIVATE KEY\", \"BEGIN RSA PRIVATE KEY\" or \"BEGIN EC PRIVATE KEY\" block"
    )]
    NoKey,
    /// The private key cannot be read or is of an unsupported kind.
    #[error("the private key cannot be used, expected RSA of at least 2048 bits, ECDSA P-256 or P-384, or Ed25519")]
    Key(#[source] Source),
    /// Certificate and key are each readable, but of two different key pairs.
    #[error("the private key does not belong to the certificate{}", of(common_name))]
    Mismatch {
        /// Subject common name of the certificate, if it has one.
        common_name: Option<String>,
    },
}

fn of(common_name: &Option<String>) -> String {
    common_name.as_ref().map_or_else(String::new, |name| format!(" of \"CN={name}\""))
}

impl Credentials {
    /// Reads a certificate chain (the client's own certificate first) and its private key, both in PEM.
    ///
    /// The key may be PKCS#8, PKCS#1 or SEC1, not encrypted. The chain's signatures and dates are not checked: that is
    /// the broker's part.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`]: a part is missing or unreadable, or the key is not the certificate's.
    pub fn from_pem(certificate_chain_pem: &[u8], private_key_pem: &[u8]) -> Result<Self, CredentialsError> {
        let chain = CertificateDer::pem_slice_iter(certificate_chain_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| CredentialsError::Certificate(Box::new(PemFault::from(e))))?;
        let leaf = chain.first().ok_or(CredentialsError::NoCertificate)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|e| CredentialsError::Certificate(Box::new(e)))?;
        let common_name = parsed.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok()).map(String::from);
        let not_before = system_time(parsed.validity().not_before);
        let not_after = system_time(parsed.validity().not_after);
        let spki = parsed.public_key().raw.to_vec();

        let key = PrivateKeyDer::from_pem_slice(private_key_pem).map_err(|e| match PemFault::from(e) {
            PemFault::NothingFound => CredentialsError::NoKey,
            fault @ (PemFault::NoEnd | PemFault::BadStart | PemFault::NotBase64 | PemFault::Unreadable) => {
                CredentialsError::Key(Box::new(fault))
            }
        })?;
        let key = any_supported_type(&key).map_err(|e| CredentialsError::Key(Box::new(e)))?;
        // rustls would parse the certificate with webpki for this check, which refuses X.509 v1; the raw
        // SubjectPublicKeyInfo of both sides says the same.
        let same = key.public_key().is_some_and(|public| public.as_ref() == spki.as_slice());
        if !same {
            return Err(CredentialsError::Mismatch { common_name });
        }
        Ok(Self(Arc::new(Inner {
            certificate_pem: certificate_chain_pem.to_vec(),
            private_key_pem: private_key_pem.to_vec(),
            chain,
            key,
            common_name,
            not_before,
            not_after,
        })))
    }

    /// The certificate chain as it was given, in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &[u8] {
        &self.0.certificate_pem
    }

    /// The client's own certificate in DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        self.0.chain.first().map_or(&[], AsRef::as_ref)
    }

    /// The private key as it was given, in PEM. **Secret**: for an identity store, and for nothing that prints.
    #[must_use]
    pub fn private_key_pem(&self) -> &[u8] {
        &self.0.private_key_pem
    }

    /// Common name of the certificate's subject, if it has one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.0.common_name.as_deref()
    }

    /// When the certificate starts to be valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.0.not_before
    }

    /// When the certificate ends to be valid.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.0.not_after
    }

    pub(crate) fn certified_key(&self) -> CertifiedKey {
        CertifiedKey::new(self.0.chain.clone(), Arc::clone(&self.0.key))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("common_name", &self.0.common_name)
            .field("not_before", &self.0.not_before)
            .field("not_after", &self.0.not_after)
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
