//! A policy as JSON, and what a session needs of one.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::CloudAccount;
use super::topics::Provisioning;

/// A policy document in JSON, as `aws iot create-policy --policy-document` takes it.
///
/// The same settings always give the same text. It ends with a newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDocument {
    json: String,
    detail: Detail,
}

/// How the topics of a document are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// Each in full.
    Exact,
    /// `*` stands for `accepted` and `rejected`.
    AnswersByWildcard,
    /// `*` stands for all that follows the name of an operation, its encoding first.
    OperationsByWildcard,
}

/// A document that AWS would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy document has {chars} characters without white space, expected at most {}", PolicyDocument::MAX_CHARS)]
pub struct PolicyTooLong {
    chars: usize,
}

/// One thing that a session does and that its policy has to allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    action: &'static str,
    resource: String,
}

impl PolicyDocument {
    /// Longest document AWS takes, in characters other than white space (AWS IoT Core quotas).
    pub const MAX_CHARS: usize = 2048;

    /// The JSON text, with a newline at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.json
    }

    /// How its topics are written: the first [`Detail`] in the order of their declaration that is short enough.
    #[must_use]
    pub fn detail(&self) -> Detail {
        self.detail
    }

    /// Tries every detail, the most exact first.
    pub(super) fn shortest_needed(statements: impl Fn(Detail) -> Vec<Statement>) -> Result<Self, PolicyTooLong> {
        let mut chars = 0;
        for detail in [Detail::Exact, Detail::AnswersByWildcard, Detail::OperationsByWildcard] {
            let statement = statements(detail);
            let document = Document { version: "2012-10-17", statement };
            let json = serde_json::to_string_pretty(&document).expect("texts under text keys are always JSON") + "\n";
            chars = json.chars().filter(|c| !c.is_whitespace()).count();
            if chars <= Self::MAX_CHARS {
                return Ok(Self { json, detail });
            }
        }
        Err(PolicyTooLong { chars })
    }
}

impl fmt::Display for PolicyDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json)
    }
}

impl Need {
    pub(super) fn new(action: &'static str, resource: String) -> Self {
        Self { action, resource }
    }

    /// The action, such as `iot:Publish`.
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// The full name of the resource, without variable or wildcard.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    version: &'static str,
    statement: Vec<Statement>,
}

/// A statement that allows one action.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Statement {
    effect: &'static str,
    action: &'static str,
    resource: Resources,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Resources {
    One(String),
    Many(Vec<String>),
}

impl Statement {
    pub(super) fn allow(action: &'static str, mut resources: Vec<String>) -> Self {
        let resource = match resources.len() {
            1 => Resources::One(resources.remove(0)),
            _ => Resources::Many(resources),
        };
        Self { effect: "Allow", action, resource, condition: None }
    }

    /// Only for a session that the service knows for the Thing of its certificate.
    pub(super) fn if_attached(mut self) -> Self {
        self.condition = Some(json!({ "Bool": { "iot:Connection.Thing.IsAttached": "true" } }));
        self
    }
}

/// The statements below Connect: publish on `topics` and on those of `provisioning`, which answers on others.
pub(super) fn messages(
    account: &CloudAccount,
    topics: &[&str],
    provisioning: Option<&Provisioning>,
    detail: Detail,
) -> Vec<Statement> {
    let requests = provisioning.map(|one| one.requests(detail)).unwrap_or_default();
    let answers = provisioning.map(|one| one.answers(detail)).unwrap_or_default();
    let published = topics.iter().copied().chain(requests.iter().map(String::as_str));
    let mut statements =
        vec![Statement::allow("iot:Publish", published.map(|topic| account.arn(&format!("topic/{topic}"))).collect())];
    for (action, kind) in [("iot:Subscribe", "topicfilter"), ("iot:Receive", "topic")] {
        let resources: Vec<_> = answers.iter().map(|answer| account.arn(&format!("{kind}/{answer}"))).collect();
        if !resources.is_empty() {
            statements.push(Statement::allow(action, resources));
        }
    }
    statements
}

/// What provisioning needs besides the connection.
pub(super) fn provisioning_needs(account: &CloudAccount, provisioning: &Provisioning) -> Vec<Need> {
    let need = |action, kind: &str, topic: &String| Need::new(action, account.arn(&format!("{kind}/{topic}")));
    let (requests, answers) = (provisioning.requests(Detail::Exact), provisioning.answers(Detail::Exact));
    let published = requests.iter().map(|topic| need("iot:Publish", "topic", topic));
    let subscribed = answers.iter().map(|topic| need("iot:Subscribe", "topicfilter", topic));
    let received = answers.iter().map(|topic| need("iot:Receive", "topic", topic));
    published.chain(subscribed).chain(received).collect()
}
