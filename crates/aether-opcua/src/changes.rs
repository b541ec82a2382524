//! Takes changes of Sigils from whatever thread made them to the thread that serves OPC UA.
//!
//! ```text
//!  writer (holds the Sigil's lock) ──▶ queue ──▶ OPC UA thread ──▶ subscriptions
//! ```
//!
//! A writer never waits for a client: it takes the queue's lock alone, for a push. The order of
//! changes is kept. A full queue keeps the newest sample of each further Sigil and marks it.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use aether_sigil::{ChangeListener, Definition, Sample};
use tokio::sync::Notify;

/// Most changes that wait, some 10 MB: the OPC UA thread would have to be seconds late.
const CAPACITY: usize = 65_536;

/// One change of one Sigil.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The Sigil's position in its set.
    pub(crate) sigil: usize,
    /// Its number among the changes of this Sigil: the first is 1.
    pub(crate) number: u64,
    /// What it holds since.
    pub(crate) sample: Sample,
    /// Whether changes before this one were lost.
    pub(crate) overflow: bool,
}

/// Changes on their way to the OPC UA thread.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    in_order: VecDeque<Change>,
    /// The newest change of Sigils that changed while the queue was full.
    newest: HashMap<usize, Change>,
}

impl Changes {
    /// Takes all that waits, oldest first.
    pub(crate) fn take(&self) -> Vec<Change> {
        let Waiting { in_order, newest } = mem::take(&mut *self.lock());
        in_order.into_iter().chain(newest.into_values()).collect()
    }

    /// Waits until a change arrives. May also return when there is none.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn push(&self, sigil: usize, number: u64, sample: &Sample) {
        let mut change = Change { sigil, number, sample: sample.clone(), overflow: false };
        {
            let mut waiting = self.lock();
            if waiting.in_order.len() < CAPACITY && waiting.newest.is_empty() {
                waiting.in_order.push_back(change);
            } else {
                change.overflow = true;
                waiting.newest.insert(sigil, change);
            }
        }
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while the lock is held but an allocation that fails, and that aborts.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears of one Sigil's changes and passes them on while somebody subscribes to it.
#[derive(Debug)]
pub(crate) struct Listener {
    sigil: usize,
    wanted: AtomicBool,
    /// How many changes there were. Written under the Sigil's lock alone.
    heard: AtomicU64,
    changes: Arc<Changes>,
}

impl Listener {
    pub(crate) const fn new(sigil: usize, changes: Arc<Changes>) -> Self {
        Self { sigil, wanted: AtomicBool::new(false), heard: AtomicU64::new(0), changes }
    }

    /// How many changes there were; exact while the Sigil is locked.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Acquire)
    }

    /// Says whether changes from now on are wanted.
    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }
}

impl ChangeListener for Listener {
    fn changed(&self, _sigil: &Definition, sample: &Sample) {
        let number = self.heard.fetch_add(1, Ordering::AcqRel) + 1;
        if self.wanted.load(Ordering::Acquire) {
            self.changes.push(self.sigil, number, sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use aether_sigil::{Timestamp, Value};

    use super::*;

    fn sample(value: usize) -> Sample {
        Sample::good(Value::UInt64(value as u64), Timestamp::from_unix_micros(0))
    }

    #[test]
    fn changes_are_taken_in_their_order_and_once() {
        let changes = Changes::default();
        for (number, (sigil, value)) in (1..).zip([(0, 1), (1, 2), (0, 3)]) {
            changes.push(sigil, number, &sample(value));
        }
        let taken: Vec<_> = changes.take().into_iter().map(|c| (c.sigil, c.sample, c.overflow)).collect();
        assert_eq!(taken, [(0, sample(1), false), (1, sample(2), false), (0, sample(3), false)]);
        assert!(changes.take().is_empty());
    }

    #[test]
    fn a_full_queue_keeps_the_newest_of_each_sigil_and_marks_it() {
        let changes = Changes::default();
        for value in 0..CAPACITY + 10 {
            changes.push(7, value as u64, &sample(value));
        }
        changes.push(8, 1, &sample(1));
        let taken = changes.take();
        assert_eq!(taken.len(), CAPACITY + 2);
        assert!(taken[..CAPACITY].iter().all(|change| !change.overflow));
        let last = taken.iter().rfind(|change| change.sigil == 7).unwrap();
        assert!(last.overflow && last.sample == sample(CAPACITY + 9));
        changes.push(7, 0, &sample(0));
        assert!(!changes.take()[0].overflow, "room again");
    }

    #[test]
    fn nothing_waits_for_nobody() {
        let changes = Arc::new(Changes::default());
        let sigil = aether_sigil::Sigil::builder("ns=2;s=a", 1.0).build().unwrap();
        let listener = Arc::new(Listener::new(0, Arc::clone(&changes)));
        sigil.any().attach_listener(listener.clone()).unwrap();
        let write = |value: f64| sigil.any().write_from(Value::Double(value), None, &aether_sigil::Origin::CODE);
        write(2.0).unwrap();
        assert!(changes.take().is_empty());
        listener.want(true);
        write(3.0).unwrap();
        let taken = changes.take();
        assert_eq!(
            (taken[0].sample.value.clone(), taken[0].number),
            (Value::Double(3.0), 2),
            "the first was not wanted"
        );
        assert_eq!(listener.heard(), 2);
    }
}
