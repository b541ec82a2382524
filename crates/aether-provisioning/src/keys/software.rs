//! Keys made in this process.

use aether_mqtt::PrivateKey;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use rsa::rand_core::OsRng;

use super::{KeyError, KeyKind, KeySource};

/// Makes keys in this process, in memory, as PKCS#8.
///
/// Randomness is the operating system's. Elliptic-curve keys take a few milliseconds at most. RSA keys take about half a
/// second for 2048 bits and six for 4096 on a server's core, many times that on a small device, and vary widely. Nothing
/// is kept: that is the identity store's part, so [`open`](KeySource::open) always refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoftwareKeys(KeyKind);

impl SoftwareKeys {
    /// Makes keys of this kind.
    #[must_use]
    pub fn new(kind: KeyKind) -> Self {
        Self(kind)
    }

    /// The kind of key that is made.
    #[must_use]
    pub fn kind(self) -> KeyKind {
        self.0
    }
}

impl KeySource for SoftwareKeys {
    fn make(&self) -> Result<PrivateKey, KeyError> {
        let kind = self.0;
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| KeyError::Make { kind, source };
        let elliptic = |algorithm| Ok(KeyPair::generate_for(algorithm)?.serialize_pem());
        let pem = match kind {
            KeyKind::EcP256 => elliptic(&PKCS_ECDSA_P256_SHA256),
            KeyKind::EcP384 => elliptic(&PKCS_ECDSA_P384_SHA384),
            KeyKind::Rsa2048 => rsa_pem(2048),
            KeyKind::Rsa3072 => rsa_pem(3072),
            KeyKind::Rsa4096 => rsa_pem(4096),
        };
        let pem = pem.map_err(failed)?;
        PrivateKey::from_pem(pem.as_bytes()).map_err(|e| failed(Box::new(e)))
    }

    fn open(&self, locator: &str) -> Result<PrivateKey, KeyError> {
        Err(KeyError::NotKept { locator: locator.to_owned() })
    }
}

fn rsa_pem(bits: usize) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let key = RsaPrivateKey::new(&mut OsRng, bits)?;
    // The text is wiped from memory when it is dropped, unlike the copy that leaves here.
    Ok(key.to_pkcs8_pem(LineEnding::LF)?.to_string())
}
