//! The judge of one handshake, in the shape rustls asks for.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};

use super::{Arrival, Identity, Judged, Refused, Trust};
use crate::CertificateId;
use crate::pki::{Certificate, X509Error, client_schemes};

/// The verifier of one connection; remembers whom it saw.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    trust: Arc<Trust>,
    sni: bool,
    seen: OnceLock<(CertificateId, Result<Judged, Refused>)>,
    /// Set once the client has signed with the key of its certificate.
    proven: OnceLock<()>,
}

impl ClientVerifier {
    /// For a client that has (`sni`) or has not named the server.
    pub(crate) fn new(trust: Arc<Trust>, sni: bool) -> Self {
        Self { trust, sni, seen: OnceLock::new(), proven: OnceLock::new() }
    }

    /// The certificate the client showed, if it came to that.
    pub(crate) fn certificate(&self) -> Option<&CertificateId> {
        self.seen.get().map(|(id, _)| id)
    }

    /// Who it belongs to, if it was not refused.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.judged().map(Judged::identity)
    }

    /// Why it was refused.
    pub(crate) fn refused(&self) -> Option<Refused> {
        match &self.seen.get()?.1 {
            Ok(Judged::Pending(..)) => Some(Refused::Pending),
            Ok(Judged::Known(_) | Judged::Claim(..)) => None,
            Err(refused) => Some(refused.clone()),
        }
    }

    /// What there is to register or to announce, if the client holds the key.
    pub(crate) fn arrival(&self) -> Option<Arrival> {
        self.proven.get()?;
        match self.judged()? {
            Judged::Claim(_, arrival) => Some(arrival.clone()),
            Judged::Pending(_, arrival) => arrival.clone(),
            Judged::Known(_) => None,
        }
    }

    fn judged(&self) -> Option<&Judged> {
        self.seen.get().and_then(|(_, outcome)| outcome.as_ref().ok())
    }

    /// Notes the proof of the key. A pending certificate is refused only here, so that nobody who has
    /// merely seen it can have it registered.
    fn prove(&self) -> Result<HandshakeSignatureValid, TlsError> {
        // One handshake proves one key once.
        let _ = self.proven.set(());
        match self.judged() {
            Some(Judged::Pending(..)) => Err(as_tls_error(Refused::Pending).into()),
            Some(Judged::Known(_) | Judged::Claim(..)) | None => Ok(HandshakeSignatureValid::assertion()),
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: an X.509 v1 leaf under a CA registered a second ago must be sent as well.
        &[]
    }

    /// Intermediates are not looked at: the registered CA has to be the direct signer, as on AWS.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let outcome = self.trust.judge(end_entity, self.sni, self.trust.account.clock().now());
        // One handshake shows one certificate, so the first answer is the only one.
        let _ = self.seen.set((CertificateId::of_der(end_entity), outcome.clone()));
        outcome.map(|_| ClientCertVerified::assertion()).map_err(|refused| as_tls_error(refused).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let certificate = Certificate::parse(cert).map_err(|cause| as_tls_error(cause.into()))?;
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
            true => self.prove(),
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
        let certificate = Certificate::parse(cert).map_err(|cause| as_tls_error(cause.into()))?;
        let key = SubjectPublicKeyInfoDer::from(certificate.key().spki.as_slice());
        let supported = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, dss, &supported)?;
        self.prove()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        client_schemes().map(|(scheme, _)| scheme).collect()
    }
}

/// The error whose alert tells the client best what is wrong.
fn as_tls_error(refused: Refused) -> CertificateError {
    match refused {
        Refused::Certificate(X509Error::Malformed) => CertificateError::BadEncoding,
        Refused::Certificate(X509Error::NotYetValid) => CertificateError::NotValidYet,
        Refused::Certificate(X509Error::Expired) => CertificateError::Expired,
        Refused::Certificate(X509Error::BadSignature) => CertificateError::BadSignature,
        Refused::Certificate(X509Error::UnsupportedAlgorithm)
        | Refused::Unknown
        | Refused::CaInactive { .. }
        | Refused::CaNotValid { .. }
        | Refused::NoAutoRegistration { .. } => CertificateError::UnknownIssuer,
        Refused::Key { .. } => CertificateError::InvalidPurpose,
        Refused::NeedsSni => CertificateError::ApplicationVerificationFailure,
        // The alert certificate_unknown.
        Refused::Pending => CertificateError::Other(OtherError(Arc::new(refused))),
    }
}
