//! What the tests share: names, policies and a check of one decision.

#![allow(dead_code, reason = "each test program uses its own part")]

use aether_iot_policy::{Action, Arns, Context, DecisionKind, Document, Policy, Request, Resource, evaluate, explain};

pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ACCOUNT: &str = "123456789012";

pub(crate) fn arns() -> Arns {
    Arns::new(REGION, ACCOUNT).unwrap()
}

/// The resource with the kind and name of `tail`, such as `topic/a`.
pub(crate) fn resource(tail: &str) -> Resource {
    match tail {
        "*" => Resource::any(),
        tail => format!("arn:aws:iot:{REGION}:{ACCOUNT}:{tail}").parse().unwrap(),
    }
}

/// A policy called `p` of these statements; `~` stands for the start of every resource name.
#[track_caller]
pub(crate) fn policy(statements: &str) -> Policy {
    let statements = statements.replace('~', &format!("arn:aws:iot:{REGION}:{ACCOUNT}:"));
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    Policy::new("p", Document::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// A statement that allows `action` on `resource`.
pub(crate) fn allow(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#)
}

/// A statement that allows everything under these conditions.
pub(crate) fn allow_if(condition: &str) -> Policy {
    policy(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#))
}

/// Decides, and holds the explanation to the decision.
#[track_caller]
pub(crate) fn decide(policies: &[Policy], action: Action, resource: &Resource, context: &Context) -> DecisionKind {
    let request = Request::new(action, resource, context);
    let decision = evaluate(policies, &request);
    let explanation = explain(policies, &request);
    assert_eq!(explanation.decision, decision.kind(), "{explanation}");
    let named = explanation.decided_by.map(|index| &explanation.statements[index]);
    assert_eq!(named.map(|by| by.index), decision.decided_by().map(|by| by.statement), "{explanation}");
    assert!(named.is_none_or(|by| by.applies), "{explanation}");
    decision.kind()
}

/// Checks one decision of one policy.
#[track_caller]
pub(crate) fn check(policy: &Policy, action: Action, tail: &str, context: &Context, allowed: bool) {
    let resource = resource(tail);
    let kind = decide(std::slice::from_ref(policy), action, &resource, context);
    let request = Request::new(action, &resource, context);
    let explanation = explain(std::slice::from_ref(policy), &request);
    assert_eq!(kind == DecisionKind::Allowed, allowed, "{explanation}");
}
