//! The values a template is filled in with.

use std::collections::BTreeMap;

use crate::kind::{CERTIFICATE_ID, RESERVED, SubjectField};
use crate::limits::{MAX_PARAMETER_NAME_CHARS, MAX_PARAMETER_VALUE_CHARS, quoted};

/// Values for a template: what a device and the hook gave, and what the service knows itself.
///
/// The two are kept apart. In fleet and just-in-time templates the names that start with `AWS::` are
/// filled in from what the service set, so that no device chooses its own certificate id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    given: BTreeMap<String, String>,
    certificate: BTreeMap<&'static str, String>,
}

/// A parameter that is longer than AWS takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {part} of parameter {name} has {chars} characters, expected at most {limit}")]
pub struct InvalidParameter {
    part: &'static str,
    name: String,
    chars: usize,
    limit: usize,
}

impl Parameters {
    /// No values at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value; the last one given for a name stands. So a hook's overrides are just added.
    ///
    /// # Errors
    ///
    /// If the name has more than 2048 characters or the value more than 4096 (sheet, 1.6).
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), InvalidParameter> {
        let within = |part, text: &str, limit| match text.chars().count() {
            chars if chars <= limit => Ok(()),
            chars => Err(InvalidParameter { part, name: quoted(name), chars, limit }),
        };
        within("name", name, MAX_PARAMETER_NAME_CHARS)?;
        within("value", value, MAX_PARAMETER_VALUE_CHARS)?;
        self.given.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Adds many values, as [`insert`](Self::insert) does.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert), for the first value that is too long.
    pub fn extend<N, V>(&mut self, pairs: impl IntoIterator<Item = (N, V)>) -> Result<(), InvalidParameter>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        pairs.into_iter().try_for_each(|(name, value)| self.insert(name.as_ref(), value.as_ref()))
    }

    /// Sets `AWS::IoT::Certificate::Id`, the certificate being provisioned.
    pub fn set_certificate_id(&mut self, id: &str) {
        self.certificate.insert(CERTIFICATE_ID, id.to_owned());
    }

    /// Sets a parameter that stands for a part of the certificate's subject.
    pub fn set_subject(&mut self, field: SubjectField, value: &str) {
        self.certificate.insert(field.parameter(), value.to_owned());
    }

    /// The values given with [`insert`](Self::insert), for the hook to look at.
    #[must_use]
    pub fn given(&self) -> &BTreeMap<String, String> {
        &self.given
    }

    /// The value of `name`, where the service answers for its own names.
    pub(crate) fn trusted(&self, name: &str) -> Option<&str> {
        match name.starts_with(RESERVED) {
            true => self.certificate.get(name),
            false => self.given.get(name),
        }
        .map(String::as_str)
    }

    /// The value of `name`, where the caller may set any name.
    pub(crate) fn any(&self, name: &str) -> Option<&str> {
        self.certificate.get(name).or_else(|| self.given.get(name)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_have_a_longest_length() {
        let mut parameters = Parameters::new();
        parameters.insert(&"n".repeat(2048), &"ä".repeat(4096)).unwrap();
        let name = parameters.insert(&"n".repeat(2049), "").unwrap_err().to_string();
        assert!(name.contains("name of parameter") && name.contains("2049") && name.contains("2048"), "{name}");
        let value = parameters.insert("Serial", &"v".repeat(4097)).unwrap_err().to_string();
        assert!(value.contains("\"Serial\"") && value.contains("4097"), "{value}");
    }

    #[test]
    fn the_last_value_given_for_a_name_stands() {
        let mut parameters = Parameters::new();
        parameters.extend([("Site", "hall-a"), ("Site", "hall-b")]).unwrap();
        assert_eq!(parameters.trusted("Site"), Some("hall-b"));
    }

    #[test]
    fn a_name_of_the_service_is_not_taken_from_the_device() {
        let mut parameters = Parameters::new();
        parameters.insert(CERTIFICATE_ID, "forged").unwrap();
        assert_eq!(parameters.trusted(CERTIFICATE_ID), None);
        parameters.set_certificate_id("real");
        assert_eq!((parameters.trusted(CERTIFICATE_ID), parameters.any(CERTIFICATE_ID)), (Some("real"), Some("real")));
        assert_eq!(parameters.given()[CERTIFICATE_ID], "forged");
    }
}
