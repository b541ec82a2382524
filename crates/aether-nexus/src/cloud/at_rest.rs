//! A rotation of a device that does not run: the same code as of one that does, without anything beside it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aether_outbox::{Limits, MemoryJournal, Outbox};
use aether_provisioning::{Identity, Provisioned};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::{IdentityStatus, RotateError, StatusBoard, Surroundings, Worker};
use crate::{check::CloudPlan, stage::StageSink};

/// Longest goodbye to the broker.
const GOODBYE: Duration = Duration::from_secs(1);

/// Obtains the identity after `current`; `None` if `stop` was cancelled before. Nothing is carried under it, so that
/// it counts as unconfirmed until the device runs.
pub(crate) async fn rotate_at_rest(
    plan: CloudPlan,
    current: &Identity,
    state_dir: PathBuf,
    stages: StageSink,
    stop: CancellationToken,
) -> Result<Option<IdentityStatus>, RotateError> {
    let (_nobody, requests) = mpsc::channel(1);
    let surroundings = Surroundings {
        state_dir,
        outbox: Arc::new(Outbox::new(MemoryJournal::new(Limits::default()))),
        stages,
        status: StatusBoard::default(),
        requests: Mutex::new(requests),
    };
    let worker = Worker { plan, surroundings, stop };
    let Some(Provisioned { identity, session, .. }) = worker.renew(current).await? else { return Ok(None) };
    if let Some(session) = session {
        session.disconnect(GOODBYE).await;
    }
    Ok(Some(IdentityStatus::from(&identity)))
}
