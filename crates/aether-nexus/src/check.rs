//! Turns settings as given into a plan that can be carried out, or says which setting cannot.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::{self, Display},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aether_delivery::Pace;
use aether_mqtt::{Connector, Credentials, Endpoint, RumqttConnector, ServerRoots};
use aether_opcua::{Anonymous, ClientCertificates, OpcUaUrl, Security};
use aether_provisioning::{
    DirectoryStore, Encoding, Identity, IdentityStore, KeyPlan, RetryPolicy, Staged, TemplateName,
};

use crate::{
    builder::Seams,
    error::BuildError,
    settings::{AwsIotSettings, Settings},
    token::{JwtVerifier, TokenError, TokenVerifier},
};

/// Everything a runtime needs to know, checked.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) opc_ua: OpcUaPlan,
    pub(crate) state_dir: PathBuf,
    /// Whether the identity is kept below `state_dir`, so that no other process may use it.
    pub(crate) owns_state: bool,
    pub(crate) guarded: bool,
    pub(crate) cloud: Option<CloudPlan>,
}

#[derive(Debug)]
pub(crate) struct OpcUaPlan {
    pub(crate) url: OpcUaUrl,
    pub(crate) device_id: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) security: Option<Security>,
    pub(crate) anonymous: Option<Anonymous>,
    pub(crate) client_certificates: Option<ClientCertificates>,
}

pub(crate) struct CloudPlan {
    pub(crate) endpoint: Endpoint,
    pub(crate) roots: ServerRoots,
    pub(crate) pace: Pace,
    pub(crate) retry: RetryPolicy,
    pub(crate) road: Road,
    pub(crate) rotation: RotationPlan,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) store: Arc<dyn IdentityStore>,
}

/// How this device comes to its identity.
#[derive(Debug)]
pub(crate) enum Road {
    /// It has one, and it works with that.
    Active(Identity),
    /// It trades a claim for one, or goes on with what an earlier start left.
    Claim(ClaimPlan),
    /// It was given one, which the cloud may have to activate first.
    Own { identity: Identity, activation: Duration },
    /// There is none, and the settings lead to none.
    Stored,
}

/// When and how the identity is replaced.
#[derive(Clone, Debug)]
pub(crate) struct RotationPlan {
    /// At which part of its certificate's lifetime, from 0 to 1; `None` for never by itself.
    pub(crate) at: Option<f64>,
    /// The template that the device asks with its own certificate.
    pub(crate) template: Option<TemplateName>,
    /// The claim, where its files are still there.
    pub(crate) claim: Option<ClaimPlan>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) keys: KeyPlan,
    pub(crate) encoding: Encoding,
    /// When it was tried last and failed.
    pub(crate) failed: Option<SystemTime>,
}

impl fmt::Debug for CloudPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudPlan")
            .field("endpoint", &self.endpoint)
            .field("road", &self.road)
            .field("rotation", &self.rotation)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ClaimPlan {
    pub(crate) template: TemplateName,
    pub(crate) credentials: Credentials,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) keys: KeyPlan,
    pub(crate) encoding: Encoding,
}

pub(crate) fn plan(settings: &Settings, seams: Seams) -> Result<Plan, BuildError> {
    let guarded = check_token(settings, seams.token_verifier)?;
    let url = settings.opc_ua_url.as_deref().unwrap_or("opc.tcp://127.0.0.1:4840");
    let opc_ua = OpcUaPlan {
        url: parse("opc_ua_url", url)?,
        device_id: settings.device_id.clone(),
        namespace: settings.namespace.clone(),
        security: optional("opc_ua.security", settings.opc_ua_security.as_deref())?,
        anonymous: optional("opc_ua.anonymous", settings.opc_ua_anonymous.as_deref())?,
        client_certificates: optional("opc_ua.client_certificates", settings.opc_ua_client_certificates.as_deref())?,
    };
    let state_dir = settings.state_dir.clone().unwrap_or_else(|| "state".into());
    let cloud = settings.aws_iot.endpoint.as_deref();
    if cloud.is_none() && settings.aws_iot.names_something() {
        return Err(missing("aws_iot.endpoint", "the host name of AWS IoT Core's data endpoint, or of a sandbox"));
    }
    let owns_state = seams.identity_store.is_none();
    let connector = seams.connector.unwrap_or_else(|| Arc::new(RumqttConnector::default()));
    let store = seams.identity_store.unwrap_or_else(|| Arc::new(DirectoryStore::new(state_dir.join("identity"))));
    let cloud = cloud.map(|host| cloud_plan(host, &settings.aws_iot, connector, store)).transpose()?;
    Ok(Plan { opc_ua, state_dir, owns_state, guarded, cloud })
}

/// Verifies the token where a verifier or its key is configured; says whether one is.
fn check_token(settings: &Settings, verifier: Option<Arc<dyn TokenVerifier>>) -> Result<bool, BuildError> {
    let verifier = match (verifier, &settings.token_key) {
        (Some(verifier), _) => verifier,
        (None, None) => return Ok(false),
        (None, Some(path)) => {
            let audience = settings.token_audience.as_deref().unwrap_or("aether");
            let pem = read("token_key", path, "an Ed25519 or P-256 public key in PEM")?;
            let verifier = JwtVerifier::from_pem(&pem, audience);
            Arc::new(verifier.map_err(|e| invalid("token_key", path.display(), e))?)
        }
    };
    let token = settings.token.as_ref().ok_or(BuildError::Token(TokenError::Missing))?;
    verifier.verify(&token.0).map_err(BuildError::Token)?;
    Ok(true)
}

fn cloud_plan(
    host: &str,
    settings: &AwsIotSettings,
    connector: Arc<dyn Connector>,
    store: Arc<dyn IdentityStore>,
) -> Result<CloudPlan, BuildError> {
    let port = settings.port.as_deref().map_or(Ok(8883), port)?;
    let endpoint = Endpoint::new(host, port).map_err(|e| invalid("aws_iot.endpoint", host, e))?;
    let roots = match &settings.root_ca {
        None => ServerRoots::mozilla(),
        Some(path) => {
            let pem = read("aws_iot.root_ca", path, "root certificates in PEM")?;
            ServerRoots::from_pem(&pem).map_err(|e| invalid("aws_iot.root_ca", path.display(), e))?
        }
    };
    // AWS discards what exceeds 100 publishes per second and connection.
    let pace = if host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn") {
        Pace::per_second(100)
    } else {
        Pace::UNLIMITED
    };
    let contents = store.load(SystemTime::now()).map_err(BuildError::Store)?;
    for finding in &contents.findings {
        tracing::error!(error = finding as &dyn Error, "passed over in the identity store");
    }
    // The claim of a device that has an identity has done its work; its files may be gone.
    let (road, claim) = match contents.active {
        Some(identity) => (Road::Active(identity), claim_plan(settings).ok().flatten()),
        None => match claim_plan(settings)? {
            Some(plan) => (Road::Claim(plan.clone()), Some(plan)),
            // What an earlier start was given is all it takes.
            None => match contents.staged {
                Staged::Registered(identity) => (Road::Own { identity, activation: Duration::MAX }, None),
                Staged::Nothing | Staged::Key(_) | Staged::Issued(_) => (Road::Stored, None),
            },
        },
    };
    let rotation = RotationPlan {
        at: Some(2.0 / 3.0),
        template: None,
        claim,
        parameters: template_parameters(settings)?,
        keys: KeyPlan::AwsGenerated,
        encoding: Encoding::Json,
        failed: None,
    };
    Ok(CloudPlan { endpoint, roots, pace, retry: RetryPolicy::default(), road, rotation, connector, store })
}

/// A TCP port from 1 to 65535.
fn port(text: &str) -> Result<u16, BuildError> {
    let number = text.parse().ok().filter(|port| *port != 0);
    number.ok_or_else(|| invalid("aws_iot.port", text, Expected("a port from 1 to 65535")))
}

/// What a setting should have held.
#[derive(Debug, thiserror::Error)]
#[error("expected {0}")]
struct Expected(&'static str);

/// The parameters as given in code or in the file, unless the environment has others.
fn template_parameters(settings: &AwsIotSettings) -> Result<BTreeMap<String, String>, BuildError> {
    let Some(text) = &settings.template_parameters_text else { return Ok(settings.template_parameters.clone()) };
    let wrong = || invalid("aws_iot.template_parameters", text, Expected("name=value,name=value"));
    let pairs = text.split(',').map(|pair| pair.split_once('=').filter(|(name, _)| !name.is_empty()));
    pairs.map(|pair| pair.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(wrong)).collect()
}

fn claim_plan(settings: &AwsIotSettings) -> Result<Option<ClaimPlan>, BuildError> {
    let (certificate, key) = match (&settings.claim_cert, &settings.claim_key) {
        (None, None) if settings.template_name.is_none() => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (None, _) => return Err(missing("aws_iot.claim_cert", "the path of the claim certificate in PEM")),
        (_, None) => {
            return Err(missing("aws_iot.claim_key", "the path of the claim certificate's private key in PEM"));
        }
    };
    let template = settings.template_name.as_deref();
    let template = template.ok_or_else(|| missing("aws_iot.template_name", "the name of the provisioning template"))?;
    let template = parse("aws_iot.template_name", template)?;
    let certificate_pem = read("aws_iot.claim_cert", certificate, "the claim certificate in PEM")?;
    let key_pem = read("aws_iot.claim_key", key, "the claim certificate's private key in PEM")?;
    let credentials = Credentials::from_pem(&certificate_pem, &key_pem).map_err(|source| BuildError::Claim {
        certificate: certificate.clone(),
        key: key.clone(),
        source,
    })?;
    let parameters = template_parameters(settings)?;
    let (keys, encoding) = (KeyPlan::AwsGenerated, Encoding::Json);
    Ok(Some(ClaimPlan { template, credentials, expires_at: None, parameters, keys, encoding }))
}

fn missing(setting: &'static str, expected: &'static str) -> BuildError {
    BuildError::Missing { setting, expected }
}

fn read(setting: &'static str, path: &Path, expected: &'static str) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|source| BuildError::File { setting, path: path.to_owned(), expected, source })
}

fn optional<T>(setting: &'static str, found: Option<&str>) -> Result<Option<T>, BuildError>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    found.map(|text| parse(setting, text)).transpose()
}

fn parse<T>(setting: &'static str, found: &str) -> Result<T, BuildError>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    found.parse().map_err(|e| invalid(setting, found, e))
}

fn invalid(setting: &'static str, found: impl Display, source: impl Error + Send + Sync + 'static) -> BuildError {
    BuildError::Invalid { setting, found: found.to_string(), source: Box::new(source) }
}
