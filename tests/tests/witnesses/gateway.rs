//! The main job, seen by clients nobody here wrote: Python asyncua, mosquitto and openssl.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use aether_tests::aether::{Gateway, Identity, Sandbox, aether};
use aether_tests::foreign;
use aether_tests::program::{Program, Stream, free_port};
use serde_json::Value;

use crate::support::{Event, SOON, decisions, events, publish, subscribe, wait_for_decision, wait_for_event};

/// The client id of the forged messages.
const PUBLISHER: &str = "witness-publisher";

const NODE: &str = "ns=2;s=Plant.Temperature";

#[test]
fn asyncua_finds_reads_watches_and_writes_the_sigil_while_the_cloud_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox).cloud_port(free_port());
    let _running = gateway.run();

    let seen = opc_ua_witness(&gateway);

    assert_eq!(seen["path"].as_array().unwrap().last().unwrap(), "Plant.Temperature");
    assert_eq!(seen["node_class"], "Variable");
    assert_eq!(seen["description"], "Process temperature value.");
    // i=11 is Double in namespace 0 (OPC UA Part 6, A.3).
    assert_eq!((&seen["data_type"], &seen["variant_type"]), (&"i=11".into(), &"Double".into()));
    for level in ["access_level", "user_access_level"] {
        let allowed = seen[level].as_array().unwrap();
        assert!(allowed.contains(&"CurrentRead".into()) && allowed.contains(&"CurrentWrite".into()), "{allowed:?}");
        assert!(!allowed.contains(&"HistoryRead".into()), "{allowed:?}");
    }
    assert_eq!((&seen["value"], &seen["status"]), (&25.0.into(), &"Good".into()));
    assert_eq!(seen["has_source_timestamp"], true);
    assert_eq!(seen["first_notification"], 25.0);
    assert_eq!(seen["refused_text"], "BadTypeMismatch");
    assert_eq!(seen["notified"], 31.5);
    assert_eq!(seen["value_after"], 31.5);
}

#[test]
fn mosquitto_sub_receives_every_read_and_the_write_that_asyncua_made() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let subscriber = subscribe(&sandbox);
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox);
    let mut running = gateway.run();

    let first = wait_for_event(&subscriber, "a first event", |_| true);
    opc_ua_witness(&gateway);
    let is_the_write = |event: &Event| event.json["operation"] == "write" && event.json["value"] == 31.5;
    wait_for_event(&subscriber, "the write of 31.5", is_the_write);
    wait_for_event(&subscriber, "a read of 31.5", |event| {
        event.json["operation"] == "read" && event.json["value"] == 31.5
    });

    let thing = thing_name(&sandbox);
    assert!(thing.contains("P3-00017"), "the template parameter SerialNumber is part of the name {thing}");
    let all = events(&subscriber);
    for event in &all {
        assert_is_an_event_of(&thing, event);
    }
    assert_eq!(all.iter().filter(|event| is_the_write(event)).count(), 1);
    assert_eq!(first.json["operation"], "read");
    // The Weave ticks before the device has a name; what it read then is delivered all the same.
    let registered = wait_for_decision(&sandbox, "register-thing", |_| true);
    assert!(to_the_second_and_below(&first.json["timestamp"]) < to_the_second_and_below(&registered["at"]));

    running.terminate();
    assert_eq!(running.wait_for_exit(SOON).code(), Some(0), "{}", running.printed());
}

#[test]
fn a_second_start_uses_the_stored_identity_and_its_key_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let subscriber = subscribe(&sandbox);
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox);
    let mut running = gateway.run();
    wait_for_event(&subscriber, "an event of the first run", |_| true);
    running.terminate();
    assert_eq!(running.wait_for_exit(SOON).code(), Some(0), "{}", running.printed());
    let thing = thing_name(&sandbox);
    let before = events(&subscriber).len();
    let provisioning = provisioning_decisions(&sandbox);
    assert!(provisioning > 0);

    let again = gateway.run();
    subscriber.wait_until("an event of the second run", SOON, || (events(&subscriber).len() > before).then_some(()));
    // Decisions are written in their order: with the second connection, all before it are there.
    again.wait_until("its connection in the log", SOON, || {
        let connections = decisions(&sandbox, "connect").iter().filter(|one| is_device_let_in(one)).count();
        (connections >= 2).then_some(())
    });

    for event in events(&subscriber) {
        assert_is_an_event_of(&thing, &event);
    }
    assert_eq!(provisioning_decisions(&sandbox), provisioning);
    let keys = private_keys(&folder.path().join("gateway"));
    assert!(!keys.is_empty());
    for key in keys {
        let mode = fs::metadata(&key).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", key.display());
    }
}

#[test]
fn mosquitto_pub_with_the_claim_certificate_is_hung_up_on_at_the_thing_topic() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let subscriber = subscribe(&sandbox);
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox);
    let _running = gateway.run();
    let thing = wait_for_event(&subscriber, "a first event", |_| true).topic;

    let mut forger = publish(&sandbox, &sandbox.claim(), PUBLISHER, &thing, r#"{"forged":true}"#);
    let refused = forger.wait_for_exit(SOON);

    let said = forger.printed();
    assert!(said.contains("sending PUBLISH"), "{said}");
    assert!(!said.contains("received PUBACK"), "{said}");
    assert!(!refused.success(), "{said}");
    let denied = wait_for_decision(&sandbox, "publish", |one| one["decision"] == "denied");
    assert_eq!(denied["topic"], thing.as_str());
    // What the sandbox let through before now would stand before the next event in the subscriber's output.
    let before = events(&subscriber).len();
    subscriber.wait_until("a later event", SOON, || (events(&subscriber).len() > before + 1).then_some(()));
    assert!(!subscriber.printed().contains("forged"), "{}", subscriber.printed());

    // The same certificate where its policy lets it: it is the topic that was refused.
    let mut claimant = publish(&sandbox, &sandbox.claim(), "witness-claimant", "$aws/certificates/create/json", "{}");
    assert!(claimant.wait_for_exit(SOON).success(), "{}", claimant.printed());
    assert!(claimant.printed().contains("received PUBACK"), "{}", claimant.printed());
}

#[test]
fn the_commands_that_the_sandbox_prints_at_its_start_work_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("sandbox");
    let mut up = aether(["sandbox", "up", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--dir"]);
    let up = Program::start(up.arg(&directory));
    up.wait_for_line("the last of what it prints", SOON, |line| line.contains("prints its link"));
    let printed = up.lines(Stream::Out);
    let begins_with = |word: &str| printed.iter().position(|line| line.trim_start().starts_with(word)).unwrap();

    // Two lines, of which the first ends with a backslash.
    let subscribe = printed[begins_with("mosquitto_sub")..][..2].join("\n");
    drop(foreign::program("mosquitto_sub"));
    let subscribe = subscribe.replace("mosquitto_sub", "exec stdbuf -oL mosquitto_sub -d");
    let subscriber = Program::start(Command::new("sh").args(["-c", &subscribe]));
    subscriber.wait_for_line("SUBACK", SOON, |line| line.contains("received SUBACK"));

    let exports: Vec<&str> =
        printed.iter().map(|line| line.trim()).filter(|line| line.starts_with("export ")).collect();
    assert_eq!(exports.len(), 2, "{printed:?}");
    let script = format!("{}\naws iot-data publish --topic press/1 --payload on", exports.join("\n"));
    let path = std::env::join_paths(std::iter::once(foreign::aws_folder()).chain(["/usr/bin".into(), "/bin".into()]));
    let mut publisher = Command::new("sh");
    publisher.args(["-c", &script]).env_clear().env("PATH", path.unwrap()).env("HOME", folder.path());
    let published = publisher.output().unwrap();
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    subscriber.wait_for_line("the message", SOON, |line| line == "press/1 on");
}

#[test]
fn mosquitto_pub_with_the_observer_certificate_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));

    let mut intruder = publish(&sandbox, &sandbox.observer(), PUBLISHER, "anything", "{}");
    let refused = intruder.wait_for_exit(SOON);

    assert!(!refused.success(), "{}", intruder.printed());
    assert!(!intruder.printed().contains("received PUBACK"), "{}", intruder.printed());
}

#[test]
fn a_claim_made_with_the_openssl_commands_of_the_guide_works_once_its_ca_is_registered() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let (customer_ca, claim) = make_claim_with_openssl(folder.path());

    // Its CA is not known yet, so the certificate is nobody's.
    let mut stranger = publish(&sandbox, &claim, PUBLISHER, "$aws/certificates/create/json", "{}");
    assert!(!stranger.wait_for_exit(SOON).success(), "{}", stranger.printed());
    assert!(!stranger.printed().contains("received CONNACK"), "{}", stranger.printed());

    let mut register = aether(["sandbox", "register-ca", "--dir"]);
    register.arg(sandbox.directory()).arg(&customer_ca);
    let mut register = Program::start(&mut register);
    assert_eq!(register.wait_for_exit(SOON).code(), Some(0), "{}", register.printed());

    let subscriber = subscribe(&sandbox);
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox).claim(claim);
    let _running = gateway.run();
    let event = wait_for_event(&subscriber, "an event of a device with that claim", |_| true);
    assert_is_an_event_of(&thing_name(&sandbox), &event);
}

/// Checks the topic, and that the message is exactly the five fields of the specification's section 9.
#[track_caller]
fn assert_is_an_event_of(thing: &str, event: &Event) {
    assert_eq!(event.topic, thing, "{event:?}");
    let fields: BTreeSet<&str> = event.json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(["node_id", "operation", "sigil_id", "timestamp", "value"]), "{event:?}");
    assert_eq!(event.json["node_id"], NODE, "{event:?}");
    assert_eq!(event.json["sigil_id"], "Plant.Temperature", "{event:?}");
    assert!(event.json["operation"] == "read" || event.json["operation"] == "write", "{event:?}");
    assert!(event.json["value"] == 25.0 || event.json["value"] == 31.5, "{event:?}");
    let timestamp = event.json["timestamp"].as_str().unwrap();
    let shape: String = timestamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let in_utc = shape.replace("+00:00", "Z");
    assert_eq!(in_utc, "0000-00-00T00:00:00.000000Z", "{event:?}");
}

/// An RFC 3339 time in UTC without its zone, so that two of them compare as text.
fn to_the_second_and_below(time: &Value) -> &str {
    &time.as_str().unwrap()[.."0000-00-00T00:00:00.000000".len()]
}

/// How many requests for an identity the sandbox has seen.
fn provisioning_decisions(sandbox: &Sandbox) -> usize {
    decisions(sandbox, "create-keys-and-certificate").len() + decisions(sandbox, "register-thing").len()
}

/// The client id the device connected with, which the device policy makes the name of its Thing.
fn thing_name(sandbox: &Sandbox) -> String {
    let connect = wait_for_decision(sandbox, "connect", is_device_let_in);
    connect["client_id"].as_str().unwrap().to_owned()
}

fn is_device_let_in(decision: &Value) -> bool {
    decision["certificate_kind"] == "device" && decision["decision"] == "allowed"
}

/// Lets asyncua browse, read, subscribe and write 31.5, and gives what it saw.
fn opc_ua_witness(gateway: &Gateway) -> Value {
    let mut command = foreign::python("opcua.py");
    command.args(["--url", &gateway.opc_ua_url(), "--node", NODE, "--write", "31.5"]);
    let mut witness = Program::start(&mut command);
    let status = witness.wait_for_exit(SOON);
    assert!(status.success(), "{}", witness.printed());
    serde_json::from_str(&witness.lines(Stream::Out).concat()).unwrap()
}

/// The specification's section 1, word for word.
const OPENSSL_COMMANDS: [&str; 5] = [
    r#"openssl genrsa -out customer-ca.key 2048"#,
    r#"openssl req -x509 -new -nodes -key customer-ca.key -sha256 -days 3650 -out customer-ca.pem -subj "/CN=AetherCustomerCA""#,
    r#"openssl genrsa -out claim.key 2048"#,
    r#"openssl req -new -key claim.key -out claim.csr -subj "/CN=AetherClaimCert""#,
    r#"openssl x509 -req -in claim.csr -CA customer-ca.pem -CAkey customer-ca.key -CAcreateserial -out claim.pem -days 3650 -sha256"#,
];

/// Makes a customer CA and a claim certificate under it, as the specification tells a user to.
fn make_claim_with_openssl(folder: &Path) -> (PathBuf, Identity) {
    // For the message when it is missing.
    drop(foreign::program("openssl"));
    let aws = folder.join("aws");
    fs::create_dir(&aws).unwrap();
    for command in OPENSSL_COMMANDS {
        let made = Command::new("sh").args(["-c", command]).current_dir(&aws).output().unwrap();
        assert!(made.status.success(), "{command}: {}", String::from_utf8_lossy(&made.stderr));
    }
    let claim = Identity { certificate: aws.join("claim.pem"), key: aws.join("claim.key") };
    (aws.join("customer-ca.pem"), claim)
}

/// Every file below `folder` that holds a private key.
fn private_keys(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // A link to a folder is followed by its own name elsewhere in the tree.
        if path.is_dir() && !path.is_symlink() {
            found.extend(private_keys(&path));
        } else if path.is_file() && String::from_utf8_lossy(&fs::read(&path).unwrap()).contains("PRIVATE KEY") {
            found.push(path);
        }
    }
    found
}
