//! What is said on the control socket: a line of JSON each.
//!
//! A further command is a variant of [`Request`], and what it answers with one of [`Reply`].

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{
    at_rest::AtRestError,
    cloud::{IdentityStatus, RotateError},
};

/// The longest request and the longest line of an answer other than the last one, in bytes.
pub(super) const MAX_LINE: u64 = 4096;

/// The longest answer: a device configuration fits an MQTT message of 128 KiB, and JSON may write a byte as six.
pub(super) const MAX_ANSWER: u64 = 1024 * 1024;

/// What is asked: `{"command":"rotate"}`. The names are in the error of one that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Request {
    /// Replace the identity now; stages come first.
    Rotate,
    /// Who this device is.
    Identity,
}

/// What is answered.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    /// Something was reached; more follows.
    Stage {
        stage: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// It is done. The last line.
    Done { ok: Reply },
    /// It is not done. The last line.
    Failed {
        error: String,
        #[serde(default)]
        kind: Refusal,
    },
}

/// What a request was for.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Reply {
    Identity(IdentityLine),
}

/// An [`IdentityStatus`]. Times are seconds since 1970-01-01 UTC.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct IdentityLine {
    thing_name: String,
    certificate_id: String,
    not_before: u64,
    not_after: u64,
    device_configuration: BTreeMap<String, String>,
}

/// Why a runtime did not do what it was asked to, as an exit code tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// It failed; asking again may help.
    #[default]
    Failed,
    /// Something on this side has to be changed first.
    Settings,
    /// The cloud refused for good.
    Cloud,
}

impl Refusal {
    fn of(is_configuration: bool, is_refusal: bool) -> Self {
        match (is_configuration, is_refusal) {
            (_, true) => Self::Cloud,
            (true, false) => Self::Settings,
            (false, false) => Self::Failed,
        }
    }
}

impl From<&RotateError> for Refusal {
    fn from(error: &RotateError) -> Self {
        Self::of(error.is_configuration(), error.is_refusal())
    }
}

impl From<&AtRestError> for Refusal {
    fn from(error: &AtRestError) -> Self {
        Self::of(error.is_configuration(), error.is_refusal())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Settings => "settings",
            Self::Cloud => "cloud",
        })
    }
}

impl From<IdentityStatus> for IdentityLine {
    fn from(status: IdentityStatus) -> Self {
        let IdentityStatus { thing_name, certificate_id, not_before, not_after, device_configuration } = status;
        let [not_before, not_after] = [not_before, not_after].map(seconds);
        Self { thing_name, certificate_id, not_before, not_after, device_configuration }
    }
}

impl From<IdentityLine> for IdentityStatus {
    fn from(line: IdentityLine) -> Self {
        let IdentityLine { thing_name, certificate_id, not_before, not_after, device_configuration } = line;
        let [not_before, not_after] = [not_before, not_after].map(time);
        Self { thing_name, certificate_id, not_before, not_after, device_configuration }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written_and_an_unknown_one_hears_the_known_ones() {
        for request in [Request::Rotate, Request::Identity] {
            let line = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        }
        assert_eq!(serde_json::to_string(&Request::Rotate).unwrap(), r#"{"command":"rotate"}"#);
        let error = serde_json::from_str::<Request>(r#"{"command":"format"}"#).unwrap_err().to_string();
        assert!(error.contains("`rotate`") && error.contains("`identity`"), "{error}");
    }

    #[test]
    fn answers_are_told_apart() {
        let stage = Answer::Stage { stage: "claim-connected".to_owned(), detail: None };
        let failed = Answer::Failed { error: "no".to_owned(), kind: Refusal::Cloud };
        let identity = IdentityLine {
            thing_name: "press-3".to_owned(),
            certificate_id: "5d0c".to_owned(),
            not_before: 1,
            not_after: 2,
            device_configuration: BTreeMap::new(),
        };
        for answer in [stage, failed, Answer::Done { ok: Reply::Identity(identity) }] {
            let line = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer, "{line}");
        }
        let bare = serde_json::from_str::<Answer>(r#"{"error":"no"}"#).unwrap();
        assert_eq!(bare, Answer::Failed { error: "no".to_owned(), kind: Refusal::Failed });
    }
}
