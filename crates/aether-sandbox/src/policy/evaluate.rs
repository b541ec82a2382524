//! Decides one request against the policies of a principal.

use std::sync::Arc;

use super::document::{Effect, Policy, Statement};
use super::{ACCOUNT, REGION};
use crate::StatementRef;

/// An action a broker checks (sheet, 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Connect,
    Publish,
    RetainPublish,
    Subscribe,
    Receive,
}

impl Action {
    /// In lower case, as the patterns of a policy are kept.
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "iot:connect",
            Self::Publish => "iot:publish",
            Self::RetainPublish => "iot:retainpublish",
            Self::Subscribe => "iot:subscribe",
            Self::Receive => "iot:receive",
        }
    }

    fn resource_type(self) -> &'static str {
        match self {
            Self::Connect => "client",
            Self::Publish | Self::RetainPublish | Self::Receive => "topic",
            Self::Subscribe => "topicfilter",
        }
    }
}

/// Who wants to do what with which client id, topic or filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) action: Action,
    /// The client id for Connect, the filter for Subscribe, otherwise the topic.
    pub(crate) target: &'a str,
    pub(crate) client_id: &'a str,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    /// The statement that decided; a denial without one is the default.
    pub(crate) decided_by: Option<StatementRef>,
}

/// Decides `request` by all `policies` together: an explicit Deny wins over any Allow, and what no
/// statement allows is denied (sheet, 3.1).
pub(crate) fn evaluate(policies: &[Arc<Policy>], request: Request<'_>) -> Verdict {
    let resource = format!("arn:aws:iot:{REGION}:{ACCOUNT}:{}/{}", request.action.resource_type(), request.target);
    let mut allowed_by = None;
    for policy in policies {
        for (index, statement) in policy.statements.iter().enumerate() {
            if !applies(statement, request, &resource) {
                continue;
            }
            let by = || Some(StatementRef { policy: policy.name.clone(), statement: index });
            match statement.effect {
                Effect::Deny => return Verdict { allowed: false, decided_by: by() },
                Effect::Allow if allowed_by.is_none() => allowed_by = by(),
                Effect::Allow => {}
            }
        }
    }
    Verdict { allowed: allowed_by.is_some(), decided_by: allowed_by }
}

fn applies(statement: &Statement, request: Request<'_>, resource: &str) -> bool {
    statement.actions.iter().any(|action| action.matches(request.action.name(), None))
        && statement.resources.iter().any(|pattern| pattern.matches(resource, Some(request.client_id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{self, Place, observer_policy};

    fn policy(text: &str) -> Vec<Arc<Policy>> {
        vec![Arc::new(Policy::parse("p", text).unwrap())]
    }

    #[track_caller]
    fn place() -> Place {
        Place { region: REGION.into(), account_id: ACCOUNT.into() }
    }

    fn check(policies: &[Arc<Policy>], action: Action, target: &str, expected: Option<usize>) {
        let verdict = evaluate(policies, Request { action, target, client_id: "aether-7" });
        let by = verdict.allowed.then(|| verdict.decided_by.map(|by| by.statement)).flatten();
        assert_eq!(by, expected, "{action:?} {target}");
    }

    #[test]
    fn the_claim_policy_allows_provisioning_topics_and_nothing_else() {
        let claim = policy(&account::claim_policy(&place(), "Aether"));
        check(&claim, Action::Connect, "anybody", Some(0));
        check(&claim, Action::Publish, "$aws/certificates/create/json", Some(1));
        check(&claim, Action::Receive, "$aws/certificates/create/json/accepted", Some(1));
        check(&claim, Action::Subscribe, "$aws/certificates/create/json/accepted", Some(2));
        check(&claim, Action::Publish, "$aws/provisioning-templates/Aether/provision/json", Some(1));
        check(&claim, Action::Publish, "$aws/provisioning-templates/Other/provision/json", None);
        check(&claim, Action::Publish, "$aws/certificates/create-from-csr/json", None);
        check(&claim, Action::Publish, "aether-7", None);
        check(&claim, Action::Subscribe, "#", None);
        check(&claim, Action::RetainPublish, "$aws/certificates/create/json", None);
    }

    #[test]
    fn the_device_policy_ties_topics_to_the_client_id() {
        let device = policy(&account::device_policy(&place()));
        check(&device, Action::Connect, "aether-7", Some(0));
        check(&device, Action::Publish, "aether-7", Some(1));
        check(&device, Action::Publish, "aether-7/x", None);
        check(&device, Action::Publish, "aether-8", None);
        check(&device, Action::Subscribe, "aether-7/#", Some(2));
        check(&device, Action::Subscribe, "aether-7", None);
        check(&device, Action::Subscribe, "#", None);
        check(&device, Action::Receive, "aether-7/sigils/a/write", Some(3));
        check(&device, Action::Receive, "aether-8/sigils/a/write", None);
    }

    #[test]
    fn the_observer_policy_receives_everything_and_publishes_nothing() {
        let observer = policy(&observer_policy());
        check(&observer, Action::Connect, "aether-7", Some(0));
        check(&observer, Action::Subscribe, "#", Some(0));
        check(&observer, Action::Receive, "any/topic", Some(0));
        check(&observer, Action::Publish, "any/topic", None);
        check(&observer, Action::RetainPublish, "any/topic", None);
    }

    #[test]
    fn an_explicit_deny_wins_wherever_it_stands() {
        let text = r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"IOT:*","Resource":"*"},
            {"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/secret/*"}]}"#;
        let policies = policy(text);
        check(&policies, Action::Publish, "open", Some(0));
        check(&policies, Action::Publish, "secret/a", None);
        let verdict = evaluate(&policies, Request { action: Action::Publish, target: "secret/a", client_id: "c" });
        assert_eq!(verdict.decided_by.map(|by| by.statement), Some(1));
    }

    #[test]
    fn several_policies_are_pooled_and_an_empty_set_denies() {
        let mut policies = policy(&account::claim_policy(&place(), "Aether"));
        check(&policies, Action::Publish, "aether-7", None);
        policies.extend(policy(&account::device_policy(&place())));
        check(&policies, Action::Publish, "aether-7", Some(1));
        check(&[], Action::Connect, "aether-7", None);
    }

    #[test]
    fn actions_compare_without_case_and_resources_with_case() {
        let policies = policy(
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:pub*","Resource":"arn:aws:iot:eu-west-1:123456789012:topic/Plant"}}"#,
        );
        check(&policies, Action::Publish, "Plant", Some(0));
        check(&policies, Action::Publish, "plant", None);
    }
}
