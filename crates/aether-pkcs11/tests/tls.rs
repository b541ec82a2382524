//! A connection in TLS 1.2 and 1.3 with a key that never leaves its token, to a server that asks for its certificate.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use aether_mqtt::{ConnectOptions, Connector, Credentials, Endpoint, PrivateKey, RumqttConnector, ServerRoots};
use aether_pkcs11::Pkcs11Options;
use aether_provisioning::{KeyKind, KeySource, SigningRequest};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use support::{Tokens, in_processes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Signs certificates for both sides.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// What the cloud does with a request.
    fn certificate_for(&self, request: &SigningRequest) -> String {
        CertificateSigningRequestParams::from_pem(request.as_pem()).unwrap().signed_by(&self.issuer).unwrap().pem()
    }

    fn server(&self, version: &'static SupportedProtocolVersion) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Connects with the key, and has the server say by which certificate it knows us.
async fn connects(authority: &Authority, key: &PrivateKey, version: &'static SupportedProtocolVersion) {
    let request = SigningRequest::make(key, "P3-00017").unwrap();
    let certificate = authority.certificate_for(&request);
    let credentials = Credentials::new(certificate.as_bytes(), key.clone()).unwrap();
    let expected = credentials.certificate_der().to_vec();

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = Endpoint::new("localhost", listener.local_addr().unwrap().port()).unwrap();
    let roots = ServerRoots::from_pem(authority.pem.as_bytes()).unwrap();
    let options = ConnectOptions::new(endpoint, "P3-00017".parse().unwrap(), credentials).roots(roots);
    let acceptor = authority.server(version);
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        // Any CONNECT is answered by a CONNACK that accepts it (MQTT 3.1.1, section 3.2).
        let mut connect = [0; 1];
        stream.read_exact(&mut connect).await.unwrap();
        assert_eq!(connect, [0x10]);
        stream.write_all(&[0x20, 0x02, 0x00, 0x00]).await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let connector = RumqttConnector::default();
    let both = async { tokio::join!(connector.connect(&options), serve) };
    let (session, stream) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    session.unwrap();
    let (_, tls) = stream.get_ref();
    assert_eq!(tls.protocol_version(), Some(version.version));
    assert_eq!(tls.peer_certificates().unwrap()[0].as_ref(), expected);
}

#[test]
fn a_key_in_a_token_proves_itself_in_both_versions_of_tls() {
    fn stage(tokens: &Tokens) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let authority = Authority::new();
        for kind in [KeyKind::EcP256, KeyKind::EcP384, KeyKind::Rsa2048] {
            let options = Pkcs11Options::default().kind(kind);
            let key = tokens.keys(&format!("token=plant;object={kind}"), options).make().unwrap();
            for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
                runtime.block_on(connects(&authority, &key, version));
            }
        }
    }
    // Made in the first process, found in the second.
    in_processes("a_key_in_a_token_proves_itself_in_both_versions_of_tls", &[stage, stage]);
}
