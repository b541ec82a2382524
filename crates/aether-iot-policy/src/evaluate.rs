//! The decision on one request.

use crate::Request;
use crate::document::{Effect, Policy, Statement};

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    kind: DecisionKind,
    decided_by: Option<StatementRef<'p>>,
}

/// How a decision came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecisionKind {
    /// A statement allows the request and none denies it.
    Allowed,
    /// A statement denies the request.
    ExplicitDeny,
    /// No statement allows the request.
    ImplicitDeny,
}

/// The place of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatementRef<'p> {
    /// The name of the policy.
    pub policy: &'p str,
    /// Counted from 0 in the order of the document.
    pub statement: usize,
    /// The statement's own name, where it has one.
    pub sid: Option<&'p str>,
}

impl<'p> Decision<'p> {
    pub(crate) fn new(kind: DecisionKind, decided_by: Option<StatementRef<'p>>) -> Self {
        Self { kind, decided_by }
    }

    /// Whether the request is allowed.
    pub fn is_allowed(&self) -> bool {
        self.kind == DecisionKind::Allowed
    }

    /// How the decision came about.
    pub fn kind(&self) -> DecisionKind {
        self.kind
    }

    /// The statement that decided: the first that denies, else the first that allows. `None` for
    /// [`DecisionKind::ImplicitDeny`].
    pub fn decided_by(&self) -> Option<StatementRef<'p>> {
        self.decided_by
    }
}

impl DecisionKind {
    /// As `TestAuthorization` names it: `ALLOWED`, `EXPLICIT_DENY` or `IMPLICIT_DENY`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "ALLOWED",
            Self::ExplicitDeny => "EXPLICIT_DENY",
            Self::ImplicitDeny => "IMPLICIT_DENY",
        }
    }
}

/// Decides `request` by all `policies` together: an explicit Deny wins over any Allow, and what no
/// statement allows is denied (sheet, section 3.1).
///
/// Takes no memory unless a condition or a time variable has to be looked at, and stops at the
/// first Deny that applies.
///
/// ```
/// use aether_iot_policy::{Action, Arns, Context, DecisionKind, Document, Policy, Request, evaluate};
///
/// let document = Document::parse(r#"{ "Version": "2012-10-17", "Statement": [
///     { "Sid": "All", "Effect": "Allow", "Action": "iot:*", "Resource": "*" },
///     { "Sid": "NoSecrets", "Effect": "Deny", "Action": "*", "Resource": "arn:aws:iot:*:topic/secret/*" } ] }"#)?;
/// let policies = [Policy::new("operator", document)];
/// let topic = Arns::new("eu-west-1", "123456789012")?.topic("secret/plan");
/// let context = Context::new().with_client_id("desk-4");
///
/// let decision = evaluate(&policies, &Request::new(Action::Receive, &topic, &context));
/// assert_eq!(decision.kind(), DecisionKind::ExplicitDeny);
/// assert_eq!(decision.decided_by().and_then(|by| by.sid), Some("NoSecrets"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate<'p, P: AsRef<Policy>>(policies: &'p [P], request: &Request<'_>) -> Decision<'p> {
    let mut allowed_by = None;
    for policy in policies.iter().map(AsRef::as_ref) {
        for (index, statement) in policy.document().statements().iter().enumerate() {
            // A later Allow changes nothing; only a Deny still could.
            if statement.effect == Effect::Allow && allowed_by.is_some() || !statement.applies(request) {
                continue;
            }
            let by = Some(policy.statement_ref(index, statement));
            match statement.effect {
                Effect::Deny => return Decision::new(DecisionKind::ExplicitDeny, by),
                Effect::Allow => allowed_by = by,
            }
        }
    }
    let kind = if allowed_by.is_some() { DecisionKind::Allowed } else { DecisionKind::ImplicitDeny };
    Decision::new(kind, allowed_by)
}

impl Policy {
    pub(crate) fn statement_ref<'p>(&'p self, index: usize, statement: &'p Statement) -> StatementRef<'p> {
        StatementRef { policy: self.name(), statement: index, sid: statement.sid.as_deref() }
    }
}

impl Statement {
    fn applies(&self, request: &Request<'_>) -> bool {
        self.names_action(request)
            && self.names_resource(request)
            && self.conditions.iter().all(|one| one.holds(request))
    }

    pub(crate) fn names_action(&self, request: &Request<'_>) -> bool {
        self.actions.value.contains(request.action()) != self.actions.negated
    }

    pub(crate) fn names_resource(&self, request: &Request<'_>) -> bool {
        let resource = request.resource().as_str();
        self.resources.value.iter().any(|pattern| pattern.matches(resource, request)) != self.resources.negated
    }
}
