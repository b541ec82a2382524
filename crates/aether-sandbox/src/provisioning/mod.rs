//! Fleet provisioning over MQTT: the reserved topics, the template, the two operations in JSON.
//!
//! ```text
//!  $aws/certificates/create/json ───────────────▶ key, certificate (pending), ownership token
//!  $aws/provisioning-templates/<t>/provision/json ▶ template ─▶ Thing, policies, active certificate
//! ```
//!
//! Follows the reference sheet, sections 1 and 2. `CreateCertificateFromCsr` and the CBOR topics
//! are not served yet: a publish to them is hung up on like any other reserved topic.

mod request;
mod service;
mod template;

pub(crate) use request::{Answer, Operation, Rejection, RequestTopic};
pub(crate) use service::{Provisioning, ProvisioningParts};
pub(crate) use template::{Template, default_template};
