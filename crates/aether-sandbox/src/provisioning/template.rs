//! The provisioning template: read strictly at the start, filled in at each `RegisterThing`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::request::Rejection;
use crate::CertificateStatus;
use crate::policy::DEVICE_POLICY;
use crate::registry::Registration;

/// Longest template body (sheet, 1.6).
const MAX_CHARS: usize = 10_240;
/// The parameter the sandbox itself fills in.
const CERTIFICATE_ID: &str = "AWS::IoT::Certificate::Id";

/// A fleet provisioning template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Declared parameters with their defaults.
    parameters: BTreeMap<String, Option<String>>,
    thing: Option<ThingResource>,
    status: Expression,
    policies: Vec<Expression>,
    device_configuration: BTreeMap<String, Expression>,
}

#[derive(Clone, Debug)]
struct ThingResource {
    name: Expression,
    attributes: BTreeMap<String, Expression>,
}

/// A value of the template: a text, a parameter, or texts joined.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    Text(String),
    Ref(String),
    Join(String, Vec<Self>),
}

/// A template filled in for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) registration: Registration,
    pub(crate) device_configuration: BTreeMap<String, String>,
}

/// Why a document is not a template the sandbox can follow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("template is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("template has {chars} characters, expected at most {MAX_CHARS}")]
    TooLong { chars: usize },
    #[error("{place} is {found}, expected {expected}")]
    Shape { place: String, found: String, expected: &'static str },
    #[error("{place} is not supported yet, expected {expected}")]
    Unsupported { place: String, expected: &'static str },
    #[error("{place} refers to {name:?}, expected a name listed in Parameters")]
    UnknownParameter { place: String, name: String },
}

/// The template a new sandbox starts with.
pub(crate) fn default_template() -> String {
    let document = json!({
        "Parameters": {
            "SerialNumber": { "Type": "String", "Default": "unnumbered" },
            CERTIFICATE_ID: { "Type": "String" },
        },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": { "Fn::Join": ["-", ["aether", { "Ref": "SerialNumber" }]] },
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": { "CertificateId": { "Ref": CERTIFICATE_ID }, "Status": "ACTIVE" },
            },
            "policy": {
                "Type": "AWS::IoT::Policy",
                "Properties": { "PolicyName": DEVICE_POLICY },
            },
        },
    });
    format!("{document:#}\n")
}

impl Template {
    /// Reads a template body. Unknown members at the top are ignored as AWS examples carry some
    /// (sheet, 2.1); everything else that is not understood is an error.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let chars = text.chars().count();
        if chars > MAX_CHARS {
            return Err(TemplateError::TooLong { chars });
        }
        let body: Value = serde_json::from_str(text).map_err(TemplateError::Json)?;
        let body = object(Some(&body), "template")?;
        if body.contains_key("Mappings") {
            return Err(unsupported("Mappings", "Parameters, Resources and DeviceConfiguration"));
        }
        let mut template = Self {
            parameters: parameters(body.get("Parameters"))?,
            thing: None,
            status: Expression::Text("ACTIVE".to_owned()),
            policies: Vec::new(),
            device_configuration: BTreeMap::new(),
        };
        let mut certificate = false;
        for (name, resource) in object(body.get("Resources"), "Resources")? {
            template.resource(&format!("Resources.{name}"), resource, &mut certificate)?;
        }
        if !certificate {
            return Err(shape("Resources", None, "a resource of type AWS::IoT::Certificate"));
        }
        if let Some(configuration) = body.get("DeviceConfiguration") {
            template.device_configuration =
                template.expressions("DeviceConfiguration", configuration)?;
        }
        Ok(template)
    }

    /// Policy names the template states as plain text.
    pub(crate) fn plain_policies(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().filter_map(|policy| match policy {
            Expression::Text(name) => Some(name.as_str()),
            Expression::Ref(_) | Expression::Join(..) => None,
        })
    }

    /// Fills the template in. Parameters it does not declare are ignored (sheet, 2.2).
    pub(crate) fn fill(
        &self,
        given: &BTreeMap<String, String>,
        certificate_id: &str,
    ) -> Result<Filled, Rejection> {
        let mut values = BTreeMap::new();
        for (name, default) in &self.parameters {
            let value = given.get(name).or(default.as_ref());
            if let Some(value) = value {
                values.insert(name.as_str(), value.as_str());
            }
        }
        values.insert(CERTIFICATE_ID, certificate_id);
        let values = &values;
        let texts = |expressions: &BTreeMap<String, Expression>| {
            expressions
                .iter()
                .map(|(name, value)| Ok((name.clone(), value.evaluate(values)?)))
                .collect::<Result<BTreeMap<_, _>, Rejection>>()
        };
        let thing = match &self.thing {
            Some(thing) => {
                let name = thing_name(thing.name.evaluate(values)?)?;
                let attributes = texts(&thing.attributes)?;
                check_attributes(&attributes)?;
                Some((name, attributes))
            }
            None => None,
        };
        let status = match self.status.evaluate(values)?.to_ascii_uppercase().as_str() {
            "ACTIVE" => CertificateStatus::Active,
            "INACTIVE" => CertificateStatus::Inactive,
            other => {
                let message = format!("Certificate status {other} is neither ACTIVE nor INACTIVE.");
                return Err(Rejection::parameters(message));
            }
        };
        let policies =
            self.policies.iter().map(|policy| policy.evaluate(values)).collect::<Result<_, _>>()?;
        Ok(Filled {
            registration: Registration { thing, status, policies },
            device_configuration: texts(&self.device_configuration)?,
        })
    }

    fn resource(
        &mut self,
        place: &str,
        resource: &Value,
        certificate: &mut bool,
    ) -> Result<(), TemplateError> {
        let resource = object(Some(resource), place)?;
        only(resource, place, &["Type", "Properties"], "Type and Properties")?;
        let inside = format!("{place}.Properties");
        let properties = object(resource.get("Properties"), &inside)?;
        let required = |member: &str| {
            let place = format!("{inside}.{member}");
            match properties.get(member) {
                Some(value) => self.expression(&place, value),
                None => Err(shape(&place, None, "a value")),
            }
        };
        match resource.get("Type").and_then(Value::as_str) {
            Some("AWS::IoT::Thing") if self.thing.is_none() => {
                only(properties, &inside, &["ThingName", "AttributePayload"], "ThingName and AttributePayload")?;
                let name = required("ThingName")?;
                let attributes = match properties.get("AttributePayload") {
                    Some(map) => self.expressions(&format!("{inside}.AttributePayload"), map)?,
                    None => BTreeMap::new(),
                };
                self.thing = Some(ThingResource { name, attributes });
            }
            Some("AWS::IoT::Certificate") if !*certificate => {
                only(properties, &inside, &["CertificateId", "Status"], "CertificateId and Status")?;
                if required("CertificateId")? != Expression::Ref(CERTIFICATE_ID.to_owned()) {
                    let found = properties.get("CertificateId");
                    let place = format!("{inside}.CertificateId");
                    return Err(shape(&place, found, "{\"Ref\": \"AWS::IoT::Certificate::Id\"}"));
                }
                if properties.contains_key("Status") {
                    self.status = required("Status")?;
                }
                *certificate = true;
            }
            Some("AWS::IoT::Policy") => {
                only(properties, &inside, &["PolicyName"], "PolicyName")?;
                let policy = required("PolicyName")?;
                self.policies.push(policy);
            }
            Some("AWS::IoT::Thing" | "AWS::IoT::Certificate") => {
                return Err(shape(place, resource.get("Type"), "one resource of this type"));
            }
            Some(_) | None => {
                let place = format!("{place}.Type");
                let expected = "AWS::IoT::Thing, AWS::IoT::Certificate or AWS::IoT::Policy";
                return Err(shape(&place, resource.get("Type"), expected));
            }
        }
        Ok(())
    }

    fn expressions(
        &self,
        place: &str,
        map: &Value,
    ) -> Result<BTreeMap<String, Expression>, TemplateError> {
        object(Some(map), place)?
            .iter()
            .map(|(name, value)| {
                Ok((name.clone(), self.expression(&format!("{place}.{name}"), value)?))
            })
            .collect()
    }

    fn expression(&self, place: &str, value: &Value) -> Result<Expression, TemplateError> {
        const EXPECTED: &str = "a text, {\"Ref\": …} or {\"Fn::Join\": [\"…\", […]]}";
        let wrong = || shape(place, Some(value), EXPECTED);
        let call = match value {
            Value::String(text) => return Ok(Expression::Text(text.clone())),
            Value::Object(call) => call,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return Err(wrong()),
        };
        let (Some((function, argument)), 1) = (call.iter().next(), call.len()) else {
            return Err(wrong());
        };
        match (function.as_str(), argument) {
            ("Ref", Value::String(name)) => {
                match self.parameters.contains_key(name) || name == CERTIFICATE_ID {
                    true => Ok(Expression::Ref(name.clone())),
                    false => Err(TemplateError::UnknownParameter {
                        place: place.to_owned(),
                        name: name.clone(),
                    }),
                }
            }
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(delimiter), Value::Array(items)] => Ok(Expression::Join(
                    delimiter.clone(),
                    items.iter().map(|item| self.expression(place, item)).collect::<Result<_, _>>()?,
                )),
                _ => Err(wrong()),
            },
            ("Ref" | "Fn::Join", _) => Err(wrong()),
            (other, _) if other.starts_with("Fn::") => {
                Err(unsupported(&format!("{place}: function {other}"), "Ref or Fn::Join"))
            }
            (_, _) => Err(wrong()),
        }
    }
}

impl Expression {
    fn evaluate(&self, values: &BTreeMap<&str, &str>) -> Result<String, Rejection> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Ref(name) => values.get(name.as_str()).map(|value| (*value).to_owned()).ok_or_else(|| {
                Rejection::parameters(format!("Parameter {name} is missing and has no default."))
            }),
            Self::Join(delimiter, items) => Ok(items
                .iter()
                .map(|item| item.evaluate(values))
                .collect::<Result<Vec<_>, _>>()?
                .join(delimiter)),
        }
    }
}

fn parameters(value: Option<&Value>) -> Result<BTreeMap<String, Option<String>>, TemplateError> {
    let mut declared = BTreeMap::new();
    let Some(value) = value else { return Ok(declared) };
    for (name, parameter) in object(Some(value), "Parameters")? {
        let place = format!("Parameters.{name}");
        let parameter = object(Some(parameter), &place)?;
        only(parameter, &place, &["Type", "Default"], "Type and Default")?;
        if parameter.get("Type").and_then(Value::as_str) != Some("String") {
            return Err(shape(&format!("{place}.Type"), parameter.get("Type"), "\"String\""));
        }
        let default = match parameter.get("Default") {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            other @ Some(_) => return Err(shape(&format!("{place}.Default"), other, "a string")),
        };
        declared.insert(name.clone(), default);
    }
    Ok(declared)
}

/// Checks a Thing name: 1 to 128 of `a-z A-Z 0-9 : _ -` (sheet, 1.6).
fn thing_name(name: String) -> Result<String, Rejection> {
    let good = (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte));
    match good {
        true => Ok(name),
        false => Err(Rejection::parameters(format!("{name:?} is not a Thing name."))),
    }
}

/// Checks attributes: at most 3 without a thing type, names and values as in the sheet, 1.6.
fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), Rejection> {
    let fits = |text: &str, most: usize, marks: &[u8]| {
        text.len() <= most
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
    };
    let good = attributes.len() <= 3
        && attributes.iter().all(|(name, value)| {
            !name.is_empty() && fits(name, 128, b"_.,@/:#-") && fits(value, 800, b"_.,@/:#=[]-")
        });
    match good {
        true => Ok(()),
        false => Err(Rejection::parameters("Thing attributes are too many, too long or hold characters that are not allowed.")),
    }
}

fn object<'a>(value: Option<&'a Value>, place: &str) -> Result<&'a Map<String, Value>, TemplateError> {
    value.and_then(Value::as_object).ok_or_else(|| shape(place, value, "an object"))
}

fn only(
    object: &Map<String, Value>,
    place: &str,
    known: &[&str],
    expected: &'static str,
) -> Result<(), TemplateError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(unsupported(&format!("{place}.{key}"), expected)),
        None => Ok(()),
    }
}

fn shape(place: &str, found: Option<&Value>, expected: &'static str) -> TemplateError {
    let found = found.map_or_else(|| "missing".to_owned(), Value::to_string);
    TemplateError::Shape { place: place.to_owned(), found, expected }
}

fn unsupported(place: &str, expected: &'static str) -> TemplateError {
    TemplateError::Unsupported { place: place.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn with_thing_name(expression: &Value) -> String {
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["Resources"]["thing"]["Properties"]["ThingName"] = expression.clone();
        body.to_string()
    }

    #[track_caller]
    fn refused(body: &str, words: &[&str]) {
        let said = Template::parse(body).unwrap_err().to_string();
        for word in words {
            assert!(said.contains(word), "{said:?} does not say {word:?}");
        }
    }

    #[test]
    fn the_default_template_names_the_thing_after_the_serial_number() {
        let template = Template::parse(&default_template()).unwrap();
        let filled = template.fill(&given(&[("SerialNumber", "P3-00017")]), "id").unwrap();
        let expected = Registration {
            thing: Some(("aether-P3-00017".into(), BTreeMap::new())),
            status: CertificateStatus::Active,
            policies: vec!["aether-device".into()],
        };
        assert_eq!(filled.registration, expected);
        let unnumbered = template.fill(&given(&[("Other", "x")]), "id").unwrap();
        assert_eq!(unnumbered.registration.thing.unwrap().0, "aether-unnumbered");
    }

    #[test]
    fn a_device_cannot_choose_its_own_certificate_id() {
        let body = with_thing_name(&json!({ "Ref": CERTIFICATE_ID }));
        let filled = Template::parse(&body).unwrap();
        let filled = filled.fill(&given(&[(CERTIFICATE_ID, "forged")]), "real").unwrap();
        assert_eq!(filled.registration.thing.unwrap().0, "real");
    }

    #[test]
    fn a_missing_parameter_or_a_bad_thing_name_rejects_the_request() {
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["Parameters"]["SerialNumber"] = json!({ "Type": "String" });
        let template = Template::parse(&body.to_string()).unwrap();
        let rejection = template.fill(&BTreeMap::new(), "id").unwrap_err();
        assert_eq!((rejection.status, rejection.code), (400, "InvalidParameters"));
        for serial in ["a b", "ä", "a/b", &"x".repeat(128)] {
            assert!(template.fill(&given(&[("SerialNumber", serial)]), "id").is_err(), "{serial}");
        }
    }

    #[test]
    fn device_configuration_and_attributes_may_use_functions() {
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["DeviceConfiguration"] = json!({ "name": { "Fn::Join": ["", ["n", { "Ref": "SerialNumber" }]] } });
        body["Resources"]["thing"]["Properties"]["AttributePayload"] =
            json!({ "serial": { "Ref": "SerialNumber" } });
        body["Resources"]["certificate"]["Properties"]["Status"] = json!("Inactive");
        let template = Template::parse(&body.to_string()).unwrap();
        let filled = template.fill(&given(&[("SerialNumber", "7")]), "id").unwrap();
        assert_eq!(filled.device_configuration, given(&[("name", "n7")]));
        assert_eq!(filled.registration.thing.unwrap().1, given(&[("serial", "7")]));
        assert_eq!(filled.registration.status, CertificateStatus::Inactive);
        assert!(template.fill(&given(&[("SerialNumber", "a=b")]), "id").is_err());
    }

    #[test]
    fn what_is_not_supported_yet_is_refused_by_name() {
        refused(&with_thing_name(&json!({ "Fn::Sub": "press-${SerialNumber}" })), &["Fn::Sub", "not supported yet", "ThingName"]);
        refused(&with_thing_name(&json!({ "Ref": "Nobody" })), &["Nobody", "Parameters"]);
        refused(&with_thing_name(&json!(7)), &["ThingName", "7"]);
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["Resources"]["thing"]["OverrideSettings"] = json!({ "ThingGroups": "REPLACE" });
        refused(&body.to_string(), &["OverrideSettings", "not supported yet"]);
        body["Mappings"] = json!({});
        refused(&body.to_string(), &["Mappings"]);
        refused("{}", &["Resources", "missing"]);
        refused(r#"{"Resources":{}}"#, &["AWS::IoT::Certificate"]);
        refused("nonsense", &["not JSON"]);
    }

    #[test]
    fn unknown_members_at_the_top_are_ignored() {
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["Version"] = json!("2020");
        assert!(Template::parse(&body.to_string()).is_ok());
    }
}
