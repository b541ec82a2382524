//! The section `Resources` (sheet, 2.4).

use serde_json::{Map, Value};

use super::error::{not_in, shape, unknown};
use super::value::{Nulls, Reader};
use super::{TemplateError, object, only};
use crate::expression::Text;
use crate::kind::TemplateKind;
use crate::limits::Rule;
use crate::plan::{Override, ThingOverrides};
use crate::template::{CertificateResource, PolicyProperty, PolicyResource, SourceProperty, ThingResource};

const THING: &str = "AWS::IoT::Thing";
const CERTIFICATE: &str = "AWS::IoT::Certificate";
const POLICY: &str = "AWS::IoT::Policy";
const THING_PROPERTIES: &[&str] =
    &["ThingName", "AttributePayload", "ThingTypeName", "ThingGroups", "BillingGroup", "PackageVersions"];
const CERTIFICATE_PROPERTIES: &[&str] = &[
    "CertificateId",
    "CertificateSigningRequest",
    "CertificatePem",
    "CACertificatePem",
    "Status",
    "ThingPrincipalType",
];
const POLICY_PROPERTIES: &[&str] = &["PolicyName", "PolicyDocument"];

/// What the section holds.
pub(super) struct Resources {
    pub(super) thing: Option<ThingResource>,
    pub(super) certificate: CertificateResource,
    pub(super) policies: Vec<PolicyResource>,
    pub(super) notes: Vec<String>,
}

/// One resource, ready to be read.
struct Resource<'a> {
    reader: &'a Reader<'a>,
    /// The path of the resource and of its properties.
    place: String,
    inside: String,
    properties: &'a Map<String, Value>,
    overrides: Option<&'a Value>,
}

pub(super) fn read(reader: &Reader<'_>, section: Option<&Value>) -> Result<Resources, TemplateError> {
    let (mut thing, mut certificate, mut policies, mut notes) = (None, None, Vec::new(), Vec::new());
    for (name, resource) in object(section, "Resources")? {
        let place = format!("Resources.{name}");
        let resource = object(Some(resource), &place)?;
        only(resource, &place, &["Type", "Properties", "OverrideSettings"])?;
        let inside = format!("{place}.Properties");
        let properties = object(resource.get("Properties"), &inside)?;
        let overrides = resource.get("OverrideSettings");
        let this = Resource { reader, place, inside, properties, overrides };
        let second = |kind| shape(&format!("{}.Type", this.place), Some(&kind), "one resource of this type");
        match resource.get("Type").and_then(Value::as_str) {
            Some(THING) if thing.is_some() => return Err(second(THING.into())),
            Some(THING) => thing = Some(this.thing(&mut notes)?),
            Some(CERTIFICATE) if certificate.is_some() => return Err(second(CERTIFICATE.into())),
            Some(CERTIFICATE) => certificate = Some(this.certificate()?),
            Some(POLICY) => policies.push(this.policy()?),
            Some(_) | None => {
                let place = format!("{}.Type", this.place);
                return Err(shape(&place, resource.get("Type"), &format!("{THING}, {CERTIFICATE} or {POLICY}")));
            }
        }
    }
    let certificate =
        certificate.ok_or_else(|| shape("Resources", None, "a resource of type AWS::IoT::Certificate in it"))?;
    Ok(Resources { thing, certificate, policies, notes })
}

impl Resource<'_> {
    fn thing(self, notes: &mut Vec<String>) -> Result<ThingResource, TemplateError> {
        only(self.properties, &self.inside, THING_PROPERTIES)?;
        let attributes = self.property("AttributePayload", |place, map| {
            let attributes = self.reader.texts(place, map)?;
            match attributes.keys().find(|name| !Rule::ATTRIBUTE_NAME.holds(name)) {
                Some(name) => Err(shape(place, Some(&name.as_str().into()), Rule::ATTRIBUTE_NAME.words)),
                None => Ok(attributes),
            }
        })?;
        if self.property("PackageVersions", |place, value| object(Some(value), place).map(|_| ()))?.is_some() {
            notes.push(format!("{}.PackageVersions is accepted and not acted upon", self.inside));
        }
        let [attribute_setting, type_setting, group_setting] = self.settings([
            ("AttributePayload", Merge::Allowed),
            ("ThingTypeName", Merge::Refused),
            ("ThingGroups", Merge::Allowed),
        ])?;
        Ok(ThingResource {
            name: self.text("ThingName")?.ok_or_else(|| self.missing("ThingName"))?,
            attributes,
            thing_type: self.text("ThingTypeName")?,
            groups: self.property("ThingGroups", |place, value| self.reader.list(place, value, Nulls::Refused))?,
            billing_group: self.text("BillingGroup")?,
            overrides: ThingOverrides {
                attributes: attribute_setting,
                thing_type: type_setting,
                groups: group_setting,
            },
            place: self.inside,
        })
    }

    fn certificate(self) -> Result<CertificateResource, TemplateError> {
        only(self.properties, &self.inside, CERTIFICATE_PROPERTIES)?;
        if self.reader.kind != TemplateKind::Bulk
            && let Some(other) = ["CertificateSigningRequest", "CertificatePem", "CACertificatePem"]
                .iter()
                .find(|name| self.properties.contains_key(**name))
        {
            let place = format!("{}.{other}", self.inside);
            return Err(not_in(&place, self.reader.kind));
        }
        let csr = self.text("CertificateSigningRequest")?;
        let ca = self.text("CACertificatePem")?;
        let source = match (self.text("CertificateId")?, csr, self.text("CertificatePem")?, ca) {
            (Some(id), None, None, None) => SourceProperty::Id(id),
            (None, Some(csr), None, None) => SourceProperty::Csr(csr),
            (None, None, Some(certificate), ca) => SourceProperty::Pem { certificate, ca },
            (id, csr, pem, _) => {
                let found = match [id.is_some(), csr.is_some(), pem.is_some()].iter().filter(|is| **is).count() {
                    0 => None,
                    _ => Some("several of them".into()),
                };
                return Err(match self.reader.kind {
                    TemplateKind::Fleet | TemplateKind::Jitp => self.missing("CertificateId"),
                    TemplateKind::Bulk => shape(
                        &format!("{}: the source of the certificate", self.inside),
                        found.as_ref(),
                        "exactly one of CertificateId, CertificateSigningRequest or CertificatePem \
                         (the last one with CACertificatePem beside it, if wanted)",
                    ),
                });
            }
        };
        let [override_status] = self.settings([("Status", Merge::Refused)])?;
        Ok(CertificateResource {
            source,
            status: self.text("Status")?,
            principal_type: self.text("ThingPrincipalType")?,
            override_status,
            place: self.inside,
        })
    }

    fn policy(self) -> Result<PolicyResource, TemplateError> {
        only(self.properties, &self.inside, POLICY_PROPERTIES)?;
        let [] = self.settings([])?;
        let document = self.property("PolicyDocument", |place, value| {
            if value.is_object() && self.reader.call(place, value)?.is_none() {
                return self.reader.node(place, value).map(PolicyProperty::Document);
            }
            let object = |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|inner| inner.is_object());
            match value.as_str() {
                Some(text) if !object(text) => {
                    Err(shape(place, Some(value), "a JSON object, as it is or inside a text"))
                }
                Some(_) | None => self.reader.text(place, value).map(PolicyProperty::DocumentText),
            }
        })?;
        let policy = match (self.text("PolicyName")?, document) {
            (Some(name), None) => PolicyProperty::Name(name),
            (None, Some(document)) => document,
            (name, _) => {
                let found = name.map(|_| "both".into());
                let expected = "exactly one of PolicyName and PolicyDocument";
                return Err(shape(&self.inside, found.as_ref(), expected));
            }
        };
        Ok(PolicyResource { place: self.inside, policy })
    }

    fn text(&self, name: &str) -> Result<Option<Text>, TemplateError> {
        self.property(name, |place, value| self.reader.text(place, value))
    }

    fn property<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str, &Value) -> Result<T, TemplateError>,
    ) -> Result<Option<T>, TemplateError> {
        self.properties.get(name).map(|value| read(&format!("{}.{name}", self.inside), value)).transpose()
    }

    fn missing(&self, name: &str) -> TemplateError {
        shape(&format!("{}.{name}", self.inside), None, "a text or a function that gives one")
    }

    /// `OverrideSettings`, one for each name in `known`.
    fn settings<const N: usize>(&self, known: [(&str, Merge); N]) -> Result<[Override; N], TemplateError> {
        let mut settings = [Override::default(); N];
        let Some(section) = self.overrides else { return Ok(settings) };
        let place = format!("{}.OverrideSettings", self.place);
        let section = object(Some(section), &place)?;
        if let Some(name) = section.keys().find(|name| known.iter().all(|(known, _)| known != name)) {
            return Err(unknown(&format!("{place}.{name}"), &known.map(|(name, _)| name)));
        }
        for (setting, (name, merge)) in settings.iter_mut().zip(known) {
            let Some(value) = section.get(name) else { continue };
            *setting = match (value.as_str(), merge) {
                (Some("DO_NOTHING"), _) => Override::DoNothing,
                (Some("REPLACE"), _) => Override::Replace,
                (Some("FAIL"), _) => Override::Fail,
                (Some("MERGE"), Merge::Allowed) => Override::Merge,
                (_, Merge::Allowed) => {
                    return Err(shape(&format!("{place}.{name}"), Some(value), "DO_NOTHING, REPLACE, FAIL or MERGE"));
                }
                (_, Merge::Refused) => {
                    return Err(shape(&format!("{place}.{name}"), Some(value), "DO_NOTHING, REPLACE or FAIL"));
                }
            };
        }
        Ok(settings)
    }
}

/// Whether a setting may be `MERGE`.
#[derive(Clone, Copy, Debug)]
enum Merge {
    Allowed,
    Refused,
}
