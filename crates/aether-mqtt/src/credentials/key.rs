//! A private key: held in memory, or left where it is.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::SigningKey;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::tls::{ElsewhereKey, kind_of, theirs};
use super::{CredentialsError, KeyAlgorithm, SignError, SignatureScheme, Signer};
use crate::pem::PemFault;

/// A private key: held in memory as PEM, or left where it is and reached through a [`Signer`].
///
/// Cheap to clone; `Debug` shows its kind and its locator and nothing else.
///
/// ```
/// use aether_mqtt::{KeyAlgorithm, PrivateKey, SignatureScheme};
///
/// # #[cfg(not(feature = "test-util"))]
/// # fn main() {}
/// # #[cfg(feature = "test-util")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (_, key_pem) = aether_mqtt::testing::self_signed("line7-press3");
/// let key = PrivateKey::from_pem(key_pem.as_bytes())?;
/// assert_eq!(key.algorithm(), KeyAlgorithm::EcdsaP256);
/// let signature = key.sign(SignatureScheme::EcdsaP256Sha256, b"what is signed")?;
/// # assert!(!signature.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    place: Place,
    algorithm: KeyAlgorithm,
    key: Arc<dyn SigningKey>,
}

enum Place {
    Here { pem: Vec<u8>, public_key_der: Vec<u8> },
    Elsewhere(Arc<dyn Signer>),
}

impl PrivateKey {
    /// Reads a private key in PEM: PKCS#8, PKCS#1 or SEC1, not encrypted.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::NoKey`] and [`CredentialsError::Key`]; neither repeats any of the text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CredentialsError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|e| match PemFault::from(e) {
            PemFault::NothingFound => CredentialsError::NoKey,
            fault @ (PemFault::NoEnd | PemFault::BadStart | PemFault::NotBase64 | PemFault::Unreadable) => {
                CredentialsError::Key(Box::new(fault))
            }
        })?;
        let key = any_supported_type(&der).map_err(|e| CredentialsError::Key(Box::new(e)))?;
        let public_key_der = key.public_key().map(|public| public.as_ref().to_vec());
        let (Some(public_key_der), Some(algorithm)) = (public_key_der, kind_of(&*key)) else {
            return Err(CredentialsError::Key("a kind of key that is not known here".into()));
        };
        let place = Place::Here { pem: pem.to_vec(), public_key_der };
        Ok(Self(Arc::new(Inner { place, algorithm, key })))
    }

    /// A key that stays where it is.
    #[must_use]
    pub fn from_signer(signer: Arc<dyn Signer>) -> Self {
        let key = Arc::new(ElsewhereKey(Arc::clone(&signer)));
        Self(Arc::new(Inner { algorithm: signer.algorithm(), place: Place::Elsewhere(signer), key }))
    }

    /// The kind of key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.algorithm
    }

    /// The public key: a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn public_key_der(&self) -> &[u8] {
        match &self.0.place {
            Place::Here { public_key_der, .. } => public_key_der,
            Place::Elsewhere(signer) => signer.public_key_der(),
        }
    }

    /// The key as it was given, in PEM; `None` if it is elsewhere. **Secret**: for an identity store, and for nothing
    /// that prints.
    #[must_use]
    pub fn pem(&self) -> Option<&[u8]> {
        match &self.0.place {
            Place::Here { pem, .. } => Some(pem),
            Place::Elsewhere(_) => None,
        }
    }

    /// Where the key is, if it is elsewhere; `None` if it is held in memory. Not secret.
    #[must_use]
    pub fn locator(&self) -> Option<&str> {
        match &self.0.place {
            Place::Here { .. } => None,
            Place::Elsewhere(signer) => Some(signer.locator()),
        }
    }

    /// Signs `message`, which is not hashed yet. ECDSA answers are ASN.1 DER (RFC 3279, section 2.2.3).
    ///
    /// Blocks while a key elsewhere signs.
    ///
    /// # Errors
    ///
    /// [`SignError`]: the key's kind has no such scheme, or what holds the key is away or refuses.
    pub fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let unfit = || SignError::Scheme { algorithm: self.0.algorithm, scheme };
        match &self.0.place {
            Place::Elsewhere(signer) if signer.schemes().contains(&scheme) => signer.sign(scheme, message),
            Place::Elsewhere(_) => Err(unfit()),
            Place::Here { .. } => {
                let signer = self.0.key.choose_scheme(&[theirs(scheme)]).ok_or_else(unfit)?;
                signer.sign(message).map_err(|e| SignError::Failed { scheme, source: Box::new(e) })
            }
        }
    }

    pub(super) fn tls(&self) -> Arc<dyn SigningKey> {
        Arc::clone(&self.0.key)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("algorithm", &self.0.algorithm)
            .field("locator", &self.locator())
            .finish_non_exhaustive()
    }
}
