//! The roads to an identity.

use std::{error::Error, time::SystemTime};

use aether_provisioning::{
    Adoption, Claim, Identity, ProvisionError, Provisioned, Stage as ProvisioningStage, adopt_until, provision_until,
};
use tracing::error;

use super::{Worker, rotation::WINDOW};
use crate::{
    check::{ClaimPlan, CloudPlan, Road},
    error::RunError,
    stage::{Stage, StageSink},
};

impl Worker {
    /// The identity that is there, or the one that the settings lead to; `None` when stopped before there is one.
    pub(super) async fn obtain(&self) -> Result<Option<Provisioned>, RunError> {
        let CloudPlan { connector, store, road, endpoint, roots, retry, .. } = &self.plan;
        let on_stage = on_stage(&self.surroundings.stages);
        let obtained = match road {
            Road::Stored => return Err(self.no_identity().await),
            Road::Active(identity) => return Ok(Some(Provisioned::active(self.still_active(identity).await))),
            Road::Claim(plan) => {
                let claim = self.claim(plan)?;
                provision_until(connector, &claim, store, &on_stage, self.stop.cancelled()).await
            }
            Road::Own { identity, activation, active } => {
                let adoption = Adoption::new(endpoint.clone(), roots.clone()).retry(retry.clone());
                // A device that has one is not kept from its work for longer than a rotation may take.
                let most = if active.is_some() { WINDOW } else { *activation };
                let adoption = adoption.activation(most.min(*activation));
                let stop = self.stop.cancelled();
                let adopted = adopt_until(connector, &adoption, identity.clone(), store, &on_stage, stop).await;
                if adopted.is_err() {
                    // It would be taken for the next identity at a rotation, or with other settings.
                    if let Err(cause) = self.store_call(|store| store.discard_staged()).await {
                        error!(error = &cause as &dyn Error, "could not discard the identity given by hand");
                    }
                }
                match (adopted, active) {
                    (Err(cause), Some(active)) => {
                        error!(
                            error = &cause as &dyn Error,
                            "the identity given by hand does not work; the present one stays"
                        );
                        Ok(Some(Provisioned::active(active.clone())))
                    }
                    (adopted, _) => adopted,
                }
            }
        };
        obtained.map_err(RunError::Provisioning)
    }

    /// The active identity as it is now: `aether rotate` may have replaced it since the settings were checked.
    async fn still_active(&self, checked: &Identity) -> Identity {
        let contents = self.store_call(|store| store.load(SystemTime::now())).await;
        contents.ok().and_then(|contents| contents.active).unwrap_or_else(|| checked.clone())
    }

    /// Why there is none, and no way to one.
    async fn no_identity(&self) -> RunError {
        match self.store_call(|store| store.load(SystemTime::now())).await {
            Err(cause) => RunError::Store(cause),
            Ok(contents) => match contents.key_away() {
                Some(finding) => RunError::Provisioning(ProvisionError::KeyAway(finding.clone())),
                None => RunError::NoIdentity,
            },
        }
    }

    pub(super) fn claim(&self, plan: &ClaimPlan) -> Result<Claim, RunError> {
        let parameters = plan.parameters.resolve(self.state_dir())?;
        let CloudPlan { endpoint, roots, retry, .. } = &self.plan;
        let mut claim = Claim::new(endpoint.clone(), roots.clone(), plan.credentials.clone(), plan.template.clone())
            .parameters(parameters)
            .encoding(plan.encoding)
            .keys(plan.keys.clone())
            .retry(retry.clone());
        if let Some(expires_at) = plan.expires_at {
            claim = claim.expires_at(expires_at);
        }
        Ok(claim)
    }
}

/// Stages of provisioning, told as those of the runtime.
pub(super) fn on_stage(stages: &StageSink) -> impl Fn(ProvisioningStage) + Send + Sync + 'static {
    let stages = stages.clone();
    move |stage| match stage {
        ProvisioningStage::ClaimConnected => stages.report(Stage::ClaimConnected),
        ProvisioningStage::CertificateIssued { certificate_id } => {
            stages.report(Stage::CertificateIssued { certificate_id });
        }
        ProvisioningStage::ThingRegistered { thing_name } => {
            stages.report(Stage::ThingRegistered { thing_name: thing_name.to_string() });
        }
        // That it is proven shows when it carries events; what waits is in the log. And stages of a later version.
        ProvisioningStage::Proven { .. } | ProvisioningStage::Waiting { .. } | _ => {}
    }
}
