//! Keys as the TLS library wants them, and the TLS library's keys as ours.

use std::sync::Arc;

use rustls::sign::SigningKey;
use rustls::{OtherError, SignatureAlgorithm};
use rustls_pki_types::SubjectPublicKeyInfoDer;

use super::{KeyAlgorithm, SignError, SignatureScheme, Signer};

/// A [`Signer`] that signs TLS handshakes.
#[derive(Debug)]
pub(super) struct ElsewhereKey(pub(super) Arc<dyn Signer>);

#[derive(Debug)]
struct ElsewhereSigner {
    signer: Arc<dyn Signer>,
    scheme: SignatureScheme,
}

/// What a key elsewhere said, on its way through the TLS library.
#[derive(Debug, thiserror::Error)]
#[error("the private key did not sign the TLS handshake")]
pub(crate) struct HandshakeFailure(#[source] pub(crate) Arc<SignError>);

impl SigningKey for ElsewhereKey {
    /// The first of the key's schemes that the peer offers too. In TLS 1.3 the library has taken PKCS#1 out of the
    /// offer already.
    fn choose_scheme(&self, offered: &[rustls::SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let scheme = self.0.schemes().iter().copied().find(|ours| offered.contains(&theirs(*ours)))?;
        Some(Box::new(ElsewhereSigner { signer: Arc::clone(&self.0), scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.0.public_key_der().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => SignatureAlgorithm::ECDSA,
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::ED25519,
            KeyAlgorithm::Rsa => SignatureAlgorithm::RSA,
        }
    }
}

impl rustls::sign::Signer for ElsewhereSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let passed_on = |e| rustls::Error::Other(OtherError(Arc::new(HandshakeFailure(Arc::new(e)))));
        self.signer.sign(self.scheme, message).map_err(passed_on)
    }

    fn scheme(&self) -> rustls::SignatureScheme {
        theirs(self.scheme)
    }
}

/// What the TLS library calls a scheme of ours.
pub(super) fn theirs(scheme: SignatureScheme) -> rustls::SignatureScheme {
    match scheme {
        SignatureScheme::EcdsaP256Sha256 => rustls::SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::EcdsaP384Sha384 => rustls::SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureScheme::Ed25519 => rustls::SignatureScheme::ED25519,
        SignatureScheme::RsaPkcs1Sha256 => rustls::SignatureScheme::RSA_PKCS1_SHA256,
        SignatureScheme::RsaPkcs1Sha384 => rustls::SignatureScheme::RSA_PKCS1_SHA384,
        SignatureScheme::RsaPkcs1Sha512 => rustls::SignatureScheme::RSA_PKCS1_SHA512,
        SignatureScheme::RsaPssSha256 => rustls::SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RsaPssSha384 => rustls::SignatureScheme::RSA_PSS_SHA384,
        SignatureScheme::RsaPssSha512 => rustls::SignatureScheme::RSA_PSS_SHA512,
    }
}

/// The kind of a key that the TLS library has loaded; `None` for one this crate has no name for.
pub(super) fn kind_of(key: &dyn SigningKey) -> Option<KeyAlgorithm> {
    [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa]
        .into_iter()
        .find(|kind| kind.schemes().iter().any(|scheme| key.choose_scheme(&[theirs(*scheme)]).is_some()))
}
