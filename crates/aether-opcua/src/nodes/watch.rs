//! Who subscribes to which Sigil, and how changes reach them.
//!
//! The library keeps monitored items of deleted subscriptions in its own map for ever; the lists
//! here hold the living ones only, so that a change costs what its subscribers cost.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aether_sigil::Sample;
use opcua::{
    server::{MonitoredItemHandle, SubscriptionCache},
    types::{AttributeId, DataValue, NodeId, StatusCode},
};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::space::{Node, Space};
use crate::{
    changes::{Change, Changes, Listener},
    error::StartError,
    value::to_data_value,
};

/// Carries changes of Sigils to the monitored items on them.
#[derive(Debug)]
pub(crate) struct Watch {
    changes: Arc<Changes>,
    listeners: Vec<Arc<Listener>>,
    subscribed: Mutex<Subscribed>,
}

#[derive(Debug, Default)]
struct Subscribed {
    /// By the Sigil's position; only Sigils that somebody subscribes to.
    watched: HashMap<usize, Watched>,
    /// When to tell a Sigil's paced items again what it holds.
    due: HashMap<usize, Instant>,
}

#[derive(Debug)]
struct Watched {
    node_id: NodeId,
    items: HashMap<MonitoredItemHandle, Item>,
    /// The newest change that was passed on, or the sample that stood before there was one.
    last: Sample,
    /// The number of that change.
    number: u64,
}

/// What is known of one monitored item.
#[derive(Debug)]
struct Item {
    /// The change that its first value came from: those after it are passed on to it.
    since: u64,
    /// The shortest time between two values that the library passes on to it.
    pace: Duration,
}

impl Watch {
    /// Starts to listen to every Sigil of `space`.
    pub(crate) fn attach(space: &Space) -> Result<Self, StartError> {
        let changes = Arc::new(Changes::default());
        let mut listeners = Vec::with_capacity(space.sigils().len());
        for (position, sigil) in space.sigils().iter().enumerate() {
            let listener = Arc::new(Listener::new(position, Arc::clone(&changes)));
            sigil.attach_listener(Arc::clone(&listener) as _)?;
            listeners.push(listener);
        }
        Ok(Self { changes, listeners, subscribed: Mutex::default() })
    }

    /// Waits until there may be changes to [`deliver`](Self::deliver).
    pub(crate) async fn arrived(&self) {
        let due = self.lock().due.values().min().copied();
        let due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.changes.arrived() => {}
            () = due => {}
        }
    }

    /// Hands every change that waits to the library, oldest first, and repeats what is due.
    pub(crate) fn deliver(&self, cache: &SubscriptionCache) {
        let mut subscribed = self.lock();
        let Subscribed { watched, due } = &mut *subscribed;
        // Taken under the lock, so that two deliveries cannot overtake each other.
        let (changes, now) = (self.changes.take(), Instant::now());
        if changes.is_empty() && !due.values().any(|at| *at <= now) {
            return;
        }
        let lost = changes.iter().filter(|change| change.overflow).count();
        if lost > 0 {
            warn!(sigils = lost, "changes came faster than OPC UA could pass them on; subscribers got the newest");
        }
        let mut notifier = cache.data_notifier();
        for Change { sigil, number, sample, overflow } in changes {
            // A change from before everybody who subscribes now came is nobody's business.
            let Some(watched) = watched.get_mut(&sigil).filter(|watched| watched.number < number) else { continue };
            if let Some(mut batch) = notifier.notify_for(&watched.node_id, AttributeId::Value) {
                for value in notifications(&watched.last, &sample, overflow) {
                    for (handle, _) in watched.items.iter().filter(|(_, item)| item.since < number) {
                        batch.data_value_to_item(value.clone(), handle);
                    }
                }
            }
            (watched.last, watched.number) = (sample, number);
            let slowest = watched.items.values().map(|item| item.pace).max();
            if let Some(pace) = slowest.filter(|pace| !pace.is_zero()) {
                due.insert(sigil, now + pace);
            }
        }
        // The library holds a value back that comes sooner than the item's sampling interval, and
        // then forgets to look at it until the next one. Told again after that time it passes it on;
        // whoever has it already is not told twice, since an equal value is no change.
        due.retain(|sigil, at| {
            if *at > now {
                return true;
            }
            if let Some(watched) = watched.get(sigil)
                && let Some(mut batch) = notifier.notify_for(&watched.node_id, AttributeId::Value)
            {
                let value = to_data_value(&watched.last);
                let told = |item: &Item| !item.pace.is_zero() && item.since <= watched.number;
                for (handle, _) in watched.items.iter().filter(|(_, item)| told(item)) {
                    batch.data_value_to_item(value.clone(), handle);
                }
            }
            false
        });
    }

    /// Takes note that values closer than `pace` to each other are held back from a monitored item.
    pub(crate) fn set_pace(&self, position: usize, item: MonitoredItemHandle, pace: Duration) {
        let mut subscribed = self.lock();
        if let Some(known) = subscribed.watched.get_mut(&position).and_then(|w| w.items.get_mut(&item)) {
            known.pace = pace;
            // A value may be held back already.
            subscribed.due.insert(position, Instant::now() + pace);
        }
    }

    /// Starts to carry changes of a Sigil to a new monitored item and returns its first value.
    ///
    /// The first value is taken together with the number of the change it came from, and only the
    /// changes after that one are passed on: nothing is missed, repeated or out of order, however
    /// fast the Sigil changes. The library knows the item only after this returns. No change is lost
    /// between the two: all this runs on the one thread of the OPC UA runtime, without a point at
    /// which [`deliver`](Self::deliver) could run.
    pub(crate) fn add(&self, space: &Space, position: usize, item: MonitoredItemHandle) -> DataValue {
        let listener = &self.listeners[position];
        listener.want(true);
        let (sample, since) = space.sigil(position).with_sample(|sample| (sample.clone(), listener.heard()));
        let first = to_data_value(&sample);
        let node_id = || space.node_id(Node::Sigil(position));
        let mut subscribed = self.lock();
        let entry = subscribed.watched.entry(position).or_insert_with(|| Watched {
            node_id: node_id(),
            items: HashMap::new(),
            last: sample,
            number: since,
        });
        entry.items.insert(item, Item { since, pace: Duration::ZERO });
        first
    }

    /// Tells a monitored item that was switched on again what its Sigil holds.
    pub(crate) fn refresh(&self, cache: &SubscriptionCache, position: usize, item: MonitoredItemHandle) {
        self.deliver(cache);
        let subscribed = self.lock();
        if let Some(watched) = subscribed.watched.get(&position)
            && let Some(mut batch) = cache.data_notifier().notify_for(&watched.node_id, AttributeId::Value)
        {
            batch.data_value_to_item(to_data_value(&watched.last), &item);
        }
    }

    /// Stops to carry changes to a monitored item.
    pub(crate) fn remove(&self, position: usize, item: MonitoredItemHandle) {
        let mut subscribed = self.lock();
        if let Some(entry) = subscribed.watched.get_mut(&position) {
            entry.items.remove(&item);
            if entry.items.is_empty() {
                subscribed.watched.remove(&position);
                subscribed.due.remove(&position);
                self.listeners[position].want(false);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Subscribed> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what to tell subscribers of a change.
///
/// A monitored item without a filter hears of a change of the value only, and would miss that an
/// equal value became Uncertain, or Good again. For those the value is taken away first; without a
/// SourceTimestamp, since the library would hold the second of two with the same one back.
fn notifications(last: &Sample, new: &Sample, overflow: bool) -> Vec<DataValue> {
    let mut value = to_data_value(new);
    if overflow {
        value.status = value.status.map(|status| status.set_overflow(true));
    }
    let both_carry_values = !last.status.is_bad() && !new.status.is_bad();
    if last.status == new.status || last.value != new.value || !both_carry_values {
        return vec![value];
    }
    let worse = last.status.max(new.status);
    let status = Some(StatusCode::from(worse.bits()));
    let away = DataValue { value: None, status, source_timestamp: None, ..value.clone() };
    vec![away, value]
}

#[cfg(test)]
mod tests {
    use aether_sigil::{StatusCode as Status, Timestamp, Value};

    use super::*;

    fn sample(value: f64, status: Status) -> Sample {
        let mut sample = Sample::good(Value::Double(value), Timestamp::from_unix_micros(0));
        sample.status = status;
        sample
    }

    #[track_caller]
    fn check(last: (f64, Status), new: (f64, Status), expected: &[(Option<f64>, Status)]) {
        let told: Vec<_> = notifications(&sample(last.0, last.1), &sample(new.0, new.1), false)
            .into_iter()
            .map(|v| (v.value.and_then(|v| v.as_f64()), Status::from_bits(v.status.unwrap().bits())))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_change_of_the_status_alone_is_a_change_for_every_subscriber() {
        let (good, uncertain, bad) = (Status::GOOD, Status::UNCERTAIN, Status::BAD);
        check((1.0, good), (2.0, good), &[(Some(2.0), good)]);
        check((1.0, good), (1.0, uncertain), &[(None, uncertain), (Some(1.0), uncertain)]);
        check((1.0, uncertain), (1.0, good), &[(None, uncertain), (Some(1.0), good)]);
        check((1.0, good), (1.0, bad), &[(None, bad)]);
        check((1.0, bad), (1.0, good), &[(Some(1.0), good)]);
        check((1.0, uncertain), (2.0, good), &[(Some(2.0), good)]);
    }
}
