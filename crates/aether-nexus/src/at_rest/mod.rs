//! A device that does not run: looked at, exported, rotated.

mod export;
mod report;

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    time::SystemTime,
};

use aether_provisioning::{DirectoryStore, ExportError, IdentityStore, StoreError};
use tokio_util::sync::CancellationToken;

pub use self::{
    export::ExportedIdentity,
    report::{IdentityState, StoredCertificate, StoredIdentities, StoredIdentity, StoredKey},
};
use crate::{
    builder::NexusBuilder,
    check,
    cloud::{IdentityStatus, RotateError, rotate_at_rest},
    error::{BuildError, RunError},
    nexus::lock,
};

/// What can be done to a device by its settings and its state directory alone: nothing is served, no Weave ticks, and no
/// event is carried.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let state = directory.path().join("state");
/// use aether_nexus::Nexus;
///
/// let device = Nexus::builder().state_dir(state).at_rest();
/// let stored = device.identities()?;
/// assert!(stored.active.is_none(), "it was never provisioned");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DeviceAtRest {
    builder: NexusBuilder,
}

/// Why something could not be done to a device that does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AtRestError {
    /// A setting cannot work.
    #[error(transparent)]
    Settings(BuildError),
    /// The state directory cannot be used, for example as the device runs.
    #[error(transparent)]
    State(RunError),
    /// The identity store cannot be read.
    #[error("setting `state_dir`: the identity in it cannot be used")]
    Store(#[source] StoreError),
    /// There is no identity.
    #[error("the device has no identity in {} yet: `aether run` obtains the first one", .0.display())]
    NoIdentity(PathBuf),
    /// The last rotation is not over.
    #[error(
        "no event was carried yet under the identity of the last rotation, and until then the one before is kept: \
         run the device first"
    )]
    Unconfirmed,
    /// There is no next identity.
    #[error(transparent)]
    Rotate(RotateError),
    /// It was asked to stop before it was done; the next try goes on from there.
    #[error("stopped before there was a new identity; the next try goes on from there")]
    Stopped,
    /// The identity cannot be exported.
    #[error("could not export the identity")]
    Export(#[source] ExportError),
}

impl AtRestError {
    /// Whether something on this side has to be changed before another try can succeed.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Store(_) | Self::NoIdentity(_) | Self::Unconfirmed | Self::Export(_) => true,
            Self::State(cause) => cause.is_configuration(),
            Self::Rotate(cause) => cause.is_configuration(),
            Self::Stopped => false,
        }
    }

    /// Whether the cloud has refused for good, so that something has to be changed there before another try can
    /// succeed.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Rotate(cause) => cause.is_refusal(),
            Self::Settings(_)
            | Self::State(_)
            | Self::Store(_)
            | Self::NoIdentity(_)
            | Self::Unconfirmed
            | Self::Stopped
            | Self::Export(_) => false,
        }
    }
}

impl NexusBuilder {
    /// The device of these settings, without running it.
    #[must_use]
    pub fn at_rest(self) -> DeviceAtRest {
        DeviceAtRest { builder: self }
    }
}

impl DeviceAtRest {
    /// The directory of everything that outlives the process.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        check::state_dir(&self.builder.settings)
    }

    /// Which identities are stored, and what of them is damaged. Changes nothing, and may be asked of a device that
    /// runs; blocks for a few reads.
    ///
    /// # Errors
    ///
    /// [`AtRestError::Store`] if the store cannot be read at all; [`AtRestError::Settings`] if what holds the keys cannot be
    /// used.
    pub fn identities(&self) -> Result<StoredIdentities, AtRestError> {
        let store = self.store(&self.state_dir())?;
        let contents = store.load(SystemTime::now()).map_err(AtRestError::Store)?;
        Ok(StoredIdentities::of(contents, &store))
    }

    /// Replaces the identity by a new one: new key, new certificate, proven by connecting. The one before is kept until
    /// the device has run and carried an event. What is reached on the way is told to the builder's observer.
    ///
    /// # Errors
    ///
    /// [`AtRestError`]; the identity in use stays. [`AtRestError::State`] if the device runs: then
    /// [`ControlClient`](crate::ControlClient) or [`NexusHandle::rotate`](crate::NexusHandle::rotate) does it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was reached is kept, and gone on with at the next try. When `stop` resolves it ends as well,
    /// with a goodbye to the broker.
    pub async fn rotate(self, stop: impl Future<Output = ()>) -> Result<IdentityStatus, AtRestError> {
        let NexusBuilder { settings, stages, seams, .. } = self.builder;
        let plan = check::plan(&settings, seams).map_err(AtRestError::Settings)?;
        let cloud = plan.cloud.ok_or_else(|| AtRestError::Settings(check::no_endpoint()))?;
        let _lock = plan.owns_state.then(|| lock(&plan.state_dir)).transpose().map_err(AtRestError::State)?;
        // Another process may have rotated it before the lock was taken.
        let contents = cloud.store.load(SystemTime::now()).map_err(AtRestError::Store)?;
        let current = contents.active.ok_or_else(|| AtRestError::NoIdentity(plan.state_dir.clone()))?;
        if contents.unconfirmed {
            return Err(AtRestError::Unconfirmed);
        }
        let stopped = CancellationToken::new();
        let mut rotation = pin!(rotate_at_rest(cloud, &current, plan.state_dir, stages, stopped.clone()));
        let rotated = tokio::select! {
            rotated = &mut rotation => rotated,
            () = stop => {
                stopped.cancel();
                rotation.await
            }
        };
        rotated.map_err(AtRestError::Rotate)?.ok_or(AtRestError::Stopped)
    }

    fn store(&self, state_dir: &Path) -> Result<DirectoryStore, AtRestError> {
        check::own_store(&self.builder.settings, state_dir).map_err(AtRestError::Settings)
    }
}
