//! What is on its way to one client: encoded packets to write, deliveries in flight, deliveries
//! that wait.
//!
//! ```text
//!  acks ──────────────────────────────▶ ┌────────┐
//!  deliveries ─▶ queue ─▶ in flight ──▶ │ unsent │ ─▶ writer task ─▶ socket
//!                 (1000)    (100)       └────────┘
//! ```
//!
//! Nobody who puts something in ever waits: a reader that waited for its own writer would stall
//! clients that do not read while they write.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroU16;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::{Codec, Packet};
use tokio::sync::Notify;
use tokio_util::codec::Encoder;

use super::limits::{MAX_IN_FLIGHT, MAX_QUEUED, MAX_QUEUED_BYTES, MAX_UNSENT};

/// A message for a client.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
}

/// The client is too slow: more than [`MAX_UNSENT`] bytes wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overrun;

/// The sending side of one connection.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    unsent: BytesMut,
    queue: VecDeque<Delivery>,
    queued_bytes: usize,
    in_flight: HashSet<NonZeroU16>,
    last_id: u16,
    dropped: u64,
    closed: bool,
}

impl Outbound {
    /// Sends a packet that answers the client. It takes precedence over queued deliveries.
    pub(super) fn send(&self, packet: Packet) -> Result<(), Overrun> {
        let mut state = self.state();
        state.encode(packet);
        let too_much = state.unsent.len() > MAX_UNSENT;
        drop(state);
        self.wake.notify_one();
        if too_much { Err(Overrun) } else { Ok(()) }
    }

    /// Sends a message when its turn comes, or drops and counts it when the queue is full.
    pub(super) fn deliver(&self, delivery: Delivery) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let queued_bytes = state.queued_bytes + delivery.payload.len();
        if state.queue.len() >= MAX_QUEUED || queued_bytes > MAX_QUEUED_BYTES {
            state.dropped = state.dropped.saturating_add(1);
            return;
        }
        state.queued_bytes = queued_bytes;
        state.queue.push_back(delivery);
        state.advance();
        drop(state);
        self.wake.notify_one();
    }

    /// Takes in a PUBACK. One for nothing in flight is ignored, as for a retransmission.
    pub(super) fn acknowledge(&self, packet_id: NonZeroU16) {
        let mut state = self.state();
        state.in_flight.remove(&packet_id);
        state.advance();
        drop(state);
        self.wake.notify_one();
    }

    /// Ends the sending side. With `drain` the writer still sends what is encoded.
    pub(super) fn close(&self, drain: bool) {
        let mut state = self.state();
        state.closed = true;
        state.queue.clear();
        state.queued_bytes = 0;
        if !drain {
            state.unsent.clear();
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for bytes to write; `None` when closed and empty. For the one writer task.
    pub(super) async fn next(&self) -> Option<BytesMut> {
        loop {
            {
                let mut state = self.state();
                if !state.unsent.is_empty() {
                    let bytes = state.unsent.split();
                    // Room again: deliveries held back by the byte limit may follow.
                    state.advance();
                    return Some(bytes);
                }
                if state.closed {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Deliveries dropped because the queue was full.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Moves deliveries from the queue to the wire as far as the limits allow.
    fn advance(&mut self) {
        while self.unsent.len() < MAX_UNSENT / 2 {
            let Some(next) = self.queue.front() else { return };
            let packet_id = match next.qos {
                QoS::AtMostOnce => None,
                QoS::AtLeastOnce | QoS::ExactlyOnce => match self.free_id() {
                    Some(id) => Some(id),
                    None => return,
                },
            };
            let Some(delivery) = self.queue.pop_front() else { return };
            self.queued_bytes -= delivery.payload.len();
            self.in_flight.extend(packet_id);
            self.encode(Packet::Publish(Box::new(Publish {
                dup: false,
                retain: false,
                qos: if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
                topic: delivery.topic.into(),
                packet_id,
                payload: delivery.payload,
                properties: None,
            })));
        }
    }

    fn free_id(&mut self) -> Option<NonZeroU16> {
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return None;
        }
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = NonZeroU16::new(self.last_id).filter(|id| !self.in_flight.contains(id)) {
                return Some(id);
            }
        }
    }

    fn encode(&mut self, packet: Packet) {
        if self.closed {
            return;
        }
        if let Err(error) = Codec::new(0).encode(packet, &mut self.unsent) {
            // Only lengths beyond MQTT's own fail, and those were refused on the way in.
            tracing::error!(error = &error as &dyn std::error::Error, "could not encode a packet");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::codec::Decoder;

    use super::*;

    fn message(number: usize, qos: QoS) -> Delivery {
        Delivery { topic: "t".into(), payload: Bytes::from(number.to_string()), qos }
    }

    fn packets(outbound: &Outbound) -> Vec<Packet> {
        let mut bytes = outbound.state().unsent.split();
        let mut codec = Codec::new(0);
        std::iter::from_fn(|| codec.decode(&mut bytes).unwrap().map(|(packet, _)| packet)).collect()
    }

    fn publishes(outbound: &Outbound) -> Vec<(String, Option<NonZeroU16>)> {
        packets(outbound)
            .into_iter()
            .map(|packet| {
                let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
                (String::from_utf8(publish.payload.to_vec()).unwrap(), publish.packet_id)
            })
            .collect()
    }

    #[test]
    fn at_most_a_hundred_deliveries_are_unacknowledged_and_order_is_kept() {
        let outbound = Outbound::default();
        for number in 0..150 {
            outbound.deliver(message(number, QoS::AtLeastOnce));
        }
        let first = publishes(&outbound);
        assert_eq!(first.len(), MAX_IN_FLIGHT);
        outbound.acknowledge(first[0].1.unwrap());
        assert_eq!(publishes(&outbound), [("100".to_owned(), NonZeroU16::new(101))]);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let outbound = Outbound::default();
        for number in 0..MAX_IN_FLIGHT + MAX_QUEUED + 7 {
            outbound.deliver(message(number, QoS::AtLeastOnce));
        }
        assert_eq!(outbound.dropped(), 7);
    }

    #[test]
    fn packet_ids_in_flight_are_not_used_again() {
        let outbound = Outbound::default();
        outbound.state().last_id = u16::MAX - 1;
        for number in 0..3 {
            outbound.deliver(message(number, QoS::AtLeastOnce));
        }
        let ids: Vec<u16> = publishes(&outbound).into_iter().map(|(_, id)| id.unwrap().get()).collect();
        assert_eq!(ids, [65535, 1, 2]);
        outbound.state().last_id = 0;
        outbound.deliver(message(3, QoS::AtLeastOnce));
        assert_eq!(publishes(&outbound)[0].1, NonZeroU16::new(3));
    }

    #[test]
    fn qos_0_needs_no_packet_id_and_keeps_its_place() {
        let outbound = Outbound::default();
        for number in 0..MAX_IN_FLIGHT {
            outbound.deliver(message(number, QoS::AtLeastOnce));
        }
        let sent = publishes(&outbound);
        outbound.deliver(message(100, QoS::AtLeastOnce));
        outbound.deliver(message(101, QoS::AtMostOnce));
        assert!(publishes(&outbound).is_empty());
        outbound.acknowledge(sent[0].1.unwrap());
        let after: Vec<String> = publishes(&outbound).into_iter().map(|(text, _)| text).collect();
        assert_eq!(after, ["100", "101"]);
    }

    #[test]
    fn a_client_that_never_reads_is_an_overrun() {
        let outbound = Outbound::default();
        let mut answers = (0..MAX_UNSENT).map(|_| outbound.send(Packet::PingResponse));
        assert!(answers.any(|answer| answer == Err(Overrun)));
    }

    #[tokio::test]
    async fn closing_with_drain_keeps_answers_and_drops_the_queue() {
        let outbound = Outbound::default();
        outbound.send(Packet::PingResponse).unwrap();
        outbound.close(true);
        outbound.send(Packet::PingResponse).unwrap();
        assert_eq!(outbound.next().await.unwrap().len(), 2);
        assert!(outbound.next().await.is_none());
    }
}
