//! Whom the sandbox lets through the TLS handshake, and as what.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};

use crate::account::{
    Account, AccountError, CLAIM_POLICY, CaRow, CaStatus, CertificateRow, Millis, NewCertificate, PolicyName,
    PolicyTarget,
};
use crate::ca::CaFolder;
use crate::pki::{Certificate, CertificateFacts, X509Error, client_schemes, to_pem};
use crate::{CaId, CertificateId, CertificateKind, CertificateStatus};

/// A client certificate the handshake accepted.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: CertificateId,
    pub(crate) kind: CertificateKind,
    /// What the certificate says of itself.
    pub(crate) facts: Arc<CertificateFacts>,
}

/// Everything that makes a client certificate known.
#[derive(Debug)]
pub(crate) struct Trust {
    account: Arc<Account>,
    folder: CaFolder,
}

impl Trust {
    pub(crate) fn new(account: Arc<Account>, folder: CaFolder) -> Self {
        Self { account, folder }
    }

    /// Tells what a certificate is: one the account knows, in whatever state, or one it gets to know
    /// now because a registered CA signed it.
    fn identify(&self, der: &[u8], now: SystemTime) -> Result<Identity, CertificateError> {
        let certificate = Certificate::parse(der).map_err(as_tls_error)?;
        certificate.check_dates(now).map_err(as_tls_error)?;
        let id = CertificateId::of_der(der);
        let facts = Arc::new(CertificateFacts::parse(der).map_err(as_tls_error)?);
        if let Some(known) = self.known(&id, now).filter(|known| known.ca.is_none()) {
            return Ok(Identity { certificate: id, kind: known.kind, facts });
        }
        // It hangs on a CA: one in the folder may be new, or gone, and its claims with it.
        self.folder.refresh(&self.account);
        if let Some(known) = self.known(&id, now) {
            return Ok(Identity { certificate: id, kind: known.kind, facts });
        }
        let ca = self.issuer(&certificate, now).ok_or(CertificateError::UnknownIssuer)?;
        let kind = match (ca.signs_claims, ca.auto_registration) {
            (true, _) => CertificateKind::Claim,
            (false, true) => CertificateKind::Device,
            (false, false) => return Err(CertificateError::UnknownIssuer),
        };
        match self.register(&id, &certificate, &ca, kind) {
            Ok(()) | Err(AccountError::AlreadyExists { .. }) => Ok(Identity { certificate: id, kind, facts }),
            Err(cause) => {
                tracing::error!(error = &cause as &dyn std::error::Error, "could not register a certificate");
                Err(CertificateError::ApplicationVerificationFailure)
            }
        }
    }

    /// The certificate as the account has it, unless its time there is over.
    fn known(&self, id: &CertificateId, now: SystemTime) -> Option<Arc<CertificateRow>> {
        let tables = self.account.read();
        tables.certificates.get(id).filter(|row| row.end().is_none_or(|end| Millis::from(now) < end)).cloned()
    }

    /// The active registered CA, valid at `now`, that signed `certificate`.
    fn issuer(&self, certificate: &Certificate, now: SystemTime) -> Option<Arc<CaRow>> {
        let tables = self.account.read();
        let mut signers = tables.cas.values().filter(|row| row.status == CaStatus::Active).filter(|row| {
            Certificate::parse_pem(row.pem.as_bytes()).is_ok_and(|ca| {
                certificate.names_issuer(&ca) && ca.check_dates(now).is_ok() && certificate.check_signature(&ca).is_ok()
            })
        });
        signers.next().cloned()
    }

    /// Registers a certificate on first sight: a claim is active at once, a device's is pending.
    fn register(
        &self,
        id: &CertificateId,
        certificate: &Certificate,
        ca: &CaRow,
        kind: CertificateKind,
    ) -> Result<(), AccountError> {
        let status = match kind {
            CertificateKind::Claim | CertificateKind::Observer => CertificateStatus::Active,
            CertificateKind::Device => CertificateStatus::PendingActivation,
        };
        let policy: PolicyName = CLAIM_POLICY.parse()?;
        let new = NewCertificate {
            id: id.clone(),
            kind,
            status,
            mode: ca.mode,
            pem: to_pem(certificate.der()),
            ca: Some(CaId::clone(&ca.id)),
        };
        self.account.change(|tx| {
            tx.create_certificate(new)?;
            match kind {
                CertificateKind::Claim => tx.attach_policy(&policy, &PolicyTarget::Certificate(id.clone())),
                CertificateKind::Device | CertificateKind::Observer => Ok(()),
            }
        })
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
        _now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let now = self.trust.account.clock().now();
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
