//! The session a caller holds: the front of the worker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rumqttc::{AsyncClient, QoS};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::flight::{Flight, SubscribeReply};
use crate::ending::Ending;
use crate::{
    EndReason, MAX_PAYLOAD, MAX_UNACKNOWLEDGED, Message, PublishError, PublishTicket, Session, SessionEnded,
    SubscribeError, Topic, TopicFilter,
};

/// What the session and its worker share.
pub(super) struct Shared {
    client: AsyncClient,
    flight: Mutex<Flight>,
    ending: Ending,
    /// Asks the worker to close the connection at once.
    pub(super) close: Notify,
}

pub(super) struct RumqttSession {
    shared: Arc<Shared>,
    incoming: tokio::sync::Mutex<mpsc::Receiver<Message>>,
    /// Keeps subscribes within the places the request channel has beside the publishes.
    subscribe_places: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(client: AsyncClient) -> Self {
        Self { client, flight: Mutex::new(Flight::new()), ending: Ending::new(), close: Notify::new() }
    }

    pub(super) fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to look again for an overdue request, or the end of the session if one is overdue.
    pub(super) fn overdue(&self, ack_timeout: Duration) -> Result<Instant, SessionEnded> {
        let now = Instant::now();
        let due = self.flight().oldest().unwrap_or(now) + ack_timeout;
        if due <= now { Err(SessionEnded::new(EndReason::AckTimeout { after: ack_timeout })) } else { Ok(due) }
    }

    /// Tells everyone who waits that the session is over.
    pub(super) fn finish(&self, ended: SessionEnded) {
        let mut flight = self.flight();
        self.ending.end(ended.clone());
        flight.fail(&ended);
    }

    fn ended_now(&self) -> SessionEnded {
        self.ending.get().unwrap_or_else(|| SessionEnded::new(EndReason::Disconnected))
    }
}

impl RumqttSession {
    pub(super) fn new(shared: Arc<Shared>, incoming: mpsc::Receiver<Message>, subscribe_places: usize) -> Self {
        let subscribe_places = Arc::new(Semaphore::new(subscribe_places));
        Self { shared, incoming: tokio::sync::Mutex::new(incoming), subscribe_places }
    }
}

#[async_trait]
impl Session for RumqttSession {
    fn publish(&self, topic: &Topic, payload: Arc<[u8]>) -> Result<PublishTicket, PublishError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(PublishError::TooLarge { bytes: payload.len(), limit: MAX_PAYLOAD });
        }
        // Held until the entry is queued, so that both queues have the same order.
        let mut flight = self.shared.flight();
        if !flight.open {
            return Err(PublishError::Ended(self.shared.ended_now()));
        }
        if flight.is_full() {
            return Err(PublishError::WindowFull { limit: MAX_UNACKNOWLEDGED });
        }
        let sent = self.shared.client.try_publish(topic.as_str(), QoS::AtLeastOnce, false, &*payload);
        if sent.is_err() {
            return Err(PublishError::Ended(self.shared.ended_now()));
        }
        let (ticket, resolver) = PublishTicket::pair();
        flight.push_publish(resolver);
        Ok(ticket)
    }

    async fn subscribe(&self, filter: &TopicFilter) -> Result<(), SubscribeError> {
        let Ok(place) = Arc::clone(&self.subscribe_places).acquire_owned().await else {
            // It is never closed.
            return Err(SubscribeError::Ended(self.shared.ended_now()));
        };
        let reply = {
            let mut flight = self.shared.flight();
            let sent = flight.open && self.shared.client.try_subscribe(filter.as_str(), QoS::AtLeastOnce).is_ok();
            if !sent {
                return Err(SubscribeError::Ended(self.shared.ended_now()));
            }
            let (sender, receiver) = oneshot::channel();
            flight.push_subscribe(SubscribeReply { sender, _place: place });
            receiver
        };
        match reply.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(SubscribeError::Refused { filter: filter.to_string() }),
            Ok(Err(error)) => Err(error),
            Err(_dropped) => Err(SubscribeError::Ended(self.shared.ended_now())),
        }
    }

    async fn next(&self) -> Result<Message, SessionEnded> {
        let message = self.incoming.lock().await.recv().await;
        match message {
            Some(message) => Ok(message),
            None => Err(self.shared.ending.wait().await),
        }
    }

    async fn ended(&self) -> SessionEnded {
        self.shared.ending.wait().await
    }

    async fn disconnect(&self, within: Duration) {
        let asked = {
            let mut flight = self.shared.flight();
            flight.open = false;
            self.shared.client.try_disconnect().is_ok()
        };
        if asked && timeout(within, self.shared.ending.wait()).await.is_ok() {
            return;
        }
        self.shared.close.notify_one();
        self.shared.ending.wait().await;
    }
}

impl Drop for RumqttSession {
    fn drop(&mut self) {
        self.shared.close.notify_one();
    }
}
