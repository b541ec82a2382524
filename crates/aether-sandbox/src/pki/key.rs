//! Key pairs for devices.

use rcgen::{KeyPair, PublicKeyData, SubjectPublicKeyInfo};
use ring::rand::{SecureRandom, SystemRandom};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{EncodeRsaPrivateKey, LineEnding};
use rsa::pkcs8::EncodePublicKey;
use rsa::rand_core::{self, CryptoRng, RngCore};

use crate::KeyKind;
use crate::error::Cause;

/// A key pair made for a device; leaves the sandbox once and is not kept.
pub(crate) struct DeviceKey {
    /// The private key in PEM form. A secret.
    pub(crate) private_pem: String,
    /// The public key in DER form.
    pub(crate) public: SubjectPublicKeyInfo,
}

/// Why no key could be made.
#[derive(Debug, thiserror::Error)]
#[error("could not make a device key")]
pub(crate) struct KeyKindError(#[source] Cause);

impl DeviceKey {
    /// Makes a key pair. RSA takes up to seconds: call it where blocking is allowed.
    pub(crate) fn generate(kind: KeyKind) -> Result<Self, KeyKindError> {
        match kind {
            KeyKind::Rsa2048 => Self::rsa(),
            KeyKind::EcP256 => Self::ec(),
        }
        .map_err(KeyKindError)
    }

    fn rsa() -> Result<Self, Cause> {
        let key = RsaPrivateKey::new(&mut SystemRng(SystemRandom::new()), 2048)?;
        let spki = key.to_public_key().to_public_key_der()?;
        Ok(Self {
            private_pem: key.to_pkcs1_pem(LineEnding::LF)?.to_string(),
            public: SubjectPublicKeyInfo::from_der(spki.as_bytes())?,
        })
    }

    fn ec() -> Result<Self, Cause> {
        let key = KeyPair::generate()?;
        let public = SubjectPublicKeyInfo::from_der(&key.subject_public_key_info())?;
        Ok(Self { private_pem: key.serialize_pem(), public })
    }
}

/// The operating system's generator, in the shape the `rsa` crate asks for.
struct SystemRng(SystemRandom);

impl RngCore for SystemRng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        // The trait has no error here, and a system without randomness must not go on.
        self.try_fill_bytes(dest).expect("the operating system gives random bytes");
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill(dest).map_err(|cause| rand_core::Error::new(Cause::from(cause.to_string())))
    }
}

impl CryptoRng for SystemRng {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_keys_come_as_aws_writes_them_and_ec_keys_as_pkcs8() {
        let rsa = DeviceKey::generate(KeyKind::Rsa2048).unwrap();
        assert!(rsa.private_pem.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        let ec = DeviceKey::generate(KeyKind::EcP256).unwrap();
        assert!(ec.private_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
