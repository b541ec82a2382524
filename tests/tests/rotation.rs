//! `aether rotate` and `aether identity …` on a device that runs and on one that does not.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use aether_tests::aether::{Gateway, Sandbox, aether};
use aether_tests::program::{Program, Stream};
use serde_json::Value;

/// Longest wait for one step; a rotation makes an RSA key, on a machine that may be busy.
const SOON: Duration = Duration::from_secs(60);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `aether COMMAND… --config FILE` of this gateway.
fn command(gateway: &Gateway, arguments: &[&str]) -> Output {
    aether(arguments).arg("--config").arg(gateway.config()).output().unwrap()
}

/// The last line of a command that succeeds, as JSON.
#[track_caller]
fn json(gateway: &Gateway, arguments: &[&str]) -> Value {
    let output = command(gateway, &[arguments, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    let printed = text(&output.stdout);
    serde_json::from_str(printed.lines().last().unwrap()).unwrap_or_else(|error| panic!("{error} in {printed}"))
}

fn show(gateway: &Gateway) -> Value {
    json(gateway, &["identity", "show"])
}

/// Waits until the identity in use has carried an event.
#[track_caller]
fn confirmed(gateway: &Gateway, running: &Program) -> Value {
    running.wait_until("an event acknowledged under the identity", SOON, || {
        Some(show(gateway)).filter(|shown| shown["active"]["status"] == "active")
    })
}

/// Everything published at the sandbox from now on.
#[track_caller]
fn watch(sandbox: &Sandbox) -> Program {
    let seen = Program::start(aether(["sandbox", "subscribe", "#", "--json", "--dir"]).arg(sandbox.directory()));
    seen.wait_until("a first message", SOON, || {
        let probe = aether(["sandbox", "publish", "probe", "1", "--dir"]).arg(sandbox.directory()).output().unwrap();
        assert!(probe.status.success(), "{}", text(&probe.stderr));
        seen.lines(Stream::Out).first().cloned()
    });
    seen
}

/// The times of the events among what was published. No two events of one Sigil have the same.
fn events(seen: &Program) -> BTreeSet<String> {
    assert!(!seen.printed().contains("missed"), "{}", seen.printed());
    let messages = seen.lines(Stream::Out).into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let payloads = messages.filter_map(|message| serde_json::from_str::<Value>(message["payload"].as_str()?).ok());
    payloads.filter_map(|event| Some(event["timestamp"].as_str()?.to_owned())).collect()
}

/// How many events the sandbox has let through that were published under this certificate.
fn published_under(sandbox: &Sandbox, certificate_id: &Value) -> usize {
    let decisions = sandbox.decisions();
    let published = decisions.iter().filter(|one| one["event"] == "publish" && one["decision"] == "allowed");
    published.filter(|one| one["certificate_id"] == *certificate_id).count()
}

/// How many events the device says it has delivered, once it has ended.
#[track_caller]
fn delivered(running: &mut Program) -> usize {
    running.terminate();
    assert_eq!(running.wait_for_exit(SOON).code(), Some(0), "{}", running.printed());
    let lines = running.lines(Stream::Err);
    let count = lines.iter().find_map(|line| line.split_once("every event is delivered delivered=")?.1.parse().ok());
    count.unwrap_or_else(|| panic!("events were left:\n{}", running.printed()))
}

#[track_caller]
fn device(folder: &Path) -> (Sandbox, Gateway, Program) {
    let sandbox = Sandbox::up(folder.join("sandbox"));
    let gateway = Gateway::new(folder.join("gateway"), &sandbox);
    let running = gateway.run();
    running.wait_for_line("its connection", SOON, |line| line.contains("device-connected"));
    (sandbox, gateway, running)
}

#[test]
fn a_device_that_runs_is_rotated_between_two_events_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let seen = watch(&sandbox);
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox);
    let mut running = gateway.run();
    seen.wait_until("a first event", SOON, || (!events(&seen).is_empty()).then_some(()));
    let socket = gateway.state().join("control.sock");
    let found = fs::metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    let before = confirmed(&gateway, &running);
    let old = &before["active"]["certificate_id"];
    assert_eq!(before["active"]["key"]["kind"], "RSA");
    assert_eq!((&before["previous"], &before["staged"]), (&Value::Null, &Value::Null));

    let output = command(&gateway, &["rotate", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", text(&output.stderr), running.printed());
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stages: Vec<_> = lines.iter().filter_map(|line| line["stage"].as_str()).collect();
    // That events flow again may be told before the answer or after it.
    assert_eq!(stages[..3], ["claim-connected", "certificate-issued", "thing-registered"]);
    assert!(stages[3..].iter().all(|stage| *stage == "device-connected"), "{stages:?}");
    let new = &lines.last().unwrap()["rotated"]["certificate_id"];
    assert_ne!(new, old);
    assert_eq!(lines[1]["detail"], *new);

    let after = confirmed(&gateway, &running);
    assert_eq!(after["active"]["certificate_id"], *new);
    assert_eq!(after["active"]["thing_name"], before["active"]["thing_name"]);
    assert_eq!(after["findings"], serde_json::json!([]));
    running
        .wait_until("events under the new certificate", SOON, || (published_under(&sandbox, new) >= 3).then_some(()));
    assert!(published_under(&sandbox, old) >= 1);

    let delivered = delivered(&mut running);
    seen.wait_until("every event", SOON, || (events(&seen).len() >= delivered).then_some(()));
    assert_eq!(events(&seen).len(), delivered);
    assert!(!socket.exists(), "the socket goes with the runtime");
}

#[test]
fn a_device_that_does_not_run_is_rotated_and_keeps_the_old_identity_until_the_new_one_has_carried_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, gateway, mut running) = device(folder.path());
    let old = confirmed(&gateway, &running)["active"]["certificate_id"].clone();
    delivered(&mut running);

    let rotated = json(&gateway, &["rotate"]);
    let new = &rotated["rotated"]["certificate_id"];
    assert_ne!(*new, old);
    let shown = show(&gateway);
    assert_eq!((&shown["active"]["certificate_id"], &shown["active"]["status"]), (new, &"unconfirmed".into()));
    assert_eq!((&shown["previous"]["certificate_id"], &shown["previous"]["status"]), (&old, &"previous".into()));
    assert!(shown["active"]["days_left"].as_u64().is_some_and(|days| days > 0), "{shown}");
    let again = command(&gateway, &["rotate"]);
    assert_eq!(again.status.code(), Some(2), "the old identity would go: {}", text(&again.stderr));
    assert!(text(&again.stderr).contains("run the device first"), "{}", text(&again.stderr));

    let mut running = gateway.run();
    assert_eq!(confirmed(&gateway, &running)["active"]["certificate_id"], *new);
    running.wait_until("events under it", SOON, || (published_under(&sandbox, new) >= 1).then_some(()));
    delivered(&mut running);
}

#[test]
fn what_cannot_be_rotated_is_told_by_its_exit_code_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (_sandbox, gateway, mut running) = device(folder.path());
    let before = confirmed(&gateway, &running);
    delivered(&mut running);

    // The template makes another Thing of it: for good, until somebody changes that.
    let mut refused = aether(["rotate", "--config"]);
    refused.arg(gateway.config()).env("AETHER_AWS_IOT_TEMPLATE_PARAMETERS", "SerialNumber=P3-00018");
    let refused = refused.output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("answered with Thing aether-P3-00018"), "{}", text(&refused.stderr));
    assert_eq!(show(&gateway), before);

    // The identity is there, and nothing to ask for another one with.
    let mut alone = aether(["rotate", "--config"]);
    alone.arg(gateway.config()).env("AETHER_AWS_IOT_CLAIM_CERT", folder.path().join("gone.pem"));
    let alone = alone.output().unwrap();
    assert_eq!(alone.status.code(), Some(2), "{}", text(&alone.stderr));
    assert_eq!(show(&gateway), before);

    fs::remove_dir_all(gateway.state()).unwrap();
    for arguments in [&["rotate"][..], &["identity", "export", "--format", "mosquitto"]] {
        let nobody = command(&gateway, arguments);
        assert_eq!(nobody.status.code(), Some(2), "{arguments:?}: {}", text(&nobody.stderr));
        assert!(text(&nobody.stderr).contains("no identity"), "{}", text(&nobody.stderr));
    }
    assert_eq!(show(&gateway)["active"], Value::Null);
}

#[test]
fn an_identity_is_shown_to_people_and_exported_without_its_key_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (_sandbox, gateway, mut running) = device(folder.path());
    let shown = confirmed(&gateway, &running);
    delivered(&mut running);
    let active = &shown["active"];
    let printed = text(&command(&gateway, &["identity", "show"]).stdout);
    for fact in ["thing_name", "certificate_id", "not_before", "not_after", "certificate_file"] {
        assert!(printed.contains(active[fact].as_str().unwrap()), "{fact} in {printed}");
    }

    let key_file = active["key"]["location"].as_str().unwrap();
    let key = fs::read_to_string(key_file).unwrap();
    for format in ["mosquitto", "device-client"] {
        let named = command(&gateway, &["identity", "export", "--format", format]);
        assert_eq!(named.status.code(), Some(0), "{}", text(&named.stderr));
        assert!(text(&named.stdout).contains(key_file), "{}", text(&named.stdout));
        assert!(!text(&named.stdout).contains("PRIVATE KEY"));

        let out = folder.path().join(format);
        let written = json(&gateway, &["identity", "export", "--format", format, "--out", out.to_str().unwrap()]);
        let copy = written["private_key"].as_str().unwrap();
        assert_eq!(fs::read_to_string(copy).unwrap(), key);
        assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(fs::read_to_string(written["configuration"].as_str().unwrap()).unwrap().contains(copy));
    }
}
