//! The three policies a sandbox begins with.

use super::Place;

/// Policy of every claim certificate.
pub(crate) const CLAIM_POLICY: &str = "aether-claim";
/// Policy the default template attaches to every device certificate.
pub(crate) const DEVICE_POLICY: &str = "aether-device";
/// Policy of the observer certificate.
pub(crate) const OBSERVER_POLICY: &str = "aether-observer";

/// The claim policy of the specification, its section 5.
pub(crate) fn claim_policy(place: &Place, template: &str) -> String {
    const DOCUMENT: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "iot:Connect",
      "Resource": "*"
    },
    {
      "Effect": "Allow",
      "Action": [
        "iot:Publish",
        "iot:Receive"
      ],
      "Resource": [
        "arn:aws:iot:<region>:<account-id>:topic/$aws/certificates/create/*",
        "arn:aws:iot:<region>:<account-id>:topic/$aws/provisioning-templates/<template-name>/provision/*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": "iot:Subscribe",
      "Resource": [
        "arn:aws:iot:<region>:<account-id>:topicfilter/$aws/certificates/create/*",
        "arn:aws:iot:<region>:<account-id>:topicfilter/$aws/provisioning-templates/<template-name>/provision/*"
      ]
    }
  ]
}
"#;
    filled_in(place, DOCUMENT).replace("<template-name>", template)
}

/// The device policy of the specification, its section 7.
pub(crate) fn device_policy(place: &Place) -> String {
    const DOCUMENT: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "iot:Connect",
      "Resource": "arn:aws:iot:<region>:<account-id>:client/${iot:ClientId}"
    },
    {
      "Effect": "Allow",
      "Action": "iot:Publish",
      "Resource": "arn:aws:iot:<region>:<account-id>:topic/${iot:ClientId}"
    },
    {
      "Effect": "Allow",
      "Action": "iot:Subscribe",
      "Resource": "arn:aws:iot:<region>:<account-id>:topicfilter/${iot:ClientId}/*"
    },
    {
      "Effect": "Allow",
      "Action": "iot:Receive",
      "Resource": "arn:aws:iot:<region>:<account-id>:topic/${iot:ClientId}/*"
    }
  ]
}
"#;
    filled_in(place, DOCUMENT)
}

/// An operator's policy: watch everything, touch nothing.
pub(crate) fn observer_policy() -> String {
    r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "iot:Connect",
        "iot:Subscribe",
        "iot:Receive"
      ],
      "Resource": "*"
    }
  ]
}
"#
    .to_owned()
}

fn filled_in(place: &Place, document: &str) -> String {
    let partition = format!("arn:{}:", place.partition());
    document
        .replace("arn:aws:", &partition)
        .replace("<region>", &place.region)
        .replace("<account-id>", &place.account_id)
}
