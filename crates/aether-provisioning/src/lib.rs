//! A device identity from AWS IoT Core fleet provisioning by claim.

mod claim;
mod driver;
mod error;
mod identity;
mod names;
mod store;

pub use claim::Claim;
pub use driver::{Stage, provision};
pub use error::{AnswerProblem, ProvisionError, Step};
pub use identity::{Identity, IssuedCertificate, OwnershipToken};
pub use names::{CertificateId, InvalidName, TemplateName, ThingName};
pub use store::{DirectoryStore, IdentityStore, MemoryStore, StoreError, Stored};
