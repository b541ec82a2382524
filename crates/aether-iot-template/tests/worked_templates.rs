//! Whole templates: the worked one of the sheet, those of the guides, and one with every function.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};

use aether_iot_template::{
    CertificateSource, Override, Parameters, Plan, PlannedStatus, PolicyPlan, PrincipalType, SubjectField, Template,
    TemplateKind,
};

const WORKED: &str = include_str!("data/worked-fleet.json");
const DEVICE_CLIENT: &str = include_str!("data/device-client.json");
const CONSOLE: &str = include_str!("data/console-wizard.json");
const JITP: &str = include_str!("data/jitp.json");
const EVERY_FUNCTION: &str = include_str!("data/every-function.json");

fn parameters(pairs: &[(&str, &str)]) -> Parameters {
    let mut parameters = Parameters::new();
    parameters.set_certificate_id("5d0c");
    parameters.extend(pairs.iter().copied()).unwrap();
    parameters
}

fn fleet(body: &str, pairs: &[(&str, &str)]) -> Plan {
    Template::parse(TemplateKind::Fleet, body).unwrap().resolve(&parameters(pairs)).unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_worked_template_of_the_sheet_gives_thing_policy_and_configuration() {
    let plan = fleet(WORKED, &[("SerialNumber", "P3-00017")]);
    let thing = plan.thing.unwrap();
    assert_eq!(thing.name, "aether-P3-00017");
    assert_eq!(thing.attributes, Some(map(&[("serial", "P3-00017"), ("site", "hall-b")])));
    assert_eq!((thing.thing_type, thing.groups), (None, Some(BTreeSet::new())));
    let settings = thing.overrides;
    assert_eq!(
        (settings.attributes, settings.thing_type, settings.groups),
        (Override::Merge, Override::Replace, Override::DoNothing)
    );
    assert_eq!(plan.certificate.source, CertificateSource::Id("5d0c".into()));
    assert_eq!(plan.certificate.status, PlannedStatus::Active);
    assert_eq!(plan.certificate.override_status, Override::Replace);
    assert_eq!(plan.policies, [PolicyPlan::Named("aether-device".into())]);
    assert_eq!(plan.device_configuration, map(&[("publishIntervalMs", "1000")]));

    let moved = fleet(WORKED, &[("SerialNumber", "P3-00017"), ("Site", "hall-a")]);
    assert_eq!(moved.device_configuration, map(&[("publishIntervalMs", "500")]));
}

#[test]
fn the_device_client_guides_template_names_the_thing_after_its_certificate() {
    let plan = fleet(DEVICE_CLIENT, &[]);
    let thing = plan.thing.unwrap();
    assert_eq!(thing.name, "FPTemplateName-5d0c");
    assert_eq!((thing.attributes, thing.groups), (Some(BTreeMap::new()), Some(BTreeSet::new())));
    assert_eq!(plan.certificate.status, PlannedStatus::Active);
    assert_eq!(plan.policies, [PolicyPlan::Named("FPCertPolicy".into())]);
    assert!(plan.device_configuration.is_empty());
}

#[test]
fn the_console_wizards_template_is_understood() {
    let template = Template::parse(TemplateKind::Fleet, CONSOLE).unwrap();
    assert_eq!(template.plain_policy_names().collect::<Vec<_>>(), ["esp32_device"]);
    assert_eq!(
        template.parameters().collect::<Vec<_>>(),
        [("AWS::IoT::Certificate::Id", None), ("SerialNumber", None)]
    );
    let thing = template.resolve(&parameters(&[("SerialNumber", "24:0A")])).unwrap().thing.unwrap();
    assert_eq!(thing.name, "esp32dkc_24:0A");
    assert_eq!(thing.thing_type.as_deref(), Some("esp32"));
    assert_eq!(thing.groups, Some(set(&["boards"])));
}

#[test]
fn a_jitp_template_takes_its_values_from_the_subject() {
    let template = Template::parse(TemplateKind::Jitp, JITP).unwrap();
    let mut parameters = parameters(&[("AWS::IoT::Certificate::CommonName", "forged")]);
    parameters.set_subject(SubjectField::CommonName, "press-3");
    parameters.set_subject(SubjectField::SerialNumber, "00017");
    let lacking = template.resolve(&parameters).unwrap_err().to_string();
    assert_eq!(lacking, "parameter \"AWS::IoT::Certificate::Country\" is listed but the certificate has no such value");
    parameters.set_subject(SubjectField::Country, "CH");
    let plan = template.resolve(&parameters).unwrap();
    let thing = plan.thing.unwrap();
    assert_eq!(thing.name, "press-3");
    assert_eq!(thing.attributes, Some(map(&[("country", "CH"), ("serial", "00017")])));
    let [PolicyPlan::Inline { name, document }] = plan.policies.as_slice() else { panic!("{:?}", plan.policies) };
    assert_eq!(name.len(), 64);
    assert!(document.starts_with("{\"Version\""), "a text is kept as it stood: {document}");
}

#[test]
fn every_function_works_where_it_stands() {
    let template = Template::parse(TemplateKind::Fleet, EVERY_FUNCTION).unwrap();
    assert_eq!(template.notes(), ["Resources.thing.Properties.PackageVersions is accepted and not acted upon"]);
    let plan = template.resolve(&parameters(&[("SerialNumber", "17")])).unwrap();
    let thing = plan.thing.unwrap();
    assert_eq!(thing.name, "press3_17");
    assert_eq!(thing.attributes, Some(map(&[("line", "line7"), ("place", "hall-a/line7/press3")])));
    assert_eq!(thing.thing_type.as_deref(), Some("press"));
    assert_eq!(thing.groups, Some(set(&["hall-a", "presses"])));
    assert_eq!(thing.billing_group.as_deref(), Some("cost-17"));
    assert_eq!(plan.certificate.status, PlannedStatus::Inactive);
    assert_eq!(plan.certificate.principal_type, PrincipalType::Exclusive);
    assert_eq!(plan.certificate.override_status, Override::Fail);
    assert_eq!(plan.device_configuration, map(&[("hint", "write ${Name} as 17"), ("interval", "500")]));
    assert_eq!(plan.policies[0], PolicyPlan::Named("aether-device".into()));
    let PolicyPlan::Inline { document, .. } = &plan.policies[1] else { panic!("{:?}", plan.policies) };
    assert_eq!(
        document,
        concat!(
            r#"{"Statement":[{"Action":["iot:Publish"],"Effect":"Allow","#,
            r#""Resource":"arn:aws:iot:eu-west-1:123456789012:topic/17"}],"Version":"2012-10-17"}"#
        )
    );
}

#[test]
fn a_hooks_override_wins_over_the_devices_value() {
    let mut parameters = parameters(&[("SerialNumber", "1"), ("Site", "hall-b")]);
    parameters.insert("Site", "hall-a").unwrap();
    let plan = Template::parse(TemplateKind::Fleet, WORKED).unwrap().resolve(&parameters).unwrap();
    assert_eq!(plan.device_configuration, map(&[("publishIntervalMs", "500")]));
}
