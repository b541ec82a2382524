//! A policy held against what a session needs.

use std::error::Error;
use std::time::SystemTime;

use aether_iot_policy::{
    Action, Attachment, Context, DecisionKind, Document, Explanation, Policy, Request, Resource, Thing, explain,
};
use aether_provisioning::policy::{ClaimPolicy, DevicePolicy, Need};

use super::args::{CheckOptions, Role};
use super::hint::{hint, place};
use super::report::{Lack, Report};
use super::surplus::surplus;

/// A session as the policy will see it, and all that it does.
pub(super) struct Session {
    pub(super) role: Role,
    /// What the resources of the account begin with.
    pub(super) arn_prefix: String,
    pub(super) client_id: String,
    /// Whether the session also asks for certificates.
    pub(super) provisions: bool,
    pub(super) needs: Vec<Need>,
}

impl Session {
    /// `None` for a claim without template, which the command line does not let through.
    pub(super) fn of(options: &CheckOptions) -> Option<Self> {
        let account = options.place.account();
        let arn_prefix = account.arn_prefix();
        let (origins, encodings) = (options.messages.key_origins(), options.messages.encodings());
        let (client_id, provisions, needs) = match options.role {
            Role::Claim => {
                let policy =
                    ClaimPolicy::new(account, options.template.clone()?).client_ids(options.client_ids.clone());
                let policy = policy.key_origins(origins).encodings(encodings);
                (policy.sample_client_id(), true, policy.needs())
            }
            Role::Device => {
                let policy = DevicePolicy::new(account).key_origins(origins).encodings(encodings);
                let policy = match &options.rotation_template {
                    Some(template) => policy.rotation(template.clone()),
                    None => policy,
                };
                (options.thing.to_string(), options.rotation_template.is_some(), policy.needs(&options.thing))
            }
        };
        Some(Self { role: options.role, arn_prefix, client_id, provisions, needs })
    }

    /// What the service knows about the session.
    pub(super) fn context(&self) -> Context {
        let context = Context::new().with_client_id(&self.client_id);
        match self.role {
            Role::Claim => context,
            Role::Device => context.with_thing(Thing::new(&self.client_id), Attachment::Shared),
        }
    }
}

/// Checks the policy `text` for `session`.
pub(super) fn check(text: &str, session: &Session) -> Result<Report, Box<dyn Error>> {
    let policies = [Policy::new("policy", Document::parse(text)?)];
    Document::check_size(text)?;
    let context = session.context();
    let mut explanations = Vec::new();
    let mut lacks = Vec::new();
    for need in &session.needs {
        let explanation = ask(&policies, need.action().parse()?, &need.resource().parse()?, &context);
        if explanation.decision != DecisionKind::Allowed {
            lacks.push(Lack {
                action: need.action(),
                resource: need.resource().to_owned(),
                denied_by: explanation.decided_by.map(|index| place(&explanation.statements[index])),
                hint: hint(&explanation, session),
            });
        }
        explanations.push(explanation);
    }
    let beyond = surplus(&policies, &explanations, session)?;
    Ok(Report { role: session.role, needs: session.needs.len(), lacks, beyond })
}

/// Asks as the service would, now: a policy may tell the time.
pub(super) fn ask(policies: &[Policy], action: Action, resource: &Resource, context: &Context) -> Explanation {
    explain(policies, &Request::new(action, resource, context).at(SystemTime::now()))
}
