//! The control plane, walked through with boto3: everything made, described, changed, listed and taken away, and
//! the exceptions that AWS names.

use std::path::Path;

use aether_tests::aether::Sandbox;
use aether_tests::boto3::Boto3;
use aether_tests::foreign::openssl;
use serde_json::{Value, json};
use tempfile::TempDir;

const ARN: &str = "arn:aws:iot:eu-west-1:123456789012";

/// A policy document that allows everything.
const ANYTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

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

#[track_caller]
fn start() -> (TempDir, Sandbox, Boto3) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let boto3 = Boto3::start(&sandbox);
    (folder, sandbox, boto3)
}

#[track_caller]
fn assert_refused(found: (String, u64), code: &str, status: u64) {
    assert_eq!(found, (code.to_owned(), status));
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no text `{member}` in {value}"))
}

/// The values of `member` in a list, sorted.
fn sorted(list: &Value, member: &str) -> Vec<String> {
    let items = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    let mut found: Vec<String> = items.iter().map(|item| text(item, member).to_owned()).collect();
    found.sort();
    found
}

fn is_certificate_id(id: &str) -> bool {
    id.len() == 64 && id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

/// Seconds since 1970, of a time that is not older than this test may run.
#[track_caller]
fn assert_is_recent(time: &Value) {
    let time = time.as_f64().unwrap_or_else(|| panic!("no time: {time}"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 600.0..=now + 5.0).contains(&time), "{time} is not just before {now}");
}

#[test]
fn a_certificate_goes_through_its_states() {
    let (_folder, _sandbox, mut aws) = start();
    let made = aws.iot("create_keys_and_certificate", json!({"setAsActive": true}));
    let id = text(&made, "certificateId").to_owned();
    assert!(is_certificate_id(&id), "{id}");
    assert_eq!(made["certificateArn"], format!("{ARN}:cert/{id}"));
    assert!(text(&made["keyPair"], "PublicKey").starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert!(text(&made["keyPair"], "PrivateKey").contains("PRIVATE KEY-----\n"));

    let described = aws.iot("describe_certificate", json!({"certificateId": id}));
    let described = &described["certificateDescription"];
    assert_eq!(described["status"], "ACTIVE");
    assert_eq!(described["certificatePem"], made["certificatePem"]);
    assert_eq!(described["ownedBy"], "123456789012");
    assert_is_recent(&described["creationDate"]);
    assert!(described["validity"]["notAfter"].as_f64().unwrap() > 2_000_000_000.0, "{described}");

    assert_refused(aws.refused("delete_certificate", json!({"certificateId": id})), "CertificateStateException", 406);
    for status in ["INACTIVE", "ACTIVE", "REVOKED"] {
        aws.iot("update_certificate", json!({"certificateId": id, "newStatus": status}));
        let now = aws.iot("describe_certificate", json!({"certificateId": id}));
        assert_eq!(now["certificateDescription"]["status"], status);
    }
    let listed = aws.iot("list_certificates", json!({}));
    let ours = listed["certificates"].as_array().unwrap().iter().find(|one| one["certificateId"] == id.as_str());
    assert_eq!(ours.unwrap()["status"], "REVOKED", "{listed}");

    aws.iot("update_certificate", json!({"certificateId": id, "newStatus": "INACTIVE"}));
    aws.iot("delete_certificate", json!({"certificateId": id}));
    for operation in ["describe_certificate", "delete_certificate"] {
        let gone = aws.refused(operation, json!({"certificateId": id}));
        assert_refused(gone, "ResourceNotFoundException", 404);
    }
    let gone = aws.refused("update_certificate", json!({"certificateId": id, "newStatus": "ACTIVE"}));
    assert_refused(gone, "ResourceNotFoundException", 404);
}

#[test]
fn a_certificate_comes_from_a_signing_request_or_from_outside() {
    let (folder, _sandbox, mut aws) = start();
    let here = folder.path();
    openssl(here, "ecparam -name prime256v1 -genkey -noout -out device.key");
    openssl(here, "req -new -key device.key -subj /CN=press-3 -out device.csr");
    let made = aws.iot("create_certificate_from_csr", json!({"certificateSigningRequest": read(here, "device.csr")}));
    assert!(made.get("keyPair").is_none());
    let described = aws.iot("describe_certificate", json!({"certificateId": made["certificateId"]}));
    assert_eq!(described["certificateDescription"]["status"], "INACTIVE");
    let refused = aws.refused("create_certificate_from_csr", json!({"certificateSigningRequest": "not a request"}));
    assert_refused(refused, "InvalidRequestException", 400);

    make_ca(here, "ca", "Line 7");
    sign(here, "ca", "own", "press-4");
    let without_ca = json!({"certificatePem": read(here, "own.pem"), "status": "ACTIVE"});
    let registered = aws.iot("register_certificate_without_ca", without_ca.clone());
    let id = text(&registered, "certificateId").to_owned();
    let described = aws.iot("describe_certificate", json!({"certificateId": id}));
    assert_eq!(described["certificateDescription"]["status"], "ACTIVE");
    assert_eq!(described["certificateDescription"]["certificateMode"], "SNI_ONLY");
    let again = aws.call("iot", "register_certificate_without_ca", without_ca).unwrap_err();
    assert_eq!((again.code.as_str(), again.status), ("ResourceAlreadyExistsException", 409));
    assert_eq!(again.members["resourceArn"], format!("{ARN}:cert/{id}"), "{again:?}");
}

#[test]
fn a_ca_is_registered_with_its_proof_or_for_server_names_only() {
    let (folder, _sandbox, mut aws) = start();
    let here = folder.path();
    let code = aws.iot("get_registration_code", json!({}));
    assert_eq!(aws.iot("get_registration_code", json!({})), code);
    let code = text(&code, "registrationCode").to_owned();
    assert_eq!(code.len(), 64);

    make_ca(here, "ca", "Line 7");
    sign(here, "ca", "wrong", "not-the-code");
    let wrong = json!({"caCertificate": read(here, "ca.pem"), "verificationCertificate": read(here, "wrong.pem")});
    assert_refused(aws.refused("register_ca_certificate", wrong), "RegistrationCodeValidationException", 400);
    sign(here, "ca", "proof", &code);
    let right = json!({"caCertificate": read(here, "ca.pem"), "verificationCertificate": read(here, "proof.pem")});
    let registered = aws.iot("register_ca_certificate", right.clone());
    let id = text(&registered, "certificateId").to_owned();
    assert_eq!(registered["certificateArn"], format!("{ARN}:cacert/{id}"));
    assert_refused(aws.refused("register_ca_certificate", right), "ResourceAlreadyExistsException", 409);

    let described = aws.iot("describe_ca_certificate", json!({"certificateId": id}));
    let description = &described["certificateDescription"];
    assert_eq!(description["status"], "INACTIVE");
    assert_eq!(description["autoRegistrationStatus"], "DISABLE");
    assert_eq!(description["certificateMode"], "DEFAULT");
    let update = json!({"certificateId": id, "newStatus": "ACTIVE", "newAutoRegistrationStatus": "ENABLE"});
    aws.iot("update_ca_certificate", update);
    let described = aws.iot("describe_ca_certificate", json!({"certificateId": id}));
    assert_eq!(described["certificateDescription"]["status"], "ACTIVE");
    assert_eq!(described["certificateDescription"]["autoRegistrationStatus"], "ENABLE");

    sign(here, "ca", "device", "press-5");
    let device = json!({
        "certificatePem": read(here, "device.pem"), "caCertificatePem": read(here, "ca.pem"), "setAsActive": true,
    });
    let device = aws.iot("register_certificate", device);
    let issued = aws.iot("list_certificates_by_ca", json!({"caCertificateId": id}));
    assert_eq!(sorted(&issued["certificates"], "certificateId"), [text(&device, "certificateId")]);
    let described = aws.iot("describe_certificate", json!({"certificateId": device["certificateId"]}));
    assert_eq!(described["certificateDescription"]["caCertificateId"], id);

    make_ca(here, "other", "Line 8");
    let other = json!({
        "caCertificate": read(here, "other.pem"), "certificateMode": "SNI_ONLY", "setAsActive": true,
        "allowAutoRegistration": true,
    });
    let other = aws.iot("register_ca_certificate", other);
    let described = aws.iot("describe_ca_certificate", json!({"certificateId": other["certificateId"]}));
    assert_eq!(described["certificateDescription"]["certificateMode"], "SNI_ONLY");
    assert_eq!(described["certificateDescription"]["status"], "ACTIVE");
    let listed = aws.iot("list_ca_certificates", json!({}));
    let mut both = [id.clone(), text(&other, "certificateId").to_owned()];
    both.sort();
    assert_eq!(sorted(&listed["certificates"], "certificateId"), both);

    let active = aws.refused("delete_ca_certificate", json!({"certificateId": id}));
    assert_refused(active, "CertificateStateException", 406);
    aws.iot("update_ca_certificate", json!({"certificateId": id, "newStatus": "INACTIVE"}));
    aws.iot("delete_ca_certificate", json!({"certificateId": id}));
    let gone = aws.refused("describe_ca_certificate", json!({"certificateId": id}));
    assert_refused(gone, "ResourceNotFoundException", 404);

    aws.iot("delete_registration_code", json!({}));
    assert_ne!(aws.iot("get_registration_code", json!({}))["registrationCode"], code);
}

#[test]
fn a_policy_has_versions_and_targets() {
    let (_folder, _sandbox, mut aws) = start();
    let made = aws.iot("create_policy", json!({"policyName": "walk", "policyDocument": ANYTHING}));
    assert_eq!(made["policyArn"], format!("{ARN}:policy/walk"));
    assert_eq!((&made["policyDocument"], &made["policyVersionId"]), (&ANYTHING.into(), &"1".into()));
    let again = aws.refused("create_policy", json!({"policyName": "walk", "policyDocument": ANYTHING}));
    assert_refused(again, "ResourceAlreadyExistsException", 409);
    for bad in [
        "{",
        "[]",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Action":"iot:Connect","Resource":"*"}]}"#,
    ] {
        let refused = aws.refused("create_policy", json!({"policyName": "bad", "policyDocument": bad}));
        assert_refused(refused, "MalformedPolicyException", 400);
    }

    for version in 2..=5 {
        let version_made = aws.iot("create_policy_version", json!({"policyName": "walk", "policyDocument": ANYTHING}));
        assert_eq!(version_made["policyVersionId"], version.to_string());
        assert_eq!(version_made["isDefaultVersion"], false);
    }
    let sixth = aws.refused("create_policy_version", json!({"policyName": "walk", "policyDocument": ANYTHING}));
    assert_refused(sixth, "VersionsLimitExceededException", 409);
    aws.iot("set_default_policy_version", json!({"policyName": "walk", "policyVersionId": "3"}));
    let policy = aws.iot("get_policy", json!({"policyName": "walk"}));
    assert_eq!(policy["defaultVersionId"], "3");
    assert_is_recent(&policy["creationDate"]);
    let versions = aws.iot("list_policy_versions", json!({"policyName": "walk"}));
    assert_eq!(sorted(&versions["policyVersions"], "versionId"), ["1", "2", "3", "4", "5"]);
    let third = aws.iot("get_policy_version", json!({"policyName": "walk", "policyVersionId": "3"}));
    assert_eq!(third["isDefaultVersion"], true);
    let (code, _) = aws.refused("delete_policy_version", json!({"policyName": "walk", "policyVersionId": "3"}));
    assert!(["DeleteConflictException", "InvalidRequestException"].contains(&code.as_str()), "{code}");
    assert_refused(aws.refused("delete_policy", json!({"policyName": "walk"})), "DeleteConflictException", 409);
    for version in ["1", "2", "4", "5"] {
        aws.iot("delete_policy_version", json!({"policyName": "walk", "policyVersionId": version}));
    }

    let certificate = aws.iot("create_keys_and_certificate", json!({"setAsActive": true}));
    let target = text(&certificate, "certificateArn").to_owned();
    aws.iot("attach_policy", json!({"policyName": "walk", "target": target}));
    // Attaching twice is no error.
    aws.iot("attach_principal_policy", json!({"policyName": "walk", "principal": target}));
    let attached = aws.iot("list_attached_policies", json!({"target": target}));
    assert_eq!(sorted(&attached["policies"], "policyName"), ["walk"]);
    let attached = aws.iot("list_principal_policies", json!({"principal": target}));
    assert_eq!(sorted(&attached["policies"], "policyName"), ["walk"]);
    let targets = aws.iot("list_targets_for_policy", json!({"policyName": "walk"}));
    assert_eq!(targets["targets"], json!([target]));
    let principals = aws.iot("list_policy_principals", json!({"policyName": "walk"}));
    assert_eq!(principals["principals"], json!([target]));
    let effective = aws.iot("get_effective_policies", json!({"principal": target}));
    assert_eq!(sorted(&effective["effectivePolicies"], "policyName"), ["walk"]);

    let unknown = aws.refused("attach_policy", json!({"policyName": "nobody", "target": target}));
    assert_refused(unknown, "ResourceNotFoundException", 404);
    assert_refused(aws.refused("delete_policy", json!({"policyName": "walk"})), "DeleteConflictException", 409);
    let id = text(&certificate, "certificateId").to_owned();
    aws.iot("update_certificate", json!({"certificateId": id, "newStatus": "INACTIVE"}));
    let bound = aws.refused("delete_certificate", json!({"certificateId": id}));
    assert_refused(bound, "DeleteConflictException", 409);
    aws.iot("detach_policy", json!({"policyName": "walk", "target": target}));
    aws.iot("delete_certificate", json!({"certificateId": id}));
    aws.iot("delete_policy", json!({"policyName": "walk"}));
    assert_refused(aws.refused("get_policy", json!({"policyName": "walk"})), "ResourceNotFoundException", 404);
}

#[test]
fn things_have_types_attributes_and_certificates() {
    let (_folder, _sandbox, mut aws) = start();
    let press = json!({"thingTypeName": "press", "thingTypeProperties": {
        "thingTypeDescription": "A press", "searchableAttributes": ["line"],
    }});
    let made = aws.iot("create_thing_type", press.clone());
    assert_eq!(made["thingTypeArn"], format!("{ARN}:thingtype/press"));
    let described = aws.iot("describe_thing_type", json!({"thingTypeName": "press"}));
    assert_eq!(described["thingTypeProperties"]["searchableAttributes"], json!(["line"]));
    assert_eq!(described["thingTypeMetadata"]["deprecated"], false);

    let thing = json!({
        "thingName": "press-1", "thingTypeName": "press", "attributePayload": {"attributes": {"line": "7"}},
    });
    let made = aws.iot("create_thing", thing.clone());
    assert_eq!(made["thingArn"], format!("{ARN}:thing/press-1"));
    // The same again is the same Thing; another under its name is not.
    assert_eq!(aws.iot("create_thing", thing)["thingId"], made["thingId"]);
    let other = json!({"thingName": "press-1", "attributePayload": {"attributes": {"line": "8"}}});
    assert_refused(aws.refused("create_thing", other), "ResourceAlreadyExistsException", 409);
    let described = aws.iot("describe_thing", json!({"thingName": "press-1"}));
    assert_eq!(described["version"], 1);
    assert_eq!((&described["defaultClientId"], &described["thingTypeName"]), (&"press-1".into(), &"press".into()));
    assert_eq!(described["attributes"], json!({"line": "7"}));

    let update = json!({"thingName": "press-1", "attributePayload": {"attributes": {"hall": "b"}, "merge": true}});
    aws.iot("update_thing", update);
    let stale = json!({"thingName": "press-1", "expectedVersion": 1, "attributePayload": {"attributes": {"x": "y"}}});
    assert_refused(aws.refused("update_thing", stale), "VersionConflictException", 409);
    let described = aws.iot("describe_thing", json!({"thingName": "press-1"}));
    assert_eq!(described["attributes"], json!({"line": "7", "hall": "b"}));
    assert_eq!(described["version"], 2);
    aws.iot("update_thing", json!({"thingName": "press-1", "attributePayload": {"attributes": {"line": "9"}}}));
    let described = aws.iot("describe_thing", json!({"thingName": "press-1"}));
    assert_eq!(described["attributes"], json!({"line": "9"}));

    for number in 2..=5 {
        aws.iot("create_thing", json!({"thingName": format!("press-{number}")}));
    }
    let (all, pages) = aws.all("list_things", json!({"PaginationConfig": {"PageSize": 2}}), "things");
    assert_eq!((all.len(), pages), (5, 3));
    let found = aws.iot("list_things", json!({"attributeName": "line", "attributeValue": "9"}));
    assert_eq!(sorted(&found["things"], "thingName"), ["press-1"]);
    let found = aws.iot("list_things", json!({"thingTypeName": "press"}));
    assert_eq!(sorted(&found["things"], "thingName"), ["press-1"]);
    let unknown = aws.refused("create_thing", json!({"thingName": "x", "thingTypeName": "unknown"}));
    assert_refused(unknown, "ResourceNotFoundException", 404);
    let spaces = json!({"thingName": "x", "attributePayload": {"attributes": {"line": "no spaces"}}});
    assert_refused(aws.refused("create_thing", spaces), "InvalidRequestException", 400);

    let certificate = aws.iot("create_keys_and_certificate", json!({"setAsActive": true}));
    let principal = text(&certificate, "certificateArn").to_owned();
    aws.iot("attach_thing_principal", json!({"thingName": "press-1", "principal": principal}));
    let principals = aws.iot("list_thing_principals", json!({"thingName": "press-1"}));
    assert_eq!(principals["principals"], json!([principal]));
    let things = aws.iot("list_principal_things", json!({"principal": principal}));
    assert_eq!(things["things"], json!(["press-1"]));
    let attached = aws.refused("delete_thing", json!({"thingName": "press-1"}));
    assert_refused(attached, "InvalidRequestException", 400);
    aws.iot("detach_thing_principal", json!({"thingName": "press-1", "principal": principal}));

    let in_use = aws.refused("delete_thing_type", json!({"thingTypeName": "press"}));
    assert_refused(in_use, "InvalidRequestException", 400);
    aws.iot("deprecate_thing_type", json!({"thingTypeName": "press"}));
    let deprecated = aws.refused("create_thing", json!({"thingName": "x", "thingTypeName": "press"}));
    assert_refused(deprecated, "InvalidRequestException", 400);
    aws.iot("deprecate_thing_type", json!({"thingTypeName": "press", "undoDeprecate": true}));
    let types = aws.iot("list_thing_types", json!({}));
    assert_eq!(sorted(&types["thingTypes"], "thingTypeName"), ["press"]);

    aws.iot("delete_thing", json!({"thingName": "press-1"}));
    // Taking away what is not there is no error.
    aws.iot("delete_thing", json!({"thingName": "press-1"}));
    let gone = aws.refused("describe_thing", json!({"thingName": "press-1"}));
    assert_refused(gone, "ResourceNotFoundException", 404);
}

#[test]
fn thing_groups_hold_things_groups_and_policies() {
    let (_folder, _sandbox, mut aws) = start();
    let made = aws.iot("create_thing_group", json!({"thingGroupName": "plant"}));
    assert_eq!(made["thingGroupArn"], format!("{ARN}:thinggroup/plant"));
    let hall = json!({"thingGroupName": "hall-b", "parentGroupName": "plant", "thingGroupProperties": {
        "thingGroupDescription": "The second hall", "attributePayload": {"attributes": {"floor": "0"}},
    }});
    aws.iot("create_thing_group", hall);
    let different = json!({"thingGroupName": "hall-b"});
    assert_refused(aws.refused("create_thing_group", different), "ResourceAlreadyExistsException", 409);
    let described = aws.iot("describe_thing_group", json!({"thingGroupName": "hall-b"}));
    assert_eq!(described["version"], 1);
    assert_eq!(described["thingGroupMetadata"]["parentGroupName"], "plant");
    assert_eq!(described["thingGroupProperties"]["attributePayload"]["attributes"], json!({"floor": "0"}));
    let properties = json!({"thingGroupName": "hall-b", "expectedVersion": 1, "thingGroupProperties": {
        "thingGroupDescription": "Closed",
    }});
    assert_eq!(aws.iot("update_thing_group", properties.clone())["version"], 2);
    assert_refused(aws.refused("update_thing_group", properties), "VersionConflictException", 409);

    aws.iot("create_thing", json!({"thingName": "press-1"}));
    aws.iot("add_thing_to_thing_group", json!({"thingGroupName": "hall-b", "thingName": "press-1"}));
    let direct = aws.iot("list_things_in_thing_group", json!({"thingGroupName": "plant"}));
    assert_eq!(direct["things"], json!([]));
    let below = aws.iot("list_things_in_thing_group", json!({"thingGroupName": "plant", "recursive": true}));
    assert_eq!(below["things"], json!(["press-1"]));
    let groups = aws.iot("list_thing_groups_for_thing", json!({"thingName": "press-1"}));
    assert_eq!(sorted(&groups["thingGroups"], "groupName"), ["hall-b"]);
    let groups = aws.iot("list_thing_groups", json!({"parentGroup": "plant"}));
    assert_eq!(sorted(&groups["thingGroups"], "groupName"), ["hall-b"]);

    // A policy on the group above is in force for the certificate of a Thing below.
    aws.iot("create_policy", json!({"policyName": "walk", "policyDocument": ANYTHING}));
    aws.iot("attach_policy", json!({"policyName": "walk", "target": made["thingGroupArn"]}));
    let certificate = aws.iot("create_keys_and_certificate", json!({"setAsActive": true}));
    let principal = text(&certificate, "certificateArn").to_owned();
    aws.iot("attach_thing_principal", json!({"thingName": "press-1", "principal": principal}));
    let effective = aws.iot("get_effective_policies", json!({"principal": principal, "thingName": "press-1"}));
    assert_eq!(sorted(&effective["effectivePolicies"], "policyName"), ["walk"]);

    let parent = aws.refused("delete_thing_group", json!({"thingGroupName": "plant"}));
    assert_refused(parent, "InvalidRequestException", 400);
    aws.iot("remove_thing_from_thing_group", json!({"thingGroupName": "hall-b", "thingName": "press-1"}));
    aws.iot("detach_policy", json!({"policyName": "walk", "target": made["thingGroupArn"]}));
    for group in ["hall-b", "plant"] {
        aws.iot("delete_thing_group", json!({"thingGroupName": group}));
    }
    let gone = aws.refused("describe_thing_group", json!({"thingGroupName": "plant"}));
    assert_refused(gone, "ResourceNotFoundException", 404);
    let unknown = json!({"thingGroupName": "plant", "thingName": "press-1"});
    assert_refused(aws.refused("add_thing_to_thing_group", unknown), "ResourceNotFoundException", 404);
}

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

#[test]
fn authorization_is_told_without_a_device() {
    let (_folder, _sandbox, mut aws) = start();
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": format!("{ARN}:topic/press/*")},
        {"Effect": "Deny", "Action": "iot:Publish", "Resource": format!("{ARN}:topic/press/secret")},
    ]});
    aws.iot("create_policy", json!({"policyName": "walk", "policyDocument": document.to_string()}));
    let certificate = aws.iot("create_keys_and_certificate", json!({"setAsActive": true}));
    aws.iot("attach_policy", json!({"policyName": "walk", "target": certificate["certificateArn"]}));
    let resources = ["press/1", "press/secret", "elsewhere"].map(|topic| format!("{ARN}:topic/{topic}"));
    let asked: Vec<Value> = resources.iter().map(|one| json!({"actionType": "PUBLISH", "resources": [one]})).collect();
    let told = aws.iot("test_authorization", json!({"principal": certificate["certificateArn"], "authInfos": asked}));
    let decisions: Vec<&Value> =
        told["authResults"].as_array().unwrap().iter().map(|result| &result["authDecision"]).collect();
    assert_eq!(decisions, ["ALLOWED", "EXPLICIT_DENY", "IMPLICIT_DENY"], "{told}");
    assert_eq!(told["authResults"][0]["allowed"]["policies"][0]["policyName"], "walk", "{told}");
}

#[test]
fn the_data_plane_publishes_and_keeps_retained_messages() {
    let (_folder, sandbox, mut aws) = start();
    let observer = crate::support::subscribe(&sandbox);
    let message = r#"{"setpoint": 31.5}"#;
    aws.iot_data("publish", json!({"topic": "press/1", "qos": 1, "payload": message}));
    let seen = crate::support::wait_for_event(&observer, "what was published", |event| event.topic == "press/1");
    assert_eq!(seen.json, json!({"setpoint": 31.5}));

    aws.iot_data("publish", json!({"topic": "press/2", "qos": 1, "retain": true, "payload": message}));
    let kept = aws.iot_data("list_retained_messages", json!({}));
    assert_eq!(sorted(&kept["retainedTopics"], "topic"), ["press/2"]);
    let kept = aws.iot_data("get_retained_message", json!({"topic": "press/2"}));
    assert_eq!((&kept["payload"], &kept["qos"]), (&message.into(), &1.into()));
    // A topic takes one retained message a second.
    sandbox.program().wait_until("the second retained message", crate::support::SOON, || {
        aws.call("iot-data", "publish", json!({"topic": "press/2", "retain": true, "payload": ""})).ok()
    });
    let gone = aws.call("iot-data", "get_retained_message", json!({"topic": "press/2"})).unwrap_err();
    assert_eq!((gone.code.as_str(), gone.status), ("ResourceNotFoundException", 404));
}

#[test]
fn what_the_sandbox_does_not_have_is_refused_by_name() {
    let (_folder, _sandbox, mut aws) = start();
    let refused = aws.call("iot", "list_jobs", json!({})).unwrap_err();
    assert!(refused.status >= 400 && !refused.code.is_empty(), "{refused:?}");
    let endpoint = aws.iot("describe_endpoint", json!({"endpointType": "iot:Data-ATS"}));
    assert_eq!(endpoint["endpointAddress"], "localhost");
    let unknown = aws.refused("describe_endpoint", json!({"endpointType": "iot:Unknown"}));
    assert_refused(unknown, "InvalidRequestException", 400);
}

/// A self-signed CA in `NAME.pem` and `NAME.key`.
fn make_ca(folder: &Path, name: &str, common_name: &str) {
    openssl(folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    let common_name = common_name.replace(' ', "-");
    openssl(
        folder,
        &format!("req -x509 -new -key {name}.key -sha256 -days 30 -subj /CN={common_name} -out {name}.pem"),
    );
}

/// A certificate of that CA in `NAME.pem`, with its key in `NAME.key`.
fn sign(folder: &Path, ca: &str, name: &str, common_name: &str) {
    openssl(folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    openssl(folder, &format!("req -new -key {name}.key -subj /CN={common_name} -out {name}.csr"));
    let sign = format!("x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 30 -sha256");
    openssl(folder, &format!("{sign} -out {name}.pem"));
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap()
}
