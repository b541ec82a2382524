//! Certificates and Things: what is known, in memory and on disk.

mod record;

pub use record::{CertificateKind, CertificateRecord, CertificateStatus, ThingRecord};
