//! Certificate, key and root a client shows and trusts.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What a client needs for mutual TLS: the root it trusts, its certificate and its private key.
///
/// `Debug` shows neither key nor certificate.
pub struct Credentials {
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Reads three PEM files: root, certificate (chain), private key.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Io`] when a file cannot be read, the other variants when it holds
    /// something else. All are final until the file changes.
    pub fn read(ca: &Path, cert: &Path, key: &Path) -> Result<Self, CredentialsError> {
        let read =
            |path: &Path| std::fs::read(path).map_err(|source| CredentialsError::Io { path: path.to_owned(), source });
        Self::from_pem(&read(ca)?, &read(cert)?, &read(key)?)
    }

    /// Takes the same three from memory.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] names the part that is not what it should be.
    pub fn from_pem(ca: &[u8], cert: &[u8], key: &[u8]) -> Result<Self, CredentialsError> {
        Ok(Self {
            roots: certificates("root", ca)?,
            chain: certificates("certificate", cert)?,
            key: PrivateKeyDer::from_pem_slice(key).map_err(|cause| CredentialsError::Pem {
                part: "private key",
                expected: "one PEM private key",
                source: cause.into(),
            })?,
        })
    }
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self { roots: self.roots.clone(), chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Why [`Credentials`] could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A file could not be read.
    #[error("could not read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A part is not what it should be.
    #[error("{part} cannot be read, expected {expected}")]
    Pem {
        /// Which part: `root`, `certificate` or `private key`.
        part: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

fn certificates(part: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let expected = "at least one PEM certificate";
    let invalid = |source| CredentialsError::Pem { part, expected, source };
    let found =
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|cause| invalid(cause.into()))?;
    match found.is_empty() {
        true => Err(invalid("no PEM section labelled CERTIFICATE".into())),
        false => Ok(found),
    }
}
