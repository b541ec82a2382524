//! Turns settings as given into a plan that can be carried out, or says which setting cannot.

mod claim;
mod cloud;
mod keys;
mod own;
mod parameters;
mod values;

use std::{
    error::Error,
    fmt::Display,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use aether_mqtt::{Connector, RumqttConnector};
use aether_opcua::{Anonymous, ClientCertificates, OpcUaUrl, Security};
use aether_provisioning::{DirectoryStore, KeySource, StoreError, check_secret_file};

use self::cloud::{Means, cloud_plan};
pub(crate) use self::{
    claim::ClaimPlan,
    cloud::{CloudPlan, Road, RotationPlan, endpoint},
    keys::key_choice,
    parameters::Parameters,
    values::{activation, delay, duration_text, port, refusals, rotate_at},
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
    let state_dir = state_dir(settings);
    let cloud = settings.aws_iot.endpoint.as_deref();
    if cloud.is_none() && settings.aws_iot.names_something() {
        return Err(no_endpoint());
    }
    check_exclusions(&settings.aws_iot)?;
    let keys = keys::choice(&settings.aws_iot)?.source()?;
    let owns_state = seams.identity_store.is_none();
    let connector: Arc<dyn Connector> = seams.connector.unwrap_or_else(|| Arc::new(RumqttConnector::default()));
    let store = seams.identity_store.unwrap_or_else(|| Arc::new(store_with(keys.as_ref(), &state_dir)));
    let means = Means { connector, store, keys, roll_back_after: seams.roll_back_after };
    let cloud = cloud.map(|host| cloud_plan(host, &settings.aws_iot, means)).transpose()?;
    Ok(Plan { opc_ua, state_dir, owns_state, guarded, cloud })
}

pub(crate) fn no_endpoint() -> BuildError {
    missing("aws_iot.endpoint", "the host name of AWS IoT Core's data endpoint, or of a sandbox")
}

pub(crate) fn state_dir(settings: &Settings) -> PathBuf {
    settings.state_dir.clone().unwrap_or_else(|| "state".into())
}

/// The identity store below the state directory.
pub(crate) fn own_store(settings: &Settings, state_dir: &Path) -> Result<DirectoryStore, BuildError> {
    let keys = keys::choice(&settings.aws_iot)?.source()?;
    Ok(store_with(keys.as_ref(), state_dir))
}

fn store_with(keys: Option<&Arc<dyn KeySource>>, state_dir: &Path) -> DirectoryStore {
    let store = DirectoryStore::new(state_dir.join("identity"));
    // Those that stay in a token are found again there.
    match keys {
        Some(keys) => store.keys(Arc::clone(keys)),
        None => store,
    }
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

/// Refuses settings that say two different things.
fn check_exclusions(settings: &AwsIotSettings) -> Result<(), BuildError> {
    let AwsIotSettings { claim, claim_cert, claim_key, template_name, .. } = settings;
    let AwsIotSettings { certificate, private_key, key, csr, csr_key, .. } = settings;
    let document = [("aws_iot.claim", claim.is_some())];
    let files = [("aws_iot.claim_cert", claim_cert.is_some()), ("aws_iot.claim_key", claim_key.is_some())];
    let template = [("aws_iot.template_name", template_name.is_some())];
    let own = [("aws_iot.certificate", certificate.is_some()), ("aws_iot.private_key", private_key.is_some())];
    let made = [("aws_iot.key", key.is_some())];
    let request = [("aws_iot.csr", csr.is_some()), ("aws_iot.csr_key", csr_key.is_some())];
    for (one, other) in
        [(&document[..], &files[..]), (&own, &document), (&own, &files), (&own, &template), (&made, &request)]
    {
        let first = |given: &[(&'static str, bool)]| given.iter().find(|(_, given)| *given).map(|(name, _)| *name);
        if let (Some(setting), Some(other)) = (first(one), first(other)) {
            return Err(BuildError::Conflict { setting, other });
        }
    }
    Ok(())
}

fn missing(setting: &'static str, expected: &'static str) -> BuildError {
    BuildError::Missing { setting, expected }
}

fn read(setting: &'static str, path: &Path, expected: &'static str) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|source| BuildError::File { setting, path: path.to_owned(), expected, source })
}

/// Reads a file that nobody else may read.
fn read_secret(setting: &'static str, path: &Path, expected: &'static str) -> Result<Vec<u8>, BuildError> {
    match check_secret_file(path) {
        Err(StoreError::Io { source, .. }) => {
            Err(BuildError::File { setting, path: path.to_owned(), expected, source })
        }
        Err(source) => Err(BuildError::Secret { setting, source }),
        Ok(()) => read(setting, path, expected),
    }
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
