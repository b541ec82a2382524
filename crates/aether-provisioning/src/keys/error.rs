//! Why there is no key, and why a certificate signing request is refused.

use super::KeyKind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a source of keys gives no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key could not be made. Final.
    #[error("could not make a key of kind {kind}")]
    Make {
        /// The kind asked for.
        kind: KeyKind,
        /// What its maker said.
        #[source]
        source: Source,
    },
    /// The source keeps no keys: whoever asked for one keeps it. Final.
    #[error("no key is kept at {locator:?}: keys made in this process are kept by the identity store alone")]
    NotKept {
        /// Where the key was looked for.
        locator: String,
    },
    /// No key is where it should be. Final.
    #[error("no private key was found at {locator}")]
    NotFound {
        /// Where the key was looked for.
        locator: String,
    },
    /// Something is where the key should be, and cannot be used. Final.
    #[error("the private key at {locator} cannot be used")]
    Unusable {
        /// Where the key is.
        locator: String,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// What holds the keys is not there now: unplugged, restarted, locked. May pass.
    #[error("what holds the private keys is not available")]
    Unavailable(#[source] Source),
    /// What holds the keys refused, such as a wrong PIN. Final: asking again may lock it.
    #[error("what holds the private keys refused")]
    Refused(#[source] Source),
}

impl KeyError {
    /// Whether the same call may succeed later, without a change on this side.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Make { .. }
            | Self::NotKept { .. }
            | Self::NotFound { .. }
            | Self::Unusable { .. }
            | Self::Refused(_) => false,
        }
    }
}

/// Why a text is no certificate signing request that AWS IoT Core takes, or why none could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The text holds no signing request.
    #[error("no certificate signing request found, expected a \"BEGIN CERTIFICATE REQUEST\" block")]
    Missing,
    /// The text holds more than one.
    #[error("{found} certificate signing requests found, expected one")]
    Several {
        /// How many.
        found: usize,
    },
    /// The request is longer than AWS IoT Core takes (sheet, section 1.6).
    #[error("the certificate signing request has {found} characters, at most {limit} are allowed")]
    TooLong {
        /// Length found, in characters, with the BEGIN and END lines.
        found: usize,
        /// Largest length, in characters.
        limit: usize,
    },
    /// The block is not PEM, or holds something that is no PKCS#10 request (RFC 2986).
    #[error("the certificate signing request cannot be read")]
    Unreadable(#[source] Source),
    /// The key is of a kind AWS IoT Core does not sign a certificate for.
    #[error(
        "the certificate signing request is for {found}, expected ECDSA P-256 or P-384, or RSA of at least 2048 bits"
    )]
    Key {
        /// The kind of key found, such as "RSA of 1024 bits".
        found: String,
    },
    /// The request was not signed with the key it names, or was changed afterwards.
    #[error("the signature of the certificate signing request does not verify with its own key")]
    Signature(#[source] Source),
    /// The common name cannot stand in a request.
    #[error("the common name {found:?} has {} characters, expected 1 to {limit} and no control character", found.chars().count())]
    CommonName {
        /// The name found.
        found: String,
        /// Most characters (RFC 5280, appendix A.1, ub-common-name).
        limit: usize,
    },
    /// The key did not sign the request.
    #[error("the certificate signing request could not be signed")]
    Sign(#[source] Source),
}
