//! What was handed over and is not acknowledged yet, matched with the packet ids the client library gives.
//!
//! Requests leave the library's channel in the order they went in, so the next packet id it reports for a publish
//! belongs to the head of the publishes still without one; the same holds for subscribes.

use std::collections::{HashMap, VecDeque};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::{MAX_UNACKNOWLEDGED, SessionEnded, SubscribeError, TicketResolver};

/// Who waits for a SUBACK, and the place the subscribe takes until it comes, waited for or not.
pub(super) struct SubscribeReply {
    /// Takes whether the broker has accepted it.
    pub(super) sender: oneshot::Sender<Result<bool, SubscribeError>>,
    pub(super) _place: OwnedSemaphorePermit,
}

pub(super) struct Flight {
    /// Whether anything more may be handed over.
    pub(super) open: bool,
    publishes: Lane<TicketResolver>,
    subscribes: Lane<SubscribeReply>,
}

struct Lane<T> {
    /// Handed over, without a packet id.
    queued: VecDeque<(Instant, T)>,
    /// On the wire.
    sent: HashMap<u16, (Instant, T)>,
}

impl Flight {
    pub(super) fn new() -> Self {
        Self { open: true, publishes: Lane::new(), subscribes: Lane::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.publishes.len() >= MAX_UNACKNOWLEDGED
    }

    pub(super) fn push_publish(&mut self, resolver: TicketResolver) {
        self.publishes.queued.push_back((Instant::now(), resolver));
    }

    pub(super) fn push_subscribe(&mut self, reply: SubscribeReply) {
        self.subscribes.queued.push_back((Instant::now(), reply));
    }

    pub(super) fn publish_sent(&mut self, packet_id: u16) {
        self.publishes.sent(packet_id);
    }

    pub(super) fn subscribe_sent(&mut self, packet_id: u16) {
        self.subscribes.sent(packet_id);
    }

    pub(super) fn publish_acknowledged(&mut self, packet_id: u16) {
        if let Some((_, resolver)) = self.publishes.sent.remove(&packet_id) {
            resolver.acknowledge();
        }
    }

    pub(super) fn subscribe_acknowledged(&mut self, packet_id: u16, accepted: bool) {
        if let Some((_, reply)) = self.subscribes.sent.remove(&packet_id) {
            // Nobody waits when the subscribing future was dropped.
            let _ = reply.sender.send(Ok(accepted));
        }
    }

    /// When the oldest unacknowledged request was handed over.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.publishes.times().chain(self.subscribes.times()).min()
    }

    /// Lets everything unacknowledged fail with `ended`; nothing more may be handed over.
    pub(super) fn fail(&mut self, ended: &SessionEnded) {
        self.open = false;
        for resolver in self.publishes.drain() {
            resolver.fail(ended.clone());
        }
        for reply in self.subscribes.drain() {
            let _ = reply.sender.send(Err(SubscribeError::Ended(ended.clone())));
        }
    }
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self { queued: VecDeque::new(), sent: HashMap::new() }
    }

    fn len(&self) -> usize {
        self.queued.len() + self.sent.len()
    }

    fn sent(&mut self, packet_id: u16) {
        if let Some(entry) = self.queued.pop_front() {
            self.sent.insert(packet_id, entry);
        }
    }

    fn times(&self) -> impl Iterator<Item = Instant> + '_ {
        self.queued.front().into_iter().chain(self.sent.values()).map(|(since, _)| *since)
    }

    fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        let sent = self.sent.drain().map(|(_, (_, item))| item);
        sent.chain(self.queued.drain(..).map(|(_, item)| item))
    }
}
