//! The next identity in the place of the one that grows old.

use std::time::{Duration, SystemTime};

use aether_provisioning::{Claim, Identity, ProvisionError, Provisioned, renew_until};
use tokio::{sync::oneshot, time::sleep};
use tracing::{error, info, warn};

use super::{IdentityStatus, Worker, obtain::on_stage};
use crate::{
    check::{CloudPlan, Road, RotationPlan},
    error::{RunError, is_configuration, is_refusal},
};

/// How long events may wait while the next identity is obtained; then they flow again under the old one.
const WINDOW: Duration = Duration::from_secs(60);

/// How often the calendar is looked at: it may be set, and a timer knows nothing of that.
const LOOK: Duration = Duration::from_secs(3600);

/// Somebody asks for a rotation now, and where to tell how it went.
pub(crate) type RotationRequest = oneshot::Sender<Result<IdentityStatus, RotateError>>;

/// Who is told how a rotation went: whoever asked for it, or nobody.
pub(super) type Reply = Option<RotationRequest>;

/// Why the identity was not replaced. The one in use stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The runtime has no cloud side, or has ended.
    #[error("there is no cloud side that could rotate its identity")]
    NoCloud,
    /// There is nothing to ask for a certificate with.
    #[error(
        "settings `aws_iot.rotation_template`, or `aws_iot.claim_cert`, `aws_iot.claim_key` and \
         `aws_iot.template_name`: not given, so there is nothing to ask for a new certificate with"
    )]
    NoRoad,
    /// It took too long; what was reached is kept, and gone on with at the next try.
    #[error("no new identity within {0:?}; the next try goes on from there")]
    TooLong(Duration),
    /// The cloud or the store refused.
    #[error("no new identity")]
    Provisioning(#[source] ProvisionError),
    /// The settings no longer lead to a claim.
    #[error("no new identity")]
    Settings(#[source] Box<RunError>),
}

impl RotateError {
    /// Whether a setting has to be changed before another try can succeed.
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::NoRoad => true,
            Self::Provisioning(cause) => is_configuration(cause),
            Self::Settings(cause) => cause.is_configuration(),
            Self::NoCloud | Self::TooLong(_) => false,
        }
    }

    /// Whether the cloud has refused for good, so that something has to be changed there before another try can
    /// succeed.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Provisioning(cause) => is_refusal(cause),
            Self::NoCloud | Self::NoRoad | Self::TooLong(_) | Self::Settings(_) => false,
        }
    }
}

impl Worker {
    /// Resolves when the identity is to be replaced: by its age, or because somebody asks.
    ///
    /// Who asks has to wait until the identity is confirmed: the one before it is the one known to work.
    pub(super) async fn rotation_due(&self, identity: &Identity, confirmed: bool) -> Reply {
        let rotation = self.plan.rotation.clone();
        let possible = self.can_rotate();
        loop {
            let wait = match rotation.due(identity, SystemTime::now()) {
                Some(wait) if possible => wait,
                Some(Duration::ZERO) => {
                    let status = IdentityStatus::from(identity);
                    warn!(days_left = status.days_left(SystemTime::now()), "{}", RotateError::NoRoad);
                    24 * LOOK
                }
                Some(_) | None => 24 * LOOK,
            };
            if wait.is_zero() {
                return None;
            }
            tokio::select! {
                () = sleep(wait.min(LOOK)) => {}
                request = self.requested(), if confirmed => return Some(request),
            }
        }
    }

    fn can_rotate(&self) -> bool {
        self.plan.rotation.template.is_some() || self.plan.rotation.claim.is_some()
    }

    /// Obtains the next identity. Returns what events flow under from now on: that one, or the present one again.
    pub(super) async fn rotate(&mut self, current: Identity, reply: Reply) -> Option<Provisioned> {
        info!(thing = %current.thing_name(), certificate_id = %current.certificate_id(), "rotating the identity");
        let renewed = self.renew(&current).await;
        let (next, answer) = match renewed {
            Ok(Some(next)) => {
                let status = IdentityStatus::from(&next.identity);
                info!(
                    certificate_id = status.certificate_id,
                    days_left = status.days_left(SystemTime::now()),
                    "rotated"
                );
                self.plan.rotation.failed = None;
                (Some(next), Ok(status))
            }
            // Stopped in the middle.
            Ok(None) => (None, Err(RotateError::NoCloud)),
            Err(cause) => {
                error!(
                    error = &cause as &dyn std::error::Error,
                    "could not rotate the identity; the present one stays"
                );
                self.plan.rotation.failed = Some(SystemTime::now());
                (Some(Provisioned::active(current)), Err(cause))
            }
        };
        if let Some(reply) = reply {
            // Who asked may have gone away.
            let _ = reply.send(answer);
        }
        next
    }

    pub(super) async fn renew(&self, current: &Identity) -> Result<Option<Provisioned>, RotateError> {
        let claim = self.rotation_claim(current)?;
        let CloudPlan { connector, store, .. } = &self.plan;
        let on_stage = on_stage(&self.surroundings.stages);
        let renewed = renew_until(connector, &claim, current, store, &on_stage, async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(WINDOW) => {}
            }
        });
        match renewed.await.map_err(RotateError::Provisioning)? {
            None if !self.stop.is_cancelled() => Err(RotateError::TooLong(WINDOW)),
            renewed => Ok(renewed),
        }
    }

    /// By the device's own certificate and the rotation template, while that is good; else by the claim.
    fn rotation_claim(&self, current: &Identity) -> Result<Claim, RotateError> {
        let CloudPlan { endpoint, roots, retry, rotation, road, .. } = &self.plan;
        let expired = current.credentials().not_after() <= SystemTime::now();
        match (&rotation.template, &rotation.claim) {
            (Some(template), by_claim) if !(expired && by_claim.is_some()) => {
                let own = Claim::by_device(endpoint.clone(), roots.clone(), current, template.clone());
                let parameters = rotation.parameters.resolve(self.state_dir());
                let parameters = parameters.map_err(|cause| RotateError::Settings(Box::new(cause)))?;
                let own = own.parameters(parameters).retry(retry.clone());
                Ok(own.encoding(rotation.encoding).keys(rotation.keys.clone()))
            }
            (_, Some(plan)) => self.claim(plan).map_err(|cause| RotateError::Settings(Box::new(cause))),
            (_, None) => match road {
                Road::Claim(plan) => self.claim(plan).map_err(|cause| RotateError::Settings(Box::new(cause))),
                Road::Stored | Road::Active(_) | Road::Own { .. } => Err(RotateError::NoRoad),
            },
        }
    }
}

impl RotationPlan {
    /// How long until the identity is to be replaced; `None` for never by itself.
    fn due(&self, identity: &Identity, now: SystemTime) -> Option<Duration> {
        let at = self.at?;
        let (from, to) = (identity.credentials().not_before(), identity.credentials().not_after());
        let lifetime = to.duration_since(from).unwrap_or_default();
        let due = from + lifetime.mul_f64(at);
        let wait = due.duration_since(now).unwrap_or_default();
        // After a failure: ever sooner as the end comes nearer.
        let pause = to.duration_since(now).unwrap_or_default() / 10;
        let pause = pause.clamp(Duration::from_secs(5), Duration::from_secs(6 * 3600));
        let retry = self
            .failed
            .map_or(Duration::ZERO, |failed| (failed + pause).duration_since(now).unwrap_or_default().min(pause));
        Some(wait.max(retry))
    }
}
