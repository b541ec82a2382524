//! Device keys in PKCS#11 tokens: made there, found again, signing there for requests and for TLS.
//!
//! ```text
//!                     make()     ┌─────────────────┐ C_GenerateKeyPair
//!  provisioning ──── open() ───▶ │   Pkcs11Keys    │ ──────────────▶ ┌───────────┐
//!                 PrivateKey ◀── │ one session,    │                 │   token   │
//!  signing request ── sign() ──▶ │ one at a time,  │ ───── C_Sign ─▶ │  the key  │
//!  TLS handshake ──── sign() ──▶ │ opened again    │                 └───────────┘
//!                                └─────────────────┘
//! ```
//!
//! Depend on it if a device's private key must not leave a security chip, a smart card or a network HSM that comes with a
//! PKCS#11 library (version 2.40).
//!
//! It refuses to take a private key out of a token, to hold a PIN in a setting, to try a refused PIN again, and to set up
//! tokens or their PINs: that is their maker's tool's part.
//!
//! # Example
//!
//! A token named "plant" keeps the device's key; the certificate for it comes from wherever the request goes.
//!
//! ```no_run
//! use aether_mqtt::Credentials;
//! use aether_pkcs11::{Pkcs11Keys, Pkcs11Options};
//! use aether_provisioning::{KeySource, SigningRequest};
//!
//! # fn certificate_for(request: &SigningRequest) -> Vec<u8> { Vec::new() }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let uri = "pkcs11:token=plant;object=device-key\
//!     ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/aether/pin";
//! let keys = Pkcs11Keys::new(uri.parse()?, Pkcs11Options::default())?;
//!
//! // Made at the first call, found at every other.
//! let key = keys.make()?;
//! let request = SigningRequest::make(&key, "P3-00017")?;
//! let credentials = Credentials::new(&certificate_for(&request), key)?;
//!
//! // What to write down of the key, and how to come back to it after a restart.
//! let locator = credentials.private_key().locator().unwrap_or_default();
//! let key = keys.open(locator)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a token has to offer
//!
//! Elliptic-curve keys on P-256 or P-384 sign with `CKM_ECDSA` or with the mechanism that hashes as well; RSA keys of 2048
//! bits and more with `CKM_RSA_PKCS` and `CKM_RSA_PKCS_PSS` or theirs. TLS 1.3 needs PSS: an RSA key in a token without
//! it connects by TLS 1.2 alone. Keys that want the PIN again for each signature are refused.
//!
//! # When the token goes away
//!
//! A session that was lost, as when a token is pulled and put back, is opened again within the call that finds it lost,
//! once. A token that is not there makes errors that [`KeyError::is_retryable`](aether_provisioning::KeyError) and
//! [`SignError::is_retryable`](aether_mqtt::SignError) call retryable; a wrong PIN does not.
//!
//! # Secrets
//!
//! PINs come from a file that nobody but its owner may read, or from the program ([`Pin`]). They appear in no `Debug`
//! output, no error and no log at any level.
//!
//! # Features
//!
//! None.

mod der;
mod describe;
mod error;
mod keys;
mod module;
mod percent;
mod pin;
mod signer;
mod token;
mod uri;

pub use error::Pkcs11Error;
pub use keys::{Pkcs11Keys, Pkcs11Options};
pub use pin::{Pin, PinError};
pub use uri::{InvalidUri, Pkcs11Uri};
