//! The policies of a sandbox: its three own documents and whatever else lies in `DIR/policies`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{ACCOUNT, Policy, REGION};
use crate::StartError;
use crate::disk;

/// Policy of every claim certificate.
pub(crate) const CLAIM_POLICY: &str = "aether-claim";
/// Policy the default template attaches to every device certificate.
pub(crate) const DEVICE_POLICY: &str = "aether-device";
/// Policy of the observer certificate.
pub(crate) const OBSERVER_POLICY: &str = "aether-observer";

/// The policies by name, read once at the start.
#[derive(Debug, Default)]
pub(crate) struct PolicyStore {
    by_name: BTreeMap<String, Arc<Policy>>,
}

impl PolicyStore {
    /// Writes the sandbox's own policies where they are missing, then reads the whole folder.
    pub(crate) fn open(folder: &Path, template: &str) -> Result<Self, StartError> {
        disk::create_private_dir(folder)?;
        let own = [
            (CLAIM_POLICY, claim_policy(template)),
            (DEVICE_POLICY, device_policy()),
            (OBSERVER_POLICY, observer_policy()),
        ];
        for (name, document) in own {
            disk::write_if_missing(&folder.join(format!("{name}.json")), document.as_bytes())?;
        }
        Self::read(folder)
    }

    fn read(folder: &Path) -> Result<Self, StartError> {
        let mut by_name = BTreeMap::new();
        for path in disk::files_with_extension(folder, "json")? {
            let text = std::fs::read_to_string(&path).map_err(StartError::io("read", &path))?;
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if !is_policy_name(name) {
                let cause = format!("policy name {name:?} has characters AWS does not take");
                return Err(StartError::invalid_file(&path, "a name of 1 to 128 of A-Z a-z 0-9 _ + = , . @ -")(cause));
            }
            let policy =
                Policy::parse(name, &text).map_err(StartError::invalid_file(&path, "an IoT policy document"))?;
            by_name.insert(name.to_owned(), Arc::new(policy));
        }
        Ok(Self { by_name })
    }

    /// The policies of these names; a name without a policy allows nothing.
    pub(crate) fn pick<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<Arc<Policy>> {
        names.into_iter().filter_map(|name| self.by_name.get(name).cloned()).collect()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }
}

fn is_policy_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

/// The claim policy of the specification, its section 5.
pub(super) fn claim_policy(template: &str) -> String {
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
    filled_in(DOCUMENT).replace("<template-name>", template)
}

/// The device policy of the specification, its section 7.
pub(super) fn device_policy() -> String {
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
    filled_in(DOCUMENT)
}

/// An operator's policy: watch everything, touch nothing.
pub(super) fn observer_policy() -> String {
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

fn filled_in(document: &str) -> String {
    document.replace("<region>", REGION).replace("<account-id>", ACCOUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_policies_are_written_and_present_ones_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("policies");
        PolicyStore::open(&folder, "Aether").unwrap();
        let device = folder.join("aether-device.json");
        std::fs::write(&device, observer_policy()).unwrap();
        PolicyStore::open(&folder, "Aether").unwrap();
        assert_eq!(std::fs::read_to_string(&device).unwrap(), observer_policy());
    }

    #[test]
    fn a_policy_that_cannot_be_evaluated_stops_the_start_and_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("policies");
        PolicyStore::open(&folder, "Aether").unwrap();
        let path = folder.join("mine.json");
        std::fs::write(
            &path,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"iot:Publish","Resource":"*"}]}"#,
        )
        .unwrap();
        let error = PolicyStore::open(&folder, "Aether").unwrap_err();
        assert!(error.is_usage());
        assert!(error.to_string().contains("mine.json"), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("NotAction"), "{cause}");
    }
}
