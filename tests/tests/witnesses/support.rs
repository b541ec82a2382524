//! What several witnesses do at a sandbox: watch it, send to it, read its decisions, make identities for it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aether_tests::aether::{Identity, Sandbox};
use aether_tests::boto3::Boto3;
use aether_tests::foreign::{self, Mqtt};
use aether_tests::program::{Program, Stream};
use serde_json::{Value, json};

/// Longest wait for one thing to happen; all of them take well under a second on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(45);

/// A policy document that allows everything.
pub(crate) const ANYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// A message as `mosquitto_sub` printed it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) topic: String,
    pub(crate) json: Value,
}

/// Starts `mosquitto_sub` with the observer's certificate on every topic, and waits until it has subscribed.
pub(crate) fn subscribe(sandbox: &Sandbox) -> Program {
    let arguments = ["-i", "witness-observer", "-t", "#", "-F", "EVENT %t %p"];
    let mut command = foreign::mosquitto("mosquitto_sub", Mqtt::V3_1_1, sandbox, &sandbox.observer(), arguments);
    let subscriber = Program::start(&mut command);
    subscriber.wait_for_line("SUBACK", SOON, |line| line.contains("received SUBACK"));
    subscriber
}

/// Starts `mosquitto_pub` with one message.
pub(crate) fn publish(sandbox: &Sandbox, identity: &Identity, client_id: &str, topic: &str, message: &str) -> Program {
    let arguments = ["-i", client_id, "-t", topic, "-m", message];
    Program::start(&mut foreign::mosquitto("mosquitto_pub", Mqtt::V3_1_1, sandbox, identity, arguments))
}

/// What that `mosquitto_sub` has received so far.
pub(crate) fn events(subscriber: &Program) -> Vec<Event> {
    let lines = subscriber.lines(Stream::Out);
    let printed = lines.iter().filter_map(|line| line.strip_prefix("EVENT "));
    printed
        .map(|event| {
            let (topic, payload) = event.split_once(' ').unwrap();
            let json = serde_json::from_str(payload).unwrap_or_else(|error| panic!("{error} in {event}"));
            Event { topic: topic.to_owned(), json }
        })
        .collect()
}

#[track_caller]
pub(crate) fn wait_for_event(subscriber: &Program, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
    subscriber.wait_until(what, SOON, || events(subscriber).into_iter().find(&wanted))
}

/// What the sandbox decided about this kind of request.
pub(crate) fn decisions(sandbox: &Sandbox, event: &str) -> Vec<Value> {
    sandbox.decisions().into_iter().filter(|decision| decision["event"] == event).collect()
}

/// Waits for a decision about this kind of request: the sandbox answers first and writes it down afterwards.
#[track_caller]
pub(crate) fn wait_for_decision(sandbox: &Sandbox, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let decided = || decisions(sandbox, event).into_iter().find(&wanted);
    sandbox.program().wait_until(&format!("decision about {event}"), SOON, decided)
}

/// A new certificate in `NAME.pem`, with its key in `NAME.key`, under a policy of this name where it has one.
pub(crate) fn certificate(aws: &mut Boto3, folder: &Path, name: &str, policy: Option<&str>) -> Identity {
    let made = aws.iot("create_keys_and_certificate", json!({"setAsActive": true}));
    if let Some(document) = policy {
        aws.iot("create_policy", json!({"policyName": name, "policyDocument": document}));
        aws.iot("attach_policy", json!({"policyName": name, "target": made["certificateArn"]}));
    }
    store(folder, name, &made["certificatePem"], &made["keyPair"]["PrivateKey"])
}

/// Writes an identity into two files.
pub(crate) fn store(folder: &Path, name: &str, certificate: &Value, key: &Value) -> Identity {
    let files = Identity { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    fs::write(&files.certificate, certificate.as_str().unwrap()).unwrap();
    fs::write(&files.key, key.as_str().unwrap()).unwrap();
    files
}

/// A self-signed CA in `NAME.pem` and `NAME.key`.
pub(crate) fn make_ca(folder: &Path, name: &str, common_name: &str) {
    foreign::openssl(folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    let common_name = common_name.replace(' ', "-");
    foreign::openssl(
        folder,
        &format!("req -x509 -new -key {name}.key -sha256 -days 30 -subj /CN={common_name} -out {name}.pem"),
    );
}

/// A certificate of that CA in `NAME.pem`, with its key in `NAME.key`.
pub(crate) fn sign(folder: &Path, ca: &str, name: &str, common_name: &str) {
    foreign::openssl(folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    foreign::openssl(folder, &format!("req -new -key {name}.key -subj /CN={common_name} -out {name}.csr"));
    let sign = format!("x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 30 -sha256");
    foreign::openssl(folder, &format!("{sign} -out {name}.pem"));
}

pub(crate) fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}
