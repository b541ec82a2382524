//! The example that provisions with an MQTT client of others, against the sandbox.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aether_tests::aether::{Sandbox, provisioning_example};
use aether_tests::program::{Program, Stream};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_stranger_provisions_with_another_client() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let (claim, port) = (sandbox.claim(), sandbox.port().to_string());
    let mut command = provisioning_example("own_client");
    command.args(["localhost", &port]).args([&sandbox.ca(), &claim.certificate, &claim.key]);
    command.args(["Aether", "X-4711"]).arg(folder.path().join("state"));
    let mut program = Program::start(&mut command);
    let status = program.wait_for_exit(SOON);
    assert!(status.success(), "{}", program.printed());
    let things = program.lines(Stream::Out);
    assert!(things.len() == 1 && things[0].contains("X-4711"), "{things:?}");
    let of_thing = |one: &Value| one["event"] == "connect" && one["client_id"] == things[0].as_str();
    let connect = sandbox
        .program()
        .wait_until("its connection in the log", SOON, || sandbox.decisions().into_iter().find(of_thing));
    assert_eq!(connect["certificate_kind"], "device", "{connect}");
}
