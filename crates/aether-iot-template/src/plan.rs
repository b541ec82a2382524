//! A template filled in: what is to exist, as plain data.

use std::collections::{BTreeMap, BTreeSet};

/// What a template asks for, for one device.
///
/// Names and attributes have been checked against AWS's limits (sheet, 1.6). Whether policies, thing
/// types and groups exist is for the registry to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The Thing to make or update; `None` if the template declares none.
    pub thing: Option<ThingPlan>,
    /// The certificate and the state it is to have.
    pub certificate: CertificatePlan,
    /// The policies to attach to the certificate, in the order of their resource names.
    pub policies: Vec<PolicyPlan>,
    /// The settings sent back to the device; empty if the template has none.
    pub device_configuration: BTreeMap<String, String>,
}

/// The Thing a template asks for. `None` stands for a property the template leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThingPlan {
    /// Name of the Thing.
    pub name: String,
    /// Attributes by name.
    pub attributes: Option<BTreeMap<String, String>>,
    /// Name of the thing type.
    pub thing_type: Option<String>,
    /// Names of the thing groups.
    pub groups: Option<BTreeSet<String>>,
    /// Name of the billing group.
    pub billing_group: Option<String>,
    /// What happens to a Thing that exists already.
    pub overrides: ThingOverrides,
}

/// `OverrideSettings` of a Thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThingOverrides {
    /// For `AttributePayload`.
    pub attributes: Override,
    /// For `ThingTypeName`; never [`Override::Merge`].
    pub thing_type: Override,
    /// For `ThingGroups`.
    pub groups: Override,
}

/// What happens to a property of something that exists already (sheet, 2.4).
///
/// What AWS does when the setting is left out is unverified; here it is [`DoNothing`](Self::DoNothing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "AWS documents these four")]
pub enum Override {
    /// `DO_NOTHING`: stays as it is.
    #[default]
    DoNothing,
    /// `REPLACE`: is overwritten.
    Replace,
    /// `FAIL`: the request fails.
    Fail,
    /// `MERGE`: becomes the union of old and new; for attributes and groups only.
    Merge,
}

/// The certificate a template asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificatePlan {
    /// Where the certificate comes from.
    pub source: CertificateSource,
    /// The state a pending certificate takes. Default: active.
    pub status: PlannedStatus,
    /// How the certificate is tied to the Thing. Default: not exclusively.
    pub principal_type: PrincipalType,
    /// What happens to a certificate that is active or inactive already; never [`Override::Merge`].
    pub override_status: Override,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "AWS documents these three")]
pub enum CertificateSource {
    /// The id of a registered certificate. The only source in fleet and just-in-time templates.
    Id(String),
    /// A certificate signing request in PEM form.
    Csr(String),
    /// A certificate in PEM form.
    Pem {
        /// The certificate.
        certificate: String,
        /// The CA that signed it.
        ca: Option<String>,
    },
}

/// The state a template gives a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "AWS allows these two in a template")]
pub enum PlannedStatus {
    /// `ACTIVE`.
    Active,
    /// `INACTIVE`.
    Inactive,
}

/// How a certificate is tied to a Thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "AWS documents these two")]
pub enum PrincipalType {
    /// `EXCLUSIVE_THING`: to this Thing and no other.
    Exclusive,
    /// `NON_EXCLUSIVE_THING`.
    #[default]
    NonExclusive,
}

/// A policy a template asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a policy is named or written out, there is no third way")]
pub enum PolicyPlan {
    /// A policy that must exist.
    Named(String),
    /// A policy that the template brings along.
    Inline {
        /// Made from the document: its SHA-256 in lower-case hexadecimal. AWS only says "a hash".
        name: String,
        /// The document, a JSON object. Written out as an object in the template, it comes here
        /// without white space and with its keys in order; written as a text, as it stood.
        document: String,
    },
}

impl PolicyPlan {
    /// The name the policy has in the registry.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) | Self::Inline { name, .. } => name,
        }
    }
}
