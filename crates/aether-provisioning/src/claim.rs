//! What a device is provisioned with: the claim certificate, the template and the parameters.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aether_mqtt::{ClientId, ConnectOptions, Credentials, Endpoint, ServerRoots};

use crate::retry::RetryPolicy;
use crate::wire::Encoding;
use crate::{Identity, KeySource, OwnKey, TemplateName};

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
    encoding: Encoding,
    keys: KeyPlan,
    retry: RetryPolicy,
    expires_at: Option<SystemTime>,
}

/// Who makes the device's private key, and where it stays.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum KeyPlan {
    /// AWS makes it and sends it with the certificate (CreateKeysAndCertificate): RSA 2048. The default, as the
    /// specification's claim policy allows this and not the others.
    #[default]
    AwsGenerated,
    /// The device makes it, or a token it has does, and it never leaves (CreateCertificateFromCsr). One key serves
    /// however many requests it takes until a certificate is issued for it.
    OnDevice(Arc<dyn KeySource>),
    /// It was made before, with its signing request (CreateCertificateFromCsr).
    Given(Box<OwnKey>),
}

impl KeyPlan {
    pub(crate) fn is_own(&self) -> bool {
        match self {
            Self::AwsGenerated => false,
            Self::OnDevice(_) | Self::Given(_) => true,
        }
    }
}

impl fmt::Debug for KeyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AwsGenerated => "AwsGenerated",
            Self::OnDevice(_) => "OnDevice(..)",
            Self::Given(_) => "Given(..)",
        })
    }
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
            encoding: Encoding::default(),
            keys: KeyPlan::default(),
            retry: RetryPolicy::default(),
            expires_at: None,
        }
    }

    /// A claim made by a device that has an identity, with its own certificate and under its Thing name: for a rotation
    /// with `template`. What holds the Thing's connection must have left it.
    #[must_use]
    pub fn by_device(endpoint: Endpoint, roots: ServerRoots, identity: &Identity, template: TemplateName) -> Self {
        Self::new(endpoint, roots, identity.credentials().clone(), template)
            .client_id(identity.thing_name().to_client_id())
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

    /// How requests and answers are written. Default: [`Encoding::Json`].
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Who makes the private key. Default: [`KeyPlan::AwsGenerated`].
    #[must_use]
    pub fn keys(mut self, keys: KeyPlan) -> Self {
        self.keys = keys;
        self
    }

    /// How soon and how often to try again. Default: [`RetryPolicy::default`].
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// When the claim ends to be good, where that is before its certificate's `notAfter`: a claim handed over by a
    /// trusted user (CreateProvisioningClaim) is good for five minutes. Default: the certificate's `notAfter`.
    #[must_use]
    pub fn expires_at(mut self, expires_at: SystemTime) -> Self {
        self.expires_at = Some(expires_at);
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

    pub(crate) fn chosen_encoding(&self) -> Encoding {
        self.encoding
    }

    pub(crate) fn key_plan(&self) -> &KeyPlan {
        &self.keys
    }

    pub(crate) fn retry_policy(&self) -> &RetryPolicy {
        &self.retry
    }

    /// Since when the claim is good.
    pub(crate) fn not_before(&self) -> SystemTime {
        self.credentials.not_before()
    }

    /// Until when the claim is good.
    pub(crate) fn not_after(&self) -> SystemTime {
        let certificate = self.credentials.not_after();
        self.expires_at.map_or(certificate, |one| one.min(certificate))
    }

    /// How the identity that this claim leads to connects.
    pub(crate) fn device_options(&self, identity: &Identity) -> ConnectOptions {
        device_options(self.endpoint.clone(), self.roots.clone(), identity)
    }

    pub(crate) fn connect_options(&self) -> ConnectOptions {
        ConnectOptions::new(self.endpoint.clone(), self.client_id.clone(), self.credentials.clone())
            .roots(self.roots.clone())
    }
}

/// How `identity` connects: with its certificate, and with its Thing name as client id.
pub(crate) fn device_options(endpoint: Endpoint, roots: ServerRoots, identity: &Identity) -> ConnectOptions {
    ConnectOptions::new(endpoint, identity.thing_name().to_client_id(), identity.credentials().clone()).roots(roots)
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
