//! Where the resources of a policy are: partition, Region and account.

use std::fmt;
use std::str::FromStr;

/// An AWS Region, such as `eu-west-1`: 1 to 32 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Region(Box<str>);

/// The number of an AWS account: 12 digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(Box<str>);

/// A part of AWS with accounts of its own; resource names begin with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Partition {
    /// `aws`: all Regions but those below.
    Aws,
    /// `aws-cn`: the Regions in China.
    China,
    /// `aws-us-gov`: GovCloud (US).
    UsGov,
}

/// Why a text is not a Region, an account or a partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {found:?}, expected {expected}")]
pub struct InvalidCloudAccount {
    what: &'static str,
    found: Box<str>,
    expected: &'static str,
}

/// An account in a Region: what resource names (ARNs) begin with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloudAccount {
    partition: Partition,
    region: Region,
    id: AccountId,
}

impl CloudAccount {
    /// The account `id` in `region`, in the partition the Region's name tells: `aws-cn` for `cn-…`, `aws-us-gov` for
    /// `us-gov-…`, else `aws`.
    #[must_use]
    pub fn new(region: Region, id: AccountId) -> Self {
        let partition = match region.as_str() {
            china if china.starts_with("cn-") => Partition::China,
            gov if gov.starts_with("us-gov-") => Partition::UsGov,
            _ => Partition::Aws,
        };
        Self { partition, region, id }
    }

    /// Another partition than the one the Region's name tells.
    #[must_use]
    pub fn partition(mut self, partition: Partition) -> Self {
        self.partition = partition;
        self
    }

    /// What every resource name in this account begins with: `arn:aws:iot:eu-west-1:123456789012`, without the colon
    /// that follows.
    #[must_use]
    pub fn arn_prefix(&self) -> String {
        format!("arn:{}:iot:{}:{}", self.partition, self.region, self.id)
    }

    /// The resource name with `tail`, such as `topic/line7-press3`.
    pub(super) fn arn(&self, tail: &str) -> String {
        format!("{}:{tail}", self.arn_prefix())
    }
}

impl Region {
    /// The Region as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AccountId {
    /// The account as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Partition {
    /// As resource names write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::UsGov => "aws-us-gov",
        }
    }
}

impl FromStr for Region {
    type Err = InvalidCloudAccount;

    fn from_str(text: &str) -> Result<Self, InvalidCloudAccount> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=32).contains(&text.len()) && text.chars().all(fits) {
            return Ok(Self(text.into()));
        }
        Err(invalid("region", text, "1 to 32 of a-z, 0-9 and '-', such as \"eu-west-1\""))
    }
}

impl FromStr for AccountId {
    type Err = InvalidCloudAccount;

    fn from_str(text: &str) -> Result<Self, InvalidCloudAccount> {
        if text.len() == 12 && text.chars().all(|c| c.is_ascii_digit()) {
            return Ok(Self(text.into()));
        }
        Err(invalid("account", text, "12 digits, such as \"123456789012\""))
    }
}

impl FromStr for Partition {
    type Err = InvalidCloudAccount;

    fn from_str(text: &str) -> Result<Self, InvalidCloudAccount> {
        let known = [Self::Aws, Self::China, Self::UsGov].into_iter().find(|one| one.as_str() == text);
        known.ok_or_else(|| invalid("partition", text, "aws, aws-cn or aws-us-gov"))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn invalid(what: &'static str, found: &str, expected: &'static str) -> InvalidCloudAccount {
    InvalidCloudAccount { what, found: found.chars().take(100).collect(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_follows_the_region_unless_it_is_given() {
        let account = |region: &str| CloudAccount::new(region.parse().unwrap(), "123456789012".parse().unwrap());
        assert_eq!(account("eu-west-1").arn_prefix(), "arn:aws:iot:eu-west-1:123456789012");
        assert_eq!(account("cn-north-1").arn_prefix(), "arn:aws-cn:iot:cn-north-1:123456789012");
        assert_eq!(account("us-gov-west-1").arn_prefix(), "arn:aws-us-gov:iot:us-gov-west-1:123456789012");
        let told = account("eu-west-1").partition("aws-us-gov".parse().unwrap());
        assert_eq!(told.arn("topic/a"), "arn:aws-us-gov:iot:eu-west-1:123456789012:topic/a");
    }

    #[test]
    fn what_no_resource_name_can_hold_is_refused_with_its_name() {
        for wrong in ["", "EU-WEST-1", "eu west", "<region>", "*"] {
            assert!(wrong.parse::<Region>().unwrap_err().to_string().starts_with("region is \""), "{wrong}");
        }
        for wrong in ["", "1234", "12345678901x", "*"] {
            assert!(wrong.parse::<AccountId>().unwrap_err().to_string().contains("12 digits"), "{wrong}");
        }
        let wrong = "aws-eu".parse::<Partition>().unwrap_err();
        assert_eq!(wrong.to_string(), "partition is \"aws-eu\", expected aws, aws-cn or aws-us-gov");
    }
}
