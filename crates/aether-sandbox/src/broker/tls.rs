//! The server's side of mutual TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::trust::ClientVerifier;

/// The server certificate and the cryptography behind it.
#[derive(Debug)]
pub(crate) struct ServerTls {
    provider: Arc<CryptoProvider>,
    certificate: Arc<SingleCertAndKey>,
}

impl ServerTls {
    pub(crate) fn new(
        certificate: CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
    ) -> Result<Self, rustls::Error> {
        let key = rustls::crypto::ring::sign::any_supported_type(key)?;
        let certificate = CertifiedKey::new(vec![certificate], key);
        Ok(Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            certificate: Arc::new(SingleCertAndKey::from(certificate)),
        })
    }

    /// The configuration of one connection, which reports to `verifier`.
    ///
    /// No session is ever resumed: a resumed one skips the verifier, and a revoked certificate
    /// would get in. The ALPN list stays empty, which accepts whatever a client offers.
    pub(super) fn config(&self, verifier: Arc<ClientVerifier>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::<SingleCertAndKey>::clone(&self.certificate));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}
