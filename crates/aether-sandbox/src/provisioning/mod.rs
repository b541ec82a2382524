//! Fleet provisioning: the reserved topics, the three operations in JSON and CBOR, templates, hooks.
//!
//! ```text
//!  $aws/certificates/create/{fmt} ────────────▶ key, certificate (pending), ownership token
//!  $aws/certificates/create-from-csr/{fmt} ───▶      certificate (pending), ownership token
//!  $aws/provisioning-templates/<t>/provision/{fmt}
//!        token ─▶ hook ─▶ template ─▶ policies, Thing, certificate's status: one transaction
//! ```
//!
//! Follows the reference sheet, sections 1, 2 and 5. What happens before the transaction changes
//! nothing, so a rejected `RegisterThing` can be repeated with the same token. Tokens and pending
//! certificates live by the sandbox's clock; the account deletes those whose hour is over.

mod answer;
mod claim;
mod default_template;
mod establish;
#[cfg(feature = "__fuzz")]
pub(crate) mod fuzz;
mod hook;
mod payload;
mod rejection;
mod request;
mod service;
#[cfg(test)]
mod tests;
mod topic;

pub(crate) use answer::Answer;
pub use claim::{ClaimError, ProvisioningClaim};
pub(crate) use default_template::default_template;
pub(crate) use establish::establish;
pub(crate) use hook::Hooks;
pub use hook::{InvalidHook, ProvisioningHook};
pub(crate) use rejection::Rejection;
pub(crate) use service::{Caller, Provisioning, ProvisioningParts};
pub(crate) use topic::RequestTopic;
