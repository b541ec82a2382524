//! The kinds of templates, and the parameters the service itself fills in.

use std::fmt;

/// The parameter that holds the id of the certificate being provisioned.
pub const CERTIFICATE_ID: &str = "AWS::IoT::Certificate::Id";

/// Names that start like this belong to the service: what a device sends for them is not used.
pub(crate) const RESERVED: &str = "AWS::";

/// What a template is for. It decides which sections and functions it may use (sheet, 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "AWS knows these three uses of a template, and each caller has one")]
pub enum TemplateKind {
    /// Fleet provisioning (`FLEET_PROVISIONING`): all sections, all functions, `CertificateId` only.
    Fleet,
    /// Just-in-time provisioning (`JITP`): `Ref` only, no `Mappings`, no `DeviceConfiguration`,
    /// `CertificateId` only.
    Jitp,
    /// The `templateBody` of the control plane's `RegisterThing` and of bulk registration: as
    /// [`Jitp`](Self::Jitp), but the certificate may come as a request, an id or PEM text.
    Bulk,
}

impl fmt::Display for TemplateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fleet => "fleet provisioning",
            Self::Jitp => "just-in-time provisioning",
            Self::Bulk => "bulk registration",
        })
    }
}

/// A part of a certificate's subject that a template can name (sheet, 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "AWS documents these seven")]
pub enum SubjectField {
    /// `CN`.
    CommonName,
    /// The subject attribute `serialNumber`, not the serial number of the certificate.
    SerialNumber,
    /// `C`.
    Country,
    /// `O`.
    Organization,
    /// `OU`.
    OrganizationalUnit,
    /// `ST`.
    StateName,
    /// `dnQualifier`.
    DistinguishedNameQualifier,
}

impl SubjectField {
    /// Every field there is.
    pub const ALL: [Self; 7] = [
        Self::CommonName,
        Self::SerialNumber,
        Self::Country,
        Self::Organization,
        Self::OrganizationalUnit,
        Self::StateName,
        Self::DistinguishedNameQualifier,
    ];

    /// The name of the parameter, such as `AWS::IoT::Certificate::CommonName`.
    #[must_use]
    pub fn parameter(self) -> &'static str {
        match self {
            Self::CommonName => "AWS::IoT::Certificate::CommonName",
            Self::SerialNumber => "AWS::IoT::Certificate::SerialNumber",
            Self::Country => "AWS::IoT::Certificate::Country",
            Self::Organization => "AWS::IoT::Certificate::Organization",
            Self::OrganizationalUnit => "AWS::IoT::Certificate::OrganizationalUnit",
            Self::StateName => "AWS::IoT::Certificate::StateName",
            Self::DistinguishedNameQualifier => "AWS::IoT::Certificate::DistinguishedNameQualifier",
        }
    }

    /// Whether `name` is the parameter of one of the fields.
    pub(crate) fn names(name: &str) -> bool {
        Self::ALL.iter().any(|field| field.parameter() == name)
    }
}
