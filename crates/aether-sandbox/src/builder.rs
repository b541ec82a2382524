//! The settings of a sandbox, and its start.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin, AdminToken, ControlFile};
use crate::broker::{self, Broker, BrokerParts, Memory, ServerTls};
use crate::ca::CaFolder;
use crate::clock::Clock;
use crate::control::{self, Control, Names};
use crate::faults::Faults;
use crate::ground::{Ground, Scratch};
use crate::provisioning::{Hooks, Provisioning, ProvisioningHook, ProvisioningParts};
use crate::state::{self, State, Wanted};
use crate::trust::Trust;
use crate::{AlpnRule, Files, KeyKind, Limits, Sandbox, SniRule, StartError};

/// Settings of a [`Sandbox`]; made by [`Sandbox::builder`].
#[derive(Clone, Debug)]
pub struct SandboxBuilder {
    dir: Option<PathBuf>,
    listen: SocketAddr,
    template_name: Option<String>,
    region: Option<String>,
    account_id: Option<String>,
    device_keys: KeyKind,
    endpoint_names: Vec<String>,
    rules: (AlpnRule, SniRule),
    limits: Limits,
    control: Option<SocketAddr>,
    control_exposed: bool,
    control_names: Vec<String>,
    hooks: BTreeMap<String, ProvisioningHook>,
    own_hook: Option<ProvisioningHook>,
    hook_time_limit: Duration,
    faults: Option<String>,
}

impl SandboxBuilder {
    pub(crate) fn new() -> Self {
        Self {
            dir: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            template_name: None,
            region: None,
            account_id: None,
            device_keys: KeyKind::default(),
            endpoint_names: Vec::new(),
            rules: (AlpnRule::default(), SniRule::default()),
            limits: Limits::default(),
            control: None,
            control_exposed: false,
            control_names: Vec::new(),
            hooks: BTreeMap::new(),
            own_hook: None,
            hook_time_limit: Hooks::TIME_LIMIT,
            faults: None,
        }
    }

    /// Directory that keeps the state, one sandbox at a time; made where it is missing.
    ///
    /// Default: a temporary one with mode 0700, removed once the sandbox has stopped.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Address to listen on; port 0 takes a free one.
    ///
    /// Default: a free port of `127.0.0.1`. AWS's own port is 8883.
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

    /// Serves the control plane over plain HTTP on `address`, too; port 0 takes a free one.
    ///
    /// [`Sandbox::control_url`] is then what `aws --endpoint-url` and `boto3` take. Whoever reaches
    /// the port may do everything: signatures are asked for, but not checked. Default: not served.
    #[must_use]
    pub fn control(mut self, address: SocketAddr) -> Self {
        self.control = Some(address);
        self
    }

    /// Lets the control plane listen on an address that is not a loopback one, where every machine of
    /// the network may make certificates.
    ///
    /// Default: `false`, and such an address stops the start.
    #[must_use]
    pub fn control_exposed(mut self, exposed: bool) -> Self {
        self.control_exposed = exposed;
        self
    }

    /// A name the control plane may be called by, for example that of its container, besides
    /// `localhost` and addresses. Requests to other names are refused.
    ///
    /// Default: none. Each call adds one.
    #[must_use]
    pub fn control_name(mut self, name: impl Into<String>) -> Self {
        self.control_names.push(name.into());
        self
    }

    /// Pre-provisioning hook of the directory's own template.
    ///
    /// Default: none.
    #[must_use]
    pub fn template_hook(mut self, hook: ProvisioningHook) -> Self {
        self.own_hook = Some(hook);
        self
    }

    /// What stands in for `target`, which a template names as its pre-provisioning hook: the ARN of a
    /// Lambda function, as a rule.
    ///
    /// A template whose target is not set here refuses every device.
    #[must_use]
    pub fn hook(mut self, target: impl Into<String>, hook: ProvisioningHook) -> Self {
        self.hooks.insert(target.into(), hook);
        self
    }

    /// Longest time a pre-provisioning hook may take. One that takes longer is stopped, and refuses.
    ///
    /// Default: 5 s, as AWS has it.
    #[must_use]
    pub fn hook_time_limit(mut self, limit: Duration) -> Self {
        self.hook_time_limit = limit;
        self
    }

    /// A DNS name clients call the server by, beside `localhost`: the server certificate holds it, and
    /// SNI may send it. Called again, it adds another.
    ///
    /// Default: none. With `abc-ats.iot.eu-west-1.amazonaws.com` and an entry in the hosts file, a device
    /// needs no other endpoint than the real one. `DescribeEndpoint` tells the first one.
    #[must_use]
    pub fn endpoint_name(mut self, name: impl Into<String>) -> Self {
        self.endpoint_names.push(name.into());
        self
    }

    /// What is asked of a client's ALPN extension.
    ///
    /// Default: [`AlpnRule::Optional`].
    #[must_use]
    pub fn alpn(mut self, rule: AlpnRule) -> Self {
        self.rules.0 = rule;
        self
    }

    /// What is asked of a client's SNI extension.
    ///
    /// Default: [`SniRule::Optional`].
    #[must_use]
    pub fn sni(mut self, rule: SniRule) -> Self {
        self.rules.1 = rule;
        self
    }

    /// A script of faults that happen on purpose: a JSON list of rules.
    ///
    /// Default: none. [`Sandbox::set_faults`] says what a rule is.
    #[must_use]
    pub fn faults(mut self, script: impl Into<String>) -> Self {
        self.faults = Some(script.into());
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
        let scratch = if self.dir.is_none() { Some(Scratch::new()?) } else { None };
        let dir = self.dir.or_else(|| scratch.as_ref().map(|scratch| scratch.dir().to_owned())).unwrap_or_default();
        let wanted = Wanted {
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
