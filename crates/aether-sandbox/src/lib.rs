//! An offline AWS IoT Core for development, CI and integrators: mutual TLS, fleet provisioning, policies.

mod audit;
mod broker;
mod builder;
mod ca;
mod disk;
mod error;
mod files;
mod id;
mod key;
mod observer;
mod pki;
mod policy;
mod provisioning;
mod random;
mod registry;
mod sandbox;
mod state;
mod trust;

pub use audit::{AuditDecision, AuditEvent, AuditRecord, AuditStream, StatementRef};
pub use builder::SandboxBuilder;
pub use ca::register_ca;
pub use error::{RegisterCaError, StartError};
pub use files::Files;
pub use id::{CaId, CertificateId, InvalidId};
pub use key::KeyKind;
pub use observer::{Credentials, CredentialsError, Message, Observer, ObserverError};
pub use registry::{CertificateKind, CertificateRecord, CertificateStatus, ThingRecord};
pub use sandbox::{Sandbox, SetStatusError};
