//! The data plane over HTTP: publishing, retained messages, ending connections.
//!
//! There is no IAM here, so whoever reaches the port may publish on every topic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::call::Call;
use super::error::{ApiError, Exception};
use super::paging::{Style, page};
use super::route::{Route, route};
use crate::account::Millis;
use crate::broker::{Message, PublishError, Qos};

pub(super) const ROUTES: &[Route] = &[
    route("Publish", "POST", "/topics/{topic}", publish),
    route("GetRetainedMessage", "GET", "/retainedMessage/{topic}", get_retained),
    route("ListRetainedMessages", "GET", "/retainedMessage", list_retained),
    route("DeleteConnection", "DELETE", "/connections/{clientId}", disconnect),
];

/// Parameters of MQTT 5 messages, in the query or the header.
const MQTT5: [&str; 6] = [
    "contentType",
    "responseTopic",
    "messageExpiry",
    "x-amz-mqtt5-user-properties",
    "x-amz-mqtt5-payload-format-indicator",
    "x-amz-mqtt5-correlation-data",
];

fn publish(call: &Call<'_>) -> Result<Value, ApiError> {
    let topic: String = call.path("topic")?;
    let qos = match call.query("qos") {
        None | Some("0") => Qos::AtMostOnce,
        Some("1") => Qos::AtLeastOnce,
        Some(other) => return Err(ApiError::invalid(format_args!("qos is {other:?}, expected 0 or 1"))),
    };
    if let Some(name) = MQTT5.into_iter().find(|name| call.query(name).is_some() || call.headers.contains_key(*name)) {
        return Err(ApiError::not_implemented(format_args!(
            "{name}: messages published here have no MQTT 5 properties"
        )));
    }
    let retain = call.flag("retain")?;
    let published = call.control.broker.publish_as_service(&topic, call.body.clone(), qos, retain);
    match published {
        Ok(_) => Ok(Value::Null),
        Err(fast @ PublishError::NotRetained) => Err(ApiError::new(Exception::Throttling, fast)),
        Err(wrong) => Err(ApiError::invalid(wrong)),
    }
}

fn get_retained(call: &Call<'_>) -> Result<Value, ApiError> {
    let topic: String = call.path("topic")?;
    let found = call.control.broker.retained_message(&topic).ok_or_else(|| {
        ApiError::new(Exception::ResourceNotFound, format_args!("topic {topic:?} has no retained message"))
    })?;
    let mut message = described(&found);
    message["payload"] = json!(STANDARD.encode(&found.payload));
    Ok(message)
}

/// What describing and listing have in common; this API counts milliseconds.
fn described(message: &Message) -> Value {
    json!({
        "topic": message.topic,
        "qos": message.qos.as_u8(),
        "lastModifiedTime": Millis::from(message.at).as_u64(),
    })
}

fn list_retained(call: &Call<'_>) -> Result<Value, ApiError> {
    let entries = call.control.broker.retained().into_iter().map(|message| {
        let mut entry = described(&message);
        entry["payloadSize"] = json!(message.payload.len());
        (message.topic.to_string(), entry)
    });
    page(call, Style::Token, "retainedTopics", entries.collect())
}

fn disconnect(call: &Call<'_>) -> Result<Value, ApiError> {
    let client_id: String = call.path("clientId")?;
    for name in ["cleanSession", "preventWillMessage"] {
        if call.flag(name)? {
            return Err(ApiError::not_implemented(format_args!("{name}: the session and the last will stay")));
        }
    }
    match call.control.broker.disconnect(&client_id) {
        true => Ok(Value::Null),
        false => Err(ApiError::new(Exception::ResourceNotFound, format_args!("client {client_id:?} is not connected"))),
    }
}
