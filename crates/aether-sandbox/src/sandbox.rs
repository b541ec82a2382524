//! A running sandbox and its settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::{
    AuditStream, CertificateId, CertificateRecord, CertificateStatus, Files, KeyKind, StartError,
    ThingRecord,
};

/// A running stand-in for AWS IoT Core.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    files: Files,
    audit: tokio::sync::broadcast::Sender<crate::AuditRecord>,
}

/// Settings.
#[derive(Clone, Debug)]
pub struct SandboxBuilder {
    dir: PathBuf,
    listen: SocketAddr,
    template_name: Option<String>,
    device_keys: KeyKind,
}

impl SandboxBuilder {
    /// Address to listen on.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Template name.
    #[must_use]
    pub fn template_name(mut self, name: impl Into<String>) -> Self {
        self.template_name = Some(name.into());
        self
    }

    /// Kind of key.
    #[must_use]
    pub fn device_keys(mut self, kind: KeyKind) -> Self {
        self.device_keys = kind;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(self) -> Result<Sandbox, StartError> {
        let _ = (self.template_name, self.device_keys, self.listen);
        Err(StartError::DirectoryInUse { dir: self.dir })
    }
}

impl Sandbox {
    /// Settings for a sandbox.
    #[must_use]
    pub fn builder(dir: impl Into<PathBuf>) -> SandboxBuilder {
        SandboxBuilder {
            dir: dir.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8883)),
            template_name: None,
            device_keys: KeyKind::default(),
        }
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Name of the provisioning template.
    #[must_use]
    pub fn template_name(&self) -> &str {
        "Aether"
    }

    /// Its files.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Its Things.
    #[must_use]
    pub fn things(&self) -> Vec<ThingRecord> {
        Vec::new()
    }

    /// Its certificates.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateRecord> {
        Vec::new()
    }

    /// Sets the status of a certificate.
    ///
    /// # Errors
    ///
    /// [`SetStatusError`].
    pub async fn set_certificate_status(
        &self,
        id: &CertificateId,
        _status: CertificateStatus,
    ) -> Result<(), SetStatusError> {
        Err(SetStatusError::Unknown { id: id.clone() })
    }

    /// Decisions from now on.
    #[must_use]
    pub fn audit(&self) -> AuditStream {
        crate::audit::stream_of(&self.audit)
    }

    /// Cuts all live connections.
    pub fn drop_connections(&self) {}

    /// Stops.
    pub async fn shutdown(self) {}
}

/// Why a certificate status could not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetStatusError {
    /// No such certificate.
    #[error("certificate {id} is not in the registry")]
    Unknown {
        /// The id asked for.
        id: CertificateId,
    },
    /// The change could not be stored.
    #[error("could not write {}", path.display())]
    Io {
        /// The state file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}
