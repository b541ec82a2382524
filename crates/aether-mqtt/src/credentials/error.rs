//! Why a certificate and a key make no credentials.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a certificate and a key make no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The certificate text holds no certificate.
    #[error("no certificate found, expected a \"BEGIN CERTIFICATE\" block")]
    NoCertificate,
    /// The certificate text is not PEM, or holds something that is no X.509 certificate.
    #[error("the certificate cannot be read")]
    Certificate(#[source] Source),
    /// The key text holds no private key.
    #[error(
        "no private key found, expected a \"BEGIN PRIVATE KEY\", \"BEGIN RSA PRIVATE KEY\" or \"BEGIN EC PRIVATE KEY\" block"
    )]
    NoKey,
    /// The private key cannot be read or is of an unsupported kind.
    #[error("the private key cannot be used, expected RSA of at least 2048 bits, ECDSA P-256 or P-384, or Ed25519")]
    Key(#[source] Source),
    /// Certificate and key are each readable, but of two different key pairs.
    #[error("the private key does not belong to the certificate{}", of(common_name))]
    Mismatch {
        /// Subject common name of the certificate, if it has one.
        common_name: Option<String>,
    },
}

fn of(common_name: &Option<String>) -> String {
    common_name.as_ref().map_or_else(String::new, |name| format!(" of \"CN={name}\""))
}
