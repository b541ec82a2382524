//! Why a request is decided as it is: every statement, part by part.

mod json;
mod text;

use crate::document::{Effect, Policy, Statement};
use crate::{Action, DecisionKind, Request, Unresolved, evaluate};

/// Every statement of every policy against one request.
///
/// Its `Display` is for a terminal, [`to_json`](Self::to_json) for programs.
///
/// ```
/// use aether_iot_policy::{Action, Arns, Context, Document, Policy, Request, explain};
///
/// let document = Document::parse(r#"{ "Version": "2012-10-17", "Statement": { "Effect": "Allow",
///     "Action": "iot:Publish", "Resource": "arn:aws:iot:*:topic/${iot:Connection.Thing.ThingName}" } }"#)?;
/// let policies = [Policy::new("device", document)];
/// let topic = Arns::new("eu-west-1", "123456789012")?.topic("press-3");
/// let context = Context::new().with_client_id("press-3");
///
/// let explanation = explain(&policies, &Request::new(Action::Publish, &topic, &context));
/// assert!(explanation.to_string().contains("no Thing belongs to the connection"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What is asked for.
    pub action: Action,
    /// What it is asked for on.
    pub resource: String,
    /// The client id of the connection.
    pub client_id: Option<String>,
    /// The decision, the same as [`evaluate`]'s.
    pub decision: DecisionKind,
    /// The statement that decided: index into [`statements`](Self::statements).
    pub decided_by: Option<usize>,
    /// Every statement, policy by policy.
    pub statements: Vec<ExplainedStatement>,
}

/// One statement against the request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedStatement {
    /// The name of the policy.
    pub policy: String,
    /// Counted from 0 within the document.
    pub index: usize,
    /// The statement's own name.
    pub sid: Option<String>,
    /// What it does to requests it applies to.
    pub effect: Effect,
    /// Whether it applies: action, resource and all conditions match.
    pub applies: bool,
    /// Its `Action` or `NotAction`.
    pub action: ExplainedElement,
    /// Its `Resource` or `NotResource`.
    pub resource: ExplainedElement,
    /// Its conditions.
    pub conditions: Vec<ExplainedCondition>,
}

/// `Action`, `NotAction`, `Resource` or `NotResource` against the request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedElement {
    /// Its name in the document.
    pub name: &'static str,
    /// Whether the statement covers the request by it; for the `Not` forms, whether none of the values match.
    pub matched: bool,
    /// Its values.
    pub values: Vec<ExplainedValue>,
}

/// One value of the document.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedValue {
    /// As the document has it.
    pub written: String,
    /// With variables filled in; an unresolved one stays as written.
    pub substituted: String,
    /// The variables without a value, and why.
    pub unresolved: Vec<(String, Unresolved)>,
    /// Whether it covers the request's value. Always `None` in conditions, which match as a whole.
    pub matched: Option<bool>,
}

/// One condition against the request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExplainedCondition {
    /// The operator, with prefix and suffix.
    pub operator: String,
    /// The key.
    pub key: String,
    /// What the request has under the key, or why it has nothing.
    pub found: Result<Vec<String>, Unresolved>,
    /// What it is compared with.
    pub expected: Vec<ExplainedValue>,
    /// Whether the condition holds.
    pub matched: bool,
}

/// Decides like [`evaluate`], and tells how each statement came out.
pub fn explain<P: AsRef<Policy>>(policies: &[P], request: &Request<'_>) -> Explanation {
    let decision = evaluate(policies, request).kind();
    let statements: Vec<_> = policies
        .iter()
        .map(AsRef::as_ref)
        .flat_map(|policy| {
            let numbered = policy.document().statements().iter().enumerate();
            numbered.map(|(index, statement)| explain_statement(policy, index, statement, request))
        })
        .collect();
    let deciding = match decision {
        DecisionKind::Allowed => Some(Effect::Allow),
        DecisionKind::ExplicitDeny => Some(Effect::Deny),
        DecisionKind::ImplicitDeny => None,
    };
    let decided_by = statements.iter().position(|one| one.applies && Some(one.effect) == deciding);
    Explanation {
        action: request.action(),
        resource: request.resource().to_string(),
        client_id: request.context().client_id().map(str::to_owned),
        decision,
        decided_by,
        statements,
    }
}

fn explain_statement(
    policy: &Policy,
    index: usize,
    statement: &Statement,
    request: &Request<'_>,
) -> ExplainedStatement {
    let action = ExplainedElement {
        name: statement.actions.name,
        matched: statement.names_action(request),
        values: statement.actions.value.patterns().iter().map(|pattern| explain_action(pattern, request)).collect(),
    };
    let resource = ExplainedElement {
        name: statement.resources.name,
        matched: statement.names_resource(request),
        values: statement
            .resources
            .value
            .iter()
            .map(|pattern| {
                let rendered = pattern.render(request);
                ExplainedValue {
                    written: pattern.source().to_owned(),
                    substituted: rendered.text,
                    unresolved: rendered.unresolved,
                    matched: Some(pattern.matches(request.resource().as_str(), request)),
                }
            })
            .collect(),
    };
    let conditions: Vec<_> = statement
        .conditions
        .iter()
        .map(|condition| ExplainedCondition {
            operator: condition.operator().to_owned(),
            key: condition.key().to_owned(),
            found: condition.found(request),
            expected: condition
                .expected(request)
                .map(|(written, rendered)| ExplainedValue {
                    written: written.to_owned(),
                    substituted: rendered.text,
                    unresolved: rendered.unresolved,
                    matched: None,
                })
                .collect(),
            matched: condition.holds(request),
        })
        .collect();
    ExplainedStatement {
        policy: policy.name().to_owned(),
        index,
        sid: statement.sid.clone(),
        effect: statement.effect,
        applies: action.matched && resource.matched && conditions.iter().all(|condition| condition.matched),
        action,
        resource,
        conditions,
    }
}

fn explain_action(pattern: &str, request: &Request<'_>) -> ExplainedValue {
    let alone = crate::action::ActionSet::new(vec![pattern.to_owned()]);
    ExplainedValue {
        written: pattern.to_owned(),
        substituted: pattern.to_owned(),
        unresolved: Vec::new(),
        matched: Some(alone.contains(request.action())),
    }
}
