//! Where a sandbox keeps what on disk.

use std::path::{Path, PathBuf};

use crate::{Credentials, CredentialsError};

/// The files a sandbox hands to its users.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
    ca: PathBuf,
    claim_cert: PathBuf,
    claim_key: PathBuf,
    observer_cert: PathBuf,
    observer_key: PathBuf,
    audit_log: PathBuf,
    control: PathBuf,
}

impl Files {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            ca: dir.join("ca.pem"),
            claim_cert: dir.join("claim.pem"),
            claim_key: dir.join("claim.key"),
            observer_cert: dir.join("observer.pem"),
            observer_key: dir.join("observer.key"),
            audit_log: dir.join("audit.jsonl"),
            control: dir.join("control.json"),
        }
    }

    /// The state directory itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Root of the server certificate (`ca.pem`): what a client has to trust.
    #[must_use]
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// Claim certificate (`claim.pem`).
    #[must_use]
    pub fn claim_cert(&self) -> &Path {
        &self.claim_cert
    }

    /// Private key of the claim certificate (`claim.key`, mode 0600).
    #[must_use]
    pub fn claim_key(&self) -> &Path {
        &self.claim_key
    }

    /// Observer certificate (`observer.pem`): may subscribe to everything and publish nothing.
    #[must_use]
    pub fn observer_cert(&self) -> &Path {
        &self.observer_cert
    }

    /// Private key of the observer certificate (`observer.key`, mode 0600).
    #[must_use]
    pub fn observer_key(&self) -> &Path {
        &self.observer_key
    }

    /// The decision log (`audit.jsonl`), one JSON object a line.
    #[must_use]
    pub fn audit_log(&self) -> &Path {
        &self.audit_log
    }

    /// Where the HTTP port of a running sandbox is, and the token of its own API (`control.json`, mode
    /// 0600). There while the sandbox runs with an HTTP port.
    #[must_use]
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// Reads what [`Observer::connect`](crate::Observer::connect) needs to watch this sandbox.
    ///
    /// # Errors
    ///
    /// As [`Credentials::read`].
    pub fn observer_credentials(&self) -> Result<Credentials, CredentialsError> {
        Credentials::read(&self.ca, &self.observer_cert, &self.observer_key)
    }

    /// Reads what [`Observer::connect`](crate::Observer::connect) needs to act with the claim
    /// certificate.
    ///
    /// # Errors
    ///
    /// As [`Credentials::read`].
    pub fn claim_credentials(&self) -> Result<Credentials, CredentialsError> {
        Credentials::read(&self.ca, &self.claim_cert, &self.claim_key)
    }
}

/// The files a sandbox keeps for itself.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Held locked while a sandbox runs.
    pub(crate) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(crate) fn template(&self) -> PathBuf {
        self.dir.join("template.json")
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.dir.join("policies")
    }

    pub(crate) fn private(&self) -> PathBuf {
        self.dir.join("private")
    }

    pub(crate) fn server_ca_key(&self) -> PathBuf {
        self.private().join("server-ca.key")
    }

    pub(crate) fn device_ca_cert(&self) -> PathBuf {
        self.private().join("device-ca.pem")
    }

    pub(crate) fn device_ca_key(&self) -> PathBuf {
        self.private().join("device-ca.key")
    }

    pub(crate) fn customer_cas(&self) -> PathBuf {
        self.dir.join("customer-cas")
    }

    /// Written last at the first start: a directory without it is no sandbox yet.
    pub(crate) fn settings(&self) -> PathBuf {
        self.dir.join("settings.json")
    }

    /// The journal of the account.
    pub(crate) fn account(&self) -> PathBuf {
        self.dir.join("account.jsonl")
    }
}
