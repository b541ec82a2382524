//! The sections `Parameters` and `Mappings`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::{shape, unknown};
use super::{TemplateError, object, only};
use crate::expression::{Mapped, Mappings};
use crate::kind::{CERTIFICATE_ID, RESERVED, SubjectField};

/// Names and defaults of the declared parameters.
pub(super) fn parameters(section: Option<&Value>) -> Result<BTreeMap<String, Option<String>>, TemplateError> {
    let mut declared = BTreeMap::new();
    let Some(section) = section else { return Ok(declared) };
    for (name, parameter) in object(Some(section), "Parameters")? {
        let place = format!("Parameters.{name}");
        if name.starts_with(RESERVED) && name != CERTIFICATE_ID && !SubjectField::names(name) {
            let mut known = vec![CERTIFICATE_ID];
            known.extend(SubjectField::ALL.map(SubjectField::parameter));
            return Err(unknown(&place, &known));
        }
        let parameter = object(Some(parameter), &place)?;
        only(parameter, &place, &["Type", "Default"])?;
        if parameter.get("Type").and_then(Value::as_str) != Some("String") {
            return Err(shape(&format!("{place}.Type"), parameter.get("Type"), "\"String\""));
        }
        let default = match parameter.get("Default") {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            other @ Some(_) => return Err(shape(&format!("{place}.Default"), other, "a text")),
        };
        declared.insert(name.clone(), default);
    }
    Ok(declared)
}

/// The maps of two levels. They hold literals only: a function in there is an object and refused.
pub(super) fn mappings(section: Option<&Value>) -> Result<Mappings, TemplateError> {
    let Some(section) = section else { return Ok(Mappings::new()) };
    levels("Mappings", section, |place, map| {
        levels(place, map, |place, top| {
            levels(place, top, |place, second| match second {
                Value::String(text) => Ok(Mapped::Text(text.clone())),
                Value::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().map(str::to_owned))
                    .collect::<Option<_>>()
                    .map(Mapped::List)
                    .ok_or_else(|| shape(place, Some(second), "a list of texts")),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                    Err(shape(place, Some(second), "a text or a list of texts, without functions"))
                }
            })
        })
    })
}

fn levels<T>(
    place: &str,
    value: &Value,
    read: impl Fn(&str, &Value) -> Result<T, TemplateError>,
) -> Result<BTreeMap<String, T>, TemplateError> {
    object(Some(value), place)?
        .iter()
        .map(|(name, value)| Ok((name.clone(), read(&format!("{place}.{name}"), value)?)))
        .collect()
}
