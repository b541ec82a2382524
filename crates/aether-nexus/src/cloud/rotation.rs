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
pub(super) const WINDOW: Duration = Duration::from_secs(60);

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
    /// No event was acknowledged yet under the identity in use, so the one before it is kept for the case that it never
    /// is.
    #[error("the identity in use has not carried an event yet, and would push out the one that is known to work")]
    Unconfirmed,
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
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::NoRoad => true,
            Self::Provisioning(cause) => is_configuration(cause),
            Self::Settings(cause) => cause.is_configuration(),
            Self::NoCloud | Self::Unconfirmed | Self::TooLong(_) => false,
        }
    }

    /// Whether another try may succeed without a change by a person.
    fn may_pass(&self) -> bool {
        match self {
            Self::NoCloud | Self::Unconfirmed | Self::TooLong(_) => true,
            Self::NoRoad | Self::Provisioning(_) | Self::Settings(_) => false,
        }
    }

    /// Whether the cloud has refused for good, so that something has to be changed there before another try can
    /// succeed.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Provisioning(cause) => is_refusal(cause),
            Self::NoCloud | Self::NoRoad | Self::Unconfirmed | Self::TooLong(_) | Self::Settings(_) => false,
        }
    }
}

impl Worker {
    /// Resolves when the identity is to be replaced: by its age, or because somebody asks.
    ///
    /// While it is not `confirmed`, the one before it is the one known to work: who asks is told so, and its age counts
    /// only when it is nearly over.
    pub(super) async fn rotation_due(&self, identity: &Identity, confirmed: bool) -> Reply {
        let rotation = self.plan.rotation.clone();
        let possible = self.can_rotate();
        loop {
            let wait = match rotation.due(identity, SystemTime::now(), confirmed) {
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
                // Who has gone away in the meantime wants nothing any more.
                request = self.requested() => if !request.is_closed() {
                    if confirmed {
                        return Some(request);
                    }
                    let _ = request.send(Err(RotateError::Unconfirmed));
                },
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
                (Some(next), Ok(status))
            }
            // Stopped in the middle.
            Ok(None) => (None, Err(RotateError::NoCloud)),
            Err(cause) => {
                error!(
                    error = &cause as &dyn std::error::Error,
                    "could not rotate the identity; the present one stays"
                );
                let failing = if cause.may_pass() { Failing::Passing } else { Failing::ForLong };
                self.plan.rotation.note_failure(failing);
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

/// What to expect of another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// It may succeed.
    Passing,
    /// It will not until somebody changes something, and leaves a certificate behind each time.
    ForLong,
}

/// A rotation that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    at: SystemTime,
    /// Shortest time until the next try.
    pause: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);

impl RotationPlan {
    /// Notes that the identity could not be replaced, or had to be taken back.
    pub(super) fn note_failure(&mut self, failing: Failing) {
        let before = self.failed.map_or(Duration::ZERO, |failed| failed.pause);
        let pause = match failing {
            Failing::Passing => before,
            Failing::ForLong => (before * 2).clamp(HOUR, 24 * HOUR),
        };
        self.failed = Some(Failed { at: SystemTime::now(), pause });
    }

    /// How long until the identity is to be replaced; `None` for never by itself.
    fn due(&self, identity: &Identity, now: SystemTime, confirmed: bool) -> Option<Duration> {
        let part = if confirmed { self.at? } else { self.at?.max(0.95) };
        let (from, to) = (identity.credentials().not_before(), identity.credentials().not_after());
        let lifetime = to.duration_since(from).unwrap_or_default();
        let wait = (from + lifetime.mul_f64(part)).duration_since(now).unwrap_or_default();
        let Some(failed) = self.failed else { return Some(wait) };
        // Ever sooner as the end comes nearer, and no sooner than it makes sense.
        let left = to.duration_since(now).unwrap_or_default();
        let shortest = if left.is_zero() { Duration::from_secs(60) } else { Duration::from_secs(5) };
        let pause = (left / 10).clamp(shortest, 6 * HOUR).max(failed.pause);
        // A clock that was set back must not make it longer.
        Some(wait.max((failed.at + pause).duration_since(now).unwrap_or_default().min(pause)))
    }
}

#[cfg(test)]
mod tests {
    use aether_mqtt::testing;

    use super::*;

    /// An identity from 1975 to 4096, as the test certificates are.
    fn identity() -> Identity {
        let credentials = testing::credentials("device");
        Identity::new("press-3".parse().unwrap(), "c0".parse().unwrap(), credentials, Default::default())
    }

    fn plan(at: Option<f64>) -> RotationPlan {
        RotationPlan { at, ..RotationPlan::default() }
    }

    #[test]
    fn an_identity_is_due_at_its_part_of_the_lifetime_and_later_while_it_is_not_confirmed() {
        let identity = identity();
        let (from, to) = (identity.credentials().not_before(), identity.credentials().not_after());
        let at = |part: f64| from + to.duration_since(from).unwrap().mul_f64(part);
        assert_eq!(plan(Some(0.5)).due(&identity, at(0.6), true), Some(Duration::ZERO));
        assert!(plan(Some(0.5)).due(&identity, at(0.4), true).unwrap() > HOUR);
        assert!(plan(Some(0.5)).due(&identity, at(0.6), false).unwrap() > HOUR);
        assert_eq!(plan(Some(0.5)).due(&identity, at(0.96), false), Some(Duration::ZERO));
        assert_eq!(plan(None).due(&identity, at(0.99), true), None);
    }

    #[test]
    fn what_fails_for_long_is_tried_ever_more_rarely_however_near_the_end_is() {
        let identity = identity();
        let near_the_end = identity.credentials().not_after() - Duration::from_secs(30);
        let mut plan = plan(Some(0.5));
        plan.note_failure(Failing::Passing);
        plan.failed.as_mut().unwrap().at = near_the_end;
        assert_eq!(plan.due(&identity, near_the_end, true), Some(Duration::from_secs(5)));
        for hours in [1, 2, 4, 8, 16, 24, 24] {
            plan.note_failure(Failing::ForLong);
            plan.failed.as_mut().unwrap().at = near_the_end;
            assert_eq!(plan.due(&identity, near_the_end, true), Some(hours * HOUR));
        }
    }
}
