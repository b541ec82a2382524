//! The TLS side of a connection: one crypto provider, our roots, our certificate as it is.

use std::fmt;
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use crate::ConnectOptions;

/// MQTT with a client certificate on port 443 (AWS IoT Core, "Device communication protocols").
const ALPN_MQTT_CA: &[u8] = b"x-amzn-mqtt-ca";

pub(super) fn client_config(options: &ConnectOptions) -> Result<ClientConfig, rustls::Error> {
    // Always with the provider named: the process may hold two, and the short form panics then.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let identity = OurCertificate(Arc::new(options.credentials().certified_key()));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(options.server_roots().store())
        .with_client_cert_resolver(Arc::new(identity));
    // One connection per configuration: nothing to resume.
    config.resumption = Resumption::disabled();
    if options.endpoint().port() == 443 {
        config.alpn_protocols = vec![ALPN_MQTT_CA.to_vec()];
    }
    Ok(config)
}

/// Presents our certificate whatever the server hints at.
///
/// The builder's own `with_client_auth_cert` parses the certificate and refuses X.509 v1, which is what the
/// provisioning guide's commands make; that key and certificate belong together, [`crate::Credentials`] has checked.
struct OurCertificate(Arc<CertifiedKey>);

impl ResolvesClientCert for OurCertificate {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for OurCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OurCertificate(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Credentials, Endpoint};

    fn alpn(port: u16) -> Vec<Vec<u8>> {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let credentials = Credentials::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let endpoint = Endpoint::new("localhost", port).unwrap();
        let options = ConnectOptions::new(endpoint, "device".parse().unwrap(), credentials);
        client_config(&options).unwrap().alpn_protocols
    }

    #[test]
    fn the_protocol_is_negotiated_on_port_443_alone() {
        assert_eq!(alpn(443), [ALPN_MQTT_CA]);
        assert!(alpn(8883).is_empty());
    }
}
