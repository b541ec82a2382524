//! A value in a template, and what it comes to for one request.

use std::collections::BTreeMap;

use crate::provisioning::request::Rejection;

/// A value of the template: a text, a parameter, or texts joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    Text(String),
    Ref(String),
    Join(String, Vec<Self>),
}

impl Expression {
    /// The value, with these parameters.
    pub(super) fn evaluate(&self, values: &BTreeMap<&str, &str>) -> Result<String, Rejection> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Ref(name) => values
                .get(name.as_str())
                .map(|value| (*value).to_owned())
                .ok_or_else(|| Rejection::parameters(format!("Parameter {name} is missing and has no default."))),
            Self::Join(delimiter, items) => {
                Ok(items.iter().map(|item| item.evaluate(values)).collect::<Result<Vec<_>, _>>()?.join(delimiter))
            }
        }
    }
}
