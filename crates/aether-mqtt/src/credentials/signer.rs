//! The seam for a private key that stays where it is, such as in a PKCS#11 token.

use std::fmt;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A private key that stays where it is and signs there.
///
/// The one thing TLS and a certificate signing request need from a key. Implementors promise:
///
/// - [`sign`](Self::sign) may be called from several threads at once, and may **block**: it is called in the middle of
///   a TLS handshake, on the thread that drives the connection, for as long as the signature takes; no time limit of the
///   connect cuts it short. A token that takes longer than some 100 ms wants a runtime with more than one thread.
/// - The public key never changes.
/// - No output of `Debug`, no [`SignError`] and no log holds a PIN.
pub trait Signer: Send + Sync + fmt::Debug {
    /// The kind of key.
    fn algorithm(&self) -> KeyAlgorithm;

    /// The public key: a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) in DER.
    fn public_key_der(&self) -> &[u8];

    /// Where the key is, in a form by which it can be found again, such as an RFC 7512 URI. No secret in it.
    fn locator(&self) -> &str;

    /// What the key can sign with, the most wanted first. Default: all of [`KeyAlgorithm::schemes`].
    fn schemes(&self) -> &[SignatureScheme] {
        self.algorithm().schemes()
    }

    /// Signs `message`, which is not hashed yet. ECDSA answers are ASN.1 DER (RFC 3279, section 2.2.3).
    ///
    /// # Errors
    ///
    /// [`SignError`]; [`SignError::Unavailable`] may pass, the rest does not.
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// Elliptic curve P-256.
    EcdsaP256,
    /// Elliptic curve P-384.
    EcdsaP384,
    /// Elliptic curve Ed25519. AWS IoT Core takes no such certificate; other brokers do.
    Ed25519,
    /// RSA of 2048 bits or more.
    Rsa,
}

impl KeyAlgorithm {
    /// What keys of this kind sign with in TLS 1.2 and 1.3, the most wanted first.
    #[must_use]
    pub fn schemes(self) -> &'static [SignatureScheme] {
        match self {
            Self::EcdsaP256 => &[SignatureScheme::EcdsaP256Sha256],
            Self::EcdsaP384 => &[SignatureScheme::EcdsaP384Sha384],
            Self::Ed25519 => &[SignatureScheme::Ed25519],
            Self::Rsa => &[
                SignatureScheme::RsaPssSha256,
                SignatureScheme::RsaPssSha384,
                SignatureScheme::RsaPssSha512,
                SignatureScheme::RsaPkcs1Sha256,
                SignatureScheme::RsaPkcs1Sha384,
                SignatureScheme::RsaPkcs1Sha512,
            ],
        }
    }

    /// The name, as in "ECDSA P-256".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A way to sign: the key's kind, the padding and the hash (RFC 8446, section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// Ed25519.
    Ed25519,
    /// RSASSA-PKCS1-v1_5 with SHA-256. TLS 1.2 and signing requests only.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384. TLS 1.2 and signing requests only.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512. TLS 1.2 and signing requests only.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384 and a salt of 48 bytes.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512 and a salt of 64 bytes.
    RsaPssSha512,
}

impl SignatureScheme {
    /// The name RFC 8446 gives it, as in "ecdsa_secp256r1_sha256".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa_secp256r1_sha256",
            Self::EcdsaP384Sha384 => "ecdsa_secp384r1_sha384",
            Self::Ed25519 => "ed25519",
            Self::RsaPkcs1Sha256 => "rsa_pkcs1_sha256",
            Self::RsaPkcs1Sha384 => "rsa_pkcs1_sha384",
            Self::RsaPkcs1Sha512 => "rsa_pkcs1_sha512",
            Self::RsaPssSha256 => "rsa_pss_rsae_sha256",
            Self::RsaPssSha384 => "rsa_pss_rsae_sha384",
            Self::RsaPssSha512 => "rsa_pss_rsae_sha512",
        }
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key cannot sign this way. Final.
    #[error("a key of kind {algorithm} cannot sign with {scheme}")]
    Scheme {
        /// The key's kind.
        algorithm: KeyAlgorithm,
        /// What was asked for.
        scheme: SignatureScheme,
    },
    /// What holds the key is not there now: unplugged, restarted, logged out. May pass.
    #[error("what holds the private key {locator} is not available")]
    Unavailable {
        /// Where the key is.
        locator: String,
        /// What its holder said.
        #[source]
        source: Source,
    },
    /// What holds the key refused. Final.
    #[error("the private key could not sign with {scheme}")]
    Failed {
        /// What was asked for.
        scheme: SignatureScheme,
        /// What its holder said.
        #[source]
        source: Source,
    },
}

impl SignError {
    /// Whether the same call may succeed later, without a change on this side.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Scheme { .. } | Self::Failed { .. } => false,
        }
    }
}
