//! Kinds of key the sandbox makes for devices.

/// The kind of key `CreateKeysAndCertificate` makes for a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// RSA with 2048 bits, as AWS makes them: a PKCS#1 `RSA PRIVATE KEY`. Takes up to seconds.
    #[default]
    Rsa2048,
    /// Elliptic curve on P-256 as PKCS#8, for quick tests. AWS never makes these.
    EcP256,
}
