//! Faults on purpose: the script that is in force, and another one.

use serde_json::{Value, json};

use super::Admin;
use super::error::ApiError;
use super::query;
use super::routes::Answer;

/// `GET /faults`: the rules, each with how often it matched and fired.
pub(super) fn list(admin: &Admin, query: Option<&str>) -> Answer {
    query::nothing(query)?;
    report(admin)
}

/// `PUT /faults`: another script; its counts begin at nought.
pub(super) fn set(admin: &Admin, body: &[u8]) -> Answer {
    let script = std::str::from_utf8(body).map_err(|cause| ApiError::invalid(format!("body: {cause}")))?;
    admin.broker.faults.set(script).map_err(|cause| ApiError::invalid(cause.to_string()))?;
    report(admin)
}

fn report(admin: &Admin) -> Answer {
    let rules: Value = serde_json::from_str(&admin.broker.faults.report()).map_err(ApiError::inside)?;
    Ok(json!({ "rules": rules }))
}
