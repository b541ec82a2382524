//! Policies attached to certificates and Thing groups.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::paging::{Entries, Style, ordered_page, page};
use super::policies;
use super::route::{Route, route};
use crate::account::{PolicyName, PolicyTarget, Tables};

pub(super) const ROUTES: &[Route] = &[
    route("AttachPolicy", "PUT", "/target-policies/{policyName}", attach),
    route("DetachPolicy", "POST", "/target-policies/{policyName}", detach),
    route("ListAttachedPolicies", "POST", "/attached-policies/{target}", list_attached),
    route("ListTargetsForPolicy", "POST", "/policy-targets/{policyName}", list_targets),
    route("AttachPrincipalPolicy", "PUT", "/principal-policies/{policyName}", attach_principal),
    route("DetachPrincipalPolicy", "DELETE", "/principal-policies/{policyName}", detach_principal),
    route("ListPrincipalPolicies", "GET", "/principal-policies", list_of_principal),
    route("ListPolicyPrincipals", "GET", "/policy-principals", list_principals),
];

/// The header of the older operations; that of Things has another name.
const PRINCIPAL: &str = "x-amzn-iot-principal";

#[derive(Deserialize)]
struct Target {
    target: String,
}

fn body_target(call: &Call<'_>) -> Result<PolicyTarget, ApiError> {
    let Target { target } = call.body()?;
    call.target(&target)
}

fn header_target(call: &Call<'_>) -> Result<PolicyTarget, ApiError> {
    Ok(PolicyTarget::Certificate(call.principal(call.header(PRINCIPAL)?)?))
}

fn attach(call: &Call<'_>) -> Result<Value, ApiError> {
    attach_to(call, &body_target(call)?)
}

fn attach_principal(call: &Call<'_>) -> Result<Value, ApiError> {
    attach_to(call, &header_target(call)?)
}

fn attach_to(call: &Call<'_>, target: &PolicyTarget) -> Result<Value, ApiError> {
    let name: PolicyName = call.path("policyName")?;
    call.change(|tx| tx.attach_policy(&name, target))?;
    Ok(Value::Null)
}

fn detach(call: &Call<'_>) -> Result<Value, ApiError> {
    detach_from(call, &body_target(call)?)
}

fn detach_principal(call: &Call<'_>) -> Result<Value, ApiError> {
    detach_from(call, &header_target(call)?)
}

fn detach_from(call: &Call<'_>, target: &PolicyTarget) -> Result<Value, ApiError> {
    let name: PolicyName = call.path("policyName")?;
    call.change(|tx| tx.detach_policy(&name, target))?;
    Ok(Value::Null)
}

/// The policies of a target; of a group with those of the groups above it, if asked for.
fn attached(tables: &Tables, target: &PolicyTarget, recursive: bool) -> Result<BTreeSet<PolicyName>, ApiError> {
    Ok(match target {
        PolicyTarget::Certificate(id) => tables.certificate(id)?.policies.iter().cloned().collect(),
        PolicyTarget::Group(name) => {
            let own = tables.group(name)?.policies.clone();
            let above = tables.with_ancestors(name).into_iter().filter(|_| recursive);
            own.into_iter().chain(above.flat_map(|group| group.policies.iter().cloned())).collect()
        }
    })
}

fn entries(call: &Call<'_>, names: BTreeSet<PolicyName>) -> Entries {
    names.into_iter().map(|name| (name.to_string(), policies::entry(call, &name))).collect()
}

fn list_attached(call: &Call<'_>) -> Result<Value, ApiError> {
    let target = call.target(&call.path::<String>("target")?)?;
    let names = attached(&call.read(), &target, call.flag("recursive")?)?;
    page(call, Style::Marker, "policies", entries(call, names))
}

fn list_of_principal(call: &Call<'_>) -> Result<Value, ApiError> {
    let names = attached(&call.read(), &header_target(call)?, false)?;
    ordered_page(call, "policies", entries(call, names))
}

fn targets(call: &Call<'_>, name: &PolicyName) -> Result<Vec<(PolicyTarget, String)>, ApiError> {
    let tables = call.read();
    tables.policy(name)?;
    let named = tables.targets_of(name).into_iter().map(|target| match &target {
        PolicyTarget::Certificate(id) => {
            let arn = call.arn("cert", id);
            (target, arn)
        }
        PolicyTarget::Group(group) => {
            let arn = call.arn("thinggroup", group);
            (target, arn)
        }
    });
    Ok(named.collect())
}

fn list_targets(call: &Call<'_>) -> Result<Value, ApiError> {
    let arns = targets(call, &call.path("policyName")?)?.into_iter().map(|(_, arn)| (arn.clone(), json!(arn)));
    page(call, Style::Marker, "targets", arns.collect())
}

fn list_principals(call: &Call<'_>) -> Result<Value, ApiError> {
    let name: PolicyName = call.header("x-amzn-iot-policy")?.parse()?;
    let certificates = targets(call, &name)?.into_iter().filter_map(|(target, arn)| match target {
        PolicyTarget::Certificate(_) => Some((arn.clone(), json!(arn))),
        PolicyTarget::Group(_) => None,
    });
    ordered_page(call, "principals", certificates.collect())
}
