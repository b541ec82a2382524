//! The cloud side: where it is, by which road the device comes to its identity, and when it gets the next one.

use std::{
    error::Error,
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aether_delivery::Pace;
use aether_mqtt::{Connector, Endpoint, ServerRoots};
use aether_provisioning::{
    Contents, Encoding, Identity, IdentityStore, KeyPlan, KeySource, RetryPolicy, Staged, TemplateName,
};
use tracing::{debug, error, warn};

use super::{
    ClaimPlan, Parameters,
    claim::{Terms, claim_plan},
    invalid, keys, optional, own, read, values,
};
use crate::{cloud::Failed, error::BuildError, settings::AwsIotSettings};

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
    Own {
        identity: Identity,
        activation: Duration,
        /// The one that it has worked with so far, which it falls back on.
        active: Option<Identity>,
    },
    /// There is none, and the settings lead to none.
    Stored,
}

/// Long enough for a broker that is restarted, or a policy that spreads.
const ROLL_BACK_AFTER: Duration = Duration::from_secs(600);

/// When and how the identity is replaced.
#[derive(Clone, Debug, Default)]
pub(crate) struct RotationPlan {
    /// At which part of its certificate's lifetime, from 0 to 1; `None` for never by itself.
    pub(crate) at: Option<f64>,
    /// The template that the device asks with its own certificate.
    pub(crate) template: Option<TemplateName>,
    /// The claim, where its files are still there.
    pub(crate) claim: Option<ClaimPlan>,
    pub(crate) parameters: Parameters,
    pub(crate) keys: KeyPlan,
    pub(crate) encoding: Encoding,
    /// How it failed last.
    pub(crate) failed: Option<Failed>,
    /// How long the broker refuses an identity that has carried nothing yet before the one before it takes over.
    pub(crate) roll_back_after: Duration,
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

/// What `cloud_plan` needs besides the settings.
pub(super) struct Means {
    pub(super) connector: Arc<dyn Connector>,
    pub(super) store: Arc<dyn IdentityStore>,
    /// What makes keys on the device, where the settings say so.
    pub(super) keys: Option<Arc<dyn KeySource>>,
    pub(super) roll_back_after: Option<Duration>,
}

pub(crate) fn endpoint(host: &str, settings: &AwsIotSettings) -> Result<Endpoint, BuildError> {
    let port = settings.port.as_deref();
    let port = port.map_or(Ok(8883), |text| values::port(text).map_err(|e| invalid("aws_iot.port", text, e)))?;
    Endpoint::new(host, port).map_err(|e| invalid("aws_iot.endpoint", host, e))
}

pub(super) fn cloud_plan(host: &str, settings: &AwsIotSettings, means: Means) -> Result<CloudPlan, BuildError> {
    let endpoint = endpoint(host, settings)?;
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
    let retry = retry(settings)?;
    let (road, rotation) = road(settings, &means)?;
    let Means { connector, store, .. } = means;
    Ok(CloudPlan { endpoint, roots, pace, retry, road, rotation, connector, store })
}

/// The road to the identity, and to the one after it.
fn road(settings: &AwsIotSettings, means: &Means) -> Result<(Road, RotationPlan), BuildError> {
    let at = settings.rotate_at.as_deref();
    let at = at.map_or(Ok(Some(2.0 / 3.0)), |text| {
        values::rotate_at(text).map_err(|e| invalid("aws_iot.rotate_at", text, e))
    })?;
    let template = optional("aws_iot.rotation_template", settings.rotation_template.as_deref())?;
    let encoding = optional("aws_iot.encoding", settings.encoding.as_deref())?.unwrap_or_default();
    let activation = own::activation(settings)?;
    let parameters = Parameters::of(settings)?;

    let contents = load(&*means.store)?;
    let keys = keys::key_plan(settings, means.keys.as_ref());
    // What an identity was obtained with has done its work; its files may be gone.
    let has_identity = contents.active.is_some() || contents.key_away().is_some();
    let keys = if has_identity { tolerated(keys) } else { Some(keys?) };
    let terms = keys.clone().map(|keys| Terms { parameters: parameters.clone(), keys, encoding });
    let claim = || terms.map_or(Ok(None), |terms| claim_plan(settings, terms));

    let is_own = own::is_given(settings);
    let (road, claim) = match contents.active {
        Some(active) if is_own => (beside(active, tolerated(own::identity(settings)), activation), None),
        None if is_own => (Road::Own { identity: own::identity(settings)?, activation, active: None }, None),
        // A claim that was handed over is good for minutes: none is waited for, and none is left when it is time.
        Some(active) if settings.claim.is_some() => (Road::Active(active), None),
        Some(active) => (Road::Active(active), tolerated(claim()).flatten()),
        // It has one whose key is in a token that is away, and waits for it.
        None if has_identity => match tolerated(claim()).flatten() {
            Some(plan) => (Road::Claim(plan.clone()), Some(plan)),
            None => (Road::Stored, None),
        },
        None => match contents.staged {
            // What an earlier start was given is all it takes; a claim that was handed over may be gone.
            Staged::Registered(identity) => {
                let lasting = if settings.claim.is_none() { tolerated(claim()).flatten() } else { None };
                (Road::Own { identity, activation: Duration::MAX, active: None }, lasting)
            }
            Staged::Nothing | Staged::Key(_) | Staged::Issued(_) => match claim()? {
                Some(plan) => {
                    plan.parameters.check()?;
                    let lasting = settings.claim.is_none().then(|| plan.clone());
                    (Road::Claim(plan), lasting)
                }
                None => (Road::Stored, None),
            },
        },
    };
    // Without the keys that the settings ask for, no other kind takes their place.
    let template = template.filter(|_| keys.is_some());
    let keys = keys.unwrap_or_default();
    let roll_back_after = means.roll_back_after.unwrap_or(ROLL_BACK_AFTER);
    Ok((road, RotationPlan { at, template, claim, parameters, keys, encoding, failed: None, roll_back_after }))
}

/// What an identity given by hand means for a device that has one.
fn beside(active: Identity, given: Option<Identity>, activation: Duration) -> Road {
    match given {
        Some(given) if own::replaces(&given, &active) => {
            Road::Own { identity: given, activation, active: Some(active) }
        }
        Some(given) => {
            if given.certificate_id() != active.certificate_id() {
                debug!(certificate_id = %given.certificate_id(), "`aws_iot.certificate` was rotated since");
            }
            Road::Active(active)
        }
        None => Road::Active(active),
    }
}

fn load(store: &dyn IdentityStore) -> Result<Contents, BuildError> {
    let contents = store.load(SystemTime::now()).map_err(BuildError::Store)?;
    for finding in &contents.findings {
        error!(error = finding as &dyn Error, "passed over in the identity store");
    }
    Ok(contents)
}

/// What a device that has an identity can do without: said, unless its files are just not there any more.
fn tolerated<T>(outcome: Result<T, BuildError>) -> Option<T> {
    let cause = match outcome {
        Ok(value) => return Some(value),
        Err(cause) => cause,
    };
    let is_gone = matches!(&cause, BuildError::File { source, .. } if source.kind() == io::ErrorKind::NotFound);
    if is_gone {
        debug!(error = &cause as &dyn Error, "not needed while there is an identity");
    } else {
        warn!(error = &cause as &dyn Error, "not needed while there is an identity, but to be mended");
    }
    None
}

fn retry(settings: &AwsIotSettings) -> Result<RetryPolicy, BuildError> {
    let given = &settings.retry;
    let delay = |setting: &'static str, text: &Option<String>, default: u64| match text {
        Some(text) => values::delay(text).map_err(|e| invalid(setting, text, e)),
        None => Ok(Duration::from_secs(default)),
    };
    let first = delay("aws_iot.retry.first", &given.first, 1)?;
    let longest = delay("aws_iot.retry.longest", &given.longest, 120)?;
    let slow_first = delay("aws_iot.retry.slow_first", &given.slow_first, 5)?;
    let slow_longest = delay("aws_iot.retry.slow_longest", &given.slow_longest, 600)?;
    let text = values::duration_text;
    let policy = RetryPolicy::default()
        .soon(first, longest)
        .map_err(|e| invalid("aws_iot.retry.longest", text(longest), e))?
        .slow(slow_first, slow_longest)
        .map_err(|e| invalid("aws_iot.retry.slow_longest", text(slow_longest), e))?;
    match &given.refusals {
        None => Ok(policy),
        Some(text) => {
            let refusals = values::refusals(text).map_err(|e| invalid("aws_iot.retry.refusals", text, e))?;
            Ok(policy.refusals(refusals))
        }
    }
}
