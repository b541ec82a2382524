//! The persistent sessions on disk: `sessions.jsonl`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::durable::{Durable, Sum};
use super::message::{Kept, Qos};
use crate::StartError;

/// What a subscription asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    pub(super) qos: Qos,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) no_local: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) retain_as_published: bool,
}

/// One change of one session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    client_id: String,
    what: What,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// A session that outlives its connection by so many seconds.
    Begun {
        expiry_s: u64,
    },
    /// Its connection is gone since then.
    Left {
        since_ms: u64,
    },
    Subscribed {
        filter: String,
        options: Options,
    },
    Unsubscribed {
        filter: String,
    },
    Queued {
        number: u64,
        message: Kept,
        qos: Qos,
        retain: bool,
    },
    Done {
        number: u64,
    },
    Ended,
}

/// One session as it is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptSession {
    pub(super) expiry_s: u64,
    /// When its connection went; unknown when the sandbox was killed.
    pub(super) left_ms: Option<u64>,
    pub(super) subscriptions: BTreeMap<String, Options>,
    pub(super) queue: BTreeMap<u64, KeptEntry>,
}

/// One QoS 1 delivery that was not acknowledged.
#[derive(Clone, Debug)]
pub(super) struct KeptEntry {
    pub(super) message: Kept,
    pub(super) qos: Qos,
    pub(super) retain: bool,
}

#[derive(Debug, Default)]
struct State {
    sessions: BTreeMap<String, KeptSession>,
    last_number: u64,
}

impl Sum for State {
    type Change = Change;

    fn apply(&mut self, Change { client_id, what }: Change) -> Result<(), String> {
        if let What::Ended = what {
            self.sessions.remove(&client_id);
            return Ok(());
        }
        let begins = matches!(what, What::Begun { .. });
        let session = match self.sessions.get_mut(&client_id) {
            Some(session) => session,
            None if begins => self.sessions.entry(client_id).or_default(),
            // A delivery on its way as the session ended.
            None => return Ok(()),
        };
        match what {
            What::Begun { expiry_s } => (session.expiry_s, session.left_ms) = (expiry_s, None),
            What::Left { since_ms } => session.left_ms = Some(since_ms),
            What::Subscribed { filter, options } => {
                session.subscriptions.insert(filter, options);
            }
            What::Unsubscribed { filter } => {
                session.subscriptions.remove(&filter);
            }
            What::Queued { number, message, qos, retain } => {
                self.last_number = self.last_number.max(number);
                session.queue.insert(number, KeptEntry { message, qos, retain });
            }
            What::Done { number } => {
                session.queue.remove(&number);
            }
            What::Ended => {}
        }
        Ok(())
    }

    fn sum(&self) -> Vec<Change> {
        let mut sum = Vec::new();
        for (client_id, session) in &self.sessions {
            let mut add = |what| sum.push(Change { client_id: client_id.clone(), what });
            add(What::Begun { expiry_s: session.expiry_s });
            for (filter, options) in &session.subscriptions {
                add(What::Subscribed { filter: filter.clone(), options: *options });
            }
            for (number, KeptEntry { message, qos, retain }) in &session.queue {
                add(What::Queued { number: *number, message: message.clone(), qos: *qos, retain: *retain });
            }
            if let Some(since_ms) = session.left_ms {
                add(What::Left { since_ms });
            }
        }
        sum
    }
}

/// Where persistent sessions are written.
#[derive(Debug)]
pub(super) struct SessionStore(Mutex<Durable<State>>);

impl SessionStore {
    pub(super) fn open(path: &Path) -> Result<Self, StartError> {
        Durable::open(path).map(|durable| Self(Mutex::new(durable)))
    }

    /// Reads them from the disk again.
    pub(super) fn reopen(&self) -> Result<(), StartError> {
        self.durable().reopen()
    }

    /// All sessions, by client id.
    pub(super) fn all(&self) -> Vec<(String, KeptSession)> {
        let durable = self.durable();
        durable.state().sessions.iter().map(|(id, session)| (id.clone(), session.clone())).collect()
    }

    pub(super) fn begun(&self, client_id: &str, expiry_s: u64) {
        self.record(client_id, What::Begun { expiry_s });
    }

    pub(super) fn left(&self, client_id: &str, since_ms: u64) {
        self.record(client_id, What::Left { since_ms });
    }

    pub(super) fn subscribed(&self, client_id: &str, filter: &str, options: Options) {
        self.record(client_id, What::Subscribed { filter: filter.to_owned(), options });
    }

    pub(super) fn unsubscribed(&self, client_id: &str, filter: &str) {
        self.record(client_id, What::Unsubscribed { filter: filter.to_owned() });
    }

    /// Keeps a delivery until [`done`](Self::done); gives its number.
    pub(super) fn queued(&self, client_id: &str, entry: KeptEntry) -> u64 {
        let KeptEntry { message, qos, retain } = entry;
        let mut durable = self.durable();
        let number = durable.state().last_number + 1;
        let what = What::Queued { number, message, qos, retain };
        durable.record(Change { client_id: client_id.to_owned(), what });
        number
    }

    pub(super) fn done(&self, client_id: &str, number: u64) {
        self.record(client_id, What::Done { number });
    }

    pub(super) fn ended(&self, client_id: &str) {
        self.record(client_id, What::Ended);
    }

    fn record(&self, client_id: &str, what: What) {
        self.durable().record(Change { client_id: client_id.to_owned(), what });
    }

    fn durable(&self) -> MutexGuard<'_, Durable<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::broker::message::Message;

    #[test]
    fn sessions_are_the_same_after_a_start_and_after_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.jsonl");
        let message = Message::of_service("a", "x", Qos::AtLeastOnce, SystemTime::UNIX_EPOCH);
        let entry = KeptEntry { message: Kept::of(&message), qos: Qos::AtLeastOnce, retain: false };
        let options = Options { qos: Qos::AtLeastOnce, no_local: true, retain_as_published: false };
        let store = SessionStore::open(&path).unwrap();
        store.begun("one", 3600);
        store.subscribed("one", "a/+", options);
        store.subscribed("one", "b", options);
        store.unsubscribed("one", "b");
        let first = store.queued("one", entry.clone());
        let second = store.queued("one", entry.clone());
        store.done("one", first);
        store.begun("two", 60);
        store.ended("two");
        store.left("one", 7000);
        drop(store);
        for _ in 0..2 {
            let store = SessionStore::open(&path).unwrap();
            let all = store.all();
            let [(id, kept)] = &all[..] else { panic!("{all:?}") };
            assert_eq!((id.as_str(), kept.expiry_s, kept.left_ms), ("one", 3600, Some(7000)));
            assert_eq!(kept.subscriptions.iter().collect::<Vec<_>>(), [(&"a/+".to_owned(), &options)]);
            assert_eq!(kept.queue.keys().collect::<Vec<_>>(), [&second]);
            assert_eq!(*kept.queue[&second].message.message().unwrap(), message);
        }
        assert!(SessionStore::open(&path).unwrap().queued("one", entry) > second);
    }
}
