//! The task that drives one connection until it ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{Event, EventLoop, Outgoing, Packet, Publish, SubscribeReasonCode};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until};

use super::classify;
use super::session::Shared;
use crate::{EndReason, Message, SessionEnded, Topic};

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) incoming: mpsc::Sender<Message>,
    pub(super) ack_timeout: Duration,
}

impl Worker {
    /// Drives the connection to its end and tells everyone who waits.
    pub(super) async fn run(self, eventloop: EventLoop) {
        // The connection is closed by the time its end is told.
        let ended = self.drive(eventloop).await;
        tracing::debug!(reason = %ended, "mqtt session ended");
        self.shared.finish(ended);
    }

    async fn drive(&self, mut eventloop: EventLoop) -> SessionEnded {
        let mut watchdog = pin!(sleep_until(Instant::now() + self.ack_timeout));
        loop {
            let event = {
                // Polled to its end: a poll dropped half-way may leave a packet unflushed.
                let mut poll = pin!(eventloop.poll());
                loop {
                    tokio::select! {
                        biased;
                        () = self.shared.close.notified() => return SessionEnded::new(EndReason::Disconnected),
                        () = &mut watchdog => match self.shared.overdue(self.ack_timeout) {
                            Ok(next_check) => watchdog.as_mut().reset(next_check),
                            Err(ended) => return ended,
                        },
                        event = &mut poll => break event,
                    }
                }
            };
            match event {
                Ok(event) => {
                    if let Some(ended) = self.take(event) {
                        return ended;
                    }
                }
                Err(error) => {
                    // What arrived together with the end still counts.
                    for event in std::mem::take(&mut eventloop.state.events) {
                        if let Some(ended) = self.take(event) {
                            return ended;
                        }
                    }
                    return classify::session_ended(error, self.ack_timeout);
                }
            }
        }
    }

    /// Acts on one event; `Some` if it is the last one.
    fn take(&self, event: Event) -> Option<SessionEnded> {
        match event {
            Event::Outgoing(outgoing) => return self.take_outgoing(&outgoing),
            Event::Incoming(Packet::Publish(publish)) => return self.take_message(publish),
            Event::Incoming(Packet::PubAck(ack)) => self.shared.flight().publish_acknowledged(ack.pkid),
            Event::Incoming(Packet::SubAck(ack)) => {
                let accepted = ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_)));
                self.shared.flight().subscribe_acknowledged(ack.pkid, accepted);
            }
            Event::Incoming(
                Packet::Connect(_)
                | Packet::ConnAck(_)
                | Packet::PubRec(_)
                | Packet::PubRel(_)
                | Packet::PubComp(_)
                | Packet::Subscribe(_)
                | Packet::Unsubscribe(_)
                | Packet::UnsubAck(_)
                | Packet::PingReq
                | Packet::PingResp
                | Packet::Disconnect,
            ) => {}
        }
        None
    }

    fn take_outgoing(&self, outgoing: &Outgoing) -> Option<SessionEnded> {
        match outgoing {
            Outgoing::Publish(packet_id) => self.shared.flight().publish_sent(*packet_id),
            Outgoing::Subscribe(packet_id) => self.shared.flight().subscribe_sent(*packet_id),
            // Polling once more would connect again.
            Outgoing::Disconnect => return Some(SessionEnded::new(EndReason::Disconnected)),
            // A publish whose packet id is still in use waits: it is reported as sent later.
            Outgoing::AwaitAck(_)
            | Outgoing::Unsubscribe(_)
            | Outgoing::PubAck(_)
            | Outgoing::PubRec(_)
            | Outgoing::PubRel(_)
            | Outgoing::PubComp(_)
            | Outgoing::PingReq
            | Outgoing::PingResp => {}
        }
        None
    }

    fn take_message(&self, publish: Publish) -> Option<SessionEnded> {
        let topic: Topic = match publish.topic.parse() {
            Ok(topic) => topic,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "dropped a message on a topic beyond AWS's limits"
                );
                return None;
            }
        };
        match self.incoming.try_send(Message::new(topic, publish.payload.to_vec())) {
            Ok(()) => None,
            Err(TrySendError::Full(_)) => {
                let waiting = self.incoming.max_capacity();
                Some(SessionEnded::new(EndReason::Overflow { waiting }))
            }
            Err(TrySendError::Closed(_)) => Some(SessionEnded::new(EndReason::Disconnected)),
        }
    }
}
