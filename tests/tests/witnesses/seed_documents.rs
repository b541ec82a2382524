//! Devices that live with the policies and templates of the documents Aether started from.
//!
//! The documents lie as test data beside the crates that read them; here they go through the control plane, and
//! what they mean is seen by a device built with AWS's SDK.

use std::fs;
use std::path::Path;

use aether_tests::aether::Sandbox;
use aether_tests::boto3::Boto3;
use aether_tests::foreign::{self, Mqtt, Steps};
use serde_json::json;
use tempfile::TempDir;

use crate::device::{Delivery, claim_with_policy, identity_in, send_a_command};
use crate::support::SOON;

/// What one document sets up.
struct Setup {
    claim_policy: &'static str,
    device_policy: &'static str,
    /// The name that the template gives the device's policy.
    policy_name: &'static str,
    template: &'static str,
    template_name: &'static str,
}

#[test]
fn the_device_clients_documents_bind_a_device_to_the_name_of_its_thing() {
    let setup = Setup {
        claim_policy: "device-client-claim",
        device_policy: "device-client-device",
        policy_name: "FPCertPolicy",
        template: "device-client",
        template_name: "FPTemplateName",
    };
    let (_folder, _sandbox, device) = set_up(&setup, "connected");
    let created = device.step("created");
    let thing = format!("FPTemplateName-{}", created["certificate_id"].as_str().unwrap());
    assert_eq!(device.step("registered")["thing"], thing.as_str());
    let _connected = device.step("connected");
    assert_eq!(device.step("other-name")["refused"], true);
    device.end();
}

#[test]
fn the_articles_device_policy_binds_a_device_to_the_name_of_its_thing() {
    let setup = Setup {
        claim_policy: "esp32-claim",
        device_policy: "blog-device",
        policy_name: "esp32_device",
        template: "console-wizard",
        template_name: "esp32_fleet_prov_template",
    };
    let (_folder, _sandbox, device) = set_up(&setup, "connected");
    assert_eq!(device.step("registered")["thing"], "esp32dkc_P3-00051");
    let _connected = device.step("connected");
    assert_eq!(device.step("other-name")["refused"], true);
    device.end();
}

#[test]
fn the_esp32_documents_let_a_device_do_everything_in_its_account() {
    let setup = Setup {
        claim_policy: "esp32-claim",
        device_policy: "esp32-fleet",
        policy_name: "esp32_device",
        template: "console-wizard",
        template_name: "esp32_fleet_prov_template",
    };
    let (_folder, sandbox, device) = set_up(&setup, "received");
    let created = device.step("created");
    assert_eq!(device.step("registered")["thing"], "esp32dkc_P3-00051");
    let _subscribed = device.step("subscribed");
    send_a_command(&sandbox, &identity_in(&created), "esp32dkc_P3-00051", r#"{"led": true}"#);
    assert_eq!(device.step("received")["payload"], r#"{"led": true}"#);
    device.end();
    let mut aws = Boto3::start(&sandbox);
    let thing = aws.iot("describe_thing", json!({"thingName": "esp32dkc_P3-00051"}));
    assert_eq!((&thing["thingTypeName"], &thing["attributes"]), (&"esp32".into(), &json!({"maker": "aether"})));
    let groups = aws.iot("list_thing_groups_for_thing", json!({"thingName": "esp32dkc_P3-00051"}));
    assert_eq!(groups["thingGroups"][0]["groupName"], "boards", "{groups}");
}

#[test]
fn the_fleet_provisioning_articles_python_provisions() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let claim = sandbox.claim();
    let mut script = foreign::aws_python("blog_client.py");
    script.args(["--port", &sandbox.port().to_string(), "--template", "Aether", "--ca"]).arg(sandbox.ca());
    script.arg("--cert").arg(claim.certificate).arg("--key").arg(claim.key);
    let device = Steps::start(&mut script, SOON);
    let members = ["certificateId", "certificateOwnershipToken", "certificatePem", "privateKey"];
    assert_eq!(device.step("created")["members"], json!(members));
    // The article's parameters are other ones than our template's, which has a default.
    assert_eq!(device.step("registered")["thingName"], "aether-unnumbered");
    device.end();
}

/// Sets up what a document says, and starts a device with it that stops after this step.
#[track_caller]
fn set_up(setup: &Setup, stop_after: &str) -> (TempDir, Sandbox, Steps) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let mut aws = Boto3::start(&sandbox);
    for (name, document) in [("the-claim", setup.claim_policy), (setup.policy_name, setup.device_policy)] {
        let document = data(&format!("aether-iot-policy/tests/data/{document}.json"));
        aws.iot("create_policy", json!({"policyName": name, "policyDocument": document}));
    }
    // What the console's wizard lets its user choose has to be there.
    aws.iot("create_thing_type", json!({"thingTypeName": "esp32"}));
    aws.iot("create_thing_group", json!({"thingGroupName": "boards"}));
    let template = json!({
        "templateName": setup.template_name, "enabled": true,
        "templateBody": data(&format!("aether-iot-template/tests/data/{}.json", setup.template)),
        "provisioningRoleArn": "arn:aws:iam::123456789012:role/provisioning",
    });
    aws.iot("create_provisioning_template", template);
    let claim = claim_with_policy(&mut aws, "the-claim", folder.path());
    let mut script = foreign::aws_python("device.py");
    script.args(["--stop-after", stop_after]);
    let device = Delivery { sandbox: &sandbox, claim: &claim, mqtt: Mqtt::V5, template: setup.template_name }.start(
        script,
        "P3-00051",
        folder.path(),
    );
    (folder, sandbox, device)
}

/// A document, with the Region and account that its author made up replaced by the sandbox's.
fn data(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("us-east-1:1234567890:", "eu-west-1:123456789012:")
}
