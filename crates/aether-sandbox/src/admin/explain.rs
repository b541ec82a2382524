//! Why a client may do something or not.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::change::read;
use super::error::ApiError;
use super::routes::Answer;
use crate::explain::explain;
use crate::{Action, CertificateId, Question};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    client_id: String,
    action: String,
    resource: String,
    certificate: Option<CertificateId>,
    source_ip: Option<IpAddr>,
    #[serde(default)]
    persistent_session: bool,
    last_will: Option<String>,
}

/// `POST /explain`.
pub(super) fn answer(admin: &Admin, body: &[u8]) -> Answer {
    let asked: Asked = read(body)?;
    let action: Action = asked.action.parse().map_err(|_| {
        ApiError::invalid(format!("action is {:?}, expected an action such as iot:Publish", asked.action))
    })?;
    let mut question = Question::new(asked.client_id, action, asked.resource);
    if let Some(id) = asked.certificate {
        question = question.certificate(id);
    }
    if let Some(address) = asked.source_ip {
        question = question.source_ip(address);
    }
    if asked.persistent_session {
        question = question.persistent_session();
    }
    if let Some(topic) = asked.last_will {
        question = question.last_will(topic);
    }
    let broker = &admin.broker;
    let explained =
        explain(&broker.account, broker, &question).map_err(|cause| ApiError::invalid(cause.to_string()))?;
    let mut value: Value = serde_json::from_str(&explained.to_json()).map_err(ApiError::inside)?;
    value["text"] = json!(explained.to_string());
    Ok(value)
}
