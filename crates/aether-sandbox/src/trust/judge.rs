//! What a client certificate is worth, without changing anything.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Arrival, Identity, Trust};
use crate::account::{CaRow, CaStatus, CertificateMode, CertificateRow, Millis};
use crate::pki::{Certificate, CertificateFacts, X509Error, check_client_key};
use crate::{CaId, CertificateId, CertificateKind, CertificateStatus};

/// What a client certificate is, once nothing speaks against it.
#[derive(Clone, Debug)]
pub(crate) enum Judged {
    /// One the account knows. Whether it is active is asked at CONNECT.
    Known(Identity),
    /// The first sight of a claim: gets in, and is registered.
    Claim(Identity, Arrival),
    /// One that has to be activated first: turned away, and registered if it is new.
    Pending(Identity, Option<Arrival>),
}

impl Judged {
    pub(crate) fn identity(&self) -> &Identity {
        match self {
            Self::Known(identity) | Self::Claim(identity, _) | Self::Pending(identity, _) => identity,
        }
    }
}

/// Why a client certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error(transparent)]
    Certificate(#[from] X509Error),
    #[error("key of the certificate is {found}, expected RSA of 2048 to 8192 bits or ECDSA on P-256 or P-384")]
    Key { found: String },
    #[error("certificate is not registered, and no registered CA certificate signed it")]
    Unknown,
    #[error("certificate is not registered, and its CA certificate {ca} is INACTIVE")]
    CaInactive { ca: CaId },
    #[error("certificate is not registered, and its CA certificate {ca} has expired or is not valid yet")]
    CaNotValid { ca: CaId },
    #[error("certificate is not registered, and automatic registration of CA certificate {ca} is off")]
    NoAutoRegistration { ca: CaId },
    #[error("certificate of the mode SNI_ONLY shown without SNI")]
    NeedsSni,
    #[error("certificate is PENDING_ACTIVATION")]
    Pending,
}

impl Trust {
    /// Judges a certificate shown in a handshake with (`sni`) or without a server name.
    pub(super) fn judge(&self, der: &[u8], sni: bool, now: SystemTime) -> Result<Judged, Refused> {
        let certificate = Certificate::parse(der)?;
        certificate.check_dates(now)?;
        check_client_key(&certificate).map_err(|found| Refused::Key { found })?;
        let id = CertificateId::of_der(der);
        let facts = Arc::new(CertificateFacts::parse(der)?);
        let end = certificate.end();
        let identity = |kind| Identity { certificate: id.clone(), kind, facts, end };
        if let Some(known) = self.known(&id, now) {
            check_sni(known.mode, sni)?;
            let arrival = || known.ca.clone().map(|ca| Arrival::again(id.clone(), ca));
            return Ok(match known.status {
                CertificateStatus::PendingActivation => Judged::Pending(identity(known.kind), arrival()),
                CertificateStatus::Active
                | CertificateStatus::Inactive
                | CertificateStatus::Revoked
                | CertificateStatus::PendingTransfer
                | CertificateStatus::RegisterInactive => Judged::Known(identity(known.kind)),
            });
        }
        let ca = self.issuer(&certificate, now)?;
        check_sni(ca.mode, sni)?;
        let arrival = Arrival::first(id.clone(), der, &ca);
        Ok(match ca.signs_claims {
            true => Judged::Claim(identity(CertificateKind::Claim), arrival),
            false => Judged::Pending(identity(CertificateKind::Device), Some(arrival)),
        })
    }

    /// The certificate as the account has it, unless its time there is over.
    fn known(&self, id: &CertificateId, now: SystemTime) -> Option<Arc<CertificateRow>> {
        let tables = self.account.read();
        tables.certificates.get(id).filter(|row| row.end().is_none_or(|end| Millis::from(now) < end)).cloned()
    }

    /// The registered CA that signed `certificate` and lets it register; if none does, why the one
    /// that signed it does not. Several CAs may have one subject.
    fn issuer(&self, certificate: &Certificate, now: SystemTime) -> Result<Arc<CaRow>, Refused> {
        let tables = self.account.read();
        let mut refused = Refused::Unknown;
        for row in tables.cas.values() {
            let Ok(ca) = Certificate::parse_pem(row.pem.as_bytes()) else { continue };
            if !certificate.names_issuer(&ca) || certificate.check_signature(&ca).is_err() {
                continue;
            }
            match usable(row, &ca, now) {
                Ok(()) => return Ok(Arc::clone(row)),
                Err(cause) => refused = cause,
            }
        }
        Err(refused)
    }
}

fn usable(row: &CaRow, ca: &Certificate, now: SystemTime) -> Result<(), Refused> {
    let ca_id = || row.id.clone();
    if row.status != CaStatus::Active {
        return Err(Refused::CaInactive { ca: ca_id() });
    }
    if ca.check_dates(now).is_err() {
        return Err(Refused::CaNotValid { ca: ca_id() });
    }
    match row.signs_claims || row.auto_registration {
        true => Ok(()),
        false => Err(Refused::NoAutoRegistration { ca: ca_id() }),
    }
}

fn check_sni(mode: CertificateMode, sni: bool) -> Result<(), Refused> {
    match (mode, sni) {
        (CertificateMode::SniOnly, false) => Err(Refused::NeedsSni),
        (CertificateMode::SniOnly, true) | (CertificateMode::Default, _) => Ok(()),
    }
}
