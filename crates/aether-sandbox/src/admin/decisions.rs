//! The latest decisions, kept in memory for those who ask what has just happened.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::{AuditDecision, AuditStream};

/// How many decisions are kept, and as many that are denials; the file `audit.jsonl` has more.
const KEPT: usize = 1000;
/// How many a reader may fall behind before it misses some.
const BACKLOG: usize = 1024;

/// One decision: what it came to, and all of it as one JSON object.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) decision: AuditDecision,
    pub(super) json: Arc<str>,
}

/// The latest decisions.
#[derive(Debug)]
pub(super) struct DecisionRing {
    kept: Mutex<Kept>,
    live: broadcast::Sender<Decided>,
}

#[derive(Debug, Default)]
struct Kept {
    all: VecDeque<Decided>,
    /// Kept apart as well: what is allowed comes in crowds, which would push these out.
    denied: VecDeque<Decided>,
}

impl Default for DecisionRing {
    fn default() -> Self {
        Self { kept: Mutex::default(), live: broadcast::Sender::new(BACKLOG) }
    }
}

impl DecisionRing {
    /// Takes in the decisions of a stream until it or the sandbox ends.
    pub(super) async fn follow(self: Arc<Self>, mut stream: AuditStream, stop: CancellationToken) {
        loop {
            let record = tokio::select! {
                () = stop.cancelled() => return,
                record = stream.next() => record,
            };
            match record {
                Some(record) => self.push(Decided { decision: record.decision, json: record.to_json().into() }),
                None => return,
            }
        }
    }

    fn push(&self, decided: Decided) {
        let mut kept = self.kept();
        keep(&mut kept.all, &decided);
        if decided.decision == AuditDecision::Denied {
            keep(&mut kept.denied, &decided);
        }
        // Under the lock, so that `since` neither misses nor repeats one. Nobody listening is usual.
        let _ = self.live.send(decided);
    }

    /// The last `count` decisions, of those that came to `only` if it is given, oldest first. And all that
    /// follow them, whatever they come to.
    pub(super) fn since(
        &self,
        count: usize,
        only: Option<AuditDecision>,
    ) -> (Vec<Decided>, broadcast::Receiver<Decided>) {
        let kept = self.kept();
        let ring = if only == Some(AuditDecision::Denied) { &kept.denied } else { &kept.all };
        let fits = |decided: &&Decided| only.is_none_or(|only| decided.decision == only);
        let mut last: Vec<_> = ring.iter().rev().filter(fits).take(count).cloned().collect();
        last.reverse();
        (last, self.live.subscribe())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(ring: &mut VecDeque<Decided>, decided: &Decided) {
    if ring.len() >= KEPT {
        ring.pop_front();
    }
    ring.push_back(decided.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(ring: &DecisionRing, decision: AuditDecision, json: &str) {
        ring.push(Decided { decision, json: json.into() });
    }

    fn last(ring: &DecisionRing, count: usize, only: Option<AuditDecision>) -> Vec<String> {
        ring.since(count, only).0.into_iter().map(|decided| decided.json.as_ref().to_owned()).collect()
    }

    #[test]
    fn the_latest_are_kept_and_what_follows_is_neither_missed_nor_repeated() {
        let ring = DecisionRing::default();
        for number in 0..KEPT + 5 {
            push(&ring, AuditDecision::Allowed, &number.to_string());
        }
        assert_eq!(last(&ring, 2, None), ["1003", "1004"]);
        let (_, mut live) = ring.since(2, None);
        push(&ring, AuditDecision::Allowed, "next");
        assert_eq!(&*live.try_recv().unwrap().json, "next");
        assert!(live.try_recv().is_err());
        assert_eq!(last(&ring, usize::MAX, None).len(), KEPT);
    }

    #[test]
    fn denials_stay_however_much_is_allowed_after_them() {
        let ring = DecisionRing::default();
        for number in 0..3 {
            push(&ring, AuditDecision::Denied, &format!("denied {number}"));
        }
        for number in 0..2 * KEPT {
            push(&ring, AuditDecision::Allowed, &number.to_string());
        }
        push(&ring, AuditDecision::Denied, "denied 3");
        assert_eq!(last(&ring, 2, Some(AuditDecision::Denied)), ["denied 2", "denied 3"]);
        assert_eq!(last(&ring, 50, Some(AuditDecision::Denied)).len(), 4);
        assert_eq!(last(&ring, 1, Some(AuditDecision::Allowed)), ["1999"]);
    }
}
