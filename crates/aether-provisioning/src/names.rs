//! The names fleet provisioning works with: template, Thing and certificate id, parsed once.

use std::fmt;
use std::str::FromStr;

use aether_mqtt::{ClientId, Topic};

/// The name of a provisioning template: 1 to 36 of `0-9`, `A-Z`, `a-z`, `_` and `-`.
///
/// AWS IoT API Reference, "CreateProvisioningTemplate".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateName(Box<str>);

/// The name of a Thing in the device registry: 1 to 128 of `a-z`, `A-Z`, `0-9`, `:`, `_` and `-`.
///
/// AWS IoT API Reference, "CreateThing". It is the device's MQTT client id and the topic of its events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThingName(Box<str>);

/// The service's name for a certificate: 1 to 128 of `0-9`, `A-Z`, `a-z`, `_` and `-`, on AWS 64 hexadecimal digits.
///
/// It is also the name of a directory of [`DirectoryStore`](crate::DirectoryStore), hence the restriction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId(Box<str>);

/// Why a text is not a template name, Thing name or certificate id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The length is out of range.
    #[error("{kind} has {bytes} bytes, expected 1 to {limit}")]
    Length {
        /// What the text should have been.
        kind: &'static str,
        /// Length found, in bytes.
        bytes: usize,
        /// Longest length, in bytes.
        limit: usize,
    },
    /// A character does not belong there.
    #[error("{kind} {text:?} has {found:?} at byte {at}, expected only {expected}")]
    Character {
        /// What the text should have been.
        kind: &'static str,
        /// The text.
        text: Box<str>,
        /// Byte offset of the character.
        at: usize,
        /// The character.
        found: char,
        /// The characters allowed.
        expected: &'static str,
    },
}

impl TemplateName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ThingName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic named after the Thing, on which its events are published.
    #[must_use]
    pub fn to_topic(&self) -> Topic {
        self.0.parse().expect("every Thing name is a topic: shorter, and of fewer characters")
    }

    /// The client id named after the Thing, with which the device connects.
    #[must_use]
    pub fn to_client_id(&self) -> ClientId {
        self.0.parse().expect("every Thing name is a client id: as long, and of fewer characters")
    }
}

impl CertificateId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TemplateName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        check("template name", text, 36, word, "letters, digits, '_' and '-'").map(Self)
    }
}

impl FromStr for ThingName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
        check("Thing name", text, 128, word, "letters, digits, ':', '_' and '-'").map(Self)
    }
}

impl FromStr for CertificateId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        check("certificate id", text, 128, word, "letters, digits, '_' and '-'").map(Self)
    }
}

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ThingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(
    kind: &'static str,
    text: &str,
    limit: usize,
    allowed: impl Fn(char) -> bool,
    expected: &'static str,
) -> Result<Box<str>, InvalidName> {
    if text.is_empty() || text.len() > limit {
        return Err(InvalidName::Length { kind, bytes: text.len(), limit });
    }
    match text.char_indices().find(|&(_, c)| !allowed(c)) {
        Some((at, found)) => Err(InvalidName::Character { kind, text: text.into(), at, found, expected }),
        None => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_name_has_up_to_36_word_characters() {
        for good in ["Aether", "aether-line_2", &"x".repeat(36)] {
            assert_eq!(good.parse::<TemplateName>().unwrap().as_str(), good);
        }
        assert!(matches!("".parse::<TemplateName>(), Err(InvalidName::Length { bytes: 0, limit: 36, .. })));
        assert!(matches!("x".repeat(37).parse::<TemplateName>(), Err(InvalidName::Length { bytes: 37, .. })));
        let wrong = "a/b".parse::<TemplateName>().unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "template name \"a/b\" has '/' at byte 1, expected only letters, digits, '_' and '-'"
        );
    }

    #[test]
    fn the_longest_thing_name_is_still_a_topic_and_a_client_id() {
        let name: ThingName = "a:".repeat(64).parse().unwrap();
        assert_eq!(name.to_topic().as_str(), name.as_str());
        assert_eq!(name.to_client_id().as_str(), name.as_str());
        assert!("a".repeat(129).parse::<ThingName>().is_err());
        assert!("line 7".parse::<ThingName>().is_err());
    }

    #[test]
    fn a_certificate_id_is_no_path() {
        for wrong in ["", "..", "a/b", "a.b"] {
            assert!(wrong.parse::<CertificateId>().is_err(), "{wrong:?}");
        }
    }
}
