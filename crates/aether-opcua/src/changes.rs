//! Takes changes of Sigils from whatever thread made them to the thread that serves OPC UA.
//!
//! ```text
//!  writer (holds the Sigil's lock) ──▶ queue ──▶ OPC UA thread ──▶ subscriptions
//! ```
//!
//! A writer never waits for a client: it takes the queue's lock alone, for a push. The order of
//! changes is kept. A full queue keeps the newest sample of each further Sigil and marks it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
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
    /// The Sigils they belong to.
    sigils: HashSet<usize>,
    /// The newest sample of Sigils that changed while the queue was full.
    newest: HashMap<usize, Sample>,
}

impl Changes {
    /// Takes all that waits, oldest first.
    pub(crate) fn take(&self) -> Vec<Change> {
        let Waiting { in_order, newest, .. } = mem::take(&mut *self.lock());
        let late = newest.into_iter().map(|(sigil, sample)| Change { sigil, sample, overflow: true });
        in_order.into_iter().chain(late).collect()
    }

    /// Whether a change of this Sigil waits.
    pub(crate) fn is_waiting(&self, sigil: usize) -> bool {
        let waiting = self.lock();
        waiting.newest.contains_key(&sigil) || waiting.sigils.contains(&sigil)
    }

    /// Waits until a change arrives. May also return when there is none.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn push(&self, sigil: usize, sample: &Sample) {
        {
            let mut waiting = self.lock();
            if waiting.in_order.len() < CAPACITY && waiting.newest.is_empty() {
                waiting.sigils.insert(sigil);
                waiting.in_order.push_back(Change { sigil, sample: sample.clone(), overflow: false });
            } else {
                waiting.newest.insert(sigil, sample.clone());
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
    changes: Arc<Changes>,
}

impl Listener {
    pub(crate) const fn new(sigil: usize, changes: Arc<Changes>) -> Self {
        Self { sigil, wanted: AtomicBool::new(false), changes }
    }

    /// Says whether changes from now on are wanted.
    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Release);
    }
}

impl ChangeListener for Listener {
    fn changed(&self, _sigil: &Definition, sample: &Sample) {
        if self.wanted.load(Ordering::Acquire) {
            self.changes.push(self.sigil, sample);
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
        for (sigil, value) in [(0, 1), (1, 2), (0, 3)] {
            changes.push(sigil, &sample(value));
        }
        assert!(changes.is_waiting(1) && !changes.is_waiting(2));
        let taken: Vec<_> = changes.take().into_iter().map(|c| (c.sigil, c.sample, c.overflow)).collect();
        assert_eq!(taken, [(0, sample(1), false), (1, sample(2), false), (0, sample(3), false)]);
        assert!(changes.take().is_empty());
    }

    #[test]
    fn a_full_queue_keeps_the_newest_of_each_sigil_and_marks_it() {
        let changes = Changes::default();
        for value in 0..CAPACITY + 10 {
            changes.push(7, &sample(value));
        }
        changes.push(8, &sample(1));
        let taken = changes.take();
        assert_eq!(taken.len(), CAPACITY + 2);
        assert!(taken[..CAPACITY].iter().all(|change| !change.overflow));
        let last = taken.iter().rfind(|change| change.sigil == 7).unwrap();
        assert!(last.overflow && last.sample == sample(CAPACITY + 9));
        changes.push(7, &sample(0));
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
        assert_eq!(changes.take()[0].sample.value, Value::Double(3.0));
    }
}
