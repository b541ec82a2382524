//! Why provisioning failed, at which arrow of the flow, and whether trying again may help.

use std::fmt;
use std::time::Duration;

use aether_mqtt::{ConnectError, CredentialsError, PublishError, SessionEnded, SubscribeError};

use crate::{InvalidName, StoreError, TemplateName};

/// An arrow of the provisioning flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Connecting with the claim certificate.
    Connect,
    /// Subscribing to the answers of CreateKeysAndCertificate.
    SubscribeCreate,
    /// Asking for keys and a certificate.
    Create,
    /// Subscribing to the answers of RegisterThing.
    SubscribeRegister,
    /// Asking for the Thing.
    Register,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting with the claim certificate",
            Self::SubscribeCreate => "subscribing to the answers of CreateKeysAndCertificate",
            Self::Create => "waiting for CreateKeysAndCertificate",
            Self::SubscribeRegister => "subscribing to the answers of RegisterThing",
            Self::Register => "waiting for RegisterThing",
        })
    }
}

/// Why an attempt at provisioning ended without an identity.
///
/// [`is_retryable`](Self::is_retryable) tells whether another attempt may succeed without a change on this side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// No connection with the claim certificate.
    #[error("could not connect with the claim certificate")]
    Connect(#[source] ConnectError),
    /// The connection ended in the middle. AWS IoT Core hangs up on what a policy denies.
    #[error(
        "the claim session ended while {step} \
         (claim certificate missing policy, inactive, or wrong endpoint, if this repeats)"
    )]
    Ended {
        /// The arrow that was under way.
        step: Step,
        /// How the session ended.
        #[source]
        source: SessionEnded,
    },
    /// The broker refused a subscription.
    #[error("the broker refused while {step} (claim certificate missing policy)")]
    SubscriptionRefused {
        /// The arrow that was under way.
        step: Step,
        /// What the session said.
        #[source]
        source: SubscribeError,
    },
    /// A request could not be sent, as its size is beyond what the broker takes. Final.
    #[error("the request could not be sent while {step}")]
    Request {
        /// The arrow that was under way.
        step: Step,
        /// What the session said.
        #[source]
        source: PublishError,
    },
    /// No answer came in time.
    #[error("no answer within {after:?} while {step}")]
    Silent {
        /// The arrow that was under way.
        step: Step,
        /// The time that was allowed.
        after: Duration,
    },
    /// The service answered with a rejection.
    #[error("the service rejected the request while {step}: status {status_code}, {error_code}: {error_message}")]
    Rejected {
        /// The arrow that was under way.
        step: Step,
        /// `statusCode` of the answer.
        status_code: i64,
        /// `errorCode` of the answer.
        error_code: String,
        /// `errorMessage` of the answer.
        error_message: String,
    },
    /// The service's answer could not be understood.
    #[error("the answer could not be used while {step}")]
    Answer {
        /// The arrow that was under way.
        step: Step,
        /// What is wrong with it.
        #[source]
        source: AnswerProblem,
    },
    /// The template registered a certificate but no Thing. Final.
    #[error(
        "template {template} answered without a thingName: \
         its \"Resources\" lacks a resource of \"Type\": \"AWS::IoT::Thing\" with a \"ThingName\""
    )]
    NoThingName {
        /// The template asked for.
        template: TemplateName,
    },
    /// The identity could not be loaded or kept. Final.
    #[error("the identity store failed")]
    Store(#[source] StoreError),
}

/// What is wrong with an answer of the service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerProblem {
    /// Not the JSON that belongs there. The text itself is not shown: it may hold a key.
    #[error("not the expected JSON at line {line}, column {column}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A name in the answer is not valid.
    #[error("a name in the answer is not valid")]
    Name(#[source] InvalidName),
    /// Certificate and key of the answer make no credentials.
    #[error("certificate and key in the answer cannot be used")]
    Credentials(#[source] CredentialsError),
}

/// How soon to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As after any broken connection.
    Normal,
    /// Slower: somebody has to change something in the cloud, or asked us to slow down.
    Slow,
    /// Not at all.
    Never,
}

impl ProvisionError {
    /// Whether another attempt may succeed without a change on this side.
    ///
    /// Retryable: broken or refused connections, silence, answers that make no sense, and rejections with status 403
    /// (a hook may change its mind), 429 and 5xx. Final: every other rejection, a template without a Thing, a request
    /// that is too large, and a store that fails.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.pace() != Pace::Never
    }

    pub(crate) fn pace(&self) -> Pace {
        match self {
            Self::Connect(error) if error.is_retryable() => Pace::Normal,
            Self::Silent { .. } => Pace::Normal,
            Self::Ended { .. } | Self::SubscriptionRefused { .. } | Self::Answer { .. } => Pace::Slow,
            Self::Rejected { status_code, .. } => match status_code {
                500..=599 => Pace::Normal,
                403 | 429 => Pace::Slow,
                400..=499 => Pace::Never,
                _ => Pace::Slow,
            },
            Self::Connect(_) | Self::Request { .. } | Self::NoThingName { .. } | Self::Store(_) => Pace::Never,
        }
    }
}
