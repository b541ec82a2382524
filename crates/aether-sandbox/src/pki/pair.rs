//! A certificate file and its key file: made when both are missing, read and compared otherwise.

use std::path::Path;

use rcgen::{KeyPair, PublicKeyData};

use super::{Certificate, X509Error};
use crate::StartError;
use crate::disk::{self, Access};
use crate::error::Cause;

/// A certificate and its private key, both from disk.
#[derive(Debug)]
pub(crate) struct CertifiedPair {
    pub(crate) certificate: Certificate,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

/// Reads the pair, or makes it: the key first, then the certificate that `make` writes for it.
///
/// A kill between the two leaves a key without a certificate; the next start completes it. Every
/// other half or mismatched pair is reported and left alone.
pub(crate) fn open_pair(
    cert_path: &Path,
    key_path: &Path,
    make: impl FnOnce(&KeyPair) -> Result<rcgen::Certificate, rcgen::Error>,
) -> Result<CertifiedPair, StartError> {
    let key = match (key_path.exists(), cert_path.exists()) {
        (false, true) => {
            let cause = "the certificate beside it has no use without it";
            return Err(StartError::invalid_file(key_path, "the private key of the certificate beside it")(cause));
        }
        (true, _) => read_key(key_path)?,
        (false, false) => {
            let key = KeyPair::generate().map_err(StartError::crypto("a private key"))?;
            disk::write_atomic(key_path, key.serialize_pem().as_bytes(), Access::Owner)
                .map_err(StartError::io("write", key_path))?;
            key
        }
    };
    if !cert_path.exists() {
        let made = make(&key).map_err(StartError::crypto("a certificate"))?;
        disk::write_atomic(cert_path, made.pem().as_bytes(), Access::Shared)
            .map_err(StartError::io("write", cert_path))?;
    }
    let pem = std::fs::read_to_string(cert_path).map_err(StartError::io("read", cert_path))?;
    let invalid = |cause: Cause| StartError::invalid_file(cert_path, "the PEM certificate of the key beside it")(cause);
    let certificate = Certificate::parse_pem(pem.as_bytes()).map_err(|cause: X509Error| invalid(cause.into()))?;
    if certificate.key().spki != key.subject_public_key_info() {
        return Err(invalid("certificate and private key do not belong together".into()));
    }
    Ok(CertifiedPair { certificate, pem, key })
}

fn read_key(path: &Path) -> Result<KeyPair, StartError> {
    let pem = std::fs::read_to_string(path).map_err(StartError::io("read", path))?;
    KeyPair::from_pem(&pem).map_err(StartError::invalid_file(path, "a PEM private key"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::CertificateParams;

    use super::*;

    fn open(dir: &Path) -> Result<CertifiedPair, StartError> {
        open_pair(&dir.join("x.pem"), &dir.join("x.key"), |key| CertificateParams::default().self_signed(key))
    }

    #[test]
    fn a_pair_is_made_once_and_read_ever_after() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).unwrap();
        assert_eq!(open(dir.path()).unwrap().pem, first.pem);
        let mode = std::fs::metadata(dir.path().join("x.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_whose_certificate_was_never_written_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join("x.pem")).unwrap();
        let second = open(dir.path()).unwrap();
        assert_eq!(second.certificate.key(), first.certificate.key());
    }

    #[test]
    fn half_or_mixed_up_pairs_are_reported_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap();
        let key = dir.path().join("x.key");
        std::fs::remove_file(&key).unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains("x.key"));
        assert!(!key.exists());
        std::fs::write(&key, "junk").unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains("x.key"));
        std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("x.pem"), "{error}");
    }
}
