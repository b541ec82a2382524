//! Just-in-time provisioning: devices that come with certificates of a registered CA, whose template makes their
//! Things and policies when they first show them.

use std::fs;
use std::path::Path;

use aether_tests::aether::Identity;
use aether_tests::boto3::Boto3;
use aether_tests::foreign::Mqtt;
use aether_tests::paho::{Connect, Paho};
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::support::{SOON, make_ca, read, sign, wait_for_decision};

/// A Thing that is called as the certificate's subject says, and a policy for topics below its name.
const TEMPLATE: &str = r#"{
  "Parameters": {
    "AWS::IoT::Certificate::CommonName": {"Type": "String"},
    "AWS::IoT::Certificate::Organization": {"Type": "String"},
    "AWS::IoT::Certificate::Id": {"Type": "String"}
  },
  "Resources": {
    "thing": {
      "Type": "AWS::IoT::Thing",
      "Properties": {
        "ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"},
        "AttributePayload": {"maker": {"Ref": "AWS::IoT::Certificate::Organization"}}
      }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}
    },
    "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "own-topics"}}
  }
}"#;

/// What the devices may do.
const POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "iot:Connect",
      "Resource": "arn:aws:iot:eu-west-1:123456789012:client/${iot:Connection.Thing.ThingName}"
    },
    {
      "Effect": "Allow",
      "Action": "iot:Publish",
      "Resource": "arn:aws:iot:eu-west-1:123456789012:topic/${iot:Connection.Thing.ThingName}/*"
    }
  ]
}"#;

#[test]
fn mosquitto_pub_is_cut_off_once_and_then_has_a_thing_and_a_policy() {
    let ground = Ground::new();
    let mut aws = Boto3::start(&ground.sandbox);
    let here = ground.folder();
    aws.iot("create_policy", json!({"policyName": "own-topics", "policyDocument": POLICY}));
    let template = json!({
        "templateName": "press-line", "type": "JITP", "templateBody": TEMPLATE, "enabled": true,
        "provisioningRoleArn": "arn:aws:iam::123456789012:role/jitp",
    });
    aws.iot("create_provisioning_template", template);
    make_ca(here, "ca", "Line 7");
    let code = aws.iot("get_registration_code", json!({}));
    sign(here, "ca", "proof", code["registrationCode"].as_str().unwrap());
    let ca = aws.iot(
        "register_ca_certificate",
        json!({
            "caCertificate": read(here, "ca.pem"), "verificationCertificate": read(here, "proof.pem"),
            "setAsActive": true, "allowAutoRegistration": true, "registrationConfig": {"templateName": "press-line"},
        }),
    );

    let device = with_its_ca(here, "device", "P3-00041/O=Aether");
    let publish = |identity: &Identity, thing: &str, topic: &str| {
        let arguments = ["-i", thing, "-t", topic, "-m", "25.5"];
        let mut publisher = ground.start("mosquitto_pub", Mqtt::V3_1_1, identity, &arguments);
        (publisher.wait_for_exit(SOON).success(), publisher.printed())
    };
    let (let_in, said) = publish(&device, "P3-00041", "P3-00041/state");
    assert!(!let_in && !said.contains("received CONNACK (0)"), "{said}");
    let made = wait_for_decision(&ground.sandbox, "just-in-time-provisioning", |_| true);
    assert_eq!(made["decision"], "allowed", "{made}");
    let (let_in, said) = publish(&device, "P3-00041", "P3-00041/state");
    assert!(let_in && said.contains("received PUBACK"), "{said}");

    let certificate = only_certificate(&mut aws, &ca);
    assert_eq!(certificate["status"], "ACTIVE", "{certificate}");
    let thing = aws.iot("describe_thing", json!({"thingName": "P3-00041"}));
    assert_eq!(thing["attributes"], json!({"maker": "Aether"}), "{thing}");
    let principals = aws.iot("list_thing_principals", json!({"thingName": "P3-00041"}));
    assert_eq!(principals["principals"], json!([certificate["certificateArn"]]));
    let policies = aws.iot("list_attached_policies", json!({"target": certificate["certificateArn"]}));
    assert_eq!(policies["policies"][0]["policyName"], "own-topics", "{policies}");

    // And the policy holds.
    let (let_through, said) = publish(&device, "P3-00041", "P3-00099/state");
    assert!(!let_through && !said.contains("received PUBACK"), "{said}");
    let (let_in, said) = publish(&device, "P3-00099", "P3-00099/state");
    assert!(!let_in && !said.contains("received CONNACK (0)"), "{said}");
}

#[test]
fn paho_is_cut_off_until_the_template_finds_all_that_it_lists() {
    let ground = Ground::new();
    let mut aws = Boto3::start(&ground.sandbox);
    let here = ground.folder();
    aws.iot("create_policy", json!({"policyName": "own-topics", "policyDocument": POLICY}));
    make_ca(here, "ca", "Line 8");
    let ca = aws.iot(
        "register_ca_certificate",
        json!({
            "caCertificate": read(here, "ca.pem"), "certificateMode": "SNI_ONLY",
            "setAsActive": true, "allowAutoRegistration": true,
            "registrationConfig": {"templateBody": TEMPLATE, "roleArn": "arn:aws:iam::123456789012:role/jitp"},
        }),
    );

    // Its subject has no organization, which the template lists.
    sign(here, "ca", "device", "P3-00042");
    let identity = Identity { certificate: here.join("device.pem"), key: here.join("device.key") };
    let mut paho = Paho::start(&ground.sandbox);
    let device = Connect { mqtt: Mqtt::V5, client_id: "P3-00042", identity: &identity, clean: true, expiry: None };
    for name in ["first", "second"] {
        assert_eq!(paho.connect(name, &device)["hung_up"], true);
    }
    let failed = wait_for_decision(&ground.sandbox, "just-in-time-provisioning", |_| true);
    assert_eq!(failed["decision"], "denied", "{failed}");
    assert_eq!(only_certificate(&mut aws, &ca)["status"], "PENDING_ACTIVATION");
    let (code, _) = aws.refused("describe_thing", json!({"thingName": "P3-00042"}));
    assert_eq!(code, "ResourceNotFoundException");

    // A template that lists less; the certificate is still pending, so it is provisioned when it is next shown.
    let less = TEMPLATE
        .replace("    \"AWS::IoT::Certificate::Organization\": {\"Type\": \"String\"},\n", "")
        .replace(r#"{"Ref": "AWS::IoT::Certificate::Organization"}"#, r#""unknown""#);
    aws.iot(
        "update_ca_certificate",
        json!({
            "certificateId": ca["certificateId"],
            "registrationConfig": {"templateBody": less, "roleArn": "arn:aws:iam::123456789012:role/jitp"},
        }),
    );
    assert_eq!(paho.connect("third", &device)["hung_up"], true);
    wait_for_decision(&ground.sandbox, "just-in-time-provisioning", |one| one["decision"] == "allowed");
    let connected = paho.connect("fourth", &device);
    assert_eq!(connected["reason"], 0, "{connected}");
    assert_eq!(paho.publish("fourth", "P3-00042/state", "25.5"), 0);
    assert_eq!(paho.publish("fourth", "P3-00041/state", "25.5"), 0x87);
    let thing = aws.iot("describe_thing", json!({"thingName": "P3-00042"}));
    assert_eq!(thing["attributes"], json!({"maker": "unknown"}), "{thing}");
}

/// A certificate of the CA in a file with the CA's own after it, as devices are told to send both.
fn with_its_ca(folder: &Path, name: &str, subject: &str) -> Identity {
    sign(folder, "ca", name, subject);
    let chain = folder.join(format!("{name}-and-ca.pem"));
    fs::write(&chain, read(folder, &format!("{name}.pem")) + &read(folder, "ca.pem")).unwrap();
    Identity { certificate: chain, key: folder.join(format!("{name}.key")) }
}

/// The one certificate that this CA has issued.
#[track_caller]
fn only_certificate(aws: &mut Boto3, ca: &Value) -> Value {
    let issued = aws.iot("list_certificates_by_ca", json!({"caCertificateId": ca["certificateId"]}));
    assert_eq!(issued["certificates"].as_array().map(Vec::len), Some(1), "{issued}");
    issued["certificates"][0].clone()
}
