//! Provisioning templates, and a Thing registered with one.

use aether_tests::foreign::openssl;
use serde_json::json;

use super::{ANYTHING, ARN, assert_is_recent, assert_refused, read, sorted, start, text};

/// The smallest provisioning template that makes a Thing and takes its certificate.
const TEMPLATE: &str = r#"{
  "Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
  "Resources": {
    "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}},
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"}
    },
    "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "walk"}}
  }
}"#;

const ROLE: &str = "arn:aws:iam::123456789012:role/provisioning";

#[test]
fn provisioning_templates_have_versions() {
    let (_folder, _sandbox, mut aws) = start();
    let template = json!({
        "templateName": "line", "templateBody": TEMPLATE, "provisioningRoleArn": ROLE, "enabled": true,
        "description": "A walk",
    });
    let made = aws.iot("create_provisioning_template", template.clone());
    assert_eq!(made["templateArn"], format!("{ARN}:provisioningtemplate/line"));
    assert_eq!(made["defaultVersionId"], 1);
    assert_refused(aws.refused("create_provisioning_template", template), "ResourceAlreadyExistsException", 409);
    let bad = json!({"templateName": "bad", "templateBody": "{", "provisioningRoleArn": ROLE});
    assert_refused(aws.refused("create_provisioning_template", bad), "InvalidRequestException", 400);

    let described = aws.iot("describe_provisioning_template", json!({"templateName": "line"}));
    assert_eq!((&described["enabled"], &described["type"]), (&true.into(), &"FLEET_PROVISIONING".into()));
    assert_eq!((&described["templateBody"], &described["description"]), (&TEMPLATE.into(), &"A walk".into()));
    assert_is_recent(&described["creationDate"]);
    for version in 2..=5 {
        let body = json!({"templateName": "line", "templateBody": TEMPLATE, "setAsDefault": version == 2});
        let made = aws.iot("create_provisioning_template_version", body);
        assert_eq!((&made["versionId"], &made["isDefaultVersion"]), (&version.into(), &(version == 2).into()));
    }
    let sixth =
        aws.refused("create_provisioning_template_version", json!({"templateName": "line", "templateBody": TEMPLATE}));
    assert_refused(sixth, "VersionsLimitExceededException", 409);
    let versions = aws.iot("list_provisioning_template_versions", json!({"templateName": "line"}));
    assert_eq!(versions["versions"].as_array().unwrap().len(), 5);
    let default = aws.refused("delete_provisioning_template_version", json!({"templateName": "line", "versionId": 2}));
    assert_refused(default, "DeleteConflictException", 409);
    aws.iot("update_provisioning_template", json!({"templateName": "line", "defaultVersionId": 3, "enabled": false}));
    aws.iot("delete_provisioning_template_version", json!({"templateName": "line", "versionId": 2}));
    let gone = aws.refused("describe_provisioning_template_version", json!({"templateName": "line", "versionId": 2}));
    assert_refused(gone, "ResourceNotFoundException", 404);
    let described = aws.iot("describe_provisioning_template", json!({"templateName": "line"}));
    assert_eq!((&described["enabled"], &described["defaultVersionId"]), (&false.into(), &3.into()));
    let listed = aws.iot("list_provisioning_templates", json!({}));
    assert!(sorted(&listed["templates"], "templateName").contains(&"line".to_owned()), "{listed}");
    let (code, _) = aws.refused("delete_provisioning_template", json!({"templateName": "line"}));
    assert_eq!(code, "DeleteConflictException");
    for version in [1, 4, 5] {
        aws.iot("delete_provisioning_template_version", json!({"templateName": "line", "versionId": version}));
    }
    aws.iot("delete_provisioning_template", json!({"templateName": "line"}));
    let gone = aws.refused("describe_provisioning_template", json!({"templateName": "line"}));
    assert_refused(gone, "ResourceNotFoundException", 404);
}

#[test]
fn a_thing_is_registered_without_a_device() {
    let (folder, _sandbox, mut aws) = start();
    let here = folder.path();
    openssl(here, "ecparam -name prime256v1 -genkey -noout -out device.key");
    openssl(here, "req -new -key device.key -subj /CN=press-3 -out device.csr");
    aws.iot("create_policy", json!({"policyName": "walk", "policyDocument": ANYTHING}));
    let template = TEMPLATE
        .replace(
            "CertificateId\": {\"Ref\": \"AWS::IoT::Certificate::Id\"}",
            "CertificateSigningRequest\": {\"Ref\": \"CSR\"}",
        )
        .replace("AWS::IoT::Certificate::Id", "CSR");
    let parameters = json!({"SerialNumber": "press-3", "CSR": read(here, "device.csr")});
    let made = aws.iot("register_thing", json!({"templateBody": template, "parameters": parameters}));
    assert!(text(&made, "certificatePem").starts_with("-----BEGIN CERTIFICATE-----"), "{made}");
    assert_eq!(made["resourceArns"]["thing"], format!("{ARN}:thing/press-3"), "{made}");
    let certificate = text(&made["resourceArns"], "certificate").to_owned();
    let attached = aws.iot("list_attached_policies", json!({"target": certificate}));
    assert_eq!(sorted(&attached["policies"], "policyName"), ["walk"]);
    let things = aws.iot("list_principal_things", json!({"principal": certificate}));
    assert_eq!(things["things"], json!(["press-3"]));
}
