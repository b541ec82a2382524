//! The template a new sandbox starts with.

use aether_iot_template::CERTIFICATE_ID;
use serde_json::json;

use crate::account::DEVICE_POLICY;

/// The template a new sandbox starts with.
pub(crate) fn default_template() -> String {
    let document = json!({
        "Parameters": {
            "SerialNumber": { "Type": "String", "Default": "unnumbered" },
            CERTIFICATE_ID: { "Type": "String" },
        },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": { "Fn::Join": ["-", ["aether", { "Ref": "SerialNumber" }]] },
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": { "CertificateId": { "Ref": CERTIFICATE_ID }, "Status": "ACTIVE" },
            },
            "policy": {
                "Type": "AWS::IoT::Policy",
                "Properties": { "PolicyName": DEVICE_POLICY },
            },
        },
    });
    format!("{document:#}\n")
}

#[cfg(test)]
mod tests {
    use aether_iot_template::{Parameters, PolicyPlan, Template, TemplateKind};

    use super::*;

    #[test]
    fn it_names_the_thing_after_the_serial_number() {
        let template = Template::parse(TemplateKind::Fleet, &default_template()).unwrap();
        let mut parameters = Parameters::new();
        parameters.set_certificate_id("5d0c");
        let unnumbered = template.resolve(&parameters).unwrap();
        assert_eq!(unnumbered.thing.unwrap().name, "aether-unnumbered");
        parameters.insert("SerialNumber", "P3-00017").unwrap();
        let plan = template.resolve(&parameters).unwrap();
        assert_eq!(plan.thing.unwrap().name, "aether-P3-00017");
        assert_eq!(plan.policies, [PolicyPlan::Named(DEVICE_POLICY.into())]);
    }
}
