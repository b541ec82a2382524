//! The seam: one connection to a broker, and what makes one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    ConnectError, ConnectOptions, PublishError, PublishTicket, SessionEnded, SubscribeError, Topic, TopicFilter,
};

/// Largest payload a session accepts, in bytes: AWS IoT Core's 128 KiB.
pub const MAX_PAYLOAD: usize = 128 * 1024;

/// Most publishes that wait for their PUBACK at one time: AWS IoT Core's limit per connection.
pub const MAX_UNACKNOWLEDGED: usize = 100;

/// Makes connections to a broker.
///
/// Each call makes at most one attempt. Trying again, and how soon, belongs to the caller: see [`Backoff`](crate::Backoff).
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects, and returns once the broker has accepted the connection (CONNACK).
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says at which step it failed and whether another attempt may help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes whatever was open.
    async fn connect(&self, options: &ConnectOptions) -> Result<Box<dyn Session>, ConnectError>;
}

/// One connection to a broker, from its CONNACK to its end.
///
/// A session never reconnects. Once it has ended, every call says so, and with the same reason. Dropping it closes the
/// connection without saying goodbye.
#[async_trait]
pub trait Session: Send + Sync {
    /// Hands a message over for delivery at QoS 1, in the order of the calls, and never blocks.
    ///
    /// The ticket resolves when the broker has acknowledged the message (PUBACK), or when the session has ended before
    /// that; then the broker may or may not have it. Dropping the ticket takes nothing back.
    ///
    /// # Errors
    ///
    /// [`PublishError::WindowFull`] while [`MAX_UNACKNOWLEDGED`] messages are unacknowledged,
    /// [`PublishError::TooLarge`] above [`MAX_PAYLOAD`], [`PublishError::Ended`] when the session is over. In all
    /// three nothing was sent.
    fn publish(&self, topic: &Topic, payload: Arc<[u8]>) -> Result<PublishTicket, PublishError>;

    /// Subscribes at QoS 1 and returns once the broker has acknowledged it (SUBACK).
    ///
    /// # Errors
    ///
    /// [`SubscribeError::Refused`] by the broker's answer, [`SubscribeError::Ended`] if the session ended first. AWS
    /// IoT Core refuses by closing the connection.
    ///
    /// # Cancel safety
    ///
    /// Once dropped, the subscription may or may not be made.
    async fn subscribe(&self, filter: &TopicFilter) -> Result<(), SubscribeError>;

    /// The next incoming message, in the order of arrival.
    ///
    /// # Errors
    ///
    /// [`SessionEnded`] once the session has ended and everything that had arrived was taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no message is lost.
    async fn next(&self) -> Result<Message, SessionEnded>;

    /// Waits for the end of the session and says why it ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; may be awaited often, and beside [`next`](Self::next).
    async fn ended(&self) -> SessionEnded;

    /// Says goodbye (DISCONNECT) after everything handed over so far was sent, and closes, within `within`.
    ///
    /// It does not wait for acknowledgements: await the tickets first. From the call on, publishes are refused.
    async fn disconnect(&self, within: Duration);
}

/// A message that arrived from the broker.
///
/// `Debug` shows the size of the payload and nothing of it: an answer may hold a private key.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The topic it was published on.
    pub topic: Topic,
    /// Its content.
    pub payload: Vec<u8>,
}

impl Message {
    /// A message, for other implementations of [`Session`].
    #[must_use]
    pub fn new(topic: Topic, payload: Vec<u8>) -> Self {
        Self { topic, payload }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("topic", &self.topic).field("bytes", &self.payload.len()).finish()
    }
}

#[async_trait]
impl<C: Connector + ?Sized> Connector for Arc<C> {
    async fn connect(&self, options: &ConnectOptions) -> Result<Box<dyn Session>, ConnectError> {
        (**self).connect(options).await
    }
}

#[async_trait]
impl<C: Connector + ?Sized> Connector for Box<C> {
    async fn connect(&self, options: &ConnectOptions) -> Result<Box<dyn Session>, ConnectError> {
        (**self).connect(options).await
    }
}
