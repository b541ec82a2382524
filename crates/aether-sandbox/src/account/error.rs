//! Why the account did not do as asked, in the classes AWS's API tells apart.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::InvalidName;

/// A kind of thing the account keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Certificate,
    CaCertificate,
    Policy,
    PolicyVersion,
    Thing,
    ThingType,
    ThingGroup,
    BillingGroup,
    Template,
    TemplateVersion,
    RegistrationCode,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::CaCertificate => "CA certificate",
            Self::Policy => "policy",
            Self::PolicyVersion => "policy version",
            Self::Thing => "Thing",
            Self::ThingType => "Thing type",
            Self::ThingGroup => "Thing group",
            Self::BillingGroup => "billing group",
            Self::Template => "provisioning template",
            Self::TemplateVersion => "provisioning template version",
            Self::RegistrationCode => "registration code",
        })
    }
}

/// Why a transaction was not made. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("{what} {name} does not exist")]
    NotFound { what: Resource, name: String },
    #[error("{what} {name} exists already")]
    AlreadyExists { what: Resource, name: String },
    #[error("{0}")]
    Invalid(String),
    /// What is wrong with a policy document, and where.
    #[error("{0}")]
    MalformedPolicy(String),
    #[error("{0}")]
    DeleteConflict(String),
    /// The state of a certificate does not allow it.
    #[error("{0}")]
    CertificateState(String),
    /// The certificate that should prove the possession of a CA key does not.
    #[error("{0}")]
    CertificateValidation(String),
    #[error("{what} {name} has {limit} versions, which is the most there may be")]
    VersionsLimit { what: Resource, name: String, limit: usize },
    #[error("version of {name} is {found}, expected {expected}")]
    VersionConflict { name: String, expected: u64, found: u64 },
    #[error("{0}")]
    LimitExceeded(String),
    /// What exists does not go together with what a provisioning template asks for.
    #[error("{0}")]
    ResourceConflict(String),
    #[error("ownership token is unknown, used or expired")]
    Token,
    #[error("could not write {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl AccountError {
    pub(crate) fn not_found(what: Resource, name: impl fmt::Display) -> Self {
        Self::NotFound { what, name: name.to_string() }
    }

    pub(crate) fn already_exists(what: Resource, name: impl fmt::Display) -> Self {
        Self::AlreadyExists { what, name: name.to_string() }
    }
}

impl From<InvalidName> for AccountError {
    fn from(invalid: InvalidName) -> Self {
        Self::Invalid(invalid.to_string())
    }
}
