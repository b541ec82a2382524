//! A cloud of a page: what a provisioning service does to certificates, tokens and Things, and nothing else.
//!
//! Written from the documents on their own, without the code under test: topics are plain text here, and payloads are
//! put together by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aether_mqtt::{PrivateKey, testing};
use aether_provisioning::{Encoding, KeyError, KeySource, SigningRequest};
use serde_json::{Value, json};

use crate::schedule::Fate;

pub(crate) const TEMPLATE: &str = "Line7";
pub(crate) const THING: &str = "line7-press3";

const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(crate) struct Cloud {
    pub(crate) certificates: Vec<Certificate>,
}

#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) id: String,
    token: String,
    /// By the true time, which only the cloud knows.
    pub(crate) issued_at: Duration,
    pub(crate) status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Active,
    Deleted,
}

/// A message to the device.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

impl Cloud {
    /// Takes a request at the true time `now`.
    pub(crate) fn request(&mut self, now: Duration, topic: &str, payload: &[u8], fate: Option<Fate>) -> Option<Answer> {
        let (encoding, base) = match topic.rsplit_once('/') {
            Some((base, "json")) => (Encoding::Json, base),
            Some((base, "cbor")) => (Encoding::Cbor, base),
            _ => panic!("a request on {topic}"),
        };
        for one in &mut self.certificates {
            if one.status == Status::Pending && now >= one.issued_at + TOKEN_LIFETIME {
                one.status = Status::Deleted;
            }
        }
        let reject = |status| ("rejected", write(encoding, &refusal(status)));
        let (suffix, payload) = match fate {
            Some(Fate::Lost) => return None,
            Some(Fate::Refused(status)) => reject(status),
            Some(Fate::RefusedGarbled) => ("rejected", b"{]".to_vec()),
            _ => {
                let outcome = match base {
                    "$aws/certificates/create" => Ok(self.create(now, None)),
                    "$aws/certificates/create-from-csr" => {
                        let request = read(encoding, payload);
                        Ok(self.create(now, request["certificateSigningRequest"].as_str()))
                    }
                    _ if base == format!("$aws/provisioning-templates/{TEMPLATE}/provision") => {
                        self.register(&read(encoding, payload))
                    }
                    _ => panic!("a request on {topic}"),
                };
                match (fate, outcome) {
                    (Some(Fate::Unanswered), _) => return None,
                    (Some(Fate::Garbled), Ok(_)) => ("accepted", b"{]".to_vec()),
                    (Some(Fate::DoneAndRefused), Ok(_)) => reject(500),
                    (_, Ok(accepted)) => ("accepted", write(encoding, &accepted)),
                    (_, Err(status)) => reject(status),
                }
            }
        };
        Some(Answer { topic: format!("{topic}/{suffix}"), payload })
    }

    fn create(&mut self, now: Duration, request: Option<&str>) -> Value {
        let number = self.certificates.len() + 1;
        let (id, token) = (format!("c{number}"), format!("token-{number}"));
        let (pem, key) = match request {
            None => {
                let (pem, key) = pairs()[number % pairs().len()].clone();
                (pem, Some(key))
            }
            Some(request) => (certificate_of(&SigningRequest::from_pem(request.as_bytes()).unwrap()), None),
        };
        let mut answer = json!({ "certificateId": id, "certificatePem": pem, "certificateOwnershipToken": token });
        if let Some(key) = key {
            answer["privateKey"] = key.into();
        }
        self.certificates.push(Certificate { id, token, issued_at: now, status: Status::Pending });
        answer
    }

    /// The status of the refusal, where it is refused.
    fn register(&mut self, request: &Value) -> Result<Value, i64> {
        assert_eq!(request["parameters"], json!({ "SerialNumber": "P3-00017" }));
        let token = request["certificateOwnershipToken"].as_str().unwrap();
        let pending = |one: &&mut Certificate| one.token == token && one.status == Status::Pending;
        // A token works once, and for an hour.
        let certificate = self.certificates.iter_mut().find(pending).ok_or(400)?;
        certificate.status = Status::Active;
        Ok(json!({ "thingName": THING, "deviceConfiguration": { "site": "hall-b" } }))
    }

    /// The identity that the device had before.
    pub(crate) fn had(&mut self, id: &str) {
        self.certificates.push(Certificate {
            id: id.to_owned(),
            token: String::new(),
            issued_at: Duration::ZERO,
            status: Status::Active,
        });
    }

    pub(crate) fn find(&self, id: &str) -> &Certificate {
        self.certificates.iter().find(|one| one.id == id).expect("a certificate of this cloud")
    }
}

/// Whose token a RegisterThing request holds.
pub(crate) fn token_owner(topic: &str, payload: &[u8]) -> String {
    let encoding = if topic.ends_with("cbor") { Encoding::Cbor } else { Encoding::Json };
    let token = read(encoding, payload)["certificateOwnershipToken"].as_str().unwrap().to_owned();
    format!("c{}", token.strip_prefix("token-").expect("a token of this cloud"))
}

fn refusal(status: i64) -> Value {
    json!({ "statusCode": status, "errorCode": "Refused", "errorMessage": "not now" })
}

fn write(encoding: Encoding, value: &Value) -> Vec<u8> {
    match encoding {
        Encoding::Json => value.to_string().into_bytes(),
        Encoding::Cbor => {
            let mut bytes = Vec::new();
            ciborium::into_writer(value, &mut bytes).unwrap();
            bytes
        }
    }
}

fn read(encoding: Encoding, payload: &[u8]) -> Value {
    match encoding {
        Encoding::Json => serde_json::from_slice(payload).unwrap(),
        Encoding::Cbor => ciborium::from_reader(payload).unwrap(),
    }
}

/// Certificates with their keys. Making them takes longer than all the rest of a schedule.
pub(crate) fn pairs() -> &'static [(String, String)] {
    static PAIRS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    PAIRS.get_or_init(|| (0..24).map(|_| testing::self_signed("AWS IoT Certificate")).collect())
}

fn certificate_of(request: &SigningRequest) -> String {
    static MADE: OnceLock<Mutex<HashMap<Vec<u8>, String>>> = OnceLock::new();
    let public = request.public_key_der();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    made.entry(public.to_vec()).or_insert_with(|| testing::certificate_of(public, "AWS IoT Certificate")).clone()
}

/// Makes the device's keys, from a store of them.
#[derive(Debug, Default)]
pub(crate) struct Keys(Arc<Mutex<usize>>);

impl Keys {
    pub(crate) fn made(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

impl KeySource for Keys {
    fn make(&self) -> Result<PrivateKey, KeyError> {
        static KEYS: OnceLock<Vec<PrivateKey>> = OnceLock::new();
        let keys = KEYS.get_or_init(|| {
            (0..24).map(|_| PrivateKey::from_pem(testing::self_signed("device").1.as_bytes()).unwrap()).collect()
        });
        let mut made = self.0.lock().unwrap();
        *made += 1;
        Ok(keys[*made % keys.len()].clone())
    }

    fn open(&self, locator: &str) -> Result<PrivateKey, KeyError> {
        Err(KeyError::NotKept { locator: locator.to_owned() })
    }
}

/// A signing request of a key. Signing takes long, too.
pub(crate) fn signing_request(key: &PrivateKey) -> SigningRequest {
    static MADE: OnceLock<Mutex<HashMap<Vec<u8>, SigningRequest>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    made.entry(key.public_key_der().to_vec()).or_insert_with(|| SigningRequest::make(key, "device").unwrap()).clone()
}
