//! What becomes of a Thing and a certificate that exist already: every override setting.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};

use aether_iot_template::{
    CertificatePlan, Conflict, CurrentStatus, Parameters, Plan, PlannedStatus, Template, TemplateKind, ThingFacts,
    ThingPlan, apply, apply_status,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn plan(thing: Value, settings: Value, certificate_settings: Value) -> Plan {
    let body = json!({ "Resources": {
        "thing": { "Type": "AWS::IoT::Thing", "Properties": thing, "OverrideSettings": settings },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" }, "Status": "INACTIVE" },
            "OverrideSettings": certificate_settings,
        },
    } });
    let mut parameters = Parameters::new();
    parameters.set_certificate_id("5d0c");
    Template::parse(TemplateKind::Fleet, &body.to_string()).unwrap().resolve(&parameters).unwrap()
}

fn thing(settings: Value) -> ThingPlan {
    let properties = json!({
        "ThingName": "press", "AttributePayload": { "new": "1", "both": "new" }, "ThingTypeName": "new-type",
        "ThingGroups": ["new", "both"], "BillingGroup": "new-cost",
    });
    plan(properties, settings, json!({})).thing.unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn known() -> ThingFacts {
    ThingFacts {
        attributes: map(&[("old", "1"), ("both", "old")]),
        thing_type: Some("old-type".into()),
        groups: set(&["old", "both"]),
        billing_group: None,
    }
}

#[test]
fn a_new_thing_is_as_the_template_says_whatever_the_settings() {
    let all = json!({ "AttributePayload": "FAIL", "ThingTypeName": "FAIL", "ThingGroups": "FAIL" });
    let becomes = apply(None, &thing(all)).unwrap();
    assert_eq!(becomes.attributes, map(&[("new", "1"), ("both", "new")]));
    assert_eq!(becomes.thing_type.as_deref(), Some("new-type"));
    assert_eq!(becomes.groups, set(&["new", "both"]));
    assert_eq!(becomes.billing_group.as_deref(), Some("new-cost"));
}

#[test]
fn do_nothing_and_no_setting_keep_what_is_there() {
    let nothing =
        json!({ "AttributePayload": "DO_NOTHING", "ThingTypeName": "DO_NOTHING", "ThingGroups": "DO_NOTHING" });
    for settings in [json!({}), nothing] {
        let becomes = apply(Some(&known()), &thing(settings)).unwrap();
        assert_eq!(becomes, ThingFacts { billing_group: Some("new-cost".into()), ..known() });
    }
}

#[test]
fn replace_takes_the_templates_and_merge_takes_both() {
    let replace = json!({ "AttributePayload": "REPLACE", "ThingTypeName": "REPLACE", "ThingGroups": "REPLACE" });
    let becomes = apply(Some(&known()), &thing(replace)).unwrap();
    assert_eq!(becomes, apply(None, &thing(json!({}))).unwrap());
    let merge = json!({ "AttributePayload": "MERGE", "ThingGroups": "MERGE" });
    let becomes = apply(Some(&known()), &thing(merge)).unwrap();
    assert_eq!(becomes.attributes, map(&[("old", "1"), ("new", "1"), ("both", "new")]));
    assert_eq!(becomes.groups, set(&["old", "new", "both"]));
    assert_eq!(becomes.thing_type.as_deref(), Some("old-type"));
}

#[test]
fn fail_fails_when_the_thing_exists() {
    for property in ["AttributePayload", "ThingTypeName", "ThingGroups"] {
        let conflict = apply(Some(&known()), &thing(json!({ property: "FAIL" }))).unwrap_err().to_string();
        assert_eq!(conflict, format!("Thing press exists already and OverrideSettings.{property} is FAIL"));
    }
}

#[test]
fn a_property_the_template_leaves_out_is_not_touched() {
    let replace = json!({ "AttributePayload": "REPLACE", "ThingTypeName": "REPLACE", "ThingGroups": "REPLACE" });
    let bare = plan(json!({ "ThingName": "press" }), replace.clone(), json!({})).thing.unwrap();
    assert_eq!(apply(Some(&known()), &bare).unwrap(), known());
    let empty = json!({ "ThingName": "press", "AttributePayload": {}, "ThingGroups": [] });
    let emptied = apply(Some(&known()), &plan(empty, replace, json!({})).thing.unwrap()).unwrap();
    assert!(emptied.attributes.is_empty() && emptied.groups.is_empty());
}

#[test]
fn old_and_new_attributes_together_are_held_to_the_limit() {
    let properties = json!({ "ThingName": "press", "AttributePayload": { "x": "1", "y": "2" } });
    let merging = plan(properties, json!({ "AttributePayload": "MERGE" }), json!({})).thing.unwrap();
    let conflict = apply(Some(&ThingFacts { thing_type: None, ..known() }), &merging).unwrap_err();
    assert!(matches!(conflict, Conflict::TooManyAttributes { count: 4, limit: 3, .. }), "{conflict}");
    assert!(apply(Some(&known()), &merging).is_ok(), "a thing type allows fifty");
}

#[test]
fn a_pending_certificate_takes_the_templates_status_and_another_follows_its_setting() {
    let certificate =
        |settings: Value| -> CertificatePlan { plan(json!({ "ThingName": "press" }), json!({}), settings).certificate };
    let [unset, nothing, replace, fail] = [
        certificate(json!({})),
        certificate(json!({ "Status": "DO_NOTHING" })),
        certificate(json!({ "Status": "REPLACE" })),
        certificate(json!({ "Status": "FAIL" })),
    ];
    for plan in [&unset, &nothing, &replace, &fail] {
        assert_eq!(apply_status(CurrentStatus::Pending, plan), Ok(PlannedStatus::Inactive));
    }
    for plan in [&unset, &nothing] {
        assert_eq!(apply_status(CurrentStatus::Active, plan), Ok(PlannedStatus::Active));
    }
    assert_eq!(apply_status(CurrentStatus::Active, &replace), Ok(PlannedStatus::Inactive));
    assert_eq!(apply_status(CurrentStatus::Inactive, &replace), Ok(PlannedStatus::Inactive));
    let conflict = apply_status(CurrentStatus::Active, &fail).unwrap_err().to_string();
    assert_eq!(conflict, "the certificate exists already and OverrideSettings.Status is FAIL");
}

fn names(most: usize) -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("[a-d]", "[a-z]{0,2}", 0..most)
}

fn facts() -> impl Strategy<Value = ThingFacts> {
    (names(4), proptest::option::of("[a-b]"), names(4), proptest::option::of("[a-b]")).prop_map(
        |(attributes, thing_type, groups, billing_group)| ThingFacts {
            attributes,
            thing_type,
            groups: groups.into_keys().collect(),
            billing_group,
        },
    )
}

fn plans() -> impl Strategy<Value = ThingPlan> {
    let setting = || proptest::sample::select(vec!["DO_NOTHING", "REPLACE", "MERGE"]);
    let optional = |value: Option<Value>| value.unwrap_or(Value::Null);
    (
        proptest::option::of(names(4)),
        proptest::option::of("[a-b]"),
        proptest::option::of(names(4)),
        setting(),
        proptest::sample::select(vec!["DO_NOTHING", "REPLACE"]),
        setting(),
    )
        .prop_map(move |(attributes, thing_type, groups, on_attributes, on_type, on_groups)| {
            let mut properties = json!({
                "ThingName": "press",
                "AttributePayload": optional(attributes.map(|attributes| json!(attributes))),
                "ThingTypeName": optional(thing_type.map(Value::from)),
                "ThingGroups": optional(groups.map(|groups| groups.into_keys().collect())),
            });
            properties.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            let settings =
                json!({ "AttributePayload": on_attributes, "ThingTypeName": on_type, "ThingGroups": on_groups });
            plan(properties, settings, json!({})).thing.unwrap()
        })
}

proptest! {
    #[test]
    fn applied_twice_a_plan_changes_nothing_more(existing in proptest::option::of(facts()), plan in plans()) {
        if let Ok(once) = apply(existing.as_ref(), &plan) {
            prop_assert_eq!(apply(Some(&once), &plan), Ok(once));
        }
    }
}
