//! Policies and their versions.

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Tag, tags};
use super::error::ApiError;
use super::paging::{by_time, ordered_page};
use super::route::{Route, route};
use crate::account::{PolicyName, PolicyRow, PolicyVersion};

pub(super) const ROUTES: &[Route] = &[
    route("CreatePolicy", "POST", "/policies/{policyName}", create),
    route("GetPolicy", "GET", "/policies/{policyName}", get),
    route("ListPolicies", "GET", "/policies", list),
    route("DeletePolicy", "DELETE", "/policies/{policyName}", delete),
    route("CreatePolicyVersion", "POST", "/policies/{policyName}/version", create_version),
    route("GetPolicyVersion", "GET", "/policies/{policyName}/version/{policyVersionId}", get_version),
    route("ListPolicyVersions", "GET", "/policies/{policyName}/version", list_versions),
    route("DeletePolicyVersion", "DELETE", "/policies/{policyName}/version/{policyVersionId}", delete_version),
    route("SetDefaultPolicyVersion", "PATCH", "/policies/{policyName}/version/{policyVersionId}", set_default_version),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewPolicy {
    policy_document: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let name: PolicyName = call.path("policyName")?;
    let wanted: NewPolicy = call.body()?;
    call.change(|tx| tx.create_policy(name.clone(), &wanted.policy_document, tags(wanted.tags)))?;
    Ok(json!({
        "policyName": name.as_str(),
        "policyArn": call.arn("policy", &name),
        "policyDocument": wanted.policy_document,
        "policyVersionId": "1",
    }))
}

fn get(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.policy(&call.path("policyName")?)?;
    Ok(json!({
        "policyName": row.name.as_str(),
        "policyArn": call.arn("policy", &row.name),
        "policyDocument": row.default_document(),
        "defaultVersionId": row.default_version.to_string(),
        "creationDate": row.created.as_seconds(),
        "lastModifiedDate": row.modified.as_seconds(),
        "generationId": generation(row),
    }))
}

/// Changes whenever the policy does.
fn generation(row: &PolicyRow) -> String {
    format!("{:x}-{}", row.modified.as_u64(), row.next_version)
}

/// A policy in a list.
pub(super) fn entry(call: &Call<'_>, name: &PolicyName) -> Value {
    json!({ "policyName": name.as_str(), "policyArn": call.arn("policy", name) })
}

fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let entries = tables.policies.values().map(|row| (by_time(row.created, &row.name), entry(call, &row.name)));
    ordered_page(call, "policies", entries.collect())
}

fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let name: PolicyName = call.path("policyName")?;
    call.change(|tx| tx.delete_policy(&name))?;
    Ok(Value::Null)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewVersion {
    policy_document: String,
}

fn create_version(call: &Call<'_>) -> Result<Value, ApiError> {
    let name: PolicyName = call.path("policyName")?;
    let wanted: NewVersion = call.body()?;
    let set_default = call.flag("setAsDefault")?;
    let id = call.change(|tx| tx.create_policy_version(&name, &wanted.policy_document, set_default))?;
    Ok(json!({
        "policyArn": call.arn("policy", &name),
        "policyDocument": wanted.policy_document,
        "policyVersionId": id.to_string(),
        "isDefaultVersion": set_default,
    }))
}

fn version_id(call: &Call<'_>) -> Result<u32, ApiError> {
    let text: String = call.path("policyVersionId")?;
    let good = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(id) if good => Ok(id),
        _ => Err(ApiError::invalid(format_args!("policyVersionId is {text:?}, expected 1 to 9 digits"))),
    }
}

fn get_version(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.policy(&call.path("policyName")?)?;
    let id = version_id(call)?;
    let version: &PolicyVersion = row.version(id)?;
    Ok(json!({
        "policyName": row.name.as_str(),
        "policyArn": call.arn("policy", &row.name),
        "policyDocument": version.document,
        "policyVersionId": id.to_string(),
        "isDefaultVersion": id == row.default_version,
        "creationDate": version.created.as_seconds(),
        "lastModifiedDate": version.created.as_seconds(),
        "generationId": generation(row),
    }))
}

fn list_versions(call: &Call<'_>) -> Result<Value, ApiError> {
    let tables = call.read();
    let row = tables.policy(&call.path("policyName")?)?;
    let versions = row.versions.iter().rev().map(|(id, version)| {
        json!({
            "versionId": id.to_string(),
            "isDefaultVersion": *id == row.default_version,
            "createDate": version.created.as_seconds(),
        })
    });
    Ok(json!({ "policyVersions": versions.collect::<Vec<_>>() }))
}

fn delete_version(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, id) = (call.path("policyName")?, version_id(call)?);
    call.change(|tx| tx.delete_policy_version(&name, id))?;
    Ok(Value::Null)
}

fn set_default_version(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, id) = (call.path("policyName")?, version_id(call)?);
    call.change(|tx| tx.set_default_policy_version(&name, id))?;
    Ok(Value::Null)
}
