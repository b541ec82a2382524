//! What goes into the machine and what comes out of it.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{ConnectError, Message, PrivateKey, PublishError, SessionEnded, SubscribeError, Topic, TopicFilter};

use crate::{Identity, IssuedCertificate, KeyError, ProvisionError, SigningRequest, StoreError};

/// The time of an input, by both clocks, and a random number drawn for it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "drivers build this at every input")]
pub struct Now {
    /// By the monotonic clock, for deadlines.
    pub instant: Instant,
    /// By the calendar, for the age of a token and for whether the claim is valid.
    pub wall: SystemTime,
    /// Evenly drawn from all numbers, for the jitter of delays.
    pub random: u64,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// There is room for what will have to be kept; with the device's own key where [`Action::Prepare`] asked for it.
    Prepared(Option<OwnKey>),
    /// There is none, or another process works here.
    NotPrepared(StoreError),
    /// The device's key could not be made.
    NoKey(KeyError),
    /// The connection that [`Action::Connect`] asked for is there.
    Connected,
    /// It could not be made.
    ConnectFailed(ConnectError),
    /// The broker has acknowledged a subscription.
    Subscribed(TopicFilter),
    /// The broker has refused a subscription.
    SubscribeRefused(SubscribeError),
    /// A request could not be handed over.
    PublishRefused(PublishError),
    /// A message has arrived.
    Message(Message),
    /// What [`Action::Persist`] asked to keep is kept.
    Persisted,
    /// It could not be kept; what was there before still is.
    NotPersisted(StoreError),
    /// The time of [`Provisioner::deadline`](crate::Provisioner::deadline) may have come.
    Elapsed,
    /// The connection has ended.
    Disconnected(SessionEnded),
}

/// What to do next.
#[non_exhaustive]
pub enum Action {
    /// Make sure that records can be kept, and have the device's own key ready where `own_key` says so: the one staged
    /// before, or a new one, staged. Then say [`Input::Prepared`].
    Prepare {
        /// Whether the certificate will be asked for with the device's own key.
        own_key: bool,
    },
    /// Connect.
    Connect(Login),
    /// Subscribe.
    Subscribe(TopicFilter),
    /// Publish a request. Its payload may hold a token.
    Publish {
        /// On this topic.
        topic: Topic,
        /// This payload.
        payload: Vec<u8>,
    },
    /// Keep this durably, then say [`Input::Persisted`].
    Persist(Record),
    /// Say goodbye to the broker and close the connection.
    Disconnect,
    /// Nothing to do but to tell: this went wrong.
    Report {
        /// What went wrong.
        error: ProvisionError,
        /// How long until it is tried again; `None` if the run goes on without it.
        retry_in: Option<Duration>,
    },
    /// Here is the identity. The connection that is open is its own.
    Done(Identity),
}

/// Who connects.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a flow has two sessions")]
pub enum Login {
    /// The one who asks: the claim certificate, or the device's present certificate for a rotation.
    Claim,
    /// The new identity, with its Thing name as client id.
    Device(Identity),
}

/// What has to survive a restart.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Record {
    /// A certificate that was issued, with its key and token.
    Issued(IssuedCertificate),
    /// An identity that is registered.
    Registered(Identity),
    /// An identity that has connected: from now on the active one.
    Proven(Identity),
}

/// A key that the device made, and the request for a certificate of it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "two halves of one thing, for drivers to build")]
pub struct OwnKey {
    /// The private key.
    pub key: PrivateKey,
    /// The signing request made with it.
    pub request: SigningRequest,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare { own_key } => f.debug_struct("Prepare").field("own_key", own_key).finish(),
            Self::Connect(login) => f.debug_tuple("Connect").field(login).finish(),
            Self::Subscribe(filter) => f.debug_tuple("Subscribe").field(filter).finish(),
            Self::Publish { topic, payload } => {
                f.debug_struct("Publish").field("topic", topic).field("bytes", &payload.len()).finish()
            }
            Self::Persist(record) => f.debug_tuple("Persist").field(record).finish(),
            Self::Disconnect => f.write_str("Disconnect"),
            Self::Report { error, retry_in } => {
                f.debug_struct("Report").field("error", error).field("retry_in", retry_in).finish()
            }
            Self::Done(identity) => f.debug_tuple("Done").field(identity).finish(),
        }
    }
}
