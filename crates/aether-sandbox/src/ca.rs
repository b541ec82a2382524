//! Customer CAs: registering them, and finding the one that signed a certificate.
//!
//! Each registered CA is one file named after its id in `DIR/customer-cas`. A running sandbox looks
//! at the folder's modification time whenever it meets a certificate it has not issued, and reads
//! the folder again when that has changed: a CA another process registered, or somebody removed,
//! counts from the next handshake on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use crate::disk::{self, Access};
use crate::error::Cause;
use crate::files::Layout;
use crate::pki::{Certificate, X509Error, check_ca};
use crate::{CaId, RegisterCaError};

/// A folder changed this recently may change again within the same tick of its file system's clock,
/// so its modification time proves nothing yet.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Registers a customer CA with the sandbox that keeps its state in `dir`.
///
/// From then on a client certificate signed by it is a claim certificate there, also with a sandbox
/// that is running now. Registering the same CA again changes nothing. To take it back, remove its
/// file, `customer-cas/<id>.pem`.
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

/// The registered customer CAs.
#[derive(Debug)]
pub(crate) struct CustomerCas {
    folder: PathBuf,
    known: RwLock<Known>,
}

/// What was found in the folder when it was last read.
#[derive(Debug, Default)]
struct Known {
    cas: BTreeMap<PathBuf, Certificate>,
    /// Modification time of the folder as it was read; `None` while it has to be read again.
    read_at: Option<SystemTime>,
    /// The files, or the folder, that could not be used and have been reported.
    reported: BTreeSet<PathBuf>,
}

impl CustomerCas {
    /// The CAs in `folder`, which are read when they are first needed.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, known: RwLock::new(Known::default()) }
    }

    /// Whether a registered CA, valid at `now`, signed `certificate`.
    ///
    /// Blocks for one look at the folder's modification time, and longer only when that changed.
    pub(crate) fn signed(&self, certificate: &Certificate, now: SystemTime) -> bool {
        self.refresh();
        self.known.read().unwrap_or_else(PoisonError::into_inner).cas.values().any(|ca| {
            certificate.names_issuer(ca) && ca.check_dates(now).is_ok() && certificate.check_signature(ca).is_ok()
        })
    }

    fn refresh(&self) {
        let modified = std::fs::metadata(&self.folder).and_then(|folder| folder.modified());
        let is_current = |known: &Known| modified.as_ref().is_ok_and(|modified| known.read_at == Some(*modified));
        if is_current(&self.known.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Another connection may have read it while this one waited for the lock.
        if is_current(&known) {
            return;
        }
        match modified {
            Ok(modified) => known.read(&self.folder, modified),
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    known.cas.clear();
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
    fn read(&mut self, folder: &Path, modified: SystemTime) {
        self.read_at = None;
        let paths = match disk::files_with_extension(folder, "pem") {
            Ok(paths) => paths,
            // Most often too many open files: what is known stays, and the next handshake tries again.
            Err(error) => return self.report(folder, &error),
        };
        self.cas.retain(|path, _| paths.contains(path));
        self.reported.retain(|path| paths.contains(path));
        let mut complete = true;
        for path in paths {
            if self.cas.contains_key(&path) {
                continue;
            }
            match std::fs::read(&path) {
                Ok(pem) => self.take_in(path, &pem),
                Err(error) => {
                    complete = false;
                    self.report(&path, &error);
                }
            }
        }
        let age = SystemTime::now().duration_since(modified).unwrap_or_default();
        self.read_at = (complete && age >= SETTLED_AFTER).then_some(modified);
    }

    fn take_in(&mut self, path: PathBuf, pem: &[u8]) {
        let read = || {
            let ca = Certificate::parse_pem(pem)?;
            check_ca(&ca)?;
            Ok::<_, Cause>(ca)
        };
        match read() {
            Ok(ca) => {
                tracing::info!(subject = ca.subject(), "customer CA admitted");
                self.reported.remove(&path);
                self.cas.insert(path, ca);
            }
            Err(cause) => self.report(&path, &*cause),
        }
    }

    fn report(&mut self, path: &Path, error: &(dyn std::error::Error + 'static)) {
        if self.reported.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), error, "customer CA cannot be used");
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

    use super::*;

    fn certificate(is_ca: IsCa) -> String {
        let mut params = CertificateParams::default();
        params.is_ca = is_ca;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn sandbox_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        disk::create_private_dir(&layout.customer_cas()).unwrap();
        std::fs::write(layout.settings(), "{}").unwrap();
        dir
    }

    #[test]
    fn a_ca_is_registered_once_under_its_hash() {
        let dir = sandbox_dir();
        let pem = certificate(IsCa::Ca(BasicConstraints::Unconstrained));
        let id = register_ca(dir.path(), pem.as_bytes()).unwrap();
        assert_eq!(register_ca(dir.path(), pem.as_bytes()).unwrap(), id);
        assert_eq!(std::fs::read_dir(Layout::new(dir.path()).customer_cas()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_ca_or_no_sandbox_is_refused_with_the_reason() {
        let dir = sandbox_dir();
        let leaf = certificate(IsCa::ExplicitNoCa);
        assert!(matches!(register_ca(dir.path(), leaf.as_bytes()), Err(RegisterCaError::NotACa { .. })));
        assert!(matches!(register_ca(dir.path(), b"junk"), Err(RegisterCaError::NotACertificate(_))));
        let ca = certificate(IsCa::Ca(BasicConstraints::Unconstrained));
        let nowhere = dir.path().join("nowhere");
        assert!(matches!(register_ca(&nowhere, ca.as_bytes()), Err(RegisterCaError::NotASandbox { .. })));
        assert!(!nowhere.exists());
    }

    #[test]
    fn a_key_usage_has_to_allow_signing_certificates() {
        let dir = sandbox_dir();
        let with_usage = |usage| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![usage];
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
        };
        let refused = register_ca(dir.path(), with_usage(KeyUsagePurpose::CrlSign).as_bytes()).unwrap_err();
        assert!(matches!(refused, RegisterCaError::MayNotSign { .. }), "{refused}");
        assert!(register_ca(dir.path(), with_usage(KeyUsagePurpose::KeyCertSign).as_bytes()).is_ok());
    }

    /// A CA's PEM text and a leaf it signed.
    fn ca_and_leaf(name: &str) -> (String, Certificate) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let leaf = CertificateParams::default().signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        (ca.pem(), Certificate::parse(leaf.der()).unwrap())
    }

    /// Gives the folder a modification time of long ago, another at each call.
    fn settle(folder: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(3600) + Duration::from_secs(seconds);
        std::fs::File::open(folder).unwrap().set_modified(time).unwrap();
    }

    fn reported(cas: &CustomerCas) -> usize {
        cas.known.read().unwrap().reported.len()
    }

    #[test]
    fn a_ca_counts_from_its_registration_to_its_removal() {
        let dir = sandbox_dir();
        let cas = CustomerCas::new(Layout::new(dir.path()).customer_cas());
        let (now, (first, leaf), (second, other)) = (SystemTime::now(), ca_and_leaf("one"), ca_and_leaf("two"));
        assert!(!cas.signed(&leaf, now));
        let id = register_ca(dir.path(), first.as_bytes()).unwrap();
        assert!(cas.signed(&leaf, now) && !cas.signed(&other, now));
        register_ca(dir.path(), second.as_bytes()).unwrap();
        assert!(cas.signed(&leaf, now) && cas.signed(&other, now));
        std::fs::remove_file(cas.folder.join(format!("{id}.pem"))).unwrap();
        assert!(!cas.signed(&leaf, now) && cas.signed(&other, now));
        std::fs::remove_dir_all(&cas.folder).unwrap();
        assert!(!cas.signed(&other, now));
    }

    #[test]
    fn an_unchanged_folder_is_not_read_again_and_a_changed_one_is() {
        let dir = sandbox_dir();
        let cas = CustomerCas::new(Layout::new(dir.path()).customer_cas());
        let (now, (ca, leaf)) = (SystemTime::now(), ca_and_leaf("one"));
        settle(&cas.folder, 0);
        assert!(!cas.signed(&leaf, now));
        register_ca(dir.path(), ca.as_bytes()).unwrap();
        // With the old time put back, nothing shows that the folder was written to.
        let time = cas.known.read().unwrap().read_at.unwrap();
        std::fs::File::open(&cas.folder).unwrap().set_modified(time).unwrap();
        assert!(!cas.signed(&leaf, now));
        settle(&cas.folder, 1);
        assert!(cas.signed(&leaf, now));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_reported_once_and_keeps_no_other_from_working() {
        let dir = sandbox_dir();
        let cas = CustomerCas::new(Layout::new(dir.path()).customer_cas());
        let (now, (ca, leaf)) = (SystemTime::now(), ca_and_leaf("one"));
        std::fs::write(cas.folder.join("a.pem"), "junk").unwrap();
        std::fs::write(cas.folder.join("b.pem"), certificate(IsCa::ExplicitNoCa)).unwrap();
        register_ca(dir.path(), ca.as_bytes()).unwrap();
        assert!(cas.signed(&leaf, now));
        assert_eq!(reported(&cas), 2);
        settle(&cas.folder, 0);
        assert!(cas.signed(&leaf, now));
        assert_eq!(reported(&cas), 2);
        std::fs::remove_file(cas.folder.join("a.pem")).unwrap();
        assert!(cas.signed(&leaf, now));
        assert_eq!(reported(&cas), 1);
    }
}
