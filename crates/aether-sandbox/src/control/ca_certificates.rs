//! CA certificates, and the registration code that proves who holds their keys.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Tag, tags};
use super::certificates;
use super::error::{ApiError, Exception};
use super::paging::{by_time, ordered_page};
use super::route::{Route, route};
use crate::CaId;
use crate::account::{CaRow, CaStatus, CertificateMode, NewCa, RegistrationConfig};
use crate::pki::{Certificate, CertificateFacts, check_ca, check_verification, to_pem};
use aether_iot_template::{Template, TemplateKind};

pub(super) const ROUTES: &[Route] = &[
    route("GetRegistrationCode", "GET", "/registrationcode", registration_code),
    route("DeleteRegistrationCode", "DELETE", "/registrationcode", delete_registration_code),
    route("RegisterCACertificate", "POST", "/cacertificate", register),
    route("DescribeCACertificate", "GET", "/cacertificate/{certificateId}", describe),
    route("UpdateCACertificate", "PUT", "/cacertificate/{certificateId}", update),
    route("DeleteCACertificate", "DELETE", "/cacertificate/{certificateId}", delete),
    route("ListCACertificates", "GET", "/cacertificates", list),
    route("ListCertificatesByCA", "GET", "/certificates-by-ca/{caCertificateId}", list_signed),
];

fn registration_code(call: &Call<'_>) -> Result<Value, ApiError> {
    let (code, is_new) = call.change(|tx| {
        let is_new = tx.tables.settings.registration_code.is_none();
        Ok((tx.registration_code()?, is_new))
    })?;
    call.has_changed.set(is_new);
    Ok(json!({ "registrationCode": code }))
}

fn delete_registration_code(call: &Call<'_>) -> Result<Value, ApiError> {
    call.change(|tx| tx.delete_registration_code())?;
    Ok(json!({}))
}

/// The mode a request names.
fn mode(text: Option<&str>) -> Result<CertificateMode, ApiError> {
    match text {
        None | Some("DEFAULT") => Ok(CertificateMode::Default),
        Some("SNI_ONLY") => Ok(CertificateMode::SniOnly),
        Some(other) => {
            Err(ApiError::invalid(format_args!("certificateMode is {other:?}, expected DEFAULT or SNI_ONLY")))
        }
    }
}

/// What a CA is to do with the certificates it signed, as a request has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    template_body: Option<String>,
    role_arn: Option<String>,
    template_name: Option<String>,
}

impl Registration {
    fn checked(self) -> Result<RegistrationConfig, ApiError> {
        if self.template_body.is_some() && self.template_name.is_some() {
            return Err(ApiError::invalid(
                "registrationConfig has templateBody and templateName, expected one of them",
            ));
        }
        if let Some(body) = &self.template_body {
            Template::parse(TemplateKind::Jitp, body)
                .map_err(|cause| ApiError::invalid(format_args!("registrationConfig.templateBody: {cause}")))?;
        }
        let template_name = self.template_name.map(|name| name.parse()).transpose()?;
        Ok(RegistrationConfig { template_body: self.template_body, template_name, role_arn: self.role_arn })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewCaCertificate {
    ca_certificate: String,
    verification_certificate: Option<String>,
    registration_config: Option<Registration>,
    certificate_mode: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

/// Reads a certificate of a request and checks that it is valid now.
pub(super) fn certificate(call: &Call<'_>, member: &str, pem: &str) -> Result<Certificate, ApiError> {
    let refuse = |cause| ApiError::new(Exception::CertificateValidation, format_args!("{member}: {cause}"));
    let certificate = Certificate::parse_pem(pem.as_bytes()).map_err(refuse)?;
    certificate.check_dates(call.account().clock().now()).map_err(refuse)?;
    Ok(certificate)
}

fn register(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: NewCaCertificate = call.body()?;
    let mode = mode(wanted.certificate_mode.as_deref())?;
    let ca = certificate(call, "caCertificate", &wanted.ca_certificate)?;
    check_ca(&ca).map_err(|cause| ApiError::new(Exception::CertificateValidation, cause))?;
    match (mode, &wanted.verification_certificate) {
        (CertificateMode::Default, Some(pem)) => check_possession(call, &ca, pem)?,
        (CertificateMode::SniOnly, None) => {}
        (CertificateMode::Default, None) => {
            return Err(ApiError::invalid(
                "verificationCertificate is missing, expected one in certificateMode DEFAULT",
            ));
        }
        (CertificateMode::SniOnly, Some(_)) => {
            return Err(ApiError::invalid(
                "verificationCertificate is given, expected none in certificateMode SNI_ONLY",
            ));
        }
    }
    let id = CaId::of_der(ca.der());
    let new = NewCa {
        id: id.clone(),
        pem: to_pem(ca.der()),
        subject: ca.subject().to_owned(),
        status: if call.flag("setAsActive")? { CaStatus::Active } else { CaStatus::Inactive },
        mode,
        auto_registration: call.flag("allowAutoRegistration")?,
        registration: wanted.registration_config.map(Registration::checked).transpose()?,
        signs_claims: false,
        tags: tags(wanted.tags),
    };
    call.change(|tx| tx.register_ca(new))?;
    Ok(json!({ "certificateArn": call.arn("cacert", &id), "certificateId": id.as_str() }))
}

/// Checks that whoever asks holds the key of the CA (sheet, 5).
fn check_possession(call: &Call<'_>, ca: &Certificate, pem: &str) -> Result<(), ApiError> {
    let verification = certificate(call, "verificationCertificate", pem)?;
    let code = call.read().settings.registration_code.clone().ok_or_else(|| {
        let words = "this account has no registration code yet; GetRegistrationCode makes one";
        ApiError::new(Exception::RegistrationCodeValidation, words)
    })?;
    let facts = CertificateFacts::parse(verification.der()).map_err(ApiError::invalid)?;
    if facts.common_names().ne([code.as_str()]) {
        let words = "common name of the verification certificate is not the registration code of this account";
        return Err(ApiError::new(Exception::RegistrationCodeValidation, words));
    }
    Ok(check_verification(ca, &verification, &code)?)
}

fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.ca(&call.path("certificateId")?)?;
    let certificate = Certificate::parse_pem(row.pem.as_bytes()).map_err(ApiError::internal)?;
    let (not_before, not_after) = certificate.validity();
    let registration = row.registration.clone().unwrap_or_default();
    let mut config = json!({});
    for (name, value) in [
        ("templateBody", registration.template_body),
        ("templateName", registration.template_name.map(String::from)),
        ("roleArn", registration.role_arn),
    ] {
        if let Some(value) = value {
            config[name] = json!(value);
        }
    }
    Ok(json!({
        "certificateDescription": {
            "certificateArn": call.arn("cacert", &row.id),
            "certificateId": row.id.as_str(),
            "status": row.status.as_str(),
            "certificatePem": row.pem,
            "ownedBy": call.account().place().account_id,
            "creationDate": row.created.as_seconds(),
            "autoRegistrationStatus": if row.auto_registration { "ENABLE" } else { "DISABLE" },
            "lastModifiedDate": row.modified.as_seconds(),
            "customerVersion": row.version,
            "generationId": format!("{:x}-{}", row.modified.as_u64(), row.version),
            "validity": { "notBefore": not_before, "notAfter": not_after },
            "certificateMode": row.mode.as_str(),
        },
        "registrationConfig": config,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changes {
    registration_config: Option<Registration>,
    #[serde(default)]
    remove_auto_registration: bool,
}

fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.path("certificateId")?;
    let wanted: Changes = call.body()?;
    let status = match call.query("newStatus") {
        None => None,
        Some("ACTIVE") => Some(CaStatus::Active),
        Some("INACTIVE") => Some(CaStatus::Inactive),
        Some(other) => {
            return Err(ApiError::invalid(format_args!("newStatus is {other:?}, expected ACTIVE or INACTIVE")));
        }
    };
    let auto = match call.query("newAutoRegistrationStatus") {
        None => None,
        Some("ENABLE") => Some(true),
        Some("DISABLE") => Some(false),
        Some(other) => {
            let words = format_args!("newAutoRegistrationStatus is {other:?}, expected ENABLE or DISABLE");
            return Err(ApiError::invalid(words));
        }
    };
    let registration = match (wanted.registration_config, wanted.remove_auto_registration) {
        (Some(_), true) => {
            return Err(ApiError::invalid("registrationConfig and removeAutoRegistration exclude each other"));
        }
        (Some(config), false) => Some(Some(config.checked()?)),
        (None, true) => Some(None),
        (None, false) => None,
    };
    call.change(|tx| tx.update_ca(&id, status, auto, registration))?;
    Ok(Value::Null)
}

fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.path("certificateId")?;
    call.change(|tx| tx.delete_ca(&id))?;
    Ok(json!({}))
}

fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let template = call.query("templateName");
    let uses = |row: &CaRow, name: &str| {
        row.registration
            .as_ref()
            .and_then(|config| config.template_name.as_ref())
            .is_some_and(|own| own.as_str() == name)
    };
    let tables = call.read();
    let entries = tables.cas.values().filter(|row| template.is_none_or(|name| uses(row, name))).map(|row| {
        let entry = json!({
            "certificateArn": call.arn("cacert", &row.id),
            "certificateId": row.id.as_str(),
            "status": row.status.as_str(),
            "creationDate": row.created.as_seconds(),
        });
        (by_time(row.created, &row.id), entry)
    });
    ordered_page(call, "certificates", entries.collect())
}

fn list_signed(call: &Call<'_>) -> Result<Value, ApiError> {
    let ca: CaId = call.path("caCertificateId")?;
    let tables = call.read();
    let signed = tables.certificates.values().filter(|row| row.is_listed() && row.ca.as_ref() == Some(&ca));
    ordered_page(call, "certificates", signed.map(|row| certificates::entry(call, row)).collect())
}
