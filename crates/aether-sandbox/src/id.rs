//! Names of certificates and certificate authorities: the SHA-256 of their DER form.

use std::fmt;
use std::str::FromStr;

/// Declares one newtype over 64 lower-case hexadecimal characters.
macro_rules! sha256_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl $name {
            /// The 64 lower-case hexadecimal characters.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name of the object with this DER form.
            pub(crate) fn of_der(der: &[u8]) -> Self {
                Self(sha256_hex(der).into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match is_sha256_hex(text) {
                    true => Ok(Self(text.into())),
                    false => Err(InvalidId { what: $what, found: text.to_owned() }),
                }
            }
        }
    };
}

sha256_name! {
    /// The `certificateId` of a client certificate: SHA-256 over its DER form, in lower-case hex.
    ///
    /// AWS only says that the id is opaque and 64 hexadecimal characters long; the hash is what
    /// its emulators use (reference sheet, 1.5).
    CertificateId, "certificate id"
}

sha256_name! {
    /// The name of a registered customer CA: SHA-256 over its DER form, in lower-case hex.
    CaId, "CA id"
}

/// A text that is not the name of a certificate or a certificate authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {found:?}, expected 64 lower-case hexadecimal characters")]
pub struct InvalidId {
    what: &'static str,
    found: String,
}

/// SHA-256 of `bytes` in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// `bytes` in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

fn is_sha256_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_certificate_is_the_hash_of_its_der_form() {
        // SHA-256 of "abc", FIPS 180-4.
        assert_eq!(
            CertificateId::of_der(b"abc").as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_name_that_is_not_64_lower_case_hex_characters_is_refused() {
        for text in ["", "ab", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert!(text.parse::<CertificateId>().is_err(), "{text:?}");
        }
        let id = CertificateId::of_der(b"abc");
        assert_eq!(id.to_string().parse::<CertificateId>(), Ok(id));
    }
}
