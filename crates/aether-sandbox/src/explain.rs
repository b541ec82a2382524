//! Why a client may do something or not: every statement that counts, also for a client that is not
//! connected.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use aether_iot_policy::{Action, Explanation, Resource};
use serde_json::{Value, json};

use crate::access::{Access, Origin};
use crate::account::{Account, ThingName};
use crate::broker::{Broker, is_served};
use crate::{CertificateId, CertificateStatus, Sandbox};

/// What [`Sandbox::explain`] is asked: may a client do this?
///
/// ```
/// use aether_sandbox::{Action, Question};
///
/// let question = Question::new("press-3", Action::Publish, "press-3/state").source_ip([192, 0, 2, 7].into());
/// ```
#[derive(Clone, Debug)]
pub struct Question {
    action: Action,
    resource: String,
    certificate: Option<CertificateId>,
    origin: Origin,
}

impl Question {
    /// Asks whether `client_id` may carry out `action` on `resource`: a whole resource name (`arn:…`),
    /// or only the client id, topic or filter in it.
    #[must_use]
    pub fn new(client_id: impl Into<String>, action: Action, resource: impl Into<String>) -> Self {
        let origin = Origin { client_id: client_id.into(), ..Origin::default() };
        Self { action, resource: resource.into(), certificate: None, origin }
    }

    /// The certificate the client would show.
    ///
    /// Default: the one it is connected with. If it is not connected, an active one of the Thing whose
    /// name is the client id, or else any of that Thing.
    #[must_use]
    pub fn certificate(mut self, id: CertificateId) -> Self {
        self.certificate = Some(id);
        self
    }

    /// The address it would connect from. Default: none, so that conditions on it find no value.
    #[must_use]
    pub fn source_ip(mut self, address: IpAddr) -> Self {
        self.origin.source_ip = Some(address);
        self
    }

    /// Its CONNECT would ask for a persistent session.
    #[must_use]
    pub fn persistent_session(mut self) -> Self {
        self.origin.persistent = true;
        self
    }

    /// Its CONNECT would carry a last will for `topic`.
    #[must_use]
    pub fn last_will(mut self, topic: impl Into<String>) -> Self {
        self.origin.last_will = Some(topic.into());
        self
    }
}

/// The answer to a [`Question`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explained {
    /// The certificate the answer is about.
    pub certificate: CertificateId,
    /// Its status. One that is not active gets in for nothing, whatever its policies say.
    pub status: CertificateStatus,
    /// The Thing its policy variables speak of, where they resolve.
    pub thing: Option<String>,
    /// The policies that count, with the version of each.
    pub policies: Vec<(String, u32)>,
    /// Whether the client is connected with this certificate now, so that address and last will are
    /// those of the connection.
    pub connected: bool,
    /// The topic of a publish is a reserved one (`$aws/…`) the sandbox does not serve: it refuses what is
    /// published on it, whatever the policies say.
    pub unserved: bool,
    /// Every statement of those policies.
    pub explanation: Explanation,
}

impl Explained {
    /// The answer as one JSON object on one line: what [`Explanation::to_json`] has, and
    /// `certificateId`, `certificateStatus`, `thing` (or null), `connected`, `unserved` and
    /// `policies`, a list of `name` and `version`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut whole: Value = serde_json::from_str(&self.explanation.to_json()).unwrap_or_default();
        whole["certificateId"] = json!(self.certificate.as_str());
        whole["certificateStatus"] = json!(self.status.as_str());
        whole["thing"] = json!(self.thing);
        whole["connected"] = json!(self.connected);
        whole["unserved"] = json!(self.unserved);
        let named = |(name, version): &(String, u32)| json!({ "name": name, "version": version });
        whole["policies"] = self.policies.iter().map(named).collect();
        whole.to_string()
    }
}

/// Several lines for a terminal.
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connected = if self.connected { ", connected" } else { "" };
        writeln!(f, "certificate {} ({}{connected})", self.certificate, self.status)?;
        match &self.thing {
            Some(thing) => writeln!(f, "speaks for Thing {thing}")?,
            None => writeln!(f, "speaks for no Thing")?,
        }
        match self.policies.as_slice() {
            [] => writeln!(f, "no policies")?,
            policies => {
                let named: Vec<_> =
                    policies.iter().map(|(name, version)| format!("{name} version {version}")).collect();
                writeln!(f, "policies: {}", named.join(", "))?;
            }
        }
        if self.unserved {
            writeln!(f, "not served: the topic is reserved, and a publish on it is refused whatever the policies say")?;
        }
        write!(f, "\n{}", self.explanation)
    }
}

/// Why [`Sandbox::explain`] has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// No certificate was named, and none can be told from the client id.
    #[error(
        "client {client_id:?} is not connected and no Thing of that name has a certificate; name the certificate to ask about"
    )]
    NoCertificate {
        /// The client id asked about.
        client_id: String,
    },
    /// The registry has no such certificate.
    #[error("certificate {id} is not in the registry")]
    UnknownCertificate {
        /// The id asked about.
        id: CertificateId,
    },
    /// The resource is no resource name.
    #[error("resource is {found:?}, expected a client id, topic, filter or a name of six parts that starts with arn:")]
    Resource {
        /// The text asked about.
        found: String,
    },
}

impl Sandbox {
    /// Tells whether a client may do something, and how every statement of every policy that counts
    /// comes out: those of the certificate and those of the groups of its Thing.
    ///
    /// Works for clients that are not connected. For one that is, with the certificate asked about,
    /// address, session and last will are those of its connection.
    ///
    /// # Errors
    ///
    /// [`ExplainError`]; all of them are final until question or registry change.
    pub fn explain(&self, question: &Question) -> Result<Explained, ExplainError> {
        explain(&self.account, &self.broker, question)
    }
}

/// Answers a question to a sandbox made of these parts.
pub(crate) fn explain(account: &Arc<Account>, broker: &Broker, question: &Question) -> Result<Explained, ExplainError> {
    let client_id = &question.origin.client_id;
    let resource = match question.resource.starts_with("arn:") || question.resource == "*" {
        true => question.resource.parse().map_err(|_| ExplainError::Resource { found: question.resource.clone() })?,
        false => account.arns().for_action(question.action, &question.resource),
    };
    let live = broker
        .explain(client_id, question.action, &resource)
        .filter(|(shown, _)| question.certificate.as_ref().is_none_or(|asked| asked == shown));
    let connected = live.is_some();
    let (certificate, explanation) = match live {
        Some(live) => live,
        None => offline(account, question, &resource)?,
    };
    let unknown = || ExplainError::UnknownCertificate { id: certificate.clone() };
    let standing =
        Access::offline(Arc::clone(account), &certificate, question.origin.clone()).map_err(|_| unknown())?;
    let effective = standing.effective().ok_or_else(unknown)?;
    let tables = account.read();
    Ok(Explained {
        thing: tables.thing_of(&certificate, client_id).map(|row| row.name.to_string()),
        status: effective.status,
        policies: effective.policies.iter().map(|policy| (policy.name().to_owned(), policy.version())).collect(),
        unserved: is_unserved(question),
        certificate,
        connected,
        explanation,
    })
}

/// Whether it is asked about a publish that the broker refuses whatever the policies say.
fn is_unserved(question: &Question) -> bool {
    let topic = match question.resource.strip_prefix("arn:") {
        // What comes after Region and account: `topic/…`.
        Some(arn) => arn.splitn(5, ':').last().and_then(|tail| tail.strip_prefix("topic/")),
        None => Some(question.resource.as_str()),
    };
    matches!(question.action, Action::Publish | Action::RetainPublish) && topic.is_some_and(|topic| !is_served(topic))
}

fn offline(
    account: &Arc<Account>,
    question: &Question,
    resource: &Resource,
) -> Result<(CertificateId, Explanation), ExplainError> {
    let client_id = &question.origin.client_id;
    let asked = question.certificate.clone().or_else(|| certificate_of(account, client_id));
    let id = asked.ok_or_else(|| ExplainError::NoCertificate { client_id: client_id.clone() })?;
    match Access::offline(Arc::clone(account), &id, question.origin.clone()) {
        Ok(access) => Ok((id, access.explain(question.action, resource))),
        Err(_) => Err(ExplainError::UnknownCertificate { id }),
    }
}

/// A certificate of the Thing with this name: an active one, if there is one.
fn certificate_of(account: &Account, client_id: &str) -> Option<CertificateId> {
    let tables = account.read();
    let thing = client_id.parse::<ThingName>().ok().and_then(|name| tables.things.get(&name))?;
    let attached = || thing.principals.iter().filter_map(|link| tables.certificates.get(&link.certificate));
    let active = attached().find(|row| row.status == CertificateStatus::Active);
    active.or_else(|| attached().next()).map(|row| row.id.clone())
}
