//! Devices that others built: with the AWS IoT Device SDKs for Python and JavaScript, and with mosquitto's clients.
//!
//! Each provisions with the claim certificate, connects with the identity it was given, publishes, receives, and
//! is refused what the specification's device policy forbids.

use std::fs;
use std::path::Path;
use std::process::Command;

use aether_tests::aether::{Identity, Sandbox};
use aether_tests::foreign::{self, Mqtt, Steps};
use aether_tests::program::{Program, Stream};
use serde_json::{Value, json};

use crate::support::{SOON, publish, subscribe, wait_for_decision, wait_for_event};

#[test]
fn a_device_with_the_python_sdk_lives_on_mqtt_3() {
    a_device_lives(foreign::aws_python("device.py"), Mqtt::V3_1_1);
}

#[test]
fn a_device_with_the_javascript_sdk_lives_on_mqtt_3() {
    a_device_lives(foreign::node("js/device.js"), Mqtt::V3_1_1);
}

#[test]
fn a_device_made_of_mosquitto_clients_lives_on_mqtt_3() {
    a_mosquitto_device_lives(Mqtt::V3_1_1);
}

#[test]
fn a_device_with_the_python_sdk_lives_on_mqtt_5() {
    a_device_lives(foreign::aws_python("device.py"), Mqtt::V5);
}

#[test]
fn a_device_with_the_javascript_sdk_lives_on_mqtt_5() {
    a_device_lives(foreign::node("js/device.js"), Mqtt::V5);
}

#[test]
fn a_device_made_of_mosquitto_clients_lives_on_mqtt_5() {
    a_mosquitto_device_lives(Mqtt::V5);
}

/// Runs one of the scripts `device.py` and `device.js` from its claim to its refusals.
#[track_caller]
fn a_device_lives(script: Command, mqtt: Mqtt) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let observer = subscribe(&sandbox);
    let device = start_device(script, &sandbox, mqtt, "P3-00017", folder.path());

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
    device.end();
    for event in ["publish", "subscribe"] {
        let denied = wait_for_decision(&sandbox, event, |one| one["decision"] == "denied");
        assert_eq!(denied["certificate_id"], certificate_id, "{denied}");
    }
}

/// Starts a script with all that a device is delivered with.
fn start_device(mut script: Command, sandbox: &Sandbox, mqtt: Mqtt, serial: &str, folder: &Path) -> Steps {
    let claim = sandbox.claim();
    let parameters = json!({ "SerialNumber": serial }).to_string();
    script.args(["--mqtt", mqtt.for_scripts(), "--template", "Aether", "--serial", serial]);
    script.args(["--parameters", &parameters, "--port", &sandbox.port().to_string(), "--ca"]).arg(sandbox.ca());
    script.arg("--cert").arg(claim.certificate).arg("--key").arg(claim.key).arg("--out").arg(folder);
    Steps::start(&mut script, SOON)
}

/// What a step of a script says about the identity the device was given.
fn identity_in(created: &Value) -> Identity {
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
fn send_a_command(sandbox: &Sandbox, identity: &Identity, thing: &str, message: &str) {
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
fn a_mosquitto_device_lives(mqtt: Mqtt) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let observer = subscribe(&sandbox);

    let created = ask(&sandbox, mqtt, "claim-1", "$aws/certificates/create/json", "{}");
    let register = json!({
        "certificateOwnershipToken": created["certificateOwnershipToken"],
        "parameters": { "SerialNumber": "P3-00018" },
    });
    let registered =
        ask(&sandbox, mqtt, "claim-2", "$aws/provisioning-templates/Aether/provision/json", &register.to_string());
    assert_eq!(registered["thingName"], "aether-P3-00018", "{registered}");
    let device = Identity { certificate: folder.path().join("device.pem"), key: folder.path().join("device.key") };
    fs::write(&device.certificate, created["certificatePem"].as_str().unwrap()).unwrap();
    fs::write(&device.key, created["privateKey"].as_str().unwrap()).unwrap();

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
}

/// Publishes a request with the claim certificate and gives what comes on its topic for accepted requests.
#[track_caller]
fn ask(sandbox: &Sandbox, mqtt: Mqtt, client_id: &str, topic: &str, request: &str) -> Value {
    let accepted = format!("{topic}/accepted");
    let arguments = ["-i", client_id, "-t", topic, "-e", &accepted, "-m", request, "-F", "GOT %p"];
    let mut asking = start("mosquitto_rr", mqtt, sandbox, &sandbox.claim(), &arguments);
    assert!(asking.wait_for_exit(SOON).success(), "{}", asking.printed());
    let lines = asking.lines(Stream::Out);
    let answer = lines.iter().find_map(|line| line.strip_prefix("GOT ")).unwrap_or_else(|| panic!("{lines:?}"));
    serde_json::from_str(answer).unwrap()
}

#[track_caller]
fn start(name: &str, mqtt: Mqtt, sandbox: &Sandbox, identity: &Identity, arguments: &[&str]) -> Program {
    Program::start(&mut foreign::mosquitto(name, mqtt, sandbox, identity, arguments))
}
