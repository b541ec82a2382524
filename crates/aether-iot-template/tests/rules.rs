//! One test for each rule of the sheet's section 2: what is taken, what is refused, and in which words.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use aether_iot_template::{
    CertificateSource, MAX_TEMPLATE_CHARS, Parameters, Plan, PlannedStatus, PolicyPlan, Template, TemplateKind,
};
use serde_json::{Value, json};

const ID: &str = "AWS::IoT::Certificate::Id";
const ALL_KINDS: [TemplateKind; 3] = [TemplateKind::Fleet, TemplateKind::Jitp, TemplateKind::Bulk];

fn body() -> Value {
    json!({
        "Parameters": { ID: { "Type": "String" }, "Serial": { "Type": "String", "Default": "a,b,c" } },
        "Mappings": { "Map": { "top": { "text": "found", "list": ["x", "y"] } } },
        "Resources": {
            "thing": { "Type": "AWS::IoT::Thing", "Properties": { "ThingName": "press" } },
            "certificate": { "Type": "AWS::IoT::Certificate", "Properties": { "CertificateId": { "Ref": ID } } },
        },
    })
}

/// A template with `value` at `pointer`, where only the last step may be new.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = body();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[last] = value;
    body
}

fn with_name(value: Value) -> Value {
    with("/Resources/thing/Properties/ThingName", value)
}

fn with_policy(properties: Value) -> Value {
    with("/Resources/policy", json!({ "Type": "AWS::IoT::Policy", "Properties": properties }))
}

/// The body without what only fleet templates have.
fn plain(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("Mappings");
    body
}

fn resolve(body: &Value, given: &[(&str, &str)]) -> Result<Plan, String> {
    let template = Template::parse(TemplateKind::Fleet, &body.to_string()).map_err(|error| error.to_string())?;
    let mut parameters = Parameters::new();
    parameters.set_certificate_id("5d0c");
    parameters.extend(given.iter().copied()).unwrap();
    template.resolve(&parameters).map_err(|error| error.to_string())
}

#[track_caller]
fn named(expression: Value, expected: &str) {
    assert_eq!(resolve(&with_name(expression), &[]).unwrap().thing.unwrap().name, expected);
}

/// Reading fails, and the error says all of `words`.
#[track_caller]
fn refused(kind: TemplateKind, body: &Value, words: &[&str]) {
    says(&Template::parse(kind, &body.to_string()).unwrap_err().to_string(), words);
}

/// Reading succeeds, filling in fails, and the error says all of `words`.
#[track_caller]
fn fails(body: &Value, words: &[&str]) {
    Template::parse(TemplateKind::Fleet, &body.to_string()).unwrap();
    says(&resolve(body, &[]).unwrap_err(), words);
}

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{said:?} does not say {word:?}");
    }
    assert!(said.len() < 800, "{said}");
}

// 2.1 sections

#[test]
fn mappings_and_device_configuration_are_for_fleet_templates_only() {
    for kind in [TemplateKind::Jitp, TemplateKind::Bulk] {
        refused(kind, &body(), &["Mappings", "not available", &kind.to_string()]);
        let mut configured = plain(body());
        configured["DeviceConfiguration"] = json!({});
        refused(kind, &configured, &["DeviceConfiguration", "not available"]);
        Template::parse(kind, &plain(body()).to_string()).unwrap();
    }
}

#[test]
fn functions_beside_ref_are_for_fleet_templates_only() {
    for kind in [TemplateKind::Jitp, TemplateKind::Bulk] {
        for function in ["Fn::Join", "Fn::Select", "Fn::FindInMap", "Fn::Sub"] {
            let body = plain(with_name(json!({ function: "x" })));
            refused(kind, &body, &[function, "ThingName", "not available"]);
        }
        let split = json!({ "Fn::Split": [",", "a,b"] });
        let body = plain(with("/Resources/thing/Properties/ThingGroups", split));
        refused(kind, &body, &["Fn::Split", "ThingGroups"]);
    }
}

#[test]
fn functions_that_templates_do_not_have_are_refused_by_name() {
    for function in ["Fn::If", "Fn::GetAtt", "Fn::Base64"] {
        refused(TemplateKind::Fleet, &with_name(json!({ function: [] })), &[function, "ThingName", "Fn::FindInMap"]);
    }
}

#[test]
fn unknown_members_at_the_top_are_left_aside_and_noted() {
    let mut body = body();
    body["Version"] = json!("2020");
    body["Outputs"] = json!({});
    let template = Template::parse(TemplateKind::Fleet, &body.to_string()).unwrap();
    assert_eq!(template.kind(), TemplateKind::Fleet);
    let [outputs, version] = template.notes() else { panic!("{:?}", template.notes()) };
    assert!(outputs.starts_with("Outputs ") && version.starts_with("Version "));
}

#[test]
fn a_body_has_a_longest_length_and_is_json() {
    let mut body = body().to_string();
    body.push_str(&" ".repeat(MAX_TEMPLATE_CHARS - body.len()));
    Template::parse(TemplateKind::Fleet, &body).unwrap();
    body.push(' ');
    let error = Template::parse(TemplateKind::Fleet, &body).unwrap_err().to_string();
    says(&error, &["10241", "10240"]);
    let error = Template::parse(TemplateKind::Fleet, "nonsense").unwrap_err();
    assert!(error.to_string().contains("not JSON") && std::error::Error::source(&error).is_some());
}

// 2.2 and 2.3 parameters

#[test]
fn parameters_are_strings_with_or_without_default() {
    refused(TemplateKind::Fleet, &with("/Parameters/A", json!({ "Type": "Number" })), &["Parameters.A.Type", "Number"]);
    refused(TemplateKind::Fleet, &with("/Parameters/A", json!({})), &["Parameters.A.Type", "missing"]);
    let default = json!({ "Type": "String", "Default": 7 });
    refused(TemplateKind::Fleet, &with("/Parameters/A", default), &["Parameters.A.Default", "7"]);
    let extra = json!({ "Type": "String", "MinLength": 1 });
    refused(TemplateKind::Fleet, &with("/Parameters/A", extra), &["Parameters.A.MinLength", "Type or Default"]);
}

#[test]
fn a_declared_parameter_needs_a_value_or_a_default() {
    let body = with("/Parameters/A", json!({ "Type": "String" }));
    assert_eq!(resolve(&body, &[]).unwrap_err(), "parameter \"A\" has no value and no default");
    assert!(resolve(&body, &[("A", "")]).is_ok());
}

#[test]
fn values_nobody_declared_are_ignored_and_names_nobody_declared_are_refused() {
    assert!(resolve(&body(), &[("Other", "x")]).is_ok());
    let refers = with_name(json!({ "Ref": "Other" }));
    refused(TemplateKind::Fleet, &refers, &["ThingName.Ref", "\"Other\"", "Parameters"]);
    let refers = with_name(json!({ "Fn::Sub": "x-${Other}" }));
    refused(TemplateKind::Fleet, &refers, &["ThingName.Fn::Sub", "\"Other\"", "Parameters"]);
}

#[test]
fn the_certificate_id_needs_no_declaration_in_a_fleet_template_only() {
    let mut body = plain(with_name(json!({ "Ref": ID })));
    body["Parameters"].as_object_mut().unwrap().remove(ID);
    assert_eq!(resolve(&body, &[]).unwrap().thing.unwrap().name, "5d0c");
    refused(TemplateKind::Jitp, &body, &[ID, "Parameters"]);
    refused(TemplateKind::Bulk, &body, &[ID, "Parameters"]);
}

#[test]
fn only_the_documented_names_of_the_service_can_be_declared() {
    for kind in ALL_KINDS {
        let mut body = plain(body());
        body["Parameters"]["AWS::IoT::Certificate::Title"] = json!({ "Type": "String" });
        refused(kind, &body, &["AWS::IoT::Certificate::Title", "AWS::IoT::Certificate::CommonName"]);
    }
}

#[test]
fn a_device_cannot_choose_its_own_certificate_id() {
    let plan = resolve(&with_name(json!({ "Ref": ID })), &[(ID, "forged")]).unwrap();
    assert_eq!(plan.thing.unwrap().name, "5d0c");
}

// 2.4 resources

#[test]
fn resources_have_known_types_properties_and_no_other_members() {
    let kind = TemplateKind::Fleet;
    refused(
        kind,
        &with("/Resources/x", json!({ "Type": "AWS::S3::Bucket", "Properties": {} })),
        &["Resources.x.Type", "AWS::S3::Bucket", "AWS::IoT::Policy"],
    );
    refused(kind, &with("/Resources/x", json!({ "Type": "AWS::IoT::Policy" })), &["Resources.x.Properties", "missing"]);
    refused(kind, &with("/Resources/x", json!(7)), &["Resources.x", "7", "an object"]);
    refused(kind, &with("/Resources/thing/Condition", json!("x")), &["Resources.thing.Condition"]);
    refused(kind, &with("/Resources/thing/Properties/Color", json!("x")), &["Properties.Color", "BillingGroup"]);
    refused(kind, &with("/Resources/certificate/Properties/Color", json!("x")), &["Properties.Color", "Status"]);
    refused(kind, &with_policy(json!({ "Color": "x" })), &["Properties.Color", "PolicyDocument"]);
    refused(kind, &json!({}), &["Resources", "missing"]);
    refused(kind, &json!({ "Resources": {} }), &["Resources", "AWS::IoT::Certificate"]);
}

#[test]
fn there_is_one_thing_at_most_and_one_certificate() {
    for name in ["thing", "certificate"] {
        let again = body()["Resources"][name].clone();
        refused(TemplateKind::Fleet, &with("/Resources/twin", again), &["Resources.twin.Type", "one resource"]);
    }
    let mut body = body();
    body["Resources"].as_object_mut().unwrap().remove("thing");
    assert_eq!(resolve(&body, &[]).unwrap().thing, None);
}

#[test]
fn names_and_attributes_are_held_to_aws_limits() {
    for (property, value) in [
        ("ThingName", json!("a b")),
        ("ThingName", json!("")),
        ("ThingName", json!("x".repeat(129))),
        ("ThingTypeName", json!("a/b")),
        ("ThingGroups", json!(["good", "ü"])),
        ("BillingGroup", json!("a.b")),
        ("AttributePayload", json!({ "a": "two words" })),
        ("AttributePayload", json!({ "a": "x".repeat(801) })),
    ] {
        let body = with(&format!("/Resources/thing/Properties/{property}"), value);
        fails(&body, &[&format!("Resources.thing.Properties.{property}"), "expected"]);
    }
    let payload = "/Resources/thing/Properties/AttributePayload";
    refused(TemplateKind::Fleet, &with(payload, json!({ "a b": "x" })), &["AttributePayload", "\"a b\""]);
    refused(
        TemplateKind::Fleet,
        &with(payload, json!({ "attributes": { "a": "b" } })),
        &["AttributePayload.attributes"],
    );
    refused(TemplateKind::Fleet, &with(payload, json!({ "a": 7 })), &["AttributePayload.a", "7"]);
}

#[test]
fn a_thing_without_type_has_three_attributes_and_with_one_fifty() {
    let attributes = |count: usize| (0..count).map(|at| (format!("a{at}"), json!("x"))).collect::<Value>();
    let payload = "/Resources/thing/Properties/AttributePayload";
    assert!(resolve(&with(payload, attributes(3)), &[]).is_ok());
    fails(&with(payload, attributes(4)), &["AttributePayload", "4 attributes", "at most 3"]);
    let mut typed = with(payload, attributes(50));
    typed["Resources"]["thing"]["Properties"]["ThingTypeName"] = json!("press");
    assert!(resolve(&typed, &[]).is_ok());
    typed["Resources"]["thing"]["Properties"]["AttributePayload"] = attributes(51);
    fails(&typed, &["51 attributes", "at most 50"]);
}

#[test]
fn a_thing_needs_a_name() {
    let mut body = body();
    body["Resources"]["thing"]["Properties"] = json!({});
    refused(TemplateKind::Fleet, &body, &["Resources.thing.Properties.ThingName", "missing"]);
}

#[test]
fn the_status_is_read_without_regard_to_case_and_defaults_to_active() {
    let status = |value| resolve(&with("/Resources/certificate/Properties/Status", value), &[]);
    assert_eq!(resolve(&body(), &[]).unwrap().certificate.status, PlannedStatus::Active);
    assert_eq!(status(json!("Active")).unwrap().certificate.status, PlannedStatus::Active);
    assert_eq!(status(json!("inactive")).unwrap().certificate.status, PlannedStatus::Inactive);
    says(&status(json!("REVOKED")).unwrap_err(), &["certificate.Properties.Status", "REVOKED", "INACTIVE"]);
    let principal = with("/Resources/certificate/Properties/ThingPrincipalType", json!("exclusive"));
    fails(&principal, &["ThingPrincipalType", "EXCLUSIVE_THING"]);
}

#[test]
fn fleet_and_jitp_templates_name_the_certificate_by_id_only() {
    for kind in [TemplateKind::Fleet, TemplateKind::Jitp] {
        for property in ["CertificateSigningRequest", "CertificatePem", "CACertificatePem"] {
            let mut body = plain(body());
            body["Resources"]["certificate"]["Properties"][property] = json!("x");
            refused(kind, &body, &[property, "not available"]);
        }
        let mut body = plain(body());
        body["Resources"]["certificate"]["Properties"] = json!({});
        refused(kind, &body, &["certificate.Properties.CertificateId", "missing"]);
    }
    let foreign = with("/Resources/certificate/Properties/CertificateId", json!("another"));
    fails(&foreign, &["CertificateId", "\"another\"", "AWS::IoT::Certificate::Id"]);
}

#[test]
fn bulk_templates_name_the_certificate_in_exactly_one_of_three_ways() {
    let source = |properties: Value| {
        let mut body = plain(body());
        body["Parameters"] = json!({});
        body["Resources"]["certificate"]["Properties"] = properties;
        let template = Template::parse(TemplateKind::Bulk, &body.to_string()).map_err(|error| error.to_string())?;
        Ok::<_, String>(template.resolve(&Parameters::new()).unwrap().certificate.source)
    };
    assert_eq!(source(json!({ "CertificateId": "x" })), Ok(CertificateSource::Id("x".into())));
    assert_eq!(source(json!({ "CertificateSigningRequest": "x" })), Ok(CertificateSource::Csr("x".into())));
    assert_eq!(
        source(json!({ "CertificatePem": "x", "CACertificatePem": "y" })),
        Ok(CertificateSource::Pem { certificate: "x".into(), ca: Some("y".into()) })
    );
    for wrong in [
        json!({}),
        json!({ "CACertificatePem": "y" }),
        json!({ "CertificateId": "x", "CertificatePem": "y" }),
        json!({ "CertificateId": "x", "CACertificatePem": "y" }),
        json!({ "CertificateId": "x", "CertificateSigningRequest": "y" }),
    ] {
        says(&source(wrong).unwrap_err(), &["certificate.Properties", "exactly one of CertificateId"]);
    }
}

#[test]
fn a_policy_has_a_name_or_a_document() {
    let kind = TemplateKind::Fleet;
    refused(kind, &with_policy(json!({})), &["policy.Properties", "exactly one of PolicyName and PolicyDocument"]);
    let both = json!({ "PolicyName": "x", "PolicyDocument": {} });
    refused(kind, &with_policy(both), &["both", "exactly one"]);
    fails(&with_policy(json!({ "PolicyName": "a b" })), &["PolicyName", "\"a b\""]);
    for document in [json!("nonsense"), json!("[]"), json!(7), json!([])] {
        refused(kind, &with_policy(json!({ "PolicyDocument": document })), &["PolicyDocument", "expected"]);
    }
    let joined = json!({ "Fn::Join": ["", ["[", "]"]] });
    fails(&with_policy(json!({ "PolicyDocument": joined })), &["PolicyDocument", "a JSON object"]);
}

#[test]
fn a_policy_document_may_be_an_object_or_a_text_and_is_named_by_its_hash() {
    let policies =
        |document: Value| resolve(&with_policy(json!({ "PolicyDocument": document })), &[]).unwrap().policies;
    // SHA-256 of the two bytes {}.
    let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let expected = [PolicyPlan::Inline { name: hash.into(), document: "{}".into() }];
    assert_eq!(policies(json!({})), expected);
    assert_eq!(policies(json!("{}")), expected);
    assert_eq!(policies(json!({ "Fn::Join": ["", ["{", "}"]] })), expected);
    assert_eq!(expected[0].name(), hash);
    let kept = policies(json!({ "Resource": "${iot:ClientId}", "Condition": { "Bool": { "x": true } } }));
    let PolicyPlan::Inline { document, .. } = &kept[0] else { panic!("{kept:?}") };
    assert_eq!(document, r#"{"Condition":{"Bool":{"x":true}},"Resource":"${iot:ClientId}"}"#);
}

#[test]
fn a_policy_document_has_a_longest_length_without_white_space() {
    let policy =
        |letters: usize| with_policy(json!({ "PolicyDocument": { "a": format!("  {}", "x".repeat(letters)) } }));
    assert!(resolve(&policy(2048 - r#"{"a":""}"#.len()), &[]).is_ok());
    fails(&policy(2049 - r#"{"a":""}"#.len()), &["PolicyDocument", "2048"]);
}

#[test]
fn override_settings_have_known_names_and_values() {
    let at = "/Resources/thing/OverrideSettings";
    for value in ["DO_NOTHING", "REPLACE", "FAIL", "MERGE"] {
        for name in ["AttributePayload", "ThingGroups", "ThingTypeName"] {
            let body = with(at, json!({ name: value }));
            match (name, value) {
                ("ThingTypeName", "MERGE") => {
                    refused(
                        TemplateKind::Fleet,
                        &body,
                        &["OverrideSettings.ThingTypeName", "MERGE", "REPLACE or FAIL"],
                    );
                }
                _ => assert!(resolve(&body, &[]).is_ok(), "{name} {value}"),
            }
        }
    }
    refused(TemplateKind::Fleet, &with(at, json!({ "ThingName": "FAIL" })), &["ThingName", "ThingTypeName"]);
    refused(TemplateKind::Fleet, &with(at, json!({ "ThingGroups": "merge" })), &["ThingGroups", "\"merge\"", "MERGE"]);
    let at = "/Resources/certificate/OverrideSettings";
    refused(TemplateKind::Fleet, &with(at, json!({ "Status": "MERGE" })), &["Status", "DO_NOTHING, REPLACE or FAIL"]);
    let mut policy = with_policy(json!({ "PolicyName": "x" }));
    policy["Resources"]["policy"]["OverrideSettings"] = json!({});
    assert!(resolve(&policy, &[]).is_ok());
    policy["Resources"]["policy"]["OverrideSettings"]["PolicyName"] = json!("FAIL");
    refused(TemplateKind::Fleet, &policy, &["OverrideSettings.PolicyName", "nothing"]);
}

// 2.5 functions

#[test]
fn join_puts_the_delimiter_between() {
    named(json!({ "Fn::Join": ["-", ["a", { "Ref": ID }, "c"]] }), "a-5d0c-c");
    named(json!({ "Fn::Join": ["", ["a", "b"]] }), "ab");
    named(json!({ "Fn::Join": ["-", { "Fn::FindInMap": ["Map", "top", "list"] }] }), "x-y");
    for wrong in [json!("x"), json!(["-"]), json!([{ "Ref": ID }, []]), json!(["-", "a"])] {
        refused(TemplateKind::Fleet, &with_name(json!({ "Fn::Join": wrong })), &["ThingName.Fn::Join"]);
    }
    refused(TemplateKind::Fleet, &with_name(json!({ "Fn::Join": ["-", ["a", null]] })), &["Fn::Join[1][1]", "null"]);
}

#[test]
fn select_counts_from_zero_as_text_or_number() {
    named(json!({ "Fn::Select": ["1", ["a", "b"]] }), "b");
    named(json!({ "Fn::Select": [0, ["a", "b"]] }), "a");
    named(json!({ "Fn::Select": [{ "Fn::Sub": "1" }, { "Fn::Split": [",", { "Ref": "Serial" }] }] }), "b");
    fails(&with_name(json!({ "Fn::Select": ["2", ["a", "b"]] })), &["ThingName", "Fn::Select", "\"2\"", "below 2"]);
    fails(&with_name(json!({ "Fn::Select": [{ "Ref": "Serial" }, ["a"]] })), &["Fn::Select", "\"a,b,c\""]);
    fails(&with_name(json!({ "Fn::Select": [1, ["a", null]] })), &["Fn::Select", "null"]);
    for wrong in [json!(["-1", ["a"]]), json!([1.5, ["a"]]), json!([true, ["a"]]), json!(["0"]), json!(["0", "a"])] {
        refused(TemplateKind::Fleet, &with_name(json!({ "Fn::Select": wrong })), &["ThingName.Fn::Select"]);
    }
}

#[test]
fn find_in_map_needs_all_three_keys_and_the_right_shape() {
    named(json!({ "Fn::FindInMap": ["Map", "top", "text"] }), "found");
    named(json!({ "Fn::FindInMap": ["Map", { "Fn::Join": ["", ["t", "op"]] }, "text"] }), "found");
    for keys in [["None", "top", "text"], ["Map", "none", "text"], ["Map", "top", "none"]] {
        fails(&with_name(json!({ "Fn::FindInMap": keys })), &["ThingName", "Fn::FindInMap", "one\""]);
    }
    fails(&with_name(json!({ "Fn::FindInMap": ["Map", "top", "list"] })), &["ThingName", "a list", "a text"]);
    let groups = with("/Resources/thing/Properties/ThingGroups", json!({ "Fn::FindInMap": ["Map", "top", "text"] }));
    fails(&groups, &["ThingGroups", "\"found\"", "a list"]);
    refused(TemplateKind::Fleet, &with_name(json!({ "Fn::FindInMap": ["Map", "top"] })), &["Fn::FindInMap"]);
}

#[test]
fn split_gives_a_list_and_no_text() {
    named(json!({ "Fn::Select": [2, { "Fn::Split": [",", { "Ref": "Serial" }] }] }), "c");
    refused(TemplateKind::Fleet, &with_name(json!({ "Fn::Split": [",", "a"] })), &["Fn::Split", "Fn::Select"]);
    let empty = json!({ "Fn::Select": [0, { "Fn::Split": ["", "a"] }] });
    refused(TemplateKind::Fleet, &with_name(empty), &["Fn::Split", "not empty"]);
}

#[test]
fn sub_takes_parameters_and_its_own_variables() {
    named(json!({ "Fn::Sub": "press-${AWS::IoT::Certificate::Id}" }), "press-5d0c");
    named(json!({ "Fn::Sub": ["${a}${a}-${Serial}", { "a": { "Ref": ID }, "Serial": "own" }] }), "5d0c5d0c-own");
    named(json!({ "Fn::Sub": "plain" }), "plain");
    fails(&with_name(json!({ "Fn::Sub": "${!Serial}" })), &["ThingName", "${Serial}"]);
    for wrong in ["${Serial", "${}", "a${"] {
        refused(TemplateKind::Fleet, &with_name(json!({ "Fn::Sub": wrong })), &["ThingName.Fn::Sub", "closed"]);
    }
    for wrong in [json!(7), json!(["a"]), json!(["a", []]), json!([{}, {}])] {
        refused(TemplateKind::Fleet, &with_name(json!({ "Fn::Sub": wrong })), &["ThingName.Fn::Sub", "text with"]);
    }
}

#[test]
fn a_function_stands_alone_and_a_value_is_a_text() {
    refused(TemplateKind::Fleet, &with_name(json!({ "Ref": ID, "x": 1 })), &["ThingName", "alone"]);
    for value in [json!(7), json!(true), json!(null), json!([]), json!({}), json!({ "a": "b" })] {
        refused(TemplateKind::Fleet, &with_name(value), &["ThingName", "a text or a function"]);
    }
    refused(TemplateKind::Fleet, &with_name(json!({ "Ref": 7 })), &["ThingName.Ref", "7"]);
}

#[test]
fn mappings_hold_literals_on_two_levels() {
    for (wrong, place) in [
        (json!({ "Map": { "top": { "x": { "Ref": ID } } } }), "Mappings.Map.top.x"),
        (json!({ "Map": { "top": { "x": 7 } } }), "Mappings.Map.top.x"),
        (json!({ "Map": { "top": { "x": ["a", 7] } } }), "Mappings.Map.top.x"),
        (json!({ "Map": { "top": "x" } }), "Mappings.Map.top"),
        (json!([]), "Mappings"),
    ] {
        refused(TemplateKind::Fleet, &with("/Mappings", wrong), &[place, "expected"]);
    }
}

#[test]
fn device_configuration_is_a_flat_map() {
    let nested = with("/DeviceConfiguration", json!({ "mqtt": { "port": "8883" } }));
    refused(TemplateKind::Fleet, &nested, &["DeviceConfiguration.mqtt", "a text or a function"]);
    let plan = resolve(&with("/DeviceConfiguration", json!({ "id": { "Ref": ID } })), &[]).unwrap();
    assert_eq!(plan.device_configuration["id"], "5d0c");
}

#[test]
fn functions_that_would_produce_text_without_end_are_stopped() {
    let mut value = json!("aaaaaaaaaa");
    for _ in 0..20 {
        value = json!({ "Fn::Join": ["aaaaaaaaaa", { "Fn::Split": ["a", value] }] });
    }
    let body = with("/DeviceConfiguration", json!({ "long": value }));
    fails(&body, &["DeviceConfiguration.long", "1 MiB"]);
}
