//! Customer CAs: registering them, and finding the one that signed a certificate.
//!
//! Each registered CA is one file named after its id in `DIR/customer-cas`. A running sandbox looks
//! there again whenever a certificate by an unknown issuer shows up, so a CA registered by another
//! process works without a restart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use crate::disk::{self, Access};
use crate::files::Layout;
use crate::pki::{Certificate, X509Error};
use crate::{CaId, RegisterCaError};

/// Registers a customer CA with the sandbox that keeps its state in `dir`.
///
/// From then on a client certificate signed by it is a claim certificate there, also with a sandbox
/// that is running now. Registering the same CA again changes nothing. The certificate may be X.509
/// version 1, or version 3 with `CA:TRUE`.
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
    if !ca.may_sign() {
        return Err(RegisterCaError::NotACa { subject: ca.subject().to_owned() });
    }
    ca.check_dates(SystemTime::now()).map_err(|_| RegisterCaError::NotValidNow { subject: ca.subject().to_owned() })?;
    let id = CaId::of_der(ca.der());
    let path = layout.customer_cas().join(format!("{id}.pem"));
    if !path.exists() {
        disk::write_atomic(&path, pem, Access::Shared).map_err(|source| RegisterCaError::Io { path, source })?;
    }
    Ok(id)
}

/// The registered customer CAs, as far as they have been read.
#[derive(Debug)]
pub(crate) struct CustomerCas {
    folder: PathBuf,
    known: RwLock<BTreeMap<PathBuf, Certificate>>,
}

impl CustomerCas {
    /// The CAs in `folder`, which are read when they are first needed.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, known: RwLock::new(BTreeMap::new()) }
    }

    /// Whether a registered CA, valid at `now`, signed `certificate`.
    pub(crate) fn signed(&self, certificate: &Certificate, now: SystemTime) -> bool {
        self.knows_signer(certificate, now) || {
            self.read_again();
            self.knows_signer(certificate, now)
        }
    }

    fn knows_signer(&self, certificate: &Certificate, now: SystemTime) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().any(|ca| {
            certificate.names_issuer(ca) && ca.check_dates(now).is_ok() && certificate.check_signature(ca).is_ok()
        })
    }

    /// Takes in what is new in the folder and forgets what has gone. A file that cannot be read is
    /// reported and left out: it must not keep the others from working.
    fn read_again(&self) {
        let paths = match disk::files_with_extension(&self.folder, "pem") {
            Ok(paths) => paths,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not list customer CAs");
                return;
            }
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|path, _| paths.contains(path));
        for path in paths {
            if known.contains_key(&path) {
                continue;
            }
            let read = std::fs::read(&path).ok().and_then(|pem| Certificate::parse_pem(&pem).ok());
            match read.filter(Certificate::may_sign) {
                Some(ca) => {
                    tracing::info!(subject = ca.subject(), "customer CA admitted");
                    known.insert(path, ca);
                }
                None => tracing::warn!(path = %path.display(), "customer CA cannot be used"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

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
}
