//! Carries out the provisioning operations.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::request::{self, Rejection};
use super::template::Template;
use super::{Answer, Operation};
use crate::pki::{Authority, DeviceKey, Issued};
use crate::policy::PolicyStore;
use crate::registry::{Registry, RegistryError};
use crate::{CertificateId, KeyKind, random};

/// Subject of the certificates AWS makes (sheet, 1.5).
const COMMON_NAME: &str = "AWS IoT Certificate";

/// The fleet provisioning service of a sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Provisioning(Arc<ProvisioningParts>);

/// What the service works with.
#[derive(Debug)]
pub(crate) struct ProvisioningParts {
    pub(crate) registry: Arc<Registry>,
    pub(crate) policies: Arc<PolicyStore>,
    pub(crate) device_ca: Authority,
    pub(crate) key_kind: KeyKind,
    pub(crate) template_name: String,
    pub(crate) template: Template,
}

impl Provisioning {
    pub(crate) fn new(parts: ProvisioningParts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn template_name(&self) -> &str {
        &self.0.template_name
    }

    /// Carries out one request.
    pub(crate) async fn handle(&self, operation: Operation, payload: Vec<u8>) -> Answer {
        let parts = Arc::clone(&self.0);
        // Keys take long to make and the registry writes to disk: neither belongs on the threads
        // that serve connections.
        let done = spawn_blocking(move || match operation {
            Operation::CreateKeysAndCertificate => parts.create(&payload),
            Operation::RegisterThing { template } => parts.register(&template, &payload),
        });
        let outcome = done.await.unwrap_or_else(|failed| {
            tracing::error!(error = &failed as &dyn std::error::Error, "provisioning request broke off");
            Err(Rejection::internal())
        });
        Answer { outcome }
    }
}

impl ProvisioningParts {
    fn create(&self, payload: &[u8]) -> Result<Value, Rejection> {
        request::read_create(payload)?;
        let key = DeviceKey::generate(self.key_kind).map_err(internal)?;
        let issued = self.device_ca.issue_client(COMMON_NAME, &key.public).map_err(internal)?;
        let issued = Issued::from(issued);
        let id = CertificateId::of_der(&issued.der);
        let token = random::hex_text::<32>().map_err(internal)?;
        self.registry.add_pending(id.clone(), &issued.pem, &token, SystemTime::now()).map_err(internal)?;
        Ok(json!({
            "certificateId": id.as_str(),
            "certificatePem": issued.pem,
            "privateKey": key.private_pem,
            "certificateOwnershipToken": token,
        }))
    }

    fn register(&self, template: &str, payload: &[u8]) -> Result<Value, Rejection> {
        if template != self.template_name {
            return Err(Rejection::template(template));
        }
        let request = request::read_register(payload)?;
        let now = SystemTime::now();
        let approval = self.registry.approve(&request.token, now).map_err(refused)?;
        let filled = self.template.fill(&request.parameters, approval.certificate.as_str())?;
        let policies = &filled.registration.policies;
        if let Some(missing) = policies.iter().find(|name| !self.policies.contains(name)) {
            return Err(Rejection::parameters(format!("Policy {missing} does not exist.")));
        }
        let thing = filled.registration.thing.as_ref().map(|(name, _)| name.clone());
        self.registry.register(&request.token, filled.registration, now).map_err(refused)?;
        let mut answer = json!({ "deviceConfiguration": filled.device_configuration });
        if let Some(thing) = thing {
            answer["thingName"] = json!(thing);
        }
        Ok(answer)
    }
}

fn refused(cause: RegistryError) -> Rejection {
    match cause {
        RegistryError::Token => Rejection::token("Certificate ownership token is unknown, used or expired."),
        RegistryError::Unknown | RegistryError::Io { .. } => internal(cause),
    }
}

fn internal(cause: impl std::error::Error + 'static) -> Rejection {
    tracing::error!(error = &cause as &dyn std::error::Error, "provisioning request failed");
    Rejection::internal()
}
