//! What the fake broker does with a connect, a subscribe and a publish.

use std::time::Duration;

use crate::{ConnectError, Message, Topic};

/// What the fake broker does with an attempt to connect.
#[derive(Debug)]
pub struct ConnectReaction {
    pub(super) outcome: Result<(), ConnectError>,
    pub(super) delay: Duration,
}

impl ConnectReaction {
    /// Accepts the connection.
    #[must_use]
    pub fn accept() -> Self {
        Self { outcome: Ok(()), delay: Duration::ZERO }
    }

    /// Fails the attempt with `error`.
    #[must_use]
    pub fn fail(error: ConnectError) -> Self {
        Self { outcome: Err(error), delay: Duration::ZERO }
    }

    /// The same, after `delay`.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// What the fake broker does with a subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeReaction {
    /// Acknowledges it; messages flow from then on.
    Accept,
    /// Answers with the failure code.
    Refuse,
    /// Closes the connection, as AWS IoT Core does on a policy that denies it.
    HangUp,
    /// Never answers.
    Ignore,
}

/// What the fake broker does with a publish: whether it acknowledges it, and which messages it sends back to the
/// publishing session (if it has subscribed to them).
#[derive(Clone, Debug)]
pub struct PublishReaction {
    pub(super) receipt: Receipt,
    pub(super) replies: Vec<Message>,
    pub(super) delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    Acknowledge,
    Hold,
    HangUp,
}

impl PublishReaction {
    /// Acknowledges the message.
    #[must_use]
    pub fn acknowledge() -> Self {
        Self::with(Receipt::Acknowledge)
    }

    /// Takes the message without acknowledging it, until
    /// [`release_acks`](super::FakeBroker::release_acks).
    #[must_use]
    pub fn hold() -> Self {
        Self::with(Receipt::Hold)
    }

    /// Closes the connection instead of acknowledging, as AWS IoT Core does on a policy that denies the publish.
    #[must_use]
    pub fn hang_up() -> Self {
        Self::with(Receipt::HangUp)
    }

    /// Sends a message back to the publishing session. May be repeated, also with the same message.
    #[must_use]
    pub fn reply(mut self, topic: Topic, payload: impl Into<Vec<u8>>) -> Self {
        self.replies.push(Message::new(topic, payload.into()));
        self
    }

    /// Sends the replies only after `delay`.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Turns an acknowledgement into one that is held.
    pub(super) fn hold_back(&mut self) {
        if self.receipt == Receipt::Acknowledge {
            self.receipt = Receipt::Hold;
        }
    }

    fn with(receipt: Receipt) -> Self {
        Self { receipt, replies: Vec::new(), delay: Duration::ZERO }
    }
}
