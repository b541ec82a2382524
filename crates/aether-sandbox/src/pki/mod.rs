//! Certificates: making them, reading them, checking signatures and dates.

mod authority;
mod key;
mod pair;
mod x509;

pub(crate) use authority::{Authority, Issued};
pub(crate) use key::{DeviceKey, KeyKindError};
pub(crate) use pair::{CertifiedPair, open_pair};
pub(crate) use x509::{Certificate, SubjectKey, X509Error, client_signature_algorithms};
