//! Collects the settings, Sigils and Weaves of a runtime, in any order, and checks them all at once.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use aether_mqtt::Connector;
use aether_provisioning::{IdentityStore, Parameter};
use aether_sigil::{AnySigil, SigilSet};
use aether_weave::{Weave, WeaveSet};

use crate::{
    check,
    error::BuildError,
    nexus::Nexus,
    settings::{Environment, KeyText, ProcessEnvironment, Secret, Settings},
    stage::{Stage, StageSink},
    token::TokenVerifier,
};

/// Describes a [`Nexus`] before it is built.
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct NexusBuilder {
    pub(crate) settings: Settings,
    pub(crate) sigils: Vec<AnySigil>,
    pub(crate) weaves: Vec<Weave>,
    pub(crate) stages: StageSink,
    pub(crate) seams: Seams,
}

/// The pieces that can be swapped; `None` takes the one that talks to the world.
#[derive(Clone, Default)]
pub(crate) struct Seams {
    pub(crate) connector: Option<Arc<dyn Connector>>,
    pub(crate) identity_store: Option<Arc<dyn IdentityStore>>,
    pub(crate) token_verifier: Option<Arc<dyn TokenVerifier>>,
    pub(crate) roll_back_after: Option<Duration>,
}

/// Declares setters that only note a text or path, under one doc comment each.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $kind:ty => $($field:ident).+;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $name: impl Into<$kind>) -> Self {
                self.settings.$($field).+ = Some($name.into());
                self
            }
        )*
    };
}

/// Declares setters of lengths of time.
macro_rules! durations {
    ($($(#[$doc:meta])* $name:ident => $($field:ident).+;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $name: Duration) -> Self {
                self.settings.$($field).+ = Some(check::duration_text($name));
                self
            }
        )*
    };
}

impl NexusBuilder {
    setters! {
        /// Where the OPC UA server listens: `opc.tcp://<address>:<port>`; port 0 takes a free one.
        ///
        /// Default: `opc.tcp://127.0.0.1:4840`. On a loopback address the server offers policy
        /// None with anonymous read and write; on any other, secured endpoints alone and
        /// anonymous read-only.
        opc_ua_url: String => opc_ua_url;
        /// Name of the object below *Objects* that groups the Sigils. Default: `aether`.
        device_id: String => device_id;
        /// URI of the namespace with index 2, in which the Sigils live. Default: that of `aether-opcua`.
        namespace: String => namespace;
        /// Which OPC UA endpoints are offered: `none`, `secured` or `both`. Default: by address.
        opc_ua_security: String => opc_ua_security;
        /// What OPC UA clients without a user may do: `off`, `read` or `read_write`. Default: by address.
        opc_ua_anonymous: String => opc_ua_anonymous;
        /// Which application certificates OPC UA clients may bring to secured endpoints: `any` or
        /// `trusted`. Default: `any`.
        opc_ua_client_certificates: String => opc_ua_client_certificates;
        /// Directory of everything that must outlive the process. Default: `state`.
        state_dir: PathBuf => state_dir;
        /// Public key in PEM that `token` is verified with. Default: none, and no token is asked for.
        token_key: PathBuf => token_key;
        /// The audience that `token` must name. Default: `aether`.
        token_audience: String => token_audience;
        /// Host name of AWS IoT Core's data endpoint (ATS), or of a sandbox. Default: none, and no
        /// cloud is used.
        aws_iot_endpoint: String => aws_iot.endpoint;
        /// File with the roots that the endpoint's certificate must lead to. Default: the public roots.
        aws_iot_root_ca: PathBuf => aws_iot.root_ca;
        /// Name of the fleet provisioning template. Needed until the device has an identity.
        aws_iot_template_name: String => aws_iot.template_name;
        /// File with the claim certificate, in PEM. Needed until the device has an identity.
        aws_iot_claim_cert: PathBuf => aws_iot.claim_cert;
        /// File with the claim certificate's private key, in PEM, of mode 0600. Needed until the device has an identity.
        aws_iot_claim_key: PathBuf => aws_iot.claim_key;
        /// File with a claim that a trusted user had made for this device: JSON as `aws iot create-provisioning-claim`
        /// prints it, of mode 0600; `-` reads it from standard input, once, when the runtime is built. Good for five
        /// minutes. Excludes `aws_iot_claim_cert` and `aws_iot_claim_key`. Not looked at when the device has an identity.
        ///
        /// Default: none.
        aws_iot_claim: PathBuf => aws_iot.claim;
        /// File with the device's own certificate in PEM, followed by those of its CAs if the cloud is to see them, as for
        /// just-in-time registration and provisioning. Excludes the settings of a claim. Once it has connected, it is
        /// kept in `state_dir`; a newer certificate in the file takes its place at the next start.
        ///
        /// Default: none.
        aws_iot_certificate: PathBuf => aws_iot.certificate;
        /// File with the private key of `aws_iot_certificate`, in PEM, of mode 0600. Default: none.
        aws_iot_private_key: PathBuf => aws_iot.private_key;
        /// Name of the Thing that `aws_iot_certificate` is of: 1 to 128 letters, digits, `:`, `_` and `-`.
        ///
        /// Default: the certificate's common name.
        aws_iot_thing_name: String => aws_iot.thing_name;
        /// File with a certificate signing request in PEM, for which AWS makes the certificate. Without
        /// `aws_iot_csr_key` it is not used, as by the AWS IoT Device Client, which is said in the log. Excludes
        /// `aws_iot_key`.
        ///
        /// Default: none.
        aws_iot_csr: PathBuf => aws_iot.csr;
        /// File with the private key that `aws_iot_csr` was made with, in PEM, of mode 0600. Default: none.
        aws_iot_csr_key: PathBuf => aws_iot.csr_key;
        /// How requests of a certificate are written: `json` or `cbor`. Default: `json`.
        aws_iot_encoding: String => aws_iot.encoding;
        /// Name of the provisioning template for which the device asks, with its own certificate, for the next one.
        ///
        /// Default: none, and the claim is used again, if its files are still there.
        aws_iot_rotation_template: String => aws_iot.rotation_template;
    }

    durations! {
        /// How long the cloud may refuse `aws_iot_certificate` before it is given up: with just-in-time registration
        /// somebody, or a rule, has to activate it. Default: 1 h. Range: 1 s to 720 h.
        aws_iot_activation_timeout => aws_iot.activation_timeout;
        /// Shortest wait before the cloud is asked again for an identity, after a lost connection, silence or a fault of
        /// its own. Doubles up to `aws_iot_retry_longest`, with full jitter. Default: 1 s. Range: 1 s to 24 h.
        aws_iot_retry_first => aws_iot.retry.first;
        /// Longest such wait. Default: 2 min. Range: `aws_iot_retry_first` to 24 h.
        aws_iot_retry_longest => aws_iot.retry.longest;
        /// Shortest wait after a refusal or throttling. Default: 5 s. Range: 1 s to 24 h.
        aws_iot_retry_slow_first => aws_iot.retry.slow_first;
        /// Longest such wait. Default: 10 min. Range: `aws_iot_retry_slow_first` to 24 h.
        aws_iot_retry_slow_longest => aws_iot.retry.slow_longest;
    }

    /// Who makes the device's private key, and where it stays:
    ///
    /// | text | key |
    /// | --- | --- |
    /// | `aws` | made by AWS, sent with the certificate; RSA 2048 |
    /// | `ec-p256`, `ec-p384`, `rsa-2048`, `rsa-3072`, `rsa-4096` | made here, never sent |
    /// | `pkcs11:token=plant;object=device-key?…` | the key of that name in a PKCS#11 token, made there if it is not; never leaves it, and serves all certificates |
    /// | `pkcs11:token=plant?…` | a new key in that token for each certificate |
    ///
    /// The last two need the feature `pkcs11`. Other than `aws` needs a claim that may ask for a certificate by CSR.
    /// Default: `aws`.
    pub fn aws_iot_key(mut self, key: impl Into<String>) -> Self {
        self.settings.aws_iot.key = Some(KeyText(key.into()));
        self
    }

    /// Replaces the device's certificate when this part of its lifetime is over. Default: 2/3. Range: 0.05 to 0.95.
    pub fn aws_iot_rotate_at(mut self, part: f64) -> Self {
        self.settings.aws_iot.rotate_at = Some(part.to_string());
        self
    }

    /// Replaces the device's certificate only when [`NexusHandle::rotate`](crate::NexusHandle::rotate) is called.
    pub fn aws_iot_rotate_never(mut self) -> Self {
        self.settings.aws_iot.rotate_at = Some("off".to_owned());
        self
    }

    /// How many rejections by a pre-provisioning hook, or answers that make no sense, are taken in a row before the
    /// device gives up. Default: 10. Range: 1 to 1000.
    pub fn aws_iot_retry_refusals(mut self, in_a_row: u32) -> Self {
        self.settings.aws_iot.retry.refusals = Some(in_a_row.to_string());
        self
    }

    /// Token that allows this runtime to start, where a `token_key` is configured.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(Secret(token.into()));
        self
    }

    /// Port of the endpoint. Default: 8883. On 443 the ALPN name `x-amzn-mqtt-ca` is sent.
    pub fn aws_iot_port(mut self, port: u16) -> Self {
        self.settings.aws_iot.port = Some(port.to_string());
        self
    }

    /// Adds a parameter that the provisioning template gets: a text, or a [`Parameter`] that is looked up each time a
    /// claim is made, in a file, in the environment or on the device.
    ///
    /// Without any, the template gets `SerialNumber`: a random text that is made at the first
    /// start and kept in `state_dir`.
    pub fn aws_iot_template_parameter(mut self, name: impl Into<String>, value: impl Into<Parameter>) -> Self {
        self.settings.aws_iot.template_parameters.insert(name.into(), value.into());
        self
    }

    /// How long the broker refuses a new identity that has carried no event before the one before it takes over: for
    /// tests. Default: 10 min.
    #[doc(hidden)]
    pub fn roll_back_after(mut self, time: Duration) -> Self {
        self.seams.roll_back_after = Some(time);
        self
    }

    /// Adds a Sigil.
    pub fn sigil(mut self, sigil: impl Into<AnySigil>) -> Self {
        self.sigils.push(sigil.into());
        self
    }

    /// Adds a Weave.
    pub fn weave(mut self, weave: Weave) -> Self {
        self.weaves.push(weave);
        self
    }

    /// Calls `observer` with every [`Stage`] that is reached. It must not block.
    pub fn on_stage(mut self, observer: impl Fn(Stage) + Send + Sync + 'static) -> Self {
        self.stages = StageSink::new(observer);
        self
    }

    /// Connects through `connector` instead of TLS and TCP: another MQTT library, or a fake.
    pub fn connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.seams.connector = Some(connector);
        self
    }

    /// Keeps the identity in `store` instead of below `state_dir`.
    pub fn identity_store(mut self, store: Arc<dyn IdentityStore>) -> Self {
        self.seams.identity_store = Some(store);
        self
    }

    /// Verifies the token with `verifier` instead of the key in `token_key`.
    pub fn token_verifier(mut self, verifier: Arc<dyn TokenVerifier>) -> Self {
        self.seams.token_verifier = Some(verifier);
        self
    }

    /// Lets the process's environment variables win over the settings given so far.
    ///
    /// Each setting has its variable: `AETHER_` and the name of the setter in capitals, such as
    /// `AETHER_OPC_UA_URL`, `AETHER_TOKEN` or `AETHER_AWS_IOT_ENDPOINT`; all template parameters
    /// together stand in `AETHER_AWS_IOT_TEMPLATE_PARAMETERS`, as `name=value,name=value`. A variable
    /// that is empty counts as not set.
    pub fn environment(self) -> Self {
        self.environment_from(&ProcessEnvironment)
    }

    /// Lets the variables of `environment` win over the settings given so far.
    pub fn environment_from(mut self, environment: &impl Environment) -> Self {
        self.settings.overlay(environment);
        self
    }

    /// Checks every setting and makes the runtime. Reads the stored identity and the files that
    /// settings name; writes nothing and opens no port. The claim files are needed only while there is
    /// no stored identity: they may be removed from a device that has one, and what is wrong with
    /// them there goes to the log.
    ///
    /// # Errors
    ///
    /// The first setting that cannot work, with its name, what was found and what is expected.
    pub fn build(self) -> Result<Nexus, BuildError> {
        let Self { settings, sigils, weaves, stages, seams } = self;
        let plan = check::plan(&settings, seams)?;
        let sigils = SigilSet::new(sigils).map_err(BuildError::DuplicateSigil)?;
        let weaves = WeaveSet::new(weaves).map_err(BuildError::DuplicateWeave)?;
        Nexus::new(plan, sigils, weaves, stages)
    }
}

impl fmt::Debug for NexusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NexusBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
