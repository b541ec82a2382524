//! A device of your own against the sandbox: provisioned by claim, heard, and told from another's.
//!
//! ```sh
//! cargo run -p aether-sandbox --example device_under_test
//! ```
//!
//! The device here is a few lines around [`Observer`], so that the example needs nothing else. Put yours
//! in the place of `provision` and `connect`: it needs a host, a port, a root, a claim and its key.

use std::error::Error;

use aether_sandbox::{AuditDecision, AuditEvent, Credentials, KeyKind, Observer, Sandbox};
use serde_json::{Value, json};

const CREATE: &str = "$aws/certificates/create/json";
const REGISTER: &str = "$aws/provisioning-templates/Aether/provision/json";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A sandbox on a free port, in a directory of its own.
    let sandbox = Sandbox::builder().device_keys(KeyKind::EcP256).start().await?;
    let watcher = sandbox.files().observer_credentials()?;
    let mut watcher = Observer::connect(sandbox.local_addr(), &watcher, "watcher").await?;
    watcher.subscribe("#").await?;

    // The device: provisions itself with the claim, connects by its new name, and reports.
    let (name, credentials) = provision(&sandbox, "P3-00017").await?;
    let device = Observer::connect(sandbox.local_addr(), &credentials, &name).await?;
    device.publish(&name, br#"{"value": 25.0}"#).await?;

    // What the test sees of it.
    let message = watcher.next().await.ok_or("the connection has ended")?;
    assert_eq!((message.topic.as_str(), &*message.payload), ("aether-P3-00017", &br#"{"value": 25.0}"#[..]));
    assert_eq!(sandbox.things()[0].name, name);

    // A topic that is not the device's own: the sandbox hangs up, as AWS does, and says why.
    let mut decisions = sandbox.audit();
    assert!(device.publish("aether-P3-00018", b"25.0").await.is_err());
    let denied = loop {
        let record = decisions.next().await.ok_or("the sandbox has stopped")?;
        if record.decision == AuditDecision::Denied {
            break record;
        }
    };
    assert_eq!((denied.event, denied.client_id), (AuditEvent::Publish, Some(name)));
    sandbox.shutdown().await;
    Ok(())
}

/// The claim exchange: a key and a certificate, then a Thing. Gives its name and its credentials.
async fn provision(sandbox: &Sandbox, serial: &str) -> Result<(String, Credentials), Box<dyn Error>> {
    let claim = sandbox.files().claim_credentials()?;
    let mut client = Observer::connect(sandbox.local_addr(), &claim, "claim").await?;
    let created = ask(&mut client, CREATE, &json!({})).await?;
    let request = json!({
        "certificateOwnershipToken": created["certificateOwnershipToken"],
        "parameters": { "SerialNumber": serial },
    });
    let registered = ask(&mut client, REGISTER, &request).await?;
    let pem = |member: &str| created[member].as_str().unwrap_or_default().as_bytes();
    let root = std::fs::read(sandbox.files().ca())?;
    let credentials = Credentials::from_pem(&root, pem("certificatePem"), pem("privateKey"))?;
    Ok((registered["thingName"].as_str().unwrap_or_default().to_owned(), credentials))
}

/// Publishes a request and waits for its answer.
async fn ask(client: &mut Observer, topic: &str, request: &Value) -> Result<Value, Box<dyn Error>> {
    for outcome in ["accepted", "rejected"] {
        client.subscribe(&format!("{topic}/{outcome}")).await?;
    }
    client.publish(topic, request.to_string().as_bytes()).await?;
    let answer = client.next().await.ok_or("the connection has ended")?;
    match answer.topic.ends_with("/accepted") {
        true => Ok(serde_json::from_slice(&answer.payload)?),
        false => Err(format!("refused: {}", String::from_utf8_lossy(&answer.payload)).into()),
    }
}
