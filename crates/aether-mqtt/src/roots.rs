//! The certificate authorities a broker's certificate may come from.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::pem::PemFault;

/// The certificate authorities that may vouch for the broker.
///
/// Default: [`mozilla`](Self::mozilla), which holds Amazon's roots. Cheap to clone.
#[derive(Clone)]
pub struct ServerRoots(Arc<RootCertStore>);

/// Why a PEM text is not a set of roots.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The text has no certificate at all.
    #[error("no certificate found, expected at least one \"BEGIN CERTIFICATE\" block")]
    Empty,
    /// The PEM armour is damaged.
    #[error("certificate {index} is not valid PEM")]
    Pem {
        /// Which certificate of the text, counted from 1.
        index: usize,
        /// What the PEM reader found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A certificate cannot serve as a root.
    #[error("certificate {index} cannot be read as a root certificate")]
    Certificate {
        /// Which certificate of the text, counted from 1.
        index: usize,
        /// What the certificate reader found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ServerRoots {
    /// The roots of Mozilla's programme, as shipped with this build.
    #[must_use]
    pub fn mozilla() -> Self {
        let mut store = RootCertStore::empty();
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self(Arc::new(store))
    }

    /// Exactly the certificates in a PEM text, in place of the public roots.
    ///
    /// X.509 v1 certificates are accepted: as a root, a certificate is trusted for being in this list.
    ///
    /// # Errors
    ///
    /// [`RootsError`] if there is no certificate or one of them cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, RootsError> {
        let mut store = RootCertStore::empty();
        for (at, found) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let index = at + 1;
            let certificate = found.map_err(|e| RootsError::Pem { index, source: Box::new(PemFault::from(e)) })?;
            store.add(certificate).map_err(|e| RootsError::Certificate { index, source: Box::new(e) })?;
        }
        if store.is_empty() {
            return Err(RootsError::Empty);
        }
        Ok(Self(Arc::new(store)))
    }

    pub(crate) fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0)
    }
}

impl Default for ServerRoots {
    fn default() -> Self {
        Self::mozilla()
    }
}

impl fmt::Debug for ServerRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerRoots").field("certificates", &self.0.len()).finish()
    }
}
