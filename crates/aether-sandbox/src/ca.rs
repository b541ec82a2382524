//! Customer CAs given as files: the way of those who have no control plane at hand.
//!
//! Each is one file named after its id in `DIR/customer-cas`. A running sandbox looks at the folder's
//! modification time before each handshake, and takes in what has changed: a new file is a registered
//! CA whose certificates are claims, a removed one is a CA deleted and its claims switched off.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::account::{Account, AccountError, CaStatus, CertificateMode, Change, NewCa};
use crate::disk::{self, Access};
use crate::error::Cause;
use crate::files::Layout;
use crate::pki::{Certificate, X509Error, check_ca};
use crate::{CaId, CertificateKind, CertificateStatus, RegisterCaError};

/// A folder changed this recently may change again within the same tick of its file system's clock,
/// so its modification time proves nothing yet.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Registers a customer CA with the sandbox that keeps its state in `dir`.
///
/// From then on a client certificate signed by it is a claim certificate there, also with a sandbox
/// that is running now. Registering the same CA again changes nothing. To take it back, remove its
/// file, `customer-cas/<id>.pem`: the CA is deleted and the claims it signed become inactive.
///
/// The certificate is version 3 with `CA:TRUE` (and `keyCertSign` where it has a key usage), or
/// version 1 and self-signed. Its key is RSA of 2048 to 8192 bits or ECDSA on P-256 or P-384, its
/// own signature uses SHA-256 or better: with another the sandbox could not check what it signed.
///
/// # Errors
///
/// [`RegisterCaError`]; all of them are final until the input changes.
pub fn register_ca(dir: &Path, pem: &[u8]) -> Result<CaId, RegisterCaError> {
    let layout = Layout::new(dir);
    if !layout.settings().exists() {
        return Err(RegisterCaError::NotASandbox { dir: dir.to_owned() });
    }
    let not_a_certificate = |cause: X509Error| RegisterCaError::NotACertificate(cause.into());
    let ca = Certificate::parse_pem(pem).map_err(not_a_certificate)?;
    check_ca(&ca)?;
    ca.check_dates(SystemTime::now())
        .map_err(|cause| RegisterCaError::NotValidNow { subject: ca.subject().to_owned(), source: cause.into() })?;
    let id = CaId::of_der(ca.der());
    let path = layout.customer_cas().join(format!("{id}.pem"));
    if !path.exists() {
        disk::write_atomic(&path, pem, Access::Shared).map_err(|source| RegisterCaError::Io { path, source })?;
    }
    Ok(id)
}

/// The folder, and what of it is in the account.
#[derive(Debug)]
pub(crate) struct CaFolder {
    folder: PathBuf,
    known: Mutex<Known>,
}

/// What was found in the folder when it was last read.
#[derive(Debug, Default)]
struct Known {
    /// The files taken in, or found unusable and reported.
    files: BTreeMap<PathBuf, Option<CaId>>,
    /// Modification time of the folder as it was read; `None` while it has to be read again.
    read_at: Option<SystemTime>,
    /// Files, or the folder, that could not be read and have been reported.
    reported: BTreeSet<PathBuf>,
}

impl CaFolder {
    /// The CAs in `folder`, which are taken in when they are first needed.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, known: Mutex::default() }
    }

    /// Whether the folder has changed since it was last read. Costs one look at its modification time.
    pub(crate) fn is_stale(&self) -> bool {
        // Locked means that somebody is reading it, which may take as long as writing the journal.
        let read_at = self.known.try_lock().ok().and_then(|known| known.read_at);
        read_at.is_none() || self.modified().ok() != read_at
    }

    fn modified(&self) -> io::Result<SystemTime> {
        std::fs::metadata(&self.folder).and_then(|folder| folder.modified())
    }

    /// Takes in what has changed. Blocks for one look at the folder's modification time, and longer
    /// only when that changed.
    pub(crate) fn refresh(&self, account: &Account) {
        let modified = self.modified();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if modified.as_ref().is_ok_and(|modified| known.read_at == Some(*modified)) {
            return;
        }
        match modified {
            Ok(modified) => known.read(&self.folder, modified, account),
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    known.forget_missing(&[], account);
                }
                known.read_at = None;
                known.report(&self.folder, &error);
            }
        }
    }
}

impl Known {
    /// Takes in what is new in the folder and forgets what has gone. A file that cannot be used is
    /// reported once and left out: it must not keep the others from working.
    fn read(&mut self, folder: &Path, modified: SystemTime, account: &Account) {
        self.read_at = None;
        let paths = match disk::files_with_extension(folder, "pem") {
            Ok(paths) => paths,
            // Most often too many open files: what is known stays, and the next handshake tries again.
            Err(error) => return self.report(folder, &error),
        };
        let mut complete = self.forget_missing(&paths, account);
        self.reported.retain(|path| paths.contains(path));
        for path in paths {
            if self.files.contains_key(&path) {
                continue;
            }
            match std::fs::read(&path) {
                Ok(pem) => complete &= self.take_in(path, &pem, account),
                Err(error) => {
                    complete = false;
                    self.report(&path, &error);
                }
            }
        }
        let age = SystemTime::now().duration_since(modified).unwrap_or_default();
        self.read_at = (complete && age >= SETTLED_AFTER).then_some(modified);
    }

    /// Whether the file is dealt with: taken in, or reported as unusable.
    fn take_in(&mut self, path: PathBuf, pem: &[u8], account: &Account) -> bool {
        let read = || {
            let ca = Certificate::parse_pem(pem)?;
            check_ca(&ca)?;
            Ok::<_, Cause>(ca)
        };
        let ca = match read() {
            Ok(ca) => ca,
            Err(cause) => {
                self.report(&path, &*cause);
                self.files.insert(path, None);
                return true;
            }
        };
        let id = CaId::of_der(ca.der());
        let new = NewCa {
            id: id.clone(),
            pem: String::from_utf8_lossy(pem).into_owned(),
            subject: ca.subject().to_owned(),
            status: CaStatus::Active,
            // Whoever may write to the sandbox's directory needs no further proof.
            mode: CertificateMode::Default,
            auto_registration: false,
            registration: None,
            signs_claims: true,
            tags: BTreeMap::new(),
        };
        match account.change(|tx| tx.register_ca(new)) {
            Ok(()) => tracing::info!(subject = ca.subject(), "customer CA admitted"),
            // From an earlier start, or by the control plane: then that one stays as it is.
            Err(AccountError::AlreadyExists { .. }) => {}
            Err(cause) => {
                self.report(&path, &cause);
                return false;
            }
        }
        self.files.insert(path, Some(id));
        true
    }

    /// Deletes the CAs whose files are gone. Whether that was done.
    fn forget_missing(&mut self, paths: &[PathBuf], account: &Account) -> bool {
        let present: BTreeSet<CaId> =
            self.files.iter().filter(|(path, _)| paths.contains(path)).filter_map(|(_, id)| id.clone()).collect();
        let named: BTreeSet<CaId> = paths.iter().filter_map(|path| path.file_stem()?.to_str()?.parse().ok()).collect();
        let gone: Vec<CaId> = account
            .read()
            .cas
            .values()
            .filter(|ca| ca.signs_claims && !present.contains(&ca.id) && !named.contains(&ca.id))
            .map(|ca| ca.id.clone())
            .collect();
        self.files.retain(|path, _| paths.contains(path));
        let mut done = true;
        for id in gone {
            if let Err(cause) = account.change(|tx| take_back(tx, &id)) {
                tracing::warn!(error = &cause as &dyn std::error::Error, "customer CA could not be taken back");
                done = false;
            }
        }
        done
    }

    fn report(&mut self, path: &Path, error: &(dyn std::error::Error + 'static)) {
        if self.reported.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), error, "customer CA cannot be used");
        }
    }
}

/// Deletes a CA and switches off the claims it signed.
fn take_back(tx: &mut crate::account::Tx<'_>, id: &CaId) -> Result<(), AccountError> {
    let signed: Vec<_> = tx
        .tables
        .certificates
        .values()
        .filter(|row| row.ca.as_ref() == Some(id) && row.kind == CertificateKind::Claim)
        .map(|row| row.id.clone())
        .collect();
    for certificate in signed {
        tx.set_status(&certificate, CertificateStatus::Inactive)?;
    }
    tx.put(Change::CaGone(id.clone()))
}

#[cfg(test)]
mod tests;
