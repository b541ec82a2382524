//! Client certificates: made, registered, described, switched, deleted.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::paging::{by_time, ordered_page};
use super::route::{Route, route};
use crate::account::{CertificateRow, NewCertificate};
use crate::pki::{Certificate, DeviceKey, Issued, SigningRequest, public_key_pem};
use crate::{CertificateId, CertificateStatus};

pub(super) const ROUTES: &[Route] = &[
    route("CreateKeysAndCertificate", "POST", "/keys-and-certificate", create_keys),
    route("CreateCertificateFromCsr", "POST", "/certificates", create_from_csr),
    route("DescribeCertificate", "GET", "/certificates/{certificateId}", describe),
    route("UpdateCertificate", "PUT", "/certificates/{certificateId}", update),
    route("ListCertificates", "GET", "/certificates", list),
    route("DeleteCertificate", "DELETE", "/certificates/{certificateId}", delete),
];

/// Subject of the certificates AWS makes (sheet, 1.5).
const COMMON_NAME: &str = "AWS IoT Certificate";

fn create_keys(call: &Call<'_>) -> Result<Value, ApiError> {
    let status = wanted_status(call)?;
    let key = DeviceKey::generate(call.control.key_kind).map_err(ApiError::internal)?;
    let issued = call.control.device_ca.issue_client(COMMON_NAME, &key.public).map_err(ApiError::internal)?;
    let mut answer = keep(call, issued.into(), status)?;
    answer["keyPair"] = json!({ "PublicKey": public_key_pem(&key.public), "PrivateKey": key.private_pem });
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningRequestOf {
    certificate_signing_request: String,
}

fn create_from_csr(call: &Call<'_>) -> Result<Value, ApiError> {
    let SigningRequestOf { certificate_signing_request: csr } = call.body()?;
    let issued = issue_requested(call, &csr)?;
    keep(call, issued, wanted_status(call)?)
}

/// A certificate for a signing request.
pub(super) fn issue_requested(call: &Call<'_>, csr: &str) -> Result<Issued, ApiError> {
    let request = SigningRequest::parse_pem(csr).map_err(ApiError::invalid)?;
    let issued = call.control.device_ca.issue_requested(&request, COMMON_NAME).map_err(ApiError::internal)?;
    Ok(issued.into())
}

/// The status of a certificate made here.
fn wanted_status(call: &Call<'_>) -> Result<CertificateStatus, ApiError> {
    Ok(if call.flag("setAsActive")? { CertificateStatus::Active } else { CertificateStatus::Inactive })
}

fn keep(call: &Call<'_>, issued: Issued, status: CertificateStatus) -> Result<Value, ApiError> {
    let id = CertificateId::of_der(&issued.der);
    call.change(|tx| tx.create_certificate(NewCertificate::issued(id.clone(), issued.pem.clone(), status)))?;
    Ok(json!({
        "certificateArn": call.arn("cert", &id),
        "certificateId": id.as_str(),
        "certificatePem": issued.pem,
    }))
}

fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.certificate(&call.path("certificateId")?)?;
    let certificate = Certificate::parse_pem(row.pem.as_bytes()).map_err(ApiError::internal)?;
    let (not_before, not_after) = certificate.validity();
    let mut description = json!({
        "certificateArn": call.arn("cert", &row.id),
        "certificateId": row.id.as_str(),
        "status": row.status.as_str(),
        "certificatePem": row.pem,
        "ownedBy": call.account().place().account_id,
        "creationDate": row.created.as_seconds(),
        "lastModifiedDate": row.modified.as_seconds(),
        "customerVersion": row.version,
        "transferData": {},
        "generationId": format!("{:x}-{}", row.modified.as_u64(), row.version),
        "validity": { "notBefore": not_before, "notAfter": not_after },
        "certificateMode": row.mode.as_str(),
    });
    if let Some(ca) = &row.ca {
        description["caCertificateId"] = json!(ca.as_str());
    }
    Ok(json!({ "certificateDescription": description }))
}

/// The status a request names.
pub(super) fn status(text: &str) -> Result<CertificateStatus, ApiError> {
    match text {
        "ACTIVE" => Ok(CertificateStatus::Active),
        "INACTIVE" => Ok(CertificateStatus::Inactive),
        "REVOKED" => Ok(CertificateStatus::Revoked),
        // AWS lists these too, and says that only AWS sets them (API Reference, UpdateCertificate).
        _ => Err(ApiError::invalid(format_args!("status is {text:?}, expected ACTIVE, INACTIVE or REVOKED"))),
    }
}

fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.path("certificateId")?;
    let status = status(call.query("newStatus").unwrap_or_default())?;
    call.change(|tx| tx.set_status(&id, status))?;
    Ok(Value::Null)
}

/// A certificate in a list.
pub(super) fn entry(call: &Call<'_>, row: &CertificateRow) -> (String, Value) {
    let value = json!({
        "certificateArn": call.arn("cert", &row.id),
        "certificateId": row.id.as_str(),
        "status": row.status.as_str(),
        "certificateMode": row.mode.as_str(),
        "creationDate": row.created.as_seconds(),
    });
    (by_time(row.created, &row.id), value)
}

fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let listed = tables.certificates.values().filter(|row| row.is_listed());
    ordered_page(call, "certificates", listed.map(|row| entry(call, row)).collect())
}

fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let (id, force) = (call.path("certificateId")?, call.flag("forceDelete")?);
    call.change(|tx| tx.delete_certificate(&id, force))?;
    Ok(Value::Null)
}
