//! The server's side of mutual TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::trust::{ALPN_MQTT, AlpnRule, ClientVerifier, Greeting, HelloRefusal, SniRule};

/// The server certificate, the cryptography behind it and what is asked of a ClientHello.
#[derive(Debug)]
pub(crate) struct ServerTls {
    provider: Arc<CryptoProvider>,
    certificate: Arc<SingleCertAndKey>,
    /// DNS names of the certificate.
    names: Vec<String>,
    rules: (AlpnRule, SniRule),
}

impl ServerTls {
    pub(crate) fn new(
        certificate: CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
        names: Vec<String>,
        rules: (AlpnRule, SniRule),
    ) -> Result<Self, rustls::Error> {
        let key = rustls::crypto::ring::sign::any_supported_type(key)?;
        let certificate = CertifiedKey::new(vec![certificate], key);
        Ok(Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            certificate: Arc::new(SingleCertAndKey::from(certificate)),
            names,
            rules,
        })
    }

    /// The names a client may call the server by, `localhost` first.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Judges what a client asks for before anything is answered.
    pub(super) fn greet(&self, hello: &ClientHello<'_>) -> Result<Greeting, HelloRefusal> {
        Greeting::judge(self.rules, &self.names, hello.alpn(), hello.server_name())
    }

    /// The configuration of one connection, which reports to `verifier`.
    ///
    /// TLS 1.2 and 1.3, the only versions rustls has. No session is ever resumed: a resumed one skips
    /// the verifier, and a revoked certificate would get in.
    pub(super) fn config(
        &self,
        verifier: Arc<ClientVerifier>,
        greeting: Greeting,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::<SingleCertAndKey>::clone(&self.certificate));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        // An empty list accepts whatever was offered, and chooses none of it.
        if greeting.alpn {
            config.alpn_protocols = vec![ALPN_MQTT.to_vec()];
        }
        Ok(Arc::new(config))
    }
}
