//! One session of the fake broker.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::SubscribeReaction;
use super::broker::{FakeBroker, Published, Subscribed, lock};
use super::reaction::Receipt;
use crate::ending::Ending;
use crate::{
    ClientId, EndReason, MAX_PAYLOAD, MAX_UNACKNOWLEDGED, Message, PublishError, PublishTicket, Session, SessionEnded,
    SubscribeError, TicketResolver, Topic, TopicFilter,
};

/// The client's end; the broker keeps a second handle made by [`share`](Self::share).
pub(super) struct FakeSession {
    link: Arc<Link>,
    /// Only the client's end closes the session when it is dropped.
    owned: bool,
}

struct Link {
    broker: FakeBroker,
    client_id: ClientId,
    ending: Ending,
    wires: Mutex<Wires>,
    incoming: tokio::sync::Mutex<mpsc::UnboundedReceiver<Message>>,
}

struct Wires {
    unacknowledged: VecDeque<TicketResolver>,
    filters: Vec<TopicFilter>,
    /// `None` once the session has ended.
    messages: Option<mpsc::UnboundedSender<Message>>,
}

impl FakeSession {
    pub(super) fn new(broker: FakeBroker, client_id: ClientId) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let wires = Wires { unacknowledged: VecDeque::new(), filters: Vec::new(), messages: Some(sender) };
        let link = Link {
            broker,
            client_id,
            ending: Ending::new(),
            wires: Mutex::new(wires),
            incoming: tokio::sync::Mutex::new(receiver),
        };
        Self { link: Arc::new(link), owned: true }
    }

    pub(super) fn share(&self) -> Self {
        Self { link: Arc::clone(&self.link), owned: false }
    }

    pub(super) fn client_id(&self) -> &ClientId {
        &self.link.client_id
    }

    pub(super) fn is_live(&self) -> bool {
        self.link.ending.get().is_none()
    }

    /// Acknowledges up to `count` of the oldest publishes held. Returns how many it were.
    pub(super) fn acknowledge(&self, count: usize) -> usize {
        let mut wires = lock(&self.link.wires);
        let count = count.min(wires.unacknowledged.len());
        wires.unacknowledged.drain(..count).for_each(TicketResolver::acknowledge);
        count
    }

    /// Sends a message if the session has subscribed to it. Returns whether it has.
    pub(super) fn deliver(&self, message: &Message) -> bool {
        self.link.deliver(message)
    }

    /// Ends the session. Returns whether it was alive.
    pub(super) fn end(&self, reason: SessionEnded) -> bool {
        self.link.end(reason)
    }
}

impl Link {
    fn deliver(&self, message: &Message) -> bool {
        let wires = lock(&self.wires);
        let wanted = wires.filters.iter().any(|filter| filter.matches(&message.topic));
        match &wires.messages {
            Some(sender) if wanted => sender.send(message.clone()).is_ok(),
            _ => false,
        }
    }

    fn hold(&self, resolver: TicketResolver) {
        let mut wires = lock(&self.wires);
        match self.ending.get() {
            Some(ended) => resolver.fail(ended),
            None => wires.unacknowledged.push_back(resolver),
        }
    }

    fn end(&self, reason: SessionEnded) -> bool {
        let mut wires = lock(&self.wires);
        let live = wires.messages.take().is_some();
        if live {
            self.ending.end(reason.clone());
        }
        for resolver in wires.unacknowledged.drain(..) {
            resolver.fail(reason.clone());
        }
        live
    }

    fn hang_up(&self) {
        self.end(SessionEnded::new(EndReason::ClosedByPeer));
        self.broker.note();
    }
}

#[async_trait]
impl Session for FakeSession {
    fn publish(&self, topic: &Topic, payload: Arc<[u8]>) -> Result<PublishTicket, PublishError> {
        let link = &self.link;
        if let Some(ended) = link.ending.get() {
            return Err(PublishError::Ended(ended));
        }
        if payload.len() > MAX_PAYLOAD {
            return Err(PublishError::TooLarge { bytes: payload.len(), limit: MAX_PAYLOAD });
        }
        if lock(&link.wires).unacknowledged.len() >= MAX_UNACKNOWLEDGED {
            return Err(PublishError::WindowFull { limit: MAX_UNACKNOWLEDGED });
        }
        let (ticket, resolver) = PublishTicket::pair();
        let reaction = link.broker.decide_publish(Published {
            client_id: link.client_id.clone(),
            topic: topic.clone(),
            payload: payload.to_vec(),
        });
        match reaction.receipt {
            Receipt::Acknowledge => resolver.acknowledge(),
            Receipt::Hold => link.hold(resolver),
            Receipt::HangUp => {
                link.hold(resolver);
                link.hang_up();
            }
        }
        if reaction.delay.is_zero() {
            for message in &reaction.replies {
                link.deliver(message);
            }
        } else if !reaction.replies.is_empty() {
            let link = Arc::clone(link);
            tokio::spawn(async move {
                tokio::time::sleep(reaction.delay).await;
                for message in &reaction.replies {
                    link.deliver(message);
                }
            });
        }
        link.broker.note();
        Ok(ticket)
    }

    async fn subscribe(&self, filter: &TopicFilter) -> Result<(), SubscribeError> {
        let link = &self.link;
        if let Some(ended) = link.ending.get() {
            return Err(SubscribeError::Ended(ended));
        }
        let asked = Subscribed { client_id: link.client_id.clone(), filter: filter.clone() };
        match link.broker.decide_subscribe(asked) {
            SubscribeReaction::Accept => {
                lock(&link.wires).filters.push(filter.clone());
                Ok(())
            }
            SubscribeReaction::Refuse => Err(SubscribeError::Refused { filter: filter.to_string() }),
            SubscribeReaction::HangUp => {
                link.hang_up();
                Err(SubscribeError::Ended(link.ending.wait().await))
            }
            SubscribeReaction::Ignore => Err(SubscribeError::Ended(link.ending.wait().await)),
        }
    }

    async fn next(&self) -> Result<Message, SessionEnded> {
        let message = self.link.incoming.lock().await.recv().await;
        match message {
            Some(message) => Ok(message),
            None => Err(self.link.ending.wait().await),
        }
    }

    async fn ended(&self) -> SessionEnded {
        self.link.ending.wait().await
    }

    async fn disconnect(&self, _within: Duration) {
        if self.link.end(SessionEnded::new(EndReason::Disconnected)) {
            self.link.broker.goodbye(&self.link.client_id);
        }
    }
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        if self.owned && self.link.end(SessionEnded::new(EndReason::Disconnected)) {
            self.link.broker.note();
        }
    }
}
