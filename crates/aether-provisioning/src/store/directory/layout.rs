//! Where in the directory what is.

use std::path::{Path, PathBuf};

use crate::CertificateId;

/// The pointer to the identity in use.
pub(super) const ACTIVE: &str = "active";
/// The pointer to the one before it.
pub(super) const PREVIOUS: &str = "previous";
/// The pointer to the one that is being made.
pub(super) const PENDING: &str = "pending";
/// Which identity took over from which and has not carried an event yet.
pub(super) const UNCONFIRMED: &str = "unconfirmed";
/// A key of the device's own, before there is a certificate to it.
pub(super) const STAGED: KeyFiles = KeyFiles { pem: "staged.key", locator: "staged.locator" };
/// The key of an identity.
pub(super) const KEY: KeyFiles = KeyFiles { pem: "private.key", locator: "key.locator" };
pub(super) const CERTIFICATE: &str = "certificate.pem";
/// Ownership token and time of issue.
pub(super) const ISSUED: &str = "issued.json";
/// Thing name and device configuration.
pub(super) const IDENTITY: &str = "identity.json";
const IDENTITIES: &str = "identities";
const LOCK: &str = "lock";
const PROBE: &str = "probe";

/// The two names a key may be kept under: the key itself in PEM, or where it is. If both are there, the second counts.
#[derive(Clone, Copy)]
pub(super) struct KeyFiles {
    pub(super) pem: &'static str,
    pub(super) locator: &'static str,
}

/// The paths of a store.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A pointer or another file of the root.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    pub(super) fn probe(&self) -> PathBuf {
        self.root.join(PROBE)
    }

    pub(super) fn identities(&self) -> PathBuf {
        self.root.join(IDENTITIES)
    }

    /// The directory of one certificate.
    pub(super) fn home(&self, id: &CertificateId) -> PathBuf {
        self.root.join(IDENTITIES).join(id.as_str())
    }
}

/// The name a file has until it is whole.
pub(super) fn unfinished(name: &str) -> String {
    format!(".{name}.tmp")
}

/// Whether a file of this name was never finished.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}
