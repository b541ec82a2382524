//! Fills a template in.

use std::collections::{BTreeMap, BTreeSet};

use ring::digest;
use serde_json::Value;

use crate::evaluate::Scope;
use crate::expression::{List, Node, Text};
use crate::kind::{CERTIFICATE_ID, RESERVED, TemplateKind};
use crate::limits::{MAX_ATTRIBUTES_WITH_TYPE, MAX_ATTRIBUTES_WITHOUT_TYPE, MAX_POLICY_CHARS, Rule, quoted};
use crate::parameters::Parameters;
use crate::plan::{CertificatePlan, CertificateSource, Plan, PlannedStatus, PolicyPlan, PrincipalType, ThingPlan};
use crate::template::{CertificateResource, PolicyProperty, PolicyResource, SourceProperty, Template, ThingResource};

/// Why a template cannot be filled in with these values. Places are paths as in
/// [`TemplateError`](crate::TemplateError).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// A declared parameter that nobody gave a value for.
    #[error("parameter {name:?} has no value and no default")]
    MissingParameter {
        /// Its name.
        name: String,
    },
    /// A just-in-time template lists a part of the subject that the certificate has not.
    #[error("parameter {name:?} is listed but the certificate has no such value")]
    MissingCertificateValue {
        /// The name of the parameter.
        name: String,
    },
    /// `Fn::Select` beyond its list.
    #[error("{place}: Fn::Select has index {index}, expected a number below {count}")]
    Index {
        /// The property.
        place: String,
        /// The index.
        index: String,
        /// Items in the list.
        count: usize,
    },
    /// `Fn::FindInMap` of keys that `Mappings` does not have.
    #[error("{place}: Fn::FindInMap finds nothing in Mappings for {keys}")]
    Mapping {
        /// The property.
        place: String,
        /// The three keys.
        keys: String,
    },
    /// A value that its property does not take.
    #[error("{place} is {found}, expected {expected}")]
    Value {
        /// The property.
        place: String,
        /// The value.
        found: String,
        /// What the property takes.
        expected: &'static str,
    },
    /// More attributes than the Thing may have.
    #[error("{place} has {count} attributes, expected at most {limit}: 3 without a thing type, 50 with one")]
    TooManyAttributes {
        /// The property.
        place: String,
        /// Attributes it has.
        count: usize,
        /// Attributes it may have.
        limit: usize,
    },
    /// The functions of the template produce too much text.
    #[error("{place}: the functions of the template produce more than 1 MiB of text")]
    TooLarge {
        /// The property at which the bound was reached.
        place: String,
    },
}

impl Template {
    /// Fills the template in.
    ///
    /// Values for names it does not declare are ignored (a choice: sheet, 2.2). Every declared
    /// parameter needs a value or a default, used or not.
    ///
    /// # Errors
    ///
    /// [`ResolveError`], with the part of the template and what is missing or wrong with it.
    pub fn resolve(&self, parameters: &Parameters) -> Result<Plan, ResolveError> {
        let scope = Scope::new(self.values(parameters)?, &self.mappings);
        let certificate = self.certificate.resolve(&scope)?;
        if let CertificateSource::Id(id) = &certificate.source
            && self.kind != TemplateKind::Bulk
            && parameters.trusted(CERTIFICATE_ID) != Some(id)
        {
            let place = format!("{}.CertificateId", self.certificate.place);
            return Err(value(
                place,
                id,
                "the certificate being provisioned, {\"Ref\": \"AWS::IoT::Certificate::Id\"}",
            ));
        }
        Ok(Plan {
            thing: self.thing.as_ref().map(|thing| thing.resolve(&scope)).transpose()?,
            certificate,
            policies: self.policies.iter().map(|policy| policy.resolve(&scope)).collect::<Result<_, _>>()?,
            device_configuration: texts(&scope, "DeviceConfiguration", &self.device_configuration)?,
        })
    }

    fn values<'a>(&'a self, parameters: &'a Parameters) -> Result<BTreeMap<&'a str, &'a str>, ResolveError> {
        let mut values = BTreeMap::new();
        if let Some(id) = parameters.trusted(CERTIFICATE_ID)
            && self.kind == TemplateKind::Fleet
        {
            values.insert(CERTIFICATE_ID, id);
        }
        for (name, default) in &self.parameters {
            let given = match self.kind {
                TemplateKind::Fleet | TemplateKind::Jitp => parameters.trusted(name),
                TemplateKind::Bulk => parameters.any(name),
            };
            let value = match (given, default) {
                (Some(given), _) => given,
                // Provisioning fails if the certificate lacks a listed one (sheet, 2.3), default or not.
                (None, _) if self.kind == TemplateKind::Jitp && name.starts_with(RESERVED) => {
                    return Err(ResolveError::MissingCertificateValue { name: name.clone() });
                }
                (None, Some(default)) => default,
                (None, None) => return Err(ResolveError::MissingParameter { name: name.clone() }),
            };
            values.insert(name, value);
        }
        Ok(values)
    }
}

impl ThingResource {
    fn resolve(&self, scope: &Scope<'_>) -> Result<ThingPlan, ResolveError> {
        let place = |name: &str| format!("{}.{name}", self.place);
        let name = |property: &str, text: &Text| checked(scope, place(property), text, Rule::REGISTRY_NAME);
        let optional = |property: &str, text: &Option<Text>| text.as_ref().map(|text| name(property, text)).transpose();
        let thing_type = optional("ThingTypeName", &self.thing_type)?;
        let attributes = self.attributes.as_ref().map(|attributes| {
            let place = place("AttributePayload");
            let limit = match thing_type {
                Some(_) => MAX_ATTRIBUTES_WITH_TYPE,
                None => MAX_ATTRIBUTES_WITHOUT_TYPE,
            };
            if attributes.len() > limit {
                return Err(ResolveError::TooManyAttributes { place, count: attributes.len(), limit });
            }
            let read = |(name, text): (&String, &Text)| {
                Ok((name.clone(), checked(scope, format!("{place}.{name}"), text, Rule::ATTRIBUTE_VALUE)?))
            };
            attributes.iter().map(read).collect()
        });
        Ok(ThingPlan {
            name: name("ThingName", &self.name)?,
            attributes: attributes.transpose()?,
            thing_type,
            groups: self.groups.as_ref().map(|groups| names(scope, &place("ThingGroups"), groups)).transpose()?,
            billing_group: optional("BillingGroup", &self.billing_group)?,
            overrides: self.overrides,
        })
    }
}

impl CertificateResource {
    fn resolve(&self, scope: &Scope<'_>) -> Result<CertificatePlan, ResolveError> {
        let place = |name: &str| format!("{}.{name}", self.place);
        let source = match &self.source {
            SourceProperty::Id(id) => CertificateSource::Id(scope.text(&place("CertificateId"), id)?),
            SourceProperty::Csr(csr) => {
                CertificateSource::Csr(checked(scope, place("CertificateSigningRequest"), csr, Rule::CSR)?)
            }
            SourceProperty::Pem { certificate, ca } => CertificateSource::Pem {
                certificate: checked(scope, place("CertificatePem"), certificate, Rule::PEM)?,
                ca: ca.as_ref().map(|ca| checked(scope, place("CACertificatePem"), ca, Rule::PEM)).transpose()?,
            },
        };
        let word = |property: &str, text: &Option<Text>| {
            text.as_ref().map(|text| scope.text(&place(property), text)).transpose()
        };
        let status = match word("Status", &self.status)? {
            None => PlannedStatus::Active,
            Some(status) if status.eq_ignore_ascii_case("ACTIVE") => PlannedStatus::Active,
            Some(status) if status.eq_ignore_ascii_case("INACTIVE") => PlannedStatus::Inactive,
            Some(other) => return Err(value(place("Status"), &other, "ACTIVE or INACTIVE")),
        };
        let principal_type = match word("ThingPrincipalType", &self.principal_type)?.as_deref() {
            None | Some("NON_EXCLUSIVE_THING") => PrincipalType::NonExclusive,
            Some("EXCLUSIVE_THING") => PrincipalType::Exclusive,
            Some(other) => {
                return Err(value(place("ThingPrincipalType"), other, "EXCLUSIVE_THING or NON_EXCLUSIVE_THING"));
            }
        };
        Ok(CertificatePlan { source, status, principal_type, override_status: self.override_status })
    }
}

impl PolicyResource {
    fn resolve(&self, scope: &Scope<'_>) -> Result<PolicyPlan, ResolveError> {
        let place = format!("{}.PolicyDocument", self.place);
        let document = match &self.policy {
            PolicyProperty::Name(name) => {
                let place = format!("{}.PolicyName", self.place);
                return checked(scope, place, name, Rule::POLICY_NAME).map(PolicyPlan::Named);
            }
            PolicyProperty::DocumentText(text) => scope.text(&place, text)?,
            PolicyProperty::Document(node) => json(scope, &place, node)?.to_string(),
        };
        if !serde_json::from_str::<Value>(&document).is_ok_and(|document| document.is_object()) {
            return Err(value(place, &document, "a JSON object"));
        }
        if document.chars().filter(|character| !character.is_whitespace()).count() > MAX_POLICY_CHARS {
            return Err(value(place, &document, "at most 2048 characters, white space not counted"));
        }
        Ok(PolicyPlan::Inline { name: sha256(&document), document })
    }
}

fn json(scope: &Scope<'_>, place: &str, node: &Node) -> Result<Value, ResolveError> {
    Ok(match node {
        Node::Leaf(leaf) => leaf.clone(),
        Node::Text(text) => scope.text(place, text)?.into(),
        Node::List(list) => scope.texts(place, list)?.into(),
        Node::Array(items) => items.iter().map(|item| json(scope, place, item)).collect::<Result<_, _>>()?,
        // In the order of the keys, so that equal documents have equal hashes.
        Node::Object(members) => members
            .iter()
            .map(|(name, member)| Ok((name.clone(), json(scope, place, member)?)))
            .collect::<Result<_, ResolveError>>()?,
    })
}

fn texts(
    scope: &Scope<'_>,
    place: &str,
    texts: &BTreeMap<String, Text>,
) -> Result<BTreeMap<String, String>, ResolveError> {
    texts.iter().map(|(name, text)| Ok((name.clone(), scope.text(&format!("{place}.{name}"), text)?))).collect()
}

fn names(scope: &Scope<'_>, place: &str, list: &List) -> Result<BTreeSet<String>, ResolveError> {
    let names = scope.texts(place, list)?.into_iter();
    names.map(|name| kept(place.to_owned(), name, Rule::REGISTRY_NAME)).collect()
}

fn checked(scope: &Scope<'_>, place: String, text: &Text, rule: Rule) -> Result<String, ResolveError> {
    let text = scope.text(&place, text)?;
    kept(place, text, rule)
}

fn kept(place: String, text: String, rule: Rule) -> Result<String, ResolveError> {
    match rule.holds(&text) {
        true => Ok(text),
        false => Err(value(place, &text, rule.words)),
    }
}

fn value(place: String, found: &str, expected: &'static str) -> ResolveError {
    ResolveError::Value { place, found: quoted(found), expected }
}

fn sha256(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
