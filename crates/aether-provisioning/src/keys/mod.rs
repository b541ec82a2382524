//! Where a device's private key comes from when it is made on the device.

mod error;
mod kind;
mod request;
mod software;

use std::sync::Arc;

use aether_mqtt::PrivateKey;

pub use error::{InvalidRequest, KeyError};
pub use kind::{InvalidKeyKind, KeyKind};
pub use request::SigningRequest;
pub use software::SoftwareKeys;

/// Makes private keys, and finds again those that stay where they are.
///
/// The calls block: RSA takes seconds, a token may take longer. From async code, call them on a thread that may block.
#[cfg_attr(test, mockall::automock)]
pub trait KeySource: Send + Sync {
    /// Gives the key for the next certificate.
    ///
    /// Most sources make a new key. One that is told to use a certain key, such as a token with the key's name, finds
    /// it. When this returns, a key that stays elsewhere survives a kill; one that is held in memory does not.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; [`KeyError::is_retryable`] tells whether the source may only be away.
    fn make(&self) -> Result<PrivateKey, KeyError>;

    /// Finds the key that has this [locator](PrivateKey::locator).
    ///
    /// # Errors
    ///
    /// [`KeyError::NotFound`] if the source has no such key, [`KeyError::NotKept`] if it keeps none at all, and what
    /// else may go wrong.
    fn open(&self, locator: &str) -> Result<PrivateKey, KeyError>;
}

impl<K: KeySource + ?Sized> KeySource for Arc<K> {
    fn make(&self) -> Result<PrivateKey, KeyError> {
        K::make(self)
    }

    fn open(&self, locator: &str) -> Result<PrivateKey, KeyError> {
        K::open(self, locator)
    }
}
