//! The runtime: starts the plant side at once, the cloud side beside it, and stops both in order.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use aether_opcua::{BoundServer, OpcUaServer, RunningServer};
use aether_outbox::{Limits, MemoryJournal, Outbox};
use aether_sigil::SigilSet;
use aether_weave::WeaveSet;
use tokio::sync::{Mutex, broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    builder::NexusBuilder,
    check::Plan,
    cloud::{Cloud, IdentityStatus, RotateError, RotationRequest, StatusBoard, Surroundings},
    control::ControlServer,
    error::{BuildError, RunError},
    shutdown,
    sink::OutboxSink,
    stage::{Stage, StageSink},
    state::{LockError, StateLock},
};

/// Longest time for each part of an orderly stop.
const WEAVES_STOP: Duration = Duration::from_secs(5);
const OPC_UA_STOP: Duration = Duration::from_secs(2);

/// How many stages somebody who asked for a rotation may be behind.
const STAGES_TOLD: usize = 32;

/// A runtime that is checked and not yet running.
#[derive(Debug)]
#[must_use = "a Nexus does nothing until `run` is awaited"]
pub struct Nexus {
    plan: Plan,
    sigils: Arc<SigilSet>,
    weaves: WeaveSet,
    stages: StageSink,
    outbox: Option<Arc<Outbox>>,
    handle: NexusHandle,
    requests: mpsc::Receiver<RotationRequest>,
}

/// Asks and steers a [`Nexus`] from elsewhere. Clones are of the same one.
#[derive(Clone, Debug)]
pub struct NexusHandle {
    stop: CancellationToken,
    status: StatusBoard,
    requests: mpsc::Sender<RotationRequest>,
}

impl NexusHandle {
    /// Asks the runtime to stop in order; [`Nexus::run`] returns when it has.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Who this device is: `None` while it has no identity that has connected.
    pub fn identity(&self) -> Option<IdentityStatus> {
        self.status.now()
    }

    /// Waits until the device has an identity.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn wait_identity(&self) -> IdentityStatus {
        self.status.wait().await
    }

    /// Replaces the device's identity by a new one now: new key, new certificate, proven by connecting. Events wait
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// [`RotateError`]; the identity in use stays.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the rotation goes on without anybody being told.
    pub async fn rotate(&self) -> Result<IdentityStatus, RotateError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(reply).await.map_err(|_| RotateError::NoCloud)?;
        answer.await.map_err(|_| RotateError::NoCloud)?
    }
}

impl Nexus {
    /// Starts to describe a runtime.
    pub fn builder() -> NexusBuilder {
        NexusBuilder::default()
    }

    pub(crate) fn new(plan: Plan, sigils: SigilSet, weaves: WeaveSet, stages: StageSink) -> Result<Self, BuildError> {
        // Without a cloud nobody would ever take the events out.
        let outbox = plan.cloud.is_some().then(|| Arc::new(Outbox::new(MemoryJournal::new(Limits::default()))));
        if let Some(outbox) = &outbox {
            let sink = Arc::new(OutboxSink(Arc::clone(outbox)));
            for sigil in sigils.as_slice() {
                sigil.attach_sink(sink.clone()).map_err(BuildError::SigilTaken)?;
            }
        }
        let (sender, requests) = mpsc::channel(1);
        let handle = NexusHandle { stop: CancellationToken::new(), status: StatusBoard::default(), requests: sender };
        Ok(Self { plan, sigils: Arc::new(sigils), weaves, stages, outbox, handle, requests })
    }

    /// Returns a handle that asks and steers this runtime.
    pub fn handle(&self) -> NexusHandle {
        self.handle.clone()
    }

    /// Runs until SIGTERM, SIGINT (Ctrl-C) or [`NexusHandle::stop`], then stops in order: Weaves,
    /// OPC UA sessions, what is queued for the cloud, the MQTT session. Each part has a bound of a
    /// few seconds; a second signal ends it at once.
    ///
    /// # Errors
    ///
    /// The OPC UA server cannot listen or ends by itself; `state_dir` cannot be used; or the cloud has
    /// refused the device for good while it had no identity yet: such a device is not commissioned, and
    /// its plant side ends with it. Once there is an identity, nothing that happens in the cloud ends
    /// the runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it runs, everything ends at once; identities already stored stay intact,
    /// events that are not delivered are lost.
    pub async fn run(self) -> Result<(), RunError> {
        let signals = shutdown::Signals::listen().map_err(RunError::Signals)?;
        let stop = self.handle.stop.clone();
        let run = self.run_until(signals.first());
        tokio::select! {
            outcome = run => outcome,
            () = async { stop.cancelled().await; signals.second().await } => {
                warn!("stopped at once by a second signal");
                Ok(())
            }
        }
    }

    /// As [`run`](Self::run), but until `shutdown` resolves instead of a signal: for programs that
    /// have signals of their own.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// As for [`run`](Self::run).
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let Self { plan, sigils, weaves, stages, outbox, handle, requests } = self;
        let NexusHandle { stop, status, .. } = handle.clone();
        if !plan.guarded {
            warn!("no `token_key` is configured: whoever can run this program can start it");
        }
        // In this order: a port in use is told before anything is written, and a state directory that
        // cannot be used before anything is served.
        let bound = bind_opc_ua(&plan, sigils).await?;
        let lock = plan.cloud.as_ref().filter(|_| plan.owns_state).map(|_| lock(&plan.state_dir)).transpose()?;
        let (told, _) = broadcast::channel(STAGES_TOLD);
        let stages = stages.telling(told.clone());
        let opc_ua = start_opc_ua(bound, &stages);
        let weaves = weaves.start();
        let control_dir = plan.state_dir.clone();
        let mut cloud = match (plan.cloud, outbox) {
            (Some(cloud), Some(outbox)) => {
                let (state_dir, requests) = (plan.state_dir.clone(), Mutex::new(requests));
                Some(Cloud::start(cloud, Surroundings { state_dir, outbox, stages, status, requests }))
            }
            _ => {
                // Who asks for a rotation is told that there is nothing to rotate.
                drop(requests);
                info!("no `aws_iot.endpoint` is configured: events go nowhere");
                None
            }
        };

        // Gone before the lock is: whoever holds the lock may replace the socket.
        let _control = lock.as_ref().and_then(|_| ControlServer::start(&control_dir, handle, told));

        let outcome = tokio::select! {
            () = shutdown => Ok(()),
            () = stop.cancelled() => Ok(()),
            ended = opc_ua.ended() => ended.map_err(RunError::OpcUa),
            failed = failed(cloud.as_mut()) => Err(failed),
        };
        // From here on a signal is the second one.
        stop.cancel();

        info!("stopping");
        for label in weaves.stop(WEAVES_STOP).await {
            warn!(weave = %label, "weave did not end in time and was ended");
        }
        opc_ua.stop(OPC_UA_STOP).await;
        if let Some(cloud) = cloud {
            cloud.stop().await;
        }
        info!("stopped");
        outcome
    }
}

/// Takes the state directory for this process.
pub(crate) fn lock(state_dir: &Path) -> Result<StateLock, RunError> {
    let path = state_dir.to_owned();
    StateLock::take(state_dir).map_err(|cause| match cause {
        LockError::InUse => RunError::StateInUse { path },
        LockError::Io(source) => RunError::State { path, source },
    })
}

async fn bind_opc_ua(plan: &Plan, sigils: Arc<SigilSet>) -> Result<BoundServer, RunError> {
    let settings = &plan.opc_ua;
    let mut builder = OpcUaServer::builder(settings.url.clone(), sigils).pki_dir(plan.state_dir.join("opcua"));
    if let Some(device_id) = &settings.device_id {
        builder = builder.device_id(device_id);
    }
    if let Some(namespace) = &settings.namespace {
        builder = builder.namespace(namespace);
    }
    if let Some(security) = settings.security {
        builder = builder.security(security);
    }
    if let Some(anonymous) = settings.anonymous {
        builder = builder.anonymous(anonymous);
    }
    if let Some(certificates) = settings.client_certificates {
        builder = builder.client_certificates(certificates);
    }
    builder.bind().await.map_err(RunError::OpcUaStart)
}

fn start_opc_ua(bound: BoundServer, stages: &StageSink) -> RunningServer {
    let url = bound.url().to_string();
    if bound.is_open() {
        warn!(url, "OPC UA is open: security policy None, anonymous read and write; configure `[opc_ua]` to close it");
    }
    let running = bound.start();
    stages.report(Stage::OpcUaListening { url });
    running
}

/// Resolves when the cloud side has failed for good; never without a cloud side.
async fn failed(cloud: Option<&mut Cloud>) -> RunError {
    match cloud {
        Some(cloud) => cloud.failed().await,
        None => std::future::pending().await,
    }
}
