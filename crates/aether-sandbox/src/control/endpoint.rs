//! Where devices find the broker.

use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::route::{Route, route};

pub(super) const ROUTES: &[Route] = &[route("DescribeEndpoint", "GET", "/endpoint", describe)];

/// The endpoint types of the API Reference; all are the one broker here.
const TYPES: &[&str] = &["iot:Data", "iot:Data-ATS", "iot:CredentialProvider", "iot:Jobs"];

fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let kind = call.query("endpointType").unwrap_or("iot:Data");
    if !TYPES.contains(&kind) {
        return Err(ApiError::invalid(format_args!("endpointType is {kind:?}, expected one of {}", TYPES.join(", "))));
    }
    Ok(json!({ "endpointAddress": call.control.endpoint }))
}
