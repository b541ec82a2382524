//! From settings to a bound port: every setting is checked before anything is served.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

use aether_sigil::SigilSet;

use crate::{
    certificate::{OwnCertificate, Subject},
    clients::ClientStore,
    error::StartError,
    host,
    library::Setup,
    nodes::{Space, Watch},
    running::{RunningServer, Service, spawn},
    settings::{Anonymous, ClientCertificates, Security},
    url::OpcUaUrl,
};

/// Longest device id: it goes into names that clients show.
const MAX_DEVICE_ID: usize = 128;
/// The namespace with index 0.
const OPC_UA_NAMESPACE: &str = "http://opcfoundation.org/UA/";

/// An OPC UA server for Sigils: described by a [`ServerBuilder`], then a [`BoundServer`], then a
/// [`RunningServer`].
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
    /// Names the object under *Objects* that groups the Sigils; also part of the server's
    /// ApplicationUri. 1 to 128 characters. Default: `aether`.
    pub fn device_id(mut self, device_id: impl Into<String>) -> Self {
        self.device_id = device_id.into();
        self
    }

    /// The URI of the Sigils' namespace, which has index 2. Default: `urn:aether:sigils`.
    pub fn namespace(mut self, uri: impl Into<String>) -> Self {
        self.namespace = uri.into();
        self
    }

    /// The directory of the server's certificate and key (`own/`, `private/`) and of clients'
    /// certificates (`trusted/`, `rejected/`). Default: none, enough where nothing is secured.
    ///
    /// Made, with a key of mode 0600 and a certificate for ten years, when a secured endpoint is
    /// first served; otherwise not touched.
    pub fn pki_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.pki_dir = Some(dir.into());
        self
    }

    /// Which endpoints are offered. Default: [`Security::None`] on a loopback address, else
    /// [`Security::Secured`].
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
    /// From here on the Sigils belong to this server: no other can serve them, even after it ended.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used; see [`StartError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the port is free again; key and certificate may have been made.
    pub async fn bind(self) -> Result<BoundServer, StartError> {
        self.check_names()?;
        let space = Arc::new(Space::new(Arc::clone(&self.sigils), self.device_id.clone())?);
        let loopback = self.url.is_loopback();
        let security = self.security.unwrap_or(if loopback { Security::None } else { Security::Secured });
        let anonymous = self.anonymous.unwrap_or(if loopback { Anonymous::ReadWrite } else { Anonymous::Read });

        let listener = listen(&self.url).await?;
        let address = listener.local_addr().map_err(|source| self.not_bound(source))?;
        let dial = self.url.with(&host::dialable(&self.url, address).await, address.port());

        let secured = if security.offers_secured() { Some(self.secure(dial.host()).await?) } else { None };
        let application_uri =
            secured.as_ref().map_or_else(|| self.application_uri(), |(own, _)| own.application_uri.clone());
        if application_uri == self.namespace {
            let expected = "a URI other than the server's ApplicationUri";
            return Err(StartError::Setting { setting: "namespace", found: self.namespace, expected });
        }
        let watch = Arc::new(Watch::attach(&space)?);
        let setup = Setup {
            application_name: &self.device_id,
            application_uri: &application_uri,
            namespace: &self.namespace,
            host: &dial.bracketed_host(),
            port: dial.port(),
            path: dial.path(),
            security,
            anonymous,
            client_certificates: self.client_certificates,
            secured: secured.as_ref().map(|(own, clients)| (own, clients)),
        };
        let (server, handle) = setup.build(space, Arc::clone(&watch))?;
        let clients = secured.map(|(_, clients)| clients);
        let running = spawn(Service { server, handle, listener, watch, clients })?;
        let open = security.offers_none() && anonymous == Anonymous::ReadWrite;
        Ok(BoundServer { address, url: dial, open, running })
    }

    fn check_names(&self) -> Result<(), StartError> {
        let printable = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if !printable(&self.device_id) || self.device_id.chars().count() > MAX_DEVICE_ID {
            let expected = "1 to 128 printable characters";
            return Err(StartError::Setting { setting: "device_id", found: self.device_id.clone(), expected });
        }
        if !printable(&self.namespace) || !self.namespace.contains(':') || self.namespace == OPC_UA_NAMESPACE {
            let expected = "a URI of your own such as urn:example:plant";
            return Err(StartError::Setting { setting: "namespace", found: self.namespace.clone(), expected });
        }
        Ok(())
    }

    async fn secure(&self, dialable: &str) -> Result<(OwnCertificate, ClientStore), StartError> {
        let dir = self.pki_dir.as_deref().ok_or(StartError::NoPkiDir)?;
        // The library takes paths as relative to its own directory.
        let dir = std::path::absolute(dir).map_err(|source| StartError::Certificate {
            path: dir.to_owned(),
            found: "the path cannot be made absolute".to_owned(),
            fix: "give an absolute path as `pki_dir`",
            source: Some(source),
        })?;
        let subject = Subject {
            name: self.device_id.clone(),
            application_uri: self.application_uri(),
            uri_ending: self.uri_ending(),
            hosts: host::certified_hosts(&self.url, dialable),
        };
        let accepted = self.client_certificates;
        // To make an RSA key takes up to seconds on a small machine.
        tokio::task::spawn_blocking(move || prepare(&dir, &subject, accepted))
            .await
            .map_err(|e| StartError::Thread(io::Error::other(e)))?
    }

    /// Globally unique, as Part 4, section 7.2 wants it, as far as machine names are.
    fn application_uri(&self) -> String {
        let machine = host::machine_name().unwrap_or_else(|| "localhost".to_owned());
        format!("urn:{machine}{}", self.uri_ending())
    }

    fn uri_ending(&self) -> String {
        format!(":aether:{}", percent_encoded(&self.device_id))
    }

    fn not_bound(&self, source: io::Error) -> StartError {
        not_bound(&self.url, source)
    }
}

fn prepare(
    dir: &Path,
    subject: &Subject,
    accepted: ClientCertificates,
) -> Result<(OwnCertificate, ClientStore), StartError> {
    Ok((OwnCertificate::ensure(dir, subject)?, ClientStore::open(dir, accepted)?))
}

async fn listen(url: &OpcUaUrl) -> Result<TcpListener, StartError> {
    let resolved = tokio::net::lookup_host((url.host(), url.port())).await;
    let mut addresses: Vec<SocketAddr> = resolved.map_err(|source| not_bound(url, source))?.collect();
    // A name such as localhost stands for both; clients that dial an address mostly mean IPv4.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let listener = TcpListener::bind(addresses.as_slice()).map_err(|source| not_bound(url, source))?;
    listener.set_nonblocking(true).map_err(|source| not_bound(url, source))?;
    Ok(listener)
}

fn not_bound(url: &OpcUaUrl, source: io::Error) -> StartError {
    let value = url.to_string();
    if source.kind() == io::ErrorKind::AddrInUse {
        StartError::AddressInUse { value, source }
    } else {
        StartError::Bind { value, source }
    }
}

/// Encodes what a URN cannot hold (RFC 8141, section 2).
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

/// A server whose port is bound and whose settings are checked. Dropped, it frees the port.
#[derive(Debug)]
pub struct BoundServer {
    address: SocketAddr,
    url: OpcUaUrl,
    open: bool,
    running: RunningServer,
}

impl BoundServer {
    /// Returns the address that is listened on, with the port that the system chose for port 0.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns what a client should dial: never an address that stands for all.
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// Whether anybody who reaches the port may write without encryption: policy None with
    /// anonymous write.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Starts to serve, on a thread of its own.
    pub fn start(mut self) -> RunningServer {
        self.running.go();
        self.running
    }
}
