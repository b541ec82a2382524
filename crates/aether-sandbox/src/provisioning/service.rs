//! Carries out the provisioning operations.

use std::sync::Arc;

use aether_iot_template::{CurrentStatus, Parameters, Plan, PlannedStatus, Template, apply_status};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::hook::{Event, Hooks};
use super::payload::Encoding;
use super::topic::Operation;
use super::{Answer, Rejection, RequestTopic, establish, request};
use crate::account::{
    Account, AccountError, CertificateRow, Millis, TemplateKind, TemplateName, TemplateRow, ThingName,
};
use crate::error::Cause;
use crate::pki::{Authority, DeviceKey, Issued, SigningRequest, public_key_pem};
use crate::{CertificateId, CertificateStatus, KeyKind, random};

/// Subject of the certificates AWS makes (sheet, 1.5).
const COMMON_NAME: &str = "AWS IoT Certificate";

/// The fleet provisioning service of a sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Provisioning {
    parts: Arc<ProvisioningParts>,
    /// As many as there are processors: making keys is all computing.
    key_makers: Arc<Semaphore>,
}

/// What the service works with.
#[derive(Debug)]
pub(crate) struct ProvisioningParts {
    pub(crate) account: Arc<Account>,
    pub(crate) device_ca: Arc<Authority>,
    pub(crate) key_kind: KeyKind,
    /// The template of the directory's own.
    pub(crate) template_name: TemplateName,
    pub(crate) hooks: Hooks,
}

/// The connection that asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) certificate: CertificateId,
    pub(crate) client_id: String,
}

/// A certificate made together with its key.
pub(super) struct MadeKey {
    pub(super) id: CertificateId,
    pub(super) pem: String,
    pub(super) public_pem: String,
    /// A secret.
    pub(super) private_pem: String,
}

impl Provisioning {
    pub(crate) fn new(parts: ProvisioningParts) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { parts: Arc::new(parts), key_makers: Arc::new(Semaphore::new(processors)) }
    }

    pub(crate) fn template_name(&self) -> &str {
        self.parts.template_name.as_str()
    }

    pub(super) fn parts(&self) -> &ProvisioningParts {
        &self.parts
    }

    /// Carries out one request. Takes up to the hook's time limit, and nobody else waits for it.
    pub(crate) async fn handle(&self, topic: &RequestTopic, caller: &Caller, payload: Vec<u8>) -> Answer {
        let encoding = topic.encoding();
        let outcome = match topic.operation() {
            Operation::CreateKeysAndCertificate => match request::read_create(encoding, &payload) {
                Ok(()) => {
                    // The semaphore is never closed; a permit that cannot be had would only mean no limit.
                    let _maker = self.key_makers.acquire().await;
                    self.off_thread(ProvisioningParts::create).await
                }
                Err(rejection) => Err(rejection),
            },
            Operation::CreateCertificateFromCsr => match request::read_csr(encoding, &payload) {
                Ok(csr) => self.off_thread(move |parts| parts.create_from_csr(&csr)).await,
                Err(rejection) => Err(rejection),
            },
            Operation::RegisterThing { template } => match self.parts.enabled_template(template) {
                Ok(row) => self.register(row, encoding, &payload, caller).await,
                Err(rejection) => Err(rejection),
            },
        };
        Answer::new(topic, outcome)
    }

    async fn register(
        &self,
        row: Arc<TemplateRow>,
        encoding: Encoding,
        payload: &[u8],
        caller: &Caller,
    ) -> Result<Value, Rejection> {
        let request::RegisterRequest { token, mut parameters } = request::read_register(encoding, payload)?;
        let certificate = self.parts.owned_by(&token)?;
        if let Some(hook) = self.parts.hooks.of(&row, row.name == self.parts.template_name) {
            let event = Event {
                claim_certificate_id: caller.certificate.as_str(),
                certificate_id: certificate.id.as_str(),
                certificate_pem: &certificate.pem,
                template_arn: &self.parts.account.place().arn(format_args!("provisioningtemplate/{}", row.name)),
                client_id: &caller.client_id,
                parameters: parameters.given(),
            };
            let overrides = self.parts.hooks.ask(row.name.as_str(), hook, &event).await?;
            parameters
                .extend(&overrides)
                .map_err(|long| Rejection::denied(format!("Override by the hook: {long}.")))?;
        }
        let body = row.default_body().to_owned();
        self.off_thread(move |parts| parts.register(&token, &certificate.id, &body, parameters)).await
    }

    /// The registry writes to disk and keys take long to make: neither belongs on the threads that
    /// serve connections.
    async fn off_thread(
        &self,
        work: impl FnOnce(&ProvisioningParts) -> Result<Value, Rejection> + Send + 'static,
    ) -> Result<Value, Rejection> {
        let parts = Arc::clone(&self.parts);
        spawn_blocking(move || work(&parts)).await.unwrap_or_else(|failed| Err(Rejection::internal(failed)))
    }
}

impl ProvisioningParts {
    /// A template for fleet provisioning.
    pub(super) fn known_template(&self, name: &str) -> Option<Arc<TemplateRow>> {
        let name: TemplateName = name.parse().ok()?;
        self.account.read().templates.get(&name).filter(|row| row.kind == TemplateKind::Fleet).cloned()
    }

    fn enabled_template(&self, name: &str) -> Result<Arc<TemplateRow>, Rejection> {
        let row = self.known_template(name).ok_or_else(|| Rejection::template(name))?;
        match row.enabled {
            true => Ok(row),
            false => Err(Rejection::denied(format!("Provisioning template {name} is disabled."))),
        }
    }

    fn owned_by(&self, token: &str) -> Result<Arc<CertificateRow>, Rejection> {
        let now = Millis::from(self.account.clock().now());
        Ok(Arc::clone(self.account.read().owned_by(token, now)?))
    }

    /// A new key and a certificate for it, which nobody knows yet.
    pub(super) fn new_key(&self) -> Result<MadeKey, Cause> {
        let key = DeviceKey::generate(self.key_kind)?;
        let issued = Issued::from(self.device_ca.issue_client(COMMON_NAME, &key.public)?);
        Ok(MadeKey {
            id: CertificateId::of_der(&issued.der),
            pem: issued.pem,
            public_pem: public_key_pem(&key.public),
            private_pem: key.private_pem,
        })
    }

    fn create(&self) -> Result<Value, Rejection> {
        let made = self.new_key().map_err(Rejection::internal)?;
        let token = self.keep_pending(&made.id, &made.pem)?;
        Ok(json!({
            "certificateId": made.id.as_str(),
            "certificatePem": made.pem,
            "privateKey": made.private_pem,
            "certificateOwnershipToken": token,
        }))
    }

    fn create_from_csr(&self, csr: &str) -> Result<Value, Rejection> {
        let request = SigningRequest::parse_pem(csr).map_err(|cause| Rejection::csr(format!("The {cause}.")))?;
        let issued = self.device_ca.issue_requested(&request, COMMON_NAME).map_err(Rejection::internal)?;
        let issued = Issued::from(issued);
        let id = CertificateId::of_der(&issued.der);
        let token = self.keep_pending(&id, &issued.pem)?;
        Ok(json!({
            "certificateId": id.as_str(),
            "certificatePem": issued.pem,
            "certificateOwnershipToken": token,
        }))
    }

    /// Enters a pending certificate and gives its ownership token, a secret.
    fn keep_pending(&self, id: &CertificateId, pem: &str) -> Result<String, Rejection> {
        let token = random::hex_text::<32>().map_err(Rejection::internal)?;
        self.account.change(|tx| tx.create_pending(id.clone(), pem.to_owned(), &token))?;
        Ok(token)
    }

    fn register(
        &self,
        token: &str,
        certificate: &CertificateId,
        body: &str,
        mut parameters: Parameters,
    ) -> Result<Value, Rejection> {
        parameters.set_certificate_id(certificate.as_str());
        // Bodies are checked before they enter the account.
        let template = Template::parse(aether_iot_template::TemplateKind::Fleet, body).map_err(Rejection::internal)?;
        let plan = template.resolve(&parameters).map_err(|cause| Rejection::parameters(format!("{cause}.")))?;
        let thing = self.account.change(|tx| {
            // Again, and in the same transaction: of two requests with one token one wins.
            tx.redeem(token, status(&plan)?)?;
            establish(tx, certificate, &plan)
        })?;
        Ok(accepted(thing, &plan))
    }
}

fn status(plan: &Plan) -> Result<CertificateStatus, AccountError> {
    match apply_status(CurrentStatus::Pending, &plan.certificate) {
        Ok(PlannedStatus::Active) => Ok(CertificateStatus::Active),
        Ok(PlannedStatus::Inactive) => Ok(CertificateStatus::Inactive),
        Err(conflict) => Err(AccountError::ResourceConflict(conflict.to_string())),
    }
}

/// Without a Thing in the template there is no `thingName` (sheet, 1.2).
fn accepted(thing: Option<ThingName>, plan: &Plan) -> Value {
    let mut answer = json!({ "deviceConfiguration": plan.device_configuration });
    if let Some(thing) = thing {
        answer["thingName"] = json!(thing.as_str());
    }
    answer
}
