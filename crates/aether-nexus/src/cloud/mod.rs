//! The cloud side: find or obtain an identity, carry events under it, and replace it in time.

mod at_rest;
mod carry;
mod obtain;
mod rotation;
mod status;

use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

use aether_outbox::Outbox;
use aether_provisioning::Provisioned;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use self::at_rest::rotate_at_rest;
pub(crate) use self::rotation::{Failed, RotationRequest};
pub(crate) use self::status::StatusBoard;
use self::{carry::Carried, rotation::Failing};
pub use self::{rotation::RotateError, status::IdentityStatus};
use crate::{check::CloudPlan, error::RunError, stage::StageSink};

/// The cloud side at work. Dropping it ends it at once.
#[derive(Debug)]
pub(crate) struct Cloud {
    task: JoinHandle<Result<(), RunError>>,
    stop: CancellationToken,
}

/// How long what waits is sent when the cloud side stops.
const DRAIN: Duration = Duration::from_secs(5);

/// What the cloud side needs besides its plan.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) state_dir: PathBuf,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) stages: StageSink,
    pub(crate) status: StatusBoard,
    /// Who asks for a rotation.
    pub(crate) requests: Mutex<mpsc::Receiver<RotationRequest>>,
}

impl Cloud {
    /// Starts it in a task.
    pub(crate) fn start(plan: CloudPlan, surroundings: Surroundings) -> Self {
        let stop = CancellationToken::new();
        let worker = Worker { plan, surroundings, stop: stop.clone() };
        Self { task: tokio::spawn(worker.run()), stop }
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

#[derive(Debug)]
struct Worker {
    plan: CloudPlan,
    surroundings: Surroundings,
    stop: CancellationToken,
}

impl Worker {
    async fn run(mut self) -> Result<(), RunError> {
        let mut next = self.obtain().await?;
        while let Some(Provisioned { identity, session, .. }) = next {
            self.surroundings.status.show(&identity);
            next = match self.carry(&identity, session).await {
                Carried::Stopped => None,
                Carried::Rotating { reply, confirmed } => {
                    if confirmed {
                        self.plan.rotation.failed = None;
                    }
                    self.rotate(identity, reply).await
                }
                Carried::RolledBack(previous) => {
                    self.plan.rotation.note_failure(Failing::ForLong);
                    Some(previous)
                }
            };
        }
        self.account();
        Ok(())
    }

    fn state_dir(&self) -> &Path {
        &self.surroundings.state_dir
    }

    /// Says how the outbox is left.
    fn account(&self) {
        let stats = self.surroundings.outbox.stats();
        if stats.waiting > 0 {
            warn!(undelivered = stats.waiting, "events that were not delivered are lost: the outbox is in memory");
        } else {
            info!(delivered = stats.acknowledged, "every event is delivered");
        }
    }
}
