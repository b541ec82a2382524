//! Reads an X.509 certificate, version 1 or 3, and checks what one certificate says of another.
//!
//! rustls's own path building refuses version 1, which is what `openssl x509 -req` writes and what
//! AWS takes. So the few checks the sandbox needs are made here, over the raw bytes.

use std::time::{Duration, SystemTime};

use rustls::SignatureScheme;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, pem::PemObject};
use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

/// Why bytes are not a certificate the sandbox can judge, or why it judged against one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum X509Error {
    #[error("bytes are not one X.509 certificate")]
    Malformed,
    #[error("certificate is not valid yet")]
    NotYetValid,
    #[error("certificate has expired")]
    Expired,
    #[error("signature algorithm is not one AWS IoT Core takes")]
    UnsupportedAlgorithm,
    #[error("signature does not fit the issuer's key")]
    BadSignature,
}

/// What the sandbox needs to know of one certificate.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    der: Vec<u8>,
    subject: String,
    issuer: String,
    subject_raw: Vec<u8>,
    issuer_raw: Vec<u8>,
    not_before: i64,
    not_after: i64,
    ca_mark: CaMark,
    key: SubjectKey,
    signed: Vec<u8>,
    signature_algorithm: Vec<u8>,
    signature: Vec<u8>,
}

/// What a certificate says about signing others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaMark {
    /// Nothing: versions 1 and 2 have no extensions to say it with.
    Silent,
    /// `CA:TRUE`, and no key usage that would forbid it.
    Yes,
    /// `CA:TRUE`, but a key usage without `keyCertSign`.
    WithoutKeyCertSign,
    /// No `CA:TRUE`.
    No,
}

/// The public key of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubjectKey {
    /// The whole `SubjectPublicKeyInfo`.
    pub(crate) spki: Vec<u8>,
    /// Content of its `AlgorithmIdentifier`.
    pub(crate) algorithm: Vec<u8>,
    /// Content of its `subjectPublicKey` bit string.
    pub(crate) key: Vec<u8>,
}

impl Certificate {
    /// Reads exactly one certificate.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, X509Error> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| X509Error::Malformed)?;
        if !rest.is_empty() || parsed.tbs_certificate.signature != parsed.signature_algorithm {
            return Err(X509Error::Malformed);
        }
        let (signed, signature_algorithm) = signed_parts(der).ok_or(X509Error::Malformed)?;
        Ok(Self {
            der: der.to_vec(),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            subject_raw: parsed.subject().as_raw().to_vec(),
            issuer_raw: parsed.issuer().as_raw().to_vec(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            ca_mark: CaMark::of(&parsed),
            key: SubjectKey::parse(parsed.public_key().raw)?,
            signed: signed.to_vec(),
            signature_algorithm: signature_algorithm.to_vec(),
            signature: parsed.signature_value.as_ref().to_vec(),
        })
    }

    /// Reads the one certificate of a PEM text.
    pub(crate) fn parse_pem(pem: &[u8]) -> Result<Self, X509Error> {
        let mut found = CertificateDer::pem_slice_iter(pem);
        match (found.next(), found.next()) {
            (Some(Ok(der)), None) => Self::parse(&der),
            (Some(_) | None, _) => Err(X509Error::Malformed),
        }
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Subject, for people to read.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Issuer, for people to read.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn key(&self) -> &SubjectKey {
        &self.key
    }

    /// What it says about signing others.
    pub(crate) fn ca_mark(&self) -> CaMark {
        self.ca_mark
    }

    /// Content of the `AlgorithmIdentifier` of its signature.
    pub(crate) fn signature_algorithm(&self) -> &[u8] {
        &self.signature_algorithm
    }

    /// First and last second of its validity period, counted from 1970.
    pub(crate) fn validity(&self) -> (i64, i64) {
        (self.not_before, self.not_after)
    }

    /// Checks the validity period.
    pub(crate) fn check_dates(&self, now: SystemTime) -> Result<(), X509Error> {
        let now = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_secs()).ok())
            .and_then(|seconds| ASN1Time::from_timestamp(seconds).ok())
            .map_or(0, |time| time.timestamp());
        match now {
            now if now < self.not_before => Err(X509Error::NotYetValid),
            now if now > self.not_after => Err(X509Error::Expired),
            _ => Ok(()),
        }
    }

    /// The first moment it is no longer valid at; dates beyond 9999 count as its end.
    pub(crate) fn end(&self) -> SystemTime {
        const LAST: u64 = 253_402_300_799;
        let seconds = u64::try_from(self.not_after).unwrap_or(0).min(LAST);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds + 1)
    }

    /// Whether this certificate names `issuer` as its issuer.
    pub(crate) fn names_issuer(&self, issuer: &Self) -> bool {
        self.issuer_raw == issuer.subject_raw
    }

    /// Checks that `issuer`'s key made the signature of this certificate.
    pub(crate) fn check_signature(&self, issuer: &Self) -> Result<(), X509Error> {
        check_signed(&issuer.key, &self.signature_algorithm, &self.signed, &self.signature)
    }
}

/// Checks that `key` made `signature` over `signed`, with an algorithm that AWS takes.
pub(super) fn check_signed(
    key: &SubjectKey,
    signature_algorithm: &[u8],
    signed: &[u8],
    signature: &[u8],
) -> Result<(), X509Error> {
    let algorithm = client_schemes()
        .flat_map(|(_, algorithms)| algorithms)
        .find(|algorithm| {
            algorithm.signature_alg_id().as_ref() == signature_algorithm
                && algorithm.public_key_alg_id().as_ref() == key.algorithm
        })
        .ok_or(X509Error::UnsupportedAlgorithm)?;
    algorithm.verify_signature(&key.key, signed, signature).map_err(|_| X509Error::BadSignature)
}

impl CaMark {
    fn of(parsed: &X509Certificate<'_>) -> Self {
        match (parsed.version(), parsed.is_ca(), parsed.key_usage()) {
            (X509Version::V1 | X509Version::V2, _, _) => Self::Silent,
            (_, false, _) => Self::No,
            (_, true, Ok(None)) => Self::Yes,
            (_, true, Ok(Some(usage))) if usage.value.key_cert_sign() => Self::Yes,
            (_, true, Ok(Some(_)) | Err(_)) => Self::WithoutKeyCertSign,
        }
    }
}

impl SubjectKey {
    pub(super) fn parse(spki: &[u8]) -> Result<Self, X509Error> {
        let parts = || {
            let (_, whole) = Any::from_der(spki).ok()?;
            let (rest, algorithm) = Any::from_der(whole.data).ok()?;
            let (_, bits) = Any::from_der(rest).ok()?;
            // The first byte of a bit string counts its unused bits; keys use whole bytes.
            let key = bits.data.strip_prefix(&[0])?;
            Some((algorithm.data.to_vec(), key.to_vec()))
        };
        let (algorithm, key) = parts().ok_or(X509Error::Malformed)?;
        Ok(Self { spki: spki.to_vec(), algorithm, key })
    }
}

/// The bytes that were signed, and the content of the signature's `AlgorithmIdentifier`.
pub(super) fn signed_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, whole) = Any::from_der(der).ok()?;
    let (rest, _) = Any::from_der(whole.data).ok()?;
    let signed = &whole.data[..whole.data.len() - rest.len()];
    let (_, algorithm) = Any::from_der(rest).ok()?;
    Some((signed, algorithm.data))
}

/// The signature schemes AWS takes of client certificates and that ring can check: RSA and ECDSA
/// with SHA-256, SHA-384 and SHA-512 (sheet, 1.5), each with its algorithms. No SHA-1, no Ed25519.
pub(crate) fn client_schemes()
-> impl Iterator<Item = (SignatureScheme, &'static [&'static dyn SignatureVerificationAlgorithm])> {
    rustls::crypto::ring::default_provider()
        .signature_verification_algorithms
        .mapping
        .iter()
        .copied()
        .filter(|(scheme, _)| *scheme != SignatureScheme::ED25519)
}
