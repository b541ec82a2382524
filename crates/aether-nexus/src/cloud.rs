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
use aether_provisioning::{Claim, Identity, Stage as ProvisioningStage, Stored, provision};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    check::{ClaimPlan, CloudPlan},
    error::RunError,
    serial,
    stage::{Stage, StageSink},
};

/// The cloud side at work. Dropping it ends it at once.
#[derive(Debug)]
pub(crate) struct Cloud {
    task: JoinHandle<()>,
    failure: oneshot::Receiver<RunError>,
    stop: CancellationToken,
    drain: Arc<std::sync::OnceLock<Duration>>,
}

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
        let drain = Arc::default();
        let (report, failure) = oneshot::channel();
        let worker = Worker {
            plan,
            state_dir: state_dir.to_owned(),
            outbox,
            stages,
            stop: stop.clone(),
            drain: Arc::clone(&drain),
        };
        let task = tokio::spawn(async move {
            if let Err(cause) = worker.run(stored).await {
                // Nobody waits for it once the runtime stops.
                let _ = report.send(cause);
            }
        });
        Ok(Self { task, failure, stop, drain })
    }

    /// Resolves when the cloud side has failed for good.
    pub(crate) async fn failed(&mut self) -> RunError {
        match (&mut self.failure).await {
            Ok(cause) => cause,
            // It ended without a failure: it was stopped.
            Err(_) => std::future::pending().await,
        }
    }

    /// Sends what waits within `drain`, says goodbye, and ends.
    pub(crate) async fn stop(mut self, drain: Duration) {
        let _ = self.drain.set(drain);
        self.stop.cancel();
        if timeout(drain + Duration::from_secs(3), &mut self.task).await.is_err() {
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
    drain: Arc<std::sync::OnceLock<Duration>>,
}

impl Worker {
    async fn run(self, stored: Stored) -> Result<(), RunError> {
        let (identity, proven) = match stored {
            Stored::Active(identity) => (identity, true),
            Stored::Registered(identity) => (identity, false),
            _ => {
                let obtained = tokio::select! {
                    obtained = self.obtain() => obtained?,
                    () = self.stop.cancelled() => return Ok(self.account()),
                };
                (obtained, false)
            }
        };
        let courier = self.courier(&identity);
        tokio::select! {
            () = courier.link_up() => {
                if !proven {
                    self.plan.store.promote(&identity).map_err(RunError::Store)?;
                }
                self.stop.cancelled().await;
            }
            () = self.stop.cancelled() => {}
        }
        courier.stop(self.drain.get().copied().unwrap_or_default()).await;
        self.account();
        Ok(())
    }

    /// Trades the claim for an identity.
    async fn obtain(&self) -> Result<Identity, RunError> {
        let Some(claim) = &self.plan.claim else { return Err(RunError::NoIdentity) };
        let claim = self.claim(claim)?;
        let stages = self.stages.clone();
        let on_stage = move |stage| match stage {
            ProvisioningStage::ClaimConnected => stages.report(Stage::ClaimConnected),
            ProvisioningStage::CertificateIssued { certificate_id } => {
                stages.report(Stage::CertificateIssued { certificate_id: certificate_id.to_string() });
            }
            ProvisioningStage::ThingRegistered { thing_name } => {
                stages.report(Stage::ThingRegistered { thing_name: thing_name.to_string() });
            }
            // Stages of a later version of the provisioning crate.
            _ => {}
        };
        provision(&*self.plan.connector, &claim, &*self.plan.store, &on_stage).await.map_err(RunError::Provisioning)
    }

    fn claim(&self, plan: &ClaimPlan) -> Result<Claim, RunError> {
        let mut parameters = plan.parameters.clone();
        if parameters.is_empty() {
            let serial = serial::serial_number(&self.state_dir)
                .map_err(|source| RunError::State { path: self.state_dir.clone(), source })?;
            parameters = BTreeMap::from([("SerialNumber".to_owned(), serial)]);
        }
        let CloudPlan { endpoint, roots, .. } = &self.plan;
        let claim = Claim::new(endpoint.clone(), roots.clone(), plan.credentials.clone(), plan.template.clone());
        Ok(claim.parameters(parameters))
    }

    /// Starts to carry events to the topic named after the Thing, with the Thing name as client id.
    fn courier(&self, identity: &Identity) -> RunningCourier {
        let thing = identity.thing_name();
        let options =
            ConnectOptions::new(self.plan.endpoint.clone(), thing.to_client_id(), identity.credentials().clone())
                .roots(self.plan.roots.clone());
        let courier =
            Courier::builder(Arc::clone(&self.plan.connector), options, thing.to_topic(), Arc::clone(&self.outbox));
        // Said once: what comes and goes later is a matter for the log.
        let (stages, name, said) = (self.stages.clone(), thing.to_string(), Once::new());
        let on_link = move |link| {
            if link == Link::Up {
                said.call_once(|| stages.report(Stage::DeviceConnected { thing_name: name.clone() }));
            }
        };
        courier.pace(self.plan.pace).on_link(on_link).start()
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
