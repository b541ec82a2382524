//! Whom the sandbox lets through the TLS handshake, and as what.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};

use crate::ca::CustomerCas;
use crate::pki::{Certificate, X509Error, client_schemes};
use crate::policy::CLAIM_POLICY;
use crate::registry::Registry;
use crate::{CertificateId, CertificateKind, CertificateStatus};

/// A client certificate the handshake accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) certificate: CertificateId,
    pub(crate) kind: CertificateKind,
}

/// What a connection may do now: asked again at CONNECT, because a handshake says nothing about
/// the status of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) status: CertificateStatus,
    pub(crate) policies: Vec<String>,
}

/// Everything that makes a client certificate known.
#[derive(Debug)]
pub(crate) struct Trust {
    registry: Arc<Registry>,
    customer_cas: CustomerCas,
}

impl Trust {
    pub(crate) fn new(registry: Arc<Registry>, customer_cas: CustomerCas) -> Self {
        Self { registry, customer_cas }
    }

    /// Tells what a certificate is: one the sandbox issued, in whatever state, or a claim
    /// certificate signed by a registered customer CA.
    fn identify(&self, der: &[u8], now: SystemTime) -> Result<Identity, CertificateError> {
        let certificate = Certificate::parse(der).map_err(as_tls_error)?;
        certificate.check_dates(now).map_err(as_tls_error)?;
        let id = CertificateId::of_der(der);
        if let Some(known) = self.registry.certificate(&id) {
            return Ok(Identity { certificate: id, kind: known.kind });
        }
        match self.customer_cas.signed(&certificate, now) {
            true => Ok(Identity { certificate: id, kind: CertificateKind::Claim }),
            false => Err(CertificateError::UnknownIssuer),
        }
    }

    /// The present standing of an identity; `None` when its certificate was deleted since the
    /// handshake. Certificates under a customer CA are active and hold the claim policy.
    pub(crate) fn standing(&self, identity: &Identity) -> Option<Standing> {
        match (self.registry.certificate(&identity.certificate), identity.kind) {
            (Some(known), _) => Some(Standing { status: known.status, policies: known.policies }),
            (None, CertificateKind::Claim) => {
                Some(Standing { status: CertificateStatus::Active, policies: vec![CLAIM_POLICY.to_owned()] })
            }
            (None, CertificateKind::Device | CertificateKind::Observer) => None,
        }
    }
}

/// The verifier of one connection; remembers whom it saw.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    trust: Arc<Trust>,
    seen: OnceLock<(CertificateId, Result<Identity, CertificateError>)>,
}

impl ClientVerifier {
    pub(crate) fn new(trust: Arc<Trust>) -> Self {
        Self { trust, seen: OnceLock::new() }
    }

    /// The certificate the client showed, if it came to that.
    pub(crate) fn certificate(&self) -> Option<&CertificateId> {
        self.seen.get().map(|(id, _)| id)
    }

    /// The identity behind it, if it was accepted.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.seen.get().and_then(|(_, outcome)| outcome.as_ref().ok())
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: an X.509 v1 leaf under a CA registered a second ago must be sent as well.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let outcome = self.trust.identify(end_entity, now);
        // One handshake shows one certificate, so the first answer is the only one.
        let _ = self.seen.set((CertificateId::of_der(end_entity), outcome.clone()));
        outcome.map(|_| ClientCertVerified::assertion()).map_err(TlsError::InvalidCertificate)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let certificate = Certificate::parse(cert).map_err(as_tls_error)?;
        // A TLS 1.2 scheme names the hash but not the curve, so all algorithms under its name that
        // fit the key are tried, as rustls does it for version 3 certificates.
        let verified = client_schemes()
            .filter(|(scheme, _)| *scheme == dss.scheme)
            .flat_map(|(_, algorithms)| algorithms)
            .any(|algorithm| {
                algorithm.public_key_alg_id().as_ref() == certificate.key().algorithm
                    && algorithm.verify_signature(&certificate.key().key, message, dss.signature()).is_ok()
            });
        match verified {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        if !self.supported_verify_schemes().contains(&dss.scheme) {
            return Err(CertificateError::BadSignature.into());
        }
        let certificate = Certificate::parse(cert).map_err(as_tls_error)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.key().spki.as_slice());
        let supported = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, dss, &supported)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        client_schemes().map(|(scheme, _)| scheme).collect()
    }
}

fn as_tls_error(cause: X509Error) -> CertificateError {
    match cause {
        X509Error::Malformed => CertificateError::BadEncoding,
        X509Error::NotYetValid => CertificateError::NotValidYet,
        X509Error::Expired => CertificateError::Expired,
        X509Error::UnsupportedAlgorithm => CertificateError::UnknownIssuer,
        X509Error::BadSignature => CertificateError::BadSignature,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Layout;

    #[test]
    fn a_device_certificate_deleted_since_the_handshake_does_not_pass_for_a_claim() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let registry = Registry::open(&layout, SystemTime::UNIX_EPOCH).unwrap();
        let trust = Trust::new(Arc::new(registry), CustomerCas::new(layout.customer_cas()));
        let of_kind = |kind| Identity { certificate: CertificateId::of_der(b"gone"), kind };
        assert_eq!(trust.standing(&of_kind(CertificateKind::Device)), None);
        let claim = trust.standing(&of_kind(CertificateKind::Claim)).unwrap();
        assert_eq!(claim.policies, [CLAIM_POLICY]);
    }
}
