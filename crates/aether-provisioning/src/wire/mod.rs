//! Topics and payloads of the provisioning API (AWS IoT Developer Guide, "Device provisioning MQTT API").

mod codec;

use std::collections::BTreeMap;

use aether_mqtt::{Credentials, PrivateKey, Topic, TopicFilter};
pub use codec::{Encoding, InvalidEncoding};
use serde::{Deserialize, Serialize};

use crate::{AnswerProblem, CertificateId, OwnershipToken, SigningRequest, TemplateName, ThingName};

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
    pub(crate) fn create(encoding: Encoding) -> Self {
        Self::on(&format!("$aws/certificates/create/{encoding}"))
    }

    /// CreateCertificateFromCsr.
    pub(crate) fn create_from_csr(encoding: Encoding) -> Self {
        Self::on(&format!("$aws/certificates/create-from-csr/{encoding}"))
    }

    /// RegisterThing with `template`.
    pub(crate) fn register(template: &TemplateName, encoding: Encoding) -> Self {
        Self::on(&format!("$aws/provisioning-templates/{template}/provision/{encoding}"))
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

/// What an accepted request for a certificate brings, checked.
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

/// CreateKeysAndCertificate's request has no member.
#[derive(Serialize)]
struct CreateRequest {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CsrRequest<'a> {
    certificate_signing_request: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateAccepted {
    certificate_id: String,
    certificate_pem: String,
    /// Missing in the answer to a CSR.
    private_key: Option<String>,
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

impl Encoding {
    /// The request of CreateKeysAndCertificate, which has no content.
    pub(crate) fn create_request(self) -> Vec<u8> {
        self.write(&CreateRequest {})
    }

    /// The request of CreateCertificateFromCsr.
    pub(crate) fn csr_request(self, request: &SigningRequest) -> Vec<u8> {
        self.write(&CsrRequest { certificate_signing_request: request.as_pem() })
    }

    /// The request of RegisterThing.
    pub(crate) fn register_request(self, token: &OwnershipToken, parameters: &BTreeMap<String, String>) -> Vec<u8> {
        self.write(&RegisterRequest { certificate_ownership_token: token.reveal(), parameters })
    }

    /// The answer with a certificate: for `own_key`, or with the key in it.
    pub(crate) fn read_created(self, payload: &[u8], own_key: Option<&PrivateKey>) -> Result<Created, AnswerProblem> {
        let answer: CreateAccepted = self.read(payload)?;
        let certificate_id = answer.certificate_id.parse().map_err(AnswerProblem::Name)?;
        let key = match (own_key, &answer.private_key) {
            (Some(key), _) => key.clone(),
            (None, Some(pem)) => PrivateKey::from_pem(pem.as_bytes()).map_err(AnswerProblem::Credentials)?,
            (None, None) => return Err(AnswerProblem::NoPrivateKey),
        };
        let credentials =
            Credentials::new(answer.certificate_pem.as_bytes(), key).map_err(AnswerProblem::Credentials)?;
        if answer.certificate_ownership_token.is_empty() {
            return Err(AnswerProblem::NoToken);
        }
        let token = OwnershipToken::new(&answer.certificate_ownership_token);
        Ok(Created { certificate_id, credentials, token })
    }

    pub(crate) fn read_registered(self, payload: &[u8]) -> Result<Registered, AnswerProblem> {
        let answer: RegisterAccepted = self.read(payload)?;
        let thing_name = match answer.thing_name.filter(|name| !name.is_empty()) {
            Some(name) => Some(name.parse().map_err(AnswerProblem::Name)?),
            None => None,
        };
        Ok(Registered { thing_name, device_configuration: answer.device_configuration.unwrap_or_default() })
    }

    pub(crate) fn read_rejected(self, payload: &[u8]) -> Result<Rejection, AnswerProblem> {
        let answer: Rejected = self.read(payload)?;
        Ok(Rejection {
            status_code: answer.status_code,
            error_code: quotable(&answer.error_code),
            error_message: quotable(&answer.error_message),
        })
    }
}

impl Rejection {
    /// Whether the service has decided not to do what was asked, rather than failed at it.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.status_code, 400..=499)
    }

    /// Whether the ownership token may be what was refused: too old, spent, or never known.
    ///
    /// AWS publishes no list of its codes (`InvalidCertificateOwnershipToken` is the one that was seen), so every
    /// refusal counts that lays the fault on the request, other than that it may not be made (403) or not now (429).
    pub(crate) fn may_concern_token(&self) -> bool {
        matches!(self.status_code, 400..=499) && !matches!(self.status_code, 403 | 429)
    }
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
        let (create, register) =
            (Exchange::create(Encoding::Json), Exchange::register(&"Aether".parse().unwrap(), Encoding::Json));
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
        assert!(Exchange::register(&longest, Encoding::Cbor).request.as_str().contains(longest.as_str()));
    }

    #[test]
    fn a_register_request_holds_token_and_parameters() {
        let parameters = BTreeMap::from([("SerialNumber".to_owned(), "P3-\"17\"".to_owned())]);
        let request = Encoding::Json.register_request(&OwnershipToken::new("t0ken"), &parameters);
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
        let problem = Encoding::Json.read_created(answer.to_string().as_bytes(), None).err();
        assert!(matches!(problem, Some(AnswerProblem::Credentials(_))), "{problem:?}");
    }

    #[test]
    fn a_malformed_answer_is_placed_and_not_repeated() {
        let problem = Encoding::Json.read_created(br#""-----BEGIN PRIVATE KEY-----""#, None).err().unwrap();
        assert!(matches!(problem, AnswerProblem::Json { line: 1, .. }));
        assert!(!format!("{problem:?} {problem}").contains("BEGIN"));
    }

    #[test]
    fn an_empty_and_a_missing_thing_name_are_the_same() {
        for answer in ["{}", r#"{"thingName": ""}"#, r#"{"thingName": null, "deviceConfiguration": null}"#] {
            let registered = Encoding::Json.read_registered(answer.as_bytes()).unwrap();
            assert!(registered.thing_name.is_none() && registered.device_configuration.is_empty());
        }
    }

    #[test]
    fn a_rejection_is_cut_to_one_short_line() {
        let answer = json!({"statusCode": 400, "errorCode": "Invalid", "errorMessage": "a\nb".repeat(1000)});
        let rejection = Encoding::Json.read_rejected(answer.to_string().as_bytes()).unwrap();
        assert_eq!((rejection.status_code, rejection.error_code.as_str()), (400, "Invalid"));
        assert!(rejection.error_message.starts_with("a ba b") && rejection.error_message.len() == MAX_QUOTE);
        assert!(rejection.may_concern_token());
        let hook = json!({"statusCode": 403, "errorCode": "AccessDenied", "errorMessage": ""}).to_string();
        assert!(!Encoding::Json.read_rejected(hook.as_bytes()).unwrap().may_concern_token());
    }

    #[test]
    fn cbor_carries_what_json_does() {
        let (certificate, key) = self_signed("a");
        let answer = json!({
            "certificateId": "abc", "certificatePem": certificate, "privateKey": key,
            "certificateOwnershipToken": "t", "more": { "than": ["was", "asked"] },
        });
        let mut bytes = Vec::new();
        ciborium::into_writer(&answer, &mut bytes).unwrap();
        let (cbor, json) = (
            Encoding::Cbor.read_created(&bytes, None).unwrap(),
            Encoding::Json.read_created(answer.to_string().as_bytes(), None).unwrap(),
        );
        assert_eq!(cbor.certificate_id, json.certificate_id);
        assert_eq!(cbor.credentials.certificate_der(), json.credentials.certificate_der());
        assert!(cbor.token == json.token);
        assert_eq!(Encoding::Cbor.create_request(), [0xA0], "an empty map");
        let request = Encoding::Cbor.register_request(&cbor.token, &BTreeMap::new());
        let value: ciborium::Value = ciborium::from_reader(request.as_slice()).unwrap();
        assert_eq!(value.as_map().unwrap().len(), 2);
    }

    #[test]
    fn cbor_that_is_cut_long_or_deep_is_refused_and_not_repeated() {
        let mut whole = Vec::new();
        ciborium::into_writer(&json!({ "thingName": "line7-press3" }), &mut whole).unwrap();
        assert!(Encoding::Cbor.read_registered(&whole).is_ok());
        let longer = [whole.as_slice(), &[0]].concat();
        let deep = [0x81_u8; 4096];
        // A text that claims to have 2^63 bytes.
        let boastful =
            [0xA1, 0x69, b't', b'h', b'i', b'n', b'g', b'N', b'a', b'm', b'e', 0x7B, 0x7F, 0, 0, 0, 0, 0, 0, 0];
        for wrong in [&whole[..whole.len() - 1], &longer, &deep, &boastful, &[]] {
            let problem = Encoding::Cbor.read_registered(wrong).err();
            assert!(matches!(problem, Some(AnswerProblem::Cbor { .. })), "{problem:?}");
        }
    }

    #[test]
    fn a_certificate_for_another_key_than_the_devices_own_is_refused() {
        let ((certificate, key), (_, other)) = (self_signed("a"), self_signed("b"));
        let answer = json!({ "certificateId": "abc", "certificatePem": certificate, "certificateOwnershipToken": "t" });
        let read = |key: &str| {
            let key = PrivateKey::from_pem(key.as_bytes()).unwrap();
            Encoding::Json.read_created(answer.to_string().as_bytes(), Some(&key)).map(|_| ())
        };
        read(&key).unwrap();
        assert!(matches!(read(&other), Err(AnswerProblem::Credentials(_))));
        let keyless = Encoding::Json.read_created(answer.to_string().as_bytes(), None).err();
        assert!(matches!(keyless, Some(AnswerProblem::NoPrivateKey)), "{keyless:?}");
    }
}
