//! Certificates: making them, reading them, checking signatures and dates.

mod authority;
mod csr;
mod facts;
mod key;
mod pair;
mod pem;
mod usable_ca;
mod verification;
mod x509;

pub(crate) use authority::{Authority, Issued};
pub(crate) use csr::SigningRequest;
pub(crate) use facts::CertificateFacts;
pub(crate) use key::DeviceKey;
pub(crate) use pair::open_pair;
pub(crate) use pem::{public_key_pem, to_pem};
pub(crate) use usable_ca::{check_ca, check_client_key};
pub(crate) use verification::check_verification;
pub(crate) use x509::{Certificate, X509Error, client_schemes};
