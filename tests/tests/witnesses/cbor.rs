//! Fleet provisioning in CBOR, by paho-mqtt with what cbor2 writes and reads.

use std::fs;

use aether_tests::aether::{Identity, Sandbox};
use aether_tests::boto3::Boto3;
use aether_tests::foreign::Mqtt;
use aether_tests::paho::{Connect, Paho, Payload};
use serde_json::{Value, json};

use crate::device::{claim_for_signing_requests, make_signing_request};
use crate::support::{read, store, subscribe, wait_for_event};

const KEYS: &str = "$aws/certificates/create/cbor";

const CSR: &str = "$aws/certificates/create-from-csr/cbor";

const REGISTER: &str = "$aws/provisioning-templates/Aether/provision/cbor";

#[test]
fn a_device_provisions_in_cbor_with_a_key_of_the_service_on_mqtt_3() {
    a_device_provisions_with_a_key_of_the_service(Mqtt::V3_1_1);
}

#[test]
fn a_device_provisions_in_cbor_with_a_key_of_the_service_on_mqtt_5() {
    a_device_provisions_with_a_key_of_the_service(Mqtt::V5);
}

#[test]
fn a_device_provisions_in_cbor_with_a_key_of_its_own_on_mqtt_3() {
    a_device_provisions_with_a_key_of_its_own(Mqtt::V3_1_1);
}

#[test]
fn a_device_provisions_in_cbor_with_a_key_of_its_own_on_mqtt_5() {
    a_device_provisions_with_a_key_of_its_own(Mqtt::V5);
}

#[test]
fn what_cannot_be_done_is_refused_in_cbor() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let claim = claim_for_signing_requests(&mut Boto3::start(&sandbox), folder.path());
    let mut device = Provisioning::begin(&sandbox, &claim, Mqtt::V5, CSR);

    let refused = device.refused(CSR, &json!({"certificateSigningRequest": "not a request"}));
    assert_eq!((&refused["statusCode"], &refused["errorCode"]), (&400.into(), &"InvalidCsr".into()), "{refused}");
    let made_up = json!({"certificateOwnershipToken": "made-up", "parameters": {"SerialNumber": "P3-00031"}});
    let refused = device.refused(REGISTER, &made_up);
    assert_eq!(refused["errorCode"], "InvalidCertificateOwnershipToken", "{refused}");

    // JSON, where CBOR is announced: its first byte begins a text longer than there are bytes.
    device.paho.publish("claim", REGISTER, &made_up.to_string());
    let refused = device.answer(REGISTER, "rejected");
    assert_eq!(refused["statusCode"], 400, "{refused}");
}

#[track_caller]
fn a_device_provisions_with_a_key_of_the_service(mqtt: Mqtt) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let mut device = Provisioning::begin(&sandbox, &sandbox.claim(), mqtt, KEYS);
    let created = device.accepted(KEYS, &json!({}));
    assert!(created["privateKey"].as_str().unwrap().contains("PRIVATE KEY-----\n"));
    let identity = store(folder.path(), "device", &created["certificatePem"], &created["privateKey"]);
    register_and_live(device, &sandbox, &created, &identity);
}

#[track_caller]
fn a_device_provisions_with_a_key_of_its_own(mqtt: Mqtt) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let claim = claim_for_signing_requests(&mut Boto3::start(&sandbox), folder.path());
    make_signing_request(folder.path());
    let mut device = Provisioning::begin(&sandbox, &claim, mqtt, CSR);
    let created = device.accepted(CSR, &json!({"certificateSigningRequest": read(folder.path(), "device.csr")}));
    assert!(created.get("privateKey").is_none());
    let identity = Identity { certificate: folder.path().join("device.pem"), key: folder.path().join("device.key") };
    fs::write(&identity.certificate, created["certificatePem"].as_str().unwrap()).unwrap();
    register_and_live(device, &sandbox, &created, &identity);
}

/// From the answer of the first operation until the device publishes under its own name.
#[track_caller]
fn register_and_live(mut device: Provisioning, sandbox: &Sandbox, created: &Value, identity: &Identity) {
    let id = created["certificateId"].as_str().unwrap();
    assert!(id.len() == 64 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    let parameters = json!({"SerialNumber": "P3-00030"});
    let refused =
        device.refused(REGISTER, &json!({"certificateOwnershipToken": "not-a-token", "parameters": parameters}));
    assert_eq!(refused["statusCode"], 400, "{refused}");
    assert_eq!(refused["errorCode"], "InvalidCertificateOwnershipToken", "{refused}");
    assert!(refused["errorMessage"].is_string(), "{refused}");
    let token = &created["certificateOwnershipToken"];
    let registered = device.accepted(REGISTER, &json!({"certificateOwnershipToken": token, "parameters": parameters}));
    assert_eq!(registered, json!({"thingName": "aether-P3-00030", "deviceConfiguration": {}}));

    let Provisioning { mut paho, mqtt } = device;
    paho.disconnect("claim");
    let observer = subscribe(sandbox);
    let thing = Connect { mqtt, client_id: "aether-P3-00030", identity, clean: true, expiry: None };
    let connected = paho.connect("device", &thing);
    assert_eq!((&connected["reason"], &connected["session_present"]), (&0.into(), &false.into()), "{connected}");
    assert_eq!(paho.publish("device", "aether-P3-00030", r#"{"temperature": 25.5}"#), 0);
    let seen = wait_for_event(&observer, "what the device publishes", |event| event.topic == "aether-P3-00030");
    assert_eq!(seen.json, json!({"temperature": 25.5}));
}

/// A device that is connected with its claim and has subscribed to the answers.
struct Provisioning {
    paho: Paho,
    mqtt: Mqtt,
}

impl Provisioning {
    /// `create` is the topic of the operation that it begins with.
    #[track_caller]
    fn begin(sandbox: &Sandbox, claim: &Identity, mqtt: Mqtt, create: &str) -> Self {
        let mut paho = Paho::start(sandbox);
        let how = Connect { mqtt, client_id: "claim-1", identity: claim, clean: true, expiry: None };
        let connected = paho.connect("claim", &how);
        assert_eq!(connected["reason"], 0, "{connected}");
        for topic in [create, REGISTER] {
            for answer in ["accepted", "rejected"] {
                assert_eq!(paho.subscribe("claim", &format!("{topic}/{answer}")), 1);
            }
        }
        Self { paho, mqtt }
    }

    #[track_caller]
    fn accepted(&mut self, topic: &str, request: &Value) -> Value {
        self.paho.publish_cbor("claim", topic, request);
        self.answer(topic, "accepted")
    }

    #[track_caller]
    fn refused(&mut self, topic: &str, request: &Value) -> Value {
        self.paho.publish_cbor("claim", topic, request);
        self.answer(topic, "rejected")
    }

    #[track_caller]
    fn answer(&mut self, topic: &str, which: &str) -> Value {
        let mut answer = self.paho.next("claim", Payload::Cbor);
        assert_eq!(answer["topic"], format!("{topic}/{which}"), "{answer}");
        answer["cbor"].take()
    }
}
