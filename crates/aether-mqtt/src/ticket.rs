//! The receipt for one publish.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::{EndReason, PublishError, SessionEnded};

/// Resolves when the broker has acknowledged one publish.
///
/// `Ok(())` on PUBACK; [`PublishError::Ended`] when the session ended first, after which the broker may or may not have
/// the message. Dropping a ticket takes nothing back.
#[derive(Debug)]
#[must_use = "without awaiting its ticket nobody knows whether the broker has the message"]
pub struct PublishTicket(oneshot::Receiver<Result<(), SessionEnded>>);

/// The other end of a [`PublishTicket`], for implementations of [`Session`](crate::Session).
///
/// Dropped unused, it resolves its ticket as ended by this side.
#[derive(Debug)]
pub struct TicketResolver(oneshot::Sender<Result<(), SessionEnded>>);

impl PublishTicket {
    /// A ticket and what resolves it.
    pub fn pair() -> (Self, TicketResolver) {
        let (sender, receiver) = oneshot::channel();
        (Self(receiver), TicketResolver(sender))
    }
}

impl TicketResolver {
    /// The broker has acknowledged the publish.
    pub fn acknowledge(self) {
        // A ticket nobody waits for any more is not an error.
        let _ = self.0.send(Ok(()));
    }

    /// The session has ended before an acknowledgement.
    pub fn fail(self, ended: SessionEnded) {
        let _ = self.0.send(Err(ended));
    }
}

impl Future for PublishTicket {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|outcome| match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ended)) => Err(PublishError::Ended(ended)),
            Err(_dropped) => Err(PublishError::Ended(SessionEnded::new(EndReason::Disconnected))),
        })
    }
}
