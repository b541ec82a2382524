//! What an identity that was made elsewhere is proven with.

use std::time::Duration;

use aether_mqtt::{ConnectOptions, Endpoint, ServerRoots};

use crate::claim::device_options;
use crate::{Identity, RetryPolicy};

/// Where and for how long an identity that was not asked for here is proven.
#[derive(Clone, Debug)]
pub struct Adoption {
    endpoint: Endpoint,
    roots: ServerRoots,
    retry: RetryPolicy,
    activation: Duration,
}

impl Adoption {
    /// At `endpoint`, which `roots` vouch for.
    #[must_use]
    pub fn new(endpoint: Endpoint, roots: ServerRoots) -> Self {
        Self { endpoint, roots, retry: RetryPolicy::default(), activation: Duration::from_secs(3600) }
    }

    /// How soon to try again. Default: [`RetryPolicy::default`].
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// How long the cloud may refuse the certificate before it is given up: with just-in-time registration the first
    /// connects fail until somebody, or a rule, activates it. Default: 1 h.
    #[must_use]
    pub fn activation(mut self, activation: Duration) -> Self {
        self.activation = activation;
        self
    }

    pub(super) fn retry_policy(&self) -> &RetryPolicy {
        &self.retry
    }

    pub(super) fn activation_limit(&self) -> Duration {
        self.activation
    }

    pub(super) fn device_options(&self, identity: &Identity) -> ConnectOptions {
        device_options(self.endpoint.clone(), self.roots.clone(), identity)
    }
}
