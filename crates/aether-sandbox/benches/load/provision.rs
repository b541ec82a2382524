//! The claim exchange of one device, step by step with the time each took.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Connection, Identity, Trust};
use crate::frames::Message;

const CREATE: &str = "$aws/certificates/create/json";
const PROVISION: &str = "$aws/provisioning-templates/Aether/provision/json";
/// Keep-alive of a device, in seconds.
pub(crate) const KEEP_ALIVE: u16 = 60;

/// The time of each step, in their order.
pub(crate) type Laps = Vec<(&'static str, Duration)>;

/// A device that has its identity.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) thing: String,
    pub(crate) identity: Identity,
}

/// Connects with the claim, asks for keys and a certificate, registers the Thing, says goodbye.
pub(crate) async fn provision(
    address: SocketAddr,
    trust: &Trust,
    claim: &Identity,
    serial: &str,
    laps: &mut Laps,
) -> anyhow::Result<Device> {
    let (mut connection, opening) =
        Connection::open(address, claim, &format!("claim-{serial}"), KEEP_ALIVE).await.context("claim")?;
    laps.extend([("claim: TLS", opening.tls), ("claim: CONNECT", opening.connect)]);
    let begun = Instant::now();
    let answers = [CREATE, PROVISION].map(|topic| [format!("{topic}/accepted"), format!("{topic}/rejected")]);
    let filters: Vec<&str> = answers.iter().flatten().map(String::as_str).collect();
    connection.subscribe(&filters, 1).await?;
    laps.push(("claim: SUBSCRIBE", begun.elapsed()));

    let begun = Instant::now();
    let created = ask(&mut connection, CREATE, b"{}").await.context("CreateKeysAndCertificate")?;
    laps.push(("CreateKeysAndCertificate", begun.elapsed()));
    let begun = Instant::now();
    let request = json!({
        "certificateOwnershipToken": created["certificateOwnershipToken"],
        "parameters": { "SerialNumber": serial },
    });
    let registered = ask(&mut connection, PROVISION, request.to_string().as_bytes()).await.context("RegisterThing")?;
    laps.push(("RegisterThing", begun.elapsed()));
    connection.disconnect().await?;

    let member = |document: &Value, name: &str| {
        document[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in the answer"))
    };
    let (certificate, key) = (member(&created, "certificatePem")?, member(&created, "privateKey")?);
    let identity = trust.identity(certificate.as_bytes(), key.as_bytes())?;
    Ok(Device { thing: member(&registered, "thingName")?, identity })
}

impl Device {
    /// Connects with the new identity and publishes one event.
    pub(crate) async fn begin_work(&self, address: SocketAddr, laps: &mut Laps) -> anyhow::Result<Connection> {
        let (mut connection, opening) =
            Connection::open(address, &self.identity, &self.thing, KEEP_ALIVE).await.context("device")?;
        laps.extend([("device: TLS", opening.tls), ("device: CONNECT", opening.connect)]);
        let begun = Instant::now();
        let early = connection.publish(&self.thing, br#"{"value":25.0}"#).await.context("first event")?;
        ensure!(early.is_none(), "a device that has subscribed to nothing got a message");
        laps.push(("device: PUBLISH to PUBACK", begun.elapsed()));
        Ok(connection)
    }
}

async fn ask(connection: &mut Connection, topic: &str, payload: &[u8]) -> anyhow::Result<Value> {
    let answer: Message = match connection.publish(topic, payload).await? {
        Some(early) => early,
        None => connection.message().await?,
    };
    let document: Value = serde_json::from_slice(&answer.payload)?;
    match std::str::from_utf8(&answer.topic)?.strip_prefix(topic) {
        Some("/accepted") => Ok(document),
        _ => bail!("refused: {document}"),
    }
}
