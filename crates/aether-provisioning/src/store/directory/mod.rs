//! An identity store in a directory.

mod files;
mod keep;
mod layout;
mod load;
mod lock;
mod permissions;
mod records;
mod sweep;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use aether_mqtt::PrivateKey;
pub use permissions::check_secret_file;

use self::files::Files;
use self::layout::Layout;
use self::lock::Lock;
use super::disk::{Disk, RealDisk};
use super::{Contents, IdentityStore, StoreError};
use crate::{CertificateId, Identity, IdentityFiles, IssuedCertificate, KeySource};

/// Keeps the identity in files of one directory.
///
/// ```text
/// <path>/
///   active            certificate id of the identity in use
///   previous          … of the one before it
///   pending           … of the one that is being made
///   unconfirmed       "<new> <old>": <new> took over from <old>, and no event was acknowledged under it yet
///   staged.key        a key made here to which there is no certificate yet,
///     or staged.locator                                       or where it is, such as a PKCS#11 URI
///   lock              held by the process that writes here
///   identities/<certificate id>/
///     certificate.pem
///     private.key     or key.locator
///     issued.json     ownership token and time of issue, until the Thing is registered
///     identity.json   Thing name and device configuration, from then on
/// ```
///
/// Every file is written beside its place, synced, renamed into it, and the directory synced. A key is written once,
/// before its certificate, and not again. Whatever takes several files takes effect with one rename: what `pending` and
/// `active` come to point at is complete before, and what they replace is removed after. So a kill, a power cut or a
/// full disk at any instant leaves what was there before the call or what it was to make:
///
/// | call | takes effect with | a kill before it leaves | a kill after it leaves besides |
/// | --- | --- | --- | --- |
/// | `stage_key` | rename to `staged.key`, or removal of `pending` | what was staged before | nothing |
/// | `stage_issued` | rename to `pending` | what was staged before; a directory nothing points at | the staged key, not seen |
/// | `stage_registered` | rename to `identity.json`, or to `pending` | the issued certificate | its spent token, not seen |
/// | `promote` | rename to `active` | the old identity, and the new one registered | `pending`, not seen |
/// | `confirm` | removal of `unconfirmed` | unconfirmed | nothing |
/// | `discard_staged` | removal of `pending`, or of `staged.key` | what was staged, perhaps without the key it replaced | nothing |
///
/// What is left besides is cleared away by the next call that writes. What nothing points at is removed with it, unless
/// it is damaged: that is left for a person to look at and to remove (`rm -r` of its directory under `identities`), and
/// a warning in the log names it each time. No pointer is ever set to what is damaged.
///
/// # Who may look
///
/// Files have mode 0600 and directories 0700 from the moment they exist. What is found wider, so that others could read
/// a secret or change a file, is an error that names the path, the mode and the remedy; so is what belongs to another
/// user than that of this process. A symbolic link in the place of a file is damage. The store's own directory may have
/// been made by somebody else for this user: it may be a symbolic link, and others may look into it (0755), not write.
///
/// # One writer
///
/// The first call that writes takes the lock, for as long as the store or a clone of it lives; it is free again when the
/// process ends, however it ends. [`load`](IdentityStore::load) needs no lock and changes nothing.
///
/// # Expiry
///
/// An identity whose certificate is over is passed over as damage is, unless the clock shows a time before 2026: then it
/// was never set. A certificate whose time is still to come is taken: a clock that is behind is the likelier reason.
#[derive(Clone)]
pub struct DirectoryStore {
    layout: Layout,
    disk: Arc<dyn Disk>,
    keys: Option<Arc<dyn KeySource>>,
    lock: Lock,
}

impl DirectoryStore {
    /// A store in `path`. Nothing is created before something is to be kept.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::on(Arc::new(RealDisk), path.into())
    }

    pub(crate) fn on(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Self { layout: Layout::new(root), disk, keys: None, lock: Lock::default() }
    }

    /// Where keys are found again that are not kept here but in a token. Default: nowhere; an identity with such a key
    /// then counts as damaged.
    #[must_use]
    pub fn keys(mut self, keys: Arc<dyn KeySource>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The directory of this store.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.layout.root()
    }

    /// Where the certificate and key of an identity of this store are. There is no such key file where the key stays in
    /// a token.
    #[must_use]
    pub fn files_of(&self, id: &CertificateId) -> IdentityFiles {
        let home = self.layout.home(id);
        IdentityFiles::new(home.join(layout::CERTIFICATE), home.join(layout::KEY.pem))
    }

    /// Where a key of the device's own is, before there is a certificate to it.
    #[must_use]
    pub fn staged_key_file(&self) -> PathBuf {
        self.layout.file(layout::STAGED.pem)
    }

    fn files(&self) -> Files<'_> {
        Files { disk: &*self.disk, layout: &self.layout, keys: self.keys.as_deref() }
    }

    /// Lets one call write, on a directory that is this process's alone.
    fn writing<T>(&self, work: impl FnOnce(Files<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut turn = self.lock.turn();
        let files = self.files();
        files.root()?;
        lock::take(&mut turn, &*self.disk, &self.layout)?;
        work(files)
    }
}

impl IdentityStore for DirectoryStore {
    fn load(&self, now: SystemTime) -> Result<Contents, StoreError> {
        let _turn = self.lock.turn();
        self.files().load(now)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.writing(|store| {
            // Any file that is too open is to be mended before it is added to.
            store.load(SystemTime::UNIX_EPOCH)?;
            store.sweep();
            lock::probe(store.disk, store.layout)
        })
    }

    fn stage_key(&self, key: &PrivateKey) -> Result<(), StoreError> {
        self.writing(|store| store.stage_key(key))
    }

    fn stage_issued(&self, issued: &IssuedCertificate) -> Result<(), StoreError> {
        self.writing(|store| store.stage_issued(issued))
    }

    fn stage_registered(&self, identity: &Identity) -> Result<(), StoreError> {
        self.writing(|store| store.stage_registered(identity))
    }

    fn promote(&self, identity: &Identity) -> Result<(), StoreError> {
        self.writing(|store| store.promote(identity))
    }

    fn confirm(&self) -> Result<(), StoreError> {
        self.writing(|store| store.confirm())
    }

    fn discard_staged(&self) -> Result<(), StoreError> {
        self.writing(|store| store.discard_staged())
    }
}

impl fmt::Debug for DirectoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryStore").field("path", &self.path()).finish_non_exhaustive()
    }
}
