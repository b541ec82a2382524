//! AWS IoT provisioning templates: read strictly, filled in with parameters, as plain data.
//!
//! ```text
//!  template body ──▶ Template ──▶ resolve ──▶ Plan ──▶ apply ──▶ what the Thing becomes,
//!     (JSON)            ▲            ▲                   ▲        or a Conflict
//!              kind of template   Parameters      what exists already
//! ```
//!
//! Depend on it to carry out fleet provisioning, just-in-time provisioning or `RegisterThing`, or to
//! tell whether AWS will take a template, and what it will make of it, before AWS is asked.
//!
//! It performs no I/O, knows no registry and issues no certificate: whether policies, thing types
//! and groups exist is for the caller to check. It does not read policy documents beyond their being
//! JSON objects. It knows no hook: a hook's overrides are parameters like any other.
//!
//! # Example
//!
//! ```
//! use aether_iot_template::{Parameters, Template, TemplateKind, ThingFacts, apply};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let template = Template::parse(TemplateKind::Fleet, r#"{
//!     "Parameters": { "SerialNumber": { "Type": "String" } },
//!     "Resources": {
//!         "thing": { "Type": "AWS::IoT::Thing", "Properties": {
//!             "ThingName": { "Fn::Sub": "press-${SerialNumber}" },
//!             "AttributePayload": { "serial": { "Ref": "SerialNumber" } } },
//!             "OverrideSettings": { "AttributePayload": "MERGE" } },
//!         "certificate": { "Type": "AWS::IoT::Certificate", "Properties": {
//!             "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "Active" } },
//!         "policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "press" } }
//!     }
//! }"#)?;
//!
//! let mut parameters = Parameters::new();
//! parameters.set_certificate_id("5d0c0e6f");
//! let missing = template.resolve(&parameters).unwrap_err();
//! assert_eq!(missing.to_string(), r#"parameter "SerialNumber" has no value and no default"#);
//!
//! parameters.insert("SerialNumber", "P3-00017")?;
//! let plan = template.resolve(&parameters)?;
//! let thing = plan.thing.ok_or("the template declares a Thing")?;
//! assert_eq!(thing.name, "press-P3-00017");
//!
//! let mut known = ThingFacts::default();
//! known.attributes.insert("hall".into(), "b".into());
//! let becomes = apply(Some(&known), &thing)?;
//! assert_eq!(becomes.attributes.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What it follows, and what it chose
//!
//! Comments cite the project's fact sheet on AWS IoT Core by section. Its section 2 restates the AWS
//! IoT Developer Guide's *Provisioning templates* and *Just-in-time provisioning*, section 1.6 the
//! lengths and patterns of the AWS IoT API Reference. Where those are silent:
//!
//! | matter | here |
//! | --- | --- |
//! | `Fn::Select`, `Fn::Split`, `Fn::Sub` | as in CloudFormation: index from 0 as text or number, delimiter first, `${!Name}` for a literal `${Name}` |
//! | delimiters | plain texts, no functions; that of `Fn::Split` not empty |
//! | `Mappings` | texts or lists of texts |
//! | values | texts; a number or truth value is refused, except as index of `Fn::Select` |
//! | declared parameter without value and default | an error, used or not |
//! | given parameter that is not declared | ignored |
//! | other names that start with `AWS::` under `Parameters` | refused |
//! | subject parameters in fleet templates | as others: they need a value set by the service, or a default |
//! | just-in-time: listed part of the subject that the certificate lacks | an error, even with a default |
//! | property that the template leaves out | not touched on a Thing that exists, whatever `OverrideSettings` say |
//! | `OverrideSettings` left out | `DO_NOTHING` |
//! | `FAIL` | fails whenever the Thing exists, whether or not anything would change |
//! | `MERGE` of attributes | the template's value wins |
//! | name of a policy given as a document | SHA-256 of the document, lower-case hexadecimal |
//! | `PackageVersions` | accepted, not acted upon, in [`Template::notes`] |
//! | text produced by all functions of a template | at most 1 MiB |
//!
//! # Features
//!
//! None.

mod template;

mod apply;
mod evaluate;
mod expression;
mod kind;
mod limits;
mod parameters;
mod parse;
mod plan;
mod resolve;

pub use apply::{Conflict, CurrentStatus, ThingFacts, apply, apply_status};
pub use kind::{CERTIFICATE_ID, SubjectField, TemplateKind};
pub use limits::{
    MAX_ATTRIBUTES_WITH_TYPE, MAX_ATTRIBUTES_WITHOUT_TYPE, MAX_PARAMETER_NAME_CHARS, MAX_PARAMETER_VALUE_CHARS,
    MAX_POLICY_CHARS, MAX_TEMPLATE_CHARS,
};
pub use parameters::{InvalidParameter, Parameters};
pub use parse::TemplateError;
pub use plan::{
    CertificatePlan, CertificateSource, Override, Plan, PlannedStatus, PolicyPlan, PrincipalType, ThingOverrides,
    ThingPlan,
};
pub use resolve::ResolveError;
pub use template::Template;
