//! What a policy grants beyond the need: by asking what it should refuse, and by looking for what served no need.

use std::error::Error;

use aether_iot_policy::{
    Action, Attachment, Context, Effect, ExplainedElement, ExplainedStatement, Explanation, Policy, Thing,
};

use super::args::Role;
use super::check::{Session, ask};
use super::hint::{foreign_prefix, place};
use super::report::Surplus;

/// A name that nothing in a policy is likely to be narrowed to.
const OTHER: &str = "another-device";

/// All that is granted beyond the needs that `explanations` are of.
pub(super) fn surplus(
    policies: &[Policy],
    explanations: &[Explanation],
    session: &Session,
) -> Result<Vec<Surplus>, Box<dyn Error>> {
    let mut beyond = Vec::new();
    let statements = explanations.first().map(|one| one.statements.as_slice()).unwrap_or_default();
    let allowing = || statements.iter().enumerate().filter(|(_, one)| one.effect == Effect::Allow);
    beyond.extend(allowing().flat_map(|(_, statement)| wide(statement)));
    beyond.extend(probes(policies, session)?);
    beyond.extend(allowing().flat_map(|(index, _)| unused(index, explanations, &session.arn_prefix)));
    Ok(beyond)
}

/// What a statement allows without naming it.
fn wide(statement: &ExplainedStatement) -> Vec<Surplus> {
    let mut found = Vec::new();
    let at = place(statement);
    for element in [&statement.action, &statement.resource] {
        if element.name.starts_with("Not") {
            found.push(Surplus(format!("{at} allows by {}: everything but what it names", element.name)));
        }
    }
    if statement.resource.values.iter().any(|value| value.written == "*") {
        found
            .push(Surplus(format!("{at} allows {} on every resource: \"Resource\": \"*\"", listed(&statement.action))));
    }
    let patterns = statement.action.values.iter().filter(|value| value.written.contains(['*', '?']));
    found.extend(patterns.map(|value| Surplus(format!("{at} allows every action that {:?} matches", value.written))));
    found
}

/// Asks for what this session should be refused.
fn probes(policies: &[Policy], session: &Session) -> Result<Vec<Surplus>, Box<dyn Error>> {
    let own = session.context();
    // Another client id, of a Thing the certificate is not attached to.
    let as_other = Context::new().with_client_id(OTHER).with_thing(Thing::new(OTHER), Attachment::None);
    let others_shadow = format!("$aws/things/{OTHER}/shadow/update");
    let mut questions = vec![
        (Action::Connect, "client", OTHER, &as_other, "connect under any client id, and so cut other devices off"),
        (Action::Publish, "topic", OTHER, &own, "publish on the topics of other devices"),
        (Action::Publish, "topic", &others_shadow, &own, "change the shadows of other devices"),
        (Action::RetainPublish, "topic", OTHER, &own, "leave retained messages on the topics of other devices"),
        (Action::Subscribe, "topicfilter", "#", &own, "subscribe to every topic"),
        (Action::Subscribe, "topicfilter", OTHER, &own, "subscribe to the topics of other devices"),
        (Action::Receive, "topic", OTHER, &own, "receive what other devices publish"),
        (Action::DeleteConnection, "client", OTHER, &own, "drop the connections of other devices"),
        (Action::UpdateThingShadow, "thing", OTHER, &own, "change the shadows of other devices over HTTPS"),
        (Action::AssumeRoleWithCertificate, "rolealias", "any-role", &own, "obtain AWS credentials by any role alias"),
        (
            Action::Publish,
            "topic",
            "$aws/provisioning-templates/another-template/provision/json",
            &own,
            "register Things by other templates",
        ),
    ];
    if !session.provisions {
        for operation in ["$aws/certificates/create/json", "$aws/certificates/create-from-csr/json"] {
            questions.push((Action::Publish, "topic", operation, &own, "have further certificates made"));
        }
    }
    let mut found: Vec<Surplus> = Vec::new();
    for (action, kind, name, context, what) in questions {
        let explanation = ask(policies, action, &format!("{}:{kind}/{name}", session.arn_prefix).parse()?, context);
        let Some(statement) = explanation.decided_by.map(|index| &explanation.statements[index]) else { continue };
        if statement.effect == Effect::Allow {
            let whose = match session.role {
                Role::Claim => "claim",
                Role::Device => "device",
            };
            let one = Surplus(format!("{} lets a {whose} certificate {what}", place(statement)));
            // Both operations may be told of in the same words.
            if !found.contains(&one) {
                found.push(one);
            }
        }
    }
    Ok(found)
}

/// What of a statement served no need.
fn unused(index: usize, explanations: &[Explanation], arn_prefix: &str) -> Vec<Surplus> {
    let views: Vec<_> = explanations.iter().map(|explanation| &explanation.statements[index]).collect();
    let Some(statement) = views.first() else { return Vec::new() };
    let at = place(statement);
    if !views.iter().any(|view| view.action.matched && view.resource.matched) {
        return vec![Surplus(format!(
            "{at} serves no need: {} on {}",
            listed(&statement.action),
            listed(&statement.resource)
        ))];
    }
    let serves = |of: &dyn Fn(&ExplainedStatement) -> (bool, bool)| views.iter().any(|view| of(view) == (true, true));
    let actions = statement
        .action
        .values
        .iter()
        .enumerate()
        .filter(|(n, _)| !serves(&|view| (view.resource.matched, view.action.values[*n].matched == Some(true))));
    let resources = statement
        .resource
        .values
        .iter()
        .enumerate()
        .filter(|(n, _)| !serves(&|view| (view.action.matched, view.resource.values[*n].matched == Some(true))));
    let mut found = Vec::new();
    if !statement.action.name.starts_with("Not") {
        found.extend(
            actions.map(|(_, value)| Surplus(format!("{at} allows {:?}, which serves no need", value.written))),
        );
    }
    if !statement.resource.name.starts_with("Not") {
        found.extend(resources.map(|(_, value)| {
            let elsewhere = if foreign_prefix(&value.written, arn_prefix).is_some() { " in this account" } else { "" };
            Surplus(format!("{at} names {:?}, which serves no need{elsewhere}", value.written))
        }));
    }
    found
}

/// The values of an element, the first three of them.
fn listed(element: &ExplainedElement) -> String {
    let shown: Vec<_> = element.values.iter().take(3).map(|value| format!("{:?}", value.written)).collect();
    let more = if element.values.len() > 3 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
