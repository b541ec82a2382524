//! Why provisioning failed, at which arrow of the flow, and whether trying again may help.

use std::fmt;
use std::time::{Duration, SystemTime};

use aether_mqtt::{ConnectError, CredentialsError, PublishError, SessionEnded, SubscribeError};

use crate::{Finding, InvalidName, KeyError, StoreError, TemplateName, ThingName};

/// An arrow of the provisioning flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Making room and, where the device has its own key, the key.
    Prepare,
    /// Connecting with the claim certificate, or with the certificate that is to be replaced.
    Connect,
    /// Subscribing to the answers of CreateKeysAndCertificate.
    SubscribeCreate,
    /// Asking for keys and a certificate.
    Create,
    /// Subscribing to the answers of CreateCertificateFromCsr.
    SubscribeCreateFromCsr,
    /// Asking for a certificate for the device's own key.
    CreateFromCsr,
    /// Subscribing to the answers of RegisterThing.
    SubscribeRegister,
    /// Asking for the Thing.
    Register,
    /// Connecting with the new identity.
    Prove,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "preparing",
            Self::Connect => "connecting to ask for a certificate",
            Self::SubscribeCreate => "subscribing to the answers of CreateKeysAndCertificate",
            Self::Create => "waiting for CreateKeysAndCertificate",
            Self::SubscribeCreateFromCsr => "subscribing to the answers of CreateCertificateFromCsr",
            Self::CreateFromCsr => "waiting for CreateCertificateFromCsr",
            Self::SubscribeRegister => "subscribing to the answers of RegisterThing",
            Self::Register => "waiting for RegisterThing",
            Self::Prove => "connecting with the new identity",
        })
    }
}

/// Why provisioning ended, or was interrupted, without an identity.
///
/// [`is_retryable`](Self::is_retryable) tells whether another attempt may succeed without a change on this side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The clock of this machine cannot be right, so that the claim would be spent for nothing: it is waited for.
    #[error(
        "this machine's clock says {}, which is before {}: set it, for example by NTP",
        seconds(*found), seconds(*least)
    )]
    Clock {
        /// What the clock says.
        found: SystemTime,
        /// The earliest time that can be true: the release of this version, or the claim certificate's `notBefore`.
        least: SystemTime,
    },
    /// The claim's time is over. Final.
    #[error(
        "the claim expired at {} and this machine's clock says {}: bring a new claim certificate",
        seconds(*at), seconds(*found)
    )]
    ClaimExpired {
        /// When it ended: the certificate's `notAfter`, or what the trusted user's answer said.
        at: SystemTime,
        /// What the clock says.
        found: SystemTime,
    },
    /// The device's own key could not be made or used. Final, unless what holds it is only away.
    #[error("the device's private key could not be made")]
    Key(#[source] KeyError),
    /// There is an identity, and its private key is not to be had just now: it is not replaced. Final for this run.
    #[error("the device's identity is there, and its private key is not")]
    KeyAway(#[source] Finding),
    /// No connection to ask for a certificate with.
    #[error("could not connect with the claim certificate")]
    Connect(#[source] ConnectError),
    /// No connection with the new identity.
    #[error("could not connect with the new identity as Thing {thing_name}")]
    Prove {
        /// The Thing's name, which is the client id.
        thing_name: ThingName,
        /// What the connector said.
        #[source]
        source: ConnectError,
    },
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
    /// The ownership token of a request that got lost was refused: it is spent, or too old. Another certificate is asked for.
    #[error(
        "the ownership token of an earlier, unanswered RegisterThing was refused: status {status_code}, {error_code}: \
         {error_message}"
    )]
    TokenRefused {
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
    /// A rotation was answered with another Thing than the device's own. Final.
    #[error(
        "template {template} answered with Thing {found}, but this device is {expected}: \
         a rotation template has to give the Thing the name it has"
    )]
    OtherThing {
        /// The template asked for.
        template: TemplateName,
        /// The Thing this device is.
        expected: ThingName,
        /// The Thing of the answer.
        found: ThingName,
    },
    /// The identity could not be loaded or kept.
    #[error("the identity store failed")]
    Store(#[source] StoreError),
    /// What might have helped was tried often enough. Final.
    #[error("gave up after {attempts} attempts")]
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// Why the last attempt failed.
        #[source]
        last: Box<ProvisionError>,
    },
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
    /// Not the CBOR that belongs there. The content itself is not shown: it may hold a key.
    #[error("not the expected CBOR, {read} of {bytes} bytes read")]
    Cbor {
        /// Size of the answer, in bytes.
        bytes: usize,
        /// How much of it was read.
        read: usize,
    },
    /// The answer lacks the private key.
    #[error("there is no privateKey in it")]
    NoPrivateKey,
    /// The answer lacks the ownership token.
    #[error("its certificateOwnershipToken is empty")]
    NoToken,
    /// A name in the answer is not valid.
    #[error("a name in the answer is not valid")]
    Name(#[source] InvalidName),
    /// Certificate and key make no credentials.
    #[error("the certificate in the answer cannot be used with its key")]
    Credentials(#[source] CredentialsError),
}

/// How soon to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As after any broken connection.
    Normal,
    /// Slower: somebody has to change something in the cloud, or asked us to slow down.
    Slow,
    /// As slow, and a bounded number of times in a row.
    Bounded,
    /// Not at all.
    Never,
}

impl ProvisionError {
    /// Whether another attempt may succeed without a change on this side.
    ///
    /// Retryable: a clock that is not set yet, broken or refused connections, a full disk; slowly, silence; slowly and bounded,
    /// answers that make no sense and status 403 (a hook may change its mind); slowly, status 429; and 5xx. Final: every
    /// other rejection, a template without a Thing, a request that is too large, a claim whose time is over, a store
    /// that may not be written, and what was tried often enough.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.pace() != Pace::Never
    }

    pub(crate) fn pace(&self) -> Pace {
        match self {
            // What was asked may have been done, and asking again may leave something behind.
            Self::Silent { step: Step::Create | Step::CreateFromCsr | Step::Register, .. } => Pace::Slow,
            Self::Clock { .. } | Self::Silent { .. } => Pace::Normal,
            Self::Connect(error) | Self::Prove { source: error, .. } if error.is_retryable() => Pace::Normal,
            Self::Store(error) if error.is_retryable() => Pace::Normal,
            Self::Key(error) if error.is_retryable() => Pace::Slow,
            Self::Ended { .. } | Self::SubscriptionRefused { .. } => Pace::Slow,
            Self::Answer { .. } | Self::TokenRefused { .. } => Pace::Bounded,
            Self::Rejected { status_code, .. } => match status_code {
                500..=599 => Pace::Normal,
                403 => Pace::Bounded,
                400..=428 | 430..=499 => Pace::Never,
                _ => Pace::Slow,
            },
            Self::Connect(_)
            | Self::Prove { .. }
            | Self::Store(_)
            | Self::Key(_)
            | Self::KeyAway(_)
            | Self::ClaimExpired { .. }
            | Self::Request { .. }
            | Self::NoThingName { .. }
            | Self::OtherThing { .. }
            | Self::GaveUp { .. } => Pace::Never,
        }
    }
}

/// A time as people read it, to the second and in UTC.
fn seconds(time: SystemTime) -> String {
    crate::time::rfc3339(time)
}
