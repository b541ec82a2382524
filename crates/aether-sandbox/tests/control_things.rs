//! The control plane: Things, types, groups, billing groups, templates, tags.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::http::{Plane, text};

const ROLE: &str = "arn:aws:iam::123456789012:role/provisioning";

fn arn(tail: &str) -> String {
    format!("arn:aws:iot:eu-west-1:123456789012:{tail}")
}

#[tokio::test]
async fn things_are_made_changed_and_deleted_by_version() {
    let plane = Plane::start().await;
    let attributes = json!({ "attributePayload": { "attributes": { "hall": "b", "line": "7" } } });
    let made = plane.post("/things/press-3", attributes.clone()).await.ok();
    assert_eq!(made["thingArn"], arn("thing/press-3"));
    let again = plane.post("/things/press-3", attributes).await.ok();
    assert_eq!(again["thingId"], made["thingId"]);
    let other = plane.post("/things/press-3", json!({})).await;
    other.refused(409, "ResourceAlreadyExistsException");
    assert_eq!(other.body["resourceArn"], made["thingArn"]);

    let merge = json!({ "attributePayload": { "attributes": { "hall": "", "row": "2" }, "merge": true } });
    plane.patch("/things/press-3", merge).await.ok();
    let found = plane.get("/things/press-3").await.ok();
    assert_eq!(found["attributes"], json!({ "line": "7", "row": "2" }));
    assert_eq!((&found["version"], &found["defaultClientId"]), (&json!(2), &json!("press-3")));
    let stale = plane.patch("/things/press-3", json!({ "expectedVersion": 1 })).await;
    stale.refused(409, "VersionConflictException");
    plane.delete("/things/press-3?expectedVersion=1").await.refused(409, "VersionConflictException");
    plane.delete("/things/press-3?expectedVersion=2").await.ok();
    plane.get("/things/press-3").await.refused(404, "ResourceNotFoundException");
    plane.post("/things/a%20b", json!({})).await.refused(400, "InvalidRequestException");
    let many = json!({ "attributePayload": { "attributes": { "a": "1", "b": "1", "c": "1", "d": "1" } } });
    plane.post("/things/a", many).await.refused(400, "InvalidRequestException");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn things_are_listed_by_attribute_and_type_in_pages() {
    let plane = Plane::start().await;
    plane.post("/thing-types/press", json!({})).await.ok();
    for number in 0..4 {
        let thing = json!({
            "thingTypeName": if number < 3 { Some("press") } else { None },
            "attributePayload": { "attributes": { "line": format!("7{number}") } },
        });
        plane.post(&format!("/things/t{number}"), thing).await.ok();
    }
    let names = |body: &Value| -> Vec<String> {
        body["things"].as_array().unwrap().iter().map(|thing| text(thing, "thingName")).collect()
    };
    assert_eq!(names(&plane.get("/things?thingTypeName=press").await.ok()), ["t0", "t1", "t2"]);
    assert_eq!(names(&plane.get("/things?attributeName=line&attributeValue=72").await.ok()), ["t2"]);
    let by_prefix = "/things?attributeName=line&attributeValue=7&usePrefixAttributeValue=true";
    assert_eq!(names(&plane.get(by_prefix).await.ok()).len(), 4);
    let first = plane.get("/things?maxResults=3").await.ok();
    assert_eq!(names(&first), ["t0", "t1", "t2"]);
    let second = plane.get(&format!("/things?maxResults=3&nextToken={}", text(&first, "nextToken"))).await.ok();
    assert_eq!((names(&second), &second["nextToken"]), (vec!["t3".to_owned()], &Value::Null));
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn certificates_are_attached_to_things() {
    let plane = Plane::start().await;
    let made = plane.post("/keys-and-certificate?setAsActive=true", json!({})).await.ok();
    let certificate = text(&made, "certificateArn");
    let header = [("x-amzn-principal", certificate.as_str())];
    for name in ["a", "b"] {
        plane.post(&format!("/things/{name}"), json!({})).await.ok();
    }
    plane.ask("PUT", "/things/a/principals?thingPrincipalType=EXCLUSIVE_THING", &header, "").await.ok();
    plane.ask("PUT", "/things/b/principals", &header, "").await.refused(400, "InvalidRequestException");
    assert_eq!(plane.get("/things/a/principals").await.ok()["principals"], json!([certificate]));
    let found = plane.get("/things/a/principals-v2?thingPrincipalType=EXCLUSIVE_THING").await.ok();
    let expected = json!([{ "principal": certificate, "thingPrincipalType": "EXCLUSIVE_THING" }]);
    assert_eq!(found["thingPrincipalObjects"], expected);
    assert_eq!(plane.ask("GET", "/principals/things", &header, "").await.ok()["things"], json!(["a"]));
    let found = plane.ask("GET", "/principals/things-v2", &header, "").await.ok();
    assert_eq!(found["principalThingObjects"][0]["thingName"], "a");
    plane.delete("/things/a").await.refused(400, "InvalidRequestException");
    plane.ask("DELETE", "/things/a/principals", &header, "").await.ok();
    plane.delete("/things/a").await.ok();
    plane.ask("PUT", "/things/b/principals", &[], "").await.refused(400, "InvalidRequestException");
    plane.ask("PUT", "/things/none/principals", &header, "").await.refused(404, "ResourceNotFoundException");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_type_is_deleted_five_minutes_after_it_was_deprecated() {
    let plane = Plane::start().await;
    let properties =
        json!({ "thingTypeProperties": { "thingTypeDescription": "a press", "searchableAttributes": ["a"] } });
    plane.post("/thing-types/press", properties).await.ok();
    let found = plane.get("/thing-types/press").await.ok();
    assert_eq!(found["thingTypeProperties"]["thingTypeDescription"], "a press");
    assert_eq!(found["thingTypeMetadata"]["deprecated"], false);
    plane.delete("/thing-types/press").await.refused(400, "InvalidRequestException");
    plane.post("/thing-types/press/deprecate", json!({})).await.ok();
    let thing = json!({ "thingTypeName": "press" });
    plane.post("/things/a", thing).await.refused(400, "InvalidRequestException");
    plane.delete("/thing-types/press").await.refused(400, "InvalidRequestException");
    plane.post("/thing-types/press/deprecate", json!({ "undoDeprecate": true })).await.ok();
    plane.post("/thing-types/press/deprecate", json!({})).await.ok();
    plane.sandbox.advance(Duration::from_secs(301));
    plane.delete("/thing-types/press").await.ok();
    assert_eq!(plane.get("/thing-types").await.ok()["thingTypes"], json!([]));
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn groups_hold_things_and_other_groups() {
    let plane = Plane::start().await;
    let described = json!({ "thingGroupProperties": { "thingGroupDescription": "all", "attributePayload": { "attributes": { "a": "1" } } } });
    plane.post("/thing-groups/plant", described).await.ok();
    plane.post("/thing-groups/line-7", json!({ "parentGroupName": "plant" })).await.ok();
    plane.post("/thing-groups/cell", json!({ "parentGroupName": "line-7" })).await.ok();
    plane.post("/thing-groups/x", json!({ "parentGroupName": "none" })).await.refused(404, "ResourceNotFoundException");
    let found = plane.get("/thing-groups/cell").await.ok();
    let path = &found["thingGroupMetadata"]["rootToParentThingGroups"];
    assert_eq!((&path[0]["groupName"], &path[1]["groupName"]), (&json!("plant"), &json!("line-7")));

    plane.post("/things/press-3", json!({})).await.ok();
    let member = json!({ "thingGroupName": "cell", "thingArn": arn("thing/press-3") });
    plane.put("/thing-groups/addThingToThingGroup", member.clone()).await.ok();
    assert_eq!(plane.get("/thing-groups/cell/things").await.ok()["things"], json!(["press-3"]));
    assert_eq!(plane.get("/thing-groups/plant/things").await.ok()["things"], json!([]));
    assert_eq!(plane.get("/thing-groups/plant/things?recursive=true").await.ok()["things"], json!(["press-3"]));
    let update = json!({ "thingName": "press-3", "thingGroupsToAdd": ["plant"], "thingGroupsToRemove": ["cell"] });
    plane.put("/thing-groups/updateThingGroupsForThing", update).await.ok();
    let groups = plane.get("/things/press-3/thing-groups").await.ok();
    assert_eq!(groups["thingGroups"], json!([{ "groupName": "plant", "groupArn": arn("thinggroup/plant") }]));
    plane.put("/thing-groups/removeThingFromThingGroup", member).await.ok();
    let nobody = json!({ "thingGroupName": "cell" });
    plane.put("/thing-groups/addThingToThingGroup", nobody).await.refused(400, "InvalidRequestException");

    let names = |body: &Value| -> Vec<String> {
        body["thingGroups"].as_array().unwrap().iter().map(|group| text(group, "groupName")).collect()
    };
    assert_eq!(names(&plane.get("/thing-groups").await.ok()), ["cell", "line-7", "plant"]);
    assert_eq!(names(&plane.get("/thing-groups?recursive=false").await.ok()), ["plant"]);
    assert_eq!(names(&plane.get("/thing-groups?parentGroup=plant").await.ok()), ["line-7"]);
    assert_eq!(names(&plane.get("/thing-groups?parentGroup=plant&recursive=true").await.ok()), ["cell", "line-7"]);
    assert_eq!(names(&plane.get("/thing-groups?namePrefixFilter=li").await.ok()), ["line-7"]);
    let changed = json!({ "thingGroupProperties": { "thingGroupDescription": "some" }, "expectedVersion": 1 });
    assert_eq!(plane.patch("/thing-groups/plant", changed.clone()).await.ok()["version"], 2);
    plane.patch("/thing-groups/plant", changed).await.refused(409, "VersionConflictException");
    assert_eq!(
        plane.get("/thing-groups/plant").await.ok()["thingGroupProperties"]["attributePayload"]["attributes"]["a"],
        "1"
    );
    plane.delete("/thing-groups/plant").await.refused(400, "InvalidRequestException");
    for group in ["cell", "line-7", "plant", "plant"] {
        plane.delete(&format!("/thing-groups/{group}")).await.ok();
    }
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn billing_groups_hold_things() {
    let plane = Plane::start().await;
    let described = json!({ "billingGroupProperties": { "billingGroupDescription": "hall b" } });
    plane.post("/billing-groups/b", described.clone()).await.ok();
    plane.post("/things/a", json!({})).await.ok();
    let member = json!({ "billingGroupName": "b", "thingName": "a" });
    plane.put("/billing-groups/addThingToBillingGroup", member.clone()).await.ok();
    assert_eq!(plane.get("/billing-groups/b/things").await.ok()["things"], json!(["a"]));
    assert_eq!(plane.get("/things/a").await.ok()["billingGroupName"], "b");
    plane.put("/billing-groups/removeThingFromBillingGroup", member).await.ok();
    assert_eq!(plane.get("/things/a").await.ok()["billingGroupName"], Value::Null);
    assert_eq!(plane.patch("/billing-groups/b", described).await.ok()["version"], 2);
    plane.delete("/billing-groups/b?expectedVersion=1").await.refused(409, "VersionConflictException");
    plane.delete("/billing-groups/b").await.ok();
    plane.get("/billing-groups/b").await.refused(404, "ResourceNotFoundException");
    plane.sandbox.shutdown().await;
}

fn template(name: &str) -> Value {
    let body = json!({ "Resources": {
        "thing": { "Type": "AWS::IoT::Thing", "Properties": { "ThingName": name } },
        "certificate": { "Type": "AWS::IoT::Certificate", "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" } } },
    } });
    json!(body.to_string())
}

#[tokio::test]
async fn templates_have_versions_of_which_one_counts() {
    let plane = Plane::start().await;
    let new = json!({
        "templateName": "Line", "templateBody": template("a"), "provisioningRoleArn": ROLE,
        "preProvisioningHook": { "payloadVersion": "2020-04-01", "targetArn": "arn:aws:lambda:eu-west-1:123456789012:function:hook" },
    });
    let made = plane.post("/provisioning-templates", new.clone()).await.ok();
    assert_eq!(
        (&made["templateArn"], &made["defaultVersionId"]),
        (&json!(arn("provisioningtemplate/Line")), &json!(1))
    );
    plane.post("/provisioning-templates", new).await.refused(409, "ResourceAlreadyExistsException");
    let found = plane.get("/provisioning-templates/Line").await.ok();
    assert_eq!((&found["enabled"], &found["type"]), (&json!(false), &json!("FLEET_PROVISIONING")));
    assert_eq!(found["preProvisioningHook"]["payloadVersion"], "2020-04-01");
    for (member, value) in
        [("templateBody", json!("{}")), ("provisioningRoleArn", json!("x")), ("templateName", json!("a b"))]
    {
        let mut bad = json!({ "templateName": "Bad", "templateBody": template("a"), "provisioningRoleArn": ROLE });
        bad[member] = value;
        plane.post("/provisioning-templates", bad).await.refused(400, "InvalidRequestException");
    }
    let versions = "/provisioning-templates/Line/versions";
    let second =
        plane.post(&format!("{versions}?setAsDefault=true"), json!({ "templateBody": template("b") })).await.ok();
    assert_eq!((&second["versionId"], &second["isDefaultVersion"]), (&json!(2), &json!(true)));
    plane.post(versions, json!({ "templateBody": "{}" })).await.refused(400, "InvalidRequestException");
    plane.delete(&format!("{versions}/2")).await.refused(409, "DeleteConflictException");
    let update = json!({ "enabled": true, "defaultVersionId": 1, "removePreProvisioningHook": true });
    plane.patch("/provisioning-templates/Line", update).await.ok();
    plane
        .patch("/provisioning-templates/Line", json!({ "defaultVersionId": 9 }))
        .await
        .refused(404, "ResourceNotFoundException");
    let found = plane.get("/provisioning-templates/Line").await.ok();
    assert_eq!((&found["enabled"], &found["templateBody"]), (&json!(true), &template("a")));
    assert_eq!(found["preProvisioningHook"], Value::Null);
    assert_eq!(plane.get(&format!("{versions}/2")).await.ok()["templateBody"], template("b"));
    assert_eq!(plane.get(versions).await.ok()["versions"].as_array().unwrap().len(), 2);
    plane.delete("/provisioning-templates/Line").await.refused(409, "DeleteConflictException");
    plane.delete(&format!("{versions}/2")).await.ok();
    plane.delete("/provisioning-templates/Line").await.ok();
    let left = plane.get("/provisioning-templates").await.ok();
    assert_eq!(left["templates"].as_array().unwrap().len(), 1, "the sandbox's own");
    plane.sandbox.shutdown().await;
}

#[tokio::test]
async fn resources_have_tags_from_their_making_on() {
    let plane = Plane::start().await;
    let tags = json!([{ "Key": "site", "Value": "b" }]);
    plane.post("/thing-groups/g", json!({ "tags": tags })).await.ok();
    plane.post("/thing-types/t", json!({ "tags": tags })).await.ok();
    plane.post("/billing-groups/b", json!({ "tags": tags })).await.ok();
    for tail in ["thinggroup/g", "thingtype/t", "billinggroup/b"] {
        let target = format!("/tags?resourceArn={}", arn(tail));
        assert_eq!(plane.get(&target).await.ok()["tags"], tags);
        let more = json!({ "resourceArn": arn(tail), "tags": [{ "Key": "line", "Value": "7" }] });
        plane.post("/tags", more).await.ok();
        plane.post("/untag", json!({ "resourceArn": arn(tail), "tagKeys": ["site"] })).await.ok();
        assert_eq!(plane.get(&target).await.ok()["tags"], json!([{ "Key": "line", "Value": "7" }]));
    }
    plane.get(&format!("/tags?resourceArn={}", arn("policy/none"))).await.refused(404, "ResourceNotFoundException");
    plane.get(&format!("/tags?resourceArn={}", arn("thing/a"))).await.refused(400, "InvalidRequestException");
    let long = json!({ "resourceArn": arn("thinggroup/g"), "tags": [{ "Key": "k".repeat(129), "Value": "" }] });
    plane.post("/tags", long).await.refused(400, "InvalidRequestException");
    let many: Vec<_> = (0..51).map(|number| json!({ "Key": format!("k{number}"), "Value": "" })).collect();
    let many = json!({ "resourceArn": arn("thinggroup/g"), "tags": many });
    plane.post("/tags", many).await.refused(410, "LimitExceededException");
    plane.sandbox.shutdown().await;
}
