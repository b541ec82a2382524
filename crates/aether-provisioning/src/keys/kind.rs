//! The kinds of key that can be made.

use std::fmt;
use std::str::FromStr;

use aether_mqtt::KeyAlgorithm;

/// A kind of key to make, as a setting names it: `ec-p256`, `ec-p384`, `rsa-2048`, `rsa-3072` or `rsa-4096`.
///
/// Default: `ec-p256`. These are the kinds AWS IoT Core signs certificates for (sheet, section 1.5), but for RSA of odd
/// sizes and the newer P-521.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// Elliptic curve P-256: quick to make, small, taken everywhere.
    #[default]
    EcP256,
    /// Elliptic curve P-384.
    EcP384,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
}

/// A text that names no kind of key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kind of key is called {found:?}, expected ec-p256, ec-p384, rsa-2048, rsa-3072 or rsa-4096")]
pub struct InvalidKeyKind {
    found: String,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::EcP256, Self::EcP384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// The name, as a setting writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcP256 => "ec-p256",
            Self::EcP384 => "ec-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }

    /// What such a key signs with.
    #[must_use]
    pub fn algorithm(self) -> KeyAlgorithm {
        match self {
            Self::EcP256 => KeyAlgorithm::EcdsaP256,
            Self::EcP384 => KeyAlgorithm::EcdsaP384,
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => KeyAlgorithm::Rsa,
        }
    }

    /// The length of an RSA key, in bits; `None` for the elliptic curves.
    #[must_use]
    pub fn rsa_bits(self) -> Option<u16> {
        match self {
            Self::EcP256 | Self::EcP384 => None,
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
        }
    }
}

impl FromStr for KeyKind {
    type Err = InvalidKeyKind;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == s).ok_or_else(|| InvalidKeyKind { found: s.to_owned() })
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        for kind in KeyKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "rsa-1024".parse::<KeyKind>().unwrap_err().to_string();
        assert!(error.contains("\"rsa-1024\"") && error.contains("rsa-2048"), "{error}");
    }
}
