//! What a client certificate says about its subject and issuer.

use super::Unresolved;
use crate::variable::{AlternativeName, CertificateField, NameAttribute, Party, Pick};

/// Most values kept of one attribute (sheet, section 3.4 rule 4).
const MAX_VALUES: usize = 5;
/// Longest value that is filled into a policy, in characters (same rule).
const MAX_CHARS: usize = 1024;

/// The fields of a client certificate that policies can ask for.
///
/// Fields may be given several times; the first five values of each count, in the order given.
///
/// ```
/// use aether_iot_policy::{AlternativeName, Certificate, NameAttribute};
///
/// let certificate = Certificate::new()
///     .with_subject(NameAttribute::Organization, "Press Works")
///     .with_subject(NameAttribute::OrganizationalUnit, "Line 7")
///     .with_subject(NameAttribute::OrganizationalUnit, "Hall B")
///     .with_subject_alternative(AlternativeName::DNSName, "press3.example")
///     .with_serial_number("4f2a");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    fields: Vec<Field>,
    serial_number: Option<CertificateValue>,
    available_keys: Vec<String>,
}

#[derive(Clone, Debug)]
struct Field {
    field: CertificateField,
    values: Vec<CertificateValue>,
}

/// One value of a certificate field.
#[derive(Clone, Debug)]
pub(super) struct CertificateValue {
    /// As it is compared: with backslashes before special characters (sheet, section 3.4 rule 5).
    text: String,
    /// Why it may not be filled into a policy (rules 3 and 4).
    obstacle: Option<Unresolved>,
}

impl Certificate {
    /// A certificate that says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value of a subject attribute.
    #[must_use]
    pub fn with_subject(self, attribute: NameAttribute, value: &str) -> Self {
        self.with(CertificateField::Name(Party::Subject, attribute), value)
    }

    /// Adds a value of an issuer attribute.
    #[must_use]
    pub fn with_issuer(self, attribute: NameAttribute, value: &str) -> Self {
        self.with(CertificateField::Name(Party::Issuer, attribute), value)
    }

    /// Adds a subject alternative name.
    #[must_use]
    pub fn with_subject_alternative(self, kind: AlternativeName, value: &str) -> Self {
        self.with(CertificateField::Alternative(Party::Subject, kind), value)
    }

    /// Adds an issuer alternative name.
    #[must_use]
    pub fn with_issuer_alternative(self, kind: AlternativeName, value: &str) -> Self {
        self.with(CertificateField::Alternative(Party::Issuer, kind), value)
    }

    /// The serial number of the certificate (not the subject's attribute of that name), in the form
    /// policies compare with.
    #[must_use]
    pub fn with_serial_number(mut self, serial_number: &str) -> Self {
        if self.serial_number.is_none() {
            self.available_keys.push("iot:Certificate.SerialNumber".to_owned());
        }
        self.serial_number = Some(CertificateValue::new(serial_number));
        self
    }

    fn with(mut self, field: CertificateField, value: &str) -> Self {
        let value = CertificateValue::new(value);
        match self.fields.iter_mut().find(|known| known.field == field) {
            None => {
                self.available_keys.push(key(field));
                self.fields.push(Field { field, values: vec![value] });
            }
            Some(known) if known.values.len() < MAX_VALUES => {
                self.available_keys.push(format!("{}.{}", key(field), known.values.len()));
                known.values.push(value);
            }
            Some(_) => {}
        }
        self
    }

    pub(super) fn values(&self, field: CertificateField, pick: Pick) -> Result<&[CertificateValue], Unresolved> {
        let known = self.fields.iter().find(|known| known.field == field).ok_or(Unresolved::NoSuchField)?;
        match pick {
            Pick::All => Ok(&known.values),
            Pick::At(at) => known.values.get(at).map(std::slice::from_ref).ok_or(Unresolved::NoSuchIndex),
        }
    }

    pub(super) fn serial_number(&self) -> Option<&CertificateValue> {
        self.serial_number.as_ref()
    }

    /// The names of all variables that have a value (`iot:Certificate.AvailableKeys`).
    pub(super) fn available_keys(&self) -> &[String] {
        &self.available_keys
    }
}

/// The full name of the variable with the first value of `field`.
fn key(field: CertificateField) -> String {
    let (party, kind, name) = match field {
        CertificateField::Name(party, attribute) => (party, "", attribute.as_str()),
        CertificateField::Alternative(party, kind) => (party, "AlternativeName.", kind.as_str()),
    };
    let party = match party {
        Party::Subject => "Subject",
        Party::Issuer => "Issuer",
    };
    format!("iot:Certificate.{party}.{kind}{name}")
}

impl CertificateValue {
    fn new(raw: &str) -> Self {
        let obstacle = match raw.chars().find(|c| matches!(c, '*' | '$' | '+' | '?' | '#')) {
            Some(found) => Some(Unresolved::SpecialCharacter(found)),
            None if raw.chars().nth(MAX_CHARS).is_some() => Some(Unresolved::TooLong),
            None => None,
        };
        let mut text = String::with_capacity(raw.len());
        for c in raw.chars() {
            if matches!(c, ',' | '"' | '\\' | '+' | '=' | '<' | '>' | ';') {
                text.push('\\');
            }
            text.push(c);
        }
        Self { text, obstacle }
    }

    /// The text as a condition key compares it.
    pub(super) fn as_key(&self) -> &str {
        &self.text
    }

    /// The text as it is filled into a policy.
    pub(super) fn as_substitute(&self) -> Result<&str, Unresolved> {
        self.obstacle.map_or(Ok(&self.text), Err)
    }
}
