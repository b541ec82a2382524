//! Why a sandbox could not start, and why a customer CA could not be registered.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A cause of any type, kept for the source chain.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why [`SandboxBuilder::start`](crate::SandboxBuilder::start) failed.
///
/// Nothing is retried inside. What [`is_usage`](Self::is_usage) calls a usage error stays until
/// somebody changes a setting or a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting has a value outside its range.
    #[error("setting `{setting}` is {found}, expected {expected}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The value found.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The listen address cannot be used; most often another program has the port.
    #[error("setting `listen` is {address}, expected a free address of this machine")]
    Listen {
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
            | Self::Listen { .. }
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
    /// The certificate may not sign other certificates.
    #[error("certificate of {subject} is not a CA certificate, expected basic constraints CA:TRUE")]
    NotACa {
        /// Subject of the certificate.
        subject: String,
    },
    /// The certificate is not valid at this time.
    #[error("CA certificate of {subject} is outside its validity period")]
    NotValidNow {
        /// Subject of the certificate.
        subject: String,
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
