//! Requests and answers as they travel: topics and JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const CREATE: &str = "$aws/certificates/create/json";
const TEMPLATES: &str = "$aws/provisioning-templates/";
const PROVISION: &str = "/provision/json";

/// A topic that asks for a provisioning operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestTopic {
    topic: String,
    operation: Operation,
}

/// The operation a topic asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateKeysAndCertificate,
    RegisterThing { template: String },
}

impl RequestTopic {
    /// Reads a topic name; `None` if it asks for nothing the sandbox serves.
    pub(crate) fn parse(topic: &str) -> Option<Self> {
        let operation = if topic == CREATE {
            Operation::CreateKeysAndCertificate
        } else {
            let template = topic.strip_prefix(TEMPLATES)?.strip_suffix(PROVISION)?;
            if template.is_empty() || template.contains('/') {
                return None;
            }
            Operation::RegisterThing { template: template.to_owned() }
        };
        Some(Self { topic: topic.to_owned(), operation })
    }

    pub(crate) fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The topic an answer is sent on.
    pub(crate) fn answer_topic(&self, accepted: bool) -> String {
        let verdict = if accepted { "accepted" } else { "rejected" };
        format!("{}/{verdict}", self.topic)
    }
}

/// An answer to a request. An accepted one may hold a private key and a token, so there is no
/// `Debug` for its payload.
pub(crate) struct Answer {
    pub(crate) outcome: Result<Value, Rejection>,
}

/// Why a request was rejected, in AWS's shape (sheet, 1.2 and 1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Rejection {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn payload(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameters", message)
    }

    pub(crate) fn parameters(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameters", message)
    }

    pub(crate) fn token(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidCertificateOwnershipToken", message)
    }

    pub(crate) fn template(name: &str) -> Self {
        Self::new(404, "TemplateNotFound", format!("Provisioning template {name} does not exist."))
    }

    pub(crate) fn throttled() -> Self {
        Self::new(429, "Throttled", "Too many provisioning requests at once on this connection.")
    }

    pub(crate) fn internal() -> Self {
        Self::new(500, "InternalFailure", "The sandbox could not complete the request.")
    }
}

impl Answer {
    pub(crate) fn accepted(&self) -> bool {
        self.outcome.is_ok()
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        match &self.outcome {
            Ok(document) => document.to_string(),
            Err(rejection) => json!({
                "statusCode": rejection.status,
                "errorCode": rejection.code,
                "errorMessage": rejection.message,
            })
            .to_string(),
        }
        .into_bytes()
    }
}

/// Checks the payload of `CreateKeysAndCertificate`: nothing, or an empty object.
pub(super) fn read_create(payload: &[u8]) -> Result<(), Rejection> {
    if payload.is_empty() || object(payload)?.is_empty() {
        return Ok(());
    }
    Err(Rejection::payload("The request takes no members."))
}

/// The payload of `RegisterThing`.
pub(super) struct RegisterRequest {
    /// A secret.
    pub(super) token: String,
    pub(super) parameters: BTreeMap<String, String>,
}

/// Longest name and longest value of a parameter, in characters (sheet, 1.6).
const MAX_PARAMETER_NAME: usize = 2048;
const MAX_PARAMETER_VALUE: usize = 4096;

pub(super) fn read_register(payload: &[u8]) -> Result<RegisterRequest, Rejection> {
    let request = object(payload)?;
    let token = match request.get("certificateOwnershipToken") {
        Some(Value::String(token)) if !token.is_empty() => token.clone(),
        Some(Value::String(_)) | Some(Value::Null) | None => {
            return Err(Rejection::token("Certificate ownership token cannot be empty."));
        }
        Some(_) => return Err(Rejection::token("Certificate ownership token must be a string.")),
    };
    let parameters = match request.get("parameters") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(given)) => given.iter().map(parameter).collect::<Result<_, _>>()?,
        Some(_) => return Err(Rejection::parameters("parameters must be a map of strings.")),
    };
    Ok(RegisterRequest { token, parameters })
}

fn parameter((name, value): (&String, &Value)) -> Result<(String, String), Rejection> {
    let Some(value) = value.as_str() else {
        return Err(Rejection::parameters(format!("Parameter {name} must be a string.")));
    };
    if name.chars().count() > MAX_PARAMETER_NAME || value.chars().count() > MAX_PARAMETER_VALUE {
        return Err(Rejection::parameters("A parameter is too long."));
    }
    Ok((name.clone(), value.to_owned()))
}

fn object(payload: &[u8]) -> Result<Map<String, Value>, Rejection> {
    serde_json::from_slice(payload).map_err(|_| Rejection::payload("The payload is not a JSON object."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_request_topics_are_recognised_and_answered_beside() {
        let create = RequestTopic::parse("$aws/certificates/create/json").unwrap();
        assert_eq!(create.operation(), &Operation::CreateKeysAndCertificate);
        assert_eq!(create.answer_topic(true), "$aws/certificates/create/json/accepted");
        let register = RequestTopic::parse("$aws/provisioning-templates/Aether/provision/json").unwrap();
        assert_eq!(register.operation(), &Operation::RegisterThing { template: "Aether".into() });
        assert_eq!(register.answer_topic(false), "$aws/provisioning-templates/Aether/provision/json/rejected");
    }

    #[test]
    fn other_reserved_topics_ask_for_nothing() {
        for topic in [
            "$aws/certificates/create/cbor",
            "$aws/certificates/create-from-csr/json",
            "$aws/certificates/create/json/accepted",
            "$aws/provisioning-templates//provision/json",
            "$aws/provisioning-templates/a/b/provision/json",
            "press-3",
        ] {
            assert_eq!(RequestTopic::parse(topic), None, "{topic}");
        }
    }

    #[test]
    fn create_takes_nothing_or_an_empty_object() {
        assert_eq!(read_create(b""), Ok(()));
        assert_eq!(read_create(b"{}"), Ok(()));
        for payload in [&b"[]"[..], b"{\"a\":1}", b"\xff", b"{"] {
            assert_eq!(read_create(payload).unwrap_err().status, 400);
        }
    }

    #[test]
    fn register_needs_a_token_and_takes_strings_only() {
        let request = read_register(br#"{"certificateOwnershipToken":"t","parameters":{"SerialNumber":"7"}}"#);
        assert_eq!(request.ok().unwrap().parameters["SerialNumber"], "7");
        let no_token = read_register(br#"{"parameters":{}}"#).err().unwrap();
        assert_eq!(no_token.code, "InvalidCertificateOwnershipToken");
        assert_eq!(no_token.message, "Certificate ownership token cannot be empty.");
        let number = read_register(br#"{"certificateOwnershipToken":"t","parameters":{"a":7}}"#);
        assert_eq!(number.err().unwrap().code, "InvalidParameters");
    }

    #[test]
    fn a_rejection_carries_aws_members() {
        let answer = Answer { outcome: Err(Rejection::template("X")) };
        let document: Value = serde_json::from_slice(&answer.payload()).unwrap();
        assert_eq!(document["statusCode"], 404);
        assert_eq!(document["errorCode"], "TemplateNotFound");
        assert!(document["errorMessage"].is_string());
    }
}
