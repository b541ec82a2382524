//! What the registry knows about certificates and Things.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::CertificateId;

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
        }
    }
}

impl fmt::Display for CertificateStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A certificate the sandbox has issued.
///
/// Certificates under a registered customer CA are recognised by their issuer and are not listed.
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
    /// Name of the Thing it is attached to.
    pub thing: Option<String>,
    /// When it was issued.
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
