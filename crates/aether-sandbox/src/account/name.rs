//! Names of resources, each with AWS's length and alphabet (reference sheet, 1.6).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $also:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(Box<str>);

        impl $name {
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let good = |byte: u8| byte.is_ascii_alphanumeric() || $also.contains(&byte);
                match (1..=$max).contains(&text.len()) && text.bytes().all(good) {
                    true => Ok(Self(text.into())),
                    false => Err(InvalidName { what: $what, found: shortened(text), max: $max, also: $also }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }
    };
}

name! {
    /// Name of a Thing.
    ThingName, "Thing name", 128, b":_-"
}
name! {
    /// Name of a Thing type.
    ThingTypeName, "Thing type name", 128, b":_-"
}
name! {
    /// Name of a Thing group.
    GroupName, "Thing group name", 128, b":_-"
}
name! {
    /// Name of a billing group.
    BillingGroupName, "billing group name", 128, b":_-"
}
name! {
    /// Name of a policy.
    PolicyName, "policy name", 128, b"_+=,.@-"
}
name! {
    /// Name of a provisioning template.
    TemplateName, "template name", 36, b"_-"
}

/// A text that cannot name what it is meant to name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {found:?}, expected 1 to {max} characters of a-z A-Z 0-9 {}", spaced(also))]
pub(crate) struct InvalidName {
    what: &'static str,
    found: String,
    max: usize,
    also: &'static [u8],
}

fn spaced(also: &[u8]) -> String {
    also.iter().map(|&byte| char::from(byte).to_string()).collect::<Vec<_>>().join(" ")
}

/// Enough of a text to recognise it.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 140;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_aws_lengths_and_alphabets() {
        assert!("aether-P3:7_x".parse::<ThingName>().is_ok());
        assert!("a b".parse::<ThingName>().is_err());
        assert!("".parse::<ThingName>().is_err());
        assert!("x".repeat(128).parse::<ThingName>().is_ok());
        assert!("x".repeat(129).parse::<ThingName>().is_err());
        assert!("x".repeat(36).parse::<TemplateName>().is_ok());
        assert!("x".repeat(37).parse::<TemplateName>().is_err());
        assert!("a:b".parse::<TemplateName>().is_err());
        assert!("a+=,.@-b".parse::<PolicyName>().is_ok());
        let error = "é".parse::<PolicyName>().unwrap_err().to_string();
        assert!(error.contains("\"é\"") && error.contains("1 to 128"), "{error}");
    }
}
