//! Why a runtime was not built, and why it ended.

use std::{io, path::PathBuf};

use aether_mqtt::CredentialsError;
use aether_opcua::{ServeError, StartError};
use aether_provisioning::{ParameterError, ProvisionError, StoreError};
use aether_sigil::{AlreadyAttached, DuplicateSigil};
use aether_weave::DuplicateLabel;

use crate::token::TokenError;

/// Why a Nexus could not be built. All of these are final until a setting is changed; nothing was
/// written and nothing is listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting that is needed is missing.
    #[error("setting `{setting}`: not given, expected {expected}")]
    Missing {
        /// The setting.
        setting: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A setting holds something else than it should.
    #[error("setting `{setting}`: found `{found}`")]
    Invalid {
        /// The setting.
        setting: &'static str,
        /// What it holds.
        found: String,
        /// What is wrong with it and what is expected.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file that a setting names cannot be read.
    #[error("setting `{setting}`: cannot read {}, expected {expected}", path.display())]
    File {
        /// The setting.
        setting: &'static str,
        /// The path.
        path: PathBuf,
        /// What the file should hold.
        expected: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The claim certificate and its key cannot be used together.
    #[error(
        "settings `aws_iot.claim_cert` and `aws_iot.claim_key`: {} and {} are not a certificate and its private key",
        certificate.display(),
        key.display()
    )]
    Claim {
        /// The path of the certificate.
        certificate: PathBuf,
        /// The path of the key.
        key: PathBuf,
        /// What is wrong with them.
        #[source]
        source: CredentialsError,
    },
    /// A private key, or a file with one, is open to others.
    #[error("setting `{setting}`: the file is not as a secret has to be kept")]
    Secret {
        /// The setting.
        setting: &'static str,
        /// The path, what was found and how to mend it.
        #[source]
        source: StoreError,
    },
    /// Two settings that exclude each other.
    #[error("settings `{setting}` and `{other}`: both are given, and each excludes the other; leave one out")]
    Conflict {
        /// One of them.
        setting: &'static str,
        /// The other one.
        other: &'static str,
    },
    /// The device's own certificate and its key cannot be used together.
    #[error(
        "settings `aws_iot.certificate` and `aws_iot.private_key`: {} and {} are not a certificate and its private key",
        certificate.display(),
        key.display()
    )]
    Identity {
        /// The path of the certificate.
        certificate: PathBuf,
        /// The path of the key.
        key: PathBuf,
        /// What is wrong with them.
        #[source]
        source: CredentialsError,
    },
    /// The signing request was made with another key.
    #[error(
        "settings `aws_iot.csr` and `aws_iot.csr_key`: {} was not made with the private key {}; expected a pair",
        csr.display(),
        key.display()
    )]
    SigningRequest {
        /// The path of the request.
        csr: PathBuf,
        /// The path of the key.
        key: PathBuf,
    },
    /// A parameter of the template has no value.
    #[error("setting `aws_iot.template_parameters.{name}`")]
    Parameter {
        /// The parameter.
        name: String,
        /// Where its value was looked for.
        #[source]
        source: ParameterError,
    },
    /// The token is not accepted.
    #[error("setting `token`")]
    Token(#[source] TokenError),
    /// The stored identity cannot be used.
    #[error("setting `state_dir`: the identity in it cannot be used")]
    Store(#[source] StoreError),
    /// Two Sigils have the same NodeId or key.
    #[error("setting `sigil`")]
    DuplicateSigil(#[source] DuplicateSigil),
    /// A Sigil belongs to another runtime.
    #[error("setting `sigil`")]
    SigilTaken(#[source] AlreadyAttached),
    /// Two Weaves have the same label.
    #[error("setting `weave`")]
    DuplicateWeave(#[source] DuplicateLabel),
}

/// Why a Nexus that ran has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The OPC UA server could not start.
    #[error("could not start the OPC UA server")]
    OpcUaStart(#[source] StartError),
    /// The OPC UA server stopped by itself.
    #[error("the OPC UA server ended")]
    OpcUa(#[source] ServeError),
    /// No identity could be obtained, and trying again cannot help.
    #[error("could not obtain an identity for this device")]
    Provisioning(#[source] ProvisionError),
    /// There is no stored identity, and no setting to obtain one with.
    #[error(
        "settings `aws_iot.template_name`, `aws_iot.claim_cert` and `aws_iot.claim_key` (or `aws_iot.claim`; or \
         `aws_iot.certificate` and `aws_iot.private_key`): not given, and `state_dir` holds no identity to go without them"
    )]
    NoIdentity,
    /// A parameter of the template has no value any more.
    #[error("setting `aws_iot.template_parameters.{name}`")]
    Parameter {
        /// The parameter.
        name: String,
        /// Where its value was looked for.
        #[source]
        source: ParameterError,
    },
    /// The stored identity cannot be used.
    #[error("setting `state_dir`: the identity in it cannot be used")]
    Store(#[source] StoreError),
    /// The state directory cannot be used.
    #[error("setting `state_dir`: cannot use {}", path.display())]
    State {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process works with the state directory.
    #[error("setting `state_dir`: {} is in use by another process; give each runtime a directory of its own", path.display())]
    StateInUse {
        /// The path.
        path: PathBuf,
    },
    /// The cloud side panicked: a bug.
    #[error("the cloud side panicked")]
    CloudPanicked,
    /// The process cannot hear of signals.
    #[error("could not listen for signals")]
    Signals(#[source] io::Error),
}

impl RunError {
    /// Whether a setting has to be changed before another start can succeed.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::OpcUaStart(cause) => cause.is_configuration(),
            Self::Provisioning(cause) => is_configuration(cause),
            // A disk that is full may have room again.
            Self::State { source, .. } => {
                !matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::StateInUse { .. } | Self::NoIdentity | Self::Store(_) | Self::Parameter { .. } => true,
            Self::OpcUa(_) | Self::CloudPanicked | Self::Signals(_) => false,
        }
    }

    /// Whether the cloud has refused this device, so that something has to be changed there before
    /// another start can succeed.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Provisioning(cause) if is_refusal(cause))
    }
}

/// Whether provisioning failed for a reason on this side.
pub(crate) const fn is_configuration(cause: &ProvisionError) -> bool {
    matches!(cause, ProvisionError::Store(_) | ProvisionError::Request { .. } | ProvisionError::Key(_))
}

/// Whether the cloud has refused for good.
pub(crate) const fn is_refusal(cause: &ProvisionError) -> bool {
    // A key that is away may come back.
    !is_configuration(cause) && !matches!(cause, ProvisionError::KeyAway(_))
}
