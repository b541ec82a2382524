//! Properties: no JSON makes reading or filling in panic, and the functions keep their laws.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use aether_iot_template::{Parameters, Template, TemplateKind};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const SEEDS: [&str; 5] = [
    include_str!("data/worked-fleet.json"),
    include_str!("data/device-client.json"),
    include_str!("data/console-wizard.json"),
    include_str!("data/jitp.json"),
    include_str!("data/every-function.json"),
];

/// What `expression` comes to when the parameter `Text` is `text`.
///
/// It is read from the device configuration, where any text may stand.
fn evaluated(expression: Value, text: &str) -> Result<String, String> {
    let body = json!({
        "Parameters": { "Text": { "Type": "String" } },
        "Resources": { "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": { "CertificateId": { "Ref": "AWS::IoT::Certificate::Id" } },
        } },
        "DeviceConfiguration": { "value": expression },
    });
    let mut parameters = Parameters::new();
    parameters.set_certificate_id("5d0c");
    parameters.insert("Text", text).unwrap();
    let template = Template::parse(TemplateKind::Fleet, &body.to_string()).unwrap();
    let plan = template.resolve(&parameters).map_err(|error| error.to_string())?;
    Ok(plan.device_configuration["value"].clone())
}

/// Any JSON, with the words templates are made of.
fn json_value() -> impl Strategy<Value = Value> {
    let word = proptest::sample::select(vec![
        "Ref",
        "Fn::Join",
        "Fn::Select",
        "Fn::FindInMap",
        "Fn::Split",
        "Fn::Sub",
        "Fn::If",
        "Type",
        "Default",
        "Properties",
        "OverrideSettings",
        "ThingName",
        "CertificateId",
        "PolicyDocument",
        "AWS::IoT::Thing",
        "AWS::IoT::Certificate",
        "AWS::IoT::Policy",
        "AWS::IoT::Certificate::Id",
        "SerialNumber",
        "${SerialNumber}",
        "${",
        "MERGE",
        "0",
        "",
        "{}",
        "ä",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let members = proptest::collection::vec((word.clone(), inner.clone()), 0..3);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
            }),
        ]
    })
}

/// How many values a document has, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Puts `new` in place of value number `at`, counted in reading order.
fn replace(value: &mut Value, at: &mut usize, new: &Value) {
    if *at == 0 {
        *value = new.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, at, new)),
        Value::Object(members) => members.values_mut().for_each(|member| replace(member, at, new)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_changed_template_never_panics(
        seed in proptest::sample::select(SEEDS.to_vec()),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), json_value()), 1..4),
        kind in proptest::sample::select(vec![TemplateKind::Fleet, TemplateKind::Jitp, TemplateKind::Bulk]),
        serial in ".{0,12}",
    ) {
        let mut body: Value = serde_json::from_str(seed).unwrap();
        for (index, new) in changes {
            let mut at = index.index(count(&body));
            replace(&mut body, &mut at, &new);
        }
        if let Ok(template) = Template::parse(kind, &body.to_string()) {
            let mut parameters = Parameters::new();
            parameters.set_certificate_id("5d0c");
            parameters.insert("SerialNumber", &serial).unwrap();
            if let Err(error) = template.resolve(&parameters) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn joining_what_was_split_gives_the_text_back(text in "[a-c,;]{0,40}", delimiter in "[,;a]{1,2}") {
        let join = json!({ "Fn::Join": [delimiter, { "Fn::Split": [delimiter, { "Ref": "Text" }] }] });
        prop_assert_eq!(evaluated(join, &text), Ok(text));
    }

    #[test]
    fn select_takes_the_part_split_made_or_fails_beyond_the_last(text in "[a-c,]{0,40}", index in 0_usize..24) {
        let select = json!({ "Fn::Select": [index, { "Fn::Split": [",", { "Ref": "Text" }] }] });
        match text.split(',').nth(index) {
            Some(part) => prop_assert_eq!(evaluated(select, &text), Ok(part.to_owned())),
            None => prop_assert!(evaluated(select, &text).unwrap_err().contains("Fn::Select")),
        }
    }

    #[test]
    fn select_takes_the_item_join_would_join(items in proptest::collection::vec("[a-z]{0,3}", 1..6), index in 0_usize..6) {
        let select = evaluated(json!({ "Fn::Select": [index.to_string(), items] }), "");
        prop_assert_eq!(select.ok(), items.get(index).cloned());
        let join = evaluated(json!({ "Fn::Join": ["-", items] }), "");
        prop_assert_eq!(join, Ok(items.join("-")));
    }

    #[test]
    fn sub_with_a_variable_is_a_join(before in "[a-z]{0,5}", text in "[a-z${}]{0,8}", after in "[a-z]{0,5}") {
        let sub = evaluated(json!({ "Fn::Sub": format!("{before}${{Text}}{after}") }), &text);
        let join = evaluated(json!({ "Fn::Join": ["", [before, { "Ref": "Text" }, after]] }), &text);
        prop_assert_eq!(sub, join);
    }
}
