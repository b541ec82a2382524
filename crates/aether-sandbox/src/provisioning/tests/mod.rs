//! The service as a connection sees it, over an account of its own and without a broker.

mod hooks;
mod operations;
mod templates;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Caller, Hooks, Provisioning, ProvisioningHook, ProvisioningParts, RequestTopic};
use crate::account::{Account, AccountError, Place, TemplateRow, Tx, device_policy};
use crate::clock::Clock;
use crate::pki::Authority;
use crate::{CertificateId, KeyKind};

const CREATE: &str = "$aws/certificates/create/json";
const CREATE_FROM_CSR: &str = "$aws/certificates/create-from-csr/json";
const LINE: &str = "$aws/provisioning-templates/line/provision/json";
const LAMBDA: &str = "arn:aws:lambda:eu-west-1:123456789012:function:check";

/// A service with a template `line`, and what tests look into.
struct Service {
    provisioning: Provisioning,
    account: Arc<Account>,
    caller: Caller,
    dir: TempDir,
}

/// A template: the Thing is `press-${SerialNumber}`, with a policy that exists.
fn line() -> Value {
    json!({
        "Parameters": { "SerialNumber": { "Type": "String" }, "Site": { "Type": "String", "Default": "hall-b" } },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": { "Fn::Sub": "press-${SerialNumber}" },
                    "AttributePayload": { "site": { "Ref": "Site" } },
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" } },
            },
            "policy": { "Type": "AWS::IoT::Policy", "Properties": { "PolicyName": "device" } },
        },
    })
}

impl Service {
    fn start() -> Self {
        Self::with_hooks(BTreeMap::new(), Duration::from_secs(20))
    }

    /// With this hook for `line`.
    fn with_hook(hook: &str, limit: Duration) -> Self {
        let hooks = BTreeMap::from([(LAMBDA.to_owned(), hook.parse::<ProvisioningHook>().unwrap())]);
        let service = Self::with_hooks(hooks, limit);
        service.edit_line(|row| {
            row.hook = Some(crate::account::Hook { payload_version: None, target: LAMBDA.to_owned() });
        });
        service
    }

    fn with_hooks(hooks: BTreeMap<String, ProvisioningHook>, limit: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { region: "eu-west-1".into(), account_id: "123456789012".into() };
        let policy = device_policy(&place);
        let account = Arc::new(Account::open(&dir.path().join("journal"), place, Clock::default()).unwrap());
        account.change(|tx| tx.create_policy("device".parse()?, &policy, BTreeMap::new())).unwrap();
        let service = Self {
            provisioning: Provisioning::new(ProvisioningParts {
                account: Arc::clone(&account),
                device_ca: Arc::new(authority(dir.path())),
                key_kind: KeyKind::EcP256,
                template_name: "own".parse().unwrap(),
                hooks: Hooks::new(hooks, None, limit),
            }),
            account,
            caller: Caller { certificate: CertificateId::of_der(b"claim"), client_id: "claim-P3".to_owned() },
            dir,
        };
        service.template("line", &line());
        service
    }

    fn change(&self, make: impl FnOnce(&mut Tx<'_>) -> Result<(), AccountError>) {
        self.account.change(make).unwrap();
    }

    fn template(&self, name: &str, body: &Value) {
        self.change(|tx| {
            let row = TemplateRow::new(name.parse()?, body.to_string(), "role".to_owned(), tx.now);
            tx.create_template(row)
        });
    }

    fn edit_line(&self, edit: impl FnOnce(&mut TemplateRow)) {
        self.change(|tx| {
            tx.edit_template(&"line".parse()?, |row| {
                edit(row);
                Ok(())
            })
        });
    }

    async fn answer(&self, topic: &str, payload: &[u8]) -> Answer {
        self.provisioning.handle(&RequestTopic::parse(topic).unwrap(), &self.caller, payload.to_vec()).await
    }

    /// Asks in JSON; `Err` holds the members of the rejection.
    async fn ask(&self, topic: &str, request: &Value) -> Result<Value, Value> {
        let answer = self.answer(topic, request.to_string().as_bytes()).await;
        let document = serde_json::from_slice(&answer.payload()).unwrap();
        if answer.accepted() { Ok(document) } else { Err(document) }
    }

    async fn create(&self) -> Value {
        self.ask(CREATE, &json!({})).await.unwrap()
    }

    async fn register(&self, topic: &str, created: &Value, serial: &str) -> Result<Value, Value> {
        self.ask(topic, &registration(created, &json!({ "SerialNumber": serial }))).await
    }

    /// A fresh certificate, registered.
    async fn provision(&self, topic: &str, serial: &str) -> Result<Value, Value> {
        let created = self.create().await;
        self.register(topic, &created, serial).await
    }
}

fn registration(created: &Value, parameters: &Value) -> Value {
    json!({ "certificateOwnershipToken": created["certificateOwnershipToken"], "parameters": parameters })
}

fn authority(dir: &Path) -> Authority {
    Authority::open(&dir.join("ca.pem"), &dir.join("ca.key"), "Device CA").unwrap()
}

fn signing_request(key: &KeyPair, common_name: Option<&str>) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(common_name) = common_name {
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    }
    params.serialize_request(key).unwrap().pem().unwrap()
}

/// Status and code of a rejection.
#[track_caller]
fn refused(outcome: Result<Value, Value>) -> (u64, String) {
    let rejection = outcome.unwrap_err();
    assert!(rejection["errorMessage"].as_str().is_some_and(|message| !message.is_empty()), "{rejection}");
    (rejection["statusCode"].as_u64().unwrap(), rejection["errorCode"].as_str().unwrap().to_owned())
}

fn said(status: u64, code: &str) -> (u64, String) {
    (status, code.to_owned())
}
