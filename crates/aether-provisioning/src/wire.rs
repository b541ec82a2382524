//! Topics and payloads of the provisioning API, in JSON (AWS IoT Developer Guide, "Device provisioning MQTT API").

use std::collections::BTreeMap;

use aether_mqtt::{Credentials, Topic, TopicFilter};
use serde::{Deserialize, Serialize};

use crate::{AnswerProblem, CertificateId, OwnershipToken, TemplateName, ThingName};

/// Longest text of the service's that is repeated in an error, in characters.
const MAX_QUOTE: usize = 512;

/// The three topics of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) request: Topic,
    accepted: Topic,
    rejected: Topic,
}

/// How the service answered: the topic says it, not the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Rejected,
}

impl Exchange {
    /// CreateKeysAndCertificate.
    pub(crate) fn create() -> Self {
        Self::on("$aws/certificates/create/json")
    }

    /// RegisterThing with `template`.
    pub(crate) fn register(template: &TemplateName) -> Self {
        Self::on(&format!("$aws/provisioning-templates/{template}/provision/json"))
    }

    /// Both answer topics, each in full: the claim policy need not allow a wildcard.
    pub(crate) fn answers(&self) -> [TopicFilter; 2] {
        [TopicFilter::from(&self.accepted), TopicFilter::from(&self.rejected)]
    }

    /// Which answer of this operation arrives on `topic`, if any.
    pub(crate) fn outcome(&self, topic: &Topic) -> Option<Outcome> {
        if *topic == self.accepted {
            Some(Outcome::Accepted)
        } else if *topic == self.rejected {
            Some(Outcome::Rejected)
        } else {
            None
        }
    }

    fn on(request: &str) -> Self {
        let topic = |text: &str| text.parse().expect("36 characters of a template name keep within a topic's limits");
        Self {
            request: topic(request),
            accepted: topic(&format!("{request}/accepted")),
            rejected: topic(&format!("{request}/rejected")),
        }
    }
}

/// What an accepted CreateKeysAndCertificate brings, checked.
pub(crate) struct Created {
    pub(crate) certificate_id: CertificateId,
    pub(crate) credentials: Credentials,
    pub(crate) token: OwnershipToken,
}

/// What an accepted RegisterThing brings.
pub(crate) struct Registered {
    /// `None` if the template has no Thing.
    pub(crate) thing_name: Option<ThingName>,
    pub(crate) device_configuration: BTreeMap<String, String>,
}

/// What a rejection says.
pub(crate) struct Rejection {
    pub(crate) status_code: i64,
    pub(crate) error_code: String,
    pub(crate) error_message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateAccepted {
    certificate_id: String,
    certificate_pem: String,
    private_key: String,
    certificate_ownership_token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegisterRequest<'a> {
    certificate_ownership_token: &'a str,
    parameters: &'a BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterAccepted {
    thing_name: Option<String>,
    device_configuration: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    status_code: i64,
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    error_message: String,
}

/// The request of CreateKeysAndCertificate, which has no content.
pub(crate) fn create_request() -> Vec<u8> {
    b"{}".to_vec()
}

/// The request of RegisterThing.
pub(crate) fn register_request(token: &OwnershipToken, parameters: &BTreeMap<String, String>) -> Vec<u8> {
    let request = RegisterRequest { certificate_ownership_token: token.reveal(), parameters };
    serde_json::to_vec(&request).expect("texts under text keys are always JSON")
}

pub(crate) fn read_created(payload: &[u8]) -> Result<Created, AnswerProblem> {
    let answer: CreateAccepted = read(payload)?;
    let certificate_id = answer.certificate_id.parse().map_err(AnswerProblem::Name)?;
    let credentials = Credentials::from_pem(answer.certificate_pem.as_bytes(), answer.private_key.as_bytes())
        .map_err(AnswerProblem::Credentials)?;
    let token = OwnershipToken::new(&answer.certificate_ownership_token);
    Ok(Created { certificate_id, credentials, token })
}

pub(crate) fn read_registered(payload: &[u8]) -> Result<Registered, AnswerProblem> {
    let answer: RegisterAccepted = read(payload)?;
    let thing_name = match answer.thing_name.filter(|name| !name.is_empty()) {
        Some(name) => Some(name.parse().map_err(AnswerProblem::Name)?),
        None => None,
    };
    Ok(Registered { thing_name, device_configuration: answer.device_configuration.unwrap_or_default() })
}

pub(crate) fn read_rejected(payload: &[u8]) -> Result<Rejection, AnswerProblem> {
    let answer: Rejected = read(payload)?;
    Ok(Rejection {
        status_code: answer.status_code,
        error_code: quotable(&answer.error_code),
        error_message: quotable(&answer.error_message),
    })
}

impl Rejection {
    /// Whether the ownership token may be what was refused: too old, spent, or never known.
    ///
    /// AWS publishes no list of its codes (`InvalidCertificateOwnershipToken` is the one that was seen), so every
    /// refusal counts that lays the fault on the request, other than that it may not be made (403) or not now (429).
    pub(crate) fn may_concern_token(&self) -> bool {
        matches!(self.status_code, 400..=499) && !matches!(self.status_code, 403 | 429)
    }
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, AnswerProblem> {
    // The reader's own message may repeat what it met, and that may be the key.
    serde_json::from_slice(payload).map_err(|e| AnswerProblem::Json { line: e.line(), column: e.column() })
}

/// A text of the service's, fit to stand in one line of a log.
fn quotable(text: &str) -> String {
    text.chars().take(MAX_QUOTE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use aether_mqtt::testing::self_signed;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_topic_is_recognised_by_its_own_exchange_only() {
        let (create, register) = (Exchange::create(), Exchange::register(&"Aether".parse().unwrap()));
        assert_eq!(create.request.as_str(), "$aws/certificates/create/json");
        assert_eq!(register.request.as_str(), "$aws/provisioning-templates/Aether/provision/json");
        for (exchange, other) in [(&create, &register), (&register, &create)] {
            for (filter, expected) in exchange.answers().iter().zip([Outcome::Accepted, Outcome::Rejected]) {
                let topic: Topic = filter.as_str().parse().unwrap();
                assert!(filter.matches(&topic));
                assert_eq!(exchange.outcome(&topic), Some(expected));
                assert_eq!(other.outcome(&topic), None);
            }
            assert_eq!(exchange.outcome(&exchange.request), None);
        }
    }

    #[test]
    fn the_longest_template_name_still_makes_topics() {
        let longest: TemplateName = "x".repeat(36).parse().unwrap();
        assert!(Exchange::register(&longest).request.as_str().contains(longest.as_str()));
    }

    #[test]
    fn a_register_request_holds_token_and_parameters() {
        let parameters = BTreeMap::from([("SerialNumber".to_owned(), "P3-\"17\"".to_owned())]);
        let request = register_request(&OwnershipToken::new("t0ken"), &parameters);
        let value: serde_json::Value = serde_json::from_slice(&request).unwrap();
        let expected = json!({"certificateOwnershipToken": "t0ken", "parameters": {"SerialNumber": "P3-\"17\""}});
        assert_eq!(value, expected);
    }

    #[test]
    fn a_created_certificate_must_belong_to_its_key() {
        let ((certificate, _), (_, other_key)) = (self_signed("a"), self_signed("b"));
        let answer = json!({
            "certificateId": "abc", "certificatePem": certificate, "privateKey": other_key,
            "certificateOwnershipToken": "t",
        });
        let problem = read_created(answer.to_string().as_bytes()).err();
        assert!(matches!(problem, Some(AnswerProblem::Credentials(_))), "{problem:?}");
    }

    #[test]
    fn a_malformed_answer_is_placed_and_not_repeated() {
        let problem = read_created(br#""-----BEGIN PRIVATE KEY-----""#).err().unwrap();
        assert!(matches!(problem, AnswerProblem::Json { line: 1, .. }));
        assert!(!format!("{problem:?} {problem}").contains("BEGIN"));
    }

    #[test]
    fn an_empty_and_a_missing_thing_name_are_the_same() {
        for answer in ["{}", r#"{"thingName": ""}"#, r#"{"thingName": null, "deviceConfiguration": null}"#] {
            let registered = read_registered(answer.as_bytes()).unwrap();
            assert!(registered.thing_name.is_none() && registered.device_configuration.is_empty());
        }
    }

    #[test]
    fn a_rejection_is_cut_to_one_short_line() {
        let answer = json!({"statusCode": 400, "errorCode": "Invalid", "errorMessage": "a\nb".repeat(1000)});
        let rejection = read_rejected(answer.to_string().as_bytes()).unwrap();
        assert_eq!((rejection.status_code, rejection.error_code.as_str()), (400, "Invalid"));
        assert!(rejection.error_message.starts_with("a ba b") && rejection.error_message.len() == MAX_QUOTE);
        assert!(rejection.may_concern_token());
        let hook = json!({"statusCode": 403, "errorCode": "AccessDenied", "errorMessage": ""}).to_string();
        assert!(!read_rejected(hook.as_bytes()).unwrap().may_concern_token());
    }
}
