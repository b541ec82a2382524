//! Where an identity is kept, and what of it survives a kill at any point.

mod directory;
mod disk;
mod error;
mod memory;

use std::time::SystemTime;

use aether_mqtt::PrivateKey;
pub use directory::{DirectoryStore, check_secret_file};
#[cfg(any(test, feature = "test-util"))]
pub use disk::simulated;
pub use error::{Fault, Finding, StoreError};
pub use memory::MemoryStore;

use crate::{Identity, IssuedCertificate};

/// Keeps a device's identity across restarts.
///
/// The order of the calls is the order of the flow: [`prepare`](Self::prepare), [`stage_key`](Self::stage_key) where the
/// device makes its own key, [`stage_issued`](Self::stage_issued), [`stage_registered`](Self::stage_registered), then
/// [`promote`](Self::promote) once the identity has connected, and [`confirm`](Self::confirm) once an event was
/// acknowledged under it. A rotation is the same flow beside an active identity, which stays what it is until `promote`.
///
/// When a call returns `Ok`, what it was given survives a kill or power cut; when it fails or never returns, what was
/// there before is still there. The calls block, for a few disk writes: the driver makes them on a thread that may.
#[cfg_attr(test, mockall::automock)]
pub trait IdentityStore: Send + Sync + 'static {
    /// What is kept, checked: certificate and key belong together, the certificate is valid at `now`, names are names.
    ///
    /// What is damaged is passed over and told as a [`Finding`]: an active identity that cannot be used gives its place
    /// to the previous one. Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the place cannot be read at all, or if what is there may be read by others.
    fn load(&self, now: SystemTime) -> Result<Contents, StoreError>;

    /// Makes sure, before anything is asked of the cloud, that this process alone writes here and that there is room.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if another process provisions here, or if nothing can be written.
    fn prepare(&self) -> Result<(), StoreError>;

    /// Keeps the private key that the certificate will be asked for with. Replaces one kept earlier.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be kept.
    fn stage_key(&self, key: &PrivateKey) -> Result<(), StoreError>;

    /// Keeps a certificate that was issued, before RegisterThing is asked for it. Replaces one staged earlier, and the
    /// staged key, which is now its own.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be kept.
    fn stage_issued(&self, issued: &IssuedCertificate) -> Result<(), StoreError>;

    /// Keeps an identity that is registered and has not yet connected. Its token is spent and goes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be kept.
    fn stage_registered(&self, identity: &Identity) -> Result<(), StoreError>;

    /// Makes an identity the active one, after its first good connect. The one before is kept as the previous one, and
    /// the new one counts as unconfirmed. Of an identity that is active already it only clears away what a kill left.
    /// Of the previous one it takes the last promotion back: the two change places.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be made active.
    fn promote(&self, identity: &Identity) -> Result<(), StoreError>;

    /// Notes that the active identity has carried an event (PUBACK): a rotation to it is over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be noted.
    fn confirm(&self) -> Result<(), StoreError>;

    /// Forgets what is staged: key, issued certificate and registered identity. The active one stays.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be removed.
    fn discard_staged(&self) -> Result<(), StoreError>;
}

/// What an [`IdentityStore`] holds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Contents {
    /// What is in use.
    pub active: Option<Identity>,
    /// Whether no event was acknowledged yet under the active identity since it took over from a previous one.
    pub unconfirmed: bool,
    /// What was in use before.
    pub previous: Option<Identity>,
    /// What is under way: a first identity, or the next one.
    pub staged: Staged,
    /// What was found damaged and passed over, worst first.
    pub findings: Vec<Finding>,
}

impl Contents {
    /// The finding that says that an identity is there whose private key is not to be had just now, such as one in a
    /// token that is unplugged: no reason to claim another identity. `None` where there is an active one.
    #[must_use]
    pub fn key_away(&self) -> Option<&Finding> {
        let away = |finding: &&Finding| finding.what == ACTIVE && matches!(finding.fault, Fault::Key(_));
        self.findings.iter().find(away).filter(|_| self.active.is_none())
    }
}

/// What a [`Finding`] calls the identity in use.
const ACTIVE: &str = "the active identity";

/// How far the identity under way has come.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "these are the stages of the flow, and who loads them must handle each")]
pub enum Staged {
    /// Nothing is under way.
    #[default]
    Nothing,
    /// The device has made its key and may have asked for a certificate.
    Key(PrivateKey),
    /// A certificate was issued and is not registered yet.
    Issued(IssuedCertificate),
    /// An identity is registered and has not yet connected.
    Registered(Identity),
}
