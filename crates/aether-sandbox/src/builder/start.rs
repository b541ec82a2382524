//! The start of a sandbox: everything it is made of, put together in order.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::SandboxBuilder;
use crate::admin::{self, Admin, AdminToken, ControlFile};
use crate::broker::{self, Broker, BrokerParts, Memory, ServerTls};
use crate::ca::CaFolder;
use crate::clock::Clock;
use crate::control::{self, Control, Names};
use crate::faults::Faults;
use crate::ground::{Ground, Scratch};
use crate::provisioning::{Hooks, Provisioning, ProvisioningParts};
use crate::state::{self, State, Wanted};
use crate::trust::Trust;
use crate::{Files, Sandbox, StartError};

impl SandboxBuilder {
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
        let scratch = if self.dir.is_none() { Some(Scratch::new()?) } else { None };
        let dir = self.dir.or_else(|| scratch.as_ref().map(|scratch| scratch.dir().to_owned())).unwrap_or_default();
        let wanted = Wanted {
            certificate_life: self.certificate_life,
            dir: dir.clone(),
            template_name: self.template_name,
            region: self.region,
            account_id: self.account_id,
            clock: clock.clone(),
            endpoint_names: self.endpoint_names,
        };
        state::check(&wanted)?;
        self.limits.check()?;
        let faults = Arc::new(Faults::new(self.faults.as_deref())?);
        let taken = |source| StartError::Listen { address: self.listen, source };
        let listener = TcpListener::bind(self.listen).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let control = bind_control(self.control, self.control_exposed).await?;

        let files = Files::new(&dir);
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
            server_names,
            customer_cas,
            audit,
            audit_writer,
        } = state;

        let tls = ServerTls::new(server_certificate, &server_key, server_names, self.rules)
            .map_err(StartError::crypto("the server's TLS identity"))?;
        let account = Arc::new(account);
        let device_ca = Arc::new(device_ca);
        let provisioning = Provisioning::new(ProvisioningParts {
            account: Arc::clone(&account),
            device_ca: Arc::clone(&device_ca),
            key_kind: self.device_keys,
            template_name,
            hooks: Hooks::new(self.hooks, self.own_hook, self.hook_time_limit),
        });
        let trust = Arc::new(Trust::new(Arc::clone(&account), CaFolder::new(customer_cas)));
        let parts = BrokerParts {
            audit,
            account: Arc::clone(&account),
            provisioning,
            trust,
            tls,
            clock,
            limits,
            memory,
            faults,
            ground: Ground::new(lock, scratch),
        };
        let broker = Arc::new(Broker::new(parts));
        broker.faults.bind(&broker);
        broker.tasks.spawn(Arc::clone(&broker).sweep());
        broker.tasks.spawn(Arc::clone(&broker).expire());
        let cutting = Arc::downgrade(&broker);
        account.on_withdrawn(move |certificate| {
            if let Some(broker) = cutting.upgrade() {
                broker.cut(certificate);
            }
        });
        broker.tasks.spawn(broker::listen(Arc::clone(&broker), listener));
        let control_address = control.as_ref().map(|(_, address)| *address);
        ControlFile::clear(&files);
        let mut control_file = None;
        if let Some((listener, control_address)) = control {
            let token = AdminToken::random().map_err(StartError::io("make a token for", files.control()))?;
            let written = ControlFile::write(&files, control_address, &token);
            control_file = Some(written.map_err(StartError::io("write", files.control()))?);
            let admin = Admin::new(Arc::clone(&broker), files.clone(), token, address, control_address);
            let control = Arc::new(Control {
                broker: Arc::clone(&broker),
                device_ca,
                key_kind: self.device_keys,
                endpoint: endpoint(address, broker.tls.names()),
                names: Names::new(self.control_names),
            });
            let router = control::router(&control, admin::router(admin));
            broker.tasks.spawn(control::serve(control, listener, router));
            tracing::info!(address = %control_address, "control plane listens");
        }
        let stop_audit = CancellationToken::new();
        let audit_task = tokio::spawn(audit_writer.run(stop_audit.clone()));
        tracing::info!(%address, dir = %files.dir().display(), "sandbox listens");
        Ok(Sandbox {
            _control_file: control_file,
            address,
            control_address,
            files,
            account,
            broker,
            stop_audit,
            audit_task,
        })
    }
}

/// What devices call the broker: a name the server certificate has, so that they can send it as SNI.
fn endpoint(address: SocketAddr, names: &[String]) -> String {
    match (names, address.ip()) {
        ([_, given, ..], _) => given.clone(),
        (_, ip) if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
        (_, ip) => ip.to_string(),
    }
}

/// Takes the address of the control plane, if there is to be one.
async fn bind_control(
    wanted: Option<SocketAddr>,
    exposed: bool,
) -> Result<Option<(TcpListener, SocketAddr)>, StartError> {
    let Some(address) = wanted else { return Ok(None) };
    if !address.ip().is_loopback() && !exposed {
        return Err(StartError::Setting {
            name: "`control`",
            found: address.to_string(),
            expected: "a loopback address, or consent by the setting `control_exposed`".to_owned(),
        });
    }
    let taken = |source| StartError::Control { address, source };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    Ok(Some((listener, address)))
}
