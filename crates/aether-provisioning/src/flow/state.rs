//! The states, and what each waits on.

use std::time::Instant;

use aether_mqtt::TopicFilter;

use crate::{Identity, Step};

/// What the machine is waiting for. What it knows besides stands in the machine.
pub(super) enum State {
    /// For room in the store, and the device's key.
    Preparing,
    /// For the connection of who asks.
    Connecting,
    /// For the SUBACKs of these filters, to ask for a certificate then.
    SubscribingCreate { missing: Vec<TopicFilter> },
    /// For a certificate.
    Creating,
    /// For the certificate to be kept.
    StoringIssued,
    /// For the SUBACKs of these filters, to ask for the Thing then.
    SubscribingRegister { missing: Vec<TopicFilter> },
    /// For the Thing.
    Registering,
    /// For the identity to be kept.
    StoringRegistered { identity: Box<Identity> },
    /// For the connection of the new identity.
    Proving { proof: Box<Proof> },
    /// For the identity to be made the active one.
    StoringProven { identity: Box<Identity> },
    /// For the deadline, to go on then.
    Resting { resume: Resume },
    /// For nothing: the identity was handed over.
    Done,
    /// For nothing.
    Failed,
}

/// An identity that is being proven.
pub(super) struct Proof {
    pub(super) identity: Identity,
    pub(super) attempts: u32,
    /// How often the broker has refused it, and since when.
    pub(super) refusals: u32,
    pub(super) refused_since: Option<Instant>,
}

/// What follows a rest.
pub(super) enum Resume {
    /// Another attempt, with what is known by then.
    Begin,
    /// Keeping the issued certificate.
    StoreIssued,
    /// Keeping the registered identity.
    StoreRegistered { identity: Box<Identity> },
    /// Connecting with the new identity.
    Prove { proof: Box<Proof> },
}

impl State {
    /// Whether a question to the broker or the service is open.
    pub(super) fn asks(&self) -> bool {
        matches!(
            self,
            Self::SubscribingCreate { .. } | Self::Creating | Self::SubscribingRegister { .. } | Self::Registering
        )
    }

    /// The arrow of the flow that this state waits on.
    pub(super) fn arrow(&self, from_csr: bool) -> Step {
        match self {
            Self::Preparing => Step::Prepare,
            Self::Connecting | Self::Resting { .. } => Step::Connect,
            Self::SubscribingCreate { .. } if from_csr => Step::SubscribeCreateFromCsr,
            Self::SubscribingCreate { .. } => Step::SubscribeCreate,
            Self::Creating | Self::StoringIssued if from_csr => Step::CreateFromCsr,
            Self::Creating | Self::StoringIssued => Step::Create,
            Self::SubscribingRegister { .. } => Step::SubscribeRegister,
            Self::Registering | Self::StoringRegistered { .. } => Step::Register,
            Self::Proving { .. } | Self::StoringProven { .. } | Self::Done | Self::Failed => Step::Prove,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "Preparing",
            Self::Connecting => "Connecting",
            Self::SubscribingCreate { .. } => "SubscribingCreate",
            Self::Creating => "Creating",
            Self::StoringIssued => "StoringIssued",
            Self::SubscribingRegister { .. } => "SubscribingRegister",
            Self::Registering => "Registering",
            Self::StoringRegistered { .. } => "StoringRegistered",
            Self::Proving { .. } => "Proving",
            Self::StoringProven { .. } => "StoringProven",
            Self::Resting { .. } => "Resting",
            Self::Done => "Done",
            Self::Failed => "Failed",
        }
    }
}
