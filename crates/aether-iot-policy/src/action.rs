//! The actions AWS IoT Core checks, and the patterns that name them.

use std::fmt;
use std::str::FromStr;

use crate::error::Shown;

/// Writes the enum, its names and the list of all of them from one table.
macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident,)+) => {
        /// What a client asks to do (sheet, section 3.2).
        ///
        /// Parses from `iot:Publish`, from `Publish` and from `TestAuthorization`'s `PUBLISH`: names
        /// compare without case, and the prefix may be left out.
        ///
        /// ```
        /// use aether_iot_policy::Action;
        ///
        /// assert_eq!("PUBLISH".parse(), Ok(Action::Publish));
        /// assert_eq!("iot:RetainPublish".parse::<Action>().unwrap().to_string(), "iot:RetainPublish");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Action { $($(#[$doc])* $variant,)+ }

        impl Action {
            /// Every action, in the order of the sheet.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name as AWS writes it, with its prefix: `iot:Publish`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => concat!("iot:", stringify!($variant)),)+ }
            }
        }
    };
}

actions! {
    /// Each CONNECT, on `client/<client id>`.
    Connect,
    /// Each PUBLISH from the client and its Will, on `topic/<topic>`.
    Publish,
    /// A PUBLISH or Will with RETAIN set, in addition to [`Publish`](Self::Publish).
    RetainPublish,
    /// Each filter of a SUBSCRIBE, on `topicfilter/<filter>`.
    Subscribe,
    /// Each delivery to the client, on `topic/<topic>`.
    Receive,
    /// Reading one retained message over HTTPS, on `topic/<topic>`.
    GetRetainedMessage,
    /// Listing retained messages over HTTPS, on `*`.
    ListRetainedMessages,
    /// Dropping a client's connection, on `client/<client id>`.
    DeleteConnection,
    /// Reading a shadow over HTTPS, on `thing/<name>`.
    GetThingShadow,
    /// Changing a shadow over HTTPS, on `thing/<name>`.
    UpdateThingShadow,
    /// Deleting a shadow over HTTPS, on `thing/<name>`.
    DeleteThingShadow,
    /// Listing a Thing's shadows over HTTPS, on `thing/<name>`.
    ListNamedShadowsForThing,
    /// Reading a job execution over HTTPS, on `thing/<name>`.
    DescribeJobExecution,
    /// Listing pending job executions over HTTPS, on `thing/<name>`.
    GetPendingJobExecutions,
    /// Starting the next job execution over HTTPS, on `thing/<name>`.
    StartNextPendingJobExecution,
    /// Reporting on a job execution over HTTPS, on `thing/<name>`.
    UpdateJobExecution,
    /// Asking the credentials provider for a role, on `rolealias/<name>`.
    AssumeRoleWithCertificate,
}

impl Action {
    fn bit(self) -> u32 {
        1 << self as u32
    }

    /// What the resource of this action starts with: `topic` of `topic/<topic>`. `None` for
    /// [`ListRetainedMessages`](Self::ListRetainedMessages), whose resource is `*`.
    pub fn resource_type(self) -> Option<&'static str> {
        match self {
            Self::Connect | Self::DeleteConnection => Some("client"),
            Self::Publish | Self::RetainPublish | Self::Receive | Self::GetRetainedMessage => Some("topic"),
            Self::Subscribe => Some("topicfilter"),
            Self::ListRetainedMessages => None,
            Self::GetThingShadow
            | Self::UpdateThingShadow
            | Self::DeleteThingShadow
            | Self::ListNamedShadowsForThing
            | Self::DescribeJobExecution
            | Self::GetPendingJobExecutions
            | Self::StartNextPendingJobExecution
            | Self::UpdateJobExecution => Some("thing"),
            Self::AssumeRoleWithCertificate => Some("rolealias"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no action of AWS IoT Core's data plane.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "action is {found}, expected one such as \"iot:Connect\", \"iot:Publish\", \"iot:Subscribe\" or \"iot:Receive\""
)]
pub struct UnknownAction {
    found: Shown,
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        let name = match text.split_at_checked("iot:".len()) {
            Some((prefix, name)) if prefix.eq_ignore_ascii_case("iot:") => name,
            Some(_) | None => text,
        };
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.as_str()["iot:".len()..].eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownAction { found: Shown::quoted(text) })
    }
}

/// The actions a statement names, worked out once into a set of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActionSet {
    patterns: Vec<String>,
    bits: u32,
}

impl ActionSet {
    /// Whether `text` is `*` or a service and an action name, each with wildcards at most.
    ///
    /// Actions of other services pass: policies of devices do name some, `greengrass:Discover` above all.
    pub(crate) fn is_pattern(text: &str) -> bool {
        let is_name = |name: &str, more: &[char]| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
        };
        text == "*"
            || text
                .split_once(':')
                .is_some_and(|(service, name)| is_name(service, &['-']) && is_name(name, &['*', '?']))
    }

    pub(crate) fn new(patterns: Vec<String>) -> Self {
        let mut bits = 0;
        for pattern in &patterns {
            let pattern = pattern.to_ascii_lowercase();
            for action in Action::ALL {
                if covers(pattern.as_bytes(), action.as_str().to_ascii_lowercase().as_bytes()) {
                    bits |= action.bit();
                }
            }
        }
        Self { patterns, bits }
    }

    pub(crate) fn contains(&self, action: Action) -> bool {
        self.bits & action.bit() != 0
    }

    pub(crate) fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

/// Compares ASCII text with a pattern of `*` and `?`, going back to the latest `*` only.
fn covers(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut latest_star = None;
    while p < pattern.len() || t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                p += 1;
                latest_star = Some((p, t));
            }
            (Some(b'?'), Some(_)) => (p, t) = (p + 1, t + 1),
            (Some(wanted), Some(found)) if wanted == found => (p, t) = (p + 1, t + 1),
            _ => match latest_star {
                Some((behind, from)) if from < text.len() => {
                    latest_star = Some((behind, from + 1));
                    (p, t) = (behind, from + 1);
                }
                Some(_) | None => return false,
            },
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_parses_from_each_of_its_forms() {
        for action in Action::ALL {
            let full = action.as_str();
            let bare = &full["iot:".len()..];
            for form in [full.to_owned(), bare.to_owned(), bare.to_uppercase(), full.to_lowercase()] {
                assert_eq!(form.parse(), Ok(*action), "{form}");
            }
        }
    }

    #[test]
    fn an_unknown_action_is_named_in_the_error() {
        for text in ["iot:Fly", "", "s3:GetObject", "iot:", "é", "iot:iot:Publish"] {
            let error = text.parse::<Action>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[track_caller]
    fn check(pattern: &str, expected: &[Action]) {
        let set = ActionSet::new(vec![pattern.to_owned()]);
        let found: Vec<Action> = Action::ALL.iter().copied().filter(|action| set.contains(*action)).collect();
        assert_eq!(found, expected, "{pattern}");
    }

    #[test]
    fn wildcards_and_case_of_action_patterns() {
        check("*", Action::ALL);
        check("iot:*", Action::ALL);
        check("IOT:publish", &[Action::Publish]);
        check("iot:*Publish", &[Action::Publish, Action::RetainPublish]);
        check("iot:Re?eive", &[Action::Receive]);
        check("iot:Re*e", &[Action::Receive]);
        check("iot:Publish?", &[]);
        check("greengrass:*", &[]);
    }

    #[test]
    fn what_is_no_action_pattern_is_told_apart() {
        for good in ["*", "iot:*", "iot:Pub?ish", "greengrass:Discover", "execute-api:Invoke"] {
            assert!(ActionSet::is_pattern(good), "{good}");
        }
        for bad in ["", "iot", "iot:", ":Publish", "iot:Pub lish", "i*t:Publish", "iot:${iot:ClientId}", "iot:a:b"] {
            assert!(!ActionSet::is_pattern(bad), "{bad}");
        }
    }
}
