//! Key pairs for devices.

use std::num::NonZeroU32;

use crypto_bigint::U1024;
use crypto_primes::hazmat::SmallFactorsSieve;
use crypto_primes::{Flavor, is_prime};
use rcgen::{KeyPair, PublicKeyData, SubjectPublicKeyInfo};
use rsa::pkcs1::{EncodeRsaPrivateKey, LineEnding};
use rsa::pkcs8::EncodePublicKey;
use rsa::{BigUint, RsaPrivateKey};

use crate::error::Cause;
use crate::{KeyKind, random};

/// Bits of each of the two primes of an RSA key.
const PRIME_BITS: NonZeroU32 = NonZeroU32::new(1024).expect("1024 is not zero");
/// The public exponent of AWS's keys, and of nearly all others.
const EXPONENT: u32 = 65537;

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
    /// Makes a key pair. RSA takes long, 50 ms of processor time on average: call it where blocking
    /// is allowed.
    pub(crate) fn generate(kind: KeyKind) -> Result<Self, KeyKindError> {
        match kind {
            KeyKind::Rsa2048 => Self::rsa(),
            KeyKind::EcP256 => Self::ec(),
        }
        .map_err(KeyKindError)
    }

    fn rsa() -> Result<Self, Cause> {
        // `RsaPrivateKey::new` of the `rsa` crate looks for primes four times as long.
        let key = RsaPrivateKey::from_primes(vec![prime()?, prime()?], EXPONENT.into())?;
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

/// A random prime that fits the exponent: the first one from a random place on. Its two highest bits
/// are set, so that the product of two has all its bits.
fn prime() -> Result<BigUint, Cause> {
    loop {
        let mut start = random::bytes::<128>()?;
        start[0] |= 0b1100_0000;
        let candidates = SmallFactorsSieve::new(U1024::from_be_slice(&start), PRIME_BITS, false)
            .map_err(|cause| cause.to_string())?;
        let primes = candidates.filter(|candidate| is_prime(Flavor::Any, candidate));
        let mut primes = primes.map(|prime| BigUint::from_bytes_be(prime.to_be_bytes().as_ref()));
        // None is left only if the place was at the very end.
        if let Some(prime) = primes.find(|prime| prime % EXPONENT != BigUint::from(1_u32)) {
            return Ok(prime);
        }
    }
}

#[cfg(test)]
mod tests {
    use rsa::pkcs1::DecodeRsaPrivateKey as _;
    use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};

    use super::*;

    #[test]
    fn an_rsa_key_is_valid_has_2048_bits_and_shares_no_prime_with_another() {
        let keys = [DeviceKey::rsa().unwrap(), DeviceKey::rsa().unwrap()];
        let [one, two] = keys.map(|key| RsaPrivateKey::from_pkcs1_pem(&key.private_pem).unwrap());
        for key in [&one, &two] {
            key.validate().unwrap();
            assert_eq!((key.n().bits(), key.e().clone()), (2048, BigUint::from(EXPONENT)));
        }
        assert!(one.primes().iter().all(|prime| !two.primes().contains(prime)));
    }

    #[test]
    fn rsa_keys_come_as_aws_writes_them_and_ec_keys_as_pkcs8() {
        let rsa = DeviceKey::generate(KeyKind::Rsa2048).unwrap();
        assert!(rsa.private_pem.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        let ec = DeviceKey::generate(KeyKind::EcP256).unwrap();
        assert!(ec.private_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
