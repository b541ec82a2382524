//! Devices that others built: with the AWS IoT Device SDKs for Python and JavaScript, and with mosquitto's clients.
//!
//! Each provisions with the claim certificate, connects with the identity it was given, publishes, receives, and
//! is refused what the specification's device policy forbids.

use std::fs;
use std::path::Path;
use std::process::Command;

use aether_tests::aether::{Identity, Sandbox};
use aether_tests::boto3::Boto3;
use aether_tests::foreign::{self, Mqtt, Steps};
use aether_tests::program::{Program, Stream};
use serde_json::{Value, json};

use crate::support::{SOON, publish, store, subscribe, wait_for_decision, wait_for_event};

/// Who makes a device's private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyFrom {
    /// The service: `CreateKeysAndCertificate`.
    Service,
    /// openssl, on the device: `CreateCertificateFromCsr`.
    Device,
}

#[test]
fn a_device_with_the_python_sdk_lives_on_mqtt_3() {
    a_device_lives(foreign::aws_python("device.py"), Mqtt::V3_1_1, KeyFrom::Service);
}

#[test]
fn a_device_with_the_python_sdk_lives_on_mqtt_3_with_a_key_of_its_own() {
    a_device_lives(foreign::aws_python("device.py"), Mqtt::V3_1_1, KeyFrom::Device);
}

#[test]
fn a_device_with_the_python_sdk_lives_on_mqtt_5() {
    a_device_lives(foreign::aws_python("device.py"), Mqtt::V5, KeyFrom::Service);
}

#[test]
fn a_device_with_the_python_sdk_lives_on_mqtt_5_with_a_key_of_its_own() {
    a_device_lives(foreign::aws_python("device.py"), Mqtt::V5, KeyFrom::Device);
}

#[test]
fn a_device_with_the_javascript_sdk_lives_on_mqtt_3() {
    a_device_lives(foreign::node("js/device.js"), Mqtt::V3_1_1, KeyFrom::Service);
}

#[test]
fn a_device_with_the_javascript_sdk_lives_on_mqtt_3_with_a_key_of_its_own() {
    a_device_lives(foreign::node("js/device.js"), Mqtt::V3_1_1, KeyFrom::Device);
}

#[test]
fn a_device_with_the_javascript_sdk_lives_on_mqtt_5() {
    a_device_lives(foreign::node("js/device.js"), Mqtt::V5, KeyFrom::Service);
}

#[test]
fn a_device_with_the_javascript_sdk_lives_on_mqtt_5_with_a_key_of_its_own() {
    a_device_lives(foreign::node("js/device.js"), Mqtt::V5, KeyFrom::Device);
}

#[test]
fn a_device_made_of_mosquitto_clients_lives_on_mqtt_3() {
    a_mosquitto_device_lives(Mqtt::V3_1_1, KeyFrom::Service);
}

#[test]
fn a_device_made_of_mosquitto_clients_lives_on_mqtt_3_with_a_key_of_its_own() {
    a_mosquitto_device_lives(Mqtt::V3_1_1, KeyFrom::Device);
}

#[test]
fn a_device_made_of_mosquitto_clients_lives_on_mqtt_5() {
    a_mosquitto_device_lives(Mqtt::V5, KeyFrom::Service);
}

#[test]
fn a_device_made_of_mosquitto_clients_lives_on_mqtt_5_with_a_key_of_its_own() {
    a_mosquitto_device_lives(Mqtt::V5, KeyFrom::Device);
}

#[test]
fn the_claim_of_the_specification_may_not_send_a_signing_request() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let topic = "$aws/certificates/create-from-csr/json";
    let mut claimant = publish(&sandbox, &sandbox.claim(), "claim-1", topic, "{}");
    assert!(!claimant.wait_for_exit(SOON).success(), "{}", claimant.printed());
    wait_for_decision(&sandbox, "publish", |one| one["decision"] == "denied" && one["topic"] == topic);
}

#[test]
fn a_device_provisions_with_a_claim_that_a_trusted_user_made() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let mut aws = Boto3::start(&sandbox);
    let claim = aws.iot("create_provisioning_claim", json!({"templateName": "Aether"}));
    let listed = aws.iot("list_certificates", json!({})).to_string();
    assert!(!listed.contains(claim["certificateId"].as_str().unwrap()), "{listed}");
    let identity = store(folder.path(), "claim", &claim["certificatePem"], &claim["keyPair"]["PrivateKey"]);
    let mut script = foreign::aws_python("device.py");
    script.args(["--stop-after", "registered"]);
    let device = start_device(script, &sandbox, &identity, Mqtt::V5, "P3-00022", folder.path());
    assert_eq!(device.step("registered")["thing"], "aether-P3-00022");
    device.end();
}

/// Runs one of the scripts `device.py` and `device.js` from its claim until its certificate is deactivated.
#[track_caller]
fn a_device_lives(mut script: Command, mqtt: Mqtt, key: KeyFrom) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let mut aws = Boto3::start(&sandbox);
    let observer = subscribe(&sandbox);
    script.arg("--until-cut-off");
    let claim = match key {
        KeyFrom::Service => sandbox.claim(),
        KeyFrom::Device => {
            make_signing_request(folder.path());
            script.arg("--csr").arg(folder.path().join("device.csr"));
            script.arg("--csr-key").arg(folder.path().join("device.key"));
            claim_for_signing_requests(&mut aws, folder.path())
        }
    };
    let device = start_device(script, &sandbox, &claim, mqtt, "P3-00017", folder.path());

    assert_eq!(device.step("claim-connected")["session_present"], false);
    let created = device.step("created");
    let certificate_id = created["certificate_id"].as_str().unwrap();
    assert!(certificate_id.len() == 64 && certificate_id.chars().all(|c| c.is_ascii_hexdigit()), "{certificate_id}");
    let refused = device.step("token-refused");
    assert_eq!(refused["status_code"], 400, "{refused}");
    assert_eq!(refused["error_code"], "InvalidCertificateOwnershipToken", "{refused}");
    let registered = device.step("registered");
    assert_eq!(registered["thing"], "aether-P3-00017", "{registered}");

    assert_eq!(device.step("connected")["session_present"], false);
    assert_eq!(device.step("subscribed")["granted"], 1);
    assert_eq!(device.step("published")["acknowledged"], true);
    let seen = wait_for_event(&observer, "what the device publishes", |event| event.topic == "aether-P3-00017");
    assert_eq!(seen.json, json!({"temperature": 25.5}));
    send_a_command(&sandbox, &identity_in(&created), "aether-P3-00017", r#"{"setpoint": 31.5}"#);
    let received = device.step("received");
    assert_eq!(received["topic"], "aether-P3-00017/commands", "{received}");
    assert_eq!(received["payload"], r#"{"setpoint": 31.5}"#, "{received}");

    assert_is_refused(mqtt, &device.step("publish-refused"));
    assert_is_refused(mqtt, &device.step("subscribe-refused"));
    for event in ["publish", "subscribe"] {
        let denied = wait_for_decision(&sandbox, event, |one| one["decision"] == "denied");
        assert_eq!(denied["certificate_id"], certificate_id, "{denied}");
    }

    let _staying = device.step("staying");
    aws.iot("update_certificate", json!({"certificateId": certificate_id, "newStatus": "INACTIVE"}));
    let _cut_off = device.step("cut-off");
    let _shut_out = device.step("shut-out");
    device.end();
}

/// A claim certificate whose policy also allows signing requests, which the specification's does not.
pub(crate) fn claim_for_signing_requests(aws: &mut Boto3, folder: &Path) -> Identity {
    let arn = "arn:aws:iot:eu-west-1:123456789012";
    let topics = |kind: &str| {
        ["certificates/create-from-csr/*", "provisioning-templates/Aether/provision/*"]
            .map(|topic| format!("{arn}:{kind}/$aws/{topic}"))
    };
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"},
        {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": topics("topic")},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": topics("topicfilter")},
    ]});
    aws.iot("create_policy", json!({"policyName": "claim-csr", "policyDocument": policy.to_string()}));
    claim_with_policy(aws, "claim-csr", folder)
}

/// A new claim certificate with this policy.
pub(crate) fn claim_with_policy(aws: &mut Boto3, policy: &str, folder: &Path) -> Identity {
    let made = aws.iot("create_keys_and_certificate", json!({"setAsActive": true}));
    aws.iot("attach_policy", json!({"policyName": policy, "target": made["certificateArn"]}));
    store(folder, "claim", &made["certificatePem"], &made["keyPair"]["PrivateKey"])
}

/// A key in `device.key` and a signing request for it in `device.csr`.
pub(crate) fn make_signing_request(folder: &Path) {
    foreign::openssl(folder, "ecparam -name prime256v1 -genkey -noout -out device.key");
    foreign::openssl(folder, "req -new -key device.key -subj /CN=P3-00017 -out device.csr");
}

/// What a device is delivered with.
pub(crate) struct Delivery<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) claim: &'a Identity,
    pub(crate) mqtt: Mqtt,
    /// The provisioning template it names.
    pub(crate) template: &'a str,
}

impl Delivery<'_> {
    /// Starts `device.py` or `device.js`, which keeps what it is given in `folder`.
    pub(crate) fn start(&self, mut script: Command, serial: &str, folder: &Path) -> Steps {
        let parameters = json!({ "SerialNumber": serial }).to_string();
        let port = self.sandbox.port().to_string();
        script.args(["--mqtt", self.mqtt.for_scripts(), "--template", self.template, "--serial", serial]);
        script.args(["--parameters", &parameters, "--port", &port, "--ca"]).arg(self.sandbox.ca());
        script.arg("--cert").arg(&self.claim.certificate).arg("--key").arg(&self.claim.key).arg("--out").arg(folder);
        Steps::start(&mut script, SOON)
    }
}

/// Starts a device for the sandbox's own template.
pub(crate) fn start_device(
    script: Command,
    sandbox: &Sandbox,
    claim: &Identity,
    mqtt: Mqtt,
    serial: &str,
    folder: &Path,
) -> Steps {
    Delivery { sandbox, claim, mqtt, template: "Aether" }.start(script, serial, folder)
}

/// What a step of a script says about the identity the device was given.
pub(crate) fn identity_in(created: &Value) -> Identity {
    Identity {
        certificate: created["certificate"].as_str().unwrap().into(),
        key: created["key"].as_str().unwrap().into(),
    }
}

/// Publishes on a topic below a Thing's own.
///
/// The specification's device policy allows each client the topic that is its client id, and no client id is tied
/// to a certificate. So with any device certificate the message can be sent by a client of that name.
#[track_caller]
pub(crate) fn send_a_command(sandbox: &Sandbox, identity: &Identity, thing: &str, message: &str) {
    let topic = format!("{thing}/commands");
    let mut sender = publish(sandbox, identity, &topic, &topic, message);
    assert!(sender.wait_for_exit(SOON).success(), "{}", sender.printed());
}

/// What a refused request looks like to a client: a hang-up, or with MQTT 5 a reason.
#[track_caller]
fn assert_is_refused(mqtt: Mqtt, seen: &Value) {
    match mqtt {
        Mqtt::V3_1_1 => {
            assert_eq!(seen["hung_up"], true, "{seen}");
            assert_eq!(seen["acknowledged"], false, "{seen}");
        }
        Mqtt::V5 => {
            assert_eq!(seen["hung_up"], false, "{seen}");
            assert_eq!(seen["reason"], 0x87, "{seen}");
        }
    }
}

/// The same life, of a device that is a shell script around `mosquitto_rr`, `mosquitto_pub` and `mosquitto_sub`.
#[track_caller]
fn a_mosquitto_device_lives(mqtt: Mqtt, key: KeyFrom) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let mut aws = Boto3::start(&sandbox);
    let observer = subscribe(&sandbox);

    let (claim, created) = match key {
        KeyFrom::Service => {
            let claim = sandbox.claim();
            let created = ask(&sandbox, mqtt, &claim, "claim-1", "$aws/certificates/create/json", "{}");
            (claim, created)
        }
        KeyFrom::Device => {
            make_signing_request(folder.path());
            let claim = claim_for_signing_requests(&mut aws, folder.path());
            let csr = fs::read_to_string(folder.path().join("device.csr")).unwrap();
            let request = json!({ "certificateSigningRequest": csr }).to_string();
            let topic = "$aws/certificates/create-from-csr/json";
            let mut created = ask(&sandbox, mqtt, &claim, "claim-1", topic, &request);
            assert!(created.get("privateKey").is_none());
            created["privateKey"] = fs::read_to_string(folder.path().join("device.key")).unwrap().into();
            (claim, created)
        }
    };
    let register = json!({
        "certificateOwnershipToken": created["certificateOwnershipToken"],
        "parameters": { "SerialNumber": "P3-00018" },
    });
    let topic = "$aws/provisioning-templates/Aether/provision/json";
    let registered = ask(&sandbox, mqtt, &claim, "claim-2", topic, &register.to_string());
    assert_eq!(registered["thingName"], "aether-P3-00018", "{registered}");
    let device = store(folder.path(), "device", &created["certificatePem"], &created["privateKey"]);

    let arguments = ["-i", "aether-P3-00018", "-t", "aether-P3-00018/commands", "-C", "1", "-F", "GOT %t %p"];
    let mut receiver = start("mosquitto_sub", mqtt, &sandbox, &device, &arguments);
    receiver.wait_for_line("SUBACK", SOON, |line| line.contains("received SUBACK"));
    send_a_command(&sandbox, &device, "aether-P3-00018", r#"{"setpoint": 31.5}"#);
    receiver.wait_for_line("the command", SOON, |line| line == r#"GOT aether-P3-00018/commands {"setpoint": 31.5}"#);
    assert!(receiver.wait_for_exit(SOON).success(), "{}", receiver.printed());

    let arguments = ["-i", "aether-P3-00018", "-t", "aether-P3-00018", "-m", r#"{"temperature": 25.5}"#];
    let published = || {
        let mut publisher = start("mosquitto_pub", mqtt, &sandbox, &device, &arguments);
        publisher.wait_for_exit(SOON).success().then_some(())
    };
    // AWS takes one CONNECT a second of a client id, and this one has just been connected.
    sandbox.program().wait_until("publish", SOON, published);
    wait_for_event(&observer, "what the device publishes", |event| event.topic == "aether-P3-00018");

    let arguments = ["-i", "aether-P3-00018-too", "-t", "another-thing", "-m", "{}"];
    let mut trespasser = start("mosquitto_pub", mqtt, &sandbox, &device, &arguments);
    let status = trespasser.wait_for_exit(SOON);
    let said = trespasser.printed();
    match mqtt {
        Mqtt::V3_1_1 => assert!(!status.success() && !said.contains("received PUBACK"), "{said}"),
        Mqtt::V5 => assert!(said.contains("RC:135"), "{said}"),
    }
    wait_for_decision(&sandbox, "publish", |one| one["decision"] == "denied" && one["topic"] == "another-thing");

    aws.iot("update_certificate", json!({"certificateId": created["certificateId"], "newStatus": "INACTIVE"}));
    let arguments = ["-i", "aether-P3-00018-late", "-t", "aether-P3-00018-late", "-m", "{}"];
    let mut late = start("mosquitto_pub", mqtt, &sandbox, &device, &arguments);
    assert!(!late.wait_for_exit(SOON).success(), "{}", late.printed());
    assert!(!late.printed().contains("received CONNACK (0)"), "{}", late.printed());
}

/// Publishes a request with the claim certificate and gives what comes on its topic for accepted requests.
#[track_caller]
fn ask(sandbox: &Sandbox, mqtt: Mqtt, claim: &Identity, client_id: &str, topic: &str, request: &str) -> Value {
    let accepted = format!("{topic}/accepted");
    let arguments = ["-i", client_id, "-t", topic, "-e", &accepted, "-m", request, "-F", "GOT %p"];
    let mut asking = start("mosquitto_rr", mqtt, sandbox, claim, &arguments);
    assert!(asking.wait_for_exit(SOON).success(), "{}", asking.printed());
    let lines = asking.lines(Stream::Out);
    let answer = lines.iter().find_map(|line| line.strip_prefix("GOT ")).unwrap_or_else(|| panic!("{lines:?}"));
    serde_json::from_str(answer).unwrap()
}

#[track_caller]
fn start(name: &str, mqtt: Mqtt, sandbox: &Sandbox, identity: &Identity, arguments: &[&str]) -> Program {
    Program::start(&mut foreign::mosquitto(name, mqtt, sandbox, identity, arguments))
}
