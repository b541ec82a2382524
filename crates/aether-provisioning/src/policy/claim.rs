//! The policy of a claim certificate.

use std::fmt;
use std::str::FromStr;

use super::document::{Statement, messages, provisioning_needs};
use super::topics::Provisioning;
use super::{CloudAccount, Encodings, KeyOrigins, Need, PolicyDocument, PolicyTooLong};
use crate::TemplateName;
use crate::claim::CLIENT_ID_PREFIX;

/// What a claim certificate may do: connect under the client ids of claims, ask for a certificate, and register a Thing
/// by one template.
#[derive(Clone, Debug)]
pub struct ClaimPolicy {
    account: CloudAccount,
    client_ids: ClientIdPrefix,
    provisioning: Provisioning,
}

/// What the client ids of claim sessions begin with: 1 to 112 of letters, digits, `-`, `_`, `.` and `:`.
///
/// Default: `aether-claim-`, as [`Claim`](crate::Claim) makes them. The length leaves room for 16 random characters
/// within the 128 of a client id; the characters are ones that stand for themselves in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdPrefix(Box<str>);

/// Why a text is not what client ids begin with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "client id prefix is {found:?}, expected 1 to {} letters, digits, '-', '_', '.' and ':'",
    ClientIdPrefix::MAX_LEN
)]
pub struct InvalidClientIdPrefix {
    found: Box<str>,
}

impl ClaimPolicy {
    /// A policy for claims by `template` in `account`: keys made by AWS, messages in JSON, client ids that begin with
    /// `aether-claim-`.
    #[must_use]
    pub fn new(account: CloudAccount, template: TemplateName) -> Self {
        let provisioning = Provisioning { template, origins: KeyOrigins::Aws, encodings: Encodings::Json };
        Self { account, client_ids: ClientIdPrefix::default(), provisioning }
    }

    /// Which operations certificates are asked for with. Default: [`KeyOrigins::Aws`].
    #[must_use]
    pub fn key_origins(mut self, origins: KeyOrigins) -> Self {
        self.provisioning.origins = origins;
        self
    }

    /// Which encodings are used. Default: [`Encodings::Json`].
    #[must_use]
    pub fn encodings(mut self, encodings: Encodings) -> Self {
        self.provisioning.encodings = encodings;
        self
    }

    /// What the client ids of the claim sessions begin with. Default: `aether-claim-`.
    #[must_use]
    pub fn client_ids(mut self, prefix: ClientIdPrefix) -> Self {
        self.client_ids = prefix;
        self
    }

    /// The policy in JSON.
    ///
    /// # Errors
    ///
    /// It is longer than AWS takes, even with wildcards. None of the settings there are today make it so long.
    pub fn document(&self) -> Result<PolicyDocument, PolicyTooLong> {
        PolicyDocument::shortest_needed(|detail| {
            let client_ids = self.account.arn(&format!("client/{}*", self.client_ids));
            let mut statements = vec![Statement::allow("iot:Connect", vec![client_ids])];
            statements.extend(messages(&self.account, &[], Some(&self.provisioning), detail));
            statements
        })
    }

    /// A client id such as a claim session may have.
    #[must_use]
    pub fn sample_client_id(&self) -> String {
        format!("{}0123456789abcdef", self.client_ids)
    }

    /// All that a claim session does, under [`sample_client_id`](Self::sample_client_id): what a policy, whoever wrote
    /// it, has to allow.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        let client_id = self.account.arn(&format!("client/{}", self.sample_client_id()));
        let mut needs = vec![Need::new("iot:Connect", client_id)];
        needs.extend(provisioning_needs(&self.account, &self.provisioning));
        needs
    }
}

impl ClientIdPrefix {
    const MAX_LEN: usize = 112;

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ClientIdPrefix {
    fn default() -> Self {
        Self(CLIENT_ID_PREFIX.into())
    }
}

impl FromStr for ClientIdPrefix {
    type Err = InvalidClientIdPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidClientIdPrefix> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if (1..=Self::MAX_LEN).contains(&text.len()) && text.chars().all(fits) {
            return Ok(Self(text.into()));
        }
        Err(InvalidClientIdPrefix { found: text.chars().take(150).collect() })
    }
}

impl fmt::Display for ClientIdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
