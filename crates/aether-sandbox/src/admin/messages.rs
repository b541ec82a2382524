//! The MQTT test client behind the page and the program: messages seen, messages published.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::Admin;
use super::change::read;
use super::error::ApiError;
use super::listing::time;
use super::query;
use super::routes::Answer;
use super::stream::{Source, events, missed};
use crate::broker::{PublishError, Qos, Tap, Tapped};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    filter: String,
}

/// `GET /messages?filter=…`: each message that is published from now on.
pub(super) fn stream(admin: &Admin, query: Option<&str>) -> Result<axum::response::Response, ApiError> {
    let Filter { filter } = query::read(query)?;
    let tap = admin.broker.tap(&filter).ok_or_else(|| {
        ApiError::invalid(format!("filter is {filter:?}, expected an MQTT topic filter such as #, a/+ or $aws/#"))
    })?;
    Ok(events(Messages { tap, told: 0 }, admin.broker.stop.clone()))
}

struct Messages {
    tap: Tap,
    /// How many of those missed the reader knows of.
    told: u64,
}

impl Source for Messages {
    async fn next(&mut self) -> Option<String> {
        let Tapped { message, client_id } = self.tap.next().await?;
        let mut text = String::new();
        if self.tap.missed() > self.told {
            text = format!("{}\n\ndata: ", missed(self.tap.missed() - self.told));
            self.told = self.tap.missed();
        }
        let mut value = json!({
            "at": time(message.at),
            "topic": &*message.topic,
            "qos": message.qos.as_u8(),
            "retain": message.retain,
            "client_id": client_id.as_deref(),
            "bytes": message.payload.len(),
        });
        match std::str::from_utf8(&message.payload) {
            Ok(payload) => value["payload"] = json!(payload),
            Err(_) => value["payload_base64"] = json!(STANDARD.encode(&message.payload)),
        }
        text += &value.to_string();
        Some(text)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish {
    topic: String,
    payload: Option<String>,
    payload_base64: Option<String>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
}

/// `POST /publish`: a message of the service, for which no policy is asked.
pub(super) fn publish(admin: &Admin, body: &[u8]) -> Answer {
    let wanted: Publish = read(body)?;
    let payload = match (wanted.payload, wanted.payload_base64) {
        (Some(text), None) => Bytes::from(text),
        (None, Some(text)) => STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|cause| ApiError::invalid(format!("payload_base64 cannot be read: {cause}")))?,
        (None, None) => Bytes::new(),
        (Some(_), Some(_)) => return Err(ApiError::invalid("expected payload or payload_base64, found both")),
    };
    let qos = match wanted.qos {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        other => return Err(ApiError::invalid(format!("qos is {other}, expected 0 or 1"))),
    };
    let refused = |cause: PublishError| ApiError::invalid(cause.to_string());
    admin.broker.publish_as_service(&wanted.topic, payload, qos, wanted.retain).map_err(refused)?;
    Ok(json!({ "topic": wanted.topic }))
}
