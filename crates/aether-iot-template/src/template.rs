//! A template that has been read.

use std::collections::BTreeMap;

use crate::expression::{List, Mappings, Node, Text};
use crate::kind::TemplateKind;
use crate::plan::{Override, ThingOverrides};

/// A provisioning template.
///
/// Read with [`parse`](Self::parse), filled in with [`resolve`](Self::resolve).
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub(crate) kind: TemplateKind,
    /// Declared parameters with their defaults.
    pub(crate) parameters: BTreeMap<String, Option<String>>,
    pub(crate) mappings: Mappings,
    pub(crate) thing: Option<ThingResource>,
    pub(crate) certificate: CertificateResource,
    pub(crate) policies: Vec<PolicyResource>,
    pub(crate) device_configuration: BTreeMap<String, Text>,
    pub(crate) notes: Vec<String>,
}

/// A resource of type `AWS::IoT::Thing`. `place` is the path of its properties.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ThingResource {
    pub(crate) place: String,
    pub(crate) name: Text,
    pub(crate) attributes: Option<BTreeMap<String, Text>>,
    pub(crate) thing_type: Option<Text>,
    pub(crate) groups: Option<List>,
    pub(crate) billing_group: Option<Text>,
    pub(crate) overrides: ThingOverrides,
}

/// A resource of type `AWS::IoT::Certificate`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CertificateResource {
    pub(crate) place: String,
    pub(crate) source: SourceProperty,
    pub(crate) status: Option<Text>,
    pub(crate) principal_type: Option<Text>,
    pub(crate) override_status: Override,
}

/// The property that says where the certificate comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SourceProperty {
    Id(Text),
    Csr(Text),
    Pem { certificate: Text, ca: Option<Text> },
}

/// A resource of type `AWS::IoT::Policy`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyResource {
    pub(crate) place: String,
    pub(crate) policy: PolicyProperty,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PolicyProperty {
    Name(Text),
    /// A JSON document inside a text.
    DocumentText(Text),
    /// A document written out.
    Document(Node),
}

impl Template {
    /// What the template is for.
    #[must_use]
    pub fn kind(&self) -> TemplateKind {
        self.kind
    }

    /// Declared parameters, each with its default.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.parameters.iter().map(|(name, default)| (name.as_str(), default.as_deref()))
    }

    /// Policies that are named as plain text, so that it can be known early whether they exist.
    pub fn plain_policy_names(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().filter_map(|resource| match &resource.policy {
            PolicyProperty::Name(Text::Literal(name)) => Some(name.as_str()),
            PolicyProperty::Name(_) | PolicyProperty::DocumentText(_) | PolicyProperty::Document(_) => None,
        })
    }

    /// What was read and is not acted upon: unknown members at the top and `PackageVersions`.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
