//! A claim, and a cloud behind the fake broker that a test scripts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub(crate) mod run;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aether_mqtt::testing::{self, FakeBroker, PublishReaction, Published};
use aether_mqtt::{Credentials, Endpoint, ServerRoots, Topic};
use aether_provisioning::{Claim, Identity, IssuedCertificate, OwnershipToken, SigningRequest};
use serde_json::{Value, json};

pub(crate) const CREATE: &str = "$aws/certificates/create/json";
pub(crate) const CREATE_FROM_CSR: &str = "$aws/certificates/create-from-csr/json";
pub(crate) const REGISTER: &str = "$aws/provisioning-templates/Aether/provision/json";
pub(crate) const TOKEN: &str = "ownership-token-0123456789";

/// Waits for what is expected, and fails the test rather than hang. An hour, as the tests' clocks are paused.
pub(crate) async fn soon<T>(expected: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3600), expected).await.expect("it happens within an hour")
}

pub(crate) fn claim() -> Claim {
    claim_with(testing::credentials("AetherClaimCert"))
}

pub(crate) fn claim_with(credentials: Credentials) -> Claim {
    let endpoint = Endpoint::new("localhost", 8883).unwrap();
    Claim::new(endpoint, ServerRoots::mozilla(), credentials, "Aether".parse().unwrap())
        .parameters(BTreeMap::from([("SerialNumber".to_owned(), "P3-00017".to_owned())]))
}

/// A certificate as if it had been issued `age` ago.
pub(crate) fn issued(certificate_id: &str, age: Duration) -> IssuedCertificate {
    let issued_at = SystemTime::now().checked_sub(age).unwrap();
    let credentials = testing::credentials("AWS IoT Certificate");
    IssuedCertificate::new(certificate_id.parse().unwrap(), credentials, OwnershipToken::new(TOKEN), issued_at)
}

pub(crate) fn identity(certificate_id: &str, thing_name: &str) -> Identity {
    let configuration = BTreeMap::from([("site".to_owned(), "hall-b".to_owned())]);
    issued(certificate_id, Duration::ZERO).registered(thing_name.parse().unwrap(), configuration)
}

/// How the cloud answers one request.
pub(crate) enum Answer {
    Accepted(Value),
    /// The certificate that was asked for with a signing request, under this id.
    Certified(&'static str),
    Rejected(i64, &'static str),
    Twice(Value),
    Late(Duration, Value),
    Garbage,
    Silence,
    HangUp,
}

/// The accepted answer of CreateKeysAndCertificate, with a fresh certificate.
pub(crate) fn created(certificate_id: &str) -> Value {
    let (certificate, key) = testing::self_signed("AWS IoT Certificate");
    json!({
        "certificateId": certificate_id, "certificatePem": certificate, "privateKey": key,
        "certificateOwnershipToken": TOKEN,
    })
}

/// The accepted answer of RegisterThing.
pub(crate) fn registered(thing_name: &str) -> Value {
    json!({ "thingName": thing_name, "deviceConfiguration": { "site": "hall-b" } })
}

/// A broker whose cloud gives these answers, in order, and silence after them.
pub(crate) fn cloud(
    create: impl IntoIterator<Item = Answer>,
    register: impl IntoIterator<Item = Answer>,
) -> FakeBroker {
    let broker = FakeBroker::new();
    let answers: [VecDeque<Answer>; 2] = [create.into_iter().collect(), register.into_iter().collect()];
    let answers = Arc::new(Mutex::new(answers));
    broker.on_publish(move |publish: &Published| {
        let mut answers = answers.lock().unwrap();
        let topic = publish.topic.as_str();
        let next = if is(topic, CREATE) || is(topic, CREATE_FROM_CSR) {
            answers[0].pop_front()
        } else if is(topic, REGISTER) {
            answers[1].pop_front()
        } else if topic == "line7-press3" {
            return PublishReaction::acknowledge();
        } else {
            panic!("a publish on {topic}")
        };
        react(publish, next.unwrap_or(Answer::Silence))
    });
    broker
}

/// Whether `topic` is the request topic `json`, or the same for CBOR.
fn is(topic: &str, json: &str) -> bool {
    topic.strip_suffix("cbor").or_else(|| topic.strip_suffix("json")) == json.strip_suffix("json")
}

fn react(publish: &Published, answer: Answer) -> PublishReaction {
    let request = &publish.topic;
    let topic = |suffix| format!("{request}/{suffix}").parse::<Topic>().unwrap();
    let write = |value: &Value| {
        if !request.as_str().ends_with("cbor") {
            return value.to_string().into_bytes();
        }
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    };
    let reaction = PublishReaction::acknowledge();
    match answer {
        Answer::Accepted(value) => reaction.reply(topic("accepted"), write(&value)),
        Answer::Certified(id) => {
            let certificate = testing::certificate_of(signing_request(publish).public_key_der(), "AWS IoT Certificate");
            let value =
                json!({ "certificateId": id, "certificatePem": certificate, "certificateOwnershipToken": TOKEN });
            reaction.reply(topic("accepted"), write(&value))
        }
        Answer::Rejected(status, code) => {
            let value = json!({ "statusCode": status, "errorCode": code, "errorMessage": "no" });
            reaction.reply(topic("rejected"), write(&value))
        }
        Answer::Twice(value) => {
            reaction.reply(topic("accepted"), write(&value)).reply(topic("accepted"), write(&value))
        }
        Answer::Late(delay, value) => reaction.reply(topic("accepted"), write(&value)).after(delay),
        Answer::Garbage => reaction.reply(topic("accepted"), "{]"),
        Answer::Silence => reaction,
        Answer::HangUp => PublishReaction::hang_up(),
    }
}

/// The signing request in a request for a certificate.
fn signing_request(publish: &Published) -> SigningRequest {
    let value: Value = if publish.topic.as_str().ends_with("cbor") {
        ciborium::from_reader(&publish.payload[..]).unwrap()
    } else {
        serde_json::from_slice(&publish.payload).unwrap()
    };
    SigningRequest::from_pem(value["certificateSigningRequest"].as_str().unwrap().as_bytes()).unwrap()
}

/// Every signing request that reached the cloud.
pub(crate) fn signing_requests(broker: &FakeBroker) -> Vec<SigningRequest> {
    let publishes = broker.publishes();
    publishes.iter().filter(|publish| is(publish.topic.as_str(), CREATE_FROM_CSR)).map(signing_request).collect()
}

/// How often each request was made: create, register.
pub(crate) fn requests(broker: &FakeBroker) -> (usize, usize) {
    let publishes = broker.publishes();
    let count = |topic: &str| publishes.iter().filter(|publish| publish.topic.as_str() == topic).count();
    (count(CREATE), count(REGISTER))
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
