//! The names of policy variables and condition keys (sheet, section 3.4 and 3.5).

/// One policy variable, or the condition key of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    ClientId,
    SourceIp,
    CurrentTime,
    EpochTime,
    ThingName,
    ThingTypeName,
    ThingAttribute(String),
    ThingIsAttached,
    Certificate(CertificateField, Pick),
    CertificateSerialNumber,
    AvailableKeys,
    ConnectAttributes,
    LastWillTopic,
    /// Whatever else stands there: never has a value.
    Unknown,
}

/// Whose name in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    Subject,
    Issuer,
}

/// A field of a certificate that may hold several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateField {
    Name(Party, NameAttribute),
    Alternative(Party, AlternativeName),
}

/// Which of several values is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// The value at this place: 0 for the plain name, 1 for `.1` and so on.
    At(usize),
    /// `.List`: all of them.
    All,
}

/// Writes an enum of name parts, with the texts policies use.
macro_rules! name_parts {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every one, in the order of the sheet.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name as policies write it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }

            fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str().eq_ignore_ascii_case(text))
            }
        }
    };
}

name_parts! {
    /// An attribute of a distinguished name that policies can ask for: `X` of
    /// `iot:Certificate.Subject.X` and `iot:Certificate.Issuer.X`.
    NameAttribute {
        /// `dnQualifier`, 2.5.4.46.
        DistinguishedNameQualifier,
        /// `C`, 2.5.4.6.
        Country,
        /// `O`, 2.5.4.10.
        Organization,
        /// `OU`, 2.5.4.11.
        OrganizationalUnit,
        /// `ST`, 2.5.4.8.
        State,
        /// `CN`, 2.5.4.3.
        CommonName,
        /// `serialNumber`, 2.5.4.5. Not the serial number of the certificate.
        SerialNumber,
        /// `title`, 2.5.4.12.
        Title,
        /// `SN`, 2.5.4.4.
        Surname,
        /// `GN`, 2.5.4.42.
        GivenName,
        /// `initials`, 2.5.4.43.
        Initials,
        /// `pseudonym`, 2.5.4.65.
        Pseudonym,
        /// `generationQualifier`, 2.5.4.44.
        GenerationQualifier,
    }
}

name_parts! {
    /// A kind of alternative name that policies can ask for: `Y` of
    /// `iot:Certificate.Subject.AlternativeName.Y` and `iot:Certificate.Issuer.AlternativeName.Y`.
    AlternativeName {
        /// A mail address.
        RFC822Name,
        /// A host name.
        DNSName,
        /// A distinguished name.
        DirectoryName,
        /// A URI.
        UniformResourceIdentifier,
        /// An IP address.
        IPAddress,
    }
}

impl Variable {
    /// Reads the text between `${` and `}`, or a condition key.
    ///
    /// Names compare without case, as IAM's do; an attribute name in brackets compares with case.
    pub(crate) fn parse(text: &str) -> Self {
        let plain = [
            ("iot:ClientId", Self::ClientId),
            ("aws:SourceIp", Self::SourceIp),
            ("aws:CurrentTime", Self::CurrentTime),
            ("aws:EpochTime", Self::EpochTime),
            ("iot:Connection.Thing.ThingName", Self::ThingName),
            ("iot:Connection.Thing.ThingTypeName", Self::ThingTypeName),
            ("iot:Connection.Thing.IsAttached", Self::ThingIsAttached),
            ("iot:Certificate.SerialNumber", Self::CertificateSerialNumber),
            ("iot:Certificate.AvailableKeys", Self::AvailableKeys),
            ("iot:ConnectAttributes", Self::ConnectAttributes),
            ("iot:LastWillTopic", Self::LastWillTopic),
        ];
        if let Some((_, variable)) = plain.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return variable;
        }
        if let Some(name) =
            strip_prefix(text, "iot:Connection.Thing.Attributes[").and_then(|rest| rest.strip_suffix(']'))
            && !name.is_empty()
        {
            return Self::ThingAttribute(name.to_owned());
        }
        for (prefix, party) in
            [("iot:Certificate.Subject.", Party::Subject), ("iot:Certificate.Issuer.", Party::Issuer)]
        {
            if let Some(rest) = strip_prefix(text, prefix) {
                return certificate_variable(party, rest).unwrap_or(Self::Unknown);
            }
        }
        Self::Unknown
    }
}

fn certificate_variable(party: Party, rest: &str) -> Option<Variable> {
    if let Some(rest) = strip_prefix(rest, "AlternativeName.") {
        let (name, pick) = split_pick(rest)?;
        return Some(Variable::Certificate(CertificateField::Alternative(party, AlternativeName::parse(name)?), pick));
    }
    let (name, pick) = split_pick(rest)?;
    Some(Variable::Certificate(CertificateField::Name(party, NameAttribute::parse(name)?), pick))
}

fn split_pick(text: &str) -> Option<(&str, Pick)> {
    let Some((name, pick)) = text.split_once('.') else { return Some((text, Pick::At(0))) };
    if pick.eq_ignore_ascii_case("List") {
        return Some((name, Pick::All));
    }
    let digits = (1..=9).contains(&pick.len()) && pick.bytes().all(|byte| byte.is_ascii_digit());
    match digits.then(|| pick.parse().ok()).flatten()? {
        0 => None,
        at => Some((name, Pick::At(at))),
    }
}

/// Like the method of `str`, but without case.
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Variable) {
        assert_eq!(Variable::parse(text), expected, "{text}");
    }

    #[test]
    fn every_variable_of_the_sheet_is_known() {
        check("iot:ClientId", Variable::ClientId);
        check("aws:SourceIp", Variable::SourceIp);
        check("iot:Connection.Thing.ThingName", Variable::ThingName);
        check("iot:Connection.Thing.ThingTypeName", Variable::ThingTypeName);
        check("iot:Connection.Thing.Attributes[Line.No]", Variable::ThingAttribute("Line.No".into()));
        check("iot:Connection.Thing.IsAttached", Variable::ThingIsAttached);
        check("iot:Certificate.SerialNumber", Variable::CertificateSerialNumber);
        check("iot:Certificate.AvailableKeys", Variable::AvailableKeys);
        check("iot:ConnectAttributes", Variable::ConnectAttributes);
        check("iot:LastWillTopic", Variable::LastWillTopic);
        for (word, party) in [("Subject", Party::Subject), ("Issuer", Party::Issuer)] {
            for attribute in NameAttribute::ALL {
                let field = CertificateField::Name(party, *attribute);
                let name = format!("iot:Certificate.{word}.{}", attribute.as_str());
                check(&name, Variable::Certificate(field, Pick::At(0)));
                check(&format!("{name}.1"), Variable::Certificate(field, Pick::At(1)));
                check(&format!("{name}.List"), Variable::Certificate(field, Pick::All));
            }
            for kind in AlternativeName::ALL {
                let field = CertificateField::Alternative(party, *kind);
                let name = format!("iot:Certificate.{word}.AlternativeName.{}", kind.as_str());
                check(&name, Variable::Certificate(field, Pick::At(0)));
                check(&format!("{name}.2"), Variable::Certificate(field, Pick::At(2)));
                check(&format!("{name}.List"), Variable::Certificate(field, Pick::All));
            }
        }
    }

    #[test]
    fn names_compare_without_case_and_attribute_names_with_it() {
        check("IOT:clientid", Variable::ClientId);
        check("iot:connection.thing.attributes[Site]", Variable::ThingAttribute("Site".into()));
    }

    #[test]
    fn anything_else_is_unknown() {
        for text in [
            "",
            "iot:DomainName",
            "aws:username, 'x'",
            "iot:Connection.Thing.Attributes[]",
            "iot:Connection.Thing.Attributes[a",
            "iot:Certificate.Subject.Shoe",
            "iot:Certificate.Subject.CommonName.0",
            "iot:Certificate.Subject.CommonName.+1",
            "iot:Certificate.Subject.CommonName.99999999999999999999",
            "iot:Certificate.Subject.AlternativeName",
            "é",
        ] {
            check(text, Variable::Unknown);
        }
    }
}
