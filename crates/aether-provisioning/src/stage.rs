//! How far a run has come, for who watches it.

use std::time::Duration;

use crate::ThingName;
use crate::flow::Record;

/// A stage of provisioning, as it is reached. After a failure the stages of the next attempt follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Who asks has connected: the claim certificate, or the device itself for a rotation.
    ClaimConnected,
    /// A certificate was issued and is kept.
    CertificateIssued {
        /// The service's name for it.
        certificate_id: String,
    },
    /// The Thing is registered and its identity is kept.
    ThingRegistered {
        /// The Thing's name.
        thing_name: ThingName,
    },
    /// The identity has connected and is the active one: the device is provisioned.
    Proven {
        /// The Thing's name.
        thing_name: ThingName,
    },
    /// Something went wrong that another attempt may mend.
    Waiting {
        /// What went wrong.
        because: String,
        /// How long until it is tried again; `None` if the run goes on without it.
        retry_in: Option<Duration>,
    },
}

impl Stage {
    /// A short name for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClaimConnected => "claim-connected",
            Self::CertificateIssued { .. } => "certificate-issued",
            Self::ThingRegistered { .. } => "thing-registered",
            Self::Proven { .. } => "proven",
            Self::Waiting { .. } => "waiting",
        }
    }

    /// Whom or what it concerns, if anything.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::ClaimConnected => None,
            Self::CertificateIssued { certificate_id } => Some(certificate_id),
            Self::ThingRegistered { thing_name } | Self::Proven { thing_name } => Some(thing_name.as_str()),
            Self::Waiting { because, .. } => Some(because),
        }
    }
}

impl From<&Record> for Stage {
    fn from(record: &Record) -> Self {
        match record {
            Record::Issued(issued) => Self::CertificateIssued { certificate_id: issued.certificate_id().to_string() },
            Record::Registered(identity) => Self::ThingRegistered { thing_name: identity.thing_name().clone() },
            Record::Proven(identity) => Self::Proven { thing_name: identity.thing_name().clone() },
        }
    }
}
