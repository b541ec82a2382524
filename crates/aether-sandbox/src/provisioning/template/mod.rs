//! The provisioning template: read strictly at the start, filled in at each `RegisterThing`.

mod expression;
mod parse;

use std::collections::BTreeMap;

use serde_json::json;

use self::expression::Expression;
use super::request::Rejection;
use crate::CertificateStatus;
use crate::account::DEVICE_POLICY;

/// Longest template body (sheet, 1.6).
const MAX_CHARS: usize = 10_240;
/// The parameter the sandbox itself fills in.
const CERTIFICATE_ID: &str = "AWS::IoT::Certificate::Id";

/// A fleet provisioning template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Declared parameters with their defaults.
    parameters: BTreeMap<String, Option<String>>,
    thing: Option<ThingResource>,
    status: Expression,
    policies: Vec<Expression>,
    device_configuration: BTreeMap<String, Expression>,
}

#[derive(Clone, Debug)]
struct ThingResource {
    name: Expression,
    attributes: BTreeMap<String, Expression>,
}

/// What `RegisterThing` shall do with a pending certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// Name and attributes of the Thing; a template may declare none.
    pub(crate) thing: Option<(String, BTreeMap<String, String>)>,
    pub(crate) status: CertificateStatus,
    pub(crate) policies: Vec<String>,
}

/// A template filled in for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) registration: Registration,
    pub(crate) device_configuration: BTreeMap<String, String>,
}

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

impl Template {
    /// Policy names the template states as plain text.
    pub(crate) fn plain_policies(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().filter_map(|policy| match policy {
            Expression::Text(name) => Some(name.as_str()),
            Expression::Ref(_) | Expression::Join(..) => None,
        })
    }

    /// Fills the template in. Parameters it does not declare are ignored (sheet, 2.2).
    pub(crate) fn fill(&self, given: &BTreeMap<String, String>, certificate_id: &str) -> Result<Filled, Rejection> {
        let mut values = BTreeMap::new();
        for (name, default) in &self.parameters {
            let value = given.get(name).or(default.as_ref());
            if let Some(value) = value {
                values.insert(name.as_str(), value.as_str());
            }
        }
        values.insert(CERTIFICATE_ID, certificate_id);
        let values = &values;
        let texts = |expressions: &BTreeMap<String, Expression>| {
            expressions
                .iter()
                .map(|(name, value)| Ok((name.clone(), value.evaluate(values)?)))
                .collect::<Result<BTreeMap<_, _>, Rejection>>()
        };
        let thing = match &self.thing {
            Some(thing) => {
                let name = thing_name(thing.name.evaluate(values)?)?;
                let attributes = texts(&thing.attributes)?;
                check_attributes(&attributes)?;
                Some((name, attributes))
            }
            None => None,
        };
        let status = match self.status.evaluate(values)?.to_ascii_uppercase().as_str() {
            "ACTIVE" => CertificateStatus::Active,
            "INACTIVE" => CertificateStatus::Inactive,
            other => {
                let message = format!("Certificate status {other} is neither ACTIVE nor INACTIVE.");
                return Err(Rejection::parameters(message));
            }
        };
        let policies = self.policies.iter().map(|policy| policy.evaluate(values)).collect::<Result<_, _>>()?;
        Ok(Filled {
            registration: Registration { thing, status, policies },
            device_configuration: texts(&self.device_configuration)?,
        })
    }
}

/// Checks a Thing name: 1 to 128 of `a-z A-Z 0-9 : _ -` (sheet, 1.6).
fn thing_name(name: String) -> Result<String, Rejection> {
    let good = (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte));
    match good {
        true => Ok(name),
        false => Err(Rejection::parameters(format!("{name:?} is not a Thing name."))),
    }
}

/// Checks attributes: at most 3 without a thing type, names and values as in the sheet, 1.6.
fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), Rejection> {
    let fits = |text: &str, most: usize, marks: &[u8]| {
        text.len() <= most && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
    };
    let good = attributes.len() <= 3
        && attributes
            .iter()
            .all(|(name, value)| !name.is_empty() && fits(name, 128, b"_.,@/:#-") && fits(value, 800, b"_.,@/:#=[]-"));
    match good {
        true => Ok(()),
        false => Err(Rejection::parameters(
            "Thing attributes are too many, too long or hold characters that are not allowed.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn with_thing_name(expression: &Value) -> String {
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["Resources"]["thing"]["Properties"]["ThingName"] = expression.clone();
        body.to_string()
    }

    #[track_caller]
    fn refused(body: &str, words: &[&str]) {
        let said = Template::parse(body).unwrap_err().to_string();
        for word in words {
            assert!(said.contains(word), "{said:?} does not say {word:?}");
        }
    }

    #[test]
    fn the_default_template_names_the_thing_after_the_serial_number() {
        let template = Template::parse(&default_template()).unwrap();
        let filled = template.fill(&given(&[("SerialNumber", "P3-00017")]), "id").unwrap();
        let expected = Registration {
            thing: Some(("aether-P3-00017".into(), BTreeMap::new())),
            status: CertificateStatus::Active,
            policies: vec!["aether-device".into()],
        };
        assert_eq!(filled.registration, expected);
        let unnumbered = template.fill(&given(&[("Other", "x")]), "id").unwrap();
        assert_eq!(unnumbered.registration.thing.unwrap().0, "aether-unnumbered");
    }

    #[test]
    fn a_device_cannot_choose_its_own_certificate_id() {
        let body = with_thing_name(&json!({ "Ref": CERTIFICATE_ID }));
        let filled = Template::parse(&body).unwrap();
        let filled = filled.fill(&given(&[(CERTIFICATE_ID, "forged")]), "real").unwrap();
        assert_eq!(filled.registration.thing.unwrap().0, "real");
    }

    #[test]
    fn a_missing_parameter_or_a_bad_thing_name_rejects_the_request() {
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["Parameters"]["SerialNumber"] = json!({ "Type": "String" });
        let template = Template::parse(&body.to_string()).unwrap();
        let rejection = template.fill(&BTreeMap::new(), "id").unwrap_err();
        assert_eq!((rejection.status, rejection.code), (400, "InvalidParameters"));
        for serial in ["a b", "ä", "a/b", &"x".repeat(128)] {
            assert!(template.fill(&given(&[("SerialNumber", serial)]), "id").is_err(), "{serial}");
        }
    }

    #[test]
    fn device_configuration_and_attributes_may_use_functions() {
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["DeviceConfiguration"] = json!({ "name": { "Fn::Join": ["", ["n", { "Ref": "SerialNumber" }]] } });
        body["Resources"]["thing"]["Properties"]["AttributePayload"] = json!({ "serial": { "Ref": "SerialNumber" } });
        body["Resources"]["certificate"]["Properties"]["Status"] = json!("Inactive");
        let template = Template::parse(&body.to_string()).unwrap();
        let filled = template.fill(&given(&[("SerialNumber", "7")]), "id").unwrap();
        assert_eq!(filled.device_configuration, given(&[("name", "n7")]));
        assert_eq!(filled.registration.thing.unwrap().1, given(&[("serial", "7")]));
        assert_eq!(filled.registration.status, CertificateStatus::Inactive);
        assert!(template.fill(&given(&[("SerialNumber", "a=b")]), "id").is_err());
    }

    #[test]
    fn what_is_not_supported_yet_is_refused_by_name() {
        refused(
            &with_thing_name(&json!({ "Fn::Sub": "press-${SerialNumber}" })),
            &["Fn::Sub", "not supported yet", "ThingName"],
        );
        refused(&with_thing_name(&json!({ "Ref": "Nobody" })), &["Nobody", "Parameters"]);
        refused(&with_thing_name(&json!(7)), &["ThingName", "7"]);
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["Resources"]["thing"]["OverrideSettings"] = json!({ "ThingGroups": "REPLACE" });
        refused(&body.to_string(), &["OverrideSettings", "not supported yet"]);
        body["Mappings"] = json!({});
        refused(&body.to_string(), &["Mappings"]);
        refused("{}", &["Resources", "missing"]);
        refused(r#"{"Resources":{}}"#, &["AWS::IoT::Certificate"]);
        refused("nonsense", &["not JSON"]);
    }

    #[test]
    fn unknown_members_at_the_top_are_ignored() {
        let mut body: Value = serde_json::from_str(&default_template()).unwrap();
        body["Version"] = json!("2020");
        assert!(Template::parse(&body.to_string()).is_ok());
    }
}
