//! What the registry knows about a Thing.

use std::collections::BTreeMap;

/// A Thing as policies see it: name, type and attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    name: String,
    type_name: Option<String>,
    attributes: BTreeMap<String, String>,
}

impl Thing {
    /// A Thing without type and attributes.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), type_name: None, attributes: BTreeMap::new() }
    }

    /// Gives it a type.
    #[must_use]
    pub fn with_type(mut self, type_name: impl Into<String>) -> Self {
        self.type_name = Some(type_name.into());
        self
    }

    /// Gives it an attribute; a later value of the same name replaces the earlier one.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn type_name(&self) -> Option<&str> {
        self.type_name.as_deref()
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

/// How a certificate is attached to a Thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attachment {
    /// Not at all: the Thing only carries the client id as its name.
    None,
    /// Attached, and perhaps to other Things too (`NON_EXCLUSIVE_THING`, AWS's default).
    Shared,
    /// Attached to this Thing and no other (`EXCLUSIVE_THING`): the client id may differ from its name.
    Exclusive,
}
