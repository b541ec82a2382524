//! Mosquitto bridges to the sandbox as the Thing of a device, with the section that `aether identity export` wrote.

use std::path::Path;

use aether_tests::aether::{Gateway, Sandbox, aether};
use aether_tests::program::Program;

use crate::bridge::LocalBroker;
use crate::support::{SOON, decisions, events, subscribe, wait_for_decision, wait_for_event};

#[test]
fn mosquitto_carries_on_as_the_thing_whose_identity_was_exported() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox);
    let cloud = subscribe(&sandbox);
    let thing = provisioned(&cloud, &gateway);
    let connected_before = connections(&sandbox, &thing);

    let included = folder.path().join("conf.d");
    export(&gateway, &included);
    let local = LocalBroker::including(folder.path(), &included);
    local.program().wait_until("the bridge at the sandbox", SOON, || {
        (connections(&sandbox, &thing) > connected_before).then_some(())
    });

    let message = r#"{"from":"a machine behind Mosquitto"}"#;
    let arrived = local.program().wait_until("the message at the sandbox", SOON, || {
        // What is published before the bridge knows its topics is for nobody.
        local.publish(&thing, message);
        events(&cloud).into_iter().find(|event| event.json["from"] == "a machine behind Mosquitto")
    });
    assert_eq!(arrived.topic, thing);
    let certificate_id =
        wait_for_decision(&sandbox, "connect", |one| one["client_id"] == thing)["certificate_id"].clone();
    let published = wait_for_decision(&sandbox, "publish", |one| {
        one["client_id"] == thing && one["decision"] == "allowed" && one["certificate_id"] == certificate_id
    });
    assert_eq!(published["topic"], thing);
    let mut denied = sandbox.decisions();
    // The bridge's first CONNECT may come sooner after the device's than one client id may send.
    denied.retain(|one| one["client_id"] == thing && one["decision"] == "denied" && one["event"] != "connect");
    assert!(denied.is_empty(), "a bridge asks for nothing beyond the device policy: {denied:?}");
}

/// Lets the device get its identity and carry an event, stops it, and gives its Thing's name.
fn provisioned(cloud: &Program, gateway: &Gateway) -> String {
    let mut running = gateway.run();
    let thing = wait_for_event(cloud, "an event of the device", |_| true).topic;
    running.terminate();
    assert_eq!(running.wait_for_exit(SOON).code(), Some(0), "{}", running.printed());
    thing
}

fn export(gateway: &Gateway, directory: &Path) {
    let mut command = aether(["identity", "export", "--format", "mosquitto", "--config"]);
    let exported = command.arg(gateway.config()).arg("--out").arg(directory).output().unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
}

/// How often somebody was let in as this Thing.
fn connections(sandbox: &Sandbox, thing: &str) -> usize {
    let connections = decisions(sandbox, "connect");
    connections.iter().filter(|one| one["client_id"] == thing && one["decision"] == "allowed").count()
}
