//! The settings of a sandbox.

mod start;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::provisioning::{Hooks, ProvisioningHook};
use crate::{AlpnRule, KeyKind, Limits, SniRule};

/// Settings of a [`Sandbox`](crate::Sandbox); made by [`Sandbox::builder`](crate::Sandbox::builder).
#[derive(Clone, Debug)]
pub struct SandboxBuilder {
    dir: Option<PathBuf>,
    listen: SocketAddr,
    template_name: Option<String>,
    region: Option<String>,
    account_id: Option<String>,
    device_keys: KeyKind,
    certificate_life: Option<Duration>,
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
            certificate_life: None,
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

    /// How long the certificates live that are issued to devices from now on, by the sandbox's clock: for drills of
    /// rotation. At least a second; shorter counts as a second.
    ///
    /// Default: until 2049-12-31T23:59:59Z, as AWS's.
    #[must_use]
    pub fn certificate_life(mut self, life: Duration) -> Self {
        self.certificate_life = Some(life.max(Duration::from_secs(1)));
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
    /// [`Sandbox::control_url`](crate::Sandbox::control_url) is then what `aws --endpoint-url` and `boto3` take. Whoever reaches
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
    /// Default: none. [`Sandbox::set_faults`](crate::Sandbox::set_faults) says what a rule is.
    #[must_use]
    pub fn faults(mut self, script: impl Into<String>) -> Self {
        self.faults = Some(script.into());
        self
    }
}
