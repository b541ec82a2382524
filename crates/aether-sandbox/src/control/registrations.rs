//! Client certificates made elsewhere and registered here.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::ca_certificates::certificate;
use super::call::Call;
use super::certificates::status;
use super::error::{ApiError, Exception};
use super::route::{Route, route};
use crate::account::{CaRow, CaStatus, CertificateMode, NewCertificate, Tables};
use crate::pki::{Certificate, to_pem};
use crate::{CaId, CertificateId, CertificateKind, CertificateStatus};

pub(super) const ROUTES: &[Route] = &[
    route("RegisterCertificate", "POST", "/certificate/register", register),
    route("RegisterCertificateWithoutCA", "POST", "/certificate/register-no-ca", register_without_ca),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    certificate_pem: String,
    ca_certificate_pem: Option<String>,
    status: Option<String>,
}

fn register(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Registration = call.body()?;
    let status = match (&wanted.status, call.flag("setAsActive")?) {
        (Some(text), _) => status(text)?,
        (None, true) => CertificateStatus::Active,
        (None, false) => CertificateStatus::Inactive,
    };
    let certificate = certificate(call, "certificatePem", &wanted.certificate_pem)?;
    let signed = signed(call, certificate, wanted.ca_certificate_pem.as_deref(), status)?;
    keep(call, signed)
}

fn register_without_ca(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Registration = call.body()?;
    let status = wanted.status.as_deref().map_or(Ok(CertificateStatus::Inactive), status)?;
    let certificate = certificate(call, "certificatePem", &wanted.certificate_pem)?;
    keep(call, without_ca(&certificate, status))
}

/// A certificate that a registered, active CA signed.
pub(super) fn signed(
    call: &Call<'_>,
    certificate: Certificate,
    ca: Option<&str>,
    status: CertificateStatus,
) -> Result<NewCertificate, ApiError> {
    let ca = issuer(&call.read(), &certificate, ca)?;
    if ca.status != CaStatus::Active {
        let words = format!("CA certificate {} is INACTIVE; activate it before registering what it signed", ca.id);
        return Err(ApiError::new(Exception::CertificateState, words));
    }
    Ok(NewCertificate { mode: ca.mode, ca: Some(ca.id.clone()), ..without_ca(&certificate, status) })
}

/// A certificate nobody vouches for.
pub(super) fn without_ca(certificate: &Certificate, status: CertificateStatus) -> NewCertificate {
    NewCertificate {
        id: CertificateId::of_der(certificate.der()),
        kind: CertificateKind::Device,
        status,
        mode: CertificateMode::SniOnly,
        pem: to_pem(certificate.der()),
        ca: None,
    }
}

/// The registered CA that signed a certificate: the given one or, if none is given, the only one.
fn issuer(tables: &Tables, certificate: &Certificate, ca: Option<&str>) -> Result<Arc<CaRow>, ApiError> {
    let refuse = |words: &str| Err(ApiError::new(Exception::CertificateValidation, words));
    let signs = |ca: &Certificate| certificate.names_issuer(ca) && certificate.check_signature(ca).is_ok();
    if let Some(pem) = ca {
        let Ok(given) = Certificate::parse_pem(pem.as_bytes()) else {
            return refuse("caCertificatePem is not one certificate in PEM form");
        };
        let Some(row) = tables.cas.get(&CaId::of_der(given.der())) else {
            return refuse("caCertificatePem is not registered");
        };
        return if signs(&given) {
            Ok(Arc::clone(row))
        } else {
            refuse("caCertificatePem did not sign the certificate")
        };
    }
    let parsed = |row: &CaRow| Certificate::parse_pem(row.pem.as_bytes()).ok();
    let signers: Vec<_> = tables.cas.values().filter(|row| parsed(row).is_some_and(|ca| signs(&ca))).collect();
    match signers.as_slice() {
        [row] => Ok(Arc::clone(row)),
        [] => refuse("no registered CA certificate signed the certificate; RegisterCertificateWithoutCA needs none"),
        _ => {
            let words = "several registered CA certificates could have signed the certificate; give caCertificatePem";
            Err(ApiError::new(Exception::CertificateConflict, words))
        }
    }
}

fn keep(call: &Call<'_>, new: NewCertificate) -> Result<Value, ApiError> {
    let id = new.id.clone();
    call.change(|tx| tx.create_certificate(new))?;
    Ok(json!({ "certificateArn": call.arn("cert", &id), "certificateId": id.as_str() }))
}
