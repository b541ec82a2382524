//! Carries out the provisioning operations.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::request::{self, Rejection};
use super::template::{Registration, Template};
use super::{Answer, Operation};
use crate::account::{Account, AccountError, Millis, NewThing, PolicyName, PolicyTarget, TemplateName, ThingName, Tx};
use crate::pki::{Authority, DeviceKey, Issued};
use crate::{CertificateId, KeyKind, random};

/// Subject of the certificates AWS makes (sheet, 1.5).
const COMMON_NAME: &str = "AWS IoT Certificate";

/// The fleet provisioning service of a sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Provisioning(Arc<ProvisioningParts>);

/// What the service works with.
#[derive(Debug)]
pub(crate) struct ProvisioningParts {
    pub(crate) account: Arc<Account>,
    pub(crate) device_ca: Arc<Authority>,
    pub(crate) key_kind: KeyKind,
    pub(crate) template_name: TemplateName,
}

impl Provisioning {
    pub(crate) fn new(parts: ProvisioningParts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn template_name(&self) -> &str {
        self.0.template_name.as_str()
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
        let pending = |tx: &mut Tx<'_>| tx.create_pending(id.clone(), issued.pem.clone(), &token);
        self.account.change(pending).map_err(refused)?;
        Ok(json!({
            "certificateId": id.as_str(),
            "certificatePem": issued.pem,
            "privateKey": key.private_pem,
            "certificateOwnershipToken": token,
        }))
    }

    fn register(&self, template: &str, payload: &[u8]) -> Result<Value, Rejection> {
        let tables = self.account.read();
        let known = template.parse().ok().and_then(|name: TemplateName| tables.templates.get(&name));
        let row = known.filter(|row| row.enabled).ok_or_else(|| Rejection::template(template))?;
        let request = request::read_register(payload)?;
        let certificate =
            tables.owned_by(&request.token, Millis::from(self.account.clock().now())).map_err(refused)?.id.clone();
        let template = Template::parse(row.default_body()).map_err(internal)?;
        let filled = template.fill(&request.parameters, certificate.as_str())?;
        let thing = filled.registration.thing.as_ref().map(|(name, _)| name.clone());
        self.account.change(|tx| register(tx, &request.token, filled.registration)).map_err(refused)?;
        let mut answer = json!({ "deviceConfiguration": filled.device_configuration });
        if let Some(thing) = thing {
            answer["thingName"] = json!(thing);
        }
        Ok(answer)
    }
}

/// Uses up the token: creates the Thing, attaches certificate and policies, sets the status.
fn register(tx: &mut Tx<'_>, token: &str, registration: Registration) -> Result<(), AccountError> {
    let certificate = tx.redeem(token, registration.status)?;
    for policy in &registration.policies {
        let policy: PolicyName = policy.parse()?;
        tx.attach_policy(&policy, &PolicyTarget::Certificate(certificate.clone()))?;
    }
    if let Some((name, attributes)) = registration.thing {
        let name: ThingName = name.parse()?;
        if !tx.tables.things.contains_key(&name) {
            tx.create_thing(NewThing { name: name.clone(), attributes, thing_type: None, billing_group: None })?;
        }
        tx.attach_principal(&name, &certificate, false)?;
    }
    Ok(())
}

fn refused(cause: AccountError) -> Rejection {
    match cause {
        AccountError::Token => Rejection::token("Certificate ownership token is unknown, used or expired."),
        AccountError::NotFound { .. } | AccountError::Invalid(_) | AccountError::LimitExceeded(_) => {
            Rejection::parameters(format!("{cause}."))
        }
        AccountError::AlreadyExists { .. }
        | AccountError::MalformedPolicy(_)
        | AccountError::DeleteConflict(_)
        | AccountError::CertificateState(_)
        | AccountError::CertificateValidation(_)
        | AccountError::VersionsLimit { .. }
        | AccountError::VersionConflict { .. }
        | AccountError::Io { .. } => internal(cause),
    }
}

fn internal(cause: impl std::error::Error + 'static) -> Rejection {
    tracing::error!(error = &cause as &dyn std::error::Error, "provisioning request failed");
    Rejection::internal()
}
