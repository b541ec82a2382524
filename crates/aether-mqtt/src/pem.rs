//! PEM faults said without showing the text: it may be a private key.

use rustls_pki_types::pem::Error as PemError;

/// What is wrong with a PEM text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PemFault {
    #[error("a section has no END line")]
    NoEnd,
    #[error("a BEGIN line is malformed")]
    BadStart,
    #[error("a section is not Base64")]
    NotBase64,
    #[error("no section of the expected kind")]
    NothingFound,
    #[error("not readable as PEM")]
    Unreadable,
}

impl From<PemError> for PemFault {
    fn from(error: PemError) -> Self {
        match error {
            PemError::MissingSectionEnd { .. } => Self::NoEnd,
            PemError::IllegalSectionStart { .. } => Self::BadStart,
            PemError::Base64Decode(_) => Self::NotBase64,
            PemError::NoItemsFound => Self::NothingFound,
            PemError::Io(_) | PemError::SectionTooLarge | _ => Self::Unreadable,
        }
    }
}
