//! Certificate signing requests: made here or read from a file, and checked before the cloud sees them.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use aether_mqtt::{KeyAlgorithm, PrivateKey, SignError, SignatureScheme};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256,
    PublicKeyData, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::InvalidRequest;

/// A certificate signing request (PKCS#10, RFC 2986), as CreateCertificateFromCsr takes it.
///
/// A value of this type is the proof that the request is one that AWS IoT Core can take: at most 4096 characters, for a
/// key on P-256 or P-384 or RSA of at least 2048 bits (sheet, sections 1.5 and 1.6), and signed with that key.
///
/// ```
/// use aether_provisioning::{KeyKind, KeySource, SigningRequest, SoftwareKeys};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = SoftwareKeys::new(KeyKind::EcP256).make()?;
/// let request = SigningRequest::make(&key, "P3-00017")?;
/// assert!(request.as_pem().starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
/// assert!(request.is_for(&key));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SigningRequest {
    pem: String,
    public_key_der: Vec<u8>,
    common_name: Option<String>,
}

const BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";
const END: &str = "-----END CERTIFICATE REQUEST-----";
/// What some programs of old write in the place of [`BEGIN`] and [`END`] (RFC 7468, section 7).
const BEGIN_NEW: &str = "-----BEGIN NEW CERTIFICATE REQUEST-----";
const END_NEW: &str = "-----END NEW CERTIFICATE REQUEST-----";

impl SigningRequest {
    /// The most characters of a request, with its BEGIN and END lines (sheet, section 1.6).
    pub const MAX_LEN: usize = 4096;
    /// The most characters of a common name (RFC 5280, appendix A.1).
    pub const MAX_COMMON_NAME_LEN: usize = 64;

    /// Makes a request for `key`, signed with it, whose subject is `CN=common_name` and nothing else.
    ///
    /// A key that stays elsewhere signs there, which may block. Whether AWS IoT Core keeps the subject is not known
    /// (sheet, section 1.5).
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::CommonName`], [`InvalidRequest::Key`] and [`InvalidRequest::Sign`].
    pub fn make(key: &PrivateKey, common_name: &str) -> Result<Self, InvalidRequest> {
        let length = common_name.chars().count();
        if !(1..=Self::MAX_COMMON_NAME_LEN).contains(&length) || common_name.chars().any(char::is_control) {
            let limit = Self::MAX_COMMON_NAME_LEN;
            return Err(InvalidRequest::CommonName { found: common_name.to_owned(), limit });
        }
        let signing = Signing::new(key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let made = params.serialize_request(&signing).and_then(|request| request.pem());
        // What the key said is more than what the library passes on.
        let made = made.map_err(|e| match signing.failure.into_inner() {
            Some(failure) => InvalidRequest::Sign(Box::new(failure)),
            None => InvalidRequest::Sign(Box::new(e)),
        })?;
        // Read like any other: a token whose public key is not that of its private key shows here, and not in the cloud.
        Self::from_pem(made.as_bytes())
    }

    /// Reads a request in PEM. Text around its block, such as `openssl req -text` writes, is left out.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`], with what was found.
    pub fn from_pem(text: &[u8]) -> Result<Self, InvalidRequest> {
        let pem = only_block(text)?;
        let found = pem.trim_end().chars().count();
        if found > Self::MAX_LEN {
            return Err(InvalidRequest::TooLong { found, limit: Self::MAX_LEN });
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
            InvalidRequest::Unreadable("its block is not Base64 between a BEGIN and an END line".into())
        })?;
        let (rest, request) =
            X509CertificationRequest::from_der(&der).map_err(|e| InvalidRequest::Unreadable(Box::new(e)))?;
        if !rest.is_empty() {
            return Err(InvalidRequest::Unreadable(format!("{} bytes follow the request", rest.len()).into()));
        }
        let info = &request.certification_request_info;
        supported(&info.subject_pki)?;
        request.verify_signature().map_err(|e| InvalidRequest::Signature(Box::new(e)))?;
        let common_name = info.subject.iter_common_name().next().and_then(|cn| cn.as_str().ok()).map(String::from);
        let public_key_der = info.subject_pki.raw.to_vec();
        Ok(Self { pem, public_key_der, common_name })
    }

    /// The request in PEM: BEGIN line, Base64, END line, each ended by a line feed.
    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.pem
    }

    /// The public key the certificate is asked for: a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn public_key_der(&self) -> &[u8] {
        &self.public_key_der
    }

    /// Common name of the subject, if it has one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// Whether the certificate will belong to `key`.
    #[must_use]
    pub fn is_for(&self, key: &PrivateKey) -> bool {
        self.public_key_der == key.public_key_der()
    }
}

impl FromStr for SigningRequest {
    type Err = InvalidRequest;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::from_pem(s.as_bytes())
    }
}

/// The text of [`SigningRequest::as_pem`].
impl fmt::Display for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pem)
    }
}

impl fmt::Debug for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningRequest").field("common_name", &self.common_name).finish_non_exhaustive()
    }
}

/// The one request in a text, with the BEGIN and END lines and the line ends everybody reads.
fn only_block(text: &[u8]) -> Result<String, InvalidRequest> {
    let text = std::str::from_utf8(text).map_err(|e| InvalidRequest::Unreadable(Box::new(e)))?;
    let is_begin = |line: &str| line == BEGIN || line == BEGIN_NEW;
    let is_end = |line: &str| line == END || line == END_NEW;
    let mut lines = text.lines().map(str::trim);
    match lines.clone().filter(|line| is_begin(line)).count() {
        0 => return Err(InvalidRequest::Missing),
        1 => {}
        found => return Err(InvalidRequest::Several { found }),
    }
    let mut block = format!("{BEGIN}\n");
    lines.by_ref().find(|line| is_begin(line));
    for line in lines {
        if is_end(line) {
            block.push_str(END);
            block.push('\n');
            return Ok(block);
        }
        if !line.is_empty() {
            block.push_str(line);
            block.push('\n');
        }
    }
    Err(InvalidRequest::Unreadable("its block has no END line".into()))
}

/// The kind of a public key AWS IoT Core signs for.
fn supported(public: &SubjectPublicKeyInfo<'_>) -> Result<KeyAlgorithm, InvalidRequest> {
    let refused = |found: String| Err(InvalidRequest::Key { found });
    match public.parsed() {
        Ok(PublicKey::EC(_)) => {
            let curve = public.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            match curve {
                Some(curve) if curve == OID_EC_P256 => Ok(KeyAlgorithm::EcdsaP256),
                Some(curve) if curve == OID_NIST_EC_P384 => Ok(KeyAlgorithm::EcdsaP384),
                Some(curve) => refused(format!("ECDSA on the curve {curve}")),
                None => refused("ECDSA on a curve without a name".to_owned()),
            }
        }
        Ok(PublicKey::RSA(key)) if key.key_size() >= 2048 => Ok(KeyAlgorithm::Rsa),
        Ok(PublicKey::RSA(key)) => refused(format!("RSA of {} bits", key.key_size())),
        Ok(PublicKey::DSA(_) | PublicKey::GostR3410(_) | PublicKey::GostR3410_2012(_) | PublicKey::Unknown(_)) => {
            refused(format!("a key of kind {}", public.algorithm.algorithm))
        }
        Err(_) => refused(format!("an unreadable key of kind {}", public.algorithm.algorithm)),
    }
}

/// A key of ours as the maker of requests wants it.
struct Signing<'a> {
    key: &'a PrivateKey,
    scheme: SignatureScheme,
    algorithm: &'static SignatureAlgorithm,
    /// The public key without its algorithm: a point, or an RSAPublicKey.
    public_key: Vec<u8>,
    failure: RefCell<Option<SignError>>,
}

impl<'a> Signing<'a> {
    fn new(key: &'a PrivateKey) -> Result<Self, InvalidRequest> {
        let (_, public) = SubjectPublicKeyInfo::from_der(key.public_key_der())
            .map_err(|e| InvalidRequest::Unreadable(Box::new(e)))?;
        let (scheme, algorithm) = match (key.algorithm(), supported(&public)?) {
            (KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP256) => {
                (SignatureScheme::EcdsaP256Sha256, &PKCS_ECDSA_P256_SHA256)
            }
            (KeyAlgorithm::EcdsaP384, KeyAlgorithm::EcdsaP384) => {
                (SignatureScheme::EcdsaP384Sha384, &PKCS_ECDSA_P384_SHA384)
            }
            (KeyAlgorithm::Rsa, KeyAlgorithm::Rsa) => (SignatureScheme::RsaPkcs1Sha256, &PKCS_RSA_SHA256),
            (said, _) => return Err(InvalidRequest::Key { found: said.to_string() }),
        };
        let public_key = public.subject_public_key.data.to_vec();
        Ok(Self { key, scheme, algorithm, public_key, failure: RefCell::new(None) })
    }
}

impl PublicKeyData for Signing<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public_key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for Signing<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(self.scheme, message).map_err(|failure| {
            self.failure.replace(Some(failure));
            rcgen::Error::RemoteKeyError
        })
    }
}
