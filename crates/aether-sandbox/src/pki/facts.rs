//! What a certificate says of its subject and issuer, for policies and templates to ask.

use aether_iot_policy::{AlternativeName, Certificate as PolicyCertificate, NameAttribute};
use aether_iot_template::{Parameters, SubjectField};
use x509_parser::asn1_rs::{Any, FromDer, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::x509::X509Name;

use super::X509Error;

/// The names in a certificate, in its own order, and its serial number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    subject: Vec<(NameAttribute, String)>,
    issuer: Vec<(NameAttribute, String)>,
    subject_alternative: Vec<(AlternativeName, String)>,
    issuer_alternative: Vec<(AlternativeName, String)>,
    serial_number: String,
}

impl CertificateFacts {
    /// Reads them from a certificate. Names of kinds no policy can ask for are left out, and so is a
    /// value whose text cannot be read.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, X509Error> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| X509Error::Malformed)?;
        let mut facts = Self {
            subject: attributes(parsed.subject()),
            issuer: attributes(parsed.issuer()),
            serial_number: hexadecimal(parsed.raw_serial()),
            ..Self::default()
        };
        for extension in parsed.extensions() {
            let parsed = extension.parsed_extension();
            if let ParsedExtension::SubjectAlternativeName(names) = parsed {
                facts.subject_alternative.extend(names.general_names.iter().filter_map(alternative));
            } else if let ParsedExtension::IssuerAlternativeName(names) = parsed {
                facts.issuer_alternative.extend(names.general_names.iter().filter_map(alternative));
            }
        }
        Ok(facts)
    }

    /// The common names of the subject.
    pub(crate) fn common_names(&self) -> impl Iterator<Item = &str> {
        self.of_subject(NameAttribute::CommonName)
    }

    fn of_subject(&self, wanted: NameAttribute) -> impl Iterator<Item = &str> {
        self.subject.iter().filter(move |(attribute, _)| *attribute == wanted).map(|(_, value)| value.as_str())
    }

    /// The same for policies (sheet, 3.4).
    pub(crate) fn for_policies(&self) -> PolicyCertificate {
        let mut told = PolicyCertificate::new().with_serial_number(&self.serial_number);
        for (attribute, value) in &self.subject {
            told = told.with_subject(*attribute, value);
        }
        for (attribute, value) in &self.issuer {
            told = told.with_issuer(*attribute, value);
        }
        for (kind, value) in &self.subject_alternative {
            told = told.with_subject_alternative(*kind, value);
        }
        for (kind, value) in &self.issuer_alternative {
            told = told.with_issuer_alternative(*kind, value);
        }
        told
    }

    /// Sets the parameters a just-in-time template may name (sheet, 2.3): of several values the first.
    pub(crate) fn set_subject(&self, parameters: &mut Parameters) {
        for field in SubjectField::ALL {
            if let Some(value) = self.of_subject(attribute_of(field)).next() {
                parameters.set_subject(field, value);
            }
        }
    }
}

fn attribute_of(field: SubjectField) -> NameAttribute {
    match field {
        SubjectField::CommonName => NameAttribute::CommonName,
        SubjectField::SerialNumber => NameAttribute::SerialNumber,
        SubjectField::Country => NameAttribute::Country,
        SubjectField::Organization => NameAttribute::Organization,
        SubjectField::OrganizationalUnit => NameAttribute::OrganizationalUnit,
        SubjectField::StateName => NameAttribute::State,
        SubjectField::DistinguishedNameQualifier => NameAttribute::DistinguishedNameQualifier,
    }
}

fn attributes(name: &X509Name<'_>) -> Vec<(NameAttribute, String)> {
    let known = name.iter_attributes().filter_map(|attribute| {
        let kind = name_attribute(attribute.attr_type().as_bytes())?;
        Some((kind, text(attribute.attr_value())?))
    });
    known.collect()
}

/// The attribute of an object identifier below 2.5.4, the arc of X.520.
fn name_attribute(oid: &[u8]) -> Option<NameAttribute> {
    let [0x55, 0x04, last] = oid else { return None };
    Some(match last {
        3 => NameAttribute::CommonName,
        4 => NameAttribute::Surname,
        5 => NameAttribute::SerialNumber,
        6 => NameAttribute::Country,
        8 => NameAttribute::State,
        10 => NameAttribute::Organization,
        11 => NameAttribute::OrganizationalUnit,
        12 => NameAttribute::Title,
        42 => NameAttribute::GivenName,
        43 => NameAttribute::Initials,
        44 => NameAttribute::GenerationQualifier,
        46 => NameAttribute::DistinguishedNameQualifier,
        65 => NameAttribute::Pseudonym,
        _ => return None,
    })
}

/// The text of a directory string (RFC 5280, section 4.1.2.4).
fn text(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            std::str::from_utf8(bytes).ok().map(str::to_owned)
        }
        Tag::T61String => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let units = bytes.chunks(2).map(|pair| match pair {
                [high, low] => Some(u16::from_be_bytes([*high, *low])),
                _ => None,
            });
            String::from_utf16(&units.collect::<Option<Vec<_>>>()?).ok()
        }
        _ => None,
    }
}

fn alternative(name: &GeneralName<'_>) -> Option<(AlternativeName, String)> {
    match name {
        GeneralName::RFC822Name(address) => Some((AlternativeName::RFC822Name, (*address).to_owned())),
        GeneralName::DNSName(host) => Some((AlternativeName::DNSName, (*host).to_owned())),
        GeneralName::URI(uri) => Some((AlternativeName::UniformResourceIdentifier, (*uri).to_owned())),
        GeneralName::DirectoryName(name) => Some((AlternativeName::DirectoryName, name.to_string())),
        GeneralName::IPAddress(bytes) => ip_address(bytes).map(|address| (AlternativeName::IPAddress, address)),
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

fn ip_address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from)).ok().map(|address| address.to_string())
}

/// A serial number as `openssl x509 -serial` prints it: upper-case, without the byte that only keeps it
/// positive. AWS does not say how it writes one.
fn hexadecimal(bytes: &[u8]) -> String {
    let significant = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => bytes,
    };
    significant.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, KeyPair, SanType, SerialNumber};

    use super::*;
    use crate::pki::{Certificate, check_ca, check_verification};

    fn der(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_serial_number_come_as_the_certificate_has_them() {
        let facts = CertificateFacts::parse(&der(|params| {
            let name = &mut params.distinguished_name;
            name.push(DnType::CommonName, DnValue::BmpString("Presse ä".try_into().unwrap()));
            name.push(DnType::OrganizationalUnitName, "Line 7");
            name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), "P3-00017");
            name.push(DnType::LocalityName, "nobody can ask for it");
            params.serial_number = Some(SerialNumber::from_slice(&[0x9f, 0x01]));
            params.subject_alt_names = vec![
                SanType::DnsName(Ia5String::try_from("press3.example").unwrap()),
                SanType::IpAddress("192.0.2.7".parse().unwrap()),
                SanType::Rfc822Name(Ia5String::try_from("press@example").unwrap()),
            ];
        }))
        .unwrap();
        let expected = [
            (NameAttribute::CommonName, "Presse ä".to_owned()),
            (NameAttribute::OrganizationalUnit, "Line 7".to_owned()),
            (NameAttribute::SerialNumber, "P3-00017".to_owned()),
        ];
        assert_eq!(facts.subject, expected);
        assert_eq!(facts.issuer, expected, "it signed itself");
        assert_eq!(facts.serial_number, "9F01");
        let alternative = [
            (AlternativeName::DNSName, "press3.example".to_owned()),
            (AlternativeName::IPAddress, "192.0.2.7".to_owned()),
            (AlternativeName::RFC822Name, "press@example".to_owned()),
        ];
        assert_eq!(facts.subject_alternative, alternative);
    }

    #[test]
    fn a_just_in_time_template_gets_the_subject() {
        let facts = CertificateFacts::parse(&der(|params| {
            params.distinguished_name.push(DnType::CommonName, "press-3");
            params.distinguished_name.push(DnType::CountryName, "DE");
        }))
        .unwrap();
        let (mut found, mut expected) = (Parameters::new(), Parameters::new());
        facts.set_subject(&mut found);
        expected.set_subject(SubjectField::CommonName, "press-3");
        expected.set_subject(SubjectField::Country, "DE");
        assert_eq!(found, expected);
    }

    /// A certificate with everything that is looked at in it.
    fn rich() -> &'static [u8] {
        static RICH: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        RICH.get_or_init(|| {
            der(|params| {
                params.distinguished_name.push(DnType::CommonName, "press-3");
                params.subject_alt_names = vec![SanType::IpAddress("2001:db8::7".parse().unwrap())];
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
                params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
                params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 18], vec![0x30, 0x00])];
            })
        })
    }

    /// Everything that reads a certificate a stranger may send.
    fn read(der: &[u8]) {
        let _ = CertificateFacts::parse(der).map(|facts| facts.for_policies());
        if let Ok(certificate) = Certificate::parse(der) {
            let _ = check_ca(&certificate);
            let _ = certificate.check_signature(&certificate);
            let _ = certificate.check_dates(std::time::SystemTime::now());
            let _ = check_verification(&certificate, &certificate, "code");
        }
    }

    #[test]
    fn no_single_changed_byte_panics_a_reader() {
        let whole = rich();
        for at in 0..whole.len() {
            for changed in [0x00, 0x01, 0x7f, 0x80, 0xff, whole[at] ^ 0x20] {
                let mut bytes = whole.to_vec();
                bytes[at] = changed;
                read(&bytes);
            }
            read(&whole[..at]);
        }
    }

    proptest! {
        #[test]
        fn no_mutation_of_a_certificate_panics_a_reader(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
            cut in any::<prop::sample::Index>(),
            cuts in any::<bool>(),
        ) {
            let mut bytes = rich().to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            read(&bytes);
        }

        #[test]
        fn no_bytes_at_all_panic_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
        }
    }
}
