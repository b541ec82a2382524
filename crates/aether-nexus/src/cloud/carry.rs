//! Events flow under one identity, until it is stopped or replaced.

use std::{
    sync::{Arc, Once},
    time::SystemTime,
};

use aether_delivery::{Courier, Link, RunningCourier};
use aether_mqtt::{ConnectOptions, Session};
use aether_provisioning::{Contents, Identity, IdentityStore, Provisioned, StoreError};
use tracing::{error, warn};

use super::{
    DRAIN, Worker,
    rotation::{Reply, RotationRequest},
};
use crate::{check::CloudPlan, stage::Stage};

/// How often in a row the broker may refuse an identity that has not carried an event yet.
const REFUSALS: u32 = 5;

/// Why events no longer flow under an identity.
pub(super) enum Carried {
    /// The runtime stops.
    Stopped,
    /// It is time for the next one, or somebody asked for it.
    Rotating {
        /// Who asked for it.
        reply: Reply,
        /// Whether the present identity has carried an event.
        confirmed: bool,
    },
    /// It does not work after all; the one before is active again.
    RolledBack(Provisioned),
}

impl Worker {
    /// Carries events under `identity`, over `session` first where there is one.
    pub(super) async fn carry(&self, identity: &Identity, session: Option<Box<dyn Session>>) -> Carried {
        let outbox = Arc::clone(&self.surroundings.outbox);
        let delivered_before = outbox.stats().acknowledged;
        let courier = self.courier(identity, session);
        let mut unconfirmed = self
            .store_call(|store| store.load(SystemTime::now()))
            .await
            .is_ok_and(|contents: Contents| contents.unconfirmed);
        let carried = loop {
            tokio::select! {
                () = self.stop.cancelled() => break Carried::Stopped,
                () = outbox.wait_acknowledged_beyond(delivered_before), if unconfirmed => {
                    unconfirmed = false;
                    if let Err(cause) = self.store_call(|store| store.confirm()).await {
                        error!(error = &cause as &dyn std::error::Error, "could not note that the identity carries events");
                    }
                }
                () = courier.refused(REFUSALS, self.plan.rotation.roll_back_after), if unconfirmed => match self.roll_back().await {
                    Some(previous) => break Carried::RolledBack(previous),
                    None => unconfirmed = false,
                },
                reply = self.rotation_due(identity, !unconfirmed) => break Carried::Rotating { reply, confirmed: !unconfirmed },
            }
        };
        // Before another connection takes the client id; what is not sent by then waits in the outbox.
        courier.stop(DRAIN).await;
        carried
    }

    /// The previous identity, active again; `None` if there is none whose time is not over.
    ///
    /// They change places: should the broker refuse the previous one too, they change back.
    async fn roll_back(&self) -> Option<Provisioned> {
        let rolled_back = self.store_call(|store| {
            let now = SystemTime::now();
            let previous = store.load(now)?.previous.filter(|one| one.credentials().not_after() > now);
            if let Some(previous) = &previous {
                store.promote(previous)?;
            }
            Ok(previous)
        });
        match rolled_back.await {
            Ok(Some(previous)) => {
                warn!(
                    certificate_id = %previous.certificate_id(),
                    "the new identity carries no event: going back to the one before"
                );
                Some(Provisioned::active(previous))
            }
            Ok(None) => {
                warn!("the identity carries no event, and the one before it has expired");
                None
            }
            Err(cause) => {
                error!(error = &cause as &dyn std::error::Error, "could not go back to the previous identity");
                None
            }
        }
    }

    /// Calls the store on a thread that may block.
    pub(super) async fn store_call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn IdentityStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.plan.store);
        match tokio::task::spawn_blocking(move || call(&*store)).await {
            Ok(outcome) => outcome,
            Err(gone) => match gone.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down, and this is never polled again.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Starts to carry events to the topic named after the Thing, with the Thing name as client id.
    fn courier(&self, identity: &Identity, session: Option<Box<dyn Session>>) -> RunningCourier {
        let thing = identity.thing_name();
        let CloudPlan { endpoint, roots, connector, pace, .. } = &self.plan;
        let options = ConnectOptions::new(endpoint.clone(), thing.to_client_id(), identity.credentials().clone());
        let options = options.roots(roots.clone());
        // Said once: what comes and goes later is a matter for the log.
        let (stages, name, said) = (self.surroundings.stages.clone(), thing.to_string(), Once::new());
        let on_link = move |link| {
            if link == Link::Up {
                said.call_once(|| stages.report(Stage::DeviceConnected { thing_name: name.clone() }));
            }
        };
        let outbox = Arc::clone(&self.surroundings.outbox);
        let mut courier = Courier::builder(Arc::clone(connector), options, thing.to_topic(), outbox);
        if let Some(session) = session {
            courier = courier.session(session);
        }
        courier.pace(*pace).on_link(on_link).start()
    }

    /// Waits for a request of a rotation; never resolves once nobody can make one.
    pub(super) async fn requested(&self) -> RotationRequest {
        match self.surroundings.requests.lock().await.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}
