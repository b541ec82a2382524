//! Certificates and Things: what is known, in memory and on disk.
//!
//! One small JSON file for each certificate and each Thing, so that a change writes one file,
//! however many devices there are. A change is on disk before it is seen in memory.

mod disk_form;
mod memory;
mod record;
mod store;

pub use record::{CertificateKind, CertificateRecord, CertificateStatus, ThingRecord};
pub(crate) use store::{Registration, Registry, RegistryError};
