//! `RegisterThing`: a template filled in at once, without a device.

use std::collections::BTreeMap;

use aether_iot_template::{
    CertificatePlan, CertificateSource, CurrentStatus, Parameters, Plan, PlannedStatus, Template, TemplateKind,
    apply_status,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ca_certificates::certificate;
use super::call::Call;
use super::certificates::issue_requested;
use super::error::{ApiError, Exception};
use super::registrations::{signed, without_ca};
use super::route::{Route, route};
use crate::account::{AccountError, NewCertificate, ThingName, Tx};
use crate::provisioning::establish;
use crate::{CertificateId, CertificateStatus};

pub(super) const ROUTES: &[Route] = &[route("RegisterThing", "POST", "/things", register)];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    template_body: String,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

/// The certificate a plan is carried out for.
enum Meant {
    Known(CertificateId),
    New(NewCertificate),
}

fn register(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Registration = call.body()?;
    let template = Template::parse(TemplateKind::Bulk, &wanted.template_body);
    let template = template.map_err(|cause| ApiError::invalid(format_args!("templateBody: {cause}")))?;
    let mut parameters = Parameters::new();
    parameters.extend(&wanted.parameters).map_err(|cause| ApiError::invalid(format_args!("parameters: {cause}")))?;
    let plan = template.resolve(&parameters).map_err(ApiError::invalid)?;
    let meant = meant(call, &plan.certificate)?;
    let (id, thing) = call.account().change(|tx| carry_out(tx, meant, &plan)).map_err(failed)?;
    answer(call, &id, thing.as_ref(), &plan)
}

fn meant(call: &Call<'_>, plan: &CertificatePlan) -> Result<Meant, ApiError> {
    let status = status(plan.status);
    match &plan.source {
        CertificateSource::Id(id) => Ok(Meant::Known(id.parse().map_err(ApiError::invalid)?)),
        CertificateSource::Csr(csr) => {
            let issued = issue_requested(call, csr)?;
            let id = CertificateId::of_der(&issued.der);
            Ok(Meant::New(NewCertificate::issued(id, issued.pem, status)))
        }
        CertificateSource::Pem { certificate: pem, ca } => {
            let certificate = certificate(call, "CertificatePem", pem)?;
            let id = CertificateId::of_der(certificate.der());
            if call.read().certificates.contains_key(&id) {
                return Ok(Meant::Known(id));
            }
            Ok(Meant::New(match ca {
                Some(ca) => signed(call, certificate, Some(ca), status)?,
                None => without_ca(&certificate, status),
            }))
        }
    }
}

fn carry_out(tx: &mut Tx<'_>, meant: Meant, plan: &Plan) -> Result<(CertificateId, Option<ThingName>), AccountError> {
    let id = match meant {
        Meant::New(new) => {
            let id = new.id.clone();
            tx.create_certificate(new)?;
            id
        }
        Meant::Known(id) => {
            settle_status(tx, &id, &plan.certificate)?;
            id
        }
    };
    let thing = establish(tx, &id, plan)?;
    Ok((id, thing))
}

/// Gives a certificate that was there before the status the template and its settings ask for.
fn settle_status(tx: &mut Tx<'_>, id: &CertificateId, plan: &CertificatePlan) -> Result<(), AccountError> {
    let found = tx.tables.certificate(id)?.status;
    let current = match found {
        CertificateStatus::PendingActivation => CurrentStatus::Pending,
        CertificateStatus::Active => CurrentStatus::Active,
        CertificateStatus::Inactive | CertificateStatus::RegisterInactive => CurrentStatus::Inactive,
        CertificateStatus::Revoked | CertificateStatus::PendingTransfer => {
            return Err(AccountError::CertificateState(format!("certificate {id} is {found}")));
        }
    };
    let becomes = apply_status(current, plan).map_err(|cause| AccountError::ResourceConflict(cause.to_string()))?;
    match status(becomes) {
        becomes if becomes == found => Ok(()),
        becomes => tx.set_status(id, becomes),
    }
}

fn status(planned: PlannedStatus) -> CertificateStatus {
    match planned {
        PlannedStatus::Active => CertificateStatus::Active,
        PlannedStatus::Inactive => CertificateStatus::Inactive,
    }
}

/// Among the errors of this operation all but a few are one (API Reference, RegisterThing).
fn failed(cause: AccountError) -> ApiError {
    let error = ApiError::from(cause);
    let told = [Exception::InvalidRequest, Exception::ConflictingResourceUpdate, Exception::InternalFailure];
    match told.contains(&error.exception) {
        true => error,
        false => ApiError::new(Exception::ResourceRegistrationFailure, error.message),
    }
}

/// AWS gives the names of resources by their names in the template; which it uses is not said, so they
/// go by their kinds here, further policies with a number.
fn answer(call: &Call<'_>, id: &CertificateId, thing: Option<&ThingName>, plan: &Plan) -> Result<Value, ApiError> {
    let mut arns = Map::new();
    arns.insert("certificate".to_owned(), json!(call.arn("cert", id)));
    if let Some(thing) = thing {
        arns.insert("thing".to_owned(), json!(call.arn("thing", thing)));
    }
    for (number, policy) in plan.policies.iter().enumerate() {
        let name = if number == 0 { "policy".to_owned() } else { format!("policy{}", number + 1) };
        arns.insert(name, json!(call.arn("policy", policy.name())));
    }
    let tables = call.read();
    Ok(json!({ "certificatePem": tables.certificate(id)?.pem, "resourceArns": arns }))
}
