//! The loop around the machine: the only place with a connection, a store and a clock.
//!
//! Here are the ways in; `run` is the loop, a screen long, and `act` does what the machine says.

mod act;
mod adoption;
mod run;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use act::blocking;
pub use adoption::Adoption;
use aether_mqtt::{Connector, Session};
use run::{Driver, now};

use crate::flow::{Provisioner, Record, Start};
use crate::stage::Stage;
use crate::{Claim, Contents, Identity, IdentityStore, ProvisionError, Staged};

/// What provisioning ends with.
#[non_exhaustive]
pub struct Provisioned {
    /// The identity, which has connected, and is the active one in the store.
    pub identity: Identity,
    /// The connection that proved it, with the Thing name as client id: to go on with, as AWS IoT Core takes one
    /// CONNECT per second and client id. `None` where the identity was active already.
    pub session: Option<Box<dyn Session>>,
}

impl Provisioned {
    /// An identity that is active already, and has no connection yet.
    #[must_use]
    pub fn active(identity: Identity) -> Self {
        Self { identity, session: None }
    }
}

impl fmt::Debug for Provisioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioned").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The stages of a run, as they are reached. Calls come from within and must be quick.
pub type OnStage<'a> = &'a (dyn Fn(Stage) + Send + Sync);

/// Claims an identity, proves it by connecting with it, and returns once it is the active one in `store`.
///
/// An active identity is returned without a connection. What an earlier run left is gone on with: a key that was made, a
/// certificate that was issued, an identity that was registered. Failures that another attempt may mend are logged and
/// tried again as [`RetryPolicy`](crate::RetryPolicy) says.
///
/// # Errors
///
/// A [`ProvisionError`] that is final: see [`ProvisionError::is_retryable`].
///
/// # Cancel safety
///
/// Cancel safe: what was persisted stays, and the next call goes on from there. A write to the store that was under way
/// is finished.
pub async fn provision(
    connector: &dyn Connector,
    claim: &Claim,
    store: &Arc<dyn IdentityStore>,
    on_stage: OnStage<'_>,
) -> Result<Provisioned, ProvisionError> {
    loop {
        // It is stopped by nothing.
        if let Some(done) = provision_until(connector, claim, store, on_stage, std::future::pending()).await? {
            return Ok(done);
        }
    }
}

/// As [`provision`], until `stop` resolves: then the session says goodbye to the broker, and `None` is returned.
///
/// # Errors
///
/// As for [`provision`].
///
/// # Cancel safety
///
/// As for [`provision`]; dropped, the session is closed without a goodbye.
pub async fn provision_until(
    connector: &dyn Connector,
    claim: &Claim,
    store: &Arc<dyn IdentityStore>,
    on_stage: OnStage<'_>,
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Provisioned>, ProvisionError> {
    let contents = contents(store).await?;
    if let Some(identity) = contents.active {
        return Ok(Some(Provisioned::active(identity)));
    }
    let found = found(&contents.staged);
    let machine = Provisioner::new(claim, start(contents.staged), now());
    let mut driver = Driver::new(machine, connector, Some(claim), store, on_stage);
    driver.found = found;
    driver.run_until(stop).await
}

/// Obtains the next identity of a device that has one, beside it: a rotation.
///
/// `claim` is either the claim that the device began with or [`Claim::by_device`]. `None` when it was stopped.
///
/// # Errors
///
/// As for [`provision`], and [`ProvisionError::OtherThing`]. The active identity is then what it was; what is staged of
/// the next one is kept where it can be gone on with, and discarded where the error is final.
///
/// # Cancel safety
///
/// As for [`provision_until`].
pub async fn renew_until(
    connector: &dyn Connector,
    claim: &Claim,
    current: &Identity,
    store: &Arc<dyn IdentityStore>,
    on_stage: OnStage<'_>,
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Provisioned>, ProvisionError> {
    let contents = contents(store).await?;
    let found = found(&contents.staged);
    let machine = Provisioner::renew(claim, current.thing_name(), start(contents.staged), now());
    let mut driver = Driver::new(machine, connector, Some(claim), store, on_stage);
    driver.found = found;
    let outcome = driver.run_until(stop).await;
    // What this machine lacks says nothing about what was obtained.
    let ours = |error: &ProvisionError| {
        matches!(error, ProvisionError::Store(_) | ProvisionError::Key(_) | ProvisionError::KeyAway(_))
    };
    if outcome.as_ref().is_err_and(|error| !ours(error)) {
        // It would be gone on with for ever, and refused for ever.
        blocking(store, |store| store.discard_staged()).await.map_err(ProvisionError::Store)?;
    }
    outcome
}

/// Proves an identity that was made elsewhere (files given by hand, a certificate under a CA that is registered in the
/// cloud) and makes it the active one. `None` when it was stopped.
///
/// # Errors
///
/// As for [`provision`]; [`ProvisionError::GaveUp`] when the cloud refused it for as long as `adoption` allows.
///
/// # Cancel safety
///
/// As for [`provision_until`].
pub async fn adopt_until(
    connector: &dyn Connector,
    adoption: &Adoption,
    identity: Identity,
    store: &Arc<dyn IdentityStore>,
    on_stage: OnStage<'_>,
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Provisioned>, ProvisionError> {
    let machine = Provisioner::adopt(identity, adoption.retry_policy(), adoption.activation_limit(), now());
    let mut driver = Driver::new(machine, connector, None, store, on_stage);
    driver.adoption = Some(adoption);
    driver.run_until(stop).await
}

async fn contents(store: &Arc<dyn IdentityStore>) -> Result<Contents, ProvisionError> {
    let contents = blocking(store, |store| store.load(SystemTime::now())).await.map_err(ProvisionError::Store)?;
    for finding in &contents.findings {
        tracing::error!(error = finding as &dyn Error, "passed over");
    }
    if let Some(finding) = contents.key_away() {
        return Err(ProvisionError::KeyAway(finding.clone()));
    }
    Ok(contents)
}

fn start(staged: Staged) -> Start {
    match staged {
        Staged::Nothing | Staged::Key(_) => Start::Empty,
        Staged::Issued(issued) => Start::Issued(issued),
        Staged::Registered(identity) => Start::Registered(identity),
    }
}

/// The stage that an earlier run has reached and told.
fn found(staged: &Staged) -> Option<Stage> {
    match staged {
        Staged::Nothing | Staged::Key(_) => None,
        Staged::Issued(issued) => Some(Stage::from(&Record::Issued(issued.clone()))),
        Staged::Registered(identity) => Some(Stage::from(&Record::Registered(identity.clone()))),
    }
}
