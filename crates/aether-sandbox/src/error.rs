//! Why a sandbox could not start, and why a customer CA could not be registered.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::account::AccountError;

/// A cause of any type, kept for the source chain.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why [`SandboxBuilder::start`](crate::SandboxBuilder::start) failed.
///
/// Nothing is retried inside. What [`is_usage`](Self::is_usage) calls a usage error stays until
/// somebody changes a setting or a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is outside its range, or not what the directory was first used with.
    #[error("setting {name} is {found}, expected {expected}")]
    Setting {
        /// The setting, as builder and program call it.
        name: &'static str,
        /// The value found.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A limit is out of its range.
    #[error("setting `limits` cannot be used")]
    Limits(
        /// Which limit, and what it should be.
        #[from]
        crate::InvalidLimits,
    ),
    /// The fault script cannot be used.
    #[error("setting `faults` cannot be used")]
    Faults(
        /// Which rule, and what is wrong with it.
        #[from]
        crate::InvalidFaults,
    ),
    /// The listen address cannot be used; most often another program has the port.
    #[error("setting `listen` is {address}, expected a free address of this machine")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The address of the control plane cannot be used; most often another program has the port.
    #[error("setting `control` is {address}, expected a free address of this machine")]
    Control {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another running sandbox uses the directory.
    #[error("setting `dir` is {}, expected a directory no running sandbox uses", dir.display())]
    DirectoryInUse {
        /// The directory asked for.
        dir: PathBuf,
    },
    /// A file of the directory cannot be used as it stands. It has not been touched.
    #[error("file {} cannot be used, expected {expected}", path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file or directory could not be read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A key or certificate could not be made.
    #[error("could not make {what}")]
    Crypto {
        /// What was to be made.
        what: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StartError {
    /// Whether the caller can mend it by another setting or by mending a file, so that a program
    /// should say so and exit with its usage code.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Setting { .. }
            | Self::Limits(_)
            | Self::Faults(_)
            | Self::Listen { .. }
            | Self::Control { .. }
            | Self::DirectoryInUse { .. }
            | Self::InvalidFile { .. }
            | Self::Io { .. } => true,
            Self::Crypto { .. } => false,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn invalid_file<E: Into<Cause>>(path: &Path, expected: &'static str) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |cause| Self::InvalidFile { path, expected, source: cause.into() }
    }

    /// Names the file when a change of the account could not be written; `otherwise` names the rest.
    pub(crate) fn account(cause: AccountError, otherwise: impl FnOnce(AccountError) -> Self) -> Self {
        if let AccountError::Io { path, source } = cause {
            Self::Io { action: "write", path, source }
        } else {
            otherwise(cause)
        }
    }

    pub(crate) fn crypto<E: Into<Cause>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Self::Crypto { what, source: cause.into() }
    }
}

/// Why [`register_ca`](crate::register_ca) refused a certificate. Final until the input changes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterCaError {
    /// The directory holds no sandbox.
    #[error("setting `dir` is {}, expected the directory of a sandbox that was started once", dir.display())]
    NotASandbox {
        /// The directory asked for.
        dir: PathBuf,
    },
    /// The bytes are not one PEM certificate.
    #[error("CA certificate cannot be read, expected one X.509 certificate in PEM form")]
    NotACertificate(#[source] Box<dyn Error + Send + Sync>),
    /// A version 3 certificate that does not say it is a CA.
    #[error("certificate of {subject} has no basic constraints CA:TRUE, expected a CA certificate")]
    NotACa {
        /// Subject of the certificate.
        subject: String,
    },
    /// A version 3 CA certificate whose key usage forbids signing certificates.
    #[error("CA certificate of {subject} has a key usage without keyCertSign, expected one with it or none")]
    MayNotSign {
        /// Subject of the certificate.
        subject: String,
    },
    /// A certificate of version 1, which cannot say that it is a CA, and did not sign itself.
    #[error(
        "version 1 certificate of {subject} is issued by {issuer} and not signed by its own key, expected a CA certificate: version 1 and self-signed, or version 3 with CA:TRUE"
    )]
    NotSelfSigned {
        /// Subject of the certificate.
        subject: String,
        /// Issuer it names.
        issuer: String,
    },
    /// The sandbox cannot check signatures made with the CA's key.
    #[error(
        "CA certificate of {subject} has the key {found}, expected RSA of 2048 to 8192 bits or ECDSA on P-256 or P-384"
    )]
    UnusableKey {
        /// Subject of the certificate.
        subject: String,
        /// Kind of key found.
        found: String,
    },
    /// The CA certificate is itself signed in a way the sandbox does not take.
    #[error(
        "CA certificate of {subject} is signed with {found}, expected RSA with SHA-256, SHA-384 or SHA-512, or ECDSA with SHA-256 or SHA-384"
    )]
    UnusableSignature {
        /// Subject of the certificate.
        subject: String,
        /// Signature algorithm found.
        found: String,
    },
    /// The certificate is not valid at this time.
    #[error("CA certificate of {subject} is outside its validity period, expected one valid today")]
    NotValidNow {
        /// Subject of the certificate.
        subject: String,
        /// Which end of the period it is outside of.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The certificate could not be stored.
    #[error("could not write {}", path.display())]
    Io {
        /// The file that was to be written.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}
