//! The sending side of one connection: encoded bytes that wait for the writer task.
//!
//! Nobody who puts something in ever waits: a reader that waited for its own writer would stall
//! clients that do not read while they write.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::Notify;

use super::limits::{Limits, MAX_UNSENT};
use super::message::Message;
use super::pace::{Pace, Throttle};
use super::packet::{Delivered, Outgoing, Version};

/// The client is too slow: more than [`MAX_UNSENT`] bytes wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overrun;

/// What a client said at CONNECT about what it can take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    pub(super) version: Version,
    /// QoS 1 deliveries it takes without acknowledging one.
    pub(super) receive_max: u16,
    pub(super) max_packet: Option<NonZeroU32>,
}

/// The sending side of one connection.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) capacity: Capacity,
    /// Messages of both directions.
    pub(super) pace: Pace,
    /// Bytes of both directions.
    pub(super) throttle: Throttle,
    state: Mutex<Unsent>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Unsent {
    bytes: BytesMut,
    closed: bool,
}

/// What there is to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Bytes(BytesMut),
    Nothing,
    /// Nothing, and nothing will come.
    Closed,
}

impl Wire {
    pub(super) fn new(capacity: Capacity, limits: &Limits) -> Self {
        Self {
            capacity,
            pace: Pace::new(limits.publishes_per_second),
            throttle: Throttle::new(limits.bytes_per_second),
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Sends a packet that answers the client. It takes precedence over deliveries that wait.
    pub(super) fn send(&self, packet: &Outgoing) -> Result<(), Overrun> {
        let mut state = self.state();
        if !state.closed {
            self.capacity.version.encode(packet, &mut state.bytes);
        }
        let too_much = state.bytes.len() > MAX_UNSENT;
        drop(state);
        self.wake();
        if too_much { Err(Overrun) } else { Ok(()) }
    }

    /// Sends bytes that may be no packet, for a fault on purpose.
    pub(super) fn send_raw(&self, bytes: &[u8]) -> Result<(), Overrun> {
        let mut state = self.state();
        if !state.closed {
            state.bytes.extend_from_slice(bytes);
        }
        let too_much = state.bytes.len() > MAX_UNSENT;
        drop(state);
        self.wake();
        if too_much { Err(Overrun) } else { Ok(()) }
    }

    /// Sends a message. `false` if it is longer than the client takes, and is left out.
    pub(super) fn deliver(&self, message: &Message, how: Delivered) -> bool {
        let mut state = self.state();
        state.closed || self.capacity.version.encode_delivery(message, how, self.capacity.max_packet, &mut state.bytes)
    }

    /// Whether deliveries may follow, or enough bytes wait already.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state();
        !state.closed && state.bytes.len() < MAX_UNSENT / 2
    }

    /// Ends the sending side. With `drain` the writer still sends what is encoded, and after it the
    /// reason for the end, which MQTT 5 clients are told.
    pub(super) fn close(&self, drain: bool, reason: Option<u8>) {
        let mut state = self.state();
        if !drain {
            state.bytes.clear();
        }
        if let Some(reason) = reason
            && !state.closed
        {
            self.capacity.version.encode(&Outgoing::Disconnect(reason), &mut state.bytes);
        }
        state.closed = true;
        drop(state);
        self.wake();
    }

    /// Takes what waits. For the one writer task.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.state();
        match (state.bytes.is_empty(), state.closed) {
            (false, _) => Taken::Bytes(std::mem::take(&mut state.bytes)),
            (true, true) => Taken::Closed,
            (true, false) => Taken::Nothing,
        }
    }

    /// Has the writer task look again.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Resolves after [`wake`](Self::wake).
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, Unsent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(version: Version) -> Wire {
        Wire::new(Capacity { version, receive_max: 100, max_packet: None }, &Limits::default())
    }

    #[test]
    fn a_client_that_never_reads_is_an_overrun() {
        let wire = wire(Version::V3);
        assert!((0..MAX_UNSENT).any(|_| wire.send(&Outgoing::Pong) == Err(Overrun)));
    }

    #[test]
    fn closing_keeps_what_is_encoded_and_adds_the_reason_for_mqtt_5() {
        for (version, expected) in [(Version::V3, &b"\xd0\0"[..]), (Version::V5, b"\xd0\0\xe0\x01\x8e")] {
            let wire = wire(version);
            wire.send(&Outgoing::Pong).unwrap();
            wire.close(true, Some(0x8e));
            wire.send(&Outgoing::Pong).unwrap();
            assert_eq!(wire.take(), Taken::Bytes(BytesMut::from(expected)));
            assert_eq!(wire.take(), Taken::Closed);
        }
    }
}
