//! Reads a template body, strictly.

mod error;
mod resource;
mod section;
mod value;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use self::error::TemplateError;
use self::error::{cut, not_in, shape, unknown};
use self::value::Reader;
use crate::kind::TemplateKind;
use crate::limits::MAX_TEMPLATE_CHARS;
use crate::template::Template;

/// The sections a template of any kind may have.
const SECTIONS: &[&str] = &["Parameters", "Resources"];
/// The sections only a fleet provisioning template may have.
const FLEET_SECTIONS: &[&str] = &["Mappings", "DeviceConfiguration"];

impl Template {
    /// Reads a template body.
    ///
    /// Unknown members at the top are left aside and listed in [`notes`](Self::notes), as AWS's own
    /// examples carry some (sheet, 2.1). Everything else that is not understood is an error.
    ///
    /// # Errors
    ///
    /// [`TemplateError`]: with the place in the body, what was found there and what is expected.
    pub fn parse(kind: TemplateKind, body: &str) -> Result<Self, TemplateError> {
        let chars = body.chars().count();
        if chars > MAX_TEMPLATE_CHARS {
            return Err(TemplateError::TooLong { chars });
        }
        let body: Value = serde_json::from_str(body).map_err(|cause| TemplateError::Json(cause.into()))?;
        let body = object(Some(&body), "template")?;
        if kind != TemplateKind::Fleet
            && let Some(section) = FLEET_SECTIONS.iter().find(|section| body.contains_key(**section))
        {
            return Err(not_in(section, kind));
        }
        let parameters = section::parameters(body.get("Parameters"))?;
        let reader = Reader { kind, parameters: &parameters };
        let resources = resource::read(&reader, body.get("Resources"))?;
        let device_configuration = match body.get("DeviceConfiguration") {
            Some(map) => reader.texts("DeviceConfiguration", map)?,
            None => BTreeMap::new(),
        };
        let mut notes: Vec<_> = body
            .keys()
            .filter(|key| !SECTIONS.contains(&key.as_str()) && !FLEET_SECTIONS.contains(&key.as_str()))
            .map(|key| format!("{} is not a section of a template and was left aside", cut(key)))
            .collect();
        notes.extend(resources.notes);
        let mappings = section::mappings(body.get("Mappings"))?;
        Ok(Self {
            kind,
            mappings,
            thing: resources.thing,
            certificate: resources.certificate,
            policies: resources.policies,
            device_configuration,
            notes,
            parameters,
        })
    }
}

/// `value` as an object, or the error that it is none.
fn object<'a>(value: Option<&'a Value>, place: &str) -> Result<&'a Map<String, Value>, TemplateError> {
    value.and_then(Value::as_object).ok_or_else(|| shape(place, value, "an object"))
}

/// Refuses members of `object` that are not `known`.
fn only(object: &Map<String, Value>, place: &str, known: &[&str]) -> Result<(), TemplateError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(unknown(&format!("{place}.{key}"), known)),
        None => Ok(()),
    }
}
