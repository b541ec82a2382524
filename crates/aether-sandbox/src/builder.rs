//! The settings of a sandbox, and its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::broker::{self, Broker, BrokerParts, Memory, ServerTls};
use crate::ca::CaFolder;
use crate::clock::Clock;
use crate::provisioning::{Provisioning, ProvisioningParts};
use crate::state::{self, State, Wanted};
use crate::trust::Trust;
use crate::{Files, KeyKind, Limits, Sandbox, StartError};

/// Settings of a [`Sandbox`]; made by [`Sandbox::builder`].
#[derive(Clone, Debug)]
pub struct SandboxBuilder {
    dir: PathBuf,
    listen: SocketAddr,
    template_name: Option<String>,
    region: Option<String>,
    account_id: Option<String>,
    device_keys: KeyKind,
    limits: Limits,
}

impl SandboxBuilder {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8883)),
            template_name: None,
            region: None,
            account_id: None,
            device_keys: KeyKind::default(),
            limits: Limits::default(),
        }
    }

    /// Address to listen on; port 0 takes a free one.
    ///
    /// Default: `127.0.0.1:8883`.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Name of the provisioning template: 1 to 36 characters of `0-9 A-Z a-z _ -`.
    ///
    /// Fixed when the directory is first used, because the claim policy names it. Default: the
    /// directory's own, for a new one `Aether`.
    #[must_use]
    pub fn template_name(mut self, name: impl Into<String>) -> Self {
        self.template_name = Some(name.into());
        self
    }

    /// Region of the resource names: 1 to 32 characters of `a-z 0-9 -`.
    ///
    /// Fixed when the directory is first used. Default: the directory's own, for a new one
    /// `eu-west-1`.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Account of the resource names: 12 digits.
    ///
    /// Fixed when the directory is first used. Default: the directory's own, for a new one
    /// `123456789012`.
    #[must_use]
    pub fn account_id(mut self, account_id: impl Into<String>) -> Self {
        self.account_id = Some(account_id.into());
        self
    }

    /// Kind of key made for devices.
    ///
    /// Default: [`KeyKind::Rsa2048`], as AWS makes them.
    #[must_use]
    pub fn device_keys(mut self, kind: KeyKind) -> Self {
        self.device_keys = kind;
        self
    }

    /// What clients, connections and the account may ask of the broker.
    ///
    /// Default: [`Limits::default`], as AWS has them.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Starts the sandbox. On return it accepts connections.
    ///
    /// The address is taken before anything is written, so a start that fails for a setting leaves
    /// no files behind. On a directory used before, no existing file is changed; those of pending
    /// certificates whose hour is over are removed.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the setting or the file; see [`StartError::is_usage`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call may leave files behind, which the next start completes.
    pub async fn start(self) -> Result<Sandbox, StartError> {
        let clock = Clock::default();
        let wanted = Wanted {
            dir: self.dir.clone(),
            template_name: self.template_name,
            region: self.region,
            account_id: self.account_id,
            clock: clock.clone(),
        };
        state::check(&wanted)?;
        self.limits.check()?;
        let taken = |source| StartError::Listen { address: self.listen, source };
        let listener = TcpListener::bind(self.listen).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;

        let files = Files::new(&self.dir);
        let limits = self.limits;
        let opened = spawn_blocking(move || {
            let state = state::open(&wanted, address.ip())?;
            let memory = Memory::open(&wanted.dir, &limits)?;
            Ok::<_, StartError>((state, memory, limits))
        });
        let (state, memory, limits) = opened.await.map_err(StartError::crypto("the state of the sandbox"))??;
        let State {
            lock,
            account,
            template_name,
            device_ca,
            server_certificate,
            server_key,
            customer_cas,
            audit,
            audit_writer,
        } = state;

        let tls =
            ServerTls::new(server_certificate, &server_key).map_err(StartError::crypto("the server's TLS identity"))?;
        let account = Arc::new(account);
        let provisioning = Provisioning::new(ProvisioningParts {
            account: Arc::clone(&account),
            device_ca,
            key_kind: self.device_keys,
            template_name,
        });
        let trust = Arc::new(Trust::new(Arc::clone(&account), CaFolder::new(customer_cas)));
        let parts =
            BrokerParts { audit, account: Arc::clone(&account), provisioning, trust, tls, clock, limits, memory, lock };
        let broker = Arc::new(Broker::new(parts));
        broker.tasks.spawn(Arc::clone(&broker).sweep());
        let cutting = Arc::downgrade(&broker);
        account.on_withdrawn(move |certificate| {
            if let Some(broker) = cutting.upgrade() {
                broker.cut(certificate);
            }
        });
        broker.tasks.spawn(broker::listen(Arc::clone(&broker), listener));
        let stop_audit = CancellationToken::new();
        let audit_task = tokio::spawn(audit_writer.run(stop_audit.clone()));
        tracing::info!(%address, dir = %files.dir().display(), "sandbox listens");
        Ok(Sandbox { address, files, account, broker, stop_audit, audit_task })
    }
}
