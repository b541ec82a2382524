//! Where an identity is kept, and what of it survives a kill at any point.

mod directory;
mod files;
mod memory;

use std::io;
use std::path::PathBuf;

pub use directory::DirectoryStore;
pub use memory::MemoryStore;

use crate::{Identity, IssuedCertificate};

/// Keeps a device's identity across restarts.
///
/// The order of the calls is the order of the flow: [`stage_issued`](Self::stage_issued), then
/// [`stage_registered`](Self::stage_registered), then [`promote`](Self::promote) once the identity has connected.
/// When a call returns `Ok`, what it was given survives a kill or power cut; when it fails or never returns, what was
/// there before is still there. The calls block, for a few disk writes.
#[cfg_attr(test, mockall::automock)]
pub trait IdentityStore: Send + Sync {
    /// What is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if something is there but cannot be read or used. Nothing there is no error:
    /// [`Stored::Empty`].
    fn load(&self) -> Result<Stored, StoreError>;

    /// Keeps a certificate that was issued, before RegisterThing is asked for it. Replaces one staged earlier; an
    /// active identity stays.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be kept.
    fn stage_issued(&self, issued: &IssuedCertificate) -> Result<(), StoreError>;

    /// Keeps an identity that is registered and has not yet connected.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be kept.
    fn stage_registered(&self, identity: &Identity) -> Result<(), StoreError>;

    /// Makes an identity the active one, after its first good connect. The one before is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be made active.
    fn promote(&self, identity: &Identity) -> Result<(), StoreError>;
}

/// What an [`IdentityStore`] holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Stored {
    /// Nothing: the device has to claim an identity.
    Empty,
    /// A certificate that is not registered yet.
    Issued(IssuedCertificate),
    /// An identity that is registered and has not yet connected.
    Registered(Identity),
    /// The identity in use.
    Active(Identity),
}

/// Why an identity could not be loaded or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system failed.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was being done, such as "write".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is there, but not as it was written.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
