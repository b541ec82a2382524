//! The cloud side: find or obtain an identity, then carry events under it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Once},
    time::Duration,
};

use aether_delivery::{Courier, Link, RunningCourier};
use aether_mqtt::ConnectOptions;
use aether_outbox::Outbox;
use aether_provisioning::{Claim, Identity, Stage as ProvisioningStage, Stored, provision_until};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    check::{ClaimPlan, CloudPlan},
    error::RunError,
    stage::{Stage, StageSink},
    state::serial_number,
};

/// The cloud side at work. Dropping it ends it at once.
#[derive(Debug)]
pub(crate) struct Cloud {
    task: JoinHandle<Result<(), RunError>>,
    stop: CancellationToken,
}

/// How long what waits is sent when the cloud side stops.
const DRAIN: Duration = Duration::from_secs(5);

impl Cloud {
    /// Looks into the identity store and starts the rest in a task.
    pub(crate) fn start(
        plan: CloudPlan,
        state_dir: &Path,
        outbox: Arc<Outbox>,
        stages: StageSink,
    ) -> Result<Self, RunError> {
        let stored = plan.store.load().map_err(RunError::Store)?;
        let stop = CancellationToken::new();
        let worker = Worker { plan, state_dir: state_dir.to_owned(), outbox, stages, stop: stop.clone() };
        Ok(Self { task: tokio::spawn(worker.run(stored)), stop })
    }

    /// Resolves when the cloud side has failed for good.
    pub(crate) async fn failed(&mut self) -> RunError {
        match (&mut self.task).await {
            Ok(Err(cause)) => cause,
            // It ends well only when it is stopped, and then nobody asks.
            Ok(Ok(())) | Err(_) => RunError::CloudPanicked,
        }
    }

    /// Sends what waits within a few seconds, says goodbye, and ends.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if !self.task.is_finished() && timeout(2 * DRAIN, &mut self.task).await.is_err() {
            warn!("the cloud side did not end in time and was ended");
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Worker {
    plan: CloudPlan,
    state_dir: PathBuf,
    outbox: Arc<Outbox>,
    stages: StageSink,
    stop: CancellationToken,
}

impl Worker {
    async fn run(self, stored: Stored) -> Result<(), RunError> {
        let identity = match stored {
            Stored::Active(identity) | Stored::Registered(identity) => Some(identity),
            Stored::Empty | Stored::Issued(_) | _ => self.obtain().await?,
        };
        if let Some(identity) = identity {
            self.carry(&identity).await;
        }
        self.account();
        Ok(())
    }

    /// Trades the claim for an identity; `None` when stopped before there is one.
    async fn obtain(&self) -> Result<Option<Identity>, RunError> {
        let Some(claim) = &self.plan.claim else { return Err(RunError::NoIdentity) };
        let claim = self.claim(claim)?;
        let stages = self.stages.clone();
        let on_stage = move |stage| match stage {
            ProvisioningStage::ClaimConnected => stages.report(Stage::ClaimConnected),
            ProvisioningStage::CertificateIssued { certificate_id } => {
                stages.report(Stage::CertificateIssued { certificate_id });
            }
            ProvisioningStage::ThingRegistered { thing_name } => {
                stages.report(Stage::ThingRegistered { thing_name: thing_name.to_string() });
            }
            // Stages of a later version of the provisioning crate.
            _ => {}
        };
        let CloudPlan { connector, store, .. } = &self.plan;
        let provisioned = provision_until(connector, &claim, &**store, &on_stage, self.stop.cancelled());
        provisioned.await.map_err(RunError::Provisioning)
    }

    fn claim(&self, plan: &ClaimPlan) -> Result<Claim, RunError> {
        let mut parameters = plan.parameters.clone();
        if parameters.is_empty() {
            let serial = serial_number(&self.state_dir)
                .map_err(|source| RunError::State { path: self.state_dir.clone(), source })?;
            parameters = BTreeMap::from([("SerialNumber".to_owned(), serial)]);
        }
        let CloudPlan { endpoint, roots, .. } = &self.plan;
        let claim = Claim::new(endpoint.clone(), roots.clone(), plan.credentials.clone(), plan.template.clone());
        Ok(claim.parameters(parameters))
    }

    /// Carries events until it is stopped.
    async fn carry(&self, identity: &Identity) {
        let courier = self.courier(identity);
        tokio::select! {
            () = courier.link_up() => {
                // Of an identity in use this only clears away what a kill may have left. If it fails
                // the identity works all the same, and stays what it was: registered.
                if let Err(cause) = self.plan.store.promote(identity) {
                    error!(error = &cause as &dyn std::error::Error, "could not note that the identity works");
                }
                self.stop.cancelled().await;
            }
            () = self.stop.cancelled() => {}
        }
        courier.stop(DRAIN).await;
    }

    /// Starts to carry events to the topic named after the Thing, with the Thing name as client id.
    fn courier(&self, identity: &Identity) -> RunningCourier {
        let thing = identity.thing_name();
        let CloudPlan { endpoint, roots, connector, pace, .. } = &self.plan;
        let options = ConnectOptions::new(endpoint.clone(), thing.to_client_id(), identity.credentials().clone());
        let options = options.roots(roots.clone());
        // Said once: what comes and goes later is a matter for the log.
        let (stages, name, said) = (self.stages.clone(), thing.to_string(), Once::new());
        let on_link = move |link| {
            if link == Link::Up {
                said.call_once(|| stages.report(Stage::DeviceConnected { thing_name: name.clone() }));
            }
        };
        let courier = Courier::builder(Arc::clone(connector), options, thing.to_topic(), Arc::clone(&self.outbox));
        courier.pace(*pace).on_link(on_link).start()
    }

    /// Says how the outbox is left.
    fn account(&self) {
        let stats = self.outbox.stats();
        if stats.waiting > 0 {
            warn!(undelivered = stats.waiting, "events that were not delivered are lost: the outbox is in memory");
        } else {
            info!(delivered = stats.acknowledged, "every event is delivered");
        }
    }
}
