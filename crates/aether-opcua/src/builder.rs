//! From settings to a bound port: every setting is checked before anything is served.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use aether_sigil::SigilSet;

use crate::{
    error::StartError,
    running::RunningServer,
    settings::{Anonymous, ClientCertificates, Security},
    url::OpcUaUrl,
};

/// An OPC UA server for Sigils: described by a [`ServerBuilder`], then a [`BoundServer`], then a [`RunningServer`].
#[derive(Debug)]
pub struct OpcUaServer {
    _states_are_other_types: (),
}

impl OpcUaServer {
    /// Starts the description of a server that listens at `url` and serves `sigils`.
    pub fn builder(url: OpcUaUrl, sigils: Arc<SigilSet>) -> ServerBuilder {
        ServerBuilder {
            url,
            sigils,
            device_id: "aether".to_owned(),
            namespace: "urn:aether:sigils".to_owned(),
            pki_dir: None,
            security: None,
            anonymous: None,
            client_certificates: ClientCertificates::default(),
        }
    }
}

/// Describes an OPC UA server before it is bound to its port.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `bind` is called"]
pub struct ServerBuilder {
    url: OpcUaUrl,
    sigils: Arc<SigilSet>,
    device_id: String,
    namespace: String,
    pki_dir: Option<PathBuf>,
    security: Option<Security>,
    anonymous: Option<Anonymous>,
    client_certificates: ClientCertificates,
}

impl ServerBuilder {
    /// Names the object under *Objects* that groups the Sigils. Default: `aether`.
    pub fn device_id(mut self, device_id: impl Into<String>) -> Self {
        self.device_id = device_id.into();
        self
    }

    /// Names the Sigils' namespace, which has index 2. Default: `urn:aether:sigils`.
    pub fn namespace(mut self, uri: impl Into<String>) -> Self {
        self.namespace = uri.into();
        self
    }

    /// The directory of the server's certificate and key and of the clients' certificates.
    /// Default: none, which is enough where no secured endpoint is served.
    pub fn pki_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.pki_dir = Some(dir.into());
        self
    }

    /// Which endpoints are offered. Default: [`Security::None`] on a loopback address, else [`Security::Secured`].
    pub fn security(mut self, security: Security) -> Self {
        self.security = Some(security);
        self
    }

    /// What a client without a user may do. Default: [`Anonymous::ReadWrite`] on a loopback
    /// address, else [`Anonymous::Read`].
    pub fn anonymous(mut self, anonymous: Anonymous) -> Self {
        self.anonymous = Some(anonymous);
        self
    }

    /// Which client applications may open a secured channel. Default: [`ClientCertificates::Any`].
    pub fn client_certificates(mut self, accepted: ClientCertificates) -> Self {
        self.client_certificates = accepted;
        self
    }

    /// Checks every setting and binds the port; nothing is served yet.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used; see [`StartError`].
    pub async fn bind(self) -> Result<BoundServer, StartError> {
        Err(StartError::Library { reason: "serving is not wired yet".to_owned() })
    }
}

/// A server whose port is bound and whose settings are checked.
#[derive(Debug)]
pub struct BoundServer {
    address: SocketAddr,
    url: String,
    open: bool,
    running: RunningServer,
}

impl BoundServer {
    /// Returns the address that is listened on, with the port that the system chose for port 0.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns what a client should dial.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Whether anybody who reaches the port may write without encryption: policy None with
    /// anonymous write.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Starts to serve, on a thread of its own.
    pub fn start(self) -> RunningServer {
        self.running
    }
}
