//! Things, their types and groups.

use serde_json::json;

use super::{ANYTHING, ARN, assert_refused, sorted, start, text};

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
