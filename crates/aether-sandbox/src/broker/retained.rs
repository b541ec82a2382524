//! Retained messages: one for each topic, kept in `retained.jsonl`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::durable::{Durable, Sum};
use super::limits::Limits;
use super::message::{Kept, Message};
use super::pace::Paces;
use crate::StartError;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Kept(Kept),
    Removed { topic: String },
}

#[derive(Debug, Default)]
struct State {
    messages: BTreeMap<Box<str>, Arc<Message>>,
    bytes: usize,
}

impl State {
    fn remove(&mut self, topic: &str) {
        if let Some(old) = self.messages.remove(topic) {
            self.bytes -= old.size();
        }
    }
}

impl Sum for State {
    type Change = Change;

    fn apply(&mut self, change: Change) -> Result<(), String> {
        match change {
            Change::Kept(kept) => {
                let message = kept.message()?;
                self.remove(&message.topic);
                self.bytes += message.size();
                self.messages.insert(message.topic.clone(), message);
            }
            Change::Removed { topic } => self.remove(&topic),
        }
        Ok(())
    }

    fn sum(&self) -> Vec<Change> {
        self.messages.values().map(|message| Change::Kept(Kept::of(message))).collect()
    }
}

/// Why a retained message is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotRetained {
    TooOften,
    Full,
}

impl NotRetained {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::TooOften => "discarded: more retained messages a second than a topic may have",
            Self::Full => "discarded: more retained messages than the account may have",
        }
    }
}

/// The retained messages of the account.
#[derive(Debug)]
pub(super) struct Retained {
    durable: Mutex<Durable<State>>,
    pace: Paces,
}

impl Retained {
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Self, StartError> {
        let pace = Paces::new(limits.retained_per_second);
        Ok(Self { durable: Mutex::new(Durable::open(path)?), pace })
    }

    /// Reads them from the disk again.
    pub(super) fn reopen(&self) -> Result<(), StartError> {
        self.durable().reopen()
    }

    /// Keeps a message; an empty payload removes the one there is (sheet, 4.6).
    pub(super) fn set(&self, message: &Message, limits: &Limits) -> Result<(), NotRetained> {
        if !self.pace.take(&message.topic) {
            return Err(NotRetained::TooOften);
        }
        let mut durable = self.durable();
        let state = durable.state();
        let old = state.messages.get(&message.topic).map(|old| old.size());
        match (message.payload.is_empty(), old) {
            (true, Some(_)) => durable.record(Change::Removed { topic: message.topic.to_string() }),
            (true, None) => {}
            (false, old) => {
                let bytes = state.bytes - old.unwrap_or(0) + message.size();
                let full = old.is_none() && state.messages.len() >= limits.retained_messages;
                if full || bytes > limits.retained_bytes {
                    return Err(NotRetained::Full);
                }
                durable.record(Change::Kept(Kept::of(message)));
            }
        }
        Ok(())
    }

    /// The message retained for exactly this topic, unless it has expired.
    pub(super) fn get(&self, topic: &str, now: SystemTime) -> Option<Arc<Message>> {
        let found = self.durable().state().messages.get(topic).cloned();
        found.filter(|message| !message.expired(now))
    }

    /// All that have not expired, by topic.
    pub(super) fn all(&self, now: SystemTime) -> Vec<Arc<Message>> {
        self.durable().state().messages.values().filter(|message| !message.expired(now)).cloned().collect()
    }

    /// Removes all; how many there were.
    pub(super) fn forget(&self) -> usize {
        let mut durable = self.durable();
        let topics: Vec<String> = durable.state().messages.keys().map(ToString::to_string).collect();
        topics.iter().for_each(|topic| durable.record(Change::Removed { topic: topic.clone() }));
        topics.len()
    }

    fn durable(&self) -> MutexGuard<'_, Durable<State>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::broker::message::{Qos, from_ms};

    fn message(topic: &str, payload: &'static str) -> Message {
        Message::of_service(topic, payload, Qos::AtLeastOnce, from_ms(1000))
    }

    fn payloads(retained: &Retained) -> Vec<(String, String)> {
        let text =
            |message: Arc<Message>| (message.topic.to_string(), String::from_utf8(message.payload.to_vec()).unwrap());
        retained.all(from_ms(2000)).into_iter().map(text).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_message_a_topic_is_kept_over_a_restart_and_an_empty_one_removes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("retained.jsonl");
        let limits = Limits::unpaced();
        let retained = Retained::open(&path, &limits).unwrap();
        for (topic, payload) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "")] {
            retained.set(&message(topic, payload), &limits).unwrap();
        }
        drop(retained);
        let retained = Retained::open(&path, &limits).unwrap();
        assert_eq!(payloads(&retained), [("a".to_owned(), "3".to_owned())]);
        let soon = Message { expires: Some(from_ms(2000)), ..message("c", "4") };
        retained.set(&soon, &limits).unwrap();
        assert!(retained.get("c", from_ms(1999)).is_some() && retained.get("c", from_ms(2000)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_takes_one_a_second_and_the_account_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut limits = Limits::default();
        let retained = Retained::open(&dir.path().join("retained.jsonl"), &limits).unwrap();
        limits.retained_messages = 2;
        assert_eq!(retained.set(&message("a", "1"), &limits), Ok(()));
        assert_eq!(retained.set(&message("a", "2"), &limits), Err(NotRetained::TooOften));
        assert_eq!(retained.set(&message("b", "1"), &limits), Ok(()));
        assert_eq!(retained.set(&message("c", "1"), &limits), Err(NotRetained::Full));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(retained.set(&message("a", "3"), &limits), Ok(()));
        limits.retained_bytes = 5;
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(retained.set(&message("a", "much longer"), &limits), Err(NotRetained::Full));
        assert_eq!(payloads(&retained)[0].1, "3");
    }
}
