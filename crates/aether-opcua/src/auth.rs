//! Who may open a session, and what a session's user may do.

use async_trait::async_trait;
use opcua::{
    nodes::AccessLevel,
    server::{
        ServerEndpoint,
        authenticator::{AuthManager, UserToken},
    },
    types::{Error, NodeId, StatusCode, UAString, UserTokenPolicy, UserTokenType},
};

use crate::settings::Anonymous;

/// The name by which the OPC UA library knows the policy of anonymous users.
const ANONYMOUS_POLICY: &str = "anonymous";

/// Decides who may open a session. Only anonymous users are known yet.
#[derive(Debug)]
pub(crate) struct Access {
    anonymous: Anonymous,
}

impl Access {
    pub(crate) const fn new(anonymous: Anonymous) -> Self {
        Self { anonymous }
    }

    /// Whether `user` may write Sigils that are writable.
    pub(crate) fn may_write(&self, user: &UserToken) -> bool {
        user.is_anonymous() && self.anonymous == Anonymous::ReadWrite
    }
}

#[async_trait]
impl AuthManager for Access {
    async fn authenticate_anonymous_token(&self, _endpoint: &ServerEndpoint) -> Result<(), Error> {
        match self.anonymous {
            Anonymous::Read | Anonymous::ReadWrite => Ok(()),
            Anonymous::Off => Err(Error::new(StatusCode::BadIdentityTokenRejected, "anonymous access is off")),
        }
    }

    /// For the standard nodes; Sigils ask [`Access::may_write`].
    fn effective_user_access_level(&self, user: &UserToken, level: AccessLevel, _node: &NodeId) -> AccessLevel {
        if self.may_write(user) { level } else { level & (AccessLevel::CURRENT_READ | AccessLevel::HISTORY_READ) }
    }

    fn user_token_policies(&self, _endpoint: &ServerEndpoint) -> Vec<UserTokenPolicy> {
        match self.anonymous {
            Anonymous::Off => Vec::new(),
            Anonymous::Read | Anonymous::ReadWrite => vec![UserTokenPolicy {
                policy_id: UAString::from(ANONYMOUS_POLICY),
                token_type: UserTokenType::Anonymous,
                issued_token_type: UAString::null(),
                issuer_endpoint_url: UAString::null(),
                security_policy_uri: UAString::null(),
            }],
        }
    }
}
