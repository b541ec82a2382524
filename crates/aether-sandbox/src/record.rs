//! What the sandbox tells its users about certificates and Things.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::CertificateId;
use crate::account::{CertificateRow, ThingRow};

/// What a client certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CertificateKind {
    /// Bootstrap identity: may provision, nothing else.
    Claim,
    /// Permanent identity of a provisioned device.
    Device,
    /// Operator identity: receives everything, publishes nothing.
    Observer,
}

impl CertificateKind {
    /// The word used in the decision log and the state files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Device => "device",
            Self::Observer => "observer",
        }
    }
}

impl fmt::Display for CertificateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// State of a certificate in the registry; only [`Active`](Self::Active) ones may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum CertificateStatus {
    /// Issued, not yet activated by `RegisterThing`; deleted after an hour, as AWS does it.
    PendingActivation,
    /// May connect.
    Active,
    /// Switched off; can be switched on again.
    Inactive,
    /// Withdrawn for good.
    Revoked,
    /// On its way to another account; AWS alone sets it.
    PendingTransfer,
    /// Deprecated by AWS; as good as inactive.
    RegisterInactive,
}

impl CertificateStatus {
    /// AWS's word for the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Revoked => "REVOKED",
            Self::PendingTransfer => "PENDING_TRANSFER",
            Self::RegisterInactive => "REGISTER_INACTIVE",
        }
    }
}

impl fmt::Display for CertificateStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A certificate of the registry: issued by the sandbox, or registered with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateRecord {
    /// Its id.
    pub id: CertificateId,
    /// What it is for.
    pub kind: CertificateKind,
    /// Its state.
    pub status: CertificateStatus,
    /// Names of the attached policies, in the order they were attached.
    pub policies: Vec<String>,
    /// Name of the Thing it is attached to; the first, where there are several.
    pub thing: Option<String>,
    /// When it was issued or registered.
    pub issued_at: SystemTime,
}

/// A Thing in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThingRecord {
    /// Its name: 1 to 128 characters of `a-z A-Z 0-9 : _ -`.
    pub name: String,
    /// Its attributes, from the template.
    pub attributes: BTreeMap<String, String>,
    /// The certificates attached to it, oldest first.
    pub certificates: Vec<CertificateId>,
    /// When it was first registered.
    pub registered_at: SystemTime,
}

impl From<&CertificateRow> for CertificateRecord {
    fn from(row: &CertificateRow) -> Self {
        Self {
            id: row.id.clone(),
            kind: row.kind,
            status: row.status,
            policies: row.policies.iter().map(ToString::to_string).collect(),
            thing: row.things.first().map(ToString::to_string),
            issued_at: row.created.into(),
        }
    }
}

impl From<&ThingRow> for ThingRecord {
    fn from(row: &ThingRow) -> Self {
        Self {
            name: row.name.to_string(),
            attributes: row.attributes.clone(),
            certificates: row.principals.iter().map(|link| link.certificate.clone()).collect(),
            registered_at: row.created.into(),
        }
    }
}
