//! What goes wrong between here and a token, and whether it may pass.

use std::io;
use std::path::PathBuf;

use cryptoki::error::{Error, RvError};

use crate::PinError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a source of keys in tokens could not be set up. Final: something has to change on this side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Error {
    /// No PKCS#11 library is named.
    #[error("no PKCS#11 library is named: add module-path=/path/to/library.so to the query of {uri}")]
    NoModule {
        /// The URI that lacks it.
        uri: String,
    },
    /// The PKCS#11 library is not there.
    #[error("could not find the PKCS#11 library {}", path.display())]
    ModulePath {
        /// Where it was looked for.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is no PKCS#11 library, or does not start.
    #[error("could not load the PKCS#11 library {}", path.display())]
    Module {
        /// The library.
        path: PathBuf,
        /// What it, or the system's loader, said.
        #[source]
        source: Source,
    },
    /// The key has no name, so that it could not be found again.
    #[error("{uri} names no key: add object=LABEL or id=%01, or ask for a new key each time")]
    NoKeyName {
        /// The URI that names none.
        uri: String,
    },
    /// A new key is asked for each time, and one identifier for all of them.
    #[error("{uri} has an id, which new keys would share: leave it out, or do not ask for a new key each time")]
    SharedId {
        /// The URI that has it.
        uri: String,
    },
}

/// Why a token did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(transparent)]
    Library(#[from] Error),
    #[error("no token fits {wanted}, found {}", list(found))]
    NoToken { wanted: String, found: Vec<String> },
    #[error("{} tokens fit {wanted}: {}; add serial=", found.len(), list(found))]
    SeveralTokens { wanted: String, found: Vec<String> },
    #[error(
        "the token {token} asks for a PIN, and there is none: name a file that holds it with pin-source=file:/path"
    )]
    NoPin { token: String },
    #[error("the PIN cannot be had")]
    Pin(#[source] PinError),
    #[error("the token {token} has refused this PIN already; it is not tried again, as that would lock the token")]
    PinRefusedBefore { token: String },
    #[error("the PIN of the token {token} is locked: its security officer has to set a new one")]
    PinLocked { token: String },
    #[error("{found} private keys fit: add id=")]
    SeveralKeys { found: usize },
    #[error("{0}")]
    Unusable(String),
    #[error("the key is gone from the token")]
    KeyGone,
    #[error("no randomness from the operating system: {0}")]
    Random(getrandom::Error),
}

/// What to make of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// What was known of the session holds no longer: one more try, in a new one, may help at once.
    Lost,
    /// The token is not there; it may come back.
    Away,
    /// The token refuses us. Asking again may lock it.
    Refused,
    /// Nothing of these.
    Final,
}

impl TokenError {
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::NoToken { .. } => Class::Away,
            Self::NoPin { .. } | Self::Pin(_) | Self::PinRefusedBefore { .. } | Self::PinLocked { .. } => {
                Class::Refused
            }
            Self::SeveralTokens { .. }
            | Self::SeveralKeys { .. }
            | Self::Unusable(_)
            | Self::KeyGone
            | Self::Random(_) => Class::Final,
            Self::Library(Error::Pkcs11(code, _)) => class_of(*code),
            Self::Library(_) => Class::Final,
        }
    }
}

fn class_of(code: RvError) -> Class {
    if matches!(
        code,
        RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::DeviceRemoved
            | RvError::DeviceError
            | RvError::TokenNotPresent
            | RvError::UserNotLoggedIn
            | RvError::CryptokiNotInitialized
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid
            | RvError::OperationActive
            | RvError::SlotIdInvalid
    ) {
        Class::Lost
    } else if matches!(
        code,
        RvError::TokenNotRecognized
            | RvError::SessionCount
            | RvError::DeviceMemory
            | RvError::HostMemory
            | RvError::FunctionFailed
            | RvError::FunctionCanceled
    ) {
        Class::Away
    } else if matches!(
        code,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized
            | RvError::UserAnotherAlreadyLoggedIn
            | RvError::TokenWriteProtected
    ) {
        Class::Refused
    } else {
        Class::Final
    }
}

fn list(found: &[String]) -> String {
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}
