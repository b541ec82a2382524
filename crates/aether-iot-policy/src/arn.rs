//! Resource names: `arn:aws:iot:<region>:<account>:<kind>/<name>`.

use std::fmt;
use std::str::FromStr;

use crate::Action;
use crate::error::Shown;

/// Makes resource names of one Region and account (sheet, section 3.2).
///
/// ```
/// use aether_iot_policy::Arns;
///
/// let arns = Arns::new("eu-west-1", "123456789012")?;
/// assert_eq!(arns.topic("line7-press3").as_str(), "arn:aws:iot:eu-west-1:123456789012:topic/line7-press3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arns {
    region: String,
    account: String,
    prefix: String,
}

/// A setting of [`Arns::new`] that no resource name can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {found}, expected {expected}")]
pub struct InvalidArns {
    setting: &'static str,
    found: Shown,
    expected: &'static str,
}

impl Arns {
    /// Resource names in `region` (such as `eu-west-1`) of `account` (12 digits).
    ///
    /// The partition is `aws-cn` for Regions that start with `cn-`, `aws-us-gov` for `us-gov-`, else `aws`.
    ///
    /// # Errors
    ///
    /// A Region is 1 to 32 of `a-z`, `0-9` and `-`, an account 12 digits.
    pub fn new(region: &str, account: &str) -> Result<Self, InvalidArns> {
        let is_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || region.len() > 32 || !region.chars().all(is_region) {
            let expected = "1 to 32 of a-z, 0-9 and -, such as \"eu-west-1\"";
            return Err(InvalidArns { setting: "region", found: Shown::quoted(region), expected });
        }
        if account.len() != 12 || !account.chars().all(|c| c.is_ascii_digit()) {
            return Err(InvalidArns { setting: "account", found: Shown::quoted(account), expected: "12 digits" });
        }
        let partition = match region {
            china if china.starts_with("cn-") => "aws-cn",
            gov if gov.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let prefix = format!("arn:{partition}:iot:{region}:{account}:");
        Ok(Self { region: region.to_owned(), account: account.to_owned(), prefix })
    }

    /// The Region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// `client/<client id>`: for Connect and DeleteConnection.
    pub fn client(&self, client_id: &str) -> Resource {
        self.resource("client", client_id)
    }

    /// `topic/<topic>`: for Publish, RetainPublish, Receive and GetRetainedMessage.
    pub fn topic(&self, topic: &str) -> Resource {
        self.resource("topic", topic)
    }

    /// `topicfilter/<filter>`: for Subscribe.
    pub fn topic_filter(&self, filter: &str) -> Resource {
        self.resource("topicfilter", filter)
    }

    /// `thing/<name>`: for shadows and jobs over HTTPS. A named shadow is `<thing>/<shadow>`.
    pub fn thing(&self, name: &str) -> Resource {
        self.resource("thing", name)
    }

    /// `rolealias/<name>`: for AssumeRoleWithCertificate.
    pub fn role_alias(&self, name: &str) -> Resource {
        self.resource("rolealias", name)
    }

    /// The resource `action` is checked on, for a client id, topic, filter, Thing or role alias called
    /// `name`; `*` for an action without one.
    pub fn for_action(&self, action: Action, name: &str) -> Resource {
        action.resource_type().map_or_else(Resource::any, |kind| self.resource(kind, name))
    }

    fn resource(&self, kind: &str, name: &str) -> Resource {
        Resource([self.prefix.as_str(), kind, "/", name].concat())
    }
}

/// The full name of what a request is about: an ARN, or `*` for an action without a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource(String);

/// A text that is no resource name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resource is {found}, expected \"*\" or six parts such as \"arn:aws:iot:eu-west-1:123456789012:topic/a\"")]
pub struct InvalidResource {
    found: Shown,
}

impl Resource {
    /// The resource of an action without one, `*`.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Resource {
    type Err = InvalidResource;

    fn from_str(text: &str) -> Result<Self, InvalidResource> {
        let mut parts = text.splitn(6, ':');
        let is_arn = parts.next() == Some("arn") && parts.nth(4).is_some_and(|tail| !tail.is_empty());
        match is_arn || text == "*" {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidResource { found: Shown::quoted(text) }),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_is_checked_on_the_resource_of_the_sheet() {
        let arns = Arns::new("eu-west-1", "123456789012").unwrap();
        for (action, tail) in [
            (Action::Connect, "client/x"),
            (Action::DeleteConnection, "client/x"),
            (Action::Publish, "topic/x"),
            (Action::RetainPublish, "topic/x"),
            (Action::Receive, "topic/x"),
            (Action::GetRetainedMessage, "topic/x"),
            (Action::Subscribe, "topicfilter/x"),
            (Action::GetThingShadow, "thing/x"),
            (Action::UpdateThingShadow, "thing/x"),
            (Action::DeleteThingShadow, "thing/x"),
            (Action::ListNamedShadowsForThing, "thing/x"),
            (Action::DescribeJobExecution, "thing/x"),
            (Action::GetPendingJobExecutions, "thing/x"),
            (Action::StartNextPendingJobExecution, "thing/x"),
            (Action::UpdateJobExecution, "thing/x"),
            (Action::AssumeRoleWithCertificate, "rolealias/x"),
        ] {
            let expected = format!("arn:aws:iot:eu-west-1:123456789012:{tail}");
            assert_eq!(arns.for_action(action, "x").as_str(), expected, "{action}");
        }
        assert_eq!(arns.for_action(Action::ListRetainedMessages, "x"), Resource::any());
    }

    #[test]
    fn other_partitions_follow_the_region() {
        let china = Arns::new("cn-north-1", "123456789012").unwrap();
        assert_eq!(china.client("a").as_str(), "arn:aws-cn:iot:cn-north-1:123456789012:client/a");
    }

    #[test]
    fn regions_and_accounts_that_cannot_be_are_refused() {
        for (region, account, word) in
            [("", "123456789012", "region"), ("EU", "123456789012", "region"), ("eu-west-1", "12", "account")]
        {
            assert!(Arns::new(region, account).unwrap_err().to_string().contains(word));
        }
    }

    #[test]
    fn resources_parse_from_arns_and_the_star_only() {
        for good in ["*", "arn:aws:iot:eu-west-1:123456789012:topic/a:b", "arn:aws:iot:::x"] {
            assert_eq!(good.parse::<Resource>().unwrap().to_string(), good);
        }
        for bad in ["", "topic/a", "arn:aws:iot:eu-west-1", "arn:aws:iot:eu-west-1:123456789012:", "brn:a:b:c:d:e"] {
            assert!(bad.parse::<Resource>().is_err(), "{bad}");
        }
    }
}
