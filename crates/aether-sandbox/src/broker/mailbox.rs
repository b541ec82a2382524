//! The messages of one session: waiting, stored while it was away, in flight.
//!
//! ```text
//!  push() ─▶ queue (1000) ────────────▶ ┌───────────┐
//!  while away ─▶ stored ─▶ 10 a second ─▶│ in flight │──▶ wire of the connection
//!                  ▲                    │   (100)   │◀── PUBACK
//!                  └── unacknowledged ◀─└───────────┘
//!                      at the next connection
//! ```

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::{Limits, STALLED};
use super::message::{Message, Qos};
use super::packet::{Delivered, Version};
use super::wire::Wire;

/// A message for one session.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) message: Arc<Message>,
    pub(super) qos: Qos,
    /// The RETAIN flag of the delivery.
    pub(super) retain: bool,
    /// Only for the connection there is: the next one does not get it.
    pub(super) passing: bool,
    /// Its number on disk; 0 when it is not kept there.
    pub(super) number: u64,
    /// The packet id it went out with on an earlier connection.
    pub(super) packet_id: Option<NonZeroU16>,
}

/// What became of deliveries while the writer went over them.
#[derive(Debug, Default)]
pub(super) struct Advanced {
    /// When to look again, if nothing wakes the writer before.
    pub(super) again: Option<Instant>,
    /// Numbers of deliveries that are over.
    pub(super) done: Vec<u64>,
}

/// The messages of one session.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    /// Told when it is crowded no longer.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Arc<Wire>>,
    queue: VecDeque<Entry>,
    stored: VecDeque<Entry>,
    /// Of `queue` and `stored`.
    bytes: usize,
    in_flight: VecDeque<InFlight>,
    /// Packet ids of `in_flight` and of those in `stored`.
    taken_ids: HashSet<NonZeroU16>,
    last_id: u16,
    dropped: u64,
    /// When a message last went out.
    moved: Option<Instant>,
    next_stored: Option<Instant>,
}

#[derive(Debug)]
struct InFlight {
    packet_id: NonZeroU16,
    entry: Entry,
    sent: Instant,
    first: SystemTime,
}

impl Mailbox {
    /// Gives the mailbox a connection to deliver to. What the last one left is stored, the
    /// unacknowledged first, with their packet ids (MQTT 3.1.1, section 4.4).
    pub(super) fn attach(&self, wire: &Arc<Wire>) {
        let mut state = self.state();
        state.drop_passing();
        state.link = Some(Arc::clone(wire));
        state.next_stored = None;
        let waiting = std::mem::take(&mut state.queue);
        state.stored.extend(waiting);
        for InFlight { packet_id, entry, .. } in std::mem::take(&mut state.in_flight).into_iter().rev() {
            state.bytes += entry.message.size();
            state.stored.push_front(Entry { packet_id: Some(packet_id), ..entry });
        }
    }

    /// Takes the connection away, if it is still this one.
    pub(super) fn detach(&self, wire: &Arc<Wire>) {
        let mut state = self.state();
        if state.is_linked(wire) {
            state.link = None;
            state.drop_passing();
            state.queue.retain(|entry| entry.qos == Qos::AtLeastOnce);
            state.bytes = state.queue.iter().chain(&state.stored).map(|entry| entry.message.size()).sum();
        }
    }

    /// Puts a message in, or drops and counts it when the mailbox is full. `number` is asked for
    /// only when there is room. Without a connection only QoS 1 is taken.
    ///
    /// `true` if the mailbox is [crowded](Self::room) now.
    pub(super) fn push(&self, mut entry: Entry, limits: &Limits, number: impl FnOnce() -> u64) -> bool {
        let mut state = self.state();
        if state.link.is_none() && entry.qos == Qos::AtMostOnce {
            return false;
        }
        let bytes = state.bytes.saturating_add(entry.message.size());
        if state.queue.len() + state.stored.len() >= limits.queued_messages || bytes > limits.queued_bytes {
            state.dropped = state.dropped.saturating_add(1);
            return state.is_crowded(limits);
        }
        entry.number = number();
        state.bytes = bytes;
        state.queue.push_back(entry);
        let link = state.link.clone();
        let crowded = state.is_crowded(limits);
        drop(state);
        if let Some(wire) = link {
            wire.wake();
        }
        crowded
    }

    /// Puts in what was on disk.
    pub(super) fn restore(&self, entry: Entry) {
        let mut state = self.state();
        state.bytes += entry.message.size();
        state.queue.push_back(entry);
    }

    /// Takes in a PUBACK; gives the number of the delivery. One for nothing in flight is ignored.
    pub(super) fn acknowledge(&self, packet_id: NonZeroU16) -> Option<u64> {
        let mut state = self.state();
        let at = state.in_flight.iter().position(|sent| sent.packet_id == packet_id)?;
        let found = state.in_flight.remove(at)?;
        state.taken_ids.remove(&packet_id);
        if let Some(wire) = &state.link {
            wire.wake();
        }
        Some(found.entry.number)
    }

    /// Moves messages to the wire as far as the limits allow. For the writer task of `wire`;
    /// `may_receive` is asked about those stored for a client that has come back.
    pub(super) fn advance(
        &self,
        wire: &Arc<Wire>,
        limits: &Limits,
        now: SystemTime,
        may_receive: impl Fn(&Message) -> bool,
    ) -> Advanced {
        let mut state = self.state();
        let mut advanced = Advanced::default();
        if !state.is_linked(wire) {
            return advanced;
        }
        state.retry(wire, limits, now, &mut advanced);
        state.send_stored(wire, limits, now, &may_receive, &mut advanced);
        let most = limits.in_flight.min(wire.capacity.receive_max);
        let waiting = state.queue.len();
        while wire.has_room() && state.queue.front().is_some_and(|next| state.may_send(next, most)) {
            if let Some(entry) = state.queue.pop_front() {
                state.send(wire, entry, now, &mut advanced);
            }
        }
        if state.queue.len() < waiting {
            state.moved = Some(Instant::now());
        }
        let crowded = state.is_crowded(limits);
        drop(state);
        if !crowded {
            self.room.notify_waiters();
        }
        advanced
    }

    /// Resolves once no more messages wait than the client will take in a moment. One that takes none
    /// is not waited for.
    pub(super) async fn room(&self, limits: &Limits) {
        // Before the look: what happens in between is told to it.
        let told = self.room.notified();
        if self.state().is_crowded(limits) {
            told.await;
        }
    }

    /// Deliveries dropped because the mailbox was full, or nobody acknowledged them.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    /// Messages that wait or are unacknowledged.
    pub(super) fn depth(&self) -> usize {
        let state = self.state();
        state.queue.len() + state.stored.len() + state.in_flight.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_linked(&self, wire: &Arc<Wire>) -> bool {
        self.link.as_ref().is_some_and(|link| Arc::ptr_eq(link, wire))
    }

    /// An eighth leaves room for what the senders still have on the way.
    fn is_crowded(&self, limits: &Limits) -> bool {
        let moving = self.moved.is_none_or(|moved| moved.elapsed() < STALLED);
        self.link.is_some() && moving && self.queue.len() > limits.queued_messages / 8
    }

    /// Drops what was only for the connection that is over.
    fn drop_passing(&mut self) {
        let Self { queue, bytes, in_flight, taken_ids, .. } = self;
        queue.retain(|entry| {
            *bytes -= if entry.passing { entry.message.size() } else { 0 };
            !entry.passing
        });
        in_flight.retain(|sent| !sent.entry.passing || !taken_ids.remove(&sent.packet_id));
    }

    fn may_send(&self, entry: &Entry, most: u16) -> bool {
        entry.qos == Qos::AtMostOnce || self.in_flight.len() < usize::from(most)
    }

    /// Sends again what was not acknowledged in time. Only MQTT 3.1.1: MQTT 5 forbids it within a
    /// connection (section 4.4).
    fn retry(&mut self, wire: &Wire, limits: &Limits, now: SystemTime, advanced: &mut Advanced) {
        if wire.capacity.version == Version::V5 {
            return;
        }
        for _ in 0..self.in_flight.len() {
            let Some(oldest) = self.in_flight.front() else { return };
            let due = oldest.sent + limits.redelivery_after;
            if due > Instant::now() {
                advanced.again = Some(due);
                return;
            }
            let Some(mut again) = self.in_flight.pop_front() else { return };
            if now.duration_since(again.first).unwrap_or_default() >= limits.redelivery_for {
                self.forget(again.packet_id, &again.entry, advanced);
                self.dropped = self.dropped.saturating_add(1);
                continue;
            }
            again.sent = Instant::now();
            let expiry = again.entry.message.seconds_left(now);
            let (packet_id, retain) = (Some(again.packet_id), again.entry.retain);
            wire.deliver(&again.entry.message, Delivered { packet_id, dup: true, retain, expiry });
            self.in_flight.push_back(again);
        }
        advanced.again = self.in_flight.front().map(|oldest| oldest.sent + limits.redelivery_after);
    }

    fn send_stored(
        &mut self,
        wire: &Wire,
        limits: &Limits,
        now: SystemTime,
        may_receive: &impl Fn(&Message) -> bool,
        advanced: &mut Advanced,
    ) {
        let most = limits.in_flight.min(wire.capacity.receive_max);
        let interval = match limits.redeliveries_per_second {
            u32::MAX => Duration::ZERO,
            per_second => Duration::from_secs(1) / per_second.max(1),
        };
        while wire.has_room() && self.stored.front().is_some_and(|next| self.may_send(next, most)) {
            let present = Instant::now();
            if let Some(turn) = self.next_stored.filter(|turn| *turn > present) {
                advanced.again = Some(advanced.again.map_or(turn, |again| again.min(turn)));
                return;
            }
            let Some(entry) = self.stored.pop_front() else { return };
            if !may_receive(&entry.message) {
                self.bytes -= entry.message.size();
                if let Some(packet_id) = entry.packet_id {
                    self.taken_ids.remove(&packet_id);
                }
                advanced.done.push(entry.number);
                continue;
            }
            self.next_stored = Some(present + interval);
            self.send(wire, entry, now, advanced);
        }
    }

    fn send(&mut self, wire: &Wire, entry: Entry, now: SystemTime, advanced: &mut Advanced) {
        self.bytes -= entry.message.size();
        let dup = entry.packet_id.is_some();
        let packet_id = match entry.qos {
            Qos::AtMostOnce => None,
            Qos::AtLeastOnce => Some(entry.packet_id.unwrap_or_else(|| self.free_id())),
        };
        let how = Delivered { packet_id, dup, retain: entry.retain, expiry: entry.message.seconds_left(now) };
        if entry.message.expired(now) || !wire.deliver(&entry.message, how) {
            if let Some(packet_id) = packet_id {
                self.forget(packet_id, &entry, advanced);
            }
            return;
        }
        if let Some(packet_id) = packet_id {
            self.taken_ids.insert(packet_id);
            self.in_flight.push_back(InFlight { packet_id, entry, sent: Instant::now(), first: now });
        }
    }

    fn forget(&mut self, packet_id: NonZeroU16, entry: &Entry, advanced: &mut Advanced) {
        self.taken_ids.remove(&packet_id);
        advanced.done.push(entry.number);
    }

    /// A packet id that is not in use; there are many more than deliveries in flight and stored.
    fn free_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = NonZeroU16::new(self.last_id).filter(|id| !self.taken_ids.contains(id)) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests;
