//! Templates out of the registry, and what they make of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{LINE, Service, line, refused, said};
use crate::CertificateStatus;
use crate::account::{TemplateKind, ThingName, ThingRow};

fn topic(template: &str) -> String {
    format!("$aws/provisioning-templates/{template}/provision/json")
}

fn thing(service: &Service, name: &str) -> ThingRow {
    let name: ThingName = name.parse().unwrap();
    (**service.account.read().thing(&name).unwrap()).clone()
}

/// `line` with other properties and settings for its Thing.
fn with_thing(properties: Value, settings: Value) -> Value {
    let mut body = line();
    body["Resources"]["thing"]["Properties"] = properties;
    body["Resources"]["thing"]["OverrideSettings"] = settings;
    body
}

#[tokio::test]
async fn each_template_is_found_by_its_name_and_others_are_not() {
    let service = Service::start();
    let mut second = line();
    second["Resources"]["thing"]["Properties"]["ThingName"] = json!({ "Fn::Sub": "oven-${SerialNumber}" });
    service.template("second", &second);
    assert_eq!(service.provision(LINE, "1").await.unwrap()["thingName"], "press-1");
    assert_eq!(service.provision(&topic("second"), "1").await.unwrap()["thingName"], "oven-1");
    for unknown in ["third", "a b", &"x".repeat(37)] {
        assert_eq!(refused(service.provision(&topic(unknown), "1").await), said(404, "TemplateNotFound"));
    }
}

#[tokio::test]
async fn a_disabled_template_is_refused_and_one_for_jitp_not_found() {
    let service = Service::start();
    service.edit_line(|row| row.enabled = false);
    assert_eq!(refused(service.provision(LINE, "1").await), said(403, "AccessDenied"));
    service.edit_line(|row| (row.enabled, row.kind) = (true, TemplateKind::Jitp));
    assert_eq!(refused(service.provision(LINE, "1").await), said(404, "TemplateNotFound"));
}

#[tokio::test]
async fn types_groups_and_policies_that_do_not_exist_reject_the_request() {
    let service = Service::start();
    for (name, properties) in [
        ("typed", json!({ "ThingName": "x", "ThingTypeName": "press" })),
        ("grouped", json!({ "ThingName": "y", "ThingGroups": ["presses"] })),
        ("billed", json!({ "ThingName": "z", "BillingGroup": "cost" })),
    ] {
        service.template(name, &with_thing(properties, json!({})));
        assert_eq!(refused(service.provision(&topic(name), "1").await), said(400, "InvalidParameters"), "{name}");
    }
    let mut body = line();
    body["Resources"]["policy"]["Properties"]["PolicyName"] = json!("nobody");
    service.template("unruly", &body);
    let rejection = service.provision(&topic("unruly"), "1").await.unwrap_err();
    assert_eq!(rejection["errorMessage"], "policy nobody does not exist.");
    assert_eq!(service.account.read().things.size(), 0);

    service.change(|tx| {
        tx.create_thing_type("press".parse()?, None, Vec::new())?;
        tx.create_group("presses".parse()?, None, None, BTreeMap::new())
    });
    service.provision(&topic("typed"), "1").await.unwrap();
    assert_eq!(thing(&service, "x").thing_type.unwrap().as_str(), "press");
    service.provision(&topic("grouped"), "1").await.unwrap();
    assert_eq!(thing(&service, "y").groups[0].as_str(), "presses");
}

#[tokio::test]
async fn a_policy_in_the_template_is_created_once_under_its_hash() {
    let service = Service::start();
    let mut body = line();
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "iot:Connect", "Resource": "*" }
    ] });
    body["Resources"]["policy"]["Properties"] = json!({ "PolicyDocument": document });
    service.template("inline", &body);
    for serial in ["1", "2"] {
        service.provision(&topic("inline"), serial).await.unwrap();
    }
    let tables = service.account.read();
    let made: Vec<_> = tables.policies.keys().filter(|name| name.as_str() != "device").collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].as_str().len(), 64);
    assert_eq!(tables.targets_of(made[0]).len(), 2);
}

#[tokio::test]
async fn an_existing_thing_keeps_its_certificates_and_follows_the_settings() {
    let service = Service::start();
    let properties = |attribute: &str| json!({ "ThingName": "x", "AttributePayload": { attribute: "1" } });
    service.template("first", &with_thing(properties("first"), json!({})));
    service.template("nothing", &with_thing(properties("nothing"), json!({})));
    service.template("merge", &with_thing(properties("merge"), json!({ "AttributePayload": "MERGE" })));
    service.template("fail", &with_thing(properties("fail"), json!({ "AttributePayload": "FAIL" })));
    let attributes = || thing(&service, "x").attributes.into_keys().collect::<Vec<_>>();

    service.provision(&topic("first"), "1").await.unwrap();
    service.provision(&topic("nothing"), "1").await.unwrap();
    assert_eq!(attributes(), ["first"]);
    service.provision(&topic("merge"), "1").await.unwrap();
    assert_eq!(attributes(), ["first", "merge"]);
    assert_eq!(thing(&service, "x").principals.len(), 3);

    let created = service.create().await;
    let conflict = service.register(&topic("fail"), &created, "1").await;
    assert_eq!(refused(conflict), said(409, "ResourceConflict"));
    assert_eq!(thing(&service, "x").principals.len(), 3, "nothing of it was done");
    service.register(&topic("merge"), &created, "1").await.unwrap();
}

#[tokio::test]
async fn without_a_thing_there_is_no_thing_name_and_the_status_is_the_templates() {
    let service = Service::start();
    let mut body = line();
    body["Resources"].as_object_mut().unwrap().remove("thing");
    body["Resources"]["certificate"]["Properties"]["Status"] = json!("Inactive");
    body["DeviceConfiguration"] = json!({ "site": { "Ref": "Site" } });
    service.template("bare", &body);
    let created = service.create().await;
    let answer = service.register(&topic("bare"), &created, "1").await.unwrap();
    assert_eq!(answer, json!({ "deviceConfiguration": { "site": "hall-b" } }));
    let id = created["certificateId"].as_str().unwrap().parse().unwrap();
    let tables = service.account.read();
    let row = tables.certificate(&id).unwrap();
    assert_eq!((row.status, row.things.len()), (CertificateStatus::Inactive, 0));
}

#[tokio::test]
async fn an_exclusive_certificate_is_marked_so() {
    let service = Service::start();
    let mut body = line();
    body["Resources"]["certificate"]["Properties"]["ThingPrincipalType"] = json!("EXCLUSIVE_THING");
    service.template("exclusive", &body);
    service.provision(&topic("exclusive"), "1").await.unwrap();
    assert!(thing(&service, "press-1").principals[0].exclusive);
}
