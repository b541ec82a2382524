//! The sandbox's web page in headless Chromium: what a person sees there, and what the buttons do.

use aether_tests::aether::Sandbox;
use aether_tests::foreign::{self, Mqtt, Steps};
use serde_json::{Value, json};

use crate::device::start_device;
use crate::support::{SOON, publish, wait_for_decision};

#[test]
fn the_page_shows_things_and_messages_and_its_button_cuts_a_device_off() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    // A device that stays connected, as seen by the SDK it is built with.
    let mut script = foreign::aws_python("device.py");
    script.arg("--until-cut-off");
    let device = start_device(script, &sandbox, &sandbox.claim(), Mqtt::V5, "P3-00031", folder.path());
    let created = device.step("created");
    let certificate = created["certificate_id"].as_str().unwrap();
    let thing = device.step("registered")["thing"].as_str().unwrap().to_owned();
    let identity = crate::device::identity_in(&created);
    let _subscribed = device.step("subscribed");
    crate::device::send_a_command(&sandbox, &identity, &thing, r#"{"setpoint": 31.5}"#);
    let _staying = device.step("staying");

    let page = open_page(&sandbox, &thing, certificate, folder.path());
    assert_eq!(page.step("asked-for-token")["things"], 0);
    assert_eq!(page.step("wrong-token")["things"], 0);
    let opened = page.step("opened");
    assert!(!opened["address"].as_str().unwrap().contains("token"), "{opened}");

    let _watching = page.step("watching");
    let mut sender = publish(&sandbox, &identity, "press/1", "press/1", r#"{"temperature": 25.5}"#);
    assert!(sender.wait_for_exit(SOON).success(), "{}", sender.printed());
    let message = page.step("message");
    assert_eq!(message["topic"], "press/1", "{message}");
    let payload: Value = serde_json::from_str(message["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, json!({"temperature": 25.5}));
    // The one before, and the page's own.
    assert_eq!(page.step("published")["rows"].as_array().unwrap().len(), 2);

    let things = page.step("things");
    assert!(things["rows"].as_array().unwrap().iter().any(|row| row.as_str().unwrap().contains(&thing)), "{things}");
    assert_eq!(page.step("certificate")["status"], "ACTIVE");
    let _deactivated = page.step("deactivated");
    let _cut_off = device.step("cut-off");
    let shut_out = device.step("shut-out");
    assert_eq!(shut_out["step"], "shut-out", "{shut_out}");
    device.end();
    wait_for_decision(&sandbox, "connect", |one| one["decision"] == "denied" && one["client_id"] == thing.as_str());

    let decisions = page.step("decisions");
    assert_eq!(decisions["allowed"], 0, "{decisions}");
    assert!(!decisions["rows"].as_array().unwrap().is_empty(), "{decisions}");
    assert_eq!(page.step("explained")["word"], "denied");
    let _faulty = page.step("faulty");
    let mut unlucky = publish(&sandbox, &sandbox.claim(), "unlucky", "$aws/certificates/create/json", "{}");
    assert!(!unlucky.wait_for_exit(SOON).success(), "{}", unlucky.printed());
    let _fired = page.step("fault-fired");
    let _faultless = page.step("faultless");
    let mut lucky = publish(&sandbox, &sandbox.claim(), "lucky", "$aws/certificates/create/json", "{}");
    assert!(lucky.wait_for_exit(SOON).success(), "{}", lucky.printed());
    for view in ["policies", "sessions", "clock"] {
        assert_ne!(page.step(&format!("view-{view}"))["heading"], "");
    }
    assert_eq!(page.step("complaints")["found"], json!([]));
    page.end();
}

/// Chromium at the page; screenshots go to the folder in `AETHER_WITNESS_SCREENSHOTS`, if that is set.
fn open_page(sandbox: &Sandbox, thing: &str, certificate: &str, folder: &std::path::Path) -> Steps {
    let control = std::fs::read_to_string(sandbox.directory().join("control.json")).unwrap();
    let control: Value = serde_json::from_str(&control).unwrap();
    let mut script = foreign::node("js/page.js");
    script.arg("--chromium").arg(foreign::program("chromium").get_program());
    script.arg("--profile").arg(folder.join("chromium"));
    script.args(["--url", sandbox.control_url(), "--token", control["token"].as_str().unwrap()]);
    script.args(["--mqtt", &sandbox.port().to_string(), "--thing", thing, "--certificate", certificate]);
    script.args(["--filter", "press/#", "--topic", "press/2", "--denied", "another-thing"]);
    script.args(["--faults", r#"[{"step": "connect", "match": {"client_id": "unlucky"}, "action": "disconnect"}]"#]);
    if let Some(screenshots) = std::env::var_os("AETHER_WITNESS_SCREENSHOTS") {
        script.arg("--screenshots").arg(screenshots);
    }
    Steps::start(&mut script, SOON)
}
