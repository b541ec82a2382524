//! Reads a template body, strictly.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::expression::Expression;
use super::{CERTIFICATE_ID, MAX_CHARS, Template, ThingResource};

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
            template.device_configuration = template.expressions("DeviceConfiguration", configuration)?;
        }
        Ok(template)
    }

    fn resource(&mut self, place: &str, resource: &Value, certificate: &mut bool) -> Result<(), TemplateError> {
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

    fn expressions(&self, place: &str, map: &Value) -> Result<BTreeMap<String, Expression>, TemplateError> {
        object(Some(map), place)?
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.expression(&format!("{place}.{name}"), value)?)))
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
            ("Ref", Value::String(name)) => match self.parameters.contains_key(name) || name == CERTIFICATE_ID {
                true => Ok(Expression::Ref(name.clone())),
                false => Err(TemplateError::UnknownParameter { place: place.to_owned(), name: name.clone() }),
            },
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

fn object<'a>(value: Option<&'a Value>, place: &str) -> Result<&'a Map<String, Value>, TemplateError> {
    value.and_then(Value::as_object).ok_or_else(|| shape(place, value, "an object"))
}

fn only(object: &Map<String, Value>, place: &str, known: &[&str], expected: &'static str) -> Result<(), TemplateError> {
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
