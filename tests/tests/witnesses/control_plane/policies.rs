//! Policies, their versions and targets, and what they allow.

use serde_json::{Value, json};

use super::{ANYTHING, ARN, assert_is_recent, assert_refused, sorted, start, text};

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
