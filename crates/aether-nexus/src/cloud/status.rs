//! Who this device is, for everyone who asks.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use aether_provisioning::Identity;
use tokio::sync::watch;

/// The identity in use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityStatus {
    /// The name of the Thing, which is the MQTT client id and the topic of its events.
    pub thing_name: String,
    /// The service's name for the certificate.
    pub certificate_id: String,
    /// When the certificate starts to be valid.
    pub not_before: SystemTime,
    /// When the certificate ends to be valid.
    pub not_after: SystemTime,
    /// What the provisioning template's `DeviceConfiguration` says; empty if it says nothing.
    pub device_configuration: BTreeMap<String, String>,
}

impl IdentityStatus {
    /// How long the certificate is still valid at `now`; zero once it has expired.
    pub fn time_left(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }

    /// Whole days until the certificate expires; 0 on its last day and afterwards.
    pub fn days_left(&self, now: SystemTime) -> u64 {
        self.time_left(now).as_secs() / (24 * 3600)
    }
}

impl From<&Identity> for IdentityStatus {
    fn from(identity: &Identity) -> Self {
        Self {
            thing_name: identity.thing_name().to_string(),
            certificate_id: identity.certificate_id().to_string(),
            not_before: identity.credentials().not_before(),
            not_after: identity.credentials().not_after(),
            device_configuration: identity.device_configuration().clone(),
        }
    }
}

/// Where the cloud side shows the identity in use.
#[derive(Clone, Debug)]
pub(crate) struct StatusBoard(watch::Sender<Option<IdentityStatus>>);

impl Default for StatusBoard {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl StatusBoard {
    pub(crate) fn show(&self, identity: &Identity) {
        self.0.send_replace(Some(identity.into()));
    }

    pub(crate) fn now(&self) -> Option<IdentityStatus> {
        self.0.borrow().clone()
    }

    pub(crate) async fn wait(&self) -> IdentityStatus {
        let mut seen = self.0.subscribe();
        match seen.wait_for(Option::is_some).await.ok().and_then(|status| status.clone()) {
            Some(status) => status,
            // The sender lives in `self`.
            None => std::future::pending().await,
        }
    }
}
