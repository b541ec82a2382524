//! Claim certificates for trusted users (reference sheet, 5).

use serde_json::{Value, json};

use super::call::Call;
use super::error::{ApiError, Exception};
use super::route::{Route, route};
use crate::ClaimError;
use crate::account::Millis;

pub(super) const ROUTES: &[Route] =
    &[route("CreateProvisioningClaim", "POST", "/provisioning-templates/{templateName}/provisioning-claim", create)];

fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let template: String = call.path("templateName")?;
    let claim = call.control.broker.provisioning.create_claim(&template).map_err(|cause| match cause {
        ClaimError::UnknownTemplate { .. } => ApiError::new(Exception::ResourceNotFound, cause),
        ClaimError::DisabledTemplate { .. } => ApiError::invalid(cause),
        ClaimError::Internal(_) => ApiError::internal(cause),
    })?;
    Ok(json!({
        "certificateId": claim.certificate_id.as_str(),
        "certificatePem": claim.certificate_pem,
        "keyPair": { "PublicKey": claim.public_key_pem, "PrivateKey": claim.private_key_pem },
        "expiration": Millis::from(claim.expiration).as_seconds(),
    }))
}
