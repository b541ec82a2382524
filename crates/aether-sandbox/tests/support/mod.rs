//! What the integration tests share: a fresh sandbox, a claim exchange, a client that may misbehave.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a helper fails its test by panicking")]

pub(crate) mod http;
pub(crate) mod raw;

use std::path::Path;
use std::time::Duration;

use aether_sandbox::{AuditEvent, AuditRecord, AuditStream, Credentials, KeyKind, Limits, Message, Observer, Sandbox};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Longest wait for anything in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CREATE: &str = "$aws/certificates/create/json";
pub(crate) const PROVISION: &str = "$aws/provisioning-templates/Aether/provision/json";

/// Starts a sandbox on `dir` with quick keys, for tests that are quicker than AWS's limits allow.
pub(crate) async fn start(dir: &Path) -> Sandbox {
    start_with(dir, Limits::unpaced()).await
}

/// Starts a sandbox on `dir` with quick keys and these limits.
pub(crate) async fn start_with(dir: &Path, limits: Limits) -> Sandbox {
    let builder = Sandbox::builder().dir(dir).listen("127.0.0.1:0".parse().unwrap()).limits(limits);
    builder.device_keys(KeyKind::EcP256).start().await.unwrap()
}

/// Starts a sandbox whose claim policy allows everything but what is under `forbidden/`.
pub(crate) async fn start_open(dir: &Path, limits: Limits) -> Sandbox {
    start(dir).await.shutdown().await;
    let open = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "iot:*", "Resource": "*" },
        { "Effect": "Deny", "Action": ["iot:Publish", "iot:Subscribe", "iot:Receive"], "Resource": [
            "arn:aws:iot:eu-west-1:123456789012:topic/forbidden/*",
            "arn:aws:iot:eu-west-1:123456789012:topicfilter/forbidden/*",
        ] },
        { "Effect": "Deny", "Action": "iot:Connect", "Resource": "arn:aws:iot:eu-west-1:123456789012:client/nobody" },
    ] });
    std::fs::write(dir.join("policies/aether-claim.json"), open.to_string()).unwrap();
    start_with(dir, limits).await
}

/// What a device has after the claim exchange.
pub(crate) struct Device {
    pub(crate) thing: String,
    pub(crate) certificate_id: String,
    pub(crate) credentials: Credentials,
}

pub(crate) async fn claim(sandbox: &Sandbox, client_id: &str) -> Observer {
    let credentials = sandbox.files().claim_credentials().unwrap();
    Observer::connect(sandbox.local_addr(), &credentials, client_id).await.unwrap()
}

pub(crate) async fn observer(sandbox: &Sandbox, filter: &str) -> Observer {
    let credentials = sandbox.files().observer_credentials().unwrap();
    let id = format!("observer-{}", filter.len());
    let observer = Observer::connect(sandbox.local_addr(), &credentials, &id).await.unwrap();
    observer.subscribe(filter).await.unwrap();
    observer
}

pub(crate) async fn device(sandbox: &Sandbox, device: &Device) -> Observer {
    Observer::connect(sandbox.local_addr(), &device.credentials, &device.thing).await.unwrap()
}

pub(crate) async fn listen_for_answers(client: &Observer) {
    for topic in [CREATE, PROVISION] {
        client.subscribe(&format!("{topic}/accepted")).await.unwrap();
        client.subscribe(&format!("{topic}/rejected")).await.unwrap();
    }
}

/// Publishes a request and waits for its answer: `Ok` from `accepted`, `Err` from `rejected`.
pub(crate) async fn ask(client: &mut Observer, topic: &str, payload: &[u8]) -> Result<Value, Value> {
    client.publish(topic, payload).await.unwrap();
    let answer = next(client).await;
    let document = serde_json::from_slice(&answer.payload).unwrap();
    match answer.topic.strip_prefix(topic) {
        Some("/accepted") => Ok(document),
        Some("/rejected") => Err(document),
        _ => panic!("answer on {}", answer.topic),
    }
}

/// The whole claim exchange for a serial number.
pub(crate) async fn provision(sandbox: &Sandbox, serial: &str) -> Device {
    let mut client = claim(sandbox, &format!("claim-{serial}")).await;
    listen_for_answers(&client).await;
    let created = ask(&mut client, CREATE, b"{}").await.unwrap();
    let request = json!({
        "certificateOwnershipToken": created["certificateOwnershipToken"],
        "parameters": { "SerialNumber": serial },
    });
    let registered = ask(&mut client, PROVISION, request.to_string().as_bytes()).await.unwrap();
    client.disconnect().await;
    Device {
        thing: registered["thingName"].as_str().unwrap().to_owned(),
        certificate_id: created["certificateId"].as_str().unwrap().to_owned(),
        credentials: credentials(sandbox, &created),
    }
}

/// The credentials in an accepted answer to `CreateKeysAndCertificate`.
pub(crate) fn credentials(sandbox: &Sandbox, created: &Value) -> Credentials {
    let pem = |member: &str| created[member].as_str().unwrap().as_bytes().to_vec();
    let ca = std::fs::read(sandbox.files().ca()).unwrap();
    Credentials::from_pem(&ca, &pem("certificatePem"), &pem("privateKey")).unwrap()
}

pub(crate) async fn next(client: &mut Observer) -> Message {
    timeout(PATIENCE, client.next()).await.expect("a message in time").expect("a live connection")
}

pub(crate) async fn closed(client: &Observer) {
    timeout(PATIENCE, client.closed()).await.expect("the connection to close");
}

/// Waits for the first audit record that `wanted` accepts.
pub(crate) async fn audited(audit: &mut AuditStream, wanted: impl Fn(&AuditRecord) -> bool) -> AuditRecord {
    timeout(PATIENCE, async {
        loop {
            let record = audit.next().await.expect("a running sandbox");
            if wanted(&record) {
                return record;
            }
        }
    })
    .await
    .expect("the audit record in time")
}

pub(crate) async fn audited_event(audit: &mut AuditStream, event: AuditEvent) -> AuditRecord {
    audited(audit, |record| record.event == event).await
}
