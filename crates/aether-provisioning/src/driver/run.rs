//! The loop: one action after the other, and what came of it back into the machine.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;

use aether_mqtt::{Connector, Session};

use super::{Adoption, OnStage, Provisioned};
use crate::flow::{Action, Input, Now, Provisioner};
use crate::stage::Stage;
use crate::{Claim, Identity, IdentityStore, ProvisionError};

/// A machine with what it acts on.
pub(super) struct Driver<'a> {
    pub(super) machine: Provisioner,
    pub(super) connector: &'a dyn Connector,
    pub(super) claim: Option<&'a Claim>,
    pub(super) adoption: Option<&'a Adoption>,
    pub(super) found: Option<Stage>,
    pub(super) store: &'a Arc<dyn IdentityStore>,
    pub(super) on_stage: OnStage<'a>,
    pub(super) session: Option<Box<dyn Session>>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        machine: Provisioner,
        connector: &'a dyn Connector,
        claim: Option<&'a Claim>,
        store: &'a Arc<dyn IdentityStore>,
        on_stage: OnStage<'a>,
    ) -> Self {
        Self { machine, connector, claim, adoption: None, found: None, store, on_stage, session: None }
    }

    /// Until the machine is done, has failed for good, or `stop` resolves.
    pub(super) async fn run_until(
        mut self,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Option<Provisioned>, ProvisionError> {
        let outcome = {
            let (mut run, mut stop) = (pin!(self.run()), pin!(stop));
            tokio::select! {
                biased;
                outcome = &mut run => outcome.map(Some),
                () = &mut stop => Ok(None),
            }
        };
        match outcome {
            Ok(Some(identity)) => Ok(Some(Provisioned { identity, session: self.session })),
            other => {
                self.disconnect().await;
                other.map(|_| None)
            }
        }
    }

    async fn run(&mut self) -> Result<Identity, ProvisionError> {
        loop {
            let input = match self.machine.poll() {
                None => self.wait().await,
                Some(Action::Prepare { own_key }) => self.prepare(own_key).await,
                Some(Action::Connect(login)) => self.connect(login).await,
                Some(Action::Subscribe(filter)) => self.subscribe(filter).await,
                Some(Action::Publish { topic, payload }) => match self.publish(&topic, payload) {
                    Some(input) => input,
                    None => continue,
                },
                Some(Action::Persist(record)) => self.persist(record).await,
                Some(Action::Disconnect) => {
                    self.disconnect().await;
                    continue;
                }
                Some(Action::Report { error, retry_in }) => {
                    tracing::warn!(?retry_in, error = &error as &dyn Error, "could not provision");
                    (self.on_stage)(Stage::Waiting { because: error.to_string(), retry_in });
                    continue;
                }
                Some(Action::Done(identity)) => return Ok(identity),
            };
            if matches!(input, Input::Disconnected(_)) {
                self.session = None;
            }
            self.machine.handle(now(), input)?;
        }
    }
}

/// The time, and a random number.
pub(super) fn now() -> Now {
    let random = getrandom::u64().unwrap_or(u64::MAX);
    // Tokio's clock, so that a test may pause it.
    Now { instant: tokio::time::Instant::now().into_std(), wall: SystemTime::now(), random }
}
