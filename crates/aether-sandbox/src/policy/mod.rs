//! IoT policies: read once, evaluated on every connect, publish, subscribe and receive.
//!
//! ```text
//!  policies/*.json ──▶ Policy ──▶ evaluate(policies, Request) ──▶ Verdict + deciding statement
//! ```
//!
//! Follows the reference sheet, section 3. What a document holds that this evaluator does not
//! understand is an error when it is read, never something that is silently allowed.

mod document;
mod evaluate;
mod pattern;

pub(crate) use document::Policy;
pub(crate) use evaluate::{Action, Request, Verdict, evaluate};

/// Region of the resource names. AWS has no Region for a loopback address, so one is made up.
pub(crate) const REGION: &str = "eu-west-1";
/// Account of the resource names, AWS's own placeholder.
pub(crate) const ACCOUNT: &str = "123456789012";
