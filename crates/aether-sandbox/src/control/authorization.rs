//! What policies would decide, without anybody connecting.

use std::collections::BTreeSet;

use aether_iot_policy::{Action, Context, DecisionKind, Effect, Explanation, Request, Resource, explain};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::policies;
use super::route::{Route, route};
use crate::account::{ActivePolicy, PolicyName, PolicyTarget, Tables};
use crate::pki::{Certificate, CertificateFacts};

pub(super) const ROUTES: &[Route] = &[
    route("TestAuthorization", "POST", "/test-authorization", test),
    route("GetEffectivePolicies", "POST", "/effective-policies", effective),
];

/// Most questions of one request (API Reference, TestAuthorization).
const MAX_QUESTIONS: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    principal: Option<String>,
    cognito_identity_pool_id: Option<String>,
    auth_infos: Vec<Question>,
    #[serde(default)]
    policy_names_to_add: Vec<PolicyName>,
    #[serde(default)]
    policy_names_to_skip: Vec<PolicyName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    action_type: Option<String>,
    resources: Vec<String>,
}

/// Whom a question is about.
struct Subject {
    policies: Vec<PolicyName>,
    context: Context,
}

/// The policies and facts of a principal that connects as `client_id`.
fn subject(
    call: &Call<'_>,
    tables: &Tables,
    principal: Option<&str>,
    client_id: Option<&str>,
) -> Result<Subject, ApiError> {
    let mut context = Context::new();
    if let Some(client_id) = client_id {
        context = context.with_client_id(client_id);
    }
    let policies = match principal.map(|principal| call.target(principal)).transpose()? {
        None => Vec::new(),
        Some(PolicyTarget::Group(group)) => {
            tables.group(&group)?;
            tables.with_ancestors(&group).into_iter().flat_map(|row| row.policies.iter().cloned()).collect()
        }
        Some(PolicyTarget::Certificate(id)) => {
            let row = tables.certificate(&id)?;
            let facts =
                Certificate::parse_pem(row.pem.as_bytes()).and_then(|found| CertificateFacts::parse(found.der()));
            context = context.with_certificate(facts.map_err(ApiError::internal)?.for_policies());
            let standing = tables.effective(&id, client_id.unwrap_or_default(), call.now());
            let standing = standing.ok_or_else(|| ApiError::invalid(format_args!("certificate {id} has ended")))?;
            if let Some((thing, attachment)) = standing.thing {
                context = context.with_thing(thing, attachment);
            }
            standing.policies.iter().map(|policy| policy.name().parse()).collect::<Result<_, _>>()?
        }
    };
    Ok(Subject { policies, context })
}

/// Cognito identities are no principals of the sandbox.
fn check_no_cognito(pool: Option<&String>) -> Result<(), ApiError> {
    match pool {
        None => Ok(()),
        Some(_) => Err(ApiError::not_implemented("cognitoIdentityPoolId: there is no Cognito")),
    }
}

fn test(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Test = call.body()?;
    check_no_cognito(wanted.cognito_identity_pool_id.as_ref())?;
    if !(1..=MAX_QUESTIONS).contains(&wanted.auth_infos.len()) {
        let found = wanted.auth_infos.len();
        return Err(ApiError::invalid(format_args!("authInfos has {found} entries, expected 1 to {MAX_QUESTIONS}")));
    }
    let tables = call.read();
    let Subject { mut policies, context } =
        subject(call, &tables, wanted.principal.as_deref(), call.query("clientId"))?;
    policies.retain(|name| !wanted.policy_names_to_skip.contains(name));
    for name in wanted.policy_names_to_add {
        tables.policy(&name)?;
        if !policies.contains(&name) {
            policies.push(name);
        }
    }
    let active: Vec<ActivePolicy> =
        policies.iter().filter_map(|name| tables.policies.get(name)).filter_map(|row| row.active().cloned()).collect();
    let results = wanted.auth_infos.iter().map(|question| answer(call, question, &active, &context));
    Ok(json!({ "authResults": results.collect::<Result<Vec<_>, _>>()? }))
}

fn action(text: Option<&str>) -> Result<Action, ApiError> {
    match text {
        Some("CONNECT") => Ok(Action::Connect),
        Some("PUBLISH") => Ok(Action::Publish),
        Some("SUBSCRIBE") => Ok(Action::Subscribe),
        Some("RECEIVE") => Ok(Action::Receive),
        found => Err(ApiError::invalid(format_args!(
            "actionType is {:?}, expected CONNECT, PUBLISH, SUBSCRIBE or RECEIVE",
            found.unwrap_or_default()
        ))),
    }
}

/// The answer to one question. With several resources it is allowed when each of them is.
fn answer(
    call: &Call<'_>,
    question: &Question,
    policies: &[ActivePolicy],
    context: &Context,
) -> Result<Value, ApiError> {
    let action = action(question.action_type.as_deref())?;
    if question.resources.is_empty() {
        return Err(ApiError::invalid("resources is empty, expected at least one"));
    }
    let now = call.account().clock().now();
    let mut decision = DecisionKind::Allowed;
    let (mut allowing, mut denying, mut missing) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for resource in &question.resources {
        let resource: Resource = resource.parse().map_err(ApiError::invalid)?;
        let explained = explain(policies, &Request::new(action, &resource, context).at(now));
        for statement in explained.statements.iter().filter(|statement| statement.applies) {
            match statement.effect {
                Effect::Allow => allowing.insert(statement.policy.clone()),
                Effect::Deny | _ => denying.insert(statement.policy.clone()),
            };
        }
        missing.extend(without_value(&explained));
        decision = worse(decision, explained.decision);
    }
    let entries = |names: BTreeSet<String>| -> Result<Vec<Value>, ApiError> {
        names.iter().map(|name| Ok(policies::entry(call, &name.parse()?))).collect()
    };
    let implicit = match decision {
        DecisionKind::ImplicitDeny => policies.iter().map(|policy| policy.name().to_owned()).collect(),
        DecisionKind::Allowed | DecisionKind::ExplicitDeny | _ => BTreeSet::new(),
    };
    Ok(json!({
        "authInfo": { "actionType": question.action_type, "resources": question.resources },
        "allowed": { "policies": entries(allowing)? },
        "denied": {
            "implicitDeny": { "policies": entries(implicit)? },
            "explicitDeny": { "policies": entries(denying)? },
        },
        "authDecision": decision.as_str(),
        "missingContextValues": missing,
    }))
}

fn worse(one: DecisionKind, other: DecisionKind) -> DecisionKind {
    let has = |kind| one == kind || other == kind;
    match (has(DecisionKind::ExplicitDeny), has(DecisionKind::ImplicitDeny)) {
        (true, _) => DecisionKind::ExplicitDeny,
        (false, true) => DecisionKind::ImplicitDeny,
        (false, false) => DecisionKind::Allowed,
    }
}

/// The variables and keys that would have counted and have no value.
fn without_value(explained: &Explanation) -> BTreeSet<String> {
    let statements = explained.statements.iter().filter(|statement| statement.action.matched);
    let names = statements.flat_map(|statement| {
        let variables = statement.resource.values.iter().flat_map(|value| &value.unresolved).map(|(name, _)| name);
        let keys = statement.conditions.iter().filter(|condition| condition.found.is_err()).map(|found| &found.key);
        variables.chain(keys)
    });
    names.cloned().collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whose {
    principal: Option<String>,
    cognito_identity_pool_id: Option<String>,
}

fn effective(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted: Whose = call.body()?;
    check_no_cognito(wanted.cognito_identity_pool_id.as_ref())?;
    let tables = call.read();
    let mut names = subject(call, &tables, wanted.principal.as_deref(), call.query("thingName"))?.policies;
    if let (None, Some(thing)) = (&wanted.principal, call.query("thingName")) {
        let groups = &tables.thing(&thing.parse()?)?.groups;
        let above = groups.iter().flat_map(|group| tables.with_ancestors(group));
        names.extend(above.flat_map(|group| group.policies.iter().cloned()));
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let found = names.iter().filter_map(|name| tables.policies.get(name)).map(|row| {
        let mut entry = policies::entry(call, &row.name);
        entry["policyDocument"] = json!(row.default_document());
        entry
    });
    Ok(json!({ "effectivePolicies": found.collect::<Vec<_>>() }))
}
