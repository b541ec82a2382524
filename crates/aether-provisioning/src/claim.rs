//! What a device is provisioned with: the claim certificate, the template and the parameters.

use std::collections::BTreeMap;
use std::time::Duration;

use aether_mqtt::{ClientId, ConnectOptions, Credentials, Endpoint, ServerRoots};

use crate::TemplateName;

/// What the client id of a claim session begins with, unless another one is set.
pub(crate) const CLIENT_ID_PREFIX: &str = "aether-claim-";

/// A claim on an identity: where to ask, proven by which certificate, for which template.
#[derive(Clone, Debug)]
pub struct Claim {
    endpoint: Endpoint,
    roots: ServerRoots,
    credentials: Credentials,
    template: TemplateName,
    parameters: BTreeMap<String, String>,
    client_id: ClientId,
    answer_timeout: Duration,
}

impl Claim {
    /// A claim at `endpoint`, which `roots` vouch for, with the claim certificate `credentials`, for `template`.
    #[must_use]
    pub fn new(endpoint: Endpoint, roots: ServerRoots, credentials: Credentials, template: TemplateName) -> Self {
        Self {
            endpoint,
            roots,
            credentials,
            template,
            parameters: BTreeMap::new(),
            client_id: random_client_id(),
            answer_timeout: Duration::from_secs(30),
        }
    }

    /// The template's parameters, such as a serial number. Default: none.
    #[must_use]
    pub fn parameters(mut self, parameters: BTreeMap<String, String>) -> Self {
        self.parameters = parameters;
        self
    }

    /// The client id of the claim session. Default: `aether-claim-` and 16 random hexadecimal digits, so that devices
    /// that share a claim certificate do not take each other's connection, and no Thing's either.
    #[must_use]
    pub fn client_id(mut self, client_id: ClientId) -> Self {
        self.client_id = client_id;
        self
    }

    /// Longest wait for the answer to one request. Default: 30 s.
    #[must_use]
    pub fn answer_timeout(mut self, answer_timeout: Duration) -> Self {
        self.answer_timeout = answer_timeout;
        self
    }

    /// The template asked for.
    #[must_use]
    pub fn template(&self) -> &TemplateName {
        &self.template
    }

    pub(crate) fn template_parameters(&self) -> &BTreeMap<String, String> {
        &self.parameters
    }

    pub(crate) fn answer_limit(&self) -> Duration {
        self.answer_timeout
    }

    pub(crate) fn connect_options(&self) -> ConnectOptions {
        ConnectOptions::new(self.endpoint.clone(), self.client_id.clone(), self.credentials.clone())
            .roots(self.roots.clone())
    }
}

fn random_client_id() -> ClientId {
    // Should the system have no random numbers, the process id still tells most devices apart.
    let random = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
    format!("{CLIENT_ID_PREFIX}{random:016x}").parse().expect("a short word is a client id")
}

#[cfg(test)]
mod tests {
    use aether_mqtt::testing;

    use super::*;

    #[test]
    fn each_claim_connects_under_a_client_id_of_its_own() {
        let claim = || {
            let endpoint = Endpoint::new("localhost", 8883).unwrap();
            Claim::new(endpoint, ServerRoots::mozilla(), testing::credentials("claim"), "Aether".parse().unwrap())
        };
        let (one, other) = (claim().connect_options(), claim().connect_options());
        assert!(one.client_id().as_str().starts_with("aether-claim-"));
        assert_ne!(one.client_id(), other.client_id());
        let chosen = claim().client_id("claim-P3".parse().unwrap()).connect_options();
        assert_eq!(chosen.client_id().as_str(), "claim-P3");
    }
}
